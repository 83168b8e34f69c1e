-- A begin event: with a pipeline it registers its book; without one it waits for the registration.
begin;
\ir ../helpers.psql
select plan(28);
select tap.clock('2030-01-01 12:00+00');

select is(tap.apply(tap.event('begin', 1, '{"to_status": "ANALYZING"}')), '0/0/1/0',
  'A begin of an unknown book without a pipeline is early.');
select is(tap.waiting(), 'begin unknown_book',
  'A begin of an unknown book waits with the reason unknown_book.');
select is(tap.apply(tap.event('begin', 1, jsonb_build_object('to_status', 'ANALYZING',
    'pipeline', 'comic', 'title', 'Moby Dick', 'owner_id', tap.id(900),
    'metadata', '{"pages": 320}'::jsonb, 'worker', 'reader-1'))), '1/0/0/0',
  'A begin with a pipeline is applied.');
select is((select row(b.pipeline, b.title, b.owner_id, b.metadata, b.status, b.attempt)
    from tap.row(1) b),
  row('comic'::text, 'Moby Dick'::text, tap.id(900), '{"pages": 320}'::jsonb, 'ANALYZING'::text, 1),
  'A begin registers the book with its title, owner and metadata, and enters the stage.');
select is(tap.waiting(), 'none', 'The begin that waited is applied, too.');
select is((select count(*) from bindery.book_events e where e.book_id = tap.id(1)), 2::bigint,
  'Two begins of one stage make one transition.');

-- A stage beyond the next: registered, and waiting for the stages before.
select is(tap.apply(tap.event('begin', 2, '{"to_status": "CREATING_ARTWORK",
    "pipeline": "comic"}')), '0/0/1/0', 'A begin of a later stage of an unknown book is early.');
select is((tap.row(2)).status, 'UPLOADED', 'A begin of a later stage registers the book.');
select is(tap.waiting(), 'begin stage_not_reached',
  'A begin of a later stage waits for the stages before.');
select from bindery.transition_book(tap.id(2), 'ANALYZING');
select from bindery.transition_book(tap.id(2), 'GENERATING_SCENES');
select is((tap.row(2)).status, 'CREATING_ARTWORK',
  'The transition to the last stage before it applies an early begin.');

-- Another pipeline, none, and the first state.
select is(tap.apply(tap.event('begin', 1, '{"to_status": "GENERATING_SCENES",
    "pipeline": "illustrated_edition"}')), '1/0/0/0',
  'A begin that names another pipeline is about the book as it is registered.');
select is(tap.apply(tap.event('begin', 3, '{"to_status": "ANALYZING", "pipeline": "nope"}')),
  '0/0/0/1', 'A begin with an unknown pipeline is rejected.');
select is(tap.reasons(), 'unknown_pipeline',
  'A begin with an unknown pipeline has the reason unknown_pipeline.');
select is((select count(*) from bindery.book_status where book_id = tap.id(3)), 0::bigint,
  'A begin with an unknown pipeline makes no book.');
select is(tap.apply(tap.event('begin', 3, '{"to_status": "NOPE", "pipeline": "comic"}')),
  '0/0/0/1', 'A begin of a stage that its pipeline does not have is rejected.');
select is(tap.apply(tap.event('begin', 4, '{"to_status": "UPLOADED", "pipeline": "comic"}')),
  '1/0/0/0', 'A begin of the first state is applied.');
select is((tap.row(4)).revision, 1::bigint, 'A begin of the first state only registers.');

-- begin and what follows it, before the registration.
select is(tap.apply(tap.event('begin', 6, '{"to_status": "ANALYZING", "worker": "reader-1"}'),
    tap.event('progress', 6, '{"substep": "extract_text", "progress": 50}'),
    tap.event('begin', 6, '{"to_status": "ANALYZING", "worker": "reader-1", "attempt": 2}')),
  '0/0/3/0', 'A begin, a report and a begin of the next attempt wait for the registration.');
select from bindery.register_book(tap.id(6));
select is((select row(b.status, b.attempt, b.stage_progress) from tap.row(6) b),
  row('ANALYZING'::text, 1, 12.5::float8), 'The registration applies the begin and the report.');
select is((select string_agg(e.reason, ', ') from bindery.early_events e
    where e.book_id = tap.id(6)), 'unknown_book', 'The begin of the next attempt waits.');
select is((select row(b.status, b.attempt) from bindery.fail_book(tap.id(6)) b),
  row('ANALYZING'::text, 2),
  'A failure applies an early begin of the next attempt, which resumes the book.');
select is((select string_agg(e.reason, ', ') from bindery.early_events e
    where e.book_id = tap.id(6)), null, 'An early begin that was applied waits no more.');
select is((select e.actor from bindery.book_events e where e.book_id = tap.id(6)
    and e.kind = 'transition'), 'reader-1', 'The history names the worker of an early begin.');

-- Attempts: a repeated begin of an attempt that is over resumes nothing.
select from bindery.fail_book(tap.id(6));
select is(tap.apply(tap.event('begin', 6, '{"to_status": "ANALYZING", "attempt": 2}')), '0/1/0/0',
  'A begin of the attempt that failed is stale.');
select is(tap.apply(tap.event('begin', 6, '{"to_status": "ANALYZING", "attempt": 4}')), '0/0/1/0',
  'A begin of an attempt beyond the next is early.');
select is((tap.row(6)).status, 'FAILED',
  'A begin of another attempt than the next resumes nothing.');
select is(tap.apply(tap.event('begin', 6, '{"to_status": "GENERATING_SCENES", "attempt": 2}')),
  '0/0/1/0', 'A begin of an attempt ahead at a stage to come is early.');

-- A worker that calls begin_stage.
select is(bindery.begin_stage(tap.id(4), 'ANALYZING', 'reader-2') ->> 'stage', 'ANALYZING',
  'begin_stage begins the stage at once.');

select * from finish();
rollback;
