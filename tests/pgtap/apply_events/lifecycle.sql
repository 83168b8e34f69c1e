-- The effect of transition, begin, fail, plan, register and heartbeat events that are repeated or
-- stale.
begin;
\ir ../helpers.psql
select plan(48);
select tap.clock('2030-01-01 12:00+00');
create function pg_temp.kinds(n integer) returns text language sql volatile as $$
  select string_agg(e.kind, ' ' order by e.revision)
  from bindery.book_events e where e.book_id = tap.id(n);
$$;

-- Transitions.
select tap.book(1, '{ANALYZING,GENERATING_SCENES}');
select is(tap.apply(tap.event('transition', 1, '{"to_status": "GENERATING_SCENES"}')), '1/0/0/0',
  'A repeated transition is applied.');
select is((tap.row(1)).revision, 3::bigint, 'A repeated transition has no effect.');
select is(tap.apply(tap.event('transition', 1, '{"to_status": "GENERATING_SCENES", "attempt": 1}')),
  '1/0/0/0', 'A repeated transition that names the attempt is applied.');
select is(tap.apply(tap.event('transition', 1, '{"to_status": "ANALYZING"}')), '0/1/0/0',
  'A transition to a stage that the book has left is stale.');
select is(tap.apply(tap.event('transition', 1, '{"to_status": "UPLOADED"}')), '0/1/0/0',
  'A transition to a state that lies before the book''s stage is stale.');
select is(tap.apply(tap.event('transition', 1, '{"to_status": "COMPLETED"}')), '0/0/1/0',
  'A transition whose predecessor is still to come is early.');
select is(tap.apply(tap.event('transition', 1, '{"to_status": "NOWHERE"}')), '0/0/0/1',
  'A transition to a state that the pipeline does not have is rejected.');
select is(tap.apply(tap.event('transition', 1, '{"to_status": "CREATING_ARTWORK"}')), '1/0/0/0',
  'A transition that the pipeline allows is applied.');
select is((tap.row(1)).status, 'COMPLETED',
  'The early transition is applied with the transition before it.');
select is(tap.apply(tap.event('transition', 1, '{"to_status": "COMPLETED"}')), '1/0/0/0',
  'A repeated transition to the final state is applied.');
select is(tap.apply(tap.event('transition', 1, '{"to_status": "ANALYZING"}')), '0/1/0/0',
  'A transition of a COMPLETED book to another state of its pipeline is stale.');
select is(tap.apply(tap.event('transition', 1, '{"to_status": "CANCELLED"}')), '0/1/0/0',
  'A transition of a COMPLETED book to CANCELLED is stale.');
select is(tap.reasons(), 'illegal_transition',
  'A rejected transition has the reason illegal_transition.');
select is(pg_temp.kinds(1), 'register transition transition transition complete',
  'Repeated and stale transitions leave nothing in the history.');

-- CANCELLED.
select tap.book(2, '{ANALYZING}');
select is(tap.apply(tap.event('transition', 2, '{"to_status": "CANCELLED", "message": "enough"}')),
  '1/0/0/0', 'A transition to CANCELLED is applied.');
select is(tap.apply(tap.event('transition', 2, '{"to_status": "CANCELLED"}')), '1/0/0/0',
  'A repeated transition to CANCELLED is applied.');
select is((tap.row(2)).message, 'enough', 'A repeated transition leaves the message.');
select is(tap.apply(tap.event('transition', 2, '{"to_status": "GENERATING_SCENES"}')), '0/1/0/0',
  'A transition of a CANCELLED book to a later stage is stale.');
select is(tap.apply(tap.event('progress', 2, '{"substep": "extract_text", "progress": 5}')),
  '0/1/0/0', 'A report about a CANCELLED book is stale.');
select is(tap.apply(tap.event('fail', 2)), '0/1/0/0', 'A fail of a CANCELLED book is stale.');
select is(tap.apply(tap.event('heartbeat', 2)), '0/1/0/0',
  'A heartbeat of a CANCELLED book is stale.');
select is(tap.apply(tap.event('begin', 2, '{"to_status": "GENERATING_SCENES"}')), '0/1/0/0',
  'A begin of a CANCELLED book is stale.');

-- Attempts.
select tap.book(3, '{ANALYZING,FAILED,ANALYZING}');
select is(tap.apply(tap.event('transition', 3, '{"to_status": "GENERATING_SCENES", "attempt": 1}')),
  '0/1/0/0', 'A transition from an earlier attempt is stale.');
select is(tap.apply(tap.event('fail', 3, '{"attempt": 1}')), '0/1/0/0',
  'A fail from an earlier attempt is stale.');
select is(tap.apply(tap.event('fail', 3, '{"stage": "UPLOADED"}')), '0/1/0/0',
  'A fail of a stage that the book has left is stale.');
select is((tap.row(3)).status, 'ANALYZING', 'Stale events leave the status.');
select is(tap.apply(tap.event('fail', 3, '{"attempt": 2, "error": {"code": "ink"}}')), '1/0/0/0',
  'A fail of the current attempt is applied.');
select is(tap.apply(tap.event('fail', 3, '{"attempt": 2, "error": {"code": "other"}}')), '0/1/0/0',
  'A repeated fail is stale.');
select is((tap.row(3)).error, '{"code": "ink"}', 'A repeated fail leaves the error.');
select is(tap.apply(tap.event('transition', 3, '{"to_status": "FAILED"}')), '1/0/0/0',
  'A transition to FAILED of a FAILED book is applied.');
select is((tap.row(3)).error, '{"code": "ink"}',
  'A repeated transition to FAILED leaves the error.');
select is(tap.apply(tap.event('transition', 3, '{"to_status": "ANALYZING"}')), '1/0/0/0',
  'A transition to the stage in which a book FAILED is a resume.');
select is((tap.row(3)).attempt, 3, 'The resume is the next attempt.');

-- begin.
select is(tap.apply(tap.event('begin', 3, '{"to_status": "ANALYZING"}')), '1/0/0/0',
  'A begin of the stage that the book is in is applied.');
select is((tap.row(3)).attempt, 3, 'A begin of the stage that the book is in begins no attempt.');
select is(tap.apply(tap.event('begin', 3, '{"to_status": "GENERATING_SCENES",
    "worker": "cutter-1"}')), '1/0/0/0', 'A begin of the next stage is applied.');
select is((select e.actor from bindery.book_events e where e.book_id = tap.id(3)
    order by e.revision desc limit 1), 'cutter-1', 'A begin names its worker in the history.');
select is(tap.apply(tap.event('begin', 3, '{"to_status": "ANALYZING"}')), '0/1/0/0',
  'A begin of a stage that the book has left is stale.');
select is(tap.apply(tap.event('begin', 3, '{"to_status": "GENERATING_SCENES", "attempt": 1}'),
    tap.event('fail', 3), tap.event('begin', 3, '{"to_status": "GENERATING_SCENES"}'),
    tap.event('begin', 3, '{"to_status": "GENERATING_SCENES", "attempt": 1}')), '3/1/0/0',
  'A begin from an earlier attempt is stale.');
select is((tap.row(3)).attempt, 2, 'A begin of the stage in which a book FAILED is a resume.');
select is(tap.apply(tap.event('begin', 3, jsonb_build_object('to_status', status))), '0/0/0/1',
  format('A begin of %s is rejected.', status))
from unnest(array['FAILED', 'CANCELLED', 'COMPLETED', 'NOWHERE']) status;

-- register, heartbeat, plan.
select is(tap.apply(tap.event('register', 3)), '1/0/0/0', 'A repeated registration is applied.');
select is(tap.apply(tap.event('register', 3, '{"pipeline": "illustrated_edition"}')), '0/0/0/1',
  'A registration with another pipeline is rejected.');
select is(tap.apply(tap.event('heartbeat', 3, '{"stage": "ANALYZING"}')), '0/1/0/0',
  'A heartbeat from a stage that the book has left is stale.');
select is(tap.apply(tap.event('plan', 3, '{"stage": "ANALYZING",
    "substeps": [{"substep": "late"}]}')), '0/1/0/0',
  'A plan for a stage that the book has left is stale.');

select * from finish();
rollback;
