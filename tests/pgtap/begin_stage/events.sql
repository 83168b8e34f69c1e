-- Begin events: applied, early, stale or rejected, and the registration that comes with a pipeline.
begin;
\ir ../helpers.psql
select plan(41);
select tap.clock('2030-01-01 12:00+00');

select tap.book(1);
select is(
  tap.apply(tap.event('begin', 1, '{"to_status": "ANALYZING", "worker": "worker-1"}')), '1/0/0/0',
  'A begin event of the next stage is applied.');
select is(
  (select row(status, attempt) from tap.row(1)), row('ANALYZING'::text, 1),
  'A begin event of the next stage enters it.');
select is(
  (select actor from bindery.book_events
    where book_id = tap.id(1) order by revision desc limit 1),
  'worker-1', 'The worker of a begin event is the actor in the history.');
create temp table before as select tap.snapshot(1) #- '{book,heartbeat_at}' as s;
select tap.clock('2030-01-01 12:01+00');
select is(
  tap.apply(tap.event('begin', 1, '{"to_status": "ANALYZING", "worker": "worker-1"}')), '1/0/0/0',
  'A begin event that is delivered twice is applied twice.');
select is(
  tap.snapshot(1) #- '{book,heartbeat_at}', (select s from before),
  'A begin event of the current stage changes nothing but the heartbeat.');
select is((tap.row(1)).heartbeat_at, '2030-01-01 12:01+00', 'A begin event is a heartbeat.');
select is(
  tap.apply(tap.event('begin', 1, '{"to_status": "UPLOADED"}')), '0/1/0/0',
  'A begin event of a stage that the book has left is stale.');
select is(
  tap.apply(tap.event('begin', 1, format('{"to_status": %s}', to_jsonb(target))::jsonb)),
  '0/0/0/1', format('A begin event of %s is rejected.', target))
from unnest(array['COMPLETED', 'FAILED', 'CANCELLED', 'NOPE']) target;
select is(
  tap.apply(tap.event('begin', 1)), '0/0/0/1', 'A begin event without to_status is rejected.');
select is(
  tap.reasons(), 'illegal_transition, illegal_transition, illegal_transition, illegal_transition, '
    || 'bad_input', 'A rejected begin event has the code of the error as its reason.');

-- Early ones.
select is(
  tap.apply(
    tap.event('begin', 1, '{"to_status": "CREATING_ARTWORK"}'),
    tap.event('progress', 1, '{"stage": "CREATING_ARTWORK", "substep": "ink", "progress": 10}')),
  '0/0/2/0', 'A begin event of a stage that is not reached, and a report for it, are early.');
select is(
  tap.waiting(), 'begin stage_not_reached, progress stage_not_reached',
  'An early begin event waits with the reason stage_not_reached.');
select bindery.transition_book(tap.id(1), 'GENERATING_SCENES');
select is(
  (select row(status, stage_progress) from tap.row(1)),
  row('CREATING_ARTWORK'::text, 10::double precision),
  'An early begin event is applied, with the report after it, once the stage before is entered.');
select is(tap.waiting(), 'none', 'A begin event that was applied waits no longer.');

-- Resume.
select bindery.fail_book(tap.id(1));
select is(
  tap.apply(tap.event('begin', 1, '{"to_status": "CREATING_ARTWORK", "resume": false}')), '0/1/0/0',
  'A begin event with resume false is stale where the book FAILED in the stage.');
select is((tap.row(1)).status, 'FAILED', 'A begin event with resume false resumes nothing.');
select is(
  tap.apply(tap.event('begin', 1, '{"to_status": "CREATING_ARTWORK"}')), '1/0/0/0',
  'A begin event of the stage in which a book FAILED is applied.');
select is(
  tap.last_event(1), 'resume FAILED>CREATING_ARTWORK CREATING_ARTWORK/2',
  'A begin event of the stage in which a book FAILED is a resume.');
select is(
  tap.apply(tap.event('begin', 1, '{"to_status": "CREATING_ARTWORK", "attempt": 1}')), '0/1/0/0',
  'A begin event of an earlier attempt at the current stage is stale.');
select is(
  tap.apply(tap.event('begin', 1, '{"to_status": "CREATING_ARTWORK", "attempt": 3}')), '0/0/1/0',
  'A begin event of a later attempt at the current stage is early.');
select is(
  tap.apply(tap.event('begin', 1, '{"to_status": "CREATING_ARTWORK", "attempt": 2}')), '1/0/0/0',
  'A begin event of the current attempt is applied.');

-- An attempt that does not begin.
select tap.book(20, '{ANALYZING,FAILED}');
select is(
  tap.apply(tap.event('begin', 20, '{"to_status": "ANALYZING", "attempt": 1}')), '0/1/0/0',
  'A begin event of the attempt that FAILED is stale.');
select is(
  (tap.row(20)).status, 'FAILED', 'A begin event of the attempt that FAILED does not resume.');
select is(
  tap.apply(tap.event('begin', 20, '{"to_status": "ANALYZING", "attempt": 3}')), '0/0/1/0',
  'A begin event of the attempt after the next is early.');
select is(
  tap.apply(tap.event('begin', 20, '{"to_status": "ANALYZING", "attempt": 2}')), '1/0/0/0',
  'A begin event of the attempt that comes next is applied.');
select is(
  (select row(status, attempt) from tap.row(20)), row('ANALYZING'::text, 2),
  'A begin event of the attempt that comes next resumes the book.');
select bindery.fail_book(tap.id(20));
select is(
  (tap.row(20)).attempt, 3, 'A failure makes an early begin event of the next attempt applicable.');
select bindery.transition_book(tap.id(20), 'GENERATING_SCENES');
select bindery.rewind_book(tap.id(20), 'UPLOADED');
select is(
  tap.apply(tap.event('begin', 20, '{"to_status": "ANALYZING", "attempt": 3}')), '0/1/0/0',
  'A begin event of an earlier visit of a stage is stale.');
select is(
  tap.apply(tap.event('begin', 20, '{"to_status": "ANALYZING", "attempt": 4}')), '1/0/0/0',
  'A begin event of the next visit of a stage is applied.');

-- Books that ended.
select tap.book(2, '{ANALYZING,CANCELLED}');
select is(
  tap.apply(tap.event('begin', 2, '{"to_status": "ANALYZING"}')), '0/1/0/0',
  'A begin event about a CANCELLED book is stale.');
select tap.book(3, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}');
select is(
  tap.apply(tap.event('begin', 3, '{"to_status": "CREATING_ARTWORK"}')), '0/1/0/0',
  'A begin event about a complete book is stale.');

-- Unknown books.
select is(
  tap.apply(tap.event('begin', 10, '{"to_status": "ANALYZING"}')), '0/0/1/0',
  'A begin event about an unknown book without a pipeline is early.');
select is(
  tap.apply(tap.event('begin', 11, format('{"to_status": "ANALYZING", "pipeline": "comic",
    "title": "Moby Dick", "owner_id": "%s", "metadata": {"pages": 320}}', tap.id(900))::jsonb)),
  '1/0/0/0', 'A begin event about an unknown book with a pipeline is applied.');
select is(
  (select row(status, pipeline, title, owner_id, metadata) from tap.row(11)),
  row('ANALYZING'::text, 'comic'::text, 'Moby Dick'::text, tap.id(900), '{"pages": 320}'::jsonb),
  'A begin event with a pipeline registers the book and enters the stage.');
select is(
  tap.apply(tap.event('begin', 12, '{"to_status": "ANALYZING", "pipeline": "nope"}')), '0/0/0/1',
  'A begin event with an unknown pipeline is rejected.');
select is(tap.row(12) is null, true, 'A rejected begin event registers no book.');
select is(
  tap.apply(tap.event('begin', 13, '{"to_status": "CREATING_ARTWORK", "pipeline": "comic"}')),
  '0/0/1/0', 'A begin event with a pipeline of a stage that is not the second state is early.');
select is(
  (tap.row(13)).status, 'UPLOADED', 'An early begin event with a pipeline registers the book.');

select * from finish();
rollback;
