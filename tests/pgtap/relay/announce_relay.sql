-- bindery.announce_relay: live relays share the streams that they could read.
begin;
\ir ../helpers.psql
select plan(24);
select tap.clock('2030-01-01 12:00:00+00');

-- The result of announce_relay: 'relays give_up {leave}'.
create function pg_temp.announce(holder text, streams text[] default '{a,b,c,d}') returns text
language sql as $$
  select concat_ws(' ', relays, coalesce(give_up, '-'), leave::text)
  from bindery.announce_relay(holder, streams, '10 seconds');
$$;
create function pg_temp.release(stream text) returns void language sql volatile as $$
  select bindery.release_stream(c.stream, c.epoch)
  from bindery.relay_cursors c where c.stream = release.stream;
$$;

select is(pg_temp.announce('one'), '1 - {}', 'A relay that is alone takes every free stream.');
select bindery.acquire_stream(s, 'one', '1 hour') from unnest('{a,b,c,d}'::text[]) s;
select is(pg_temp.announce('one'), '1 - {}', 'A relay that is alone keeps all its streams.');
select is(pg_temp.announce('two'), '2 - {}', 'A second relay of the same streams is counted.');
select is(pg_temp.announce('one'), '2 a {}',
  'A relay that holds more is asked to give up one stream.');
select is(pg_temp.announce('one'), '2 a {}',
  'A relay is asked for the same stream until it has released it.');
select pg_temp.release('a');
select is(pg_temp.announce('one'), '2 - {a}',
  'A relay leaves a free stream to the other, and gives up no second one meanwhile.');
select is(pg_temp.announce('two'), '2 - {}', 'The relay that holds fewer takes the free stream.');
select bindery.acquire_stream('a', 'two', '1 hour');
select is(pg_temp.announce('one'), '2 b {}',
  'A relay that still holds two more is asked for the next stream.');
select pg_temp.release('b');
select bindery.acquire_stream('b', 'two', '1 hour');
select is(pg_temp.announce(holder), '2 - {}',
  format('Relay %s keeps its streams where each relay has two.', holder))
from unnest(array['one', 'two']) holder;
select is(pg_temp.announce('three'), '3 - {}', 'A third relay is counted.');
select is(pg_temp.announce('one'), '3 c {}', 'One relay gives up a stream for the third.');
select is(pg_temp.announce('two'), '3 - {}',
  'No other relay gives up a stream while one is being handed over.');
select pg_temp.release('c');
select bindery.acquire_stream('c', 'three', '1 hour');
select is(pg_temp.announce('two'), '3 - {}',
  'No stream moves where the numbers of streams differ by one.');
select is(pg_temp.announce('four', '{z}'), '1 - {}',
  'A relay of other streams shares none of these.');
select is(pg_temp.announce('two'), '3 - {}',
  'No stream is given up for a relay that would not read it.');
select is(pg_temp.announce('three', '{}'), '0 - {}', 'An empty list ends a relay''s announcement.');
select is(pg_temp.announce('one'), '2 - {}', 'A relay that has ended is not counted.');
select tap.clock('2030-01-01 12:00:11+00');
select is(pg_temp.announce('one'), '1 - {}',
  'A relay that was not announced again within its ttl is not counted.');

select is(tap.outcome('select bindery.announce_relay' || arguments), 'PT422 bad_input',
  format('announce_relay%s is refused.', arguments))
from unnest(array['(''one'', array[null]::text[])', '(''one'', ''{{a,b},{c,d}}'')',
  '(''one'', null)', '(null, ''{a}'')', '(''one'', ''{a}'', ''0'')']) arguments;

select * from finish();
rollback;
