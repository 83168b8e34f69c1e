-- report_events: each event has its own outcome.
begin;
\ir ../helpers.psql
select plan(15);
select tap.clock('2030-01-01 12:00+00');
create function tap.report(key text, variadic events jsonb[]) returns jsonb language sql as
  'select bindery.report_events(to_jsonb(events), key)';
create function tap.codes(answer jsonb) returns text language sql as $$
  select string_agg(concat_ws(' ', o ->> 'outcome', o ->> 'code'), ', ' order by n)
  from jsonb_array_elements(answer -> 'outcomes') with ordinality as o(o, n);
$$;

select is(bindery.report_events('[]'), '{"replayed": false, "outcomes": []}',
  'A batch may be empty.');
select is(tap.codes(tap.report(null,
    tap.event('register', 1, '{"pipeline": "comic", "title": "T"}'),
    tap.event('begin', 1, '{"to_status": "ANALYZING", "worker": "w"}'),
    tap.event('progress', 1, '{"substep": "extract_text", "progress": 40, "attempt": 1}'),
    tap.event('progress', 1, '{"substep": "extract_text", "progress": 50, "attempt": 2}'),
    tap.event('progress', 1, '{"stage": "ANALYZING", "substep": "no_such",
      "progress": 40}'),
    tap.event('heartbeat', 2), tap.event('transition', 1, '{"to_status": "COMPLETED"}'),
    tap.event('fail', 1, '{"stage": "ANALYZING", "error": {"code": "torn"}}'),
    tap.event('heartbeat', 1, '{"stage": "ANALYZING", "attempt": 1}'))),
  'applied, applied, applied, early attempt_ahead, rejected unknown_substep, '
    || 'early unknown_book, early transition_ahead, applied, stale',
  'Events are applied, kept as early, stale or rejected, each alone and in order.');
select is((select concat_ws(' ', status, current_stage, error ->> 'code') from bindery.book_status
    where book_id = tap.id(1)), 'FAILED ANALYZING torn', 'What was applied took effect.');
select is((select actor from bindery.book_events where book_id = tap.id(1)
    and to_status = 'ANALYZING'), 'w', 'The history names the worker of a begin.');
select set_eq($$select stream, reason from bindery.early_events$$,
  $$values ('http', 'attempt_ahead'), ('http', 'unknown_book'), ('http', 'transition_ahead')$$,
  'Early events wait under the stream http.');
select is_empty('select from bindery.dead_letters',
  'A rejected event does not become a dead letter.');
select bindery.register_book(tap.id(2));
select is_empty($$select from bindery.early_events where book_id = tap.id(2)$$,
  'An early event is applied once it is applicable.');

-- Items that are not events.
select is(tap.codes(bindery.report_events('[1, null, {}, {"book_id": "x"},
    {"type": "rejected", "reason": "bad_json", "message": "m"},
    {"type": "dance", "book_id": "00000000-0000-0000-0000-000000000001"}]')),
  'rejected not_an_object, rejected not_an_object, rejected bad_uuid, rejected bad_uuid, '
    || 'rejected bad_json, rejected bad_input',
  'An item that is not an event is rejected alone.');

-- An event that raises is rejected alone.
create function tap.refuse() returns trigger language plpgsql as $$ begin
  if new.title = 'raise' then raise exception 'not this one'; end if; return new; end $$;
create trigger refuse before insert on bindery.book_status
  for each row execute function tap.refuse();
select is(tap.codes(tap.report(null, tap.event('register', 4),
    tap.event('register', 5, '{"title": "raise"}'), tap.event('register', 6))),
  'applied, rejected refused_by_database, applied', 'An event that raises is rejected alone.');

-- Bounds.
update bindery.settings set early_events_per_book = 1 where true;
select is(tap.codes(tap.report(null, tap.event('heartbeat', 11), tap.event('heartbeat', 11))),
  'early unknown_book, rejected too_many_early_events',
  'An early event beyond the bounds is rejected.');
select is(tap.outcome($$select bindery.report_events((
    select jsonb_agg('{}'::jsonb) from generate_series(1, 1001)))$$), 'PT422 bad_input',
  'A batch has at most 1,000 events.');
select is(tap.outcome($$select bindery.report_events('{}')$$), 'PT422 bad_input',
  'A batch is an array.');

update bindery.settings set early_events_per_book = 10 where true;

-- Both ways of sending the same events lead to the same book.
select tap.book(21, '{ANALYZING}');
select tap.book(22, '{ANALYZING}');
select tap.report(null, tap.event('progress', 21, '{"substep": "extract_text", "done": 3,
  "total": 4, "unit": "page", "message": "on", "checkpoint": {"page": 3}}'),
  tap.event('plan', 21, '{"stage": "ANALYZING", "substeps": [{"substep": "more"}]}'));
select bindery.report_progress(tap.id(22), 'extract_text', done => 3, total => 4, unit => 'page',
  message => 'on', checkpoint => '{"page": 3}');
select bindery.plan_substeps(tap.id(22), 'ANALYZING', '[{"substep": "more"}]');
select is(bindery.get_resume_point(tap.id(21)) - 'book_id',
  bindery.get_resume_point(tap.id(22)) - 'book_id', 'A batch has the effect of the functions.');

-- A report that a later stage makes applicable queues what depends on the order.
select tap.book(31, '{}');
select is(tap.codes(tap.report(null,
    tap.event('transition', 31, '{"to_status": "GENERATING_SCENES"}'),
    tap.event('progress', 31, '{"substep": "split_scenes", "progress": 5}'),
    tap.event('begin', 31, '{"to_status": "ANALYZING"}'))),
  'early transition_ahead, early queued_behind, applied',
  'A report without a stage waits behind an early event of its book.');
select is((select concat_ws(' ', status, stage_progress > 0) from bindery.book_status
    where book_id = tap.id(31)), 'GENERATING_SCENES t',
  'The events that waited are applied in their order.');

select * from finish();
rollback;
