-- Early events of one stream keep their order; streams do not wait for each other.
begin;
\ir ../helpers.psql
select plan(30);
-- Applies items to a stream of its own name: 'applied/stale/early/rejected'.
create function pg_temp.apply(stream text, variadic events jsonb[]) returns text
language plpgsql as $$
begin
  if not exists (select from bindery.relay_cursors c where c.stream = apply.stream) then
    perform bindery.acquire_stream(apply.stream, 'pgtap');
  end if;
  return (
    select format('%s/%s/%s/%s', a.applied, a.stale, a.early, a.rejected)
    from bindery.relay_cursors c, bindery.apply_events(c.stream, c.epoch,
      split_part(c.position, '-', 1)::bigint + 1 || '-0', to_jsonb(events)) a
    where c.stream = apply.stream);
end
$$;
create function pg_temp.waiting(n integer) returns text language sql volatile as $$
  select string_agg(concat_ws(' ', e.payload ->> 'type', e.reason), ', ' order by e.id)
  from bindery.early_events e where e.book_id = tap.id(n);
$$;

-- An event without a stage is about the stage that the events before it led to.
select tap.book(1, '{ANALYZING}');
select is(pg_temp.apply('a',
    tap.event('transition', 1, '{"to_status": "CREATING_ARTWORK"}'),
    tap.event('progress', 1, '{"substep": "page_1", "progress": 40}')), '0/0/2/0',
  'A report without a stage waits behind an early transition of its stream.');
select is(pg_temp.waiting(1), 'transition transition_ahead, progress queued_behind',
  'A report behind an early transition waits with the reason queued_behind.');
select is(pg_temp.apply('a', tap.event('fail', 1, '{"message": "ink"}')), '0/0/1/0',
  'A failure without a stage waits behind the early events of its stream.');
select is(pg_temp.apply('a', tap.event('progress', 1, '{"stage": "ANALYZING",
    "substep": "extract_text", "progress": 40}')), '1/0/0/0',
  'A report that names the current stage does not wait.');
select is(pg_temp.apply('a', tap.event('heartbeat', 1)), '1/0/0/0', 'A heartbeat does not wait.');
select is(pg_temp.apply('a', tap.event('plan', 1, '{"stage": "ANALYZING",
    "substeps": [{"substep": "extra"}]}')), '1/0/0/0', 'A plan does not wait.');
select is(pg_temp.apply('b', tap.event('progress', 1, '{"substep": "detect_chapters",
    "progress": 40}')), '1/0/0/0', 'A report without a stage of another stream does not wait.');
select is(pg_temp.apply('a', tap.event('transition', 1, '{"to_status": "GENERATING_SCENES"}')),
  '1/0/0/0', 'A transition that is allowed does not wait.');
select is(row((tap.row(1)).status, (tap.row(1)).current_stage, (tap.row(1)).message,
    (tap.row(1)).stage_progress),
  row('FAILED'::text, 'CREATING_ARTWORK'::text, 'ink'::text, 40::float8),
  'A transition applies the transition, report and failure that waited, in their order.');
select is(pg_temp.waiting(1), null, 'Early events that were applied wait no more.');

-- The same in arrays.
select tap.book(2, '{ANALYZING}');
select pg_temp.apply('tap', tap.event('transition', 2, '{"to_status": "CREATING_ARTWORK"}'));
select is(tap.batch(
    tap.event('progress', 2, '{"segment": 0, "substep": "page_1", "progress": 40, "count": 2}'),
    tap.event('progress', 2, '{"segment": 0, "stage": "ANALYZING", "substep": "extract_text",
      "progress": 40}'),
    tap.event('progress', 1, '{"segment": 0, "substep": "page_2", "progress": 40}')), '1/1/2/0',
  'In arrays, reports without a stage wait behind an early transition of their book and stream.');
select is(tap.batch(
    tap.event('transition', 2, '{"segment": 0, "to_status": "GENERATING_SCENES"}'),
    tap.event('progress', 2, '{"segment": 1, "substep": "page_1", "progress": 60}')), '2/0/0/0',
  'A report that follows in the batch is applied after those that waited.');
select is((select row(g.progress, g.attempt) from bindery.book_progress g
    where g.book_id = tap.id(2) and g.substep = 'page_1'), row(60::float8, 1),
  'A report that waited and the one that follows it take effect.');

-- One batch with an early event and the events after it.
select tap.book(3, '{ANALYZING}');
select is(tap.batch(
    tap.event('transition', 3, '{"segment": 0, "to_status": "CREATING_ARTWORK"}'),
    tap.event('progress', 3, '{"segment": 1, "substep": "page_1", "progress": 10}'),
    tap.event('transition', 3, '{"segment": 2, "to_status": "COMPLETED"}')), '0/0/3/0',
  'A report in a later segment of the batch waits behind an early transition of the batch.');
select is(pg_temp.apply('b', tap.event('transition', 3, '{"to_status": "GENERATING_SCENES"}')),
  '1/0/0/0', 'Another stream brings the missing transition.');
select is(row((tap.row(3)).status, (select g.progress from bindery.book_progress g
    where g.book_id = tap.id(3) and g.substep = 'page_1')), row('COMPLETED'::text, 10::float8),
  'The report is applied before the transition that followed it.');

-- An unknown book: everything of the stream in its order, streams beside each other.
select is(pg_temp.apply('a', tap.event('transition', 4, '{"to_status": "ANALYZING"}'),
    tap.event('progress', 4, '{"substep": "extract_text", "progress": 100}'),
    tap.event('transition', 4, '{"to_status": "GENERATING_SCENES"}'),
    tap.event('progress', 4, '{"substep": "split_scenes", "progress": 20}')), '0/0/4/0',
  'A stream of events about an unknown book waits.');
select is(pg_temp.apply('b', tap.event('progress', 4, '{"stage": "GENERATING_SCENES",
    "substep": "write_prompts", "progress": 40}')), '0/0/1/0',
  'An event of another stream about the unknown book waits.');
select from bindery.register_book(tap.id(4));
select is(row((tap.row(4)).status, (tap.row(4)).stage_progress),
  row('GENERATING_SCENES'::text, 30::float8),
  'The registration applies the events of both streams.');
select is((select g.progress from bindery.book_progress g
    where g.book_id = tap.id(4) and g.substep = 'extract_text'), 100::float8,
  'The report between two transitions is about the stage between them.');

-- Three queues of one pipeline, in the worst order.
select is(pg_temp.apply('draw', tap.event('begin', 6, '{"to_status": "CREATING_ARTWORK"}'),
    tap.event('progress', 6, '{"substep": "page_1", "progress": 100}')), '0/0/2/0',
  'The events of the last queue come first, and wait.');
select is(pg_temp.apply('scenes', tap.event('begin', 6, '{"to_status": "GENERATING_SCENES"}'),
    tap.event('progress', 6, '{"substep": "split_scenes", "progress": 100}')), '0/0/2/0',
  'The events of the queue before the last come next, and wait.');
select is(pg_temp.apply('extract', tap.event('begin', 6, '{"to_status": "ANALYZING"}'),
    tap.event('progress', 6, '{"substep": "extract_text", "progress": 100}')), '0/0/2/0',
  'The events of the first queue come last, and wait.');
select from bindery.register_book(tap.id(6));
select is((tap.row(6)).status, 'CREATING_ARTWORK', 'The registration applies the begins in order.');
select is((select array_agg(e.to_status || ' ' || e.actor order by e.revision)
    from bindery.book_events e where e.book_id = tap.id(6) and e.kind <> 'register'),
  array['ANALYZING relay:extract', 'GENERATING_SCENES relay:scenes',
    'CREATING_ARTWORK relay:draw'],
  'The history names the stream of each early begin.');
select is((select g.progress from bindery.book_progress g where g.book_id = tap.id(6)
    and g.substep = 'page_1'), 100::float8, 'The report of the last queue takes effect.');
select is((select g.progress from bindery.book_progress g where g.book_id = tap.id(6)
    and g.substep = 'split_scenes'), 100::float8,
  'The report of the queue before the last takes effect.');
select is((select g.progress from bindery.book_progress g where g.book_id = tap.id(6)
    and g.substep = 'extract_text'), 100::float8, 'The report of the first queue takes effect.');
select is(tap.reasons(), 'none', 'Queues in the wrong order make no dead letter.');
select is(tap.waiting(), 'none', 'Queues in the wrong order leave no event waiting.');

select * from finish();
rollback;
