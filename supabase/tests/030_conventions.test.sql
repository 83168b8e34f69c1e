-- What the schema promises to a project that exposes it: row-level security everywhere, no definer
-- function in the API, pinned search paths.
begin;
create extension if not exists pgtap with schema extensions;
set local search_path = extensions, pg_catalog;
select plan(6);

select is_empty($$select relname from pg_class
  where relnamespace in ('bindery'::regnamespace, 'bindery_internal'::regnamespace)
  and relkind = 'r' and not relrowsecurity$$,
  'every table has row-level security');
select is_empty($$select relname from pg_class c
  where relnamespace in ('bindery'::regnamespace, 'bindery_internal'::regnamespace)
  and relkind = 'r'
  and not exists (select from pg_policy where polrelid = c.oid)$$, 'and a policy');
select is_empty($$select proname from pg_proc
  where pronamespace = 'bindery'::regnamespace and prosecdef$$,
  'no function of the API runs with its owner''s rights');
select is_empty($$select proname from pg_proc
  where pronamespace in ('bindery'::regnamespace, 'bindery_internal'::regnamespace,
    'bindery_core'::regnamespace)
  and not coalesce('search_path=pg_catalog, pg_temp' = any (proconfig), false)
  and prolang <> (select oid from pg_language where lanname = 'c')$$,
  'every function sets search_path to pg_catalog, pg_temp');
select is_empty($$select proname from pg_proc
  where pronamespace = 'bindery'::regnamespace and has_function_privilege('anon', oid, 'execute')$$,
  'anon calls none of them');
-- PostgREST's OpenAPI takes the first line of a comment as the summary and the rest as the
-- description.
select is_empty($$select proname
  from pg_proc, split_part(obj_description(oid, 'pg_proc'), E'\n', 1) summary
  where pronamespace = 'bindery'::regnamespace
  and (summary is null or length(summary) not between 20 and 160
    or summary !~ '\.$' or summary ~ 'PT4')$$,
  'the first line of each one''s comment is a sentence that describes what it does');

select * from finish();
rollback;
