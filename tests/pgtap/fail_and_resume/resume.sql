-- resume_book: the progress that a resume keeps, and the progress that it resets.
begin;
\ir ../helpers.psql
select plan(31);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}');
select bindery.report_progress(tap.id(1), 'extract_text', 100, message => 'all read');
select bindery.report_progress(tap.id(1), 'detect_chapters', done => 3, total => 4,
  unit => 'chapter', message => 'chapter 3', checkpoint => '{"chapter": 3}');
select bindery.report_progress(tap.id(1), 'analyze_characters', 50, message => 'Ahab');
select is(
  tap.percents(1), '68.75 13.75', 'Before the failure the stage is at (100 + 75 + 2 * 50) / 4.');
select tap.clock('2030-01-01 12:10+00');
select bindery.fail_book(tap.id(1), '{"code": "out_of_memory"}', 'The worker died.');
create temp table before as select tap.row(1) as b;

select tap.clock('2030-01-01 12:20+00');
create temp table resumed as select * from bindery.resume_book(tap.id(1));
select is(
  (select to_jsonb(r) from resumed r), to_jsonb(tap.row(1)),
  'resume_book returns the row of the book.');
select is(
  (select row(status, current_stage, attempt) from tap.row(1)),
  row('ANALYZING'::text, 'ANALYZING'::text, 2),
  'A resumed book is in the stage in which it failed, in its next attempt.');
select is((tap.row(1)).error, null, 'A resume removes the error.');
select is((tap.row(1)).message, null, 'A resume removes the message.');
select is(
  (tap.row(1)).stage_started_at, '2030-01-01 12:20+00', 'A resume sets stage_started_at.');
select is(
  (tap.row(1)).stage_entered_at, '2030-01-01 12:00+00', 'A resume leaves stage_entered_at.');
select is((tap.row(1)).heartbeat_at, '2030-01-01 12:20+00', 'A resume is a heartbeat.');
select is(
  (tap.row(1)).revision, (select (b).revision + 1 from before), 'A resume is one revision.');
select is(
  (select row(s.progress, s.message, s.attempt) from tap.substep(1, 'extract_text') s),
  row(100::double precision, 'all read'::text, 1), 'A resume keeps a finished substep.');
select is(
  (select row(s.progress, s.done, s.total, s.unit, s.message, s.checkpoint)
    from tap.substep(1, 'detect_chapters') s),
  row(75::double precision, 3::double precision, 4::double precision, 'chapter'::text,
    'chapter 3'::text, '{"chapter": 3}'::jsonb),
  'A resume keeps a substep with a checkpoint.');
select is(
  (select row(s.progress, s.message, s.checkpoint, s.attempt, s.started_at)
    from tap.substep(1, 'analyze_characters') s),
  row(0::double precision, null::text, null::jsonb, 2, null::timestamptz),
  'A resume starts any other substep over.');
select is(
  tap.percents(1), '43.75 8.75', 'A resume recomputes the percentages: (100 + 75 + 0) / 4.');
select is(
  tap.listed(1),
  'detect_chapters active 75, analyze_characters pending 0, extract_text done 100',
  'The status of a resumed book lists what is left before what is done.');
select is(
  (select row(substeps_total, substeps_done) from tap.row(1)), row(3, 1),
  'A resume counts the substeps that are still done.');

-- Reports after a resume.
select bindery.report_progress(tap.id(1), 'analyze_characters', 90, attempt => 1);
select is(
  (tap.row(1)).overall_progress, 8.75::double precision,
  'A report of the attempt before has no effect.');
select bindery.report_progress(tap.id(1), 'analyze_characters', 20, attempt => 2);
select is(
  (tap.row(1)).overall_progress, 10.75::double precision,
  'A report of the new attempt counts from 0 upwards.');
select is(
  (tap.substep(1, 'analyze_characters')).attempt, 2,
  'The row of a substep has the attempt of its last report.');

-- Other ways to resume.
select bindery.fail_book(tap.id(1));
select is(
  (bindery.transition_book(tap.id(1), 'ANALYZING', 'once more')).attempt, 3,
  'A transition to the stage in which a book failed is a resume.');
select is((tap.row(1)).message, 'once more', 'A resume by transition_book has its message.');
select is(
  (select array_agg(kind order by revision) from bindery.book_events where book_id = tap.id(1)),
  '{register,transition,fail,resume,fail,resume}', 'The history contains every fail and resume.');
update bindery.book_status set status = 'FAILED' where book_id = tap.id(1);
update bindery.book_status set status = 'ANALYZING' where book_id = tap.id(1);
select is((tap.row(1)).attempt, 4, 'A plain UPDATE to the stage that failed is a resume.');
select is(
  (tap.substep(1, 'extract_text')).progress, 100::double precision,
  'A resume by a plain UPDATE keeps finished substeps.');
select is(
  (bindery.transition_book(tap.id(1), 'GENERATING_SCENES')).attempt, 1,
  'The next stage begins with attempt 1.');

-- Refusals.
select is(
  tap.call('resume_book', 1), 'PT409 not_failed', 'A book that is not FAILED is not resumed.');
select is(tap.call('resume_book', 99), 'PT404 unknown_book', 'An unknown book is not resumed.');
select tap.book(2, '{ANALYZING,FAILED}');
select is(
  tap.call('resume_book', 2, '1'), 'PT409 stale_revision',
  'A resume with an earlier expected_revision is refused.');
select is(
  tap.call('transition_book', 2, '''GENERATING_SCENES'''), 'PT409 illegal_transition',
  'A FAILED book does not skip the stage in which it failed.');
select is(
  tap.call('resume_book', 2, '3'), 'ok', 'A resume with the current expected_revision is made.');
select tap.book(3, '{CANCELLED}');
select is(
  tap.call('resume_book', 3), 'PT409 not_failed', 'A CANCELLED book is not resumed.');
select tap.book(4, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}');
select is(
  tap.call('resume_book', 4), 'PT409 not_failed', 'A complete book is not resumed.');

select * from finish();
rollback;
