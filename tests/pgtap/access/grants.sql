-- The rights to call, read and write: everything in the three schemas, compared with these lists.
begin;
\ir ../helpers.psql
select plan(20);
create temp table roles (role text, letter text);
insert into roles
values ('anon', 'n'), ('authenticated', 'a'), ('service_role', 's'), ('bindery_relay', 'r'),
  ('bindery_worker', 'w');

-- Functions: the letters of the roles that may call each.
create temp table may_call (name text, letters text);
insert into may_call
-- Reading, and the functions it calls: users and the service.
select unnest(array['bindery.get_book_status', 'bindery.get_book_changes', 'bindery.list_substeps',
  'bindery.list_books', 'bindery.status_at', 'bindery.pipeline_xstate',
  'bindery_core.stage_list', 'bindery_core.label_of',
  'bindery_internal.user_id', 'bindery_internal.now', 'bindery_internal.may_set_clock',
  'bindery_internal.machine', 'bindery_internal.book_machine',
  'bindery_internal.missing_pipeline', 'bindery_internal.listed_status',
  'bindery_internal.stage_medians', 'bindery_internal.stages_json', 'bindery_internal.listed_row',
  'bindery_internal.is_queued', 'bindery_internal.queued_among', 'bindery_internal.substeps_bytes',
  'bindery_internal.health', 'bindery_internal.state_of',
  'bindery_internal.is_waiting', 'bindery_internal.brief_silence',
  'bindery_internal.substep_json', 'bindery_internal.shown_substeps',
  'bindery_internal.resume_point',
  'bindery_internal.book_json', 'bindery_internal.status_json', 'bindery_internal.cut_json',
  'bindery_internal.latest_version', 'bindery_internal.xstate_node',
  'bindery_internal.xstate_edge', 'bindery_internal.unknown_pipeline']), 'as'
union all
-- Of these, the functions that workers need, too.
select unnest(array['bindery.get_resume_point', 'bindery_internal.is_worker',
  'bindery_internal.unknown_book', 'bindery_internal.refused_report', 'bindery_internal.error',
  'bindery_internal.raise_error',
  'bindery_internal.bad_input', 'bindery_internal.refused_text']), 'asw'
union all
-- Reporting: the service and workers.
select unnest(array['bindery.begin_stage', 'bindery_internal.do_begin',
  'bindery.report_progress', 'bindery_internal.do_report', 'bindery.plan_substeps',
  'bindery_internal.do_plan', 'bindery.heartbeat', 'bindery_internal.do_heartbeats',
  'bindery.fail_book', 'bindery_internal.do_fail', 'bindery.report_events',
  'bindery_internal.report_events', 'bindery_internal.refused_attempt',
  'bindery_internal.claimed_stage', 'bindery_internal.worker_claims',
  'bindery_internal.refused_worker']), 'sw'
union all
-- Definer functions in place of row-level security: workers alone.
select unnest(array['bindery_internal.worker_book', 'bindery_internal.worker_resume_point']), 'w'
union all
-- Writing, operating: the service.
select unnest(array['bindery.define_pipeline', 'bindery_internal.define_pipeline',
  'bindery.register_book', 'bindery_internal.do_register', 'bindery.transition_book',
  'bindery_internal.do_transition', 'bindery.cancel_book', 'bindery.resume_book',
  'bindery.cancel_books', 'bindery.resume_books', 'bindery_internal.act_on_books',
  'bindery_internal.do_resume', 'bindery.rewind_book', 'bindery_internal.do_rewind',
  'bindery.forget_stream', 'bindery_internal.forget_stream', 'bindery.replay_dead_letters',
  'bindery_internal.replay_dead_letters', 'bindery.drop_dead_letters',
  'bindery_internal.drop_dead_letters', 'bindery.prune_events', 'bindery_internal.prune_events',
  'bindery.prune_dead_letters', 'bindery_internal.prune_dead_letters', 'bindery.prune_outbox',
  'bindery_internal.prune_outbox',
  'bindery.list_relays', 'bindery_internal.list_relays', 'bindery.stage_durations',
  'bindery_internal.stage_durations', 'bindery.schema_version',
  'bindery_internal.schema_version']), 's'
union all
-- Relaying: the service and the relay.
select unnest(array['bindery.acquire_stream', 'bindery_internal.acquire_stream',
  'bindery.renew_stream', 'bindery_internal.renew_stream', 'bindery.note_stream',
  'bindery_internal.note_stream', 'bindery.note_waiting', 'bindery_internal.note_waiting',
  'bindery.release_stream', 'bindery_internal.release_stream',
  'bindery.announce_relay', 'bindery_internal.announce_relay', 'bindery.apply_events',
  'bindery_internal.apply_events', 'bindery.early_backlog', 'bindery_internal.early_backlog',
  'bindery.take_outbox', 'bindery_internal.take_outbox', 'bindery.outbox_backlog',
  'bindery_internal.outbox_backlog', 'bindery.dead_letter_reasons',
  'bindery_internal.dead_letter_reasons', 'bindery.sweep', 'bindery_internal.sweep',
  'bindery_internal.notifies',
  'bindery.send_held_broadcasts', 'bindery_internal.send_held_broadcasts',
  'bindery.make_realtime_policy', 'bindery_internal.make_realtime_policy']), 'sr'
union all
-- Functions called by the portable kernel run with the rights of their caller.
select 'bindery_core.' || p.proname, 'as' from pg_proc p
where p.pronamespace = 'bindery_core'::regnamespace
  and not exists (select from pg_extension where extname = 'bindery')
  and p.proname in ('refuse_null', 'refuse', 'as_double', 'product', 'quotient', 'total',
    'is_machine', 'state_named', 'current_state', 'states_before');
create temp view functions as
select p.oid, n.nspname || '.' || p.proname as name, n.nspname, p.proname, p.proacl, p.proowner
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname in ('bindery', 'bindery_internal', 'bindery_core');

select is_empty($$select name from may_call except select name from functions$$,
  'The list names functions that there are.');
select set_eq(
  format($$select name from functions where has_function_privilege(%L, oid, 'execute')$$, role),
  format($$select name from may_call where letters ~ %L$$, letter),
  format('%s may call these functions, and no others.', role))
from roles;
select is_empty($$select f.name from functions f,
    aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a where a.grantee = 0$$,
  'No function is left to PUBLIC.');
select is_empty($$select f.name, a.grantee::regrole from functions f,
    aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
    where a.grantee <> f.proowner and a.grantee not in (select role::regrole from roles)
      and f.name <> 'bindery_internal.ask_guard'$$,
  'No other role may call a function.');
select is((select p.proowner::regrole::text from pg_proc p
    where p.oid = 'bindery_internal.ask_guard'::regproc), 'bindery_guard',
  'Guards run as the role bindery_guard.');
select is_empty($$select a.grantee::regrole from functions f, aclexplode(f.proacl) a
    where f.name = 'bindery_internal.ask_guard'
      and a.grantee not in (f.proowner, 'bindery_internal'::regnamespace::oid,
        (select nspowner from pg_namespace where nspname = 'bindery_internal'))$$,
  'Only the schema''s owner may ask a guard.');

-- Tables and columns.
create temp view tables as
select c.oid, n.nspname, c.relname, c.relacl, c.relowner
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('bindery', 'bindery_internal', 'bindery_core')
  and c.relkind in ('r', 'p', 'v', 'm', 'f');
select set_eq($$select role, relname::text, privilege
    from tables, roles, unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE',
      'REFERENCES', 'TRIGGER']) privilege
    where has_table_privilege(role, oid, privilege)$$,
  $$select 'authenticated' as role, t, 'SELECT' as privilege
    from unnest(array['book_status', 'book_progress', 'book_events', 'stage_visits']) t
    union all
    select 'service_role', t, 'SELECT' from unnest(array['book_status', 'book_progress',
      'book_events', 'stage_visits', 'pipelines', 'outbox', 'relay_cursors', 'early_events',
      'dead_letters', 'settings']) t$$,
  'The roles have these rights on whole tables, and no others.');
select set_eq($$select r.role, t.relname::text, a.attname::text, p.privilege
    from tables t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0, roles r,
      unnest(array['INSERT', 'UPDATE', 'REFERENCES']) p(privilege)
    where has_column_privilege(r.role, t.oid, a.attnum, p.privilege)$$,
  $$select 'service_role' as role, 'book_status' as t, c, 'INSERT' as privilege
    from unnest(array['book_id', 'owner_id', 'title', 'pipeline', 'pipeline_version', 'status',
      'metadata']) c
    union all
    select 'service_role', 'book_status', c, 'UPDATE' from unnest(array['owner_id', 'title',
      'status', 'message', 'error', 'metadata']) c
    union all
    select 'service_role', 'settings', c, 'UPDATE' from unnest(array['broadcast',
      'broadcast_every', 'broadcasts_per_second', 'notify', 'patience',
      'early_events_per_book', 'early_events_total', 'dead_letters_total']) c$$,
  'The service may insert and update these columns, and no role any other.');
select is_empty($$select t.relname, a.grantee from tables t, aclexplode(t.relacl) a
    where a.grantee <> t.relowner and a.grantee not in (select role::regrole from roles)$$,
  'Neither PUBLIC nor another role has a right on a table.');
select is_empty($$select t.relname, a.attname from tables t
    join pg_attribute a on a.attrelid = t.oid, aclexplode(a.attacl) e
    where e.grantee not in (select role::regrole from roles)$$,
  'Neither PUBLIC nor another role has a right on a column.');
select is_empty($$select c.relname, r.role from pg_class c
    join pg_namespace n on n.oid = c.relnamespace, roles r
    where n.nspname in ('bindery', 'bindery_internal') and c.relkind = 'S'
      and has_sequence_privilege(r.role, c.oid, 'USAGE, SELECT, UPDATE')$$,
  'No role has a right on a sequence.');

-- Schemas and roles.
select set_eq($$select nspname::text, role from pg_namespace, roles
    where nspname in ('bindery', 'bindery_internal', 'bindery_core')
      and has_schema_privilege(role, oid, 'usage')$$,
  $$values ('bindery', 'anon'), ('bindery', 'authenticated'), ('bindery', 'service_role'),
    ('bindery', 'bindery_relay'), ('bindery_internal', 'authenticated'),
    ('bindery_internal', 'service_role'), ('bindery_internal', 'bindery_relay'),
    ('bindery', 'bindery_worker'), ('bindery_internal', 'bindery_worker'),
    ('bindery_core', 'authenticated'), ('bindery_core', 'service_role')$$,
  'The roles may use these schemas, and no others.');
select is_empty($$select nspname, role from pg_namespace, roles
    where nspname like 'bindery%' and has_schema_privilege(role, oid, 'create')$$,
  'No role may create in a schema.');
select is_empty($$select nspname, a.grantee from pg_namespace, aclexplode(nspacl) a
    where nspname in ('bindery', 'bindery_internal')
      and a.grantee <> nspowner and a.grantee not in (select role::regrole from roles)$$,
  'Neither PUBLIC nor another role has a right on a schema.');
select is_empty($$select rolname from pg_roles
    where rolname in ('bindery_relay', 'bindery_worker', 'bindery_guard') and (rolsuper
      or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication
      or rolcanlogin)$$,
  'No role of Bindery''s own has a power of its own, or can log in.');
select is_empty($$select has.roleid::regrole, has.member::regrole from pg_auth_members has
    where has.member in ('bindery_guard'::regrole, 'bindery_relay'::regrole,
      'bindery_worker'::regrole)$$,
  'No role of Bindery''s own is a member of another role.');

select * from finish();
rollback;
