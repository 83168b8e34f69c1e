-- A batch of new substeps on tables that were never analyzed: rows are looked up by key, not joined.
begin;
\ir helpers.psql
select plan(3);

select from tap.book(1, array['ANALYZING', 'GENERATING_SCENES', 'CREATING_ARTWORK']);
create function tap.rows_read() returns bigint language sql as $$
  select seq_tup_read + coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables where schemaname = 'bindery' and relname = 'book_progress';
$$;
create function tap.reports(prefix text) returns jsonb language sql as $$
  select jsonb_agg(jsonb_build_object('book_id', tap.id(1), 'substep', prefix || n, 'progress', 10)) from generate_series(1, 400) n;
$$;
select is((select count(*) from bindery_internal.apply_reports(tap.reports('first_')) where verdict = 'accept'), 400::bigint, 'four hundred new substeps count');
create temp table before as select tap.rows_read() as n;
select is((select count(*) from bindery_internal.apply_reports(tap.reports('second_')) where verdict = 'accept'), 400::bigint, 'and four hundred more');
-- Each with each would be 160,000.
select cmp_ok(tap.rows_read() - (select n from before), '<', 10000::bigint, 'each report looks at its own row, not at those of all the others');

select * from finish();
rollback;
