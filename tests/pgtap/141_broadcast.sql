begin;
\ir helpers.psql
select plan(44);
create function tap.sent() returns text language plpgsql as $$
declare
  all_of_them text;
begin
  select string_agg(format('%s r%s', m.topic, m.payload ->> 'revision'), ', ' order by m.payload ->> 'book_id', m.topic) into all_of_them from realtime.messages m;
  delete from realtime.messages;
  return coalesce(all_of_them, 'nothing');
end $$;
create function tap.topic(kind text, n integer) returns text language sql as $$ select kind || ':' || tap.id(n) $$;
listen bindery;

-- Without Realtime: NOTIFY.
select is(tap.outcome(format('select bindery.register_book(%L)', tap.id(1))), 'ok', 'without Realtime a book is registered');

\ir realtime_standin.psql
\ir ../../sql/720_realtime_messages.sql
select bindery.register_book(tap.id(2), owner_id => tap.id(900), title => 'Moby Dick');
select is(tap.sent(), format('book:%s r1, owner:%s r1', tap.id(2), tap.id(900)), 'with it a new book is sent to its own topic and to its owner''s');
select bindery.register_book(tap.id(3));
select is(tap.sent(), format('book:%s r1', tap.id(3)), 'a book without an owner only to its own');
select bindery.transition_book(tap.id(2), 'ANALYZING');
select is((select format('%s %s %s %s', m.event, m.private, m.extension, m.payload = to_jsonb(tap.row(2))) from realtime.messages m where m.topic ^@ 'book:'),
  'book_status t broadcast t', 'the message is private, and is the row');
select is(tap.sent(), format('book:%s r2, owner:%s r2', tap.id(2), tap.id(900)), 'a transition is sent');
select bindery.report_progress(tap.id(2), 'extract_text', 40);
select is(tap.sent(), format('book:%s r3, owner:%s r3', tap.id(2), tap.id(900)), 'progress is sent');
select bindery.report_progress(tap.id(2), 'extract_text', 30), bindery.heartbeat(tap.id(2));
select is(tap.sent(), 'nothing', 'what nobody can see is not');
update bindery.book_status set title = 'The Whale' where book_id = tap.id(2);
select is(tap.sent(), format('book:%s r4, owner:%s r4', tap.id(2), tap.id(900)), 'a plain UPDATE is sent');
update bindery.book_status set status = 'CANCELLED' where book_id in (tap.id(2), tap.id(3));
select is(tap.sent(), format('book:%s r5, owner:%s r5, book:%s r2', tap.id(2), tap.id(900), tap.id(3)), 'so is one of two books');

-- A batch: once a book, as it is in the end.
select is(tap.apply(tap.event('register', 10), tap.event('transition', 10, '{"to": "ANALYZING"}'), tap.event('progress', 10, '{"substep": "extract_text", "progress": 10}'),
  tap.event('register', 11), tap.event('progress', 10, '{"substep": "extract_text", "progress": 60}'), tap.event('heartbeat', 3)), '5/1/0', 'a batch of events');
select is(tap.sent(), format('book:%s r4, book:%s r1', tap.id(10), tap.id(11)), 'is sent once a book');
select is(tap.apply(tap.event('progress', 10, '{"substep": "extract_text", "progress": 20}')), '1/0/0', 'a batch that changes nothing visible');
select is(tap.sent(), 'nothing', 'is not sent');
select is(current_setting('bindery.batching'), '', 'after a batch every statement is sent again');
select bindery.report_progress(tap.id(10), 'extract_text', 70);
select is(tap.sent(), format('book:%s r5', tap.id(10)), 'which it is');

-- Too large: the largest parts are left out, and named.
update bindery.book_status set metadata = jsonb_build_object('text', repeat('x', 40000)) where book_id = tap.id(10);
select is((select format('%s %s %s', m.payload -> 'partial', m.payload -> 'left_out', m.payload ? 'metadata') from realtime.messages m), 'true ["metadata"] f', 'a payload that is too large says what it lacks');
select ok((select octet_length(m.payload::text) < 32768 from realtime.messages m), 'and stays below 32 KiB');
select is((select (m.payload ->> 'revision')::bigint from realtime.messages m), (tap.row(10)).revision, 'with the rest in place');
select tap.sent();
select bindery.report_progress(tap.id(10), 'detect_chapters', 1, message => repeat('y', 8000));
select bindery.report_progress(tap.id(10), 'analyze_characters', 1, message => repeat('z', 8000));
select bindery.report_progress(tap.id(10), 'extract_text', 71, message => repeat('ü', 8000));
select ok((select bool_and(octet_length(m.payload::text) < 32768) from realtime.messages m), 'whatever it is that is large');
select is((select m.payload -> 'left_out' from realtime.messages m where m.payload ->> 'revision' = (tap.row(10)).revision::text), '["metadata", "substeps"]', 'as much as has to be is left out');
select tap.sent();

-- Switched off.
set local bindery.broadcast = 'off';
select bindery.report_progress(tap.id(10), 'extract_text', 72);
select is(tap.sent(), 'nothing', 'bindery.broadcast = off switches it off');
update bindery.settings set broadcast = true;
select bindery.report_progress(tap.id(10), 'extract_text', 72.2);
select is(tap.sent(), 'nothing', 'whatever the table of settings says');
set local bindery.broadcast = '';
select is(tap.as_role('service_role', 'with s as (update bindery.settings set broadcast = false returning 1) select count(*) from s'), '1', 'the service switches it off for all');
select bindery.report_progress(tap.id(10), 'extract_text', 72.4);
select is(tap.sent(), 'nothing', 'which holds');
set local bindery.broadcast = 'on';
select bindery.report_progress(tap.id(10), 'extract_text', 72.6);
select is(tap.sent(), format('book:%s r%s', tap.id(10), (tap.row(10)).revision), 'but where a session says otherwise');
set local bindery.broadcast = '';
select is(tap.as_role(role, 'with s as (update bindery.settings set broadcast = true returning 1) select count(*) from s'), '42501', format('%s cannot switch it', role))
from unnest(array['authenticated', 'anon', 'bindery_relay']) role;
select throws_ok('insert into bindery.settings (only_row) values (false)', '23514', null, 'there is one row of settings');
update bindery.settings set broadcast = true;
select bindery.report_progress(tap.id(10), 'extract_text', 73);
select is(tap.sent(), format('book:%s r%s', tap.id(10), (tap.row(10)).revision), 'and anything else on');

-- Nothing of it fails a change.
alter table realtime.messages rename to letters;
set local client_min_messages = error;
select is(tap.outcome(format('select bindery.report_progress(%L, ''extract_text'', 74)', tap.id(10))), 'ok', 'without the table realtime.send is called');
alter table realtime.letters rename to messages;
create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void language plpgsql as $$
begin raise exception 'broken' using errcode = 'XX001'; end $$;
alter table realtime.messages add constraint never check (false) not valid;
select is(tap.outcome(format('select bindery.report_progress(%L, ''extract_text'', 75)', tap.id(10))), 'ok', 'a table that takes nothing and a send that raises do not fail the change');
select is((tap.row(10)).stage_progress, 19.5::double precision, 'which stands');
alter table realtime.messages drop constraint never;
revoke insert on realtime.messages from public, service_role, authenticated;
set local client_min_messages = warning;

-- Who may join.
create function tap.joins(sub text, topic text) returns text language plpgsql as $$
begin
  perform set_config('realtime.topic', topic, true);
  return tap.as_role('authenticated', format('select count(*) > 0 from realtime.messages where topic = %L', topic), sub);
end $$;
insert into realtime.messages (topic, extension, private, payload)
select t, e, true, '{}' from unnest(array['book:' || tap.id(2), 'book:' || tap.id(3), 'owner:' || tap.id(900), 'owner:', 'book:']) t, unnest(array['broadcast', 'presence']) e;
select is(tap.joins(sub, topic), answer, format('%s %s %s', coalesce(sub, 'nobody'), case answer when 'true' then 'joins' else 'does not join' end, topic))
from (values (tap.id(900)::text, tap.topic('book', 2), 'true'), (tap.id(900)::text, tap.topic('owner', 900), 'true'), (tap.id(901)::text, tap.topic('book', 2), 'false'),
  (tap.id(901)::text, tap.topic('owner', 900), 'false'), (tap.id(900)::text, tap.topic('book', 3), 'false'), (tap.id(900)::text, 'book:', 'false'), ('not-a-uuid', 'owner:', 'false'),
  (null, tap.topic('owner', 900), 'false')) v(sub, topic, answer);
select is(tap.as_role('anon', 'select count(*) from realtime.messages'), '42501', 'anon reads no message');
\ir ../../sql/720_realtime_messages.sql
select is((select count(*)::integer from pg_policies where schemaname = 'realtime'), 1, 'the policy can be made again');
select is((select count(*)::integer from pg_policies where schemaname = 'realtime' and qual ~ 'extension.*broadcast'), 1, 'and is for broadcasts alone');

select * from finish();
rollback;
