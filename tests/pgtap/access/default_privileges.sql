-- Default privileges granted by another role give a stranger no access to Bindery.
begin;
select plan(28);
set local client_min_messages = error;
create role tap_stranger nologin;
create temp view things as
select 'schema' as kind, n.nspname::text as name,
  has_schema_privilege('tap_stranger', n.oid, 'usage')
    or has_schema_privilege('tap_stranger', n.oid, 'create') as is_open
from pg_namespace n where n.nspname in ('bindery', 'bindery_internal')
union all
select case c.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end,
  n.nspname || '.' || c.relname,
  has_table_privilege('tap_stranger', c.oid,
    'select, insert, update, delete, truncate, references, trigger')
    or has_any_column_privilege('tap_stranger', c.oid, 'select, insert, update, references')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('bindery', 'bindery_internal') and c.relkind in ('r', 'p', 'v', 'm', 'f')
union all
select 'sequence', n.nspname || '.' || c.relname,
  case when c.relkind = 'S'
    then has_sequence_privilege('tap_stranger', c.oid, 'usage, select, update') end
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('bindery', 'bindery_internal') and c.relkind = 'S'
union all
select 'function', n.nspname || '.' || p.proname,
  has_function_privilege('tap_stranger', p.oid, 'execute')
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname in ('bindery', 'bindery_internal');
create function tap.open_things(which text) returns setof text language sql as $$
  select t.name from things t where t.kind = which and t.is_open order by 1;
$$;
create temp table kinds (kind text);
insert into kinds values ('schema'), ('table'), ('sequence'), ('function');

select is_empty(format('select tap.open_things(%L)', kind),
  format('No %s is open to a stranger.', kind)) from kinds;

-- Install again while default privileges grant everything to a stranger and PUBLIC.
alter default privileges grant all on schemas to tap_stranger;
alter default privileges grant all on tables to tap_stranger;
alter default privileges grant all on sequences to tap_stranger;
alter default privileges grant all on functions to tap_stranger;
alter default privileges grant usage on schemas to public;
alter default privileges grant all on tables to public;
alter default privileges grant usage on sequences to public;
alter default privileges grant all on tables to authenticated, anon, bindery_relay;
drop schema bindery, bindery_internal cascade;
\ir ../../../sql/install.sql
select cmp_ok((select count(*) from things t where t.kind = k.kind), '>', 1::bigint,
  format('There is more than one %s.', k.kind)) from kinds k;
select is_empty(format('select tap.open_things(%L)', kind),
  format('After an installation with open default privileges, no %s is open to a stranger.', kind))
from kinds;
select is_empty(format($$select c.oid::regclass from pg_class c
    where c.relnamespace = 'bindery_internal'::regnamespace and c.relkind in ('r', 'p', 'S')
      and case c.relkind when 'S' then has_sequence_privilege(%1$L, c.oid, 'usage, select')
        else has_table_privilege(%1$L, c.oid, 'select, insert, update, delete') end$$, role),
  format('With open default privileges, no table of bindery_internal is open to %s.', role))
from unnest(array['anon', 'authenticated', 'service_role', 'bindery_relay', 'bindery_worker']) role;
select is(has_table_privilege('authenticated', 'bindery.book_status', 'insert'), false,
  'With open default privileges, a user may not insert a book.');
select is(has_table_privilege('authenticated', 'bindery.book_status', 'select'), true,
  'With open default privileges, a user may read its books.');
select is(has_function_privilege('tap_stranger', 'bindery_internal.ask_guard(regproc,
    bindery.book_status)', 'execute'), false,
  'With open default privileges, a stranger may not ask a guard.');

-- Objects created later lose these grants when the grants run again, as at each migration.
alter default privileges in schema bindery grant all on tables to tap_stranger;
alter default privileges in schema bindery_internal grant all on tables to tap_stranger;
alter default privileges in schema bindery_internal grant all on functions to tap_stranger;
create table bindery.later (a serial);
create view bindery.later_view as select a from bindery.later;
create materialized view bindery.later_matview as select a from bindery.later;
create table bindery_internal.later (a serial);
create function bindery_internal.later() returns integer language sql as 'select 1';
grant select (a) on bindery.later to tap_stranger;
grant usage on schema bindery to tap_stranger;
insert into kinds values ('view'), ('materialized view');
select cmp_ok((select count(*) from things t where t.is_open), '>=', 8::bigint,
  'Default privileges open what is made later.');
\ir ../../../sql/access/grants.sql
select is_empty(format('select tap.open_things(%L)', kind),
  format('After the grants have run again, no %s is open to a stranger.', kind))
from kinds;
select is(has_table_privilege('service_role', 'bindery.book_status', 'select'), true,
  'After the grants have run again, the service reads the books.');

select * from finish();
rollback;
