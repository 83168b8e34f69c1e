-- The health that bindery.get_book_status gives: live, quiet, stalled, or null.
begin;
\ir ../helpers.psql
select plan(13);
-- ANALYZING of the pipeline comic stalls after 2 minutes.
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}'), tap.book(2), tap.book(3, '{ANALYZING,GENERATING_SCENES}'),
  tap.book(4, '{ANALYZING,CANCELLED}'), tap.book(5, '{ANALYZING,FAILED}'),
  tap.book(6, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}');
create function tap.health(n integer, moment text) returns text language sql volatile as $$
  select tap.clock(moment);
  select bindery.get_book_status(tap.id(n)) ->> 'health';
$$;

select is(tap.health(1, '2030-01-01 12:00:00+00'), 'live',
  'A book is live at the moment of its last heartbeat.');
select is(tap.health(1, '2030-01-01 12:01:00+00'), 'live',
  'A book is live until half of stall_after has passed.');
select is(tap.health(1, '2030-01-01 12:01:01+00'), 'quiet',
  'A book is quiet after half of stall_after without a heartbeat.');
select is(tap.health(1, '2030-01-01 12:02:00+00'), 'quiet',
  'A book is quiet until all of stall_after has passed.');
select is(tap.health(1, '2030-01-01 12:02:01+00'), 'stalled',
  'A book is stalled after all of stall_after without a heartbeat.');
select bindery.heartbeat(tap.id(1));
select is(tap.health(1, '2030-01-01 12:03:00+00'), 'live',
  'A heartbeat makes a stalled book live again.');
select is(tap.health(2, '2031-01-01+00'), 'live',
  'A book is always live in a state without stall_after.');
select is(tap.health(n, '2031-01-01+00'), null,
  format('A %s book has no health.', (tap.row(n)).status))
from generate_series(4, 6) n;
select bindery.fail_book(tap.id(1), '{"code": "stalled"}');
select is(tap.health(1, '2031-01-01+00'), 'stalled',
  'A book that FAILED with the code stalled is stalled.');
select is(tap.health(3, '2029-01-01+00'), 'live',
  'A book is live when the clock has been set back.');
select is(bindery.get_book_changes(tap.id(3), 0) ->> 'health', 'live',
  'get_book_changes gives the same health.');

select * from finish();
rollback;
