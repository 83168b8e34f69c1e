-- Refusals of rewind_book.
begin;
\ir ../helpers.psql
\ir loops.psql
select plan(17);
select tap.book(4, '{DRAFTING}', 'loops'), tap.book(5, '{DRAFTING,CANCELLED}', 'loops'),
  tap.book(6, '{DRAFTING,CHECKING,MENDING,DONE}', 'loops'), tap.book(7, '{}', 'loops'),
  tap.book(8, '{DRAFTING,CHECKING,FAILED}', 'loops');
create temp table before as select n, tap.snapshot(n) as s from generate_series(4, 8) n;

select is(
  tap.call('rewind_book', n, coalesce(quote_literal(target), 'null')), outcome,
  format('A rewind from %s to %s: %s.', coalesce((tap.row(n)).status, 'an unknown book'),
    coalesce(target, 'null'), outcome))
from (values
  (4, 'DRAFTING', 'PT409 illegal_transition'), (4, 'CHECKING', 'PT409 illegal_transition'),
  (4, 'DONE', 'PT409 illegal_transition'), (4, 'FAILED', 'PT404 unknown_stage'),
  (4, 'NOWHERE', 'PT404 unknown_stage'), (4, null, 'PT422 bad_input'),
  (4, repeat('A', 64), 'PT422 bad_input'), (5, 'DRAFTING', 'PT409 illegal_transition'),
  (6, 'DRAFTING', 'PT409 illegal_transition'), (7, 'START', 'PT409 illegal_transition'),
  (8, 'MENDING', 'PT409 illegal_transition'), (99, 'START', 'PT404 unknown_book'))
  v(n, target, outcome);
select is(
  tap.refusal('rewind_book', 8, '''MENDING''') -> 'detail',
  '{"code": "illegal_transition", "from_status": "FAILED", "to_status": "MENDING",
    "allowed": ["START", "DRAFTING", "CHECKING"]}',
  'The detail of a refused rewind lists the stages to which the book may be rewound.');
select is(
  tap.call('rewind_book', 8, '''START'', expected_revision => 1'), 'PT409 stale_revision',
  'A rewind with an earlier expected_revision is refused.');
select is(
  tap.call('rewind_book', 8, '''START'', repeat(''x'', 8193)'), 'PT422 bad_input',
  'A message of 8,193 characters is refused.');
select is(
  tap.update(4, 'status = ''START'''), 'PT409 illegal_transition',
  'A plain UPDATE to an earlier stage is not a rewind and is refused.');
select is(
  (select count(*)::integer from before where s is distinct from tap.snapshot(n)), 0,
  'A refused rewind changes nothing.');

select * from finish();
rollback;
