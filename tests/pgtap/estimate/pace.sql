-- stage_pace: the medians of the newest visits, and what comes after a stage.
begin;
\ir ../helpers.psql
\ir lived.psql
select plan(20);

select tap.lived(1, '2030-01-02 00:00+00',
  '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}', '{10,100,200,400}');
select tap.lived(2, '2030-01-02 00:00+00',
  '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}', '{600,5000,100,1000}');
select tap.lived(3, '2030-01-02 00:00+00',
  '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}', '{20,300,60,700}');
select tap.clock('2030-01-02 12:00+00');
select ok(bindery_internal.refresh_pace(), 'The pace is refreshed.');
select is(
  array[tap.pace('UPLOADED'), tap.pace('ANALYZING'), tap.pace('GENERATING_SCENES'),
    tap.pace('CREATING_ARTWORK')],
  array['20 + 1100 of 3', '300 + 800 of 3', '100 + 700 of 3', '700 + 0 of 3'],
  'Each state has the median of its visits, and the sum of the medians of the later states.');
select is(tap.pace('COMPLETED'), null, 'The final state has no pace.');

-- ANALYZING: entered, failed after 50, resumed 450 later, left after 500 more: 1000 in all.
select tap.lived(4, '2030-01-03 01:00+00', '{ANALYZING,FAILED,RESUME,GENERATING_SCENES}',
  '{15,50,450,500}');
select tap.clock('2030-01-02 12:00:59+00');
select ok(
  not bindery_internal.refresh_pace(), 'The pace is not refreshed again within a minute.');
select is(
  tap.pace('ANALYZING'), '300 + 800 of 3',
  'A refresh within a minute leaves the medians.');
select tap.clock('2030-01-03 02:00+00');
select ok(bindery_internal.refresh_pace(), 'The pace is refreshed again after a minute.');
-- UPLOADED of 10, 15, 20, 600 has (15 + 20) / 2; ANALYZING of 100, 300, 1000, 5000 has 650.
select is(
  array[tap.pace('UPLOADED'), tap.pace('ANALYZING'), tap.pace('GENERATING_SCENES')],
  array['17.5 + 1450 of 4', '650 + 800 of 4', '100 + 700 of 3'],
  'A visit includes its halts, and of an even number the median is the mean of the middle two.');
select bindery.prune_events('2031-01-01');
select tap.clock('2030-01-03 02:01+00');
select ok(bindery_internal.refresh_pace(), 'The pace is refreshed after the history was pruned.');
select is(
  tap.pace('ANALYZING'), '650 + 800 of 4', 'Pruned history leaves the medians.');
delete from bindery.book_status where book_id = tap.id(4);
select tap.lived(5, '2030-01-03 03:00+00', '{ANALYZING,GENERATING_SCENES}', '{30,700}');
select tap.clock('2030-01-03 04:00+00');
select bindery_internal.refresh_pace();
select is(
  tap.pace('ANALYZING'), '700 + 800 of 5', 'The visits of a deleted book remain in the medians.');

-- A leads to HEAVY (50) or LIGHT (10), both lead to WAIT (0), this to LAST, LAST may go back to A.
select bindery.define_pipeline('forked', '{"states": [
  {"name": "A", "weight": 10, "next": ["LIGHT", "HEAVY"]},
  {"name": "LIGHT", "weight": 10, "next": ["WAIT"]},
  {"name": "HEAVY", "weight": 50},
  {"name": "WAIT"},
  {"name": "LAST", "weight": 5, "rework": ["A"]},
  {"name": "DONE"}]}');
select tap.lived(20, '2030-01-04 00:00+00', '{LIGHT}', '{30}', 'forked');
select tap.clock('2030-01-04 01:00+00');
select bindery_internal.refresh_pace();
select is(
  array[tap.pace('A', 'forked'), tap.pace('LIGHT', 'forked'), tap.pace('WAIT', 'forked')],
  array['? + ? of 1', '? + ? of 0', '0 + ? of 0'],
  'A stage with fewer than 3 visits has no median, and a state of weight 0 takes no time then.');
select is(
  (tap.book(21, '{}', 'forked')).estimated_completion_at, null,
  'A book has no estimate while a later stage has no median.');
-- Books 22, 24, 25: A 40, HEAVY 500, WAIT 0, LAST 7 and back, A 60, LIGHT 3, WAIT 0, LAST 9.
select tap.lived(n, '2030-01-04 02:00+00', '{HEAVY,WAIT,LAST,A,LIGHT,WAIT,LAST,DONE}',
  '{40,500,0,7,60,3,0,9}', 'forked')
from unnest(array[22, 24]) n;
select tap.clock('2030-01-04 02:30+00');
select bindery_internal.refresh_pace();
select is(
  array[tap.pace('A', 'forked'), tap.pace('HEAVY', 'forked')],
  array['60 + ? of 3', '? + ? of 2'],
  'Of three visits a stage has a median, of two it has none.');
select is(
  (tap.book(26, '{}', 'forked')).estimated_completion_at, null,
  'A book has no estimate while a later stage has fewer than 3 visits.');
select tap.lived(25, '2030-01-04 02:31+00', '{HEAVY,WAIT,LAST,A,LIGHT,WAIT,LAST,DONE}',
  '{40,500,0,7,60,3,0,9}', 'forked');
select tap.clock('2030-01-04 03:00+00');
select bindery_internal.refresh_pace();
select is(
  array[tap.pace('A', 'forked'), tap.pace('LIGHT', 'forked'), tap.pace('HEAVY', 'forked'),
    tap.pace('WAIT', 'forked'), tap.pace('LAST', 'forked')],
  array['60 + 509 of 4', '3 + 9 of 3', '500 + 9 of 3', '0 + 9 of 3', '9 + 0 of 3'],
  'After a fork the heaviest path counts, and of each book its last visit that ended forward.');
select tap.book(23, '{LIGHT}', 'forked');
select is(
  tap.seconds_left(23), 12.0, 'A book on the lighter branch has the stages of that branch: 3 + 9.');
select is(tap.pace('ANALYZING'), '700 + 800 of 5', 'Each pipeline has its own medians.');

-- Ten visits of 1000 seconds, then fifty of 1 to 50: (25 + 26) / 2.
select bindery.define_pipeline('short',
  '{"states": [{"name": "A", "weight": 1}, {"name": "B"}]}');
select tap.lived(100 + n, '2030-01-04 20:00+00', '{B}', '{1000}', 'short')
from generate_series(1, 10) n;
select tap.lived(100 + n, '2030-01-05 00:00+00', '{B}', array[n - 10], 'short')
from generate_series(11, 30) n;
select tap.clock('2030-01-05 12:00+00');
select bindery_internal.refresh_pace();
select tap.lived(100 + n, '2030-01-05 13:00+00', '{B}', array[n - 10], 'short')
from generate_series(31, 60) n;
select tap.clock('2030-01-05 14:00+00');
select bindery_internal.refresh_pace();
select is(
  (select count(*)::integer from bindery_internal.stage_samples where pipeline = 'short'), 50,
  'The newest 50 visits of a stage are kept.');
select is(
  tap.pace('A', 'short'), '25.5 + 0 of 50',
  'The median of a stage is that of its newest 50 visits, over several refreshes.');
select is(
  (select extract(epoch from (tap.book(200, '{}', 'short')).estimated_completion_at
    - bindery_internal.now())),
  25.5, 'A new book whose first state is a stage has an estimate.');

select * from finish();
rollback;
