-- estimate: (1 - p) * ((1 - p^2) * median + p * elapsed) + later, where p is the part of the stage
-- that is done.
begin;
\ir ../helpers.psql
select plan(9);
create function tap.estimate(
  elapsed integer, percent double precision, attempt integer default 1,
  median double precision default 100, later double precision default 1000
) returns numeric language sql as $$
  select extract(epoch from bindery_internal.estimate('2030-01-01 12:00+00',
      '2030-01-01 12:00+00'::timestamptz - elapsed * interval '1 second', percent, attempt,
      median, later)
    - '2030-01-01 12:00+00');
$$;

select is(
  tap.estimate(0, 0), 1100.0,
  'At the beginning of a stage the estimate is its median and those of the later stages.');
select is(
  tap.estimate(60, 0), 1100.0,
  'While a stage has no progress the estimate remains its median from now.');
select is(
  tap.estimate(50, 50), 1050.0,
  'At the pace of the median half a stage is left: 0.5 * (0.75 * 100 + 0.5 * 50) is 50.');
select is(
  tap.estimate(400, 80), 1071.2,
  'Late in a stage its own pace counts most: 0.2 * (0.36 * 100 + 0.8 * 400) is 71.2.');
select is(
  tap.estimate(5, 100), 1000.0, 'Once a stage is done the estimate is that of the later stages.');
select is(
  tap.estimate(400, 80, 2), 1020.0,
  'In a resumed attempt only the median counts: 0.2 * 100 is 20.');
select is(
  tap.estimate(-400, 80), 1007.2,
  'A clock that was set back counts as no time: 0.2 * 0.36 * 100 is 7.2.');
select is(
  tap.estimate(0, 0, 1, null), null, 'Without a median of the stage there is no estimate.');
select is(
  tap.estimate(0, 0, 1, 100, null), null,
  'Without the medians of the later stages there is no estimate.');

select * from finish();
rollback;
