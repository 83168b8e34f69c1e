-- A book that changes its owner or is deleted: its former topics receive the event gone, and
-- nothing after it; the topics of the new owner receive the book as a whole.
begin;
\ir ../helpers.psql
\ir standin.psql
select plan(17);
-- What was broadcast since the last call: 'event topic revision', in order of the topics. Topics
-- name books and owners by the last three digits of their ids.
create function pg_temp.sent() returns text language plpgsql as $$
declare
  messages text;
begin
  select string_agg(format('%s %s r%s', m.event,
      regexp_replace(m.topic, '00000000-0000-4000-8000-000000000', '', 'g'),
      m.payload ->> 'revision'), ', ' order by m.topic, m.event, m.payload -> 'revision')
  into messages from realtime.messages m;
  delete from realtime.messages where true;
  return coalesce(messages, 'nothing');
end
$$;
create function pg_temp.at(moment interval) returns void language sql volatile as $$
  select set_config('bindery.now', ('2030-01-01 12:00+00'::timestamptz + moment)::text, true);
$$;
select pg_temp.at('0 s');
select bindery.register_book(tap.id(n), owner_id => tap.id(900)) from generate_series(1, 4) n;
select bindery.register_book(tap.id(5));
select bindery.transition_book(tap.id(1), 'ANALYZING');
select pg_temp.sent();

update bindery.book_status set owner_id = tap.id(901) where book_id = tap.id(1);
select is(
  (select m.payload from realtime.messages m where m.topic = 'owner:' || tap.id(900)),
  jsonb_build_object('book_id', tap.id(1), 'revision', 3, 'gone', true),
  'The former owner learns that the book is gone, and nothing else of it.');
select is(
  (select format('%s %s %s', m.payload ->> 'substeps_partial',
      jsonb_array_length(m.payload -> 'substeps'), m.payload ->> 'owner_id' = tap.id(901)::text)
    from realtime.messages m where m.topic = 'owner:' || tap.id(901)),
  'false 3 t', 'The new owner receives the book as a whole.');
select is(
  pg_temp.sent(),
  'gone book:001:900 r3, book_status book:001:901 r3, gone owner:900 r3, '
    'book_status owner:901 r3',
  'A new owner is announced to the topics of the former one and to its own.');
select pg_temp.at('2 s');
select bindery.report_progress(tap.id(1), 'extract_text', 10);
select is(
  pg_temp.sent(), 'book_status book:001:901 r4, book_status owner:901 r4',
  'After a change of owner nothing more is sent to the former owner.');
select bindery.report_progress(tap.id(1), 'extract_text', 20);
update bindery.book_status set owner_id = tap.id(900) where book_id = tap.id(1);
select is(
  pg_temp.sent(),
  'book_status book:001:900 r6, gone book:001:901 r6, book_status owner:900 r6, '
    'gone owner:901 r6',
  'A change of owner is broadcast at once also while progress is held back.');
update bindery.book_status set owner_id = null where book_id = tap.id(1);
select is(
  pg_temp.sent(), 'book_status book:001 r7, gone book:001:900 r7, gone owner:900 r7',
  'A book that loses its owner is gone for the owner.');
update bindery.book_status set owner_id = tap.id(901) where book_id = tap.id(1);
select is(
  pg_temp.sent(), 'gone book:001 r8, book_status book:001:901 r8, book_status owner:901 r8',
  'A book that gets an owner is gone from the topic that it had without one.');
update bindery.book_status set owner_id = tap.id(901), status = 'CANCELLED'
where book_id in (tap.id(1), tap.id(2));
select is(
  pg_temp.sent(),
  'book_status book:001:901 r9, gone book:002:900 r2, book_status book:002:901 r2, '
    'gone owner:900 r2, book_status owner:901 r2, book_status owner:901 r9',
  'A statement on several books announces the departure of those whose owner changes.');
update bindery.book_status set owner_id = owner_id where true;
select is(pg_temp.sent(), 'nothing', 'An UPDATE to the same owner announces nothing.');

delete from bindery.book_status where book_id = tap.id(2);
select is(
  pg_temp.sent(), 'gone book:002:901 r3, gone owner:901 r3',
  'A deleted book is gone for its owner, with a revision above its last.');
delete from bindery.book_status where book_id = tap.id(5);
select is(
  pg_temp.sent(), 'gone book:005 r2', 'A deleted book without an owner is gone from its topic.');
delete from bindery.book_status where book_id = tap.id(999);
select is(pg_temp.sent(), 'nothing', 'A DELETE of no book announces nothing.');

-- Users are deleted, and their books with them.
create table tap.users (id uuid primary key);
insert into tap.users values (tap.id(900)), (tap.id(901));
alter table bindery.book_status add constraint of_user foreign key (owner_id)
  references tap.users on delete cascade;
delete from tap.users where id = tap.id(900);
select is(
  pg_temp.sent(),
  'gone book:003:900 r2, gone book:004:900 r2, gone owner:900 r2, gone owner:900 r2',
  'Books that are deleted with their owner are gone for it.');
alter table bindery.book_status drop constraint of_user;

select is(
  (select count(*) from bindery_internal.broadcast_windows w where w.book_id <> tap.id(1)),
  0::bigint, 'A deleted book leaves no window.');

-- Very many books are announced in parts.
insert into bindery.book_status (book_id, owner_id)
select tap.id(n), tap.id(900) from generate_series(1001, 3500) n;
delete from realtime.messages where true;
update bindery.book_status set owner_id = tap.id(901) where owner_id = tap.id(900);
select results_eq(
  'select m.event, count(*), count(distinct m.topic) from realtime.messages m
    where m.topic like ''book:%'' group by 1 order by 1',
  $$values ('book_status'::text, 2500::bigint, 2500::bigint),
    ('gone'::text, 2500::bigint, 2500::bigint)$$,
  'An UPDATE of the owner of 2,500 books announces each once to its former and its new topic.');

-- The switch, and a failure.
set local bindery.broadcast = 'off';
delete from realtime.messages where true;
delete from bindery.book_status where book_id = tap.id(1001);
select is(pg_temp.sent(), 'nothing', 'Where broadcasts are switched off no departure is sent.');
set local bindery.broadcast = '';
alter table realtime.messages rename to letters;
set local client_min_messages = error;
select lives_ok(
  format('delete from bindery.book_status where book_id = %L', tap.id(1002)),
  'A departure that cannot be broadcast fails nothing.');

select * from finish();
rollback;
