-- Progress of a book is broadcast at most once in broadcast_every: the newest state follows, with
-- everything that changed meanwhile.
begin;
\ir ../helpers.psql
\ir standin.psql
select plan(43);
create function pg_temp.at(moment interval) returns void language sql volatile as $$
  select set_config('bindery.now', ('2030-01-01 12:00+00'::timestamptz + moment)::text, true);
$$;
-- What was broadcast of books since the last call: 'book revision partial since substeps'.
create function pg_temp.sent() returns text language plpgsql as $$
declare
  messages text;
begin
  select string_agg(format('%s r%s %s%s %s', right(m.topic, 1), m.payload ->> 'revision',
      case m.payload ->> 'substeps_partial' when 'true' then 'changed' else 'whole' end,
      ' since r' || (m.payload ->> 'since_revision'),
      (select string_agg(format('%s=%s', s ->> 'substep', s ->> 'progress'), ','
          order by s ->> 'substep')
        from jsonb_array_elements(m.payload -> 'substeps') s)), '; ' order by m.topic, m.payload)
  into messages from realtime.messages m where m.topic like 'book:%';
  delete from realtime.messages where true;
  return coalesce(messages, 'nothing');
end
$$;
-- The result of a call of send_held_broadcasts: 'sent held_back failed'.
create function pg_temp.flush() returns text language sql volatile as $$
  select format('%s %s %s', f.sent, f.held_back, f.failed) from bindery.send_held_broadcasts() f;
$$;

select pg_temp.at('0 s');
select is(
  (select s.broadcast_every from bindery.settings s), interval '1 second',
  'Progress of a book is broadcast once a second by default.');
select tap.book(1, '{ANALYZING}');
select pg_temp.sent();
select bindery.report_progress(tap.id(1), 'extract_text', 10);
select is(
  pg_temp.sent(), '1 r3 changed extract_text=10',
  'The first report after a change of status is broadcast at once.');
select pg_temp.at('0.1 s');
select bindery.report_progress(tap.id(1), 'extract_text', 20);
select pg_temp.at('0.2 s');
select bindery.report_progress(tap.id(1), 'detect_chapters', 30);
select is(pg_temp.sent(), 'nothing', 'Further reports within a second are held back.');
select is(pg_temp.flush(), '0 0 0', 'Within the second nothing is due.');
select is(
  (select round(f.next_seconds::numeric, 3) from bindery.send_held_broadcasts() f), 0.8,
  'send_held_broadcasts gives when the next broadcast is due.');
select pg_temp.at('1 s');
select is(
  pg_temp.flush(), '1 2 0',
  'After the second the book is broadcast, and what was held back is counted.');
select is(
  pg_temp.sent(), '1 r5 changed since r3 detect_chapters=30,extract_text=20',
  'What was held back is in the later message: every substep that changed, as it is now.');
select pg_temp.at('1.5 s');
select bindery.report_progress(tap.id(1), 'extract_text', 25);
select is(pg_temp.sent(), 'nothing', 'A message of what was held back opens another second.');
select pg_temp.at('2.1 s');
select bindery.report_progress(tap.id(1), 'analyze_characters', 5);
select is(
  pg_temp.sent(), '1 r7 changed since r5 analyze_characters=5,extract_text=25',
  'A report after the second is broadcast at once, with what was held back.');
select pg_temp.at('4 s');
select is(
  pg_temp.flush(), '0 1 0', 'What was sent by a report is counted, and nothing is sent twice.');
select is(
  (select count(*) from bindery_internal.broadcast_windows), 0::bigint,
  'A book that rests has no window.');
select is(
  (select f.next_seconds from bindery.send_held_broadcasts() f), 1::float8,
  'Where nothing is held back, the next call is due after a second.');

-- Changes of status.
select bindery.report_progress(tap.id(1), 'extract_text', 30);
select bindery.report_progress(tap.id(1), 'extract_text', 40);
select pg_temp.sent();
select bindery.fail_book(tap.id(1));
select is(
  pg_temp.sent(),
  '1 r10 whole analyze_characters=5,detect_chapters=30,extract_text=40',
  'A change of status is broadcast at once, as a whole.');
select bindery.resume_book(tap.id(1));
select is(
  pg_temp.sent(), '1 r11 whole analyze_characters=0,detect_chapters=0,extract_text=0',
  'A second change of status is broadcast at once.');
select bindery.report_progress(tap.id(1), 'extract_text', 50);
select is(pg_temp.sent(), 'nothing', 'A change of status leaves the window of progress open.');
select pg_temp.at('5 s');
select is(pg_temp.flush(), '1 2 0', 'After the window the newest state is sent.');
select is(
  pg_temp.sent(), '1 r12 changed since r11 extract_text=50',
  'After a change of status only later changes of substeps are held back.');
select is(
  tap.apply(tap.event('fail', 1, '{"message": "x"}'),
    tap.event('progress', 1, '{"substep": "extract_text", "progress": 60}')), '1/1/0/0',
  'A batch with a failure is applied.');
select is(left(pg_temp.sent(), 11), '1 r13 whole', 'A failure in a batch is broadcast at once.');
select bindery.resume_book(tap.id(1));

-- Batches, plans and plain statements.
select tap.book(2, '{ANALYZING}');
select pg_temp.at('10 s'), pg_temp.sent(), pg_temp.flush();
select tap.batch(tap.event('progress', n, jsonb_build_object(
  'substep', 'extract_text', 'progress', p)))
from generate_series(1, 2) n, generate_series(60, 80, 10) p;
select is(
  pg_temp.sent(), '1 r15 changed extract_text=60; 2 r3 changed extract_text=60',
  'Of several batches within a second the first is broadcast.');
select bindery.plan_substeps(tap.id(1), 'ANALYZING', '[{"substep": "extra"}]');
delete from bindery.book_progress where book_id = tap.id(2) and substep = 'detect_chapters';
update bindery.book_status set title = 'Moby Dick' where book_id = tap.id(1);
select is(pg_temp.sent(), 'nothing', 'Plans, titles and deleted substeps are held back, too.');
select pg_temp.at('11 s');
select is(pg_temp.flush(), '2 7 0', 'All books whose second is over are sent in one call.');
select is(
  pg_temp.sent(), '1 r19 changed since r15 extra=0,extract_text=80; '
    '2 r6 whole analyze_characters=0,extract_text=80',
  'After a deletion the later message has the whole list of substeps.');

-- A stage of many substeps.
select pg_temp.at('20 s'), pg_temp.flush(), pg_temp.sent();
select bindery.plan_substeps(tap.id(2), 'ANALYZING', (
  select jsonb_agg(jsonb_build_object('substep', 's' || n)) from generate_series(1, 300) n));
select pg_temp.sent();
select bindery.report_progress(tap.id(2), 's' || n, 50) from generate_series(1, 2) n;
select pg_temp.at('21 s'), pg_temp.flush();
select is(
  (select format('%s %s %s', m.payload ? 'substeps', m.payload -> 'left_out',
      (m.payload ->> 'revision')::bigint = (tap.row(2)).revision)
    from realtime.messages m where m.topic like 'book:%'), 'f ["substeps"] t',
  'In a stage of more than 200 substeps the later message omits them and lists them in left_out.');

-- Very many books.
insert into bindery.book_status (book_id) select tap.id(n) from generate_series(1001, 1501) n;
select is(
  (select array_agg(distinct s) from unnest(bindery_internal.substeps_since(b.ids,
    array_fill('[]'::jsonb, array[b.n]), array_fill(0::bigint, array[b.n]))) s),
  expected::jsonb[],
  format('Of %s books at once, of which something was held back, %s.', b.n, what))
from (values (500, '{NULL}', 'each has its list'), (501, '{"null"}', 'all leave their lists out'))
  v(n, expected, what)
cross join lateral (
  select array_agg(tap.id(1000 + i)) as ids, v.n from generate_series(1, v.n) i) b;
select pg_temp.sent();

-- A message that cannot be sent is due again.
select pg_temp.at('30 s'), pg_temp.flush(), pg_temp.sent();
select bindery.report_progress(tap.id(1), 'extract_text', 81);
select bindery.report_progress(tap.id(1), 'extract_text', 82);
select pg_temp.at('31 s'), pg_temp.sent();
alter table realtime.messages add constraint never check (false) not valid;
select matches(
  (select format('%s %s %s', f.sent, f.failed, f.problem) from bindery.send_held_broadcasts() f),
  '^0 1 .*never.*23514', 'A message that cannot be sent is reported.');
alter table realtime.messages drop constraint never;
select is(pg_temp.flush(), '0 0 0', 'It is tried again after another second.');
select pg_temp.at('32 s');
select is(
  pg_temp.flush() || ' ' || pg_temp.sent(), '1 1 0 1 r21 changed since r20 extract_text=82',
  'The newest state is not lost by a failure.');

-- For installations without a daemon.
select pg_temp.at('32.5 s');
select bindery.report_progress(tap.id(1), 'extract_text', 83);
select pg_temp.at('33.5 s');
select bindery.sweep();
select is(pg_temp.sent(), 'nothing', 'A sweep leaves to the daemon what is due now.');
select pg_temp.at('36 s');
select bindery.sweep();
select is(
  pg_temp.sent(), '1 r22 changed since r21 extract_text=83', 'A sweep sends what is 2 s overdue.');

-- The setting.
update bindery.settings set broadcast_every = '5 seconds' where true;
select pg_temp.at('40 s'), pg_temp.flush();
select bindery.report_progress(tap.id(1), 'extract_text', 84);
select pg_temp.at('44 s'), pg_temp.sent();
select bindery.report_progress(tap.id(1), 'extract_text', 85);
select is(pg_temp.sent(), 'nothing', 'The setting broadcast_every sets the interval.');
update bindery.settings set broadcast_every = '0' where true;
select pg_temp.at('45 s'), pg_temp.flush(), pg_temp.sent();
select bindery.report_progress(tap.id(1), 'extract_text', 86);
select bindery.report_progress(tap.id(1), 'extract_text', 87);
select is(
  pg_temp.sent(), '1 r25 changed extract_text=86; 1 r26 changed extract_text=87',
  'With broadcast_every 0 each change is broadcast.');
select throws_ok(
  format('update bindery.settings set broadcast_every = %L where true', value), '23514', null,
  format('The setting broadcast_every cannot be %s.', value))
from unnest(array['-1 second', '61 seconds']) value;

-- So many books that each is broadcast less often: 4 books of 2 topics at 2 messages a second.
update bindery.settings set broadcast_every = '1 second', broadcasts_per_second = 2 where true;
select tap.book(n, '{ANALYZING}') from generate_series(5, 8) n;
select pg_temp.at('50 s'), pg_temp.flush();
select bindery.report_progress(tap.id(n), 'extract_text', 1) from generate_series(5, 8) n;
select pg_temp.at('52 s'), pg_temp.flush();
select bindery.report_progress(tap.id(n), 'extract_text', 2) from generate_series(5, 8) n;
select pg_temp.at('52.1 s');
select is(
  bindery_internal.window_length(), interval '4 seconds',
  'Where more messages would be sent than broadcasts_per_second, windows are longer.');
select pg_temp.sent();
update bindery_internal.broadcast_windows w
set opened_at = '2030-01-01 12:00:52+00', due_at = '2030-01-01 12:00:56+00',
  revision = (tap.row(right(w.book_id::text, 1)::integer)).revision
where true;
-- Each 0.4 s a change.
select pg_temp.at(moment), bindery.report_progress(tap.id(5), 'extract_text', progress)
from (values (interval '52.4 s', 3), ('52.8 s', 4), ('53.2 s', 5), ('53.6 s', 6))
  v(moment, progress);
select pg_temp.at('54.3 s');
select is(
  pg_temp.flush() || ' ' || pg_temp.sent(), '0 0 0 nothing',
  'A book that keeps changing is held back for the longer window.');
select pg_temp.at('54.5 s');
select is(
  pg_temp.flush() || ' ' || pg_temp.sent(), '1 4 0 5 r8 changed since r4 extract_text=6',
  'A book that has been quiet for twice as long as usual is sent before the end of the window.');
select is(
  (select f.next_seconds from bindery.send_held_broadcasts() f), 0.25::float8,
  'While a window is longer than broadcast_every, the next call is due soon.');
select pg_temp.at('58 s'), pg_temp.flush();
select throws_ok(
  'update bindery.settings set broadcasts_per_second = 0 where true', '23514', null,
  'The setting broadcasts_per_second is at least 1.');
update bindery.settings set broadcasts_per_second = 60 where true;
select pg_temp.at('60 s'), pg_temp.flush(), pg_temp.sent();

-- A clock that was set back.
update bindery.settings set broadcast_every = '1 second' where true;
select bindery.report_progress(tap.id(1), 'extract_text', 88);
select pg_temp.sent(), pg_temp.at('-1 hour');
select bindery.report_progress(tap.id(1), 'extract_text', 89);
select is(
  pg_temp.sent(), '1 r28 changed extract_text=89',
  'A clock that was set back by an hour holds back nothing.');

-- Switched off meanwhile.
select bindery.report_progress(tap.id(1), 'extract_text', 90);
set local bindery.broadcast = 'off';
select pg_temp.at('0 s'), pg_temp.flush();
select is(
  pg_temp.sent(), 'nothing',
  'What was held back is not sent where broadcasts are switched off.');
select is(
  (select count(*) from bindery_internal.broadcast_windows), 0::bigint,
  'Where broadcasts are switched off windows are removed.');

select * from finish();
rollback;
