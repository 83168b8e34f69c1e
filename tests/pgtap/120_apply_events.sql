begin;
\ir helpers.psql
select plan(36);
select tap.clock('2030-01-01 12:00+00');
select tap.book(n, '{ANALYZING}') from generate_series(1, 3) n;
create function tap.cursor() returns bindery.relay_cursors language sql volatile as $$ select c from bindery.relay_cursors c where stream = 's' $$;
create function tap.send("position" text, events jsonb, epoch bigint default 1) returns text language sql volatile as $$
  select tap.outcome(format('select bindery.apply_events(%L, %L, %L, %L)', 's', epoch, "position", events));
$$;
select bindery.acquire_stream('s', 'one');

select is((select row(applied, stale, dead) from bindery.apply_events('s', 1, '10-1', '[]')), row(0::bigint, 0::bigint, 0::bigint), 'an empty batch is taken');
select is((tap.cursor()).position, '10-1', 'and moves the position');
select is((tap.cursor()).applied_at, '2030-01-01 12:00+00', 'and says when');
select is(tap.send('10-1', jsonb_build_array(tap.event('heartbeat', 1))), 'PT409 position_passed', 'a position that is applied already is refused');
select is(tap.send('9-99', '[]'), 'PT409 position_passed', 'and one before it');
select is(tap.send('10-0', '[]'), 'PT409 position_passed', 'positions are compared as numbers');
select is(tap.error($$select bindery.apply_events('s', 1, '9-99', '[]')$$) #>> '{detail,position}', '10-1', 'the refusal says where the stream is');
select is(tap.send('10-2', '[]'), 'ok', '10-2 is after 10-1');
select is(tap.send('18446744073709551615-18446744073709551614', '[]'), 'ok', 'ids are unsigned 64-bit numbers');
select is(tap.send(bad, '[]'), 'PT422 bad_input', format('%s is no position', coalesce(quote_literal(bad), 'null'))) from unnest(array[null, '', '1', 'x-1', '1-', '-1-1', '1-1-1', '$', '18446744073709551615-184467440737095516150']) bad;
select is(tap.send('18446744073709551615-18446744073709551615', bad), 'PT422 bad_input', format('%s is no batch', coalesce(bad::text, 'null'))) from unnest(array[null, '{}', '"x"', '1', 'null']::jsonb[]) bad;
select is((tap.cursor()).position, '18446744073709551615-18446744073709551614', 'what is refused moves no position');

-- Counts: an item stands for as many events as were merged into it.
select is(tap.apply(
  tap.event('progress', 1, '{"segment": 0, "substep": "extract_text", "progress": 40, "count": 17, "first_id": "1-0"}'),
  tap.event('progress', 2, '{"segment": 0, "substep": "extract_text", "progress": 60, "attempt": 1, "count": 3}'),
  tap.event('progress', 3, '{"segment": 0, "substep": "extract_text", "stage": "UPLOADED", "progress": 60, "count": 5}'),
  tap.event('progress', 3, '{"segment": 0, "substep": "nope", "progress": 60, "count": 2}'),
  tap.event('heartbeat', 3, '{"segment": 0, "count": 4}'),
  '{"type": "dead", "id": "1-9", "count": 1, "segment": 0, "reason": "bad_uuid", "message": "x is no uuid", "payload": {"book_id": "x"}, "truncated": true}'), '24/5/3',
  'applied, stale and dead count the events, not the items');
select is((select row(applied, stale, dead) from bindery.relay_cursors where stream = 'tap'), row(24::bigint, 5::bigint, 3::bigint), 'the stream keeps the sums');
select is(row((tap.row(1)).overall_progress, (tap.row(1)).revision, (tap.row(2)).overall_progress), row(2::float8, 3::bigint, 3::float8), 'what is applied has taken effect, one revision a book');
select is((select row(event_id, first_event_id, count, book_id, reason, truncated) from bindery.dead_letters order by id limit 1), row('1-9'::text, '1-9'::text, 1::bigint, null::uuid, 'bad_uuid'::text, true),
  'what the relay could not read is kept with its reason');
select is((select row(event_id, count, book_id, reason) from bindery.dead_letters order by id desc limit 1), row('1-3'::text, 2::bigint, tap.id(3), 'unknown_substep'::text), 'what the schema refused too');

-- Segments are applied in their order, whatever the order of the items.
select tap.book(4, '{ANALYZING}');
select is(tap.apply(
  tap.event('progress', 4, '{"segment": 2, "substep": "split_scenes", "progress": 30}'),
  tap.event('progress', 4, '{"segment": 0, "substep": "extract_text", "progress": 100}'),
  tap.event('transition', 4, '{"segment": 1, "to": "GENERATING_SCENES"}'),
  tap.event('fail', 4, '{"segment": 3, "error": {"code": "boom"}}')), '4/0/0', 'reports, a transition, reports and a failure, shuffled');
select is(row((tap.row(4)).status, (tap.row(4)).current_stage, (tap.row(4)).stage_progress, (tap.row(4)).error), row('FAILED'::text, 'GENERATING_SCENES'::text, 15::float8, '{"code": "boom"}'::jsonb),
  'all took effect in the order of the segments');

-- Without a segment each item is one, in the order given.
select is(tap.apply(
  tap.event('register', 5, '{"title": "Five", "owner_id": "00000000-0000-4000-8000-000000000900", "metadata": {"a": 1}}'),
  tap.event('transition', 5, '{"to": "ANALYZING"}'),
  tap.event('plan', 5, '{"stage": "ANALYZING", "substeps": [{"name": "index_names", "weight": 4}]}'),
  tap.event('progress', 5, '{"substep": "index_names", "progress": 50}'),
  tap.event('progress', 5, '{"substep": "index_names", "progress": 60}'),
  tap.event('fail', 5, '{"message": "out of paper"}'),
  tap.event('transition', 5, '{"to": "ANALYZING"}'),
  tap.event('progress', 5, '{"substep": "index_names", "progress": 90, "attempt": 1}')), '7/1/0', 'a whole life in a batch, item by item');
select is(row((tap.row(5)).title, (tap.row(5)).owner_id, (tap.row(5)).metadata, (tap.row(5)).status, (tap.row(5)).attempt, (tap.row(5)).stage_progress),
  row('Five'::text, tap.id(900), '{"a": 1}'::jsonb, 'ANALYZING'::text, 2, 0::float8), 'ends where its events say');
select is(tap.apply(tap.event('fail', 5, '{"attempt": 1}'), tap.event('transition', 5, '{"to": "GENERATING_SCENES", "attempt": 1}'), tap.event('fail', 5, '{"stage": "UPLOADED"}')), '0/3/0',
  'words of an earlier attempt, or from a stage that was left, change no status');
select is((tap.row(5)).status, 'ANALYZING', 'the book is where it was');
select is(tap.apply(tap.event('fail', 4), tap.event('fail', 5, '{"stage": "ANALYZING", "attempt": 2}'), tap.event('fail', 5, '{"attempt": 2}')), '1/2/0', 'a failure that is told twice is stale the second time');

select * from finish();
rollback;
