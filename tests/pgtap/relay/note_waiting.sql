-- bindery.note_waiting: books whose job waits in a BullMQ queue are not stalled.
begin;
\ir ../helpers.psql
select plan(37);
set local timezone = 'UTC';
select bindery.define_pipeline('waits', '{"states": [{"name": "QUEUED"},
  {"name": "ONE", "weight": 1, "stall_after": "40 seconds"},
  {"name": "TWO", "weight": 1, "stall_after": "8 seconds"}, {"name": "DONE"}]}');
-- Notes the jobs that wait in the queue of this stage: {"book": attempt or null}.
create function pg_temp.note(stage text, waiting jsonb, stream text default 's', epoch bigint
  default 1) returns integer language sql volatile as $$
  select bindery.note_waiting(stream, epoch, stage, tap.id(0), tap.id(99),
    coalesce(array_agg(tap.id(w.key::integer)), '{}'), coalesce(array_agg(w.value::integer), '{}'))
  from jsonb_each_text(waiting) w;
$$;
create function pg_temp.health(n integer) returns text language sql volatile as $$
  select bindery.get_book_status(tap.id(n)) ->> 'health';
$$;
-- The books that a sweep fails, now that both relays have caught up.
create function pg_temp.stalled() returns integer language plpgsql as $$
begin
  perform bindery.renew_stream('s', 1, bindery_internal.now()),
    bindery.renew_stream('t', 1, bindery_internal.now());
  return bindery.sweep() -> 'stalled';
end
$$;
select tap.clock('2030-01-01 12:00:00+00');
select tap.book(1, '{ONE}', 'waits'), tap.book(2, '{ONE}', 'waits'), tap.book(3, '{}', 'waits'),
  tap.book(4, '{ONE,TWO}', 'waits'), tap.book(5, '{ONE,CANCELLED}', 'waits'),
  tap.book(6, '{ONE,TWO,DONE}', 'waits'), tap.book(7, '{ONE,FAILED}', 'waits');
select bindery.acquire_stream(s, 'one', '1 hour') from unnest(array['s', 't']) s;

-- A brief silence.
select tap.clock('2030-01-01 12:00:05+00');
select is(pg_temp.note('ONE', '{"1": null, "9": null}'), 0,
  'A book that was briefly silent does not wait yet, and an unknown book never does.');
select is(pg_temp.health(1), 'live', 'The health of such a book is live.');
select tap.clock('2030-01-01 12:00:06+00');
select is(pg_temp.note('ONE', '{"1": null, "3": 1, "4": 1, "5": null, "6": 1, "7": 1, "9": null}'),
  2, 'Books wait in the stage of the queue or in one before it.');
select is(pg_temp.note('ONE', '{"1": null, "3": 1}'), 0, 'A second call finds them waiting.');
select is(pg_temp.health(1), 'waiting', 'The health of a book whose job waits is waiting.');
select is(pg_temp.health(3), 'waiting', 'A book waits also in a state without stall_after.');
select is(pg_temp.health(2), 'live', 'A book without such a job does not wait.');
select is(pg_temp.health(4), 'quiet', 'A job of a stage that the book has left does not count.');
select is(pg_temp.health(n), null, 'A halted or completed book does not wait.')
from generate_series(5, 7) n;

-- However long.
select tap.clock('2030-01-01 12:00:41+00');
select bindery.heartbeat(tap.id(4));
select is(pg_temp.stalled(), 1, 'A sweep fails the silent book only.');
select is((tap.row(2)).status, 'FAILED', 'It is the one whose job does not wait.');
select tap.clock('2031-01-01 12:00:00+00');
select bindery.heartbeat(tap.id(4));
select bindery.renew_stream(s, 1) from unnest(array['s', 't']) s;
select is(pg_temp.stalled(), 0, 'A book whose job waits for a year has not stalled.');
select is(pg_temp.health(1), 'waiting', 'It still waits.');
select bindery.report_progress(tap.id(1), 'all', 10);
select is(pg_temp.health(1), 'live', 'A report makes it live, though another job waits.');
select tap.clock('2031-01-01 12:00:06+00');
select is(pg_temp.health(1), 'waiting', 'After a brief silence it waits again.');

-- Two queues.
select is(pg_temp.note('TWO', '{"1": 7, "4": 1}', 't'), 2, 'A job of a later stage counts.');
select is(pg_temp.health(4), 'waiting', 'So does one of the stage.');
select tap.clock('2031-01-01 12:10:00+00');
select pg_temp.note('ONE', '{}');
select is(pg_temp.health(1), 'live', 'The end of the waiting is a heartbeat.');
select is((tap.row(1)).heartbeat_at, '2031-01-01 12:10:00+00',
  'Silence counts from the end of the waiting.');
select is((tap.row(4)).heartbeat_at, '2031-01-01 12:00:00+00',
  'Another queue''s call does not touch a book.');
select tap.clock('2031-01-01 12:11:00+00');
select bindery.renew_stream(s, 1) from unnest(array['s', 't']) s;
select is(pg_temp.stalled(), 0, 'A book that waits in another queue has not stalled.');
select pg_temp.note('TWO', '{"4": 1}', 't');
select is(pg_temp.stalled(), 0, 'A book has not stalled at the end of its waiting.');
select tap.clock('2031-01-01 12:11:41+00');
select is(pg_temp.stalled(), 1, 'It stalls once it was silent for stall_after.');
select is((tap.row(1)).error ->> 'code', 'stalled', 'It is FAILED.');

-- Attempts.
select bindery.resume_book(tap.id(1));
select tap.clock('2031-01-01 12:11:50+00');
select is(pg_temp.note('ONE', '{"1": 1}'), 0,
  'A job of an attempt that was given up does not count.');
select is(pg_temp.note('ONE', '{"1": 2}'), 1, 'A job of the attempt counts.');
select bindery.cancel_book(tap.id(1));
select pg_temp.note('ONE', '{"1": 2}');
select is((select count(*) from bindery_internal.waiting_books w where w.book_id = tap.id(1)),
  0::bigint, 'A book that is cancelled waits no more.');

-- A part of the books, a deleted book, a forgotten stream.
select bindery.note_waiting('t', 1, 'TWO', tap.id(5), tap.id(9), '{}', '{}');
select is(pg_temp.health(4), 'waiting', 'A call is about the books of its range only.');
select is(tap.outcome(format('select bindery.note_waiting(%s)', arguments)), outcome,
  format('note_waiting(%s) is refused.', arguments))
from (values
  ('''s'', 2, ''ONE'', tap.id(0), tap.id(9), ''{}'', ''{}''', 'PT409 fenced'),
  ('''u'', 1, ''ONE'', tap.id(0), tap.id(9), ''{}'', ''{}''', 'PT409 fenced'),
  ('''s'', 1, null, tap.id(0), tap.id(9), ''{}'', ''{}''', 'PT422 bad_input'),
  ('''s'', 1, ''ONE'', tap.id(0), tap.id(9), ''{}'', ''{1}''', 'PT422 bad_input'),
  ('''s'', 1, ''ONE'', tap.id(0), tap.id(9), array[tap.id(10)], ''{1}''', 'PT422 bad_input'),
  ('''s'', 1, ''ONE'', tap.id(0), tap.id(9), array[null]::uuid[], ''{1}''', 'PT422 bad_input'))
  as c(arguments, outcome);
select bindery.release_stream('t', 1);
select bindery.forget_stream('t');
select is(pg_temp.health(4), 'stalled', 'In a forgotten stream no book waits.');

select * from finish();
rollback;
