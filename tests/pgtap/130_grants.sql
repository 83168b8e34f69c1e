begin;
\ir helpers.psql
-- Who may call and touch what: everything there is in the three schemas, compared with this list.
select plan(16);
create temp table roles (role text, letter text);
insert into roles values ('anon', 'n'), ('authenticated', 'a'), ('service_role', 's'), ('bindery_relay', 'r');

create temp table may_call (function text, letters text);
insert into may_call values
  -- reading: users and the service
  ('bindery.get_book_status(uuid)', 'as'), ('bindery.get_resume_point(uuid)', 'as'), ('bindery.list_books(integer)', 'as'),
  ('bindery.status_at(uuid,timestamp with time zone)', 'as'),
  -- what reading stands on
  ('bindery_core.summarize(jsonb,text,text,jsonb)', 'as'), ('bindery_internal.error(text,text,text,text,jsonb)', 'as'),
  ('bindery_internal.health(bindery.book_status,jsonb,timestamp with time zone)', 'as'), ('bindery_internal.kept(boolean,bindery.book_progress)', 'as'),
  ('bindery_internal.machine(text,integer)', 'as'), ('bindery_internal.state_of(jsonb,text)', 'as'), ('bindery_internal.now()', 'as'), ('bindery_internal.may_set_clock()', 'as'), ('bindery_internal.raise_error(jsonb)', 'as'),
  ('bindery_internal.substep_rows(uuid,text,boolean)', 'as'), ('bindery_internal.unknown_book(uuid)', 'as'), ('bindery_internal.user_id()', 'as'),
  -- writing: the service
  ('bindery.define_pipeline(text,jsonb)', 's'), ('bindery_internal.define_pipeline(text,jsonb)', 's'),
  ('bindery.fail_book(uuid,jsonb,text,bigint,integer)', 's'), ('bindery.cancel_book(uuid,text,bigint)', 's'),
  ('bindery.prune_events(timestamp with time zone,integer)', 's'), ('bindery_internal.prune_events(timestamp with time zone,integer)', 's'),
  ('bindery.heartbeat(uuid,integer)', 's'), ('bindery_internal.do_heartbeats(jsonb)', 's'),
  ('bindery.plan_substeps(uuid,text,jsonb,bigint)', 's'), ('bindery_internal.do_plan(uuid,text,jsonb,bigint)', 's'),
  ('bindery.register_book(uuid,uuid,text,text,jsonb)', 's'), ('bindery_internal.do_register(uuid,uuid,text,text,jsonb)', 's'),
  ('bindery.report_progress(uuid,text,double precision,double precision,double precision,text,text,jsonb,text,integer)', 's'), ('bindery_internal.do_report(jsonb)', 's'),
  ('bindery.resume_book(uuid,bigint)', 's'), ('bindery_internal.do_resume(uuid,bigint,text)', 's'),
  ('bindery.rewind_book(uuid,text,text,bigint)', 's'), ('bindery_internal.do_rewind(uuid,text,text,bigint)', 's'),
  ('bindery.transition_book(uuid,text,text,bigint,integer)', 's'), ('bindery_internal.do_transition(uuid,text,text,bigint,integer,jsonb,boolean,boolean)', 's'),
  ('bindery_internal.refused_report(text,uuid,text,text,integer)', 's'),
  -- relaying: the service and the relay
  ('bindery.acquire_stream(text,text,interval)', 'sr'), ('bindery_internal.acquire_stream(text,text,interval)', 'sr'),
  ('bindery.announce_relay(text,text[],interval)', 'sr'), ('bindery_internal.announce_relay(text,text[],interval)', 'sr'),
  ('bindery.apply_events(text,bigint,text,jsonb)', 'sr'), ('bindery_internal.apply_events(text,bigint,text,jsonb)', 'sr'),
  ('bindery.note_stream(text,bigint,bigint,text,bigint,text)', 'sr'), ('bindery_internal.note_stream(text,bigint,bigint,text,bigint,text)', 'sr'),
  ('bindery.release_stream(text,bigint)', 'sr'), ('bindery_internal.release_stream(text,bigint)', 'sr'),
  ('bindery.renew_stream(text,bigint,timestamp with time zone)', 'sr'), ('bindery_internal.renew_stream(text,bigint,timestamp with time zone)', 'sr'),
  ('bindery.take_outbox(integer)', 'sr'), ('bindery_internal.take_outbox(integer)', 'sr'),
  ('bindery.outbox_backlog(integer)', 'sr'), ('bindery_internal.outbox_backlog(integer)', 'sr'),
  ('bindery.dead_letter_reasons(text,text,integer)', 'sr'), ('bindery_internal.dead_letter_reasons(text,text,integer)', 'sr'),
  ('bindery.place_of_books(text,uuid[])', 'sr'), ('bindery_internal.place_of_books(text,uuid[])', 'sr'),
  ('bindery.sweep(timestamp with time zone)', 'sr'), ('bindery_internal.sweep(timestamp with time zone)', 'sr');
-- Pipelines as XState configs.
insert into may_call values
  ('bindery.pipeline_xstate(text,integer)', 'as'), ('bindery_internal.latest_version(text)', 'as'), ('bindery_internal.xstate_node(jsonb)', 'as'),
  ('bindery_internal.xstate_edge(text,text,text)', 'as'), ('bindery_internal.unknown_pipeline(text,integer)', 'as');
-- dead letters and retention: the service
insert into may_call values
  ('bindery.replay_dead_letters(text,text,uuid,integer,bigint[])', 's'), ('bindery_internal.replay_dead_letters(text,text,uuid,integer,bigint[])', 's'),
  ('bindery.drop_dead_letters(bigint[])', 's'), ('bindery_internal.drop_dead_letters(bigint[])', 's'),
  ('bindery.prune_dead_letters(timestamp with time zone,integer)', 's'), ('bindery_internal.prune_dead_letters(timestamp with time zone,integer)', 's'),
  ('bindery.prune_outbox(timestamp with time zone,integer)', 's'), ('bindery_internal.prune_outbox(timestamp with time zone,integer)', 's');
insert into may_call values ('bindery_internal.refused_attempt()', 's'), ('bindery_internal.bad_input(text,text,text)', 'as'),
  ('bindery_internal.refused_text(text,text,integer)', 'as');
-- A stream that is no longer read.
insert into may_call values ('bindery.forget_stream(text)', 's'), ('bindery_internal.forget_stream(text)', 's');
insert into may_call values ('bindery_internal.refused_attempt()', 's'), ('bindery_internal.bad_input(text,text,text)', 's');
-- What the portable kernel's summarize calls runs with its caller's rights, too.
insert into may_call
select p.oid::regprocedure::text, 'as' from pg_proc p
where p.pronamespace = 'bindery_core'::regnamespace and not exists (select from pg_extension where extname = 'bindery')
  and p.proname in ('refuse_null', 'refuse', 'as_double', 'product', 'quotient', 'total', 'label_of', 'is_machine', 'state_named',
    'current_state', 'states_before', 'is_rows', 'shown', 'mean_of_giants');
create temp view functions as
  select p.oid, p.proname, n.nspname, p.oid::regprocedure::text as function, p.proacl from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname in ('bindery', 'bindery_internal', 'bindery_core');
select is_empty($$select function from may_call except select function from functions$$, 'the list names functions that there are');
select set_eq(format($$select function from functions where has_function_privilege(%L, oid, 'execute')$$, role), format($$select function from may_call where letters ~ %L$$, letter),
  format('%s may call exactly these functions of bindery, bindery_internal and bindery_core', role)) from roles;
select is_empty($$select f.function, a.* from functions f, aclexplode(coalesce(f.proacl, acldefault('f', (select proowner from pg_proc where oid = f.oid)))) a where a.grantee = 0$$,
  'no function is left to PUBLIC');
select is_empty($$select function from functions where nspname in ('bindery', 'bindery_internal') and has_function_privilege('anon', oid, 'execute')$$, 'anon may call nothing');

create temp table may_touch (role text, tablename text, privilege text);
insert into may_touch
select 'authenticated', t, 'SELECT' from unnest(array['book_status', 'book_progress', 'book_events']) t
union all select 'service_role', t, 'SELECT' from unnest(array['book_status', 'book_progress', 'book_events', 'pipelines', 'outbox', 'relay_cursors', 'dead_letters', 'settings']) t;
create temp view tables as
  select c.oid, n.nspname, c.relname, c.relacl, c.relowner, c.relrowsecurity from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('bindery', 'bindery_internal', 'bindery_core') and c.relkind in ('r', 'p', 'v', 'm', 'f');
select set_eq($$select role, relname::text, privilege from tables, roles, unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) privilege where has_table_privilege(role, oid, privilege)$$,
  'select role, tablename, privilege from may_touch', 'the roles have these rights on whole tables, and no others');
select set_eq($$select r.role, t.relname::text, a.attname::text, p.privilege from tables t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0, roles r, unnest(array['INSERT', 'UPDATE', 'REFERENCES']) p(privilege)
    where has_column_privilege(r.role, t.oid, a.attnum, p.privilege)$$,
  $$select 'service_role' as r, 'book_status' as t, c, 'INSERT' as p from unnest(array['book_id', 'owner_id', 'title', 'pipeline', 'pipeline_version', 'status', 'metadata']) c
    union all select 'service_role' as r, 'book_status' as t, c, 'UPDATE' as p from unnest(array['owner_id', 'title', 'status', 'message', 'error', 'metadata']) c
    union all values ('service_role', 'settings', 'broadcast', 'UPDATE')$$,
  'the service may insert and update these columns of book_status and settings, nobody any other');
select is_empty($$select t.relname, a.* from tables t, aclexplode(t.relacl) a where a.grantee = 0$$, 'no table is left to PUBLIC');
select is_empty($$select a.attname from tables t join pg_attribute a on a.attrelid = t.oid, aclexplode(a.attacl) e where e.grantee = 0$$, 'nor any column');
select is_empty($$select c.relname, r.role from pg_class c join pg_namespace n on n.oid = c.relnamespace, roles r
  where n.nspname in ('bindery', 'bindery_internal') and c.relkind = 'S' and has_sequence_privilege(r.role, c.oid, 'USAGE, SELECT, UPDATE')$$, 'no role may touch a sequence');
select set_eq($$select nspname::text, role from pg_namespace, roles where nspname in ('bindery', 'bindery_internal', 'bindery_core') and has_schema_privilege(role, oid, 'usage')$$,
  $$values ('bindery', 'anon'), ('bindery', 'authenticated'), ('bindery', 'service_role'), ('bindery', 'bindery_relay'), ('bindery_internal', 'authenticated'),
    ('bindery_internal', 'service_role'), ('bindery_internal', 'bindery_relay'), ('bindery_core', 'authenticated'), ('bindery_core', 'service_role')$$, 'the roles may look into these schemas');
select is_empty($$select nspname, role from pg_namespace, roles where nspname like 'bindery%' and has_schema_privilege(role, oid, 'create')$$, 'and create in none');
select is_empty($$select nspname from pg_namespace, aclexplode(nspacl) a where nspname like 'bindery%' and a.grantee = 0$$, 'no schema is left to PUBLIC');
select is_empty($$select rolname from pg_roles where rolname = 'bindery_relay' and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)$$, 'the relay''s role has no power of its own');

select * from finish();
rollback;
