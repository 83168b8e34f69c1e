-- What holds for every function, table, column, constraint and index of Bindery.
begin;
\ir ../helpers.psql
select plan(24);
create temp view functions as
select p.*, n.nspname, p.oid::regprocedure::text as function, l.lanname
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
join pg_language l on l.oid = p.prolang
where n.nspname in ('bindery', 'bindery_internal', 'bindery_core');
create temp view tables as
select c.*, n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('bindery', 'bindery_internal', 'bindery_core') and c.relkind in ('r', 'p')
  and c.relname <> 'schema_history';

-- Functions.
select is_empty($$select function from functions where nspname = 'bindery' and prosecdef$$,
  'Only functions of bindery_internal are SECURITY DEFINER.');
select is_empty($$select function from functions
    where coalesce(obj_description(oid, 'pg_proc'), '') = ''$$, 'Every function has a comment.');
select is_empty($$select function from functions
    where obj_description(oid, 'pg_proc') ~ '\s''\s|  '$$,
  'No comment of a function has a broken literal in it.');
select is_empty($$select proname from functions where nspname in ('bindery', 'bindery_internal')
    group by nspname, proname having count(*) > 1$$,
  'No name has two functions, so that PostgREST and a grant by name always know which is meant.');
select is_empty($$select function from functions where nspname = 'bindery' and pronargs > 0
    and (proargnames is null or '' = any (proargnames))$$,
  'Every argument of a function of bindery has a name.');
select is_empty($$select function from functions where nspname = 'bindery' and provariadic <> 0$$,
  'No function of bindery is variadic.');
select set_eq($$select proname::text, pronargs - pronargdefaults from functions
    where nspname = 'bindery'$$, $$values
  ('acquire_stream', 2), ('announce_relay', 2), ('apply_events', 3), ('begin_stage', 2),
  ('cancel_book', 1), ('cancel_books', 1), ('dead_letter_reasons', 1), ('define_pipeline', 2),
  ('drop_dead_letters', 1), ('early_backlog', 0), ('fail_book', 1), ('forget_stream', 1),
  ('get_book_changes', 2), ('get_book_status', 1), ('get_resume_point', 1), ('heartbeat', 1),
  ('list_books', 0), ('list_relays', 0), ('list_substeps', 1), ('make_realtime_policy', 0),
  ('note_stream', 2), ('note_waiting', 7), ('outbox_backlog', 0),
  ('pipeline_xstate', 1), ('plan_substeps', 3), ('prune_dead_letters', 1), ('prune_events', 1),
  ('prune_outbox', 1), ('register_book', 1), ('release_stream', 2), ('renew_stream', 2),
  ('replay_dead_letters', 0), ('report_events', 1), ('report_progress', 1), ('resume_book', 1),
  ('resume_books', 1),
  ('rewind_book', 2),
  ('schema_version', 0), ('send_held_broadcasts', 0), ('stage_durations', 0), ('status_at', 2),
  ('sweep', 0), ('take_outbox', 0),
  ('transition_book', 2)$$,
  'These are the functions of bindery, each with the number of arguments that it needs.');

select is_empty($$select function from functions where prosrc ~* 'advisory'$$,
  'No function takes an advisory lock, which any login can hold.');

-- The kernel.
select is_empty($$select function from functions where nspname = 'bindery_core'
    and (provolatile = 'v' or proparallel <> 's')$$,
  'No function of the kernel is volatile, and each is parallel safe.');
create temp table kernel as
select exists (select from pg_extension where extname = 'bindery') as native;
select set_has($$select proname::text from functions where nspname = 'bindery_core'$$,
  $$select unnest(array['compile_pipeline', 'transition_error', 'next_statuses', 'rewind_targets',
    'report_verdict', 'transition_verdict', 'begin_verdict', 'progress_percentages', 'stage_list',
    'label_of'])$$, 'The kernel has these functions.');
select is_empty($$select proname from functions, kernel where nspname = 'bindery_core' and native
    and proname not in ('compile_pipeline', 'transition_error', 'next_statuses', 'rewind_targets',
    'report_verdict', 'transition_verdict', 'begin_verdict', 'progress_percentages', 'stage_list',
    'label_of')$$, 'The native kernel has no other function.');
select is_empty($$select c.relname from pg_depend d
    join pg_class c on c.oid = d.objid and d.classid = 'pg_class'::regclass
    join pg_extension e on e.oid = d.refobjid
    where e.extname = 'bindery' and d.deptype = 'e'$$, 'The extension owns no table.');

-- Tables.
select set_eq($$select relname::text from tables where nspname = 'bindery'$$,
  array['pipelines', 'book_status', 'book_progress', 'book_events', 'stage_visits', 'outbox',
    'relay_cursors', 'early_events', 'dead_letters', 'settings'],
  'These are the tables of bindery.');
select is_empty($$select relname from tables where obj_description(oid, 'pg_class') is null$$,
  'Every table has a comment.');
select is_empty($$select relname, attname from tables t join pg_attribute a on a.attrelid = t.oid
    where attnum > 0 and not attisdropped and col_description(t.oid, attnum) is null$$,
  'Every column has a comment.');
select is_empty($$select nspname from pg_namespace where nspname in ('bindery', 'bindery_internal')
    and obj_description(oid, 'pg_namespace') is null$$, 'Every schema has a comment.');
select is_empty($$select relname from tables where not relrowsecurity$$,
  'row-level security is on for every table.');
select is_empty($$select relname from tables t where not exists (
    select from pg_policy p where p.polrelid = t.oid)$$, 'Every table has a policy.');
select is_empty($$select conname from pg_constraint f
    where f.contype = 'f' and f.connamespace in (
        'bindery'::regnamespace, 'bindery_internal'::regnamespace)
      and not exists (select from pg_index i where i.indrelid = f.conrelid
        and (i.indkey::int2[])[0:cardinality(f.conkey) - 1] @> f.conkey)$$,
  'Every foreign key has an index, since books are deleted, too.');
select is_empty($$select conname from pg_constraint
    where connamespace in ('bindery'::regnamespace, 'bindery_internal'::regnamespace)
      and not convalidated$$, 'Every constraint is validated.');
select is_empty($$select i.indexrelid::regclass from pg_index i
    where not (i.indisvalid and i.indisready)
      and i.indrelid in (select oid from tables)$$, 'Every index is valid.');
select is_empty($$select d.objid::regclass, a.attname from pg_depend d
    join pg_class c on c.oid = d.objid and c.relkind = 'i'
    join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
    where d.classid = 'pg_class'::regclass and d.refobjid = 'bindery.book_status'::regclass
      and a.attname not in ('book_id', 'owner_id', 'pipeline', 'pipeline_version', 'created_at',
        'completed_at', 'error', 'resume_at')$$,
  'No index of book_status has a column that a report or a transition to the next stage changes.');

-- The clock.
select tap.clock('2030-01-01 12:00+00');
select is(bindery_internal.now(), '2030-01-01 12:00+00', 'The setting bindery.now sets the clock.');
select tap.clock('');
select cmp_ok(abs(extract(epoch from bindery_internal.now() - clock_timestamp())), '<', 60::numeric,
  'Without the setting the clock is the server''s.');

select * from finish();
rollback;
