begin;
\ir helpers.psql
-- Why a stream's dead letters are there, counted; and what waits in the outbox.
select tap.book(1, '{ANALYZING}');
select plan(9);

select is((select count(*)::int from bindery.dead_letter_reasons('tap')), 0, 'a stream without letters has no reasons');
select tap.apply(tap.event('heartbeat', 99, '{"count": 3}'), tap.event('heartbeat', 98), tap.event('dance', 1));
select results_eq($$select * from bindery.dead_letter_reasons('tap')$$,
  $$values ('unknown_book', 2::bigint, 4::bigint), ('bad_input', 1::bigint, 1::bigint)$$, 'each reason with its letters and the events they stand for, most first');
select is((select count(*)::int from bindery.dead_letter_reasons('tap', '1-99')), 0,
  'after the last one there are none');
select results_eq($$select * from bindery.dead_letter_reasons('tap', max_letters => 1)$$, $$values ('bad_input', 1::bigint, 1::bigint)$$, 'the newest letters alone');
select is((select count(*)::int from bindery.dead_letter_reasons('another')), 0, 'another stream''s are its own');
select throws_ok($$select * from bindery.dead_letter_reasons('tap', 'yesterday')$$, 'PT422', null, 'an id must be one');

delete from bindery.outbox;
select is((select row(b.messages, b.oldest_at, b.age) from bindery.outbox_backlog() b), row(0::bigint, null::timestamptz, '0'::interval), 'nothing waits in an empty outbox');
select tap.book(2, '{ANALYZING}');
select is((select b.messages from bindery.outbox_backlog() b), (select count(*) from bindery.outbox), 'what waits is counted');
select is((select b.oldest_at from bindery.outbox_backlog() b), (select min(created_at) from bindery.outbox), 'and since when');

select * from finish();
rollback;
