-- plpgsql_check finds by reading what PL/pgSQL finds only when a line runs.
begin;
\ir ../helpers.psql
select exists (select from pg_available_extensions where name = 'plpgsql_check') as available \gset
\if :available
create extension if not exists plpgsql_check schema tap;
create temp table checked as
select p.oid::regprocedure::text as function, c.level, c.lineno, c.message
from pg_proc p
join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
left join lateral (
  select t.tgrelid, t.tgoldtable, t.tgnewtable from pg_trigger t where t.tgfoid = p.oid
  order by t.tgoldtable is null, t.tgnewtable is null limit 1) t on true
left join lateral tap.plpgsql_check_function_tb(p.oid, coalesce(t.tgrelid, 0),
  oldtable => t.tgoldtable, newtable => t.tgnewtable, security_warnings => true) c on true
where p.pronamespace in (
  'bindery'::regnamespace, 'bindery_internal'::regnamespace, 'bindery_core'::regnamespace);
select plan(count(distinct function)::integer + 1) from checked;
select is(string_agg(format('line %s: %s', lineno, message), '; ')
    filter (where level in ('error', 'security')), null,
  format('plpgsql_check finds no error in %s.', function))
from checked group by function order by function;
select cmp_ok((select count(distinct function) from checked), '>', 80::bigint,
  'plpgsql_check checks all functions.');
\else
select plan(1);
select skip('plpgsql_check is not installed (postgresql-15-plpgsql-check)', 1);
\endif

select * from finish();
rollback;
