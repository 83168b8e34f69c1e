-- take_outbox: the oldest messages, deleted in the caller's transaction.
begin;
\ir ../helpers.psql
select plan(10);
delete from bindery.outbox;
select tap.book(1, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}');
create temp table expected as select id, payload from bindery.outbox order by id;
create temp table taken as select row_number() over () as n, t.* from bindery.take_outbox(2) t;

select results_eq(
  'select id, payload from taken order by n',
  'select id, payload from expected order by id limit 2',
  'take_outbox returns the oldest messages, in order.');
select is(
  (select count(*)::integer from bindery.outbox), 3, 'Messages that are taken leave the outbox.');
savepoint publishing;
select results_eq(
  'select id from bindery.take_outbox()', 'select id from expected order by id offset 2',
  'A second take_outbox in the transaction continues after the first.');
select is(
  (select count(*)::integer from bindery.outbox), 0, 'take_outbox empties the outbox.');
rollback to publishing;
select is(
  (select count(*)::integer from bindery.outbox), 3,
  'A rollback puts the messages back into the outbox.');
select is(
  (select count(*)::integer from bindery.take_outbox(n)),
  0, format('take_outbox(%s) takes none.', n))
from (values (0), (-1)) v(n);
delete from bindery.book_status where book_id = tap.id(1);
select is(
  (select count(*)::integer from bindery.take_outbox(10000)), 3,
  'Messages remain in the outbox when their book is deleted.');

-- By size.
delete from bindery.outbox;
insert into bindery.outbox (book_id, revision, kind, payload, created_at)
select tap.id(1), n, 'transition', to_jsonb(repeat('x', bytes)), now()
from (values (1, 600000), (2, 300000), (3, 200000), (4, 2000000), (5, 1)) m(n, bytes);
create function tap.take() returns text language sql volatile as $$
  select string_agg(t.revision::text, ' ' order by t.id) from bindery.take_outbox(500) t;
$$;
select is(
  array[tap.take(), tap.take(), tap.take(), tap.take()], '{1 2,3,4,5}',
  'take_outbox takes about a megabyte, or one message that is larger.');
select is((select count(*) from bindery.outbox), 0::bigint, 'Each message is taken once.');

select * from finish();
rollback;
