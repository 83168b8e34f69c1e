begin;
\ir helpers.psql
select plan(45);
-- estimated_completion_at, from a made-up history with answers worked out by hand.

-- Takes a new book through these statuses, so many seconds between them.
create function tap.lived(n integer, began text, steps text[], seconds integer[], pipeline text default 'comic') returns void language plpgsql as $$
declare
  moment timestamptz := began::timestamptz;
begin
  perform tap.clock(moment::text);
  perform bindery.register_book(tap.id(n), pipeline => lived.pipeline);
  for i in 1 .. cardinality(steps) loop
    moment := moment + seconds[i] * interval '1 second';
    perform tap.clock(moment::text);
    if steps[i] = 'RESUME' then perform bindery.resume_book(tap.id(n)); else perform bindery.transition_book(tap.id(n), steps[i]); end if;
  end loop;
end
$$;
-- How many seconds from now a book's end is expected.
create function tap.seconds_left(n integer) returns numeric language sql volatile as $$
  select extract(epoch from (tap.row(n)).estimated_completion_at - bindery_internal.now());
$$;
create function tap.pace(of_stage text, of_pipeline text default 'comic') returns text language sql volatile as $$
  select format('%s + %s of %s', coalesce(median_seconds::text, '?'), coalesce(later_seconds::text, '?'), samples)
  from bindery_internal.stage_pace where stage = of_stage and pipeline = of_pipeline;
$$;

-- The arithmetic alone: (1 - p) * ((1 - p^2) * median + p * elapsed) + later.
create function tap.estimate(elapsed integer, percent float8, attempt integer default 1, median float8 default 100, later float8 default 1000) returns numeric language sql as $$
  select extract(epoch from bindery_internal.estimate('2030-01-01 12:00+00', '2030-01-01 12:00+00'::timestamptz - elapsed * interval '1 second', percent, attempt, median, later) - '2030-01-01 12:00+00');
$$;
select is(tap.estimate(0, 0), 1100.0, 'at the beginning of a stage: its median and the later ones');
select is(tap.estimate(60, 0), 1100.0, 'as long as nothing is seen of it, that is what it takes from now');
select is(tap.estimate(50, 50), 1050.0, 'who is as fast as the median takes the rest of it: 0.5 * (0.75 * 100 + 0.5 * 50) = 50');
select is(tap.estimate(400, 80), 1071.2, 'far into the stage its own pace counts most: 0.2 * (0.36 * 100 + 0.8 * 400) = 71.2');
select is(tap.estimate(5, 100), 1000.0, 'when the stage is done, the later ones are left');
select is(tap.estimate(400, 80, 2), 1020.0, 'a resumed attempt has no pace of its own: 0.2 * 100');
select is(tap.estimate(-400, 80), 1007.2, 'a clock that was set back counts as no time: 0.2 * 0.36 * 100');
select is(tap.estimate(0, 0, 1, null), null, 'without a pace of the stage there is no estimate');
select is(tap.estimate(0, 0, 1, 100, null), null, 'nor without one of the later stages');

-- No history, no estimate.
select tap.clock('2030-01-01 00:00+00');
select ok(bindery_internal.refresh_pace(), 'the pace can be refreshed with no history at all');
select tap.book(90);
select is((tap.row(90)).estimated_completion_at, null, 'without history there is no estimate');

-- Three books. Median of each state: UPLOADED of 10, 20, 600: 20. ANALYZING of 100, 300, 5000: 300. GENERATING_SCENES of 60, 100, 200:
-- 100. CREATING_ARTWORK of 400, 700, 1000: 700. After CREATING_ARTWORK 0, after GENERATING_SCENES 700, after ANALYZING 800, after UPLOADED 1100.
select tap.lived(1, '2030-01-02 00:00+00', '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}', '{10,100,200,400}');
select tap.lived(2, '2030-01-02 00:00+00', '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}', '{600,5000,100,1000}');
select tap.lived(3, '2030-01-02 00:00+00', '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}', '{20,300,60,700}');
select tap.clock('2030-01-02 12:00+00');
select ok(bindery_internal.refresh_pace(), 'the pace is refreshed');
select is(array[tap.pace('UPLOADED'), tap.pace('ANALYZING'), tap.pace('GENERATING_SCENES'), tap.pace('CREATING_ARTWORK')],
  array['20 + 1100 of 3', '300 + 800 of 3', '100 + 700 of 3', '700 + 0 of 3'], 'each state has the median of its visits, which an outlier does not move, and what comes after it');
select is(tap.pace('COMPLETED'), null, 'nobody waits in the final state');
select is((tap.row(90)).estimated_completion_at, null, 'a refresh itself touches no book');

-- A book on its way.
select tap.clock('2030-01-03 00:00:00+00');
select tap.book(10);
select is(tap.seconds_left(10), 1120.0, 'a new book is expected after all medians: 20 + 1100');
select from bindery.transition_book(tap.id(10), 'ANALYZING');
select is(tap.seconds_left(10), 1100.0, 'entering a stage: 300 + 800');
select tap.clock('2030-01-03 00:01:00+00');
select from bindery.report_progress(tap.id(10), 'analyze_characters', 100);
select is(tap.seconds_left(10), 927.5, 'half of the stage after 60 seconds: 0.5 * (0.75 * 300 + 0.5 * 60) + 800 = 127.5 + 800');
select is((bindery.get_book_status(tap.id(10)) ->> 'estimated_completion_at')::timestamptz, '2030-01-03 00:16:27.5+00'::timestamptz, 'get_book_status has it');
create temp table before as select tap.snapshot(10) #- '{book,heartbeat_at}' #- '{progress,0,updated_at}' as s;
select tap.clock('2030-01-03 00:02:00+00');
select from bindery.heartbeat(tap.id(10));
select from bindery.report_progress(tap.id(10), 'analyze_characters', 100);
select is(tap.snapshot(10) #- '{book,heartbeat_at}' #- '{progress,0,updated_at}', (select s from before), 'what moves nothing else does not move the estimate, and makes no revision');
select from bindery.report_progress(tap.id(10), 'extract_text', 100);
select is(tap.seconds_left(10), 855.3125, '75 % after 120 seconds: 0.25 * (0.4375 * 300 + 0.75 * 120) + 800 = 55.3125 + 800');

-- Halted and resumed.
select from bindery.fail_book(tap.id(10), '{"code": "boom"}');
select is((tap.row(10)).estimated_completion_at, null, 'a FAILED book has no estimate');
select from bindery.resume_book(tap.id(10));
select is(tap.seconds_left(10), 875.0, 'a resume counts what was kept: 0.25 * 300 + 800');
select tap.clock('2030-01-03 00:02:01+00');
select from bindery.report_progress(tap.id(10), 'detect_chapters', 50);
select is(tap.seconds_left(10), 837.5, 'and goes on by the median alone: 0.125 * 300 + 800');
select from bindery.transition_book(tap.id(10), 'GENERATING_SCENES');
select is(tap.seconds_left(10), 800.0, 'the next stage: 100 + 700');
select from bindery.transition_book(tap.id(10), 'CREATING_ARTWORK');
select is(tap.seconds_left(10), 700.0, 'the last one: 700');
select from bindery.transition_book(tap.id(10), 'COMPLETED');
select is((tap.row(10)).estimated_completion_at, null, 'a complete book has no estimate');
select from bindery.cancel_book((tap.book(11, '{ANALYZING}')).book_id);
select is((tap.row(11)).estimated_completion_at, null, 'nor has a CANCELLED one');
select ok((tap.book(12, '{ANALYZING}')).estimated_completion_at is not null and (select (bindery.transition_book(tap.id(12), 'FAILED')).estimated_completion_at is null), 'a plain change to FAILED takes it away, too');

-- A fourth visit to ANALYZING: entered, failed after 50, resumed 450 later, left after 500 more: 1000 in all. Book 10 stayed 121 seconds.
-- Of 100, 121, 300, 1000, 5000 the median is 300; GENERATING_SCENES of 0, 60, 100, 200 has (60 + 100) / 2 = 80.
select tap.lived(4, '2030-01-03 01:00+00', '{ANALYZING,FAILED,RESUME,GENERATING_SCENES}', '{15,50,450,500}');
select tap.clock('2030-01-02 12:00:59+00');
select ok(not bindery_internal.refresh_pace(), 'within a minute it is not refreshed again');
select is(tap.pace('ANALYZING'), '300 + 800 of 3', 'and stays as it was');
select tap.clock('2030-01-03 02:00+00');
select ok(bindery_internal.refresh_pace(), 'after it, it is');
-- UPLOADED of 0, 0, 0 (books 10, 11 and 12), 10, 15, 20, 600 has 10; CREATING_ARTWORK of 0, 400, 700, 1000 has (400 + 700) / 2 = 550.
select is(array[tap.pace('UPLOADED'), tap.pace('ANALYZING'), tap.pace('GENERATING_SCENES')], array['10 + 930 of 7', '300 + 630 of 5', '80 + 550 of 4'],
  'a halt is part of its visit and a resume begins none; of an even number the mean of the middle two');
select from bindery.prune_events('2031-01-01');
select tap.clock('2030-01-03 02:01+00');
select ok(bindery_internal.refresh_pace(), 'history that is pruned');
select is(tap.pace('ANALYZING'), '300 + 630 of 5', 'has been read already');

-- Branches, rework, and a wait without weight. A leads to HEAVY (50) or LIGHT (10), both to WAIT (0), this to LAST, LAST may go back to A.
select is(bindery.define_pipeline('forked', '{"states": [
  {"name": "A", "weight": 10, "next": ["LIGHT", "HEAVY"]}, {"name": "LIGHT", "weight": 10, "next": ["WAIT"]}, {"name": "HEAVY", "weight": 50},
  {"name": "WAIT"}, {"name": "LAST", "weight": 5, "rework": ["A"]}, {"name": "DONE"}]}'), 1, 'a pipeline with branches is defined');
select tap.lived(20, '2030-01-04 00:00+00', '{LIGHT}', '{30}', 'forked');
select tap.clock('2030-01-04 01:00+00');
select bindery_internal.refresh_pace();
select is(array[tap.pace('A', 'forked'), tap.pace('LIGHT', 'forked'), tap.pace('WAIT', 'forked')], array['30 + ? of 1', '? + ? of 0', '0 + ? of 0'],
  'what was never seen is not guessed; who waits without weight is taken to pass through');
select is((tap.book(21, '{}', 'forked')).estimated_completion_at, null, 'so there is no estimate');
-- Book 22 takes the heavy way: A 40, HEAVY 500, WAIT 0, LAST 7, back to A for 60, LIGHT 3, WAIT 0, LAST 9. A of 30, 40, 60; leaving LAST backward ends no visit.
select tap.lived(22, '2030-01-04 02:00+00', '{HEAVY,WAIT,LAST,A,LIGHT,WAIT,LAST,DONE}', '{40,500,0,7,60,3,0,9}', 'forked');
select tap.clock('2030-01-04 03:00+00');
select bindery_internal.refresh_pace();
select is(array[tap.pace('A', 'forked'), tap.pace('LIGHT', 'forked'), tap.pace('HEAVY', 'forked'), tap.pace('WAIT', 'forked'), tap.pace('LAST', 'forked')],
  array['40 + 509 of 3', '3 + 9 of 1', '500 + 9 of 1', '0 + 9 of 2', '9 + 0 of 1'], 'after a fork the heaviest path counts; going back for rework is no end of a visit');
select tap.book(23, '{LIGHT}', 'forked');
select is(tap.seconds_left(23), 12.0, 'who takes the light way has what lies on it: 3 + 9');
select is(tap.pace('ANALYZING'), '300 + 630 of 5', 'pipelines do not mix');

-- Only the newest 50 visits count: ten of 1000 seconds are forgotten, of 1 to 50 the median is (25 + 26) / 2.
select is(bindery.define_pipeline('short', '{"states": [{"name": "A", "weight": 1}, {"name": "B"}]}'), 1, 'a short pipeline');
select tap.lived(100 + n, '2030-01-05 00:00+00', '{B}', array[case when n <= 10 then 1000 else n - 10 end], 'short') from generate_series(1, 30) n;
select tap.clock('2030-01-05 12:00+00');
select bindery_internal.refresh_pace();
select tap.lived(100 + n, '2030-01-05 00:00+00', '{B}', array[n - 10], 'short') from generate_series(31, 60) n;
select tap.clock('2030-01-05 13:00+00');
select bindery_internal.refresh_pace();
select is(tap.pace('A', 'short'), '25.5 + 0 of 50', 'the newest 50 visits count, over two refreshes');
select is((select count(*)::int from bindery_internal.stage_visits where pipeline = 'short'), 50, 'and no more are kept');
select is((select extract(epoch from (tap.book(200, '{}', 'short')).estimated_completion_at - bindery_internal.now())), 25.5, 'also where the first state is a stage');

select * from finish();
rollback;
