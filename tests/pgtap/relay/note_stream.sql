-- bindery.note_stream: the relay's finding about its stream in Redis, and the position at which it
-- continues.
begin;
\ir ../helpers.psql
select plan(25);
set local timezone = 'UTC';
select tap.clock('2030-01-01 12:00:00+00');
create function pg_temp.noted() returns text language sql volatile as $$
  select concat_ws(' ', c.position, c.losses, c.lost, coalesce(c.last_loss, '-'),
    coalesce(c.lost_at::text, '-'), coalesce(c.entries_ahead::text, '-'))
  from bindery.relay_cursors c where c.stream = 's';
$$;

select is((select entries from bindery.acquire_stream('s', 'one', '10 seconds')), null,
  'The number of entries of a new stream is not known.');
select is(pg_temp.noted(), '0-0 0 0 - - -', 'A new stream has lost nothing.');
select lives_ok($$select bindery.note_stream('s', 1, 5)$$, 'The number of entries is noted.');
select is(pg_temp.noted(), '0-0 0 0 - - 5', 'A number of entries is not a loss.');
select tap.book(1, '{ANALYZING}');
select bindery.apply_events('s', 1, '9-0', jsonb_build_array(
  '{"type": "rejected", "id": "9-0", "count": 3, "reason": "bad_uuid", "message": "no uuid",
    "payload": {}}'::jsonb,
  tap.event('heartbeat', 9, '{"count": 10}'), tap.event('heartbeat', 1, '{"count": 100}'),
  tap.event('heartbeat', 1, '{"count": 1000, "stage": "UPLOADED"}')));
select is((select row(applied, stale, early, rejected) from bindery.relay_cursors),
  row(100::bigint, 1000::bigint, 10::bigint, 3::bigint), 'The test applies a batch of each kind.');
select is((select entries from bindery.acquire_stream('s', 'one', '10 seconds')), 1118::bigint,
  'Events that were applied, stale, early or rejected add to the number of entries.');
select tap.clock('2030-01-01 12:00:01+00');
select bindery.note_stream('s', 2, 1122, 'trimmed', 4);
select is(pg_temp.noted(), '9-0 1 4 trimmed 2030-01-01 12:00:01+00 9',
  'A loss is noted with its kind, its number and its time.');
select tap.clock('2030-01-01 12:00:02+00');
select bindery.note_stream('s', 2, 1122);
select is(pg_temp.noted(), '9-0 1 4 trimmed 2030-01-01 12:00:01+00 9',
  'A noted loss stays when nothing more is missing.');
select bindery.note_stream('s', 2, null, 'rewound', 0, '7-3');
select is(pg_temp.noted(), '7-3 2 4 rewound 2030-01-01 12:00:02+00 -',
  'A stream that lost its end continues from an earlier position.');
select is((select row(a.epoch, a.position, a.entries)
    from bindery.acquire_stream('s', 'one', '10 seconds') a),
  row(3::bigint, '7-3'::text, null::bigint),
  'The next relay acquires the stream at the noted position.');
select is(tap.outcome($$select bindery.apply_events('s', 3, '7-4', '[]')$$), 'ok',
  'Entries after the noted position are applied.');
select bindery.note_stream('s', 3, 0, 'deleted', 0, '0-0');
select is(pg_temp.noted(), '0-0 3 4 deleted 2030-01-01 12:00:02+00 -1113',
  'A stream that was made anew begins at 0-0 and keeps its counts.');
select is(tap.outcome($$select bindery.apply_events('s', 3, '0-1', '[]')$$), 'ok',
  'The first entry of a stream that was made anew is applied.');
select bindery.note_stream('s', 3, 1, 'recreated');
select is((select c.last_loss from bindery.relay_cursors c), 'recreated',
  'The loss recreated is known.');

create temp table before as select pg_temp.noted() as noted;
select is(tap.outcome(format('select bindery.note_stream(%s)', arguments)), outcome,
  format('note_stream(%s) is refused.', arguments))
from (values ('''s'', 2, 1', 'PT409 fenced'), ('''other'', 3, 1', 'PT409 fenced'),
  ('''s'', 3, 1, ''stolen''', 'PT422 bad_input'), ('''s'', 3, -1', 'PT422 bad_input'),
  ('''s'', 3, 9223372036854775807', 'PT422 bad_input'),
  ('''s'', 3, 1, ''trimmed'', -1', 'PT422 bad_input'),
  ('''s'', 3, 1, ''trimmed'', null', 'PT422 bad_input'),
  ('''s'', 3, 1, ''rewound'', 0, ''here''', 'PT422 bad_input')) v(arguments, outcome);
select is(pg_temp.noted(), (select noted from before), 'A refused note_stream changes nothing.');
select bindery.release_stream('s', 3);
select is(tap.outcome($$select bindery.note_stream('s', 3, 1)$$), 'PT409 fenced',
  'A relay that released its stream notes nothing.');
select is(tap.as_role('bindery_relay', $$select 'noted' from bindery.acquire_stream('t', 'me') a,
    bindery.note_stream('t', a.epoch, 1)$$), 'noted', 'The relay''s role may call note_stream.');

select * from finish();
rollback;
