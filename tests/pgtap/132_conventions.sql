begin;
\ir helpers.psql
select plan(18);
create temp view functions as
  select p.*, n.nspname, p.oid::regprocedure::text as function, l.lanname from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
  where n.nspname in ('bindery', 'bindery_internal', 'bindery_core');
create temp view tables as select c.* from pg_class c where c.relnamespace = 'bindery'::regnamespace and c.relkind in ('r', 'p');

select is_empty($$select function from functions where lanname in ('sql', 'plpgsql') and not coalesce('search_path=""' = any (proconfig), false)$$, 'every function pins its search_path to nothing');
select is_empty($$select function from functions where prosecdef and nspname <> 'bindery_internal'$$, 'only bindery_internal has SECURITY DEFINER functions');
select is_empty($$select function from functions where coalesce(obj_description(oid, 'pg_proc'), '') = ''$$, 'every function has a comment');
create temp view every_table as select c.* from pg_class c where c.relnamespace::regnamespace::text ~ '^bindery' and c.relkind in ('r', 'p') and c.relname <> 'schema_history';
select is_empty($$select relname from every_table where obj_description(oid, 'pg_class') is null$$, 'every table has a comment');
select is_empty($$select relname, attname from every_table t join pg_attribute a on a.attrelid = t.oid where attnum > 0 and not attisdropped and col_description(t.oid, attnum) is null$$, 'every column has a comment');
select is_empty($$select nspname from pg_namespace where nspname in ('bindery', 'bindery_internal') and obj_description(oid, 'pg_namespace') is null$$, 'the schemas have comments');
select is_empty($$select proname from functions where nspname = 'bindery' group by proname having count(*) > 1$$, 'no function of bindery is overloaded, so PostgREST always knows which is meant');
select is_empty($$select function from functions where nspname = 'bindery' and pronargs > 0 and (proargnames is null or '' = any (proargnames))$$, 'every argument has a name: they are the keys of the JSON');
select is_empty($$select function from functions where nspname = 'bindery' and provariadic <> 0$$, 'none is variadic');
select set_eq($$select proname::text, pronargs - pronargdefaults from functions where nspname = 'bindery'$$,
  $$values
    ('acquire_stream', 2),
    ('announce_relay', 2),
    ('apply_events', 4),
    ('cancel_book', 1),
    ('define_pipeline', 2),
    ('fail_book', 1),
    ('forget_stream', 1),
    ('get_book_status', 1),
    ('get_resume_point', 1),
    ('heartbeat', 1),
    ('list_books', 0),
    ('pipeline_xstate', 1),
    ('note_stream', 2),
    ('place_of_books', 2),
    ('plan_substeps', 3),
    ('prune_dead_letters', 1), ('drop_dead_letters', 1),
    ('prune_events', 1),
    ('dead_letter_reasons', 1),
    ('outbox_backlog', 0),
    ('prune_outbox', 1),
    ('register_book', 1),
    ('release_stream', 2),
    ('renew_stream', 2),
    ('replay_dead_letters', 0),
    ('report_progress', 1),
    ('resume_book', 1),
    ('rewind_book', 2),
    ('status_at', 2),
    ('sweep', 0),
    ('take_outbox', 0),
    ('transition_book', 2)$$,
  'these are the functions of the API, each with the number of arguments it cannot do without');
select set_eq($$select relname::text from tables$$, array['pipelines', 'book_status', 'book_progress', 'book_events', 'outbox', 'relay_cursors', 'dead_letters', 'settings'], 'these are the tables');
select is_empty($$select function from functions where nspname = 'bindery_core' and (provolatile = 'v' or proparallel <> 's')$$, 'the kernel is immutable or stable, and parallel safe');
create temp table kernel as select exists (select from pg_extension where extname = 'bindery') as native;
select set_eq($$select proname::text from functions, kernel where nspname = 'bindery_core' and (native or proname ~ '^(compile_pipeline|transition_error|next_statuses|rewind_targets|report_verdict|summarize)$')$$,
  array['compile_pipeline', 'transition_error', 'next_statuses', 'rewind_targets', 'report_verdict', 'summarize'], 'these are the functions of the kernel');
select is_empty($$select c.relname from pg_depend d join pg_class c on c.oid = d.objid and d.classid = 'pg_class'::regclass join pg_extension e on e.oid = d.refobjid where e.extname = 'bindery' and d.deptype = 'e'$$,
  'the extension owns no table');

-- No foreign key without an index to check it by, since books are deleted too.
select is_empty($$select conname from pg_constraint f where f.contype = 'f' and f.connamespace = 'bindery'::regnamespace
  and not exists (select from pg_index i where i.indrelid = f.conrelid and (i.indkey::int2[])[0:cardinality(f.conkey) - 1] @> f.conkey)$$, 'every foreign key has its index');
select is_empty($$select conname from pg_constraint where connamespace = 'bindery'::regnamespace and not convalidated$$, 'every constraint is validated');

-- The clock.
select tap.clock('2030-01-01 12:00+00');
select is(bindery_internal.now(), '2030-01-01 12:00+00', 'bindery.now sets the clock');
select tap.clock('');
select ok(abs(extract(epoch from bindery_internal.now() - clock_timestamp())) < 60, 'without it the clock is the wall''s');

select * from finish();
rollback;
