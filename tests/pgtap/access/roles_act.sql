-- Every role tries every table in every way, and every function. Everything that is not in these
-- lists must be refused.
begin;
\ir ../helpers.psql
\ir ../hostile/hostile.psql
select plan(7);
create temp table actors (actor text, role text, sub text);
insert into actors values ('anon', 'anon', null), ('owner', 'authenticated', tap.id(900)),
  ('stranger', 'authenticated', tap.id(901)), ('service', 'service_role', null),
  ('relay', 'bindery_relay', null), ('worker', 'bindery_worker', null);

-- The result of a statement by an actor, which is undone: 'ok' and the number of rows, or the
-- SQLSTATE and the code of its error.
create function tap.act(role text, sub text, statement text) returns text language plpgsql as $$
declare
  answer text;
  rows bigint;
  detail text;
begin
  begin
    perform set_config('request.jwt.claims',
      case when sub is null then '' else jsonb_build_object('sub', sub)::text end, true);
    perform set_config('role', role, true);
    execute statement;
    get diagnostics rows = row_count;
    raise exception 'undo' using errcode = 'TAP00';
  exception
    when sqlstate 'TAP00' then
      answer := 'ok ' || rows;
    when others then
      get stacked diagnostics detail = pg_exception_detail;
      answer := concat_ws(' ', sqlstate,
        case when sqlstate like 'PT%' then detail::jsonb ->> 'code' end);
  end;
  perform set_config('role', 'none', true), set_config('request.jwt.claims', '', true);
  return answer;
end
$$;

-- Tables. Those that users read have rows of two books, of which the owner owns one.
create temp table tables as
select c.relname::text as name from pg_class c
where c.relnamespace = 'bindery'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f');
create temp table acts as
select a.actor, t.name, w.way, tap.act(a.role, a.sub, format(w.statement, t.name, (
    select attname from pg_attribute
    where attrelid = ('bindery.' || t.name)::regclass and attnum = 2))) as outcome
from actors a, tables t, (values
  ('select', 'select * from bindery.%I'), ('insert', 'insert into bindery.%I default values'),
  ('update', 'update bindery.%I set %2$I = %2$I where true'),
  ('delete', 'delete from bindery.%I where true'),
  ('truncate', 'truncate bindery.%I cascade')) as w(way, statement);
select is_empty($$select actor, name, way, outcome from acts where outcome <> '42501'
    and not (way = 'select' and (actor = 'service' or actor in ('owner', 'stranger')
      and name in ('book_status', 'book_progress', 'book_events', 'stage_visits')))
    and not (actor = 'service' and (name = 'book_status' and way in ('insert', 'update')
      or name = 'settings' and way = 'update'))$$,
  'Only the service writes, and only book_status and settings; only the service and users read.');
select is_empty($$select actor, name, outcome from acts
    where way = 'select' and actor = 'service' and outcome !~ '^ok'$$,
  'The service reads every table.');
select set_eq($$select name, outcome from acts
    where way = 'select' and actor = 'stranger' and outcome ~ '^ok'$$,
  $$values ('book_status', 'ok 0'), ('book_progress', 'ok 0'), ('book_events', 'ok 0'),
    ('stage_visits', 'ok 0')$$,
  'A stranger sees no row.');
select set_eq($$select name, outcome from acts
    where way = 'select' and actor = 'owner' and outcome ~ '^ok'$$,
  $$values ('book_status', 'ok 1'), ('book_progress', 'ok 3'), ('book_events', 'ok 2'),
    ('stage_visits', 'ok 1')$$,
  'An owner sees the rows of its own book.');

-- Functions. r: users and the service; w: the service; l: the relay and the service; p: workers
-- and the service; b: all three.
create temp table may (function text, letter text);
insert into may
select unnest(array['get_book_status', 'get_book_changes', 'list_substeps', 'list_books',
  'status_at', 'pipeline_xstate']), 'r'
union all
select 'get_resume_point', 'b'
union all
select unnest(array['begin_stage', 'report_progress', 'plan_substeps', 'heartbeat', 'fail_book',
  'report_events']), 'p'
union all
select unnest(array['define_pipeline', 'register_book', 'transition_book', 'resume_book',
  'cancel_book', 'resume_books', 'cancel_books', 'rewind_book', 'prune_events',
  'prune_dead_letters', 'drop_dead_letters', 'prune_outbox', 'replay_dead_letters',
  'forget_stream', 'list_relays', 'stage_durations', 'schema_version']), 'w'
union all
select unnest(array['acquire_stream', 'announce_relay', 'renew_stream', 'release_stream',
  'note_stream', 'note_waiting', 'apply_events', 'early_backlog', 'take_outbox', 'outbox_backlog',
  'dead_letter_reasons', 'sweep', 'send_held_broadcasts', 'make_realtime_policy']), 'l';
create temp table called as
select a.actor, v.function, m.letter, tap.act(a.role, a.sub, tap.call(v.call)) as outcome
from actors a, valid v left join may m using (function);
select set_eq($$select proname::text from pg_proc
    where pronamespace = 'bindery'::regnamespace and prokind in ('f', 'p')$$,
  'select function from may', 'These are the functions of bindery.');
select is_empty($$select actor, function, outcome from called where case
    when actor = 'service' or actor = 'relay' and letter = 'l'
      or actor = 'owner' and letter in ('r', 'b') or actor = 'worker' and letter in ('p', 'b')
      then outcome !~ '^ok'
    when actor = 'stranger' and function in ('list_books') then outcome <> 'ok 0'
    when actor = 'stranger' and function = 'pipeline_xstate' then outcome <> 'ok 1'
    when actor = 'stranger' and letter in ('r', 'b') then outcome <> 'PT404 unknown_book'
    else outcome <> '42501' end$$,
  'Every actor may call the functions that it is for, and no others.');
select is_empty($$select a.actor, p.oid::regprocedure from actors a, pg_proc p
    where p.pronamespace in ('bindery'::regnamespace, 'bindery_internal'::regnamespace)
      and has_function_privilege(a.role, p.oid, 'execute')
      and (a.actor = 'anon' or p.pronamespace = 'bindery'::regnamespace and (
        a.actor = 'relay' and p.proname not in (select function from may where letter = 'l')
        or a.actor = 'worker'
          and p.proname not in (select function from may where letter in ('p', 'b'))))$$,
  'No function is open to anon, and of those of bindery to relay and workers only theirs.');

select * from finish();
rollback;
