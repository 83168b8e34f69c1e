-- cancel_book: stops a book for good, where it is.
begin;
\ir helpers.psql
select plan(13);

select tap.book(1, array['ANALYZING']);
select from bindery.report_progress(tap.id(1), 'extract_text', 60);
create temp table before as select * from bindery.book_status where book_id = tap.id(1);
select is(tap.outcome(format('select bindery.cancel_book(%L, expected_revision => 1)', tap.id(1))), 'PT409 stale_revision', 'a stale revision cancels nothing');
select is((select status from bindery.cancel_book(tap.id(1), 'not wanted any more')), 'CANCELLED', 'a book in the making is cancelled');
select is((tap.row(1)).overall_progress, (select overall_progress from before), 'it keeps its percentage');
select is((tap.row(1)).current_stage, 'ANALYZING', 'and the stage it was in');
select is((tap.row(1)).message, 'not wanted any more', 'the message says why');
select is((select kind from bindery.book_events where book_id = tap.id(1) order by revision desc limit 1), 'cancel', 'the history says cancel');
select is(tap.outcome(format('select bindery.cancel_book(%L)', tap.id(1))), 'PT409 illegal_transition', 'what is cancelled is not cancelled again');
select is(tap.outcome(format('select bindery.resume_book(%L)', tap.id(1))), 'PT409 not_failed', 'nor resumed');
select is(tap.outcome(format('select bindery.transition_book(%L, ''ANALYZING'')', tap.id(1))), 'PT409 illegal_transition', 'nor taken anywhere else');
select tap.book(2, array['ANALYZING', 'FAILED']);
select is((select status from bindery.cancel_book(tap.id(2))), 'CANCELLED', 'a FAILED book is cancelled');
select is((tap.row(2)).error, null, 'and has no error any more');
select tap.book(3, array['ANALYZING', 'GENERATING_SCENES', 'CREATING_ARTWORK', 'COMPLETED']);
select is(tap.outcome(format('select bindery.cancel_book(%L)', tap.id(3))), 'PT409 illegal_transition', 'a completed book is not cancelled');
select is(tap.outcome(format('select bindery.cancel_book(%L)', tap.id(99))), 'PT404 unknown_book', 'an unknown book is not there');

select * from finish();
rollback;
