-- bindery.outbox_backlog: how many messages wait to be published, and since when.
begin;
\ir ../helpers.psql
select plan(5);
select tap.clock('2030-01-01 12:00:00+00');
delete from bindery.outbox where true;

select is((select row(b.messages, b.oldest_at, b.age) from bindery.outbox_backlog() b),
  row(0::bigint, null::timestamptz, '0'::interval), 'An empty outbox has no backlog.');
select tap.book(2, '{ANALYZING}');
select tap.clock('2030-01-01 12:00:05+00');
select is((select b.messages from bindery.outbox_backlog() b), 2::bigint,
  'outbox_backlog counts the messages that wait.');
select is((select row(b.oldest_at, b.age) from bindery.outbox_backlog() b),
  row('2030-01-01 12:00:00+00'::timestamptz, '5 seconds'::interval),
  'outbox_backlog gives when the oldest message was written, and its age.');
select is((select b.messages from bindery.outbox_backlog(1) b), 1::bigint,
  'outbox_backlog counts no further than max_messages.');
select is(tap.as_role('bindery_relay', 'select messages from bindery.outbox_backlog()'), '2',
  'The relay''s role may call outbox_backlog.');

select * from finish();
rollback;
