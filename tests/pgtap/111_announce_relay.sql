begin;
\ir helpers.psql
select plan(21);
select tap.clock('2030-01-01 12:00:00+00');

-- What a relay is told, as one text.
create function tap.announce(holder text, streams text[] default '{a,b,c,d}') returns text language sql as $$
  select concat_ws(' ', relays, coalesce(give_up, '-'), leave::text) from bindery.announce_relay(holder, streams, '10 seconds');
$$;

select is(tap.announce('one'), '1 - {}', 'a relay alone takes what is free');
select bindery.acquire_stream(s, 'one', '1 hour') from unnest('{a,b,c,d}'::text[]) s;
select is(tap.announce('one'), '1 - {}', 'and keeps it');
select is(tap.announce('two'), '2 - {}', 'another is counted');
select is(tap.announce('one'), '2 a {}', 'the first is to give up one');
select is(tap.announce('one'), '2 a {}', 'the same again until it has');
select bindery.release_stream('a', (select epoch from bindery.relay_cursors where stream = 'a'));
select is(tap.announce('one'), '2 - {a}', 'it leaves it to the other, and gives up no second while the first is free');
select is(tap.announce('two'), '2 - {}', 'which takes it');
select bindery.acquire_stream('a', 'two', '1 hour');
select is(tap.announce('one'), '2 b {}', 'then the next');
select bindery.release_stream('b', (select epoch from bindery.relay_cursors where stream = 'b'));
select bindery.acquire_stream('b', 'two', '1 hour');
select is(tap.announce('one'), '2 - {}', 'two and two: nothing moves');
select is(tap.announce('two'), '2 - {}', 'either way');
select is(tap.announce('three'), '3 - {}', 'a third comes');
select is(tap.announce('one'), '3 c {}', 'and gets one of one of them');
select is(tap.announce('two'), '3 - {}', 'while the other keeps its own, since one is on its way');
select bindery.release_stream('c', (select epoch from bindery.relay_cursors where stream = 'c'));
select bindery.acquire_stream('c', 'three', '1 hour');
select is(tap.announce('two'), '3 - {}', 'two, one and one: nothing moves');
select is(tap.announce('four', '{z}'), '1 - {}', 'a relay of other streams is no concern of theirs');
select is(tap.announce('two'), '3 - {}', 'nor is a stream given up for it');
select is(tap.announce('three', '{}'), '0 - {}', 'a relay says goodbye');
select is(tap.announce('one'), '2 - {}', 'and is no longer counted');
select tap.clock('2030-01-01 12:00:11+00');
select is(tap.announce('one'), '1 - {}', 'who is not heard of within its ttl is not, either');

select is(tap.outcome(call), 'PT422 bad_input', format('%s is refused', left(call, 70)))
from unnest(array['select bindery.announce_relay(''one'', array[null]::text[])', 'select bindery.announce_relay(''one'', ''{{a,b},{c,d}}'')']) call;

select * from finish();
rollback;
