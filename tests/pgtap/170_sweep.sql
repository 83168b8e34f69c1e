begin;
\ir helpers.psql
select plan(61);
-- A stage that stalls after a minute, tries three times, the first time after 10 s; one that waits for a person; one that never stalls.
select bindery.define_pipeline('swept', '{"states": [{"name": "QUEUED"},
  {"name": "WORKING", "weight": 1, "stall_after": "1 minute", "max_attempts": 3, "retry_after": "10 seconds", "substeps": [{"name": "one"}, {"name": "two"}]},
  {"name": "WAITING", "weight": 1, "stall_after": "1 minute"}, {"name": "ENDLESS", "weight": 1, "retry_after": "5 hours"}, {"name": "DONE"}]}');
create function tap.sweep(moment text default null) returns text language plpgsql as $$
declare
  s jsonb;
begin
  if moment is not null then perform tap.clock(moment); end if;
  s := bindery.sweep();
  return format('%s/%s%s', s ->> 'stalled', s ->> 'resumed', case when s -> 'waiting_for' <> '[]' then ' ' || (s ->> 'waiting_for') else '' end);
end $$;
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{WORKING}', 'swept'), tap.book(2, '{WORKING,WAITING}', 'swept'), tap.book(3, '{}', 'swept'), tap.book(4, '{WORKING,CANCELLED}', 'swept'),
  tap.book(5, '{WORKING,WAITING,ENDLESS,DONE}', 'swept'), tap.book(6, '{WORKING,WAITING,ENDLESS}', 'swept');
select bindery.report_progress(tap.id(1), 'one', 100), bindery.report_progress(tap.id(1), 'two', 40);

-- Silence.
select is(tap.sweep(), '0/0', 'there is nothing to sweep at first');
select is(tap.sweep('2030-01-01 12:01:00+00'), '0/0', 'nor when the time is just over');
select bindery.heartbeat(tap.id(2));
select is(tap.sweep('2030-01-01 12:01:01+00'), '1/0', 'a book that was silent for longer than its stage allows is stalled');
select is((tap.row(1)).status, 'FAILED', 'it is FAILED');
select is((tap.row(1)).error, '{"code": "stalled", "stage": "WORKING", "stall_after": 60, "heartbeat_at": "2030-01-01T12:00:00+00:00"}', 'its error says why');
select is((tap.row(1)).message, 'Nothing was heard of WORKING for more than 00:01:00.', 'and so does its message');
select is(bindery.get_book_status(tap.id(1)) ->> 'health', 'stalled', 'its health, too');
select is((select format('%s %s %s %s', e.kind, e.actor, e.message, e.data ->> 'code') from bindery.book_events e where e.book_id = tap.id(1) order by e.revision desc limit 1),
  'fail sweep Nothing was heard of WORKING for more than 00:01:00. stalled', 'the history says who and why');
select is((tap.row(n)).status, status, format('a book in %s is left alone', status)) from (values (2, 'WAITING'), (3, 'QUEUED'), (4, 'CANCELLED'), (5, 'DONE'), (6, 'ENDLESS')) v(n, status);
select is(tap.sweep(), '0/0', 'the same again does nothing');

-- Going on by itself: after 10 s, then 20 s, then no more.
select is((tap.row(1)).resume_at, '2030-01-01 12:01:11+00', 'the book is to go on after retry_after');
select is(bindery.get_book_status(tap.id(1)) ->> 'resume_at', '2030-01-01T12:01:11+00:00', 'as its status tells');
select is(tap.sweep('2030-01-01 12:01:10+00'), '0/0', 'not before');
select is(tap.sweep('2030-01-01 12:01:11+00'), '0/1', 'but then');
select is((tap.row(1)).status, 'WORKING', 'it is at work again');
select is((tap.row(1)).attempt, 2, 'as its second attempt');
select is((tap.row(1)).resume_at, null, 'with nothing planned');
select is((tap.row(1)).stage_progress, 50::double precision, 'with what was finished');
select is((select format('%s %s %s', e.kind, e.actor, e.message) from bindery.book_events e where e.book_id = tap.id(1) order by e.revision desc limit 1),
  'resume sweep Attempt 1 at WORKING failed; its retry_after is over.', 'the history says who and why');
select is((select o.kind || ' ' || (o.payload #>> '{resume_point,left,0,substep}') from bindery.outbox o where o.book_id = tap.id(1) order by o.id desc limit 1),
  'resume two', 'workers hear of it, with the resume point');
select bindery.fail_book(tap.id(1), '{"code": "out_of_memory"}');
select is((tap.row(1)).resume_at, '2030-01-01 12:01:31+00', 'the second failure waits twice as long, whoever reports it');
select is(tap.sweep('2030-01-01 12:01:31+00'), '0/1', 'and goes on then');
select is((tap.row(1)).attempt, 3, 'as the third attempt');
select bindery.fail_book(tap.id(1));
select is((tap.row(1)).resume_at, null, 'after the last attempt nothing is planned');
select is(tap.sweep('2030-01-01 13:00+00'), '1/0', 'it waits for a person, while the one in WAITING has gone silent');
select is((tap.row(1)).status, 'FAILED', 'and stays FAILED');
select is((tap.row(2)).resume_at, null, 'a stage without retry_after plans nothing');
select bindery.resume_book(tap.id(1));
select is((tap.row(1)).attempt, 4, 'a person may resume it as often as it takes');
select bindery.fail_book(tap.id(1));
select is((tap.row(1)).resume_at, null, 'which brings no attempts back');

-- The delay.
create function tap.wait(retry_after text, max_attempts integer, attempt integer, error jsonb default '{}') returns text language sql as $$
  select (bindery_internal.resume_at(bindery_core.compile_pipeline(jsonb_build_object('states', jsonb_build_array(
      jsonb_strip_nulls(jsonb_build_object('name', 'A', 'weight', 1, 'retry_after', retry_after, 'max_attempts', max_attempts)), '{"name": "B"}'::jsonb)))
    #> '{machine,states,0}', attempt, error, '2030-01-01 00:00+00') - '2030-01-01 00:00+00'::timestamptz)::text;
$$;
select is(tap.wait(r, m, a, e), w, format('retry_after %s, max_attempts %s, attempt %s, error %s: %s', r, coalesce(m::text, 'none'), a, e, coalesce(w, 'no resume')))
from (values ('10 seconds', 3, 1, '{}'::jsonb, '00:00:10'), ('10 seconds', 3, 2, '{}', '00:00:20'), ('10 seconds', 3, 3, '{}', null), ('10 seconds', 1, 1, '{}', null),
  ('10 seconds', null, 4, '{}', '00:01:20'), ('10 seconds', null, 2147483647, '{}', '1 day'), ('5 hours', null, 3, '{}', '20:00:00'), ('5 hours', null, 4, '{}', '1 day'),
  ('3 days', null, 9, '{}', '3 days'), (null, 3, 1, '{}', null), ('0.25 seconds', null, 2, '{}', '00:00:00.5'),
  ('10 seconds', 3, 1, '{"retry": false}', null), ('10 seconds', 3, 1, '{"retry": true}', '00:00:10'), ('10 seconds', 3, 1, null, '00:00:10')) v(r, m, a, e, w);

-- A silent stream and a relay that lags are told apart.
select tap.clock('2030-01-02 12:00+00');
select tap.book(n, '{WORKING}', 'swept') from generate_series(20, 22) n;
select epoch as epoch from bindery.acquire_stream('s', 'a relay', '1 hour') \gset
select is(tap.sweep('2030-01-02 12:10+00'), '0/0 ["s"]', 'a stream that was never caught up holds the verdict up');
update bindery.relay_cursors set caught_up_at = '2030-01-02 12:01:00+00';
select is(tap.sweep('2030-01-02 12:10+00'), '0/0', 'silence counts only up to where the relay has caught up');
update bindery.relay_cursors set caught_up_at = '2030-01-02 12:01:01+00';
select is(bindery.sweep('2030-01-02 12:00:30+00'), '{"stalled": 0, "resumed": 0, "waiting_for": []}', 'and up to the moment that was asked about');
update bindery.relay_cursors set lease_expires_at = '2030-01-02 12:09+00';
select is(tap.sweep('2030-01-02 12:10+00'), '0/0 ["s"]', 'a lease that has run out holds it up');
update bindery.relay_cursors set lease_expires_at = '2030-01-02 12:11+00', holder = null;
select is(tap.sweep('2030-01-02 12:10+00'), '0/0 ["s"]', 'as does a stream that nobody holds');
update bindery.relay_cursors set holder = 'a relay';
insert into bindery.relay_cursors (stream, epoch, holder, lease_expires_at, caught_up_at) values ('t', 1, 'b', '2030-01-03+00', '2030-01-02 12:00:59+00');
select is(tap.sweep('2030-01-02 12:10+00'), '0/0', 'of several streams the one that is furthest behind counts');
select bindery.fail_book(tap.id(20));
select is(tap.sweep('2030-01-02 12:10:10+00'), '0/1', 'what is due is resumed meanwhile');
update bindery.relay_cursors set caught_up_at = '2030-01-02 12:10+00';
select is(tap.sweep('2030-01-02 12:10:11+00'), '2/0', 'when all have caught up, the silent are stalled');

-- One that cannot be failed holds up no other.
select tap.book(n, '{WORKING}', 'swept') from generate_series(30, 32) n;
create function tap.refuse() returns trigger language plpgsql as $$ begin raise exception 'not this one'; end $$;
create trigger refuse before update on bindery.book_status for each row when (old.book_id = '00000000-0000-4000-8000-000000000031') execute function tap.refuse();
update bindery.relay_cursors set caught_up_at = '2030-01-02 13:00+00', lease_expires_at = '2030-01-03+00';
set local client_min_messages = error;
select is(tap.sweep('2030-01-02 13:00+00'), '3/2', 'a book whose row somebody''s trigger guards is passed over');
set local client_min_messages = warning;
select is((tap.row(31)).status, 'WORKING', 'and stays as it was');
select is(current_setting('bindery.actor'), '', 'sweep leaves no name behind');
select is((select provolatile::text from pg_proc where oid = 'bindery.sweep'::regproc), 'v', 'sweep writes, so that PostgREST takes it by POST alone');
select is(tap.outcome($$select bindery.sweep('infinity')$$), 'PT422 bad_input', 'the end of time is no moment');
select is(tap.outcome($$select bindery.sweep('-infinity')$$), 'PT422 bad_input', 'nor is its beginning');

select * from finish();
rollback;
