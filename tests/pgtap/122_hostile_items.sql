begin;
\ir helpers.psql
-- Items that no relay of ours would send. Whatever they hold: they are buried, the batch passes, the good one in it counts.
create temp table hostile (n serial, item jsonb);
insert into hostile (item)
select x::jsonb from unnest(array['null', '1', '"text"', 'true', '[]', '{}', '[1, [2, {"type": "progress"}]]', '[{"type": "heartbeat"}]', '{"type": null}', '{"type": 5}', '{"type": {}}', '{"type": ["progress"]}',
  '{"type": "dead"}', '{"type": "dead", "payload": null, "reason": null, "message": null}', '{"type": "dead", "count": "many", "truncated": "maybe", "book_id": "x", "id": {"a": 1}}',
  '{"type": "dead", "count": 0}', '{"type": "dead", "count": -1}', '{"type": "dead", "count": 1e40}', '{"type": "dead", "count": 1.5}', '{"type": "dead", "truncated": 7}', '{"payload": {"x": 1}, "reason": []}']) x;
insert into hostile (item)
select jsonb_build_object('type', t, 'id', '1-1') || book || field
from unnest(array['progress', 'transition', 'fail', 'heartbeat', 'plan', 'register']) t,
  unnest(array['{}', '{"book_id": null}', '{"book_id": "x"}', '{"book_id": 5}', '{"book_id": ["00000000-0000-4000-8000-000000000001"]}', '{"book_id": "00000000-0000-4000-8000-00000000000g"}']::jsonb[]) book,
  unnest(array['{"progress": 10}']::jsonb[]) field;
insert into hostile (item)
select tap.event(t, 1, field::jsonb)
from (values
  ('progress', '{}'), ('progress', '{"progress": null}'), ('progress', '{"progress": "half"}'), ('progress', '{"progress": {}}'), ('progress', '{"progress": 101}'), ('progress', '{"progress": -1}'),
  ('progress', '{"progress": "NaN"}'), ('progress', '{"progress": 1e400}'), ('progress', '{"progress": [50]}'), ('progress', '{"progress": 10, "substep": "Bad Name"}'),
  ('progress', '{"progress": 10, "substep": null, "stage": 7}'), ('progress', '{"progress": 10, "substep": "extract_text", "attempt": 1e12}'),
  ('progress', '{"progress": 10, "substep": "extract_text", "attempt": "one"}'), ('progress', '{"progress": 10, "substep": "extract_text", "attempt": 1.5}'),
  ('progress', '{"progress": 10, "substep": "extract_text", "done": 5, "total": 0}'), ('progress', '{"progress": 10, "substep": "extract_text", "done": 5, "total": 1}'),
  ('progress', '{"progress": 10, "substep": "extract_text", "done": -1, "total": 1e300}'), ('progress', '{"progress": 10, "substep": "extract_text", "count": "x"}'),
  ('progress', '{"progress": 10, "substep": "extract_text", "count": {}}'), ('progress', '{"progress": 10, "substep": "extract_text", "count": 1e40}'), ('progress', '{"progress": 10, "substep": "extract_text", "count": 9223372036854775807}'),
  ('transition', '{"to": "GENERATING_SCENES", "count": 9223372036854775807}'), ('dead', '{"count": 9223372036854775807}'),
  ('transition', '{"to": null}'), ('transition', '{"to": 5}'), ('transition', '{"to": ["GENERATING_SCENES"]}'), ('transition', '{"to": ""}'), ('transition', '{"to": "GENERATING_SCENES", "attempt": 99999999999}'),
  ('fail', '{"error": 5}'), ('fail', '{"error": null}'), ('fail', '{"error": []}'), ('fail', '{"attempt": {}}'),
  ('heartbeat', '{"attempt": "x"}'), ('heartbeat', '{"attempt": 99999999999}'), ('heartbeat', '{"count": "x"}'),
  ('plan', '{"stage": "ANALYZING", "substeps": null}'), ('plan', '{"stage": "ANALYZING", "substeps": {}}'), ('plan', '{"stage": "ANALYZING", "substeps": [null]}'), ('plan', '{"stage": null, "substeps": [{"name": "a"}]}'),
  ('plan', '{"stage": "ANALYZING", "substeps": [{"name": {"a": 1}}]}'), ('plan', '{"stage": "ANALYZING", "substeps": [{"name": "a", "weight": {}}]}'),
  ('register', '{"owner_id": "me"}'), ('register', '{"owner_id": {}}'), ('register', '{"metadata": "x"}'), ('register', '{"pipeline": {}}'), ('register', '{"pipeline": ""}')) v(t, field);
-- All are to die: a report that names no substep of ANALYZING, a second book of the same name, and so on.
select tap.book(1, '{ANALYZING}');
create temp table before as select tap.snapshot(1) as s;
select plan((select 2 * count(*) from hostile)::integer + 10);

select is(tap.apply(item), '0/0/1', format('%s is buried', left(item::text, 120))) from hostile order by n;
select is(tap.snapshot(1), (select s from before), 'and the book named in them is as it was');
select ok(reason <> '' and message <> '' and payload is not null and count = 1, format('%s: %s', reason, left(message, 120))) from bindery.dead_letters order by id;

-- Together with a good one, in one segment and in segments of their own, and with segments that are none.
select tap.book(2, '{ANALYZING}');
select is((select tap.apply(variadic array_agg(item order by n) || tap.event('progress', 2, '{"substep": "extract_text", "progress": 20}')) from hostile),
  format('1/0/%s', (select count(*) from hostile)), 'in one batch: all of them are buried, the good report is applied');
select is((select tap.apply(variadic array_agg(case jsonb_typeof(item) when 'object' then item || '{"segment": 0}' else item end order by n)
    || tap.event('progress', 2, '{"segment": 0, "substep": "extract_text", "progress": 40}')) from hostile),
  format('1/0/%s', (select count(*) from hostile)), 'in one segment: the same');
select is((tap.row(2)).stage_progress, 10::float8, 'the good reports show');
select is(tap.apply(tap.event('progress', 2, jsonb_build_object('substep', 'extract_text', 'progress', 50, 'segment', segment))), '1/0/0', format('a segment %s stops nobody', segment))
from unnest(array['"x"', '-1', '1e40', '{}', 'null']::jsonb[]) segment;
select is((select count(*)::int from bindery.book_status), 2, 'no book was made');

select * from finish();
rollback;
