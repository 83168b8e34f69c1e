begin;
\ir helpers.psql
-- An operator's step back, and coming back to a stage by rework: in both the stage starts over as its next attempt.
select plan(53);
select bindery.define_pipeline('loops', '{"auto_advance": true, "states": [{"name": "START"},
  {"name": "DRAFTING", "weight": 1, "substeps": [{"name": "one"}, {"name": "two"}]},
  {"name": "CHECKING", "weight": 1, "rework": ["DRAFTING"], "next": [{"to": "DONE", "guard": "substeps_complete"}, "MENDING"], "substeps": [{"name": "look"}]},
  {"name": "MENDING", "weight": 1, "max_attempts": 2, "retry_after": "1 second"}, {"name": "DONE"}]}');
create function tap.rewind(n integer, to_stage text) returns text language sql as $$
  select tap.outcome(format('select bindery.rewind_book(%L, %L)', tap.id(n), to_stage));
$$;
create function tap.last_event(n integer) returns text language sql volatile as $$
  select format('%s %s->%s attempt %s: %s', e.kind, e.from_status, e.to_status, e.attempt, e.message) from bindery.book_events e where e.book_id = tap.id(n) order by e.revision desc limit 1;
$$;

-- Back from a stage.
select tap.book(1, '{DRAFTING}', 'loops');
select bindery.report_progress(tap.id(1), 'one', 100, checkpoint => '{"page": 3}'), bindery.report_progress(tap.id(1), 'two', 100);
select bindery.transition_book(tap.id(1), 'CHECKING');
select is((select (b).status || ' ' || (b).attempt from (select bindery.rewind_book(tap.id(1), 'DRAFTING', 'the ending is missing') as b) r), 'DRAFTING 2', 'rewind_book gives the row, at the earlier stage, as its next attempt');
select is((tap.row(1)).overall_progress, 0::double precision, 'its progress falls to where the stage starts');
select is((tap.row(1)).message, 'the ending is missing', 'the message says why');
select is(tap.last_event(1), 'rewind CHECKING->DRAFTING attempt 2: the ending is missing', 'the history calls it a rewind');
select is((select o.kind || ' ' || (o.payload ->> 'to') || ' ' || jsonb_array_length(o.payload #> '{resume_point,left}') from bindery.outbox o where o.book_id = tap.id(1) order by o.id desc limit 1),
  'resume DRAFTING 2', 'workers are told to take it up again, with all that is left');
select results_eq($$select substep, progress, checkpoint, attempt from bindery.book_progress where book_id = tap.id(1) order by 1$$,
  $$values ('one', 0::double precision, null::jsonb, 2), ('two', 0, null, 2)$$, 'nothing of the stage is kept, no checkpoint either');
select is(tap.outcome(format('select bindery.report_progress(%L, ''one'', 60, attempt => 1)', tap.id(1))), 'ok', 'a straggler of the first visit is no error');
select is((tap.row(1)).stage_progress, 0::double precision, 'but without effect');
select bindery.report_progress(tap.id(1), 'one', 60, attempt => 2);
select is((tap.row(1)).stage_progress, 30::double precision, 'who reports for this visit counts');
select is(tap.outcome(format('select bindery.report_progress(%L, ''one'', 60, attempt => 3)', tap.id(1))), 'PT409 attempt_ahead', 'the next has not come');
select is(tap.outcome(format('select bindery.report_progress(%L, ''look'', 50, stage => ''CHECKING'', attempt => 1)', tap.id(1))), 'ok', 'nor does a straggler of a later stage');
select is((tap.row(1)).status, 'DRAFTING', 'take the book on to it, though the pipeline says auto_advance');
select is(tap.apply(tap.event('heartbeat', 1, '{"stage": "CHECKING", "attempt": 1}'), tap.event('fail', 1, '{"stage": "CHECKING", "attempt": 1, "error": {"code": "x"}}')), '0/2/0',
  'a heartbeat and a failure from there are stale, too');
select bindery.report_progress(tap.id(1), 'look', 50, stage => 'CHECKING', attempt => 2);
select is((tap.row(1)).status || ' ' || (tap.row(1)).attempt, 'CHECKING 2', 'a report of the next visit takes it there, as the second attempt');

-- Back by rework.
select tap.book(2, '{DRAFTING,CHECKING}', 'loops');
select bindery.transition_book(tap.id(2), 'DRAFTING');
select is((tap.row(2)).attempt, 2, 'rework counts on, too');
select is(tap.last_event(2), 'transition CHECKING->DRAFTING attempt 2: ', 'and is an ordinary transition');
select bindery.fail_book(tap.id(2));
select bindery.resume_book(tap.id(2));
select is((tap.row(2)).attempt, 3, 'a resume is one more');
select bindery.transition_book(tap.id(2), 'CHECKING'), bindery.transition_book(tap.id(2), 'DRAFTING'), bindery.transition_book(tap.id(2), 'CHECKING');
select is((tap.row(2)).attempt, 3, 'each stage has a count of its own');
select bindery.transition_book(tap.id(2), 'MENDING');
select is((tap.row(2)).attempt, 1, 'one that was never entered begins at 1');
select is(tap.outcome(format('select bindery.transition_book(%L, ''FAILED'', attempt => 2)', tap.id(2))), 'PT409 attempt_ahead', 'transition_book knows attempts');
select bindery.rewind_book(tap.id(2), 'CHECKING');
select is((tap.row(2)).attempt, 4, 'also by rewind');
select bindery.plan_substeps(tap.id(2), 'MENDING', '[{"name": "all", "weight": 1}]');
select bindery.transition_book(tap.id(2), 'MENDING');
select is((tap.row(2)).attempt, 2, 'a plan made in between does not count');
select bindery.fail_book(tap.id(2));
select is((tap.row(2)).resume_at, null, 'a visit uses up max_attempts: sweep leaves the book to a person');
select is((bindery.transition_book(tap.id(2), 'MENDING', attempt => 1)).status, 'FAILED', 'a transition from an earlier attempt is without effect');
select is((bindery.fail_book(tap.id(2), attempt => 1)).attempt, 2, 'as is a failure');

-- Back from FAILED.
select tap.book(3, '{DRAFTING,CHECKING}', 'loops');
select bindery.report_progress(tap.id(3), 'look', 100, checkpoint => '1'), bindery.fail_book(tap.id(3), '{"code": "bad_checkpoint"}');
select is((bindery.rewind_book(tap.id(3), 'CHECKING')).status, 'CHECKING', 'a FAILED book may be taken to the start of the stage it failed in');
select is((tap.row(3)).stage_progress, 0::double precision, 'where a resume would have kept what was done');
select is((select error is null and resume_at is null and attempt = 2 from tap.row(3)), true, 'its error is gone, and it is the next attempt');
select is(tap.last_event(3), 'rewind FAILED->CHECKING attempt 2: ', 'which the history has');
select bindery.fail_book(tap.id(3)), bindery.rewind_book(tap.id(3), 'START');
select is((tap.row(3)).status, 'START', 'or further back');
select is((tap.row(3)).attempt, 2, 'as the second attempt there, too');

-- What is refused.
select tap.book(4, '{DRAFTING}', 'loops'), tap.book(5, '{DRAFTING,CANCELLED}', 'loops'), tap.book(6, '{DRAFTING,CHECKING,MENDING,DONE}', 'loops'), tap.book(7, '{}', 'loops'),
  tap.book(8, '{DRAFTING,CHECKING,FAILED}', 'loops');
create temp table before as select n, tap.snapshot(n) as s from generate_series(4, 8) n;
select is(tap.rewind(n, target), outcome, format('from %s to %s: %s', (tap.row(n)).status, coalesce(target, 'null'), outcome))
from (values (4, 'DRAFTING', 'PT409 illegal_transition'), (4, 'CHECKING', 'PT409 illegal_transition'), (4, 'DONE', 'PT409 illegal_transition'), (4, 'FAILED', 'PT404 unknown_stage'), (4, 'NOWHERE', 'PT404 unknown_stage'),
  (4, null, 'PT422 bad_input'), (5, 'DRAFTING', 'PT409 illegal_transition'), (6, 'DRAFTING', 'PT409 illegal_transition'), (7, 'START', 'PT409 illegal_transition'), (8, 'MENDING', 'PT409 illegal_transition'),
  (99, 'START', 'PT404 unknown_book')) v(n, target, outcome);
select is((select count(*)::integer from before where s is distinct from tap.snapshot(n)), 0, 'and nothing is changed by it');
select is(tap.error(format('select bindery.rewind_book(%L, ''MENDING'')', tap.id(8))) #> '{detail,allowed}', '["START", "DRAFTING", "CHECKING"]', 'the detail lists where it may go back to');
select is(tap.outcome(format('select bindery.rewind_book(%L, ''START'', expected_revision => 1)', tap.id(8))), 'PT409 stale_revision', 'what was decided on an older revision is refused');
select is(tap.outcome(format('select bindery.%s(%L, expected_revision => 1)', f, tap.id(8))), 'PT409 stale_revision', f || ' knows expected_revision')
from unnest(array['resume_book', 'cancel_book', 'fail_book']) f;
select is(tap.outcome(format('select bindery.plan_substeps(%L, ''CHECKING'', ''[{"name": "a"}]'', 1)', tap.id(4))), 'PT409 stale_revision', 'so does plan_substeps');
select is(tap.outcome(format('update bindery.book_status set status = ''START'' where book_id = %L', tap.id(4))), 'PT409 illegal_transition', 'a plain UPDATE is no rewind');

-- A trigger of somebody's own that changes another book in the midst of a rewind.
select tap.book(20, '{DRAFTING,CHECKING}', 'loops'), tap.book(21, '{DRAFTING}', 'loops'), tap.book(22, '{DRAFTING}', 'loops');
create function tap.cascade() returns trigger language plpgsql as $$
begin
  perform bindery.cancel_book(tap.id(21));
  update bindery.book_status set status = 'FAILED' where book_id = tap.id(22);
  return null;
end $$;
create trigger a_cascade after update of status on bindery.book_status for each row when (old.book_id = '00000000-0000-4000-8000-000000000020') execute function tap.cascade();
select is(tap.rewind(20, 'DRAFTING'), 'ok', 'a rewind that sets off other changes');
select is(tap.last_event(20), 'rewind CHECKING->DRAFTING attempt 2: ', 'is still a rewind');
select is(tap.last_event(21) || tap.last_event(22), 'cancel DRAFTING->CANCELLED attempt 1: fail DRAFTING->FAILED attempt 1: ', 'and they are none');

select * from finish();
rollback;
