-- bindery.prune_outbox: old unpublished messages are deleted from the front.
begin;
\ir ../helpers.psql
select plan(10);

create temp table moments as
select n, '2030-01-01 00:00+00'::timestamptz + n * interval '1 day' as at
from generate_series(1, 6) n;
delete from bindery.outbox where true;
select tap.clock(at::text), tap.book(10 + n, '{ANALYZING}') from moments order by n;

select is(bindery.prune_outbox('2030-01-02 00:00+00'), 0,
  'prune_outbox keeps a message that is exactly as old as the moment.');
select is(bindery.prune_outbox('2030-01-04 00:00+00', 3), 3,
  'prune_outbox deletes at most a batch of messages a call.');
select is(bindery.prune_outbox('2030-01-04 00:00+00', 3), 1,
  'prune_outbox deletes the rest when it is called again.');
select is(bindery.prune_outbox('2030-01-04 00:00+00', 3), 0,
  'prune_outbox gives 0 when nothing is left to delete.');
select is(tap.outcome('select bindery.prune_outbox(null)'), 'PT422 bad_input',
  'prune_outbox without a moment is refused.');
select is(tap.outcome(format('select bindery.prune_outbox(now(), %s)', batch)), 'PT422 bad_input',
  format('prune_outbox with a batch of %s is refused.', batch))
from unnest(array['0', '100001', 'null']) batch;
select is((select array_agg(book_id order by id) from bindery.take_outbox()),
  array(select tap.id(n) from unnest(array[13, 13, 14, 14, 15, 15, 16, 16]) n),
  'prune_outbox deletes the oldest messages, so that the others are taken in order.');
select is(tap.as_role('authenticated', 'select bindery.prune_outbox(now())'), '42501',
  'A user may not call prune_outbox.');

select * from finish();
rollback;
