-- cancel_book: stops a book permanently, where it is.
begin;
\ir ../helpers.psql
select plan(18);
select tap.book(1, '{ANALYZING}');
select bindery.report_progress(tap.id(1), 'extract_text', 60);
create temp table before as select tap.row(1) as b;

select is(
  tap.call('cancel_book', 1, 'expected_revision => 1'), 'PT409 stale_revision',
  'A cancellation with an earlier expected_revision is refused.');
select is(
  (bindery.cancel_book(tap.id(1), 'not wanted any more')).status, 'CANCELLED',
  'A book at work is cancelled.');
select is(
  (tap.row(1)).overall_progress, (select (b).overall_progress from before),
  'A CANCELLED book keeps its percentage.');
select is((tap.row(1)).current_stage, 'ANALYZING', 'A CANCELLED book keeps its stage.');
select is((tap.row(1)).message, 'not wanted any more', 'A CANCELLED book has the message.');
select is((tap.row(1)).completed_at, null, 'A CANCELLED book has no completed_at.');
select is(
  tap.last_event(1), 'cancel ANALYZING>CANCELLED ANALYZING/1',
  'A cancellation is in the history.');
create temp table cancelled as select tap.snapshot(1) as s;
select is(
  (bindery.cancel_book(tap.id(1), 'again')).message, 'not wanted any more',
  'A cancellation of a CANCELLED book returns its row and has no effect.');
select is(
  tap.call('resume_book', 1), 'PT409 not_failed', 'A CANCELLED book is not resumed.');
select is(
  tap.call('transition_book', 1, '''ANALYZING'''), 'PT409 illegal_transition',
  'A CANCELLED book makes no transition.');
select is(
  tap.call('rewind_book', 1, '''UPLOADED'''), 'PT409 illegal_transition',
  'A CANCELLED book is not rewound.');
select is(
  tap.snapshot(1), (select s from cancelled), 'A CANCELLED book does not change any more.');

select tap.book(2, '{ANALYZING,FAILED}');
select is(
  (bindery.cancel_book(tap.id(2))).status, 'CANCELLED', 'A FAILED book is cancelled.');
select is((tap.row(2)).error, null, 'A cancellation removes the error.');
select is((tap.row(2)).resume_at, null, 'A CANCELLED book is not due for a resume.');
select tap.book(3, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}');
select is(
  tap.call('cancel_book', 3), 'PT409 illegal_transition', 'A complete book is not cancelled.');
select is(
  tap.call('cancel_book', 99), 'PT404 unknown_book', 'An unknown book is not cancelled.');
select is(
  tap.call('cancel_book', 3, 'message => repeat(''x'', 8193)'), 'PT422 bad_input',
  'A message of 8,193 characters is refused.');

select * from finish();
rollback;
