-- The policy on realtime.messages: the right to join a private topic, and the creation of the
-- policy.
begin;
\ir ../helpers.psql
select plan(25);
create function pg_temp.policies() returns text language sql volatile as $$
  select string_agg(policyname::text, ', ') from pg_policies where schemaname = 'realtime';
$$;

select is(
  (select m.state from bindery.make_realtime_policy() m), 'none',
  'Without Realtime there is no policy to make.');
create schema realtime;
select is(
  (select m.state from bindery.make_realtime_policy() m), 'no_table',
  'make_realtime_policy reports that Realtime has not made its table yet.');
select isnt(
  (select m.problem from bindery.make_realtime_policy() m), null,
  'make_realtime_policy reports why there is no policy.');
drop schema realtime;
\ir standin.psql
create function tap.make() returns text language sql volatile as $$
  select m.state from bindery.make_realtime_policy() m;
$$;
grant execute on function tap.make() to bindery_relay;
select is(
  tap.as_role('bindery_relay', 'select tap.make()'), 'made',
  'The daemon makes the policy as soon as the table is there.');
select tap.make();
select is(pg_temp.policies(), 'bindery_owner_joins', 'The policy is bindery_owner_joins.');
select is(tap.make(), 'there', 'A policy that is there is left as it is.');
drop policy bindery_owner_joins on realtime.messages;
\ir ../../../sql/access/realtime_messages.sql
\ir ../../../sql/access/realtime_messages.sql
select is(
  pg_temp.policies(), 'bindery_owner_joins', 'Each migration makes the policy anew, as one.');
select matches(
  (select qual from pg_policies where schemaname = 'realtime'), 'extension.*broadcast',
  'The policy is for broadcasts only.');

-- The right to join a topic.
create function pg_temp.joins(sub text, topic text) returns text language plpgsql as $$
begin
  perform set_config('realtime.topic', topic, true);
  return tap.as_role('authenticated',
    format('select count(*) > 0 from realtime.messages where topic = %L', topic), sub);
end
$$;
create function pg_temp.book(n integer, owner integer default null) returns text
language sql as $$
  select concat_ws(':', 'book', tap.id(n), case when owner is not null then tap.id(owner) end);
$$;
select bindery.register_book(tap.id(2), owner_id => tap.id(900));
select bindery.register_book(tap.id(3));
insert into realtime.messages (topic, extension, private, payload)
select topic, extension, true, '{}'
from unnest(array[pg_temp.book(2, 900), pg_temp.book(2, 901), pg_temp.book(2), pg_temp.book(3),
    pg_temp.book(3, 900), 'owner:' || tap.id(900), 'owner:', 'book:']) topic,
  unnest(array['broadcast', 'presence']) extension;
select is(
  pg_temp.joins(sub, topic), answer,
  format('A user with the id %s %s the topic %s.', coalesce(sub, 'null'),
    case answer when 'true' then 'may join' else 'may not join' end, topic))
from (values
  (tap.id(900)::text, pg_temp.book(2, 900), 'true'),
  (tap.id(900)::text, 'owner:' || tap.id(900), 'true'),
  (tap.id(901)::text, pg_temp.book(2, 900), 'false'),
  (tap.id(901)::text, pg_temp.book(2, 901), 'false'),
  (tap.id(900)::text, pg_temp.book(2), 'false'),
  (tap.id(901)::text, 'owner:' || tap.id(900), 'false'),
  (tap.id(900)::text, pg_temp.book(3), 'false'),
  (tap.id(900)::text, pg_temp.book(3, 900), 'false'), (tap.id(900)::text, 'book:', 'false'),
  ('not-a-uuid', 'owner:', 'false'), (null, 'owner:' || tap.id(900), 'false'))
  v(sub, topic, answer);
update bindery.book_status set owner_id = tap.id(901) where book_id = tap.id(2);
select is(
  pg_temp.joins(tap.id(900)::text, pg_temp.book(2, 900)), 'false',
  'A former owner may not join the topic that the book had.');
select is(
  pg_temp.joins(tap.id(901)::text, pg_temp.book(2, 901)), 'true',
  'The new owner may join the topic that the book has now.');
delete from bindery.book_status where book_id = tap.id(2);
select is(
  pg_temp.joins(tap.id(901)::text, pg_temp.book(2, 901)), 'false',
  'The owner of a deleted book may not join its topic.');
revoke insert on realtime.messages from public, service_role, authenticated;
select is(
  tap.as_role('anon', 'select count(*) from realtime.messages'), '42501',
  'An anonymous user reads no message.');

-- A login without the right gets the reason.
create role rt_stranger;
alter table realtime.messages owner to rt_stranger;
alter function bindery_internal.make_realtime_policy(boolean) owner to bindery_relay;
select is(
  (select m.state from bindery_internal.make_realtime_policy(true) m), 'refused',
  'Without the right to make the policy nothing fails.');
select matches(
  (select m.problem from bindery_internal.make_realtime_policy(true) m), 'realtime',
  'make_realtime_policy reports which right is missing.');

select * from finish();
rollback;
