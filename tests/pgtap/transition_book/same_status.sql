-- A transition to the status that the book has already: no effect, no error.
begin;
\ir ../helpers.psql
create temp table statuses (n integer, status text, path text[]);
insert into statuses values
  (1, 'UPLOADED', '{}'),
  (2, 'ANALYZING', '{ANALYZING}'),
  (3, 'COMPLETED', '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}'),
  (4, 'FAILED', '{ANALYZING,GENERATING_SCENES,FAILED}'),
  (5, 'CANCELLED', '{ANALYZING,CANCELLED}');
select tap.book(n, path) from statuses;
select bindery.report_progress(tap.id(2), 'extract_text', 40, checkpoint => '{"page": 4}');
create temp table before as select n, tap.snapshot(n) as s from statuses;
select plan(30);

select is(
  (bindery.transition_book(tap.id(n), status, 'once more')).status, status,
  format('transition_book to %s of a book in %s returns the row.', status, status))
from statuses;
select is(
  tap.outcome(format('update bindery.book_status set status = %L where book_id = %L',
    status, tap.id(n))),
  'ok', format('A plain UPDATE to %s of a book in %s succeeds.', status, status))
from statuses;
select is(
  tap.apply(tap.event('transition', n, jsonb_build_object('to_status', status))), '1/0/0/0',
  format('A transition event to %s about a book in %s is applied.', status, status))
from statuses;
select is(
  tap.snapshot(n), s, format('A transition of a book in %s to %s changes nothing.', status, status))
from statuses join before using (n);

select is(
  (bindery.fail_book(tap.id(4), '{"code": "other"}', 'once more')).error, '{"code": "failed"}',
  'fail_book of a FAILED book leaves its error as it is.');
select is(
  (bindery.cancel_book(tap.id(5), 'once more')).message, null,
  'cancel_book of a CANCELLED book leaves its message as it is.');
select is(
  tap.snapshot(n), s, format('The book in %s is unchanged.', status))
from statuses join before using (n) where n in (4, 5);

select is(
  tap.call('transition_book', 2, $$'ANALYZING', expected_revision => 1$$), 'PT409 stale_revision',
  'A transition to the same status with an earlier expected_revision is refused.');
select is(
  tap.call('transition_book', 2, $$'ANALYZING', attempt => 2$$), 'PT409 attempt_ahead',
  'A transition to the same status from an attempt that has not begun is refused.');
select is(
  tap.call('transition_book', 2, $$'ANALYZING', E'\x07'$$), 'PT422 bad_input',
  'A transition to the same status with a bad message is refused.');

-- An event that is delivered twice.
select tap.book(10);
select is(
  tap.apply(
    tap.event('transition', 10, '{"to_status": "ANALYZING"}'),
    tap.event('transition', 10, '{"to_status": "ANALYZING"}')),
  '2/0/0/0', 'A transition event that is delivered twice is applied twice.');
select is((tap.row(10)).revision, 2::bigint, 'The second delivery of a transition has no effect.');
select is(tap.reasons(), 'none',
  'The second delivery of a transition does not become a dead letter.');

select * from finish();
rollback;
