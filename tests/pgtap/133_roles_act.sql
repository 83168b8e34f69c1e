begin;
\ir helpers.psql
\ir hostile.psql
select plan(7);
-- Every role tries every table, in every way, and every function. What is not in the lists here is tried too, and must be refused.
create temp table actors (actor text, role text, sub text);
insert into actors values ('anon', 'anon', null), ('owner', 'authenticated', tap.id(900)), ('stranger', 'authenticated', tap.id(901)),
  ('service', 'service_role', null), ('relay', 'bindery_relay', null);

-- What comes of a statement by an actor; undone afterwards. 'ok' has the number of rows.
create function tap.act(role text, sub text, statement text) returns text language plpgsql as $$
declare
  answer text;
  rows bigint;
  detail text;
begin
  begin
    perform set_config('request.jwt.claims', case when sub is null then '' else jsonb_build_object('sub', sub)::text end, true);
    perform set_config('role', role, true);
    execute statement;
    get diagnostics rows = row_count;
    raise exception 'undo' using errcode = 'TAP00';
  exception
    when sqlstate 'TAP00' then
      answer := 'ok ' || rows;
    when others then
      get stacked diagnostics detail = pg_exception_detail;
      answer := concat_ws(' ', sqlstate, case when sqlstate like 'PT%' then detail::jsonb ->> 'code' end);
  end;
  perform set_config('role', 'none', true), set_config('request.jwt.claims', '', true);
  return answer;
end
$$;

-- Tables. The one that is read has rows of two books, of which the owner has one.
create temp table tables as select c.relname::text as name from pg_class c where c.relnamespace = 'bindery'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f');
create temp table acts as
select a.actor, t.name, w.way, tap.act(a.role, a.sub, format(w.statement, t.name, (
    select attname from pg_attribute where attrelid = ('bindery.' || t.name)::regclass and attnum = 2))) as outcome
from actors a, tables t, (values
  ('select', 'select * from bindery.%I'), ('insert', 'insert into bindery.%I default values'), ('update', 'update bindery.%I set %2$I = %2$I'),
  ('delete', 'delete from bindery.%I'), ('truncate', 'truncate bindery.%I cascade')) as w(way, statement);
select is_empty($$select actor, name, way, outcome from acts where outcome <> '42501' and not (way = 'select' and (actor = 'service' or actor in ('owner', 'stranger') and name in ('book_status', 'book_progress', 'book_events')))
    and not (actor = 'service' and (name = 'book_status' and way in ('insert', 'update') or name = 'settings' and way = 'update'))$$,
  'only the service writes, book_status where its triggers look, and the settings; only it and users read');
select is_empty($$select actor, name, outcome from acts where way = 'select' and actor = 'service' and outcome !~ '^ok'$$, 'the service reads every table');
select set_eq($$select name, outcome from acts where way = 'select' and actor = 'stranger' and outcome ~ '^ok'$$, $$values ('book_status', 'ok 0'), ('book_progress', 'ok 0'), ('book_events', 'ok 0')$$, 'a stranger sees no row');
select set_eq($$select name, outcome from acts where way = 'select' and actor = 'owner' and outcome ~ '^ok'$$, $$values ('book_status', 'ok 1'), ('book_progress', 'ok 1'), ('book_events', 'ok 2')$$, 'an owner sees the rows of its own book');

-- Functions: who may call which. r: users and the service; w: the service; l: the relay and the service.
create temp table may (function text, letter text);
insert into may values
  ('get_book_status', 'r'), ('get_resume_point', 'r'), ('list_books', 'r'), ('status_at', 'r'), ('pipeline_xstate', 'r'),
  ('define_pipeline', 'w'), ('register_book', 'w'), ('transition_book', 'w'), ('report_progress', 'w'), ('plan_substeps', 'w'), ('heartbeat', 'w'), ('fail_book', 'w'), ('resume_book', 'w'),
  ('cancel_book', 'w'), ('rewind_book', 'w'), ('prune_events', 'w'), ('prune_dead_letters', 'w'), ('drop_dead_letters', 'w'), ('prune_outbox', 'w'), ('replay_dead_letters', 'w'),
  ('acquire_stream', 'l'), ('announce_relay', 'l'), ('renew_stream', 'l'), ('release_stream', 'l'), ('note_stream', 'l'), ('apply_events', 'l'), ('take_outbox', 'l'), ('outbox_backlog', 'l'), ('dead_letter_reasons', 'l'), ('place_of_books', 'l'), ('sweep', 'l'), ('forget_stream', 'w');
create temp table called as
select a.actor, v.function, m.letter, tap.act(a.role, a.sub, tap.call(v.call)) as outcome from actors a, valid v left join may m using (function);
select set_eq($$select proname::text from pg_proc where pronamespace = 'bindery'::regnamespace and prokind in ('f', 'p') and pronargs > 0$$, 'select function from may', 'these are the functions that take arguments');
select is_empty($$select actor, function, outcome from called where case
    when actor = 'service' or actor = 'relay' and letter = 'l' or actor = 'owner' and letter = 'r' then outcome !~ '^ok'
    when actor = 'stranger' and function in ('get_book_status', 'get_resume_point', 'status_at') then outcome <> 'PT404 unknown_book'
    when actor = 'stranger' and function = 'list_books' then outcome <> 'ok 0'
    when actor = 'stranger' and function = 'pipeline_xstate' then outcome <> 'ok 1'
    else outcome <> '42501' end$$, 'every actor may call what it is for, and nothing else');
-- What needs no argument, and what is new: without a valid call here it must at least be closed to those who have no business there.
select is_empty($$select a.actor, p.oid::regprocedure from actors a, pg_proc p where p.pronamespace in ('bindery'::regnamespace, 'bindery_internal'::regnamespace) and has_function_privilege(a.role, p.oid, 'execute')
    and (a.actor = 'anon' or a.actor = 'relay' and p.pronamespace = 'bindery'::regnamespace and p.proname not in (select function from may where letter = 'l'))$$,
  'nothing at all is open to anon, nor of the API to the relay but what is the relay''s');
select * from finish();
rollback;
