-- Supabase loads safeupdate for PostgREST, which refuses an UPDATE or DELETE without WHERE, inside
-- functions, too. This test reads the bodies of all functions.
begin;
\ir ../helpers.psql
select plan(12);

-- The UPDATE and DELETE statements of a text that have no WHERE of their own, each up to its end: a
-- semicolon, the bracket that closes around it, or the end of the text. A table is always named
-- with its schema, since search_path names none.
create function pg_temp.unguarded(body text) returns text[] language plpgsql as $$
declare
  found text[] := '{}';
  -- Without comments and literals, in which the words stand, too. A literal that is executed is
  -- inspected alone.
  code constant text := regexp_replace(regexp_replace(regexp_replace(body,
    '--[^\n]*', '', 'g'), '/\*.*?\*/', '', 'g'), '''(?:[^'']|'''')*''', '''''', 'g');
  start_of_one constant text := '\y(update|delete\s+from)\s+(only\s+)?[a-z_"]+\s*\.';
  statement text;
  depth integer;
  place integer;
  letter text;
begin
  for n in 1 .. regexp_count(code, start_of_one, 1, 'i') loop
    statement := '';
    depth := 0;
    place := regexp_instr(code, start_of_one, 1, n, 0, 'i');
    loop
      letter := substr(code, place, 1);
      depth := depth + case letter when '(' then 1 when ')' then -1 else 0 end;
      exit when letter = '' or letter = ';' or depth < 0;
      -- What stands in brackets is not the statement's own WHERE.
      statement := statement || case when depth = 0 then letter else '' end;
      place := place + 1;
    end loop;
    if statement !~* '\ywhere\y' then
      found := found || regexp_replace(statement, '\s+', ' ', 'g');
    end if;
  end loop;
  return found;
end
$$;

-- The reader itself.
select is(cardinality(pg_temp.unguarded(body)), expected,
  format('The reader finds %s in: %s.', expected, body))
from (values
  ('update bindery.t set a = 1', 1),
  ('update bindery.t set a = 1 where b = 2', 0),
  ('update bindery.t x set a = (select 1 from y where true);', 1),
  ('delete from bindery.t; delete from bindery.t where a', 1),
  ('with u as (update bindery.t set a = 1) select from u where true', 1),
  ('with u as (delete from bindery.t x where x.a returning *) select from u', 0),
  ('select from bindery.t for update', 0),
  ('-- update bindery.t set a = 1', 0),
  ('perform ''update bindery.t set a = 1''', 0),
  ('insert into bindery.t values (1) on conflict (a) do update set b = 1', 0))
  v(body, expected);

-- Function bodies, and the literals in them, which may be executed.
create temp table bodies as
select p.oid::regprocedure::text as function, p.prosrc as body
from pg_proc p
where p.pronamespace in (
  'bindery'::regnamespace, 'bindery_internal'::regnamespace, 'bindery_core'::regnamespace);
insert into bodies
select b.function, replace(l.literal[1], '''''', '''')
from bodies b, regexp_matches(b.body, '''((?:[^'']|'''')*)''', 'g') as l(literal)
where l.literal[1] ~* '\y(update|delete)\y';
select is_empty($$select b.function, u.statement
    from bodies b, unnest(pg_temp.unguarded(b.body)) as u(statement)$$,
  'Every UPDATE and DELETE of a function has a WHERE.');
select cmp_ok((select sum(regexp_count(b.body, '\y(update|delete from) bindery', 1, 'i'))
    from bodies b), '>', 20::bigint, 'The bodies have UPDATE and DELETE statements.');

select * from finish();
rollback;
