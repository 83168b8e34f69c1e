-- A batch reads only the rows it is about, whatever the statistics of the tables.
begin;
\ir ../helpers.psql
select plan(12);

select tap.book(n, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}') from generate_series(1, 2) n;
select tap.book(n, '{ANALYZING}') from generate_series(10, 409) n;
create function pg_temp.rows_read() returns bigint language sql as $$
  select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint
  from pg_stat_xact_user_tables
  where schemaname = 'bindery' and relname in ('book_progress', 'book_status');
$$;
-- Reports on 400 substeps of the n-th book.
create function pg_temp.reports(n integer, prefix text, percent integer) returns text
language sql as $$
  select tap.batch(variadic array(
    select tap.event('progress', n, jsonb_build_object('segment', 0, 'substep', prefix || s,
      'progress', percent)) from generate_series(1, 400) s));
$$;
create temp table before (n bigint);
create function pg_temp.since() returns bigint language plpgsql as $$
declare
  read bigint := pg_temp.rows_read() - (select max(n) from before);
begin
  insert into before values (pg_temp.rows_read());
  return read;
end
$$;

-- Tables that were never analyzed. Each report with each row would be 160,000 rows.
insert into before values (pg_temp.rows_read());
select is(pg_temp.reports(1, 'first_', 10), '400/0/0/0', '400 new substeps are accepted.');
select is(pg_temp.reports(1, 'second_', 10), '400/0/0/0', '400 more substeps are accepted.');
select cmp_ok(pg_temp.since(), '<', 20000::bigint,
  'A report of a new substep reads no other substep''s row.');
select is(pg_temp.reports(1, 'first_', 20), '400/0/0/0',
  '400 reports on known substeps are accepted.');
select cmp_ok(pg_temp.since(), '<', 8000::bigint,
  'A report of a known substep reads no other substep''s row.');

-- Tables that were vacuumed when they were empty: the planner takes them for tables of one row.
select is(pg_temp.reports(2, 'other_', 10), '400/0/0/0', 'Another book has 400 substeps.');
update pg_class set relpages = 500, reltuples = 0
where oid in ('bindery.book_progress'::regclass, 'bindery.book_status'::regclass);
select pg_temp.since();
select is(tap.batch(tap.event('progress', 1, '{"substep": "first_1", "progress": 30}')), '1/0/0/0',
  'A report is accepted when the statistics are wrong.');
select cmp_ok(pg_temp.since(), '<', 100::bigint,
  'A report reads no other book''s substeps when the statistics are wrong.');
select is(tap.apply(tap.event('heartbeat', 1)), '1/0/0/0',
  'A heartbeat is accepted when the statistics are wrong.');
select cmp_ok(pg_temp.since(), '<', 100::bigint,
  'A heartbeat reads no other book''s row when the statistics are wrong.');
select is(tap.batch(variadic array(select tap.event('progress', n, '{"segment": 0,
    "substep": "extract_text", "progress": 30}') from generate_series(10, 409) n)), '400/0/0/0',
  'Reports on 400 books are accepted when the statistics are wrong.');
select cmp_ok(pg_temp.since(), '<', 8000::bigint,
  'A report on each of 400 books reads each book''s row, and not those of the others.');

select * from finish();
rollback;
