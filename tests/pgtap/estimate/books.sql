-- estimated_completion_at of books on their way, from a history with answers computed by hand.
begin;
\ir ../helpers.psql
\ir lived.psql
select plan(19);

select tap.clock('2030-01-01 00:00+00');
select ok(bindery_internal.refresh_pace(), 'The pace is refreshed without any history.');
select tap.book(90);
select is((tap.row(90)).estimated_completion_at, null, 'Without history there is no estimate.');

-- Medians: UPLOADED of 10, 20, 600: 20. ANALYZING of 100, 300, 5000: 300. GENERATING_SCENES of 60,
-- 100, 200: 100. CREATING_ARTWORK of 400, 700, 1000: 700.
select tap.lived(1, '2030-01-02 00:00+00',
  '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}', '{10,100,200,400}');
select tap.lived(2, '2030-01-02 00:00+00',
  '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}', '{600,5000,100,1000}');
select tap.lived(3, '2030-01-02 00:00+00',
  '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}', '{20,300,60,700}');
select tap.clock('2030-01-02 12:00+00');
select bindery_internal.refresh_pace();
select is((tap.row(90)).estimated_completion_at, null, 'A refresh of the pace changes no book.');

select tap.clock('2030-01-03 00:00:00+00');
select tap.book(10);
select is(
  tap.seconds_left(10), 1120.0, 'A new book is expected after all medians: 20 + 300 + 100 + 700.');
select bindery.transition_book(tap.id(10), 'ANALYZING');
select is(
  tap.seconds_left(10), 1100.0, 'A book that enters a stage is expected after 300 + 100 + 700.');
select tap.clock('2030-01-03 00:01:00+00');
select bindery.report_progress(tap.id(10), 'analyze_characters', 100);
select is(
  tap.seconds_left(10), 927.5,
  'Half a stage in 60 seconds leaves 0.5 * (0.75 * 300 + 0.5 * 60) + 800.');
select is(
  (bindery.get_book_status(tap.id(10)) ->> 'estimated_completion_at')::timestamptz,
  '2030-01-03 00:16:27.5+00'::timestamptz, 'get_book_status has the estimate.');
create temp table before as
  select tap.snapshot(10) #- '{book,heartbeat_at}' #- '{progress,0,updated_at}' as s;
select tap.clock('2030-01-03 00:02:00+00');
select bindery.heartbeat(tap.id(10));
select bindery.report_progress(tap.id(10), 'analyze_characters', 100);
select is(
  tap.snapshot(10) #- '{book,heartbeat_at}' #- '{progress,0,updated_at}', (select s from before),
  'A heartbeat and a report that changes nothing leave the estimate.');
select bindery.report_progress(tap.id(10), 'extract_text', 100);
select is(
  tap.seconds_left(10), 855.3125,
  'Three quarters in 120 seconds leave 0.25 * (0.4375 * 300 + 0.75 * 120) + 800.');

-- Halted and resumed.
select bindery.fail_book(tap.id(10), '{"code": "boom"}');
select is((tap.row(10)).estimated_completion_at, null, 'A FAILED book has no estimate.');
select bindery.resume_book(tap.id(10));
select is(
  tap.seconds_left(10), 875.0, 'A resumed book counts what was kept: 0.25 * 300 + 800.');
select tap.clock('2030-01-03 00:02:01+00');
select bindery.report_progress(tap.id(10), 'detect_chapters', 50);
select is(
  tap.seconds_left(10), 837.5,
  'A resumed book is expected by the median alone: 0.125 * 300 + 800.');
select bindery.transition_book(tap.id(10), 'GENERATING_SCENES');
select is(tap.seconds_left(10), 800.0, 'In the next stage the book is expected after 100 + 700.');
select bindery.transition_book(tap.id(10), 'CREATING_ARTWORK');
select is(tap.seconds_left(10), 700.0, 'In the last stage the book is expected after 700.');
select bindery.transition_book(tap.id(10), 'COMPLETED');
select is((tap.row(10)).estimated_completion_at, null, 'A complete book has no estimate.');
select tap.book(11, '{ANALYZING}');
select bindery.cancel_book(tap.id(11));
select is((tap.row(11)).estimated_completion_at, null, 'A CANCELLED book has no estimate.');
select tap.book(12, '{ANALYZING}');
update bindery.book_status set status = 'FAILED' where book_id = tap.id(12);
select is(
  (tap.row(12)).estimated_completion_at, null, 'A plain UPDATE to FAILED removes the estimate.');
select tap.book(13, '{ANALYZING}');
update bindery.book_progress set progress = 100
where book_id = tap.id(13) and substep = 'analyze_characters';
select is(
  tap.seconds_left(13), 912.5,
  'A plain UPDATE of progress moves the estimate: 0.5 * 0.75 * 300 + 800.');
select tap.book(14, '{ANALYZING}');
select bindery.plan_substeps(tap.id(14), 'ANALYZING', '[{"substep": "more", "weight": 4}]');
select bindery.report_progress(tap.id(14), 'more', 100);
select is(
  tap.seconds_left(14), 912.5, 'A planned substep moves the estimate by its weight.');

select * from finish();
rollback;
