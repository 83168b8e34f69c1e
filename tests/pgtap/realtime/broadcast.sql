-- Changed books are broadcast to the private topics book:<book_id>:<owner_id>, or book:<book_id>
-- without an owner, and owner:<owner_id>. Here each change at once; budget.sql holds changes back.
begin;
\ir ../helpers.psql
select plan(46);
update bindery.settings set broadcast_every = '0' where true;
-- What was broadcast since the last call: 'topic revision', in order of the books.
create function pg_temp.sent() returns text language plpgsql as $$
declare
  messages text;
begin
  select string_agg(format('%s r%s', m.topic, m.payload ->> 'revision'), ', '
    order by m.payload ->> 'book_id', m.topic)
  into messages from realtime.messages m;
  delete from realtime.messages where true;
  return coalesce(messages, 'nothing');
end
$$;
-- What was broadcast of the n-th book since the last call: its substeps as 'partial substeps'.
create function pg_temp.substeps(n integer) returns text language plpgsql as $$
declare
  substeps text;
begin
  select format('%s %s', m.payload -> 'substeps_partial', (
    select string_agg(s ->> 'substep', ',' order by s ->> 'substep')
    from jsonb_array_elements(m.payload -> 'substeps') s))
  into substeps from realtime.messages m where m.topic = pg_temp.topic('book', n);
  delete from realtime.messages where true;
  return substeps;
end
$$;
create function pg_temp.topic(kind text, n integer) returns text language sql as $$
  select concat_ws(':', kind, tap.id(n), (tap.row(n)).owner_id);
$$;
-- The topics of the n-th book and of its owner, with this revision.
create function pg_temp.both(n integer, revision integer) returns text language sql as $$
  select format('book:%s:%s r%s, owner:%2$s r%3$s', tap.id(n), tap.id(900), revision);
$$;

-- Without Realtime there is NOTIFY, which a transaction does not see of its own.
select is(
  tap.call('register_book', 1), 'ok', 'A book is registered where Realtime is not installed.');

\ir standin.psql
select bindery.register_book(tap.id(2), owner_id => tap.id(900), title => 'Moby Dick');
select is(
  pg_temp.sent(), pg_temp.both(2, 1),
  'A new book is broadcast to its topic and to the topic of its owner.');
select bindery.register_book(tap.id(3));
select is(
  pg_temp.sent(), format('book:%s r1', tap.id(3)),
  'A book without an owner is broadcast to its topic only.');
select bindery.transition_book(tap.id(2), 'ANALYZING');
select is(
  (select format('%s %s %s', m.event, m.private, m.extension) from realtime.messages m
    where m.topic ^@ 'book:'), 'book_status t broadcast',
  'The message is private, and its event is book_status.');
select is(
  (select m.payload - array['substeps', 'substeps_partial'] from realtime.messages m
    where m.topic ^@ 'book:'), tap.visible(2),
  'The payload has the columns of the book, without the internal ones.');
select is(
  (select m.payload -> 'substeps' from realtime.messages m where m.topic ^@ 'book:'),
  tap.substeps(2), 'The payload has the substeps as get_book_status gives them.');
select is(
  (select count(distinct m.payload) from realtime.messages m), 1::bigint,
  'The topic of the book and the topic of its owner have the same payload.');
select is(pg_temp.sent(), pg_temp.both(2, 2), 'A transition is broadcast.');
select bindery.report_progress(tap.id(2), 'extract_text', 40);
select is(pg_temp.sent(), pg_temp.both(2, 3), 'A progress report is broadcast.');
select bindery.report_progress(tap.id(2), 'extract_text', 30), bindery.heartbeat(tap.id(2));
select is(
  pg_temp.sent(), 'nothing', 'A heartbeat and a report of less progress are not broadcast.');
update bindery.book_status set title = 'The Whale' where book_id = tap.id(2);
select is(pg_temp.sent(), pg_temp.both(2, 4), 'A plain UPDATE is broadcast.');
update bindery.book_status set status = 'CANCELLED' where book_id in (tap.id(2), tap.id(3));
select is(
  pg_temp.sent(), format('%s, book:%s r2', pg_temp.both(2, 5), tap.id(3)),
  'A plain UPDATE of two books is broadcast for both.');

-- The substeps of a payload.
select bindery.register_book(tap.id(4));
select pg_temp.sent();
select bindery.transition_book(tap.id(4), 'ANALYZING');
select is(
  pg_temp.substeps(4), 'false analyze_characters,detect_chapters,extract_text',
  'A transition is broadcast with the whole list of substeps.');
select bindery.report_progress(tap.id(4), 'extract_text', 40, message => 'page 3');
select is(
  (select m.payload -> 'substeps' from realtime.messages m),
  (select jsonb_agg(s) from jsonb_array_elements(tap.substeps(4)) s
    where s ->> 'substep' = 'extract_text'),
  'A progress report is broadcast with its substep, as get_book_status gives it.');
select is(pg_temp.substeps(4), 'true extract_text', 'The changed substeps are a partial list.');
select bindery.plan_substeps(tap.id(4), 'ANALYZING', '[{"substep": "extra"}]');
select is(
  pg_temp.substeps(4), 'false analyze_characters,detect_chapters,extra,extract_text',
  'A plan is broadcast with the whole list of substeps.');
select tap.batch(
  tap.event('progress', 4, '{"segment": 0, "substep": "extra", "progress": 10}'),
  tap.event('progress', 4, '{"segment": 0, "substep": "detect_chapters", "progress": 10}'),
  tap.event('progress', 4, '{"segment": 1, "substep": "extra", "progress": 20}'));
select is(
  pg_temp.substeps(4), 'true detect_chapters,extra',
  'A batch is broadcast with the substeps that it changed, each once.');
select bindery.fail_book(tap.id(4));
select is(
  pg_temp.substeps(4), 'false analyze_characters,detect_chapters,extra,extract_text',
  'A failure is broadcast with the whole list of substeps.');

-- A batch.
select is(
  tap.apply(tap.event('register', 10), tap.event('transition', 10, '{"to_status": "ANALYZING"}'),
    tap.event('progress', 10, '{"substep": "extract_text", "progress": 10}'),
    tap.event('register', 11),
    tap.event('progress', 10, '{"substep": "extract_text", "progress": 60}'),
    tap.event('heartbeat', 3)), '5/1/0/0', 'A batch of events is applied.');
select is(
  (select m.payload #> '{substeps,0,progress}' from realtime.messages m
    where m.topic = pg_temp.topic('book', 10)), '60',
  'A batch is broadcast with the progress at its end.');
select is(
  pg_temp.sent(), format('book:%s r4, book:%s r1', tap.id(10), tap.id(11)),
  'A batch is broadcast once for each book.');
select is(
  tap.apply(tap.event('progress', 10, '{"substep": "extract_text", "progress": 20}')), '1/0/0/0',
  'A batch with a report of less progress is applied.');
select is(pg_temp.sent(), 'nothing', 'A batch that changes nothing visible is not broadcast.');
select is(
  current_setting('bindery.batching'), '',
  'After a batch, statements of the same transaction are broadcast again.');
select bindery.report_progress(tap.id(10), 'extract_text', 70);
select is(
  pg_temp.sent(), format('book:%s r5', tap.id(10)),
  'A report after a batch of the same transaction is broadcast.');

-- A payload that would be too large.
update bindery.book_status set metadata = jsonb_build_object('small', 1,
  'text', repeat('x', 40000)) where book_id = tap.id(10);
select is(
  (select m.payload -> 'metadata' from realtime.messages m), '{"small": 1, "cut": true}',
  'Large metadata is cut, as get_book_status cuts it.');
select is(
  (select (m.payload ->> 'revision')::bigint from realtime.messages m), (tap.row(10)).revision,
  'A payload with cut metadata has the other columns.');
select pg_temp.sent();
update bindery.book_status set metadata = (
  select jsonb_object_agg('key_' || n, repeat('x', 100)) from generate_series(1, 230) n)
where book_id = tap.id(10);
select ok(
  (select not m.payload ? 'partial' from realtime.messages m),
  'A payload that has everything is not partial.');
select pg_temp.sent();
select bindery.report_progress(tap.id(10), 'detect_chapters', 1, message => repeat('y', 8000));
select bindery.report_progress(tap.id(10), 'analyze_characters', 1,
  message => repeat('z', 8000));
select bindery.report_progress(tap.id(10), 'extract_text', 71, message => repeat('ü', 8000));
select cmp_ok(
  (select max(octet_length(m.payload::text)) from realtime.messages m), '<', 32768,
  'A payload is below 32 KiB whatever is large in it.');
select pg_temp.sent();
update bindery.book_status set message = repeat('ü', 8000) where book_id = tap.id(10);
select is(
  (select m.payload -> 'left_out' from realtime.messages m), '["metadata"]',
  'A payload that would be too large names the parts that are left out.');
select is(
  (select format('%s %s', m.payload -> 'partial', m.payload ? 'metadata')
    from realtime.messages m), 'true f', 'A payload without all parts is partial.');
select pg_temp.sent();
-- The largest: characters of three bytes, and an error of many small members.
update bindery.book_status set title = repeat('題', 1024), message = repeat('訊', 8192)
where book_id = tap.id(10);
select bindery.fail_book(tap.id(10), (
  select jsonb_object_agg('key_' || n, repeat('x', 100)) from generate_series(1, 200) n),
  message => repeat('訊', 8192));
select cmp_ok(
  (select max(octet_length(m.payload::text)) from realtime.messages m), '<', 32768,
  'A payload of a book with large texts, error and metadata is below 32 KiB.');
select is(
  (select m.payload -> 'left_out' from realtime.messages m
    where m.payload ->> 'revision' = (tap.row(10)).revision::text),
  '["metadata", "error", "substeps"]',
  'The parts are left out in the order metadata, error, substeps.');
select bindery.resume_book(tap.id(10));
update bindery.book_status set title = 'Short', message = null, metadata = '{}'
where book_id = tap.id(10);
select pg_temp.sent();

-- The switch.
set local bindery.broadcast = 'off';
select bindery.report_progress(tap.id(10), 'extract_text', 72);
select is(pg_temp.sent(), 'nothing', 'The setting bindery.broadcast off switches broadcasts off.');
update bindery.settings set broadcast = true where true;
select bindery.report_progress(tap.id(10), 'extract_text', 72.2);
select is(
  pg_temp.sent(), 'nothing', 'The setting bindery.broadcast overrides bindery.settings.');
set local bindery.broadcast = '';
select is(
  tap.as_role('service_role', 'with s as (update bindery.settings set broadcast = false
    where true returning 1) select count(*) from s'), '1',
  'The service may change bindery.settings.');
select bindery.report_progress(tap.id(10), 'extract_text', 72.4);
select is(
  pg_temp.sent(), 'nothing', 'The column broadcast of bindery.settings switches broadcasts off.');
set local bindery.broadcast = 'on';
select bindery.report_progress(tap.id(10), 'extract_text', 72.6);
select is(
  pg_temp.sent(), format('book:%s r%s', tap.id(10), (tap.row(10)).revision),
  'The setting bindery.broadcast on switches broadcasts on for the session.');
set local bindery.broadcast = '';
select is(
  tap.as_role(role, 'with s as (update bindery.settings set broadcast = true where true
    returning 1) select count(*) from s'), '42501',
  format('%s may not change bindery.settings.', role))
from unnest(array['authenticated', 'anon', 'bindery_relay']) role;
select throws_ok(
  'insert into bindery.settings (only_row) values (false)', '23514', null,
  'bindery.settings has one row only.');
update bindery.settings set broadcast = true where true;
select bindery.report_progress(tap.id(10), 'extract_text', 73);
select is(
  pg_temp.sent(), format('book:%s r%s', tap.id(10), (tap.row(10)).revision),
  'The column broadcast of bindery.settings switches broadcasts on.');

-- A broadcast that fails does not fail the change.
alter table realtime.messages rename to letters;
set local client_min_messages = error;
select is(
  tap.call('report_progress', 10, '''extract_text'', 74'), 'ok',
  'A report succeeds where the table realtime.messages is missing.');
alter table realtime.letters rename to messages;
create or replace function realtime.send(
  payload jsonb, event text, topic text, private boolean default true
) returns void language plpgsql as $$
begin
  raise exception 'broken' using errcode = 'XX001';
end
$$;
alter table realtime.messages add constraint never check (false) not valid;
select is(
  tap.call('report_progress', 10, '''extract_text'', 75'), 'ok',
  'A report succeeds where the table refuses the message and realtime.send raises an error.');
select is(
  (tap.substep(10, 'extract_text')).progress, 75::float8, 'Such a report takes effect.');
alter table realtime.messages drop constraint never;
revoke insert on realtime.messages from public, service_role, authenticated;
set local client_min_messages = warning;

select * from finish();
rollback;
