begin;
\ir helpers.psql
select plan(22);
select tap.clock('2030-01-01 12:00+00');

create function tap.kinds(n integer) returns text language sql volatile as $$
  select string_agg(format('%s %s %s>%s %s/%s', revision, kind, from_status, to_status, stage, attempt), ', ' order by id) from bindery.book_events where book_id = tap.id(n);
$$;
select tap.book(1, '{ANALYZING,FAILED,ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}');
select is(tap.kinds(1), '1 register >UPLOADED UPLOADED/1, 2 transition UPLOADED>ANALYZING ANALYZING/1, 3 fail ANALYZING>FAILED ANALYZING/1, '
  '4 resume FAILED>ANALYZING ANALYZING/2, 5 transition ANALYZING>GENERATING_SCENES GENERATING_SCENES/1, '
  '6 transition GENERATING_SCENES>CREATING_ARTWORK CREATING_ARTWORK/1, 7 complete CREATING_ARTWORK>COMPLETED CREATING_ARTWORK/1',
  'a book''s whole way is in the history, one row a change of status');
select tap.book(2, '{FAILED,CANCELLED}');
select is(tap.kinds(2), '1 register >UPLOADED UPLOADED/1, 2 fail UPLOADED>FAILED UPLOADED/1, 3 cancel FAILED>CANCELLED UPLOADED/1', 'cancel is a kind too');
select bindery.transition_book(tap.id(3), 'ANALYZING', 'started by hand') from tap.book(3);
select is((select row(message, data, at) from bindery.book_events where book_id = tap.id(3) and kind = 'transition'), row('started by hand'::text, null::jsonb, '2030-01-01 12:00+00'::timestamptz),
  'a row keeps the message and the moment');
select bindery.fail_book(tap.id(3), '{"code": "ink"}', 'no ink');
select is((select row(message, data) from bindery.book_events where book_id = tap.id(3) and kind = 'fail'), row('no ink'::text, '{"code": "ink"}'::jsonb), 'that of a failure the error');
update bindery.book_status set title = 'x', metadata = '{"a": 1}' where book_id = tap.id(3);
select bindery.report_progress(tap.id(1), 'ink', 1);
select is((select count(*)::int from bindery.book_events), 7 + 3 + 3, 'what is no change of status is not in the history');

-- A plain UPDATE of several books: one row each.
select tap.book(n) from generate_series(10, 14) n;
update bindery.book_status set status = 'ANALYZING' where book_id between tap.id(10) and tap.id(14);
select is((select count(*)::int from bindery.book_events where book_id between tap.id(10) and tap.id(14) and kind = 'transition'), 5, 'a plain UPDATE of five books leaves five rows');

-- Who did it.
create function tap.actor_of(n integer) returns text language sql volatile as $$
  select actor from bindery.book_events where book_id = tap.id(n) order by id desc limit 1;
$$;
select tap.book(n) from generate_series(20, 29) n;
select bindery.transition_book(tap.id(20), 'ANALYZING');
select is(tap.actor_of(20), session_user::text, 'without more, the history names the session''s user');
set local role service_role;
select bindery.transition_book('00000000-0000-4000-8000-000000000021', 'ANALYZING');
reset role;
select is(tap.actor_of(21), 'service_role', 'with SET ROLE, the role');
set local role service_role;
update bindery.book_status set status = 'ANALYZING' where book_id = '00000000-0000-4000-8000-000000000022';
reset role;
select is(tap.actor_of(22), 'service_role', 'in a plain UPDATE too');
select set_config('request.jwt.claims', '{"sub": "00000000-0000-4000-8000-000000000900", "role": "service_role"}', true);
set local role service_role;
select bindery.transition_book('00000000-0000-4000-8000-000000000023', 'ANALYZING');
reset role;
select is(tap.actor_of(23), '00000000-0000-4000-8000-000000000900', 'with a token, its sub');
select set_config('request.jwt.claims', '{"role": "service_role"}', true);
set local role service_role;
select bindery.transition_book('00000000-0000-4000-8000-000000000024', 'ANALYZING');
reset role;
select is(tap.actor_of(24), 'service_role', 'with a token that has no sub, the role');
select set_config('request.jwt.claims', '', true);
select set_config('bindery.actor', 'worker-7', true);
select bindery.transition_book(tap.id(25), 'ANALYZING');
select is(tap.actor_of(25), 'worker-7', 'with bindery.actor, what that says');
select set_config('bindery.actor', '', true);
select tap.apply(tap.event('transition', 26, '{"to": "ANALYZING", "message": "from the stream"}'));
select is(tap.actor_of(26), 'relay:tap', 'of an event, the relay and its stream');
select is((select message from bindery.book_events where book_id = tap.id(26) order by id desc limit 1), 'from the stream', 'with the event''s message');
select set_config('bindery.actor', '', true);

-- Never rewritten.
select is(tap.outcome('update bindery.book_events set actor = ''nobody'''), 'PT409 history_is_append_only', 'a row of the history cannot be changed');
select is(tap.outcome('update bindery.book_events set at = at'), 'PT409 history_is_append_only', 'not even to what it is');
select is(tap.outcome(format('insert into bindery.book_events (book_id, revision, kind, to_status, stage, attempt, actor, at) select book_id, revision, kind, to_status, stage, attempt, actor, at from bindery.book_events where book_id = %L and revision = 1', tap.id(1))), '23505',
  'a revision cannot have two rows');
select is(tap.outcome(format('insert into bindery.book_events (book_id, revision, kind, to_status, stage, attempt, actor, at) values (%L, 999, %L, %L, %L, 1, %L, now())', tap.id(1), 'magic', 'X', 'X', 'x')), '23514', 'kinds are known');
select is(tap.as_role('service_role', statement), '42501', format('service_role may not: %s', statement))
from unnest(array['update bindery.book_events set actor = ''x''', 'delete from bindery.book_events', 'truncate bindery.book_events']) statement;

-- The same words twice are words.
select from bindery.register_book('00000000-0000-4000-8000-0000000000aa');
select from bindery.transition_book('00000000-0000-4000-8000-0000000000aa', 'ANALYZING', 'by hand');
select from bindery.transition_book('00000000-0000-4000-8000-0000000000aa', 'GENERATING_SCENES', 'by hand');
select is((select array_agg(message order by revision) from bindery.book_events where book_id = '00000000-0000-4000-8000-0000000000aa'),
  array[null, 'by hand', 'by hand'], 'a message that is the same as the last one is kept');

select * from finish();
rollback;
