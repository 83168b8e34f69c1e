begin;
\ir helpers.psql
-- Every verdict that refuses an event leaves a dead letter with its reason, and harms nothing around it.
select tap.book(1, '{ANALYZING}');
select tap.book(2, '{ANALYZING,CANCELLED}');
create temp table cases (n serial, item jsonb, reason text);
insert into cases (item, reason) values
  (tap.event('progress', 99, '{"progress": 1}'), 'unknown_book'),
  (tap.event('progress', 1, '{"progress": 1, "stage": "NOPE"}'), 'unknown_stage'),
  (tap.event('progress', 1, '{"progress": 1, "stage": "CREATING_ARTWORK"}'), 'stage_not_reached'),
  (tap.event('progress', 1, '{"progress": 1, "substep": "nope"}'), 'unknown_substep'),
  (tap.event('progress', 1, '{"progress": 1, "substep": "extract_text", "attempt": 2}'), 'attempt_ahead'),
  (tap.event('heartbeat', 99), 'unknown_book'),
  (tap.event('heartbeat', 1, '{"attempt": 2}'), 'attempt_ahead'),
  (tap.event('transition', 99, '{"to": "ANALYZING"}'), 'unknown_book'),
  (tap.event('transition', 1, '{"to": "COMPLETED"}'), 'illegal_transition'),
  (tap.event('transition', 2, '{"to": "ANALYZING"}'), 'illegal_transition'),
  (tap.event('transition', 1, '{"to": "GENERATING_SCENES", "attempt": 2}'), 'attempt_ahead'),
  (tap.event('transition', 1), 'bad_input'),
  (tap.event('fail', 99), 'unknown_book'),
  (tap.event('fail', 1, '{"error": "boom"}'), 'bad_input'),
  (tap.event('fail', 1, '{"attempt": 2}'), 'attempt_ahead'),
  (tap.event('fail', 1, '{"stage": "NOPE"}'), 'unknown_stage'),
  (tap.event('fail', 1, '{"stage": "CREATING_ARTWORK"}'), 'stage_not_reached'),
  (tap.event('heartbeat', 1, '{"stage": "NOPE"}'), 'unknown_stage'),
  (tap.event('heartbeat', 1, '{"stage": "CREATING_ARTWORK"}'), 'stage_not_reached'),
  (tap.event('register', 1, '{"pipeline": "nope"}'), 'unknown_pipeline'),
  (tap.event('register', 1, '{"owner_id": "00000000-0000-4000-8000-000000000900"}'), 'conflicting_registration'),
  (tap.event('register', 98, '{"metadata": []}'), 'bad_input'),
  (tap.event('plan', 99, '{"stage": "ANALYZING", "substeps": [{"name": "a"}]}'), 'unknown_book'),
  (tap.event('plan', 1, '{"stage": "NOPE", "substeps": [{"name": "a"}]}'), 'unknown_stage'),
  (tap.event('plan', 1, '{"stage": "ANALYZING", "substeps": [{"name": "a"}, {"name": "a"}]}'), 'bad_input'),
  (tap.event('dance', 1), 'bad_input');
select plan((select 3 * count(*) from cases)::integer + 7);

create temp table before as select n, tap.snapshot(n) as s from generate_series(1, 2) n;
select is(tap.apply(item || '{"count": 3}'), '0/0/3', format('%s is dead: %s', item - array['id', 'count', 'book_id'], reason)) from cases order by n;
create temp table letters as select row_number() over (order by id) as n, d.* from bindery.dead_letters d;
select is(row(l.reason, l.event_id, l.count, l.book_id), row(c.reason, c.item ->> 'id', 3::bigint, (c.item ->> 'book_id')::uuid),
  format('its letter has the reason %s, id, count and book', c.reason)) from cases c join letters l using (n) order by n;
select ok(l.message like '%.' and l.payload @> (c.item - 'count') and not l.truncated, format('and a message, and the event itself: %s', l.message)) from cases c join letters l using (n) order by n;
select is(tap.snapshot(n), s, 'the books are as they were') from before;
select is((select count(*)::int from bindery.book_status where book_id in (tap.id(98), tap.id(99))), 0, 'no refused event made a book');

-- Around a bad one the good ones take effect.
select is((select tap.apply(variadic array_agg(c.item || '{"segment": 0}' order by n) || tap.event('progress', 1, '{"segment": 0, "substep": "extract_text", "progress": 40}')
    || tap.event('progress', 1, '{"segment": 0, "substep": "detect_chapters", "progress": 40}')) from cases c), format('2/0/%s', (select count(*) from cases)),
  'in one segment with all of these, two good reports are applied');
select is((tap.row(1)).stage_progress, 20::float8, 'and show');
select is((select count(*)::int from bindery.dead_letters where stream = 'tap'), (select 2 * count(*)::int from cases), 'each bad one has its letter again');
select is((select row(dead, applied) from bindery.relay_cursors where stream = 'tap'), (select row(4 * count(*), 2::bigint) from cases), 'the stream counts them');

select * from finish();
rollback;
