-- The list of books with FAILED ones first, as the daemon asks for it: by indexes, whatever the
-- number of books.
begin;
\ir ../helpers.psql
select plan(7);
-- 20,000 books, of which the 20 oldest FAILED.
alter table bindery.book_status disable trigger user;
insert into bindery.book_status (book_id, owner_id, pipeline_version, status, current_stage, error,
  heartbeat_at, stage_entered_at, stage_started_at, created_at, updated_at)
select tap.id(n), tap.id(n % 10), 1, case when n <= 20 then 'FAILED' else 'ANALYZING' end,
  'ANALYZING', case when n <= 20 then '{"code": "ink"}'::jsonb end, t.at, t.at, t.at, t.at, t.at
from generate_series(1, 20000) n
cross join lateral (select timestamptz '2030-01-01 00:00+00' + n * interval '1 second') t(at);
alter table bindery.book_status enable trigger user;
analyze bindery.book_status;

create function tap.failed_first(failed_from text, others_from text) returns text
language sql as $$
  select format('select * from (
    (select b.book_id, b.created_at, true as failed from bindery.book_status b
      where b.error is not null %s order by b.created_at desc, b.book_id desc limit 51)
    union all
    (select b.book_id, b.created_at, false from bindery.book_status b
      where b.error is null %s order by b.created_at desc, b.book_id desc limit 51)) a
    order by a.failed desc, a.created_at desc, a.book_id desc limit 51',
    failed_from, others_from);
$$;
-- How many rows a query reads from tables and indexes.
create function tap.rows_read(query text) returns double precision language plpgsql as $$
declare
  plan jsonb;
begin
  execute 'explain (analyze, timing off, format json) ' || query into plan;
  return (
    with recursive node(n) as (
      select plan -> 0 -> 'Plan'
      union all
      select c from node, jsonb_array_elements(n -> 'Plans') c)
    select sum(((n ->> 'Actual Rows')::double precision
        + coalesce((n ->> 'Rows Removed by Filter')::double precision, 0))
      * (n ->> 'Actual Loops')::double precision)
    from node where n ->> 'Node Type' like '%Scan%');
end
$$;
create function tap.plan_of(query text) returns text language plpgsql as $$
declare
  line text;
  whole text := '';
begin
  for line in execute 'explain ' || query loop
    whole := whole || line || e'\n';
  end loop;
  return whole;
end
$$;

select results_eq(
  tap.failed_first('', ''),
  $$select tap.id(n), timestamptz '2030-01-01 00:00+00' + n * interval '1 second', n <= 20
    from generate_series(1, 20000) n where n <= 20 or n > 20000 - 31
    order by n <= 20 desc, n desc$$,
  'The FAILED books come first, then the newest others.');
select unalike(
  tap.plan_of(tap.failed_first('', '')), '%Seq Scan%', 'The list does not scan the table.');
select cmp_ok(
  tap.rows_read(tap.failed_first('', '')), '<', 300::double precision,
  'The list reads little more than the rows of its page.');
select alike(
  tap.plan_of(tap.failed_first('', '')), '%book_status_failed%',
  'The FAILED books are found by their own index.');
select cmp_ok(
  tap.rows_read(format('select b.book_id from bindery.book_status b
    where b.error is null and (b.created_at, b.book_id) < (%L, %L)
    order by b.created_at desc, b.book_id desc limit 51',
    timestamptz '2030-01-01 02:00+00', tap.id(7200))),
  '<', 300::double precision, 'A page in the middle reads little more than its rows.');
set local role authenticated;
select set_config('request.jwt.claims',
  json_build_object('sub', tap.id(3), 'role', 'authenticated')::text, true);
select is(
  (select count(*) from bindery.book_status where error is not null), 2::bigint,
  'An owner sees its own FAILED books.');
select unalike(
  tap.plan_of(tap.failed_first('', '')), '%Seq Scan%',
  'The list of an owner does not scan the table.');

select * from finish();
rollback;
