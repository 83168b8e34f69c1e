-- bindery.sweep: stalled books are failed, FAILED books that are due are resumed, and early events
-- that waited too long become dead letters.
begin;
\ir ../helpers.psql
select plan(75);
-- WORKING stalls after a minute and has three attempts, the second after 10 s. WAITING stalls and
-- is not resumed automatically. ENDLESS does not stall.
select bindery.define_pipeline('swept', '{"states": [{"name": "QUEUED"},
  {"name": "WORKING", "weight": 1, "stall_after": "1 minute", "max_attempts": 3,
    "retry_after": "10 seconds", "substeps": [{"substep": "one"}, {"substep": "two"}]},
  {"name": "WAITING", "weight": 1, "stall_after": "1 minute"},
  {"name": "ENDLESS", "weight": 1, "retry_after": "5 hours"}, {"name": "DONE"}]}');
-- The result of a sweep at this moment: 'stalled/resumed/expired', and the streams it waits for.
create function pg_temp.sweep(moment text default null) returns text language plpgsql as $$
declare
  s jsonb;
begin
  if moment is not null then
    perform tap.clock(moment);
  end if;
  s := bindery.sweep();
  return concat_ws(' ', format('%s/%s/%s', s -> 'stalled', s -> 'resumed', s -> 'expired'),
    nullif(s -> 'waiting_for', '[]'));
end
$$;
-- The newest row of the n-th book's history: 'kind actor message'.
create function pg_temp.last_event(n integer) returns text language sql as $$
  select concat_ws(' ', e.kind, e.actor, e.message) from bindery.book_events e
  where e.book_id = tap.id(n) order by e.revision desc limit 1;
$$;
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{WORKING}', 'swept'), tap.book(2, '{WORKING,WAITING}', 'swept'),
  tap.book(3, '{}', 'swept'), tap.book(4, '{WORKING,CANCELLED}', 'swept'),
  tap.book(5, '{WORKING,WAITING,ENDLESS,DONE}', 'swept'),
  tap.book(6, '{WORKING,WAITING,ENDLESS}', 'swept');
select bindery.report_progress(tap.id(1), 'one', 100),
  bindery.report_progress(tap.id(1), 'two', 40);

-- Stalled books.
select is(
  bindery.sweep(),
  '{"ran": true, "stalled": 0, "resumed": 0, "expired": 0, "waiting_for": []}',
  'A sweep gives what it did, with ran true.');
select is(
  pg_temp.sweep('2030-01-01 12:01:00+00'), '0/0/0',
  'A book whose last heartbeat is exactly stall_after ago has not stalled.');
select bindery.heartbeat(tap.id(2));
select is(
  pg_temp.sweep('2030-01-01 12:01:01+00'), '1/0/0',
  'A book without a heartbeat for longer than stall_after has stalled.');
select is((tap.row(1)).status, 'FAILED', 'A stalled book is FAILED.');
select is(
  (tap.row(1)).error, '{"code": "stalled", "stage": "WORKING", "stall_after": 60,
    "heartbeat_at": "2030-01-01T12:00:00+00:00"}',
  'The error of a stalled book has the stage and its last heartbeat.');
select is(
  (tap.row(1)).message, 'No heartbeat from WORKING for more than 00:01:00.',
  'The message of a stalled book has the time without a heartbeat.');
select is(
  bindery.get_book_status(tap.id(1)) ->> 'health', 'stalled',
  'The health of a stalled book is stalled.');
select is(
  pg_temp.last_event(1), 'fail sweep No heartbeat from WORKING for more than 00:01:00.',
  'The history names the sweep and the reason of the failure.');
select is(
  (select e.data ->> 'code' from bindery.book_events e
    where e.book_id = tap.id(1) and e.kind = 'fail'), 'stalled',
  'The history has the code of the failure.');
select is((tap.row(n)).status, status, format('A book in %s has not stalled.', status))
from (values (2, 'WAITING'), (3, 'QUEUED'), (4, 'CANCELLED'), (5, 'DONE'), (6, 'ENDLESS'))
  v(n, status);
select is(pg_temp.sweep(), '0/0/0', 'A second sweep at the same moment does nothing.');

-- Automatic resumes: after 10 s, then after 20 s, then none.
select is(
  (tap.row(1)).resume_at, '2030-01-01 12:01:11+00',
  'A FAILED book is due when retry_after is over.');
select is(
  bindery.get_book_status(tap.id(1)) ->> 'resume_at', '2030-01-01T12:01:11+00:00',
  'The status gives the moment at which a book is due.');
select is(
  pg_temp.sweep('2030-01-01 12:01:10+00'), '0/0/0',
  'A FAILED book is not resumed before it is due.');
select is(
  pg_temp.sweep('2030-01-01 12:01:11+00'), '0/1/0', 'A FAILED book is resumed when it is due.');
select is((tap.row(1)).status, 'WORKING', 'A resumed book is in its stage again.');
select is((tap.row(1)).attempt, 2, 'A resumed book has the next attempt.');
select is((tap.row(1)).resume_at, null, 'A resumed book is not due.');
select is((tap.row(1)).stage_progress, 50::float8, 'A resumed book keeps its finished substeps.');
select is(
  pg_temp.last_event(1), 'resume sweep Attempt 1 at WORKING failed; its retry_after is over.',
  'The history names the sweep and the reason of the resume.');
select is(
  (select o.kind || ' ' || (o.payload #>> '{resume_point,left,0,substep}')
    from bindery.outbox o where o.book_id = tap.id(1) order by o.id desc limit 1), 'resume two',
  'A resume is a message of the outbox, with the resume point.');
select bindery.fail_book(tap.id(1), '{"code": "out_of_memory"}');
select is(
  (tap.row(1)).resume_at, '2030-01-01 12:01:31+00',
  'After the second failure a book waits twice as long, whatever reported the failure.');
select is(
  pg_temp.sweep('2030-01-01 12:01:31+00'), '0/1/0', 'The second resume is made when it is due.');
select is((tap.row(1)).attempt, 3, 'The second resume makes the third attempt.');
select bindery.fail_book(tap.id(1));
select is((tap.row(1)).resume_at, null, 'After max_attempts a book is not due.');
select is(
  pg_temp.sweep('2030-01-01 13:00+00'), '1/0/0',
  'A book after max_attempts is not resumed, while another stalls.');
select is((tap.row(1)).status, 'FAILED', 'A book after max_attempts stays FAILED.');
select is((tap.row(2)).resume_at, null, 'A book in a stage without retry_after is not due.');
select bindery.resume_book(tap.id(1));
select is((tap.row(1)).attempt, 4, 'resume_book resumes a book also after max_attempts.');
select bindery.fail_book(tap.id(1));
select is((tap.row(1)).resume_at, null, 'resume_book gives no further automatic resumes.');

-- How long a book waits.
create function pg_temp.wait(
  retry_after text, max_attempts integer, attempt integer, error jsonb
) returns text language sql as $$
  select (bindery_internal.resume_at(
      bindery_core.compile_pipeline(jsonb_build_object('states', jsonb_build_array(
        jsonb_strip_nulls(jsonb_build_object('name', 'A', 'weight', 1,
          'retry_after', retry_after, 'max_attempts', max_attempts)),
        '{"name": "B"}'::jsonb))) #> '{machine,states,0}',
      attempt, error, '2030-01-01 00:00+00') - '2030-01-01 00:00+00'::timestamptz)::text;
$$;
select is(
  pg_temp.wait(retry_after, most, attempt, error), expected,
  format('With retry_after %s and max_attempts %s, attempt %s with the error %s: %s.',
    coalesce(retry_after, 'none'), coalesce(most::text, 'none'), attempt,
    coalesce(error::text, 'null'), coalesce('due after ' || expected, 'not due')))
from (values
  ('10 seconds', 3, 1, '{}'::jsonb, '00:00:10'), ('10 seconds', 3, 2, '{}', '00:00:20'),
  ('10 seconds', 3, 3, '{}', null), ('10 seconds', 1, 1, '{}', null),
  ('10 seconds', null, 4, '{}', '00:01:20'), ('10 seconds', null, 2147483647, '{}', '1 day'),
  ('5 hours', null, 3, '{}', '20:00:00'), ('5 hours', null, 4, '{}', '1 day'),
  ('3 days', null, 9, '{}', '3 days'), (null, 3, 1, '{}', null),
  ('0.25 seconds', null, 2, '{}', '00:00:00.5'),
  ('10 seconds', 3, 1, '{"retry": false}', null),
  ('10 seconds', 3, 1, '{"retry": true}', '00:00:10'), ('10 seconds', 3, 1, null, '00:00:10'))
  v(retry_after, most, attempt, error, expected);

-- A book without a heartbeat, in contrast to a relay that lags.
select tap.clock('2030-01-02 12:00+00');
select tap.book(n, '{WORKING}', 'swept') from generate_series(20, 22) n;
select from bindery.acquire_stream('s', 'a relay', '1 hour');
select is(
  pg_temp.sweep('2030-01-02 12:10+00'), '0/0/0 ["s"]',
  'While a stream has never been caught up, no book has stalled.');
update bindery.relay_cursors set caught_up_at = '2030-01-02 12:01:00+00' where true;
select is(
  pg_temp.sweep('2030-01-02 12:10+00'), '0/0/0',
  'Time without a heartbeat counts up to the moment to which the relay has caught up.');
update bindery.relay_cursors set caught_up_at = '2030-01-02 12:01:01+00' where true;
select is(
  bindery.sweep('2030-01-02 12:00:30+00') ->> 'stalled', '0',
  'Time without a heartbeat counts up to the moment that the caller gives.');
update bindery.relay_cursors set lease_expires_at = '2030-01-02 12:09+00' where true;
select is(
  pg_temp.sweep('2030-01-02 12:10+00'), '0/0/0 ["s"]',
  'While the lease of a stream is over, no book has stalled.');
update bindery.relay_cursors
set lease_expires_at = '2030-01-02 12:11+00', holder = null where true;
select is(
  pg_temp.sweep('2030-01-02 12:10+00'), '0/0/0 ["s"]',
  'While a stream has no holder, no book has stalled.');
update bindery.relay_cursors set holder = 'a relay' where true;
insert into bindery.relay_cursors (stream, epoch, holder, lease_expires_at, caught_up_at)
values ('t', 1, 'b', '2030-01-03+00', '2030-01-02 12:00:59+00');
select is(
  pg_temp.sweep('2030-01-02 12:10+00'), '0/0/0',
  'Of several streams, the one with the largest lag counts.');
select bindery.fail_book(tap.id(20));
select is(
  pg_temp.sweep('2030-01-02 12:10:10+00'), '0/1/0',
  'A book that is due is resumed also while a relay lags.');
update bindery.relay_cursors set caught_up_at = '2030-01-02 12:10+00' where true;
select is(
  pg_temp.sweep('2030-01-02 12:10:11+00'), '2/0/0',
  'When all relays have caught up, the books without a heartbeat have stalled.');

-- Early events. They wait for 15 minutes.
update bindery.relay_cursors
set caught_up_at = '2030-01-02 12:10+00', lease_expires_at = '2030-01-03+00' where true;
select tap.clock('2030-01-02 12:12+00');
select is(
  tap.apply(
    tap.event('progress', 90, '{"stage": "WORKING", "substep": "one", "progress": 1, "count": 3}'),
    tap.event('transition', 20, '{"to_status": "DONE"}')), '0/0/4/0',
  'A report of an unknown book and a transition to a later stage are early events.');
update bindery.relay_cursors
set caught_up_at = '2030-01-02 12:10+00', lease_expires_at = '2030-01-03+00' where true;
select is(
  bindery.sweep('2030-01-02 12:27:00+00') ->> 'expired', '0',
  'An early event that has waited for exactly as long as patience is kept.');
select is(
  bindery.sweep('2030-01-02 12:27:01+00') ->> 'expired', '2',
  'An early event that has waited for longer than patience is counted as expired.');
select is(tap.waiting(), 'none', 'An expired event does not wait any longer.');
select results_eq(
  'select reason, count, message from bindery.dead_letters order by id',
  format($$values ('unknown_book', 3::bigint, 'There is no book %s. It waited for 00:15:00.'),
    ('transition_ahead', 1, %L)$$, tap.id(90), (
      select d.message from bindery.dead_letters d order by d.id desc limit 1)),
  'An expired event is a dead letter with its reason and count.');
select alike(
  (select message from bindery.dead_letters order by id desc limit 1),
  '% It waited for 00:15:00.', 'The dead letter of an expired event has the time that it waited.');
update bindery.settings set patience = '1 day' where true;
select tap.apply(tap.event('heartbeat', 91));
select is(
  bindery.sweep('2030-01-03 12:00:00+00') ->> 'expired', '0',
  'The setting patience changes how long an early event waits.');

-- A book that cannot be changed does not stop the sweep.
delete from bindery.relay_cursors where stream = 'tap';
select tap.clock('2030-01-03 13:00+00');
select tap.book(n, '{WORKING}', 'swept') from generate_series(30, 32) n;
create function tap.refuse() returns trigger language plpgsql as $$
begin
  raise exception 'not this one';
end
$$;
create trigger refuse before update on bindery.book_status for each row
when (old.book_id = '00000000-0000-4000-8000-000000000031') execute function tap.refuse();
update bindery.relay_cursors
set caught_up_at = '2030-01-03 14:00+00', lease_expires_at = '2030-01-04+00' where true;
select tap.clock('2030-01-03 14:00+00');
set local client_min_messages = error;
select is(
  bindery.sweep() -> 'ran', 'true',
  'A sweep runs to its end when a trigger refuses a change of a book.');
set local client_min_messages = warning;
select is(
  (select array_agg((tap.row(n)).status order by n) from generate_series(30, 32) n),
  array['FAILED', 'WORKING', 'FAILED'],
  'A sweep leaves a book as it is when a trigger refuses the change, and fails the others.');
drop trigger refuse on bindery.book_status;
select is(
  current_setting('bindery.actor'), '', 'A sweep resets the actor of the transaction.');

-- The right to call it, and the time of the call.
select is(
  (select provolatile::text from pg_proc where oid = 'bindery.sweep'::regproc), 'v',
  'sweep is VOLATILE, so that PostgREST takes it by POST only.');
select is(
  tap.outcome(format('select bindery.sweep(%L)', moment)), 'PT422 bad_input',
  format('sweep of the moment %s is refused.', moment))
from unnest(array['infinity', '-infinity']) moment;
select is(
  tap.as_role(role, 'select bindery.sweep() ->> ''ran'''), outcome,
  format('sweep as %s: %s.', role, outcome))
from (values ('service_role', 'true'), ('bindery_relay', 'true'), ('authenticated', '42501'),
  ('anon', '42501')) v(role, outcome);
-- At the current time, because only the schema's owner can set the clock.
select tap.clock(''), tap.book(40, '{WORKING}', 'swept');
select session_user as owner \gset
set local session authorization service_role;
select bindery.sweep(clock_timestamp() + interval '100 years');
-- By name: RESET has no effect in PGlite, whose session has not logged in.
set local session authorization :"owner";
select is(
  (select format('%s %s', b.status, b.attempt) from tap.row(40) b), 'WORKING 1',
  'A later moment than the present is used only for the owner of the schema.');
select bindery.sweep(clock_timestamp() + interval '100 years');
select is(
  (select format('%s %s', b.status, b.attempt) from tap.row(40) b), 'WORKING 2',
  'For the owner of the schema a book stalls, and is resumed, at the moment that it gives.');

select * from finish();
rollback;
