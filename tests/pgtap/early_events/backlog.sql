-- bindery.early_backlog, and who may read bindery.early_events.
begin;
\ir ../helpers.psql
select plan(13);
select tap.clock('2030-01-01 12:00:00+00');

select is((select row(b.events, b.books, b.oldest_at, b.age) from bindery.early_backlog() b),
  row(0::bigint, 0::bigint, null::timestamptz, '0'::interval),
  'Without early events there is no backlog.');
select tap.apply(tap.event('heartbeat', 1, '{"count": 3}'), tap.event('heartbeat', 1));
select tap.clock('2030-01-01 12:00:10+00');
select tap.apply(tap.event('heartbeat', 2, '{"count": 5}'));
select is((select row(b.events, b.books, b.oldest_at, b.age) from bindery.early_backlog() b),
  row(9::bigint, 2::bigint, '2030-01-01 12:00:00+00'::timestamptz, '10 seconds'::interval),
  'early_backlog counts events and books, and gives when the oldest came and its age.');
select tap.clock('2030-01-01 11:00:00+00');
select is((select b.age from bindery.early_backlog() b), '0'::interval,
  'The age is 0 when the clock has been set back.');
select tap.book(1, '{ANALYZING}');
select is((select row(b.events, b.books) from bindery.early_backlog() b), row(5::bigint, 1::bigint),
  'Events that were applied are not in the backlog.');

-- Who may see them.
select is(tap.as_role(role, 'select count(*) from bindery.early_events'), answer,
  format('%s reads early_events: %s.', role, answer))
from (values ('service_role', '1'), ('authenticated', '42501'), ('anon', '42501'),
  ('bindery_relay', '42501')) v(role, answer);
select is(tap.as_role(role, 'select events from bindery.early_backlog()'), answer,
  format('%s calls early_backlog: %s.', role, answer))
from (values ('service_role', '5'), ('bindery_relay', '5'), ('authenticated', '42501'),
  ('anon', '42501')) v(role, answer);
select is(tap.as_role('service_role', 'delete from bindery.early_events where true'), '42501',
  'The service does not delete early events.');

select * from finish();
rollback;
