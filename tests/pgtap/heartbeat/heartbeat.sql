-- heartbeat: as a call and as an event.
begin;
\ir ../helpers.psql
select plan(24);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING,FAILED,ANALYZING}');
select tap.book(2, '{ANALYZING,FAILED}');
create temp table before as
  select n, tap.snapshot(n) #- '{book,heartbeat_at}' as s from generate_series(1, 2) n;

select tap.clock('2030-01-01 12:01+00');
select is(tap.call('heartbeat', 1), 'ok', 'A heartbeat is accepted.');
select is((tap.row(1)).heartbeat_at, '2030-01-01 12:01+00', 'A heartbeat sets heartbeat_at.');
select is(
  tap.snapshot(1) #- '{book,heartbeat_at}', (select s from before where n = 1),
  'A heartbeat changes nothing else, the revision included.');
select tap.clock('2030-01-01 12:02+00');
select is(tap.call('heartbeat', 1, '1'), 'ok',
  'A heartbeat of an earlier attempt is not an error.');
select is(
  (tap.row(1)).heartbeat_at, '2030-01-01 12:01+00',
  'A heartbeat of an earlier attempt has no effect.');
select is(tap.call('heartbeat', 1, '2'), 'ok', 'A heartbeat of the current attempt is accepted.');
select is(
  (tap.row(1)).heartbeat_at, '2030-01-01 12:02+00',
  'A heartbeat of the current attempt sets heartbeat_at.');
select is(
  tap.call('heartbeat', 1, '3'), 'PT409 attempt_ahead',
  'A heartbeat of an attempt that has not begun is refused.');
select is(tap.call('heartbeat', 1, '0'), 'PT422 bad_input', 'An attempt below 1 is refused.');
select is(
  tap.call('heartbeat', 99), 'PT404 unknown_book', 'A heartbeat of an unknown book is refused.');
select is(
  tap.outcome('select bindery.heartbeat(null)'), 'PT404 unknown_book',
  'A heartbeat without a book is refused.');
select is(
  (select to_jsonb(h) from bindery.heartbeat(tap.id(1)) h), to_jsonb(tap.row(1)),
  'A heartbeat gives the book''s row after it.');
select is(
  (select (h.status, h.attempt)::text from bindery.heartbeat(tap.id(1), 1, 'ANALYZING') h),
  '(ANALYZING,2)', 'A heartbeat of an earlier attempt gives the row, which has the current one.');
select is(tap.call('heartbeat', 2), 'ok', 'A heartbeat of a FAILED book is not an error.');
select is(
  (select h.status from bindery.heartbeat(tap.id(2), 1, 'ANALYZING') h), 'FAILED',
  'A heartbeat of a FAILED book returns the row with that status.');
select is(
  tap.snapshot(2) #- '{book,heartbeat_at}', (select s from before where n = 2),
  'A heartbeat of a FAILED book changes nothing.');
select is(
  (tap.row(2)).heartbeat_at, '2030-01-01 12:00+00',
  'A heartbeat of a FAILED book leaves its heartbeat_at.');

-- Events.
select tap.clock('2030-01-01 12:03+00');
select is(
  tap.apply(
    tap.event('heartbeat', 1, '{"count": 40}'), tap.event('heartbeat', 2),
    tap.event('heartbeat', 99)),
  '40/1/1/0', 'Heartbeat events are applied, stale or early.');
select is((tap.row(1)).heartbeat_at, '2030-01-01 12:03+00', 'A heartbeat event sets heartbeat_at.');
select tap.clock('2030-01-01 12:04+00');
select is(
  tap.apply(tap.event('heartbeat', 1, '{"stage": "UPLOADED"}')), '0/1/0/0',
  'A heartbeat event for a stage that the book has left is stale.');
select is(
  (tap.row(1)).heartbeat_at, '2030-01-01 12:03+00', 'A stale heartbeat event has no effect.');
select is(
  tap.apply(tap.event('heartbeat', 1, '{"stage": "ANALYZING", "attempt": 2}')), '1/0/0/0',
  'A heartbeat event of the current stage and attempt is applied.');
select is(
  tap.apply(tap.event('heartbeat', 1, '{"stage": "CREATING_ARTWORK"}')), '0/0/1/0',
  'A heartbeat event for a stage that is not reached is early.');
select is(
  tap.apply(tap.event('heartbeat', 1, '{"stage": "NOPE"}')), '0/0/0/1',
  'A heartbeat event for an unknown stage is rejected.');

select * from finish();
rollback;
