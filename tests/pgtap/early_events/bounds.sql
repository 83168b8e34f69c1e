-- Early events are bounded per book and in total; one more becomes a dead letter at once.
begin;
\ir ../helpers.psql
select plan(33);
select is((select row(s.early_events_per_book, s.early_events_total) from bindery.settings s),
  row(10000, 1000000), 'By default a book has at most 10,000 early events, all books 1,000,000.');
create function pg_temp.beats(n integer, how_many integer) returns jsonb[] language sql as $$
  select array_agg(tap.event('heartbeat', n, jsonb_build_object('id', '7-' || i)) order by i)
  from generate_series(1, how_many) i;
$$;
create function pg_temp.reports(n integer, how_many integer) returns jsonb[] language sql as $$
  select array_agg(tap.event('progress', n, jsonb_build_object('id', '8-' || i, 'segment', 0,
    'substep', 'page_' || i, 'progress', 1)) order by i)
  from generate_series(1, how_many) i;
$$;

-- Per book.
update bindery.settings set early_events_per_book = 5 where true;
select is(tap.apply(variadic pg_temp.beats(1, 3)), '0/0/3/0', 'Three events of a book wait.');
select is(tap.apply(variadic pg_temp.beats(1, 3)), '0/0/2/1',
  'Of three more, one too many for the book is rejected.');
select is((select row(d.reason, d.event_id, d.book_id) from bindery.dead_letters d),
  row('too_many_early_events'::text, '7-3'::text, tap.id(1)),
  'An event without room is rejected with the reason too_many_early_events.');
select is((select message from bindery.dead_letters),
  format('There is no book %s. Too many events wait already (bindery.settings).', tap.id(1)),
  'The dead letter of an event without room names what it would have waited for.');
select is(tap.apply(variadic pg_temp.beats(2, 2)), '0/0/2/0', 'Events of another book wait.');
select is(tap.batch(variadic pg_temp.reports(2, 7) || pg_temp.reports(3, 4)), '0/0/7/4',
  'In arrays, of each book as many wait as fit.');
select is((select array_agg(d.event_id order by d.id) from bindery.dead_letters d
    where d.book_id = tap.id(2)), array['8-4', '8-5', '8-6', '8-7'],
  'The later events of a batch find no room.');
select is(tap.apply(tap.event('heartbeat', 2, '{"count": 9}')), '0/0/0/9',
  'An item that stands for nine events is rejected as nine.');
select is(tap.apply(
    jsonb_build_object('type', 'heartbeat', 'book_id', replace(tap.id(4)::text, '-', '')),
    jsonb_build_object('type', 'heartbeat', 'book_id', format('{%s}', tap.id(4))),
    jsonb_build_object('type', 'heartbeat', 'book_id', upper(tap.id(4)::text)),
    tap.event('heartbeat', 4), tap.event('heartbeat', 4), tap.event('heartbeat', 4)), '0/0/5/1',
  'Events of one book count together, whatever the form of its id.');
create temp table forms as
select i, case i % 3 when 0 then replace(tap.id(5)::text, '-', '')
  when 1 then format('{%s}', tap.id(5)) else tap.id(5)::text end as form
from generate_series(1, 9) i;
select is(row(d.early, d.rejected), row(5::bigint, 4::bigint),
  'Events of one book count together in one call, whatever the form of its id.')
from bindery_internal.defer('tap', (select jsonb_agg(jsonb_build_object('type', 'heartbeat',
  'book_id', f.form, 'reason', 'unknown_book', 'refusal', 'x.')) from forms f)) d;

-- When they are applied, there is room again.
select from bindery.register_book(tap.id(1));
select from bindery.transition_book(tap.id(1), 'ANALYZING');
select is((select count(*) from bindery.early_events where book_id = tap.id(1)), 0::bigint,
  'Events that are applied make room.');
select is(tap.apply(variadic array(select tap.event('heartbeat', 1, '{"attempt": 2}')
    from generate_series(1, 6))), '0/0/5/1', 'The book has room for five again.');

-- Attempts to fill the room with what is not early.
select is(tap.apply(tap.event('heartbeat', 1)), '1/0/0/0',
  'An event that applies now is applied, whatever the number of those that wait.');
select is(tap.apply(tap.event('progress', 1, '{"substep": "extract_text", "progress": 7}')),
  '1/0/0/0', 'A report without a stage does not wait behind heartbeats.');
select is((tap.row(1)).stage_progress, 1.75::float8, 'A report beside early events takes effect.');

-- In total.
delete from bindery.early_events where true;
delete from bindery.dead_letters where true;
update bindery.settings set early_events_per_book = 100, early_events_total = 8 where true;
select is(tap.apply(variadic pg_temp.beats(11, 4) || pg_temp.beats(12, 3)), '0/0/7/0',
  'Seven events of two books wait.');
select is(tap.batch(variadic pg_temp.reports(13, 2) || pg_temp.reports(14, 2)), '0/0/1/3',
  'One more than the total is rejected, whichever its book.');
select is((select array_agg(d.reason || ' ' || d.event_id order by d.id)
    from bindery.dead_letters d), array['too_many_early_events 8-2', 'too_many_early_events 8-1',
    'too_many_early_events 8-2'], 'The first events of a batch find room.');
select is((select count(*) from bindery.early_events), 8::bigint,
  'As many events wait as the total allows.');
-- Ids have gaps: what waited in between and is gone is not counted.
delete from bindery.early_events where book_id = tap.id(12);
select is(tap.apply(variadic pg_temp.beats(15, 4)), '0/0/3/1',
  'Events that are gone make room in the total.');
update bindery.settings set early_events_total = 0 where true;
select is(tap.apply(tap.event('heartbeat', 16)), '0/0/0/1', 'With a total of 0 no event waits.');
update bindery.settings set early_events_total = 100, early_events_per_book = 0 where true;
select is(tap.apply(tap.event('heartbeat', 16)), '0/0/0/1',
  'With 0 events a book no event waits.');
select is(tap.outcome(format('update bindery.settings set %s where true', change)), outcome,
  format('%s is %s.', change, case outcome when 'ok' then 'taken' else 'refused' end))
from (values ('early_events_per_book = 100000', 'ok'), ('early_events_per_book = 100001', '23514'),
  ('early_events_per_book = -1', '23514'), ('early_events_total = 100000000', 'ok'),
  ('early_events_total = 100000001', '23514'), ('early_events_total = -1', '23514'))
  v(change, outcome);

-- As many as a book may have, in one batch.
delete from bindery.early_events where true;
update bindery.settings set early_events_per_book = 3000, early_events_total = 1000000 where true;
select is(tap.batch(variadic pg_temp.reports(30, 4000)), '0/0/3000/1000',
  'Of 4,000 events in one batch 3,000 wait.');
select is(tap.batch(variadic pg_temp.reports(30, 1)), '0/0/0/1',
  'An event beyond the bound of its book is rejected.');
select tap.book(30, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}');
select is((select count(*) from bindery.early_events), 0::bigint,
  'The registration and transitions leave none of them waiting.');
select is((select count(*) from bindery.dead_letters d where d.reason = 'unknown_substep'),
  3000::bigint,
  'Reports without a stage are about the first state that the book has.');

select * from finish();
rollback;
