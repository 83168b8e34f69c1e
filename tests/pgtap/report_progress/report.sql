-- report_progress: the changes that a report makes.
begin;
\ir ../helpers.psql
select plan(41);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}');

create temp table reported as
  select * from bindery.report_progress(tap.id(1), 'extract_text', 40, message => 'page 4',
    checkpoint => '{"page": 4}');
select is(
  (select to_jsonb(r) from reported r), to_jsonb(tap.row(1)),
  'report_progress returns the row of the book.');
select is((select revision from reported), 3::bigint, 'A report of higher progress is a revision.');
select is(
  (tap.row(1)).stage_progress, 10::double precision,
  'The progress of a stage is the weighted mean: 40 of weights 1, 1 and 2 is 10.');
select is(
  (tap.row(1)).overall_progress, 2::double precision,
  'A stage counts with its weight: 10 percent of 20 of 100 is 2.');
select is(
  tap.substeps(1) -> 0,
  '{"substep": "extract_text", "label": "Extract text", "weight": 1, "state": "active",
    "progress": 40, "message": "page 4"}',
  'A status lists the reported substep with its message and without its checkpoint.');
select is(
  tap.listed(1),
  'extract_text active 40, detect_chapters pending 0, analyze_characters pending 0',
  'A status lists the substeps that were not reported as pending.');
select is(
  (tap.substep(1, 'extract_text')).checkpoint, '{"page": 4}',
  'The row of the substep has the checkpoint.');
select is(
  (select row(substeps_total, substeps_done) from tap.row(1)), row(3, 0),
  'A report of a declared substep adds no substep.');

select tap.clock('2030-01-01 12:01+00');
select bindery.report_progress(tap.id(1), 'extract_text', done => 7, total => 10, unit => 'page');
select is(
  (select row(s.progress, s.done, s.total, s.unit) from tap.substep(1, 'extract_text') s),
  row(70::double precision, 7::double precision, 10::double precision, 'page'::text),
  'A report of done and total sets the percentage and keeps both numbers with their unit.');
select is(
  (tap.substep(1, 'extract_text')).checkpoint, '{"page": 4}',
  'A report without a checkpoint leaves the last checkpoint.');
select is(
  (tap.substep(1, 'extract_text')).message, 'page 4',
  'A report without a message leaves the last message.');
select is(
  (tap.substep(1, 'extract_text')).started_at, '2030-01-01 12:00+00',
  'The first report of a substep sets its started_at.');
select is(
  (tap.substep(1, 'extract_text')).updated_at, '2030-01-01 12:01+00',
  'The last report of a substep sets its updated_at.');
select is(
  (tap.substep(1, 'detect_chapters')).started_at, null,
  'A substep without a report has no started_at.');
select is((tap.row(1)).heartbeat_at, '2030-01-01 12:01+00', 'A report is a heartbeat.');
select is(
  (tap.substep(1, 'extract_text')).revision, (tap.row(1)).revision,
  'The row of a reported substep has the revision of the report.');
select is(
  (select count(*)::integer from bindery.book_events where book_id = tap.id(1)),
  2, 'A report is not in the history.');

-- Reports that change nothing visible.
create temp table before as select tap.row(1) as b;
select tap.clock('2030-01-01 12:02+00');
select bindery.report_progress(tap.id(1), 'extract_text', done => 7, total => 10, unit => 'page');
select is(
  (tap.row(1)).revision, (select (b).revision from before),
  'The same report again adds no revision.');
select is(
  (tap.row(1)).updated_at, (select (b).updated_at from before),
  'The same report again leaves updated_at.');
select is(
  (tap.row(1)).heartbeat_at, '2030-01-01 12:02+00', 'The same report again is a heartbeat.');
select bindery.report_progress(tap.id(1), 'extract_text', done => 7, total => 10, unit => 'page',
  checkpoint => '{"page": 8}');
select is(
  (tap.row(1)).revision, (select (b).revision from before), 'A new checkpoint adds no revision.');
select is(
  (tap.substep(1, 'extract_text')).checkpoint, '{"page": 8}', 'The latest checkpoint is kept.');

-- A lower report.
select tap.clock('2030-01-01 12:03+00');
select bindery.report_progress(tap.id(1), 'extract_text', 30);
select is(
  (tap.substep(1, 'extract_text')).progress, 70::double precision,
  'A lower report leaves the progress as it is.');
select is(
  (select row(s.done, s.total, s.unit) from tap.substep(1, 'extract_text') s),
  row(7::double precision, 10::double precision, 'page'::text),
  'A lower report leaves done, total and unit as they are.');
select is(
  (tap.row(1)).revision, (select (b).revision from before), 'A lower report adds no revision.');
select is((tap.row(1)).heartbeat_at, '2030-01-01 12:03+00', 'A lower report is a heartbeat.');
select bindery.report_progress(tap.id(1), 'extract_text', 30, message => 'looking back',
  checkpoint => '{"page": 3}');
select is(
  (tap.substep(1, 'extract_text')).message, 'looking back',
  'The message of a lower report counts.');
select is(
  (tap.substep(1, 'extract_text')).checkpoint, '{"page": 3}',
  'The checkpoint of a lower report counts.');
select is(
  (tap.row(1)).revision, (select (b).revision + 1 from before),
  'A lower report with a new message is a revision.');
select is(
  (tap.row(1)).stage_progress, 17.5::double precision, 'A lower report moves no percentage.');

-- Equal percentages with other numbers.
select bindery.report_progress(tap.id(1), 'extract_text', 70);
select is(
  (select row(s.done, s.total, s.unit) from tap.substep(1, 'extract_text') s),
  row(null::double precision, null::double precision, null::text),
  'A report of the same percentage without done and total removes these.');
select is(
  (tap.row(1)).revision, (select (b).revision + 2 from before),
  'A report of the same percentage with another done and total is a revision.');

-- The end of a stage.
select bindery.report_progress(tap.id(1), 'extract_text', 99.999);
select is(
  tap.substeps(1) #>> '{0,progress}', '99.99', 'A substep that is not done is shown below 100.');
select bindery.report_progress(tap.id(1), 'detect_chapters', 100);
select bindery.report_progress(tap.id(1), 'analyze_characters', done => 3, total => 3);
select is(
  (tap.row(1)).stage_progress, 99.99::double precision,
  'A stage with an unfinished substep is shown below 100.');
select bindery.report_progress(tap.id(1), 'extract_text', 100);
select is(
  (tap.row(1)).stage_progress, 100::double precision, 'A stage whose substeps are done is at 100.');
select is(
  (select row(substeps_total, substeps_done) from tap.row(1)), row(3, 3),
  'The done substeps of a stage are counted.');
select is(
  (tap.row(1)).overall_progress, 20::double precision,
  'A stage whose substeps are done counts with its whole weight.');
select is((tap.row(1)).status, 'ANALYZING', 'A book stays in a stage whose substeps are done.');
select bindery.report_progress(tap.id(1), 'extract_text', 100);
select is((tap.row(1)).substeps_done, 3, 'A substep that is reported as done twice counts once.');

-- A percentage that moves less than its two decimals.
select tap.book(3, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}');
select bindery.report_progress(tap.id(3), 'ink', 10.0099);
create temp table third as select tap.row(3) as b, tap.substeps(3) as substeps;
select bindery.report_progress(tap.id(3), 'ink', 10.0101);
select is(
  tap.substeps(3), (select substeps from third), 'A substep shows its progress with two decimals.');
select is(
  (tap.row(3)).revision, (select (b).revision + 1 from third),
  'A report that raises the progress is a revision, even where no digit shows it.');

select * from finish();
rollback;
