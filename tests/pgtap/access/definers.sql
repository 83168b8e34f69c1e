-- A role shadows names in its pg_temp and calls every function that it may call: nothing that it
-- shadows runs with the rights of another role.
begin;
\ir ../helpers.psql
\ir ../hostile/hostile.psql
select plan(15);

-- By the catalog. (Functions in C, those of the native kernel, resolve no name.)
select is_empty($$select p.oid::regprocedure from pg_proc p
    join pg_language l on l.oid = p.prolang
    where p.pronamespace::regnamespace::text in ('bindery', 'bindery_internal', 'bindery_core')
      and l.lanname in ('sql', 'plpgsql')
      and not coalesce('search_path=pg_catalog, pg_temp' = any (p.proconfig), false)$$,
  'Every function sets search_path = pg_catalog, pg_temp.');
select is_empty($$select p.oid::regprocedure, l.lanname from pg_proc p
    join pg_language l on l.oid = p.prolang
    where p.pronamespace::regnamespace::text in ('bindery', 'bindery_internal')
      and l.lanname not in ('sql', 'plpgsql')$$,
  'Every function of bindery and bindery_internal is in SQL or PL/pgSQL.');

-- Counts the times that it runs as a role other than the acting one. A sequence keeps what
-- it counted when the error that follows is caught.
create sequence tap.spied start 1;
grant usage on sequence tap.spied to public;
create function tap.spy(what text) returns boolean language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if current_setting('tap.acting', true) <> current_user then
    perform nextval('tap.spied');
    raise warning '% is used as %.', what, current_user;
  end if;
  return true;
end
$$;
create function tap.count_spied() returns bigint language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select s.last_value - case when s.is_called then 0 else 1 end from tap.spied s;
$$;
-- The kinds of objects that can be shadowed: types (as domains), functions, operators, a cast,
-- tables.
create procedure tap.shadow() language plpgsql as $$
declare
  name text;
begin
  foreach name in array array['text', 'jsonb', 'json', 'uuid', 'timestamptz', 'timestamp', 'date',
    'interval', 'numeric', 'int2', 'int4', 'int8', 'float8', 'bool', 'name', 'oid', 'bytea',
    'regclass', 'regproc', 'regprocedure', 'regtype', 'regnamespace', 'regrole', 'int4range',
    'varchar', 'jsonpath', 'xid']
  loop
    execute format('create domain pg_temp.%I as pg_catalog.%I check (tap.spy(%L))',
      name, name, 'the type ' || name);
  end loop;
  foreach name in array array['now()', 'clock_timestamp()', 'transaction_timestamp()'] loop
    execute format('create function pg_temp.%s returns pg_catalog.timestamptz language sql
      as $b$ select case when tap.spy(%L) then pg_catalog.now() end $b$', name, name);
  end loop;
  foreach name in array array['format(pg_catalog.text, pg_catalog.text)',
    'set_config(pg_catalog.text, pg_catalog.text, pg_catalog.bool)',
    'current_setting(pg_catalog.text, pg_catalog.bool)', 'length(pg_catalog.text)',
    'split_part(pg_catalog.text, pg_catalog.text,
      pg_catalog.int4)', 'jsonb_build_object(pg_catalog.text, pg_catalog.text)',
    'to_jsonb(pg_catalog.text)', 'pg_notify(pg_catalog.text, pg_catalog.text)',
    'round(pg_catalog.float8, pg_catalog.float8)', 'raise_error(pg_catalog.jsonb)']
  loop
    execute format('create function pg_temp.%s returns pg_catalog.text language sql
      as $b$ select case when tap.spy(%L) then null::pg_catalog.text end $b$', name, name);
  end loop;
  create function pg_temp.same(pg_catalog.text, pg_catalog.text) returns pg_catalog.bool
    language sql as 'select tap.spy(''the operators of text'')';
  create function pg_temp.same(pg_catalog.uuid, pg_catalog.uuid) returns pg_catalog.bool
    language sql as 'select tap.spy(''the operators of uuid'')';
  create function pg_temp.same(pg_catalog.jsonb, pg_catalog.text) returns pg_catalog.text
    language sql as 'select case when tap.spy(''the operators of jsonb'') then null end';
  create operator pg_temp.= (function = pg_temp.same,
    leftarg = pg_catalog.text, rightarg = pg_catalog.text);
  create operator pg_temp.= (function = pg_temp.same,
    leftarg = pg_catalog.uuid, rightarg = pg_catalog.uuid);
  create operator pg_temp.->> (function = pg_temp.same,
    leftarg = pg_catalog.jsonb, rightarg = pg_catalog.text);
  create type pg_temp.sly as enum ('x');
  create function pg_temp.to_text(pg_temp.sly) returns pg_catalog.text language sql
    as 'select case when tap.spy(''a cast'') then ''x''::pg_catalog.text end';
  create cast (pg_temp.sly as pg_catalog.text) with function pg_temp.to_text(pg_temp.sly)
    as implicit;
  foreach name in array array['book_status', 'book_progress', 'book_events', 'pipelines', 'outbox',
    'relay_cursors', 'early_events', 'dead_letters', 'settings', 'stage_visits', 'mutexes',
    'stage_pace', 'pg_proc', 'pg_class', 'pg_namespace']
  loop
    execute format('create view pg_temp.%I as select tap.spy(%L)', name, 'the table ' || name);
  end loop;
end
$$;
grant execute on procedure tap.shadow() to public;

-- A call of a function of bindery_internal that a role may call, with one value of each type.
create function tap.internal_call(function oid) returns text language sql stable as $$
  select format('select %s(%s)', p.oid::regproc, (
    select string_agg(format('%L::%s', case a.type
        when 'uuid'::regtype then tap.id(1)::text when 'text'::regtype then 'tap'
        when 'jsonb'::regtype then '{"type": "heartbeat"}' when 'integer'::regtype then '1'
        when 'bigint'::regtype then '1' when 'double precision'::regtype then '1'
        when 'boolean'::regtype then 'true' when 'interval'::regtype then '10 seconds'
        when 'timestamptz'::regtype then '2030-01-01' when 'text[]'::regtype then '{tap}'
        when 'bigint[]'::regtype then '{1}' end, a.type), ', ' order by a.place)
    from unnest(p.proargtypes::regtype[]) with ordinality as a(type, place)))
  from pg_proc p where p.oid = function;
$$;
create temp table attempts as
select r.role, 'bindery.' || v.function as function, tap.call(v.call) as statement
from unnest(array['service_role', 'bindery_relay', 'authenticated', 'anon']) r(role), valid v
union all
select r.role, p.oid::regproc::text, tap.internal_call(p.oid)
from unnest(array['service_role', 'bindery_relay', 'authenticated', 'anon']) r(role), pg_proc p
where p.pronamespace in ('bindery_internal'::regnamespace, 'bindery_core'::regnamespace)
  and has_schema_privilege(r.role, p.pronamespace, 'usage')
  and has_function_privilege(r.role, p.oid, 'execute')
union all
select 'service_role', 'a plain write', w.statement
from (values
  (format('insert into bindery.book_status (book_id, title) values (%L, %L)', tap.id(77), 'x')),
  (format('update bindery.book_status set status = %L, message = %L where book_id = %L',
    'GENERATING_SCENES', 'x', tap.id(1))),
  (format('update bindery.book_status set title = %L, metadata = %L where book_id = %L',
    'x', '{"a": 1}', tap.id(1))),
  ('update bindery.settings set patience = ''1 minute'' where true'),
  (format('update bindery.book_status set status = %L where book_id = %L', 'FAILED', tap.id(1))))
  w(statement)
union all
select r.role, 'a read', format('select * from bindery.%I', t)
from unnest(array['service_role', 'authenticated']) r(role),
  unnest(array['book_status', 'book_progress', 'book_events']) t;
alter table attempts add outcome text;
alter table attempts add spied bigint;

-- A naive function that a role could take over, to prove that the spy detects it.
create function tap.naive(given text) returns text language plpgsql security definer
set search_path = ''
as $$
declare
  moment timestamptz := pg_catalog.clock_timestamp();
begin
  return moment::text;
end
$$;
grant execute on function tap.naive(text) to public;
insert into attempts (role, function, statement)
select r.role, 'naive', 'select tap.naive(''x'')'
from unnest(array['service_role', 'bindery_relay', 'authenticated', 'anon']) r(role);

-- The attempts of a role; each is undone.
create function tap.attack(attacker text) returns void language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  attempt record;
  before bigint;
begin
  -- PL/pgSQL resolves names when it first runs a function in a session, which it did above.
  update pg_catalog.pg_proc set proname = proname
  where pronamespace::regnamespace::text in ('bindery', 'bindery_internal', 'bindery_core');
  for attempt in select a.ctid, a.statement from attempts a where a.role = attacker loop
    before := tap.count_spied();
    begin
      perform set_config('request.jwt.claims', jsonb_build_object('sub', tap.id(900))::text, true);
      perform set_config('tap.acting', attacker, true);
      perform set_config('role', attacker, true);
      execute attempt.statement;
      raise exception 'undo' using errcode = 'TAP00';
    exception
      when sqlstate 'TAP00' then
        perform set_config('tap.attempt', 'ok', true);
      when others then
        perform set_config('tap.attempt', concat_ws(' ', sqlstate, sqlerrm), true);
    end;
    update attempts a set outcome = current_setting('tap.attempt'),
      spied = tap.count_spied() - before
    where a.ctid = attempt.ctid;
  end loop;
end
$$;
-- One role shadows names for all roles, in the session's pg_temp. The test itself resolves names
-- there last.
set local search_path = tap, pg_catalog, pg_temp;
set local client_min_messages = error;
set local role service_role;
call tap.shadow();
reset role;
select tap.attack(role) from (select distinct a.role from attempts a) r;

select is((select a.spied > 0 from attempts a where a.role = r.role and a.function = 'naive'), true,
  format('A naive function runs what %s has put into pg_temp as its owner.', r.role))
from (select distinct a.role from attempts a) r order by r.role;
select is_empty(format($$select a.function, a.statement, a.spied from attempts a
    where a.role = %L and a.function <> 'naive' and a.spied is distinct from 0$$, r.role),
  format('Nothing that %s has put into pg_temp runs with the rights of another role.', r.role))
from (select distinct a.role from attempts a) r order by r.role;
select is_empty($$select a.function, a.statement, a.outcome from attempts a
    where a.role = 'service_role' and a.outcome <> 'ok'
      and (a.function ~ '^bindery\.' or a.function ~ '^a ')$$,
  'Every call of a function of bindery by the service succeeds.');
select is_empty(format($$select p.oid::regproc from pg_proc p
    where p.pronamespace::regnamespace::text in ('bindery', 'bindery_internal', 'bindery_core')
      and has_schema_privilege(%1$L, p.pronamespace, 'usage')
      and has_function_privilege(%1$L, p.oid, 'execute')
      and not exists (select from attempts a where a.role = %1$L
        and a.function = p.oid::regproc::text and a.outcome is not null
        and a.outcome !~ '^42501')$$, r.role),
  format('Every function that %s may call is called.', r.role))
from (select distinct a.role from attempts a) r order by r.role;

select * from finish();
rollback;
