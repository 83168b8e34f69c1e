-- Without Realtime: changes that were left to be announced by NOTIFY.
begin;
\ir ../helpers.psql
select plan(9);

select tap.book(1);
select is(bindery_internal.notifies(), true, 'Without Realtime changes are announced by NOTIFY.');
select is((select count(*) from bindery_internal.unannounced), 0::bigint,
  'Without other sessions that announce, nothing is left.');
insert into bindery_internal.unannounced (book_id, revision)
values (tap.id(1), 1), (tap.id(1), 2), (tap.id(2), 1);
select is(
  (select (s.sent, s.failed, s.next_seconds)::text from bindery.send_held_broadcasts() s),
  '(0,0,0.03)', 'What was left is announced, and the next call is due soon.');
select is((select count(*) from bindery_internal.unannounced), 0::bigint,
  'What was announced is not left any more.');
select is((select s.next_seconds from bindery.send_held_broadcasts() s), 0.1::double precision,
  'Where nothing was left the next call may wait a little.');
insert into bindery_internal.unannounced (book_id, revision) values (tap.id(1), 3);
select bindery.sweep();
select is((select count(*) from bindery_internal.unannounced), 0::bigint,
  'A sweep announces what was left.');

update bindery.settings set notify = false where true;
select is(bindery_internal.notifies(), false, 'The setting notify switches announcements off.');
insert into bindery_internal.unannounced (book_id, revision) values (tap.id(1), 4);
select bindery.send_held_broadcasts();
select is((select count(*) from bindery_internal.unannounced), 0::bigint,
  'What was left before announcements were switched off is dropped.');
update bindery.settings set notify = true where true;
create schema realtime;
create function realtime.send(
  payload jsonb, event text, topic text, private boolean default true)
returns void language sql as 'select';
select is(bindery_internal.notifies(), false, 'With Realtime nothing is announced by NOTIFY.');

select * from finish();
rollback;
