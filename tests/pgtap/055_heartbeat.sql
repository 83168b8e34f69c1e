begin;
\ir helpers.psql
select plan(18);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING,FAILED,ANALYZING}');
select tap.book(2, '{ANALYZING,FAILED}');
create temp table before as select n, to_jsonb(tap.row(n)) - 'heartbeat_at' as b from generate_series(1, 2) n;

select tap.clock('2030-01-01 12:01+00');
select is(tap.outcome(format('select bindery.heartbeat(%L)', tap.id(1))), 'ok', 'a heartbeat is taken');
select is((tap.row(1)).heartbeat_at, '2030-01-01 12:01+00', 'and noted');
select is(to_jsonb(tap.row(1)) - 'heartbeat_at', (select b from before where n = 1), 'nothing else changes, the revision neither');
select tap.clock('2030-01-01 12:02+00');
select is(tap.outcome(format('select bindery.heartbeat(%L, 1)', tap.id(1))), 'ok', 'a heartbeat of an earlier attempt is stale');
select is((tap.row(1)).heartbeat_at, '2030-01-01 12:01+00', 'and has no effect');
select is(tap.outcome(format('select bindery.heartbeat(%L, 2)', tap.id(1))), 'ok', 'one of this attempt is taken');
select is((tap.row(1)).heartbeat_at, '2030-01-01 12:02+00', 'and noted');
select is(tap.outcome(format('select bindery.heartbeat(%L, 3)', tap.id(1))), 'PT409 attempt_ahead', 'one of an attempt to come is refused');
select is(tap.outcome(format('select bindery.heartbeat(%L)', tap.id(99))), 'PT404 unknown_book', 'one of an unknown book is refused');
select is(tap.outcome('select bindery.heartbeat(null)'), 'PT404 unknown_book', 'one of no book is refused');
select is(tap.outcome(format('select bindery.heartbeat(%L)', tap.id(2))), 'ok', 'a heartbeat of a FAILED book is stale');
select is(to_jsonb(tap.row(2)) - 'heartbeat_at', (select b from before where n = 2), 'and changes nothing');
select is((tap.row(2)).heartbeat_at, '2030-01-01 12:00+00', 'not even the heartbeat');

select tap.clock('2030-01-01 12:03+00');
select is(tap.apply(tap.event('heartbeat', 1, '{"count": 40, "segment": 0}'), tap.event('heartbeat', 2, '{"segment": 0}'), tap.event('heartbeat', 99, '{"segment": 0}')), '40/1/1',
  'as events they are counted as applied, stale and dead');
select is((tap.row(1)).heartbeat_at, '2030-01-01 12:03+00', 'and take effect');

select tap.clock('2030-01-01 12:04+00');
select is(tap.apply(tap.event('heartbeat', 1, '{"stage": "UPLOADED"}')), '0/1/0', 'one from a stage that was left is stale');
select is((tap.row(1)).heartbeat_at, '2030-01-01 12:03+00', 'and does not keep the stage after it alive');
select is(tap.apply(tap.event('heartbeat', 1, '{"stage": "ANALYZING", "attempt": 2}')), '1/0/0', 'one that names the stage and the attempt that are on counts');

select * from finish();
rollback;
