-- begin_stage: enters a stage, resumes in it, or finds the book there.
begin;
\ir ../helpers.psql
select plan(18);
select tap.clock('2030-01-01 12:00+00');

-- Entering.
select tap.book(1);
create temp table begun as select bindery.begin_stage(tap.id(1), 'ANALYZING', 'worker-1') as point;
select is(
  (select point from begun), bindery.get_resume_point(tap.id(1)),
  'begin_stage returns the resume point.');
select is(
  (select point from begun),
  jsonb_build_object('book_id', tap.id(1), 'status', 'ANALYZING', 'stage', 'ANALYZING',
    'attempt', 1, 'revision', 2, 'done', '[]'::jsonb, 'left', '[
      {"substep": "extract_text", "weight": 1, "progress": 0, "checkpoint": null},
      {"substep": "detect_chapters", "weight": 1, "progress": 0, "checkpoint": null},
      {"substep": "analyze_characters", "weight": 2, "progress": 0, "checkpoint": null}]'::jsonb),
  'The resume point of a stage that was just entered has all of its substeps left.');
select is(
  tap.last_event(1), 'transition UPLOADED>ANALYZING ANALYZING/1',
  'begin_stage of the next stage is a transition in the history.');
select is(
  (select actor from bindery.book_events
    where book_id = tap.id(1) order by revision desc limit 1),
  'worker-1', 'The worker is the actor in the history.');
select isnt(
  current_setting('bindery.actor', true), 'worker-1',
  'begin_stage leaves the setting bindery.actor.');
select is(
  (select count(*)::integer from bindery.outbox where book_id = tap.id(1)), 2,
  'begin_stage of the next stage writes a message to the outbox.');

-- The book is there already.
select bindery.report_progress(tap.id(1), 'extract_text', 100);
select bindery.report_progress(tap.id(1), 'detect_chapters', done => 1, total => 2,
  unit => 'chapter', message => 'one', checkpoint => '{"chapter": 1}');
create temp table before as select tap.snapshot(1) #- '{book,heartbeat_at}' as s;
select tap.clock('2030-01-01 12:01+00');
create temp table again as select bindery.begin_stage(tap.id(1), 'ANALYZING', 'worker-2') as point;
select is(
  (select point - 'left' from again),
  jsonb_build_object('book_id', tap.id(1), 'status', 'ANALYZING', 'stage', 'ANALYZING',
    'attempt', 1, 'revision', 4, 'done', '["extract_text"]'::jsonb),
  'begin_stage of the current stage returns the substeps that are done.');
select is(
  (select point #> '{left,0}' from again),
  '{"substep": "detect_chapters", "weight": 1, "progress": 50, "done": 1, "total": 2,
    "unit": "chapter", "message": "one", "checkpoint": {"chapter": 1}}',
  'begin_stage of the current stage returns the checkpoints of the substeps that are left.');
select is(
  tap.snapshot(1) #- '{book,heartbeat_at}', (select s from before),
  'begin_stage of the current stage changes nothing but the heartbeat.');
select is(
  (tap.row(1)).heartbeat_at, '2030-01-01 12:01+00', 'begin_stage is a heartbeat.');

-- Resuming.
select bindery.fail_book(tap.id(1), '{"code": "out_of_memory"}');
create temp table resumed as select bindery.begin_stage(tap.id(1), 'ANALYZING') as point;
select is(
  (select point ->> 'attempt' from resumed), '2',
  'begin_stage of the stage in which a book FAILED returns the next attempt.');
select is(
  (select point -> 'done' from resumed), '["extract_text"]',
  'begin_stage of the stage in which a book FAILED keeps what a resume keeps.');
select is(
  tap.last_event(1), 'resume FAILED>ANALYZING ANALYZING/2',
  'begin_stage of the stage in which a book FAILED is a resume in the history.');
select is(
  (tap.row(1)).error, null, 'begin_stage of the stage in which a book FAILED removes the error.');

-- A later visit of a stage.
select bindery.rewind_book(tap.id(1), 'UPLOADED');
select is(
  bindery.begin_stage(tap.id(1), 'ANALYZING') ->> 'attempt', '3',
  'begin_stage of a stage that is entered again returns its next attempt.');

-- A guarded edge.
select bindery.define_pipeline('guarded', '{"states": [
  {"name": "A", "weight": 1, "next": [{"to": "B", "guard": "substeps_complete"}]},
  {"name": "B", "weight": 1, "rework": ["A"]}, {"name": "Z"}]}');
select tap.book(2, '{}', 'guarded');
select is(
  tap.call('begin_stage', 2, '''B'''), 'PT409 stage_not_reached',
  'begin_stage is refused while the guard of the edge does not hold.');
select bindery.report_progress(tap.id(2), progress => 100);
select is(
  bindery.begin_stage(tap.id(2), 'B') ->> 'stage', 'B',
  'begin_stage enters a stage once the guard of the edge holds.');
select is(
  tap.call('begin_stage', 2, '''A'''), 'PT409 stage_left',
  'begin_stage does not take an edge of rework.');

select * from finish();
rollback;
