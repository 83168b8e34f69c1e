-- report_progress: numbers within 1e-9 of an end count as the end.
begin;
\ir ../helpers.psql
select plan(29);
select tap.book(1, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}');
-- The progress that a report of a new substep stores, or the code of its error.
create function tap.stored(substep text, arguments text) returns text language plpgsql as $$
declare
  outcome constant text := tap.call('report_progress', 1, format('%L, %s', substep, arguments));
begin
  return case when outcome = 'ok' then (
    select concat_ws(' ', s.progress, s.done, s.total) from tap.substep(1, substep) s)
    else outcome end;
end
$$;

select is(
  tap.stored('a_' || n, arguments), stored,
  format('A report of %s is stored as %s.', arguments, stored))
from (values
  (1, '100', '100'), (2, '100.00000000000001', '100'), (3, '99.99999999999999', '100'),
  (4, '99.9999999', '100'), (5, '99.99999989', '99.99999989'), (6, '100.0000001', '100'),
  (7, '0', '0'), (8, '-0.0', '0'), (9, '-1e-8', '0'), (10, '1e-8', '0'), (11, '1e-6', '1e-06'),
  (12, 'done => 0.30000000000000004, total => 0.3', '100 0.3 0.3'),
  (13, 'done => 0.1 + 0.2, total => 0.3', '100 0.3 0.3'),
  (14, 'done => 1e15, total => 1e15', '100 1e+15 1e+15'),
  (15, 'done => 999999998, total => 1e9', '99.9999998 999999998 1000000000'),
  (16, 'done => -1e-12, total => 3', '0 0 3'),
  (17, 'done => 1, total => 3', '33.333333333333336 1 3'),
  (18, 'done => 5e-324, total => 5e-324', '100 5e-324 5e-324'),
  (19, 'done => 0, total => 5e-324', '0 0 5e-324'),
  (20, 'done => 5e-324, total => 1e15', '0 0 1e+15'))
  v(n, arguments, stored);
select is(
  tap.stored('b_' || n, arguments), 'PT422 bad_input',
  format('A report of %s is refused.', arguments))
from (values (1, '100.0000002'), (2, '-0.0000002'), (3, 'done => 3.00000001, total => 3'),
  (4, 'done => -0.00000001, total => 3')) v(n, arguments);
select is(
  (select array_agg(substep order by substep) from bindery.book_progress
    where book_id = tap.id(1) and substep like 'b\_%'),
  null, 'A refused report adds no substep.');

-- Sums of fractions that end beside the end.
select is(
  (select r.progress from (
      select sum(100::double precision / 6) as total from generate_series(1, 6)) s
    cross join lateral bindery.report_progress(tap.id(1), 'six', s.total) b
    cross join lateral tap.substep(1, 'six') r),
  100::double precision, 'Six sixths of 100 finish a substep.');
select is(
  (select r.progress from (
      select sum(100::double precision / 12) as total from generate_series(1, 12)) s
    cross join lateral bindery.report_progress(tap.id(1), 'twelve', s.total) b
    cross join lateral tap.substep(1, 'twelve') r),
  100::double precision, 'Twelve twelfths of 100 finish a substep.');
select is(
  (select count(*)::integer from generate_series(1, 200) n
    cross join lateral (select 0.1 + n * 0.0137 as x) v
    cross join lateral bindery.report_progress(tap.id(1), 'panel_' || n, done => x, total => x) r),
  200, 'A report of x of x is accepted for every x.');
select is(
  (select count(*)::integer from bindery.book_progress
    where book_id = tap.id(1) and substep like 'panel\_%' and progress <> 100),
  0, 'A report of x of x is 100 percent for every x.');

select * from finish();
rollback;
