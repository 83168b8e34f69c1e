begin;
\ir helpers.psql
-- note_stream: what the relay found its stream to be, and where it goes on.
select plan(24);
select tap.clock('2030-01-01 12:00:00+00');
create function pg_temp.noted() returns text language sql volatile as $$
  select concat_ws(' ', c.position, c.losses, c.lost, coalesce(c.last_loss, '-'), coalesce(c.lost_at::text, '-'), coalesce(c.entries_ahead::text, '-')) from bindery.relay_cursors c where c.stream = 's' $$;
set timezone = 'UTC';

select is((select entries from bindery.acquire_stream('s', 'one', '10 seconds')), null, 'of a new stream nobody knows what Redis counted');
select is(pg_temp.noted(), '0-0 0 0 - - -', 'and nothing is lost');
select lives_ok($$select bindery.note_stream('s', 1, 5)$$, 'a number alone is noted');
select is(pg_temp.noted(), '0-0 0 0 - - 5', 'and is no loss');
select bindery.apply_events('s', 1, '9-0', '[{"type": "dead", "id": "9-0", "count": 3, "reason": "bad_uuid", "message": "no uuid", "payload": {}}]');
select is((select entries from bindery.acquire_stream('s', 'one', '10 seconds')), 8::bigint, 'what is applied counts on top, dead or not');
select tap.clock('2030-01-01 12:00:01+00');
select bindery.note_stream('s', 2, 12, 'trimmed', 4);
select is(pg_temp.noted(), '9-0 1 4 trimmed 2030-01-01 12:00:01+00 9', 'a loss is noted with its number and its time');
select tap.clock('2030-01-01 12:00:02+00');
select bindery.note_stream('s', 2, 12);
select is(pg_temp.noted(), '9-0 1 4 trimmed 2030-01-01 12:00:01+00 9', 'what was found stays, though nothing is missing now');
select bindery.note_stream('s', 2, null, 'rewound', 0, '7-3');
select is(pg_temp.noted(), '7-3 2 4 rewound 2030-01-01 12:00:02+00 -', 'a stream that lost its end is read on from before, its number unknown');
select is((select row(a.epoch, a.position, a.entries) from bindery.acquire_stream('s', 'one', '10 seconds') a), row(3::bigint, '7-3'::text, null::bigint), 'and so the next one acquires it');
select is(tap.outcome($$select bindery.apply_events('s', 3, '7-4', '[]')$$), 'ok', 'what comes after that place is applied');
select bindery.note_stream('s', 3, 0, 'deleted', 0, '0-0');
select is(pg_temp.noted(), '0-0 3 4 deleted 2030-01-01 12:00:02+00 -3', 'a stream that is made anew begins anew; what was counted stays');
select is(tap.outcome($$select bindery.apply_events('s', 3, '0-1', '[]')$$), 'ok', 'its first entry is applied');
select bindery.note_stream('s', 3, 1, 'recreated');
select is((select c.last_loss from bindery.relay_cursors c), 'recreated', 'each kind is known');

create temp table before as select pg_temp.noted() as noted;
select is(tap.outcome($$select bindery.note_stream('s', 2, 1)$$), 'PT409 fenced', 'an epoch that is over notes nothing');
select is(tap.outcome($$select bindery.note_stream('other', 3, 1)$$), 'PT409 fenced', 'nor does who never had the stream');
select is(tap.outcome($$select bindery.note_stream('s', 3, 1, 'stolen')$$), 'PT422 bad_input', 'there is no other kind of loss');
select is(tap.outcome($$select bindery.note_stream('s', 3, -1)$$), 'PT422 bad_input', 'no number is below 0');
select is(tap.outcome($$select bindery.note_stream('s', 3, 9223372036854775807)$$), 'PT422 bad_input', 'nor beyond what can be counted');
select is(tap.outcome($$select bindery.note_stream('s', 3, 1, 'trimmed', -1)$$), 'PT422 bad_input', 'nothing less than nothing is lost');
select is(tap.outcome($$select bindery.note_stream('s', 3, 1, 'trimmed', null)$$), 'PT422 bad_input', 'nor nobody knows what');
select is(tap.outcome($$select bindery.note_stream('s', 3, 1, 'rewound', 0, 'here')$$), 'PT422 bad_input', 'a position is an id');
select is((select noted from before), pg_temp.noted(), 'none of these changed anything');
select bindery.release_stream('s', 3);
select is(tap.outcome($$select bindery.note_stream('s', 3, 1)$$), 'PT409 fenced', 'who released it notes nothing');
select is(tap.as_role('bindery_relay', $$select 'noted' from bindery.acquire_stream('t', 'me') a, bindery.note_stream('t', a.epoch, 1)$$), 'noted', 'the relay''s role may note');
select * from finish();
rollback;
