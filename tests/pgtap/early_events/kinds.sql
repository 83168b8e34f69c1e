-- Early events: each of the four kinds waits, and the change that makes it applicable applies it in
-- its own transaction, whichever session makes the change.
begin;
\ir ../helpers.psql
select plan(64);
select tap.clock('2030-01-01 12:00+00');
-- The state of the n-th book: 'STATUS attempt stage_progress'.
create function pg_temp.at(n integer) returns text language sql volatile as $$
  select concat_ws(' ', b.status, b.attempt, b.stage_progress)
  from bindery.book_status b where b.book_id = tap.id(n);
$$;

-- An unknown book.
select is(tap.apply(
    tap.event('transition', 1, '{"to_status": "ANALYZING", "id": "5-1", "count": 1}'),
    tap.event('progress', 1, '{"stage": "ANALYZING", "substep": "extract_text", "progress": 40,
      "id": "5-4", "first_id": "5-2", "count": 3, "segment": 7}')), '0/0/4/0',
  'Events about an unknown book are early.');
select is((select jsonb_agg(to_jsonb(e) - 'id' order by e.id) from bindery.early_events e),
  jsonb_build_array(
    jsonb_build_object('stream', 'tap', 'event_id', '5-1', 'first_event_id', '5-1', 'count', 1,
      'book_id', tap.id(1), 'reason', 'unknown_book', 'at', '2030-01-01T12:00:00+00:00',
      'message', format('There is no book %s.', tap.id(1)),
      'payload', tap.event('transition', 1, '{"to_status": "ANALYZING", "id": "5-1"}')),
    jsonb_build_object('stream', 'tap', 'event_id', '5-4', 'first_event_id', '5-2', 'count', 3,
      'book_id', tap.id(1), 'reason', 'unknown_book', 'at', '2030-01-01T12:00:00+00:00',
      'message', format('There is no book %s.', tap.id(1)),
      'payload', tap.event('progress', 1, '{"stage": "ANALYZING", "substep": "extract_text",
        "progress": 40, "id": "5-4", "first_id": "5-2", "count": 3}'))),
  'early_events has the stream, the ids, the count, the book, the reason and the event.');
select is(tap.reasons(), 'none', 'An early event is not a dead letter.');
select is((select row(c.applied, c.early, c.position) from bindery.relay_cursors c),
  row(0::bigint, 4::bigint, '1-0'::text), 'The position moves past an early event.');
select is((select row(b.status, b.revision) from bindery.register_book(tap.id(1)) b),
  row('ANALYZING'::text, 3::bigint),
  'register_book applies early events, and gives the row after.');
select is(pg_temp.at(1), 'ANALYZING 1 10', 'The early events take effect in their order.');
select is(tap.waiting(), 'none', 'An early event that was applied waits no more.');
select is((select row(c.applied, c.stale, c.early, c.rejected) from bindery.relay_cursors c),
  row(0::bigint, 0::bigint, 4::bigint, 0::bigint),
  'relay_cursors keeps counting an applied early event as early.');
select is((select array_agg(e.kind || ' ' || e.actor order by e.revision)
    from bindery.book_events e where e.book_id = tap.id(1)),
  array['register ' || session_user, 'transition relay:tap'],
  'The history names the stream of an early event as the actor.');
select is((select array_agg(o.payload ->> 'to_status' order by o.id) from bindery.outbox o
    where o.book_id = tap.id(1)), array['UPLOADED', 'ANALYZING'],
  'The outbox has a message for the change and one for the early transition.');

-- A stage that the book has not reached.
select tap.book(2, '{ANALYZING}');
select is(tap.apply(tap.event('progress', 2, '{"stage": "GENERATING_SCENES",
    "substep": "split_scenes", "progress": 30}')), '0/0/1/0',
  'A report for a stage that the book has not reached is early.');
select is(tap.apply(tap.event('heartbeat', 2, '{"stage": "GENERATING_SCENES"}')), '0/0/1/0',
  'A heartbeat from a stage that the book has not reached is early.');
select is(tap.apply(tap.event('fail', 2, '{"stage": "GENERATING_SCENES", "message": "ink"}')),
  '0/0/1/0', 'A failure of a stage that the book has not reached is early.');
select is(tap.apply(tap.event('plan', 2, '{"stage": "GENERATING_SCENES",
    "substeps": [{"substep": "extra"}]}')), '1/0/0/0',
  'A plan for a stage that the book has not reached is applied.');
select is(tap.waiting(), 'progress stage_not_reached, heartbeat stage_not_reached, '
  'fail stage_not_reached', 'Events for a stage to come wait with the reason stage_not_reached.');
select is(pg_temp.at(2), 'ANALYZING 1 0', 'An early event has no effect while it waits.');
select is((select row(b.status, b.message, b.stage_progress)
    from bindery.transition_book(tap.id(2), 'GENERATING_SCENES') b),
  row('FAILED'::text, 'ink'::text, 10::float8),
  'transition_book applies early events, and gives the row after.');
select is(tap.waiting(), 'none',
  'A transition to the stage applies all events that waited for it.');

-- A future attempt.
select tap.book(3, '{ANALYZING}');
select is(tap.batch(tap.event('progress', 3, '{"attempt": 2, "substep": "extract_text",
    "progress": 30}')), '0/0/1/0', 'A report of an attempt ahead is early.');
select is(tap.apply(tap.event('heartbeat', 3, '{"attempt": 2}')), '0/0/1/0',
  'A heartbeat of an attempt ahead is early.');
select is(tap.apply(tap.event('transition', 3, '{"attempt": 2, "to_status": "GENERATING_SCENES"}')),
  '0/0/1/0', 'A transition of an attempt ahead is early.');
select is(tap.waiting(), 'progress attempt_ahead, heartbeat attempt_ahead, '
  'transition attempt_ahead', 'Events of an attempt ahead wait with the reason attempt_ahead.');
select from bindery.fail_book(tap.id(3));
select is(tap.waiting(), 'progress attempt_ahead, heartbeat attempt_ahead, '
  'transition attempt_ahead', 'Events of an attempt ahead wait while the book is FAILED.');
select is((select b.status from bindery.resume_book(tap.id(3)) b), 'GENERATING_SCENES',
  'resume_book applies early events, and gives the row after.');
select is((select g.progress from bindery.book_progress g where g.book_id = tap.id(3)
    and g.substep = 'extract_text'), 30::float8, 'The early report takes effect.');
select is(tap.waiting(), 'none', 'A resume applies all events that waited for its attempt.');

-- A transition that the book has not made yet.
select tap.book(4);
select is(tap.apply(tap.event('transition', 4, '{"to_status": "CREATING_ARTWORK"}'),
    tap.event('transition', 4, '{"to_status": "GENERATING_SCENES"}')), '0/0/2/0',
  'Transitions whose predecessor is still to come are early.');
select is(tap.waiting(), 'transition transition_ahead, transition transition_ahead',
  'Early transitions wait with the reason transition_ahead.');
select is((select b.status from bindery.transition_book(tap.id(4), 'ANALYZING') b),
  'CREATING_ARTWORK', 'One transition applies all that wait for it, in whatever order they came.');
select is(tap.apply(tap.event('begin', 4, '{"to_status": "COMPLETED"}')), '0/0/0/1',
  'A begin of the final state is rejected.');
select tap.book(5);
select is(tap.apply(tap.event('begin', 5, '{"to_status": "GENERATING_SCENES",
    "worker": "cutter-1"}')), '0/0/1/0', 'A begin of a stage beyond the next is early.');
select is(tap.waiting(), 'begin stage_not_reached',
  'A begin of a stage beyond the next waits with the reason stage_not_reached.');
select is((select b.status from bindery.transition_book(tap.id(5), 'ANALYZING') b),
  'GENERATING_SCENES', 'The transition before it applies an early begin.');
select tap.book(6, '{ANALYZING,FAILED}');
select is(tap.apply(tap.event('transition', 6, '{"to_status": "GENERATING_SCENES"}')), '0/0/1/0',
  'A transition of a FAILED book to a later stage is early.');
select from bindery.resume_book(tap.id(6));
select is(pg_temp.at(6), 'GENERATING_SCENES 1 0',
  'A resume applies an early transition beyond the stage.');

-- The sources of the change.
select tap.apply(tap.event('progress', n, '{"stage": "ANALYZING", "substep": "extract_text",
    "progress": 40}'), tap.event('transition', n, '{"to_status": "ANALYZING"}'))
from generate_series(10, 19) n;
select is((select count(*) from bindery.early_events), 20::bigint,
  'The test has twenty early events.');
insert into bindery.book_status (book_id) values (tap.id(10));
select is(pg_temp.at(10), 'ANALYZING 1 10', 'A plain INSERT applies early events.');
insert into bindery.book_status (book_id) values (tap.id(11)), (tap.id(12));
select is(pg_temp.at(n), 'ANALYZING 1 10',
  format('A plain INSERT of two books applies those of book %s.', n))
from generate_series(11, 12) n;
select is(tap.apply(tap.event('register', 13)), '1/0/0/0', 'A registration in a batch is applied.');
select is(pg_temp.at(13), 'ANALYZING 1 10', 'A registration in a batch applies early events.');
select is(tap.apply(tap.event('begin', 14, '{"to_status": "ANALYZING", "pipeline": "comic"}')),
  '1/0/0/0', 'A begin with a pipeline registers an unknown book.');
select is(pg_temp.at(14), 'ANALYZING 1 10', 'A begin that registers applies early events.');
select is(tap.as_role('service_role', format('insert into bindery.book_status (book_id)
    values (%L) returning book_id', tap.id(15))), tap.id(15)::text,
  'The service''s plain INSERT is taken.');
select is(pg_temp.at(15), 'ANALYZING 1 10', 'The service''s plain INSERT applies early events.');
select is(bindery.begin_stage(tap.id(15), 'GENERATING_SCENES') ->> 'stage', 'GENERATING_SCENES',
  'begin_stage enters the next stage.');
select tap.apply(tap.event('progress', 15, '{"stage": "CREATING_ARTWORK", "substep": "page_1",
  "progress": 50}'));
update bindery.book_status set status = 'CREATING_ARTWORK' where book_id = tap.id(15);
select is(pg_temp.at(15), 'CREATING_ARTWORK 1 50', 'A plain UPDATE applies early events.');
select tap.apply(tap.event('progress', n, '{"stage": "GENERATING_SCENES",
  "substep": "split_scenes", "progress": 100}')) from generate_series(11, 14) n;
update bindery.book_status set status = 'GENERATING_SCENES'
where book_id in (tap.id(11), tap.id(12));
select is(pg_temp.at(n), 'GENERATING_SCENES 1 50',
  format('A plain UPDATE of two books applies those of book %s.', n))
from generate_series(11, 12) n;
select is(bindery.begin_stage(tap.id(13), 'GENERATING_SCENES') -> 'done', '["split_scenes"]',
  'begin_stage applies early events, and gives the resume point after.');
select is(tap.apply(tap.event('transition', 14, '{"to_status": "GENERATING_SCENES"}')), '1/0/0/0',
  'A transition in a batch is applied.');
select is(pg_temp.at(14), 'GENERATING_SCENES 1 50',
  'A transition in a batch applies early events.');

-- report_progress in a pipeline with auto_advance.
select from bindery.define_pipeline('advancing', '{"auto_advance": true, "states": [
  {"name": "NEW"}, {"name": "ONE", "weight": 1}, {"name": "TWO", "weight": 1}, {"name": "END"}]}');
select tap.book(20, '{}', 'advancing');
select is(tap.apply(tap.event('progress', 20, '{"stage": "TWO", "progress": 20}')), '0/0/1/0',
  'A report for a stage beyond the next is early with auto_advance, too.');
select from bindery.report_progress(tap.id(20), progress => 10, stage => 'ONE');
select is(pg_temp.at(20), 'TWO 1 20', 'A report that advances the book applies early events.');

-- sweep's resume, and its failing of a silent book.
select from bindery.define_pipeline('swept', '{"states": [{"name": "NEW"},
  {"name": "WORK", "weight": 1, "retry_after": "1 minute", "stall_after": "5 minutes"},
  {"name": "END"}]}');
select tap.book(21, '{WORK}', 'swept');
select from bindery.fail_book(tap.id(21));
select is(tap.apply(tap.event('progress', 21, '{"attempt": 2, "progress": 70}')), '0/0/1/0',
  'A report of the attempt after a failure is early.');
select bindery.renew_stream('tap', c.epoch, bindery_internal.now())
from bindery.relay_cursors c where c.stream = 'tap';
select tap.clock('2030-01-01 12:01+00');
select is((bindery.sweep() ->> 'resumed')::integer > 0, true, 'sweep resumes the book.');
select is(pg_temp.at(21), 'WORK 2 70', 'sweep''s resume applies early events.');
select is((select e.actor from bindery.book_events e where e.book_id = tap.id(21)
    order by e.revision desc limit 1), 'sweep', 'The resume itself has the actor sweep.');

-- Changes that do not make the events applicable.
select is(tap.waiting(), 'progress unknown_book, transition unknown_book, '
  'progress unknown_book, transition unknown_book, progress unknown_book, '
  'transition unknown_book, progress unknown_book, transition unknown_book',
  'The events of the books that are still unknown wait.');
select from bindery.cancel_book(tap.id(2));
select tap.book(22, '{ANALYZING}');
select tap.apply(tap.event('transition', 22, '{"to_status": "CREATING_ARTWORK"}'),
  tap.event('progress', 22, '{"stage": "CREATING_ARTWORK", "progress": 5, "substep": "page_1"}'),
  tap.event('fail', 22, '{"stage": "CREATING_ARTWORK"}'));
select is((select count(*) from bindery.early_events where book_id = tap.id(22)), 3::bigint,
  'Three events about a book wait.');
select from bindery.cancel_book(tap.id(22));
select is((select count(*) from bindery.early_events where book_id = tap.id(22)), 0::bigint,
  'Cancelling a book ends the waiting of its events.');
select is((select string_agg(reason, ', ') from bindery.dead_letters where book_id = tap.id(22)),
  null, 'Early events of a CANCELLED book are stale, and no dead letters.');
select tap.book(23, '{ANALYZING}');
select tap.apply(tap.event('transition', 23, '{"to_status": "CREATING_ARTWORK"}'));
select from bindery.report_progress(tap.id(23), 'extract_text', 50);
select is((select count(*) from bindery.early_events where book_id = tap.id(23)), 1::bigint,
  'A report leaves an early transition waiting.');
delete from bindery.book_status where book_id = tap.id(23);
select is((select count(*) from bindery.early_events where book_id = tap.id(23)), 1::bigint,
  'Early events outlive their book, until patience ends.');

select * from finish();
rollback;
