-- relay_cursors.caught_up_at: the time up to which a relay has proved to have applied its stream.
begin;
\ir ../helpers.psql
select plan(17);
select tap.clock('2030-01-01 12:00:00+00');
create function pg_temp.caught_up() returns timestamptz language sql volatile as $$
  select c.caught_up_at from bindery.relay_cursors c where c.stream = 's';
$$;

select bindery.acquire_stream('s', 'one', '10 seconds');
select is(pg_temp.caught_up(), null,
  'A stream that was never read to its end has no caught_up_at.');
select bindery.renew_stream('s', 1);
select is(pg_temp.caught_up(), null, 'A renewal without caught_up_at proves nothing.');
select bindery.apply_events('s', 1, '1-0', '[]');
select is(pg_temp.caught_up(), null, 'Applying a batch proves nothing, since more may follow.');
select is(bindery.renew_stream('s', 1, '2030-01-01 11:59:58+00'), '2030-01-01 12:00:10+00',
  'A renewal with caught_up_at gives the new end of the lease.');
select is(pg_temp.caught_up(), '2030-01-01 11:59:58+00', 'A renewal stores caught_up_at.');
select bindery.renew_stream('s', 1, '2030-01-01 11:59:57+00');
select is(pg_temp.caught_up(), '2030-01-01 11:59:58+00', 'caught_up_at never goes back.');
select bindery.renew_stream('s', 1);
select is(pg_temp.caught_up(), '2030-01-01 11:59:58+00',
  'A renewal without caught_up_at leaves it as it is.');
select bindery.renew_stream(stream => 's', epoch => 1, caught_up_at => null);
select is(pg_temp.caught_up(), '2030-01-01 11:59:58+00',
  'A renewal with a null caught_up_at leaves it as it is.');
select bindery.renew_stream('s', 1, '2030-01-01 12:00:01+00');
select is(pg_temp.caught_up(), '2030-01-01 12:00:00+00', 'caught_up_at is at most now.');
select tap.clock('2030-01-01 12:00:05+00');
select is(tap.outcome(format('select bindery.renew_stream(''s'', 1, %L)', moment)),
  'PT422 bad_input', format('A caught_up_at of %s is refused.', moment))
from unnest(array['infinity', '-infinity']) moment;
select bindery.renew_stream('s', 1, '2031-01-01+00');
select is(tap.outcome('select bindery.renew_stream(''s'', 0, now())'), 'PT409 fenced',
  'An epoch that is over proves nothing.');
select is(pg_temp.caught_up(), '2030-01-01 12:00:05+00', 'A fenced renewal leaves caught_up_at.');

select tap.clock('2030-01-01 12:00:20+00');
select is((select caught_up_at from bindery.acquire_stream('s', 'two', '10 seconds')),
  '2030-01-01 12:00:05+00', 'acquire_stream gives caught_up_at, also to another holder.');
select is(pg_temp.caught_up(), '2030-01-01 12:00:05+00',
  'Acquiring a stream leaves caught_up_at as it is.');
select is(tap.outcome('select bindery.renew_stream(''s'', 1, ''2030-01-01 12:00:10+00'')'),
  'PT409 fenced', 'A relay that lost its stream proves nothing more.');
select bindery.release_stream('s', 2);
select is(pg_temp.caught_up(), '2030-01-01 12:00:05+00',
  'Releasing a stream leaves caught_up_at as it is.');

select * from finish();
rollback;
