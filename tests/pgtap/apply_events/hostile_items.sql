-- Items that the relay never sends: each is rejected, the batch succeeds, and a good item in it
-- takes effect.
begin;
\ir ../helpers.psql
create temp table hostile (n serial, item jsonb);
insert into hostile (item)
select x::jsonb from unnest(array['null', '1', '"text"', 'true', '[]', '{}',
  '[1, [2, {"type": "progress"}]]', '[{"type": "heartbeat"}]', '{"type": null}', '{"type": 5}',
  '{"type": {}}', '{"type": ["progress"]}', '{"type": "dead"}', '{"type": "rejected"}',
  '{"type": "rejected", "payload": null, "reason": null, "message": null}',
  '{"type": "rejected", "count": "many", "truncated": "maybe", "book_id": "x", "id": {"a": 1}}',
  '{"type": "rejected", "count": 0}', '{"type": "rejected", "count": -1}',
  '{"type": "rejected", "count": 1e40}', '{"type": "rejected", "count": 1.5}',
  '{"type": "rejected", "count": 9223372036854775807}', '{"type": "rejected", "truncated": 7}',
  '{"payload": {"x": 1}, "reason": []}']) x;
-- No book id, or one that is not a uuid.
insert into hostile (item)
select jsonb_build_object('type', t, 'id', '1-1', 'progress', 10, 'to_status', 'ANALYZING') || book
from unnest(array['progress', 'transition', 'begin', 'fail', 'heartbeat', 'plan', 'register']) t,
  unnest(array['{}', '{"book_id": null}', '{"book_id": "x"}', '{"book_id": 5}',
    '{"book_id": ["00000000-0000-4000-8000-000000000001"]}', '{"book_id": {"book_id": "x"}}',
    '{"book_id": "00000000-0000-4000-8000-00000000000g"}']::jsonb[]) book;
-- A valid book id, and invalid fields.
insert into hostile (item)
select tap.event(t, 1, field::jsonb)
from (values
  ('progress', '{}'), ('progress', '{"progress": null}'), ('progress', '{"progress": "half"}'),
  ('progress', '{"progress": {}}'), ('progress', '{"progress": 101}'),
  ('progress', '{"progress": -1}'), ('progress', '{"progress": "NaN"}'),
  ('progress', '{"progress": 1e400}'), ('progress', '{"progress": [50]}'),
  ('progress', '{"progress": 10, "substep": "Bad Name"}'),
  ('progress', '{"progress": 10, "substep": null, "stage": 7}'),
  ('progress', '{"progress": 10, "substep": "extract_text", "attempt": 1e12}'),
  ('progress', '{"progress": 10, "substep": "extract_text", "attempt": "one"}'),
  ('progress', '{"progress": 10, "substep": "extract_text", "attempt": 1.5}'),
  ('progress', '{"progress": 10, "substep": "extract_text", "attempt": 0}'),
  ('progress', '{"substep": "extract_text", "done": 5, "total": 0}'),
  ('progress', '{"substep": "extract_text", "done": 5, "total": 1}'),
  ('progress', '{"substep": "extract_text", "done": -1, "total": 1e300}'),
  ('progress', '{"substep": "extract_text", "done": 5}'),
  ('progress', '{"progress": 10, "substep": "nope", "count": "x"}'),
  ('progress', '{"progress": 10, "substep": "nope", "count": {}}'),
  ('progress', '{"progress": 10, "substep": "nope", "count": 1e40}'),
  ('progress', '{"progress": 10, "substep": "nope", "count": 9223372036854775807}'),
  ('transition', '{"to_status": "NOWHERE", "count": 9223372036854775807}'),
  ('transition', '{}'), ('transition', '{"to_status": null}'), ('transition', '{"to_status": 5}'),
  ('transition', '{"to_status": ["GENERATING_SCENES"]}'), ('transition', '{"to_status": ""}'),
  ('transition', '{"to_status": "GENERATING_SCENES", "attempt": 99999999999}'),
  ('begin', '{}'), ('begin', '{"to_status": null}'), ('begin', '{"to_status": {}}'),
  ('begin', '{"to_status": "ANALYZING", "attempt": "x"}'),
  ('begin', '{"to_status": "ANALYZING", "attempt": 0}'),
  ('begin', '{"to_status": "GENERATING_SCENES", "worker": "a\u202e"}'),
  ('fail', '{"error": 5}'), ('fail', '{"error": []}'),
  ('fail', '{"attempt": {}}'), ('fail', '{"message": "\u001b[31m"}'),
  ('heartbeat', '{"attempt": "x"}'), ('heartbeat', '{"attempt": 99999999999}'),
  ('heartbeat', '{"stage": "NOPE", "count": "x"}'),
  ('plan', '{"stage": "ANALYZING"}'), ('plan', '{"stage": "ANALYZING", "substeps": null}'),
  ('plan', '{"stage": "ANALYZING", "substeps": {}}'),
  ('plan', '{"stage": "ANALYZING", "substeps": [null]}'),
  ('plan', '{"stage": null, "substeps": [{"substep": "a"}]}'),
  ('plan', '{"stage": "ANALYZING", "substeps": [{"substep": {"a": 1}}]}'),
  ('plan', '{"stage": "ANALYZING", "substeps": [{"substep": "a", "weight": {}}]}'),
  ('register', '{"owner_id": "me"}'), ('register', '{"owner_id": {}}'),
  ('register', '{"metadata": "x"}'), ('register', '{"pipeline": {}}'),
  ('register', '{"pipeline": ""}')) v(t, field);
select tap.book(1, '{ANALYZING}');
create temp table before as select tap.snapshot(1) as s;
select plan((select 2 * count(*) from hostile)::integer + 12);

select is(tap.apply(item), '0/0/0/1', format('The item %s is rejected.', left(item::text, 120)))
from hostile order by n;
select is(tap.snapshot(1), (select s from before), 'A rejected item leaves the book it names.');
select ok(reason <> '' and message <> '' and payload is not null and count = 1,
  format('A dead letter has a reason, %s, and a message: %s.', reason, left(message, 120)))
from bindery.dead_letters order by id;

-- Together with a good item: in one segment, in different segments, with invalid segments.
select tap.book(2, '{ANALYZING}');
select is((select tap.apply(variadic array_agg(item order by n)
      || tap.event('progress', 2, '{"substep": "extract_text", "progress": 20}')) from hostile),
  format('1/0/0/%s', (select count(*) from hostile)),
  'In one batch all hostile items are rejected, and a good report is applied.');
select is((select tap.apply(variadic array_agg(case jsonb_typeof(item)
        when 'object' then item || '{"segment": 0}' else item end order by n)
      || tap.event('progress', 2, '{"segment": 0, "substep": "extract_text", "progress": 40}'))
    from hostile),
  format('1/0/0/%s', (select count(*) from hostile)),
  'In one segment all hostile items are rejected, and a good report is applied.');
select is((tap.row(2)).stage_progress, 10::float8, 'The good reports take effect.');
select is(tap.apply(tap.event('progress', 2, jsonb_build_object('substep', 'extract_text',
    'progress', 50, 'segment', segment))), '1/0/0/0',
  format('An item with the segment %s is applied.', segment))
from unnest(array['"x"', '-1', '1e40', '{}', 'null']::jsonb[]) segment;
select is((select count(*)::int from bindery.book_status), 2, 'No hostile item makes a book.');
select is(tap.waiting(), 'none', 'No hostile item is kept as early.');
select is(tap.snapshot(1), (select s from before), 'No hostile item changes the book it names.');

select * from finish();
rollback;
