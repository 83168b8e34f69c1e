-- book_events: one row for every change of status, never rewritten.
begin;
\ir ../helpers.psql
select plan(25);
select tap.clock('2030-01-01 12:00+00');
create function tap.kinds(n integer) returns text language sql volatile as $$
  select string_agg(format('%s %s %s>%s %s/%s', revision, kind, from_status, to_status, stage,
    attempt), ', ' order by revision)
  from bindery.book_events where book_id = tap.id(n);
$$;

select tap.book(1,
  '{ANALYZING,FAILED,ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}');
select is(
  tap.kinds(1),
  '1 register >UPLOADED UPLOADED/1, 2 transition UPLOADED>ANALYZING ANALYZING/1, '
  '3 fail ANALYZING>FAILED ANALYZING/1, 4 resume FAILED>ANALYZING ANALYZING/2, '
  '5 transition ANALYZING>GENERATING_SCENES GENERATING_SCENES/1, '
  '6 transition GENERATING_SCENES>CREATING_ARTWORK CREATING_ARTWORK/1, '
  '7 complete CREATING_ARTWORK>COMPLETED CREATING_ARTWORK/1',
  'The history has one row for every change of status of a book.');
select tap.book(2, '{FAILED,CANCELLED}');
select is(
  tap.kinds(2),
  '1 register >UPLOADED UPLOADED/1, 2 fail UPLOADED>FAILED UPLOADED/1, '
  '3 cancel FAILED>CANCELLED UPLOADED/1',
  'A cancellation of a FAILED book is a row of kind cancel.');
select tap.book(3);
select bindery.transition_book(tap.id(3), 'ANALYZING', 'started by hand');
select is(
  (select row(message, data, at) from bindery.book_events
    where book_id = tap.id(3) and kind = 'transition'),
  row('started by hand'::text, null::jsonb, '2030-01-01 12:00+00'::timestamptz),
  'A row of the history has the message and the time of its change.');
select bindery.fail_book(tap.id(3), '{"code": "ink"}', 'no ink');
select is(
  (select row(message, data) from bindery.book_events
    where book_id = tap.id(3) and kind = 'fail'),
  row('no ink'::text, '{"code": "ink"}'::jsonb), 'A row of kind fail has the error.');
update bindery.book_status set title = 'x', metadata = '{"a": 1}' where book_id = tap.id(3);
select bindery.report_progress(tap.id(1), 'ink', 1), bindery.heartbeat(tap.id(3));
select is(
  (select count(*)::integer from bindery.book_events), 7 + 3 + 3,
  'A change that is not one of status is not in the history.');

-- Several books in one statement.
select tap.book(n) from generate_series(10, 14) n;
update bindery.book_status set status = 'ANALYZING'
where book_id between tap.id(10) and tap.id(14);
select is(
  (select count(*)::integer from bindery.book_events
    where book_id between tap.id(10) and tap.id(14) and kind = 'transition'),
  5, 'A plain UPDATE of the status of five books writes five rows.');
select from bindery.register_book(tap.id(15));
select from bindery.transition_book(tap.id(15), 'ANALYZING', 'by hand');
select from bindery.transition_book(tap.id(15), 'GENERATING_SCENES', 'by hand');
select is(
  (select array_agg(message order by revision) from bindery.book_events
    where book_id = tap.id(15)),
  array[null, 'by hand', 'by hand'],
  'A message that equals the one before is kept in each row.');

-- The actor.
create function tap.actor_of(n integer) returns text language sql volatile as $$
  select actor from bindery.book_events
  where book_id = tap.id(n) order by revision desc limit 1;
$$;
select tap.book(n) from generate_series(20, 29) n;
select bindery.transition_book(tap.id(20), 'ANALYZING');
select is(tap.actor_of(20), session_user::text, 'The actor is the user of the session.');
set local role service_role;
select bindery.transition_book('00000000-0000-4000-8000-000000000021', 'ANALYZING');
reset role;
select is(tap.actor_of(21), 'service_role', 'After SET ROLE the actor is the role.');
set local role service_role;
update bindery.book_status set status = 'ANALYZING'
where book_id = '00000000-0000-4000-8000-000000000022';
reset role;
select is(
  tap.actor_of(22), 'service_role', 'After SET ROLE the actor of a plain UPDATE is the role.');
select set_config('request.jwt.claims',
  '{"sub": "00000000-0000-4000-8000-000000000900", "role": "service_role"}', true);
set local role service_role;
select bindery.transition_book('00000000-0000-4000-8000-000000000023', 'ANALYZING');
reset role;
select is(
  tap.actor_of(23), '00000000-0000-4000-8000-000000000900',
  'With a token the actor is its sub.');
select set_config('request.jwt.claims', '{"role": "service_role"}', true);
set local role service_role;
select bindery.transition_book('00000000-0000-4000-8000-000000000024', 'ANALYZING');
reset role;
select is(tap.actor_of(24), 'service_role', 'With a token without sub the actor is the role.');
select set_config('request.jwt.claims', '', true);
select set_config('bindery.actor', 'worker-7', true);
select bindery.transition_book(tap.id(25), 'ANALYZING');
select is(tap.actor_of(25), 'worker-7', 'With the setting bindery.actor the actor is its value.');
select set_config('bindery.actor', '', true);
select tap.apply(tap.event('transition', 26,
  '{"to_status": "ANALYZING", "message": "from the stream"}'));
select is(
  tap.actor_of(26), 'relay:tap', 'The actor of an event is relay: and the name of its stream.');
select is(
  (select message from bindery.book_events
    where book_id = tap.id(26) order by revision desc limit 1),
  'from the stream', 'The message of an event is in the history.');
select set_config('bindery.actor', '', true);
select tap.apply(tap.event('transition', 27, '{"to_status": "GENERATING_SCENES"}'));
select set_config('bindery.actor', 'worker-7', true);
select bindery.transition_book(tap.id(27), 'ANALYZING');
select is(
  (select array_agg(actor order by revision) from bindery.book_events
    where book_id = tap.id(27) and revision > 1),
  '{worker-7,relay:tap}', 'The actor of an early event that is applied is its relay.');
select is(
  current_setting('bindery.actor'), 'worker-7',
  'An early event that is applied leaves the setting bindery.actor.');
select set_config('bindery.actor', '', true);
select bindery.begin_stage(tap.id(28), 'ANALYZING', 'worker-8');
select is(tap.actor_of(28), 'worker-8', 'The actor of begin_stage is the worker it names.');

-- The history is not rewritten.
select is(
  tap.outcome('update bindery.book_events set actor = ''nobody'''),
  'PT409 history_is_append_only', 'An UPDATE of the history is refused.');
select is(
  tap.outcome('update bindery.book_events set at = at'),
  'PT409 history_is_append_only', 'An UPDATE of the history that changes nothing is refused.');
select is(
  tap.outcome(format('insert into bindery.book_events select * from bindery.book_events
    where book_id = %L and revision = 1', tap.id(1))),
  '23505', 'A second row of the same revision of a book is refused.');
select is(
  tap.as_role('service_role', statement), '42501',
  format('service_role may not %s the history.', split_part(statement, ' ', 1)))
from unnest(array['update bindery.book_events set actor = ''x''',
  'delete from bindery.book_events', 'truncate bindery.book_events']) statement;
delete from bindery.book_status where book_id = tap.id(1);
select is(
  tap.kinds(1), null, 'A book that is deleted takes its history with it.');

select * from finish();
rollback;
