-- Repeated events: after a failover, or because a producer tried again.
begin;
\ir ../helpers.psql
select plan(20);
-- The same entries again, under a position that advances, as after a failover of the database.
create temp table sent (n serial, item jsonb);
insert into sent (item) values
  (tap.event('transition', 1, '{"to_status": "ANALYZING"}')),
  (tap.event('progress', 1, '{"stage": "ANALYZING", "substep": "extract_text", "progress": 40}')),
  (tap.event('progress', 1, '{"substep": "detect_chapters", "progress": 60}')),
  (tap.event('transition', 1, '{"to_status": "GENERATING_SCENES"}')),
  (tap.event('progress', 1, '{"substep": "split_scenes", "progress": 20}')),
  (tap.event('heartbeat', 1, '{"stage": "GENERATING_SCENES", "attempt": 1}'));
create function pg_temp.send() returns text language sql as $$
  select tap.batch(variadic array_agg(s.item || jsonb_build_object('segment', s.n) order by s.n))
  from sent s;
$$;
create function pg_temp.book() returns jsonb language sql volatile as $$
  select jsonb_build_object('status', b.status, 'attempt', b.attempt, 'revision', b.revision,
    'progress', b.overall_progress)
  from bindery.book_status b where b.book_id = tap.id(1);
$$;

-- Twice before the registration.
select is(pg_temp.send(), '0/0/6/0', 'Events about an unknown book wait.');
select is(pg_temp.send(), '0/0/6/0', 'Events about an unknown book that come again wait again.');
select from bindery.register_book(tap.id(1));
create temp table after as select pg_temp.book() as book;
select is(pg_temp.book() - 'revision',
  '{"status": "GENERATING_SCENES", "attempt": 1, "progress": 23}',
  'The registration applies them as if each had come once.');
select is((select count(*) from bindery.book_events where book_id = tap.id(1)), 3::bigint,
  'An early transition that came twice is made once.');
select is(tap.waiting(), 'none', 'Repeated early events wait no more once they were applied.');

-- And again afterwards.
delete from bindery.dead_letters where true;
select is(pg_temp.send(), '3/2/0/1',
  'When they come once more, repeated transitions are stale or have no effect.');
select is(pg_temp.book(), (select book from after), 'Events that come once more change nothing.');
select is(tap.reasons(), 'unknown_substep',
  'A late report that names no stage is about the current one, and is rejected.');

-- A duplicate while the first one waits, and another after it was applied.
select tap.book(2, '{ANALYZING}');
select is(tap.apply(tap.event('transition', 2, '{"to_status": "CREATING_ARTWORK"}'),
    tap.event('transition', 2, '{"to_status": "CREATING_ARTWORK"}')), '0/0/2/0',
  'An early transition that comes twice waits twice.');
select from bindery.transition_book(tap.id(2), 'GENERATING_SCENES');
select is((tap.row(2)).status, 'CREATING_ARTWORK',
  'The first of two equal early transitions is applied.');
select is(tap.waiting(), 'none', 'The second of two equal early transitions waits no more.');
select is((tap.row(2)).revision, 4::bigint, 'An early transition that comes twice is made once.');
select is(tap.apply(tap.event('transition', 2, '{"to_status": "CREATING_ARTWORK"}')), '1/0/0/0',
  'A transition that comes a third time has no effect.');

-- A failure that comes twice, with a resume in between.
select tap.book(3);
select is(tap.apply(tap.event('fail', 3, '{"stage": "ANALYZING", "attempt": 1}'),
    tap.event('fail', 3, '{"stage": "ANALYZING", "attempt": 1}')), '0/0/2/0',
  'An early failure that comes twice waits twice.');
select from bindery.transition_book(tap.id(3), 'ANALYZING');
select is((tap.row(3)).status, 'FAILED', 'A transition applies an early failure.');
select is(tap.waiting(), 'none', 'The second of two equal early failures waits no more.');
select from bindery.resume_book(tap.id(3));
select is(tap.apply(tap.event('fail', 3, '{"stage": "ANALYZING", "attempt": 1}')), '0/1/0/0',
  'A failure of an attempt that is over is stale.');
select is((tap.row(3)).status, 'ANALYZING',
  'A failure of an attempt that is over does not fail the next one.');

-- Registrations.
select is(tap.apply(tap.event('register', 4), tap.event('register', 4)), '2/0/0/0',
  'A registration that comes twice is applied twice.');
select is((tap.row(4)).revision, 1::bigint, 'A registration that comes twice registers once.');

select * from finish();
rollback;
