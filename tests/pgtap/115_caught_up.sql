begin;
\ir helpers.psql
-- caught_up_at: what the relay has proven about its stream; and forget_stream.
select plan(31);
select tap.clock('2030-01-01 12:00:00+00');
create function pg_temp.caught_up() returns timestamptz language sql volatile as $$ select c.caught_up_at from bindery.relay_cursors c where c.stream = 's' $$;

select bindery.acquire_stream('s', 'one', '10 seconds');
select is(pg_temp.caught_up(), null, 'a stream that was never read to its end was never caught up');
select bindery.renew_stream('s', 1);
select is(pg_temp.caught_up(), null, 'renewing alone proves nothing');
select bindery.apply_events('s', 1, '1-0', '[]');
select is(pg_temp.caught_up(), null, 'nor does applying: there may be more');
select is(bindery.renew_stream('s', 1, '2030-01-01 11:59:58+00'), '2030-01-01 12:00:10+00', 'a renewal that says it still gives the lease''s end');
select is(pg_temp.caught_up(), '2030-01-01 11:59:58+00', 'and the moment is kept');
select bindery.renew_stream('s', 1, '2030-01-01 11:59:57+00');
select is(pg_temp.caught_up(), '2030-01-01 11:59:58+00', 'it never goes back');
select bindery.renew_stream('s', 1);
select is(pg_temp.caught_up(), '2030-01-01 11:59:58+00', 'a renewal without it leaves it');
select bindery.renew_stream(stream => 's', epoch => 1, caught_up_at => null);
select is(pg_temp.caught_up(), '2030-01-01 11:59:58+00', 'and so does null');
select bindery.renew_stream('s', 1, '2030-01-01 12:00:01+00');
select is(pg_temp.caught_up(), '2030-01-01 12:00:00+00', 'nobody knows what will be: at most now');
select tap.clock('2030-01-01 12:00:05+00');
select is(tap.outcome('select bindery.renew_stream(''s'', 1, ''infinity'')'), 'PT422 bad_input', 'infinity is no moment');
select is(tap.outcome('select bindery.renew_stream(''s'', 1, ''-infinity'')'), 'PT422 bad_input', 'nor is the other one');
select bindery.renew_stream('s', 1, '2031-01-01+00');
select is(tap.outcome('select bindery.renew_stream(''s'', 0, now())'), 'PT409 fenced', 'an epoch that is over proves nothing');
select is(pg_temp.caught_up(), '2030-01-01 12:00:05+00', 'and changes nothing');

select tap.clock('2030-01-01 12:00:20+00');
select bindery.acquire_stream('s', 'two', '10 seconds');
select is(pg_temp.caught_up(), '2030-01-01 12:00:05+00', 'who takes the stream over has proven nothing yet');
select is(tap.outcome('select bindery.renew_stream(''s'', 1, ''2030-01-01 12:00:10+00'')'), 'PT409 fenced', 'who lost it can no longer prove anything');
select bindery.release_stream('s', 2);
select is(pg_temp.caught_up(), '2030-01-01 12:00:05+00', 'it outlives the release');

-- A stream that is no longer read.
select bindery.acquire_stream('s', 'three', '10 seconds');
select is(tap.outcome('select bindery.forget_stream(''s'')'), 'PT409 lease_held', 'a stream that is held is not forgotten');
select is(tap.error('select bindery.forget_stream(''s'')') -> 'detail', '{"code": "lease_held", "stream": "s", "holder": "three", "lease_expires_at": "2030-01-01T12:00:30+00:00"}',
  'the error says by whom, and how long');
select isnt(tap.error('select bindery.forget_stream(''s'')') ->> 'hint', null, 'and what to do');
select tap.clock('2030-01-01 12:00:30+00');
select is(tap.as_role('bindery_relay', 'select bindery.forget_stream(''s'')'), '42501', 'the relay''s role may not');
select bindery.acquire_stream('t', 'three', '10 seconds');
select is(tap.outcome('select bindery.forget_stream(''s'')'), 'ok', 'once its lease is over it is');
select is((select array_agg(stream) from bindery.relay_cursors), array['t'], 'that stream and no other');
select is(tap.outcome('select bindery.forget_stream(''s'')'), 'PT404 unknown_stream', 'a second time it is unknown');
select is(tap.outcome('select bindery.forget_stream(null)'), 'PT404 unknown_stream', 'so is none');
select isnt(tap.error('select bindery.forget_stream(null)') ->> 'hint', null, 'with a hint');
select is(tap.outcome('select bindery.apply_events(''s'', 4, ''2-0'', ''[]'')'), 'PT409 fenced', 'who held it applies nothing more');
select is((select row(epoch, "position") from bindery.acquire_stream('s', 'four')), row(5::bigint, '0-0'::text), 'acquired again it begins anew, but with an epoch that nobody had');
select is(tap.outcome('select bindery.apply_events(''s'', 4, ''2-0'', ''[]'')'), 'PT409 fenced', 'so who slept through all that is still fenced');
select is((select epoch from bindery.acquire_stream('t', 'three')), 2::bigint, 'the other stream''s epochs go on as before');
select bindery.release_stream('t', 2);
select is(tap.outcome('select bindery.forget_stream(''t'')'), 'ok', 'a released stream is forgotten at once');
select is((select epoch from bindery.acquire_stream('t', 'four')), 4::bigint, 'and goes on above the release');

select * from finish();
rollback;
