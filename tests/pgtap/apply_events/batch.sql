-- bindery.apply_events: positions, counts, and the order of segments.
begin;
\ir ../helpers.psql
select plan(44);
select tap.clock('2030-01-01 12:00+00');
select tap.book(n, '{ANALYZING}') from generate_series(1, 3) n;
create function pg_temp.cursor(stream text default 's') returns bindery.relay_cursors
language sql volatile as $$
  select c from bindery.relay_cursors c where c.stream = cursor.stream;
$$;
create function pg_temp.send("position" text, events jsonb) returns text language sql volatile as $$
  select tap.outcome(
    format('select bindery.apply_events(%L, 1, %L, %L)', 's', "position", events));
$$;
select bindery.acquire_stream('s', 'one');

-- Positions.
select is((select row(a.applied, a.stale, a.early, a.rejected)
    from bindery.apply_events('s', 1, '10-1', '[]') a),
  row(0::bigint, 0::bigint, 0::bigint, 0::bigint), 'An empty batch is applied.');
select is((pg_temp.cursor()).position, '10-1', 'An empty batch moves the position.');
select is((pg_temp.cursor()).applied_at, '2030-01-01 12:00+00', 'A batch sets applied_at.');
select is(tap.outcome('select bindery.apply_events(''s'', 1, ''10-1'')'),
  'PT409 position_passed', 'Events may be left out.');
select is(pg_temp.send(passed, jsonb_build_array(tap.event('heartbeat', 1))),
  'PT409 position_passed', format('A batch up to %s is refused after 10-1.', passed))
from unnest(array['10-1', '10-0', '9-99', '0-0']) passed;
select is(tap.error($$select bindery.apply_events('s', 1, '9-99', '[]')$$) #>> '{detail,position}',
  '10-1', 'The refusal gives the position of the stream.');
select is(pg_temp.send('10-2', '[]'), 'ok', 'A batch up to 10-2 is applied after 10-1.');
select is(pg_temp.send('18446744073709551615-18446744073709551614', '[]'), 'ok',
  'A position is two unsigned 64-bit numbers.');
select is(pg_temp.send(bad, '[]'), 'PT422 bad_input',
  format('A position of %s is refused.', quote_nullable(bad)))
from unnest(array[null, '', '1', 'x-1', '1-', '-1-1', '1-1-1', '$',
  '18446744073709551615-184467440737095516150', '18446744073709551616-0']) bad;
select is(pg_temp.send('18446744073709551615-18446744073709551615', bad), 'PT422 bad_input',
  format('A batch of %s is refused.', coalesce(bad::text, 'null')))
from unnest(array[null, '{}', '"x"', '1', 'null']::jsonb[]) bad;
select is((pg_temp.cursor()).position, '18446744073709551615-18446744073709551614',
  'A refused batch does not move the position.');

-- Counts: an item counts as many events as were merged into it.
select is(tap.apply(
  tap.event('progress', 1, '{"segment": 0, "substep": "extract_text", "progress": 40,
    "count": 17, "first_id": "1-0"}'),
  tap.event('progress', 2, '{"segment": 0, "substep": "extract_text", "progress": 60,
    "attempt": 1, "count": 3}'),
  tap.event('progress', 3, '{"segment": 0, "substep": "extract_text", "stage": "UPLOADED",
    "progress": 60, "count": 5}'),
  tap.event('progress', 3, '{"segment": 0, "substep": "nope", "progress": 60, "count": 2}'),
  tap.event('heartbeat', 3, '{"segment": 0, "count": 4}'),
  tap.event('heartbeat', 9, '{"segment": 0, "count": 8}'),
  '{"type": "rejected", "id": "1-9", "count": 1, "segment": 0, "reason": "bad_uuid",
    "message": "x is no uuid", "payload": {"book_id": "x"}, "truncated": true}'),
  '24/5/8/3', 'apply_events counts events, not items.');
select is(row((pg_temp.cursor('tap')).applied, (pg_temp.cursor('tap')).stale,
    (pg_temp.cursor('tap')).early, (pg_temp.cursor('tap')).rejected),
  row(24::bigint, 5::bigint, 8::bigint, 3::bigint), 'relay_cursors adds up the counts.');
select is(row((tap.row(1)).overall_progress, (tap.row(2)).overall_progress),
  row(2::float8, 3::float8), 'The applied reports have taken effect.');
select is((select row(event_id, first_event_id, count, book_id, reason, truncated)
    from bindery.dead_letters order by id limit 1),
  row('1-3'::text, '1-3'::text, 2::bigint, tap.id(3), 'unknown_substep'::text, false),
  'An event that can never apply is a dead letter.');
select is((select row(event_id, count, book_id, reason, truncated)
    from bindery.dead_letters order by id desc limit 1),
  row('1-9'::text, 1::bigint, null::uuid, 'bad_uuid'::text, true),
  'An event that the relay could not read is a dead letter with the relay''s reason.');

-- Segments.
select tap.book(4, '{ANALYZING}');
select is(tap.apply(
  tap.event('progress', 4, '{"segment": 2, "substep": "split_scenes", "progress": 30}'),
  tap.event('progress', 4, '{"segment": 0, "substep": "extract_text", "progress": 100}'),
  tap.event('transition', 4, '{"segment": 1, "to_status": "GENERATING_SCENES"}'),
  tap.event('fail', 4, '{"segment": 3, "error": {"code": "boom"}}')), '4/0/0/0',
  'Items are applied in the order of their segments, whatever their order in the array.');
select is(row((tap.row(4)).status, (tap.row(4)).current_stage, (tap.row(4)).stage_progress,
    (tap.row(4)).error),
  row('FAILED'::text, 'GENERATING_SCENES'::text, 15::float8, '{"code": "boom"}'::jsonb),
  'Each item has taken effect after those of the segments before it.');
select is(tap.apply(
  tap.event('register', 5, jsonb_build_object('title', 'Five', 'owner_id', tap.id(900),
    'metadata', '{"a": 1}'::jsonb)),
  tap.event('transition', 5, '{"to_status": "ANALYZING"}'),
  tap.event('plan', 5, '{"stage": "ANALYZING",
    "substeps": [{"substep": "index_names", "weight": 4}]}'),
  tap.event('progress', 5, '{"substep": "index_names", "progress": 50}'),
  tap.event('progress', 5, '{"substep": "index_names", "progress": 60}'),
  tap.event('fail', 5, '{"message": "out of paper"}'),
  tap.event('transition', 5, '{"to_status": "ANALYZING"}'),
  tap.event('progress', 5, '{"substep": "index_names", "progress": 90, "attempt": 1}')),
  '7/1/0/0', 'Items without a segment are applied in the order of the array.');
select is(row((tap.row(5)).title, (tap.row(5)).owner_id, (tap.row(5)).metadata,
    (tap.row(5)).status, (tap.row(5)).attempt, (tap.row(5)).stage_progress),
  row('Five'::text, tap.id(900), '{"a": 1}'::jsonb, 'ANALYZING'::text, 2, 0::float8),
  'A batch takes a book from its registration to its second attempt.');

-- The same in the words that events may use, too.
select is(tap.apply(tap.event('register', 6), tap.event('transition', 6, '{"to": "ANALYZING"}'),
    tap.event('plan', 6, '{"stage": "ANALYZING", "substeps": [{"substep": "extra"}]}')),
  '3/0/0/0', 'A transition may give its target as to.');
select is((tap.row(6)).status, 'ANALYZING', 'A transition to a target given as to takes effect.');

-- The recorded actor.
select is((select array_agg(distinct actor) from bindery.book_events where book_id = tap.id(5)),
  array['relay:tap'], 'The history names the stream as the actor.');
select is(tap.apply(tap.event('progress', 5, jsonb_build_object('substep', 'extract_text',
    'progress', 50, 'segment', segment))), '1/0/0/0',
  format('An item with a segment of %s is applied.', segment))
from unnest(array['"x"', '-1', '1e40', '{}', 'null']::jsonb[]) segment;

select * from finish();
rollback;
