-- The functions that change a book. Each hands over to its definer in bindery_internal, raises its error, and gives the row.
-- Invariants: SECURITY INVOKER; a call that fails changes nothing; the row given is what the caller may read.
-- Locks: as the definer behind it.
create or replace function bindery.register_book(
  book_id uuid, owner_id uuid default null, pipeline text default null, title text default null, metadata jsonb default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_register(
    register_book.book_id, register_book.owner_id, register_book.pipeline, register_book.title, register_book.metadata));
  return query select b.* from bindery.book_status b where b.book_id = register_book.book_id;
end
$$;

create or replace function bindery.transition_book(
  book_id uuid, to_status text, message text default null, expected_revision bigint default null, attempt integer default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
declare
  refusal constant jsonb := bindery_internal.do_transition(
    transition_book.book_id, transition_book.to_status, transition_book.message, transition_book.expected_revision,
    transition_book.attempt, asking_first => false);
begin
  if refusal is not null then
    perform bindery_internal.raise_error(refusal);
  end if;
  return query select b.* from bindery.book_status b where b.book_id = transition_book.book_id;
end
$$;

create or replace function bindery.report_progress(
  book_id uuid, substep text default null, progress double precision default null,
  done double precision default null, total double precision default null, unit text default null, message text default null,
  checkpoint jsonb default null, stage text default null, attempt integer default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_report(jsonb_build_object(
    'book_id', report_progress.book_id, 'substep', report_progress.substep, 'progress', report_progress.progress,
    'done', report_progress.done, 'total', report_progress.total, 'unit', report_progress.unit,
    'message', report_progress.message, 'checkpoint', report_progress.checkpoint,
    'stage', report_progress.stage, 'attempt', report_progress.attempt)));
  return query select b.* from bindery.book_status b where b.book_id = report_progress.book_id;
end
$$;

create or replace function bindery.plan_substeps(
  book_id uuid, stage text, substeps jsonb, expected_revision bigint default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_plan(
    plan_substeps.book_id, plan_substeps.stage, plan_substeps.substeps, plan_substeps.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = plan_substeps.book_id;
end
$$;

create or replace function bindery.heartbeat(book_id uuid, attempt integer default null) returns void
language plpgsql
set search_path = ''
as $$
begin
  if heartbeat.attempt < 1 then
    perform bindery_internal.raise_error(bindery_internal.refused_attempt());
  end if;
  perform bindery_internal.raise_error(bindery_internal.refused_report(h.verdict, heartbeat.book_id, null, null, heartbeat.attempt))
  from bindery_internal.do_heartbeats(jsonb_build_array(
    jsonb_build_object('book_id', heartbeat.book_id, 'attempt', heartbeat.attempt))) h;
end
$$;

create or replace function bindery.fail_book(
  book_id uuid, error jsonb default null, message text default null, expected_revision bigint default null, attempt integer default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_transition(
    fail_book.book_id, 'FAILED', fail_book.message, fail_book.expected_revision, fail_book.attempt,
    coalesce(fail_book.error, '{}'), asking_first => false));
  return query select b.* from bindery.book_status b where b.book_id = fail_book.book_id;
end
$$;

create or replace function bindery.resume_book(book_id uuid, expected_revision bigint default null)
returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_resume(resume_book.book_id, resume_book.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = resume_book.book_id;
end
$$;

comment on function bindery.register_book(uuid, uuid, text, text, jsonb) is
  'Puts a book at the start of a pipeline (comic unless named), and gives its row.
Idempotent: the same call again gives the row as it stands. PT404 unknown_pipeline, PT409 conflicting_registration (another pipeline or owner), PT422 bad_input.';
comment on function bindery.transition_book(uuid, text, text, bigint, integer) is
  'Changes a book''s status where its pipeline allows it, and gives its row.
To the stage a FAILED book failed in, it is a resume. A worker gives its attempt: from an earlier one than the book''s the call has no effect. PT404 unknown_book, PT409 illegal_transition (the detail lists what is allowed), stale_revision or attempt_ahead, PT422 bad_input.';
comment on function bindery.report_progress(uuid, text, double precision, double precision, double precision, text, text, jsonb, text, integer) is
  'Reports a substep''s progress: percent (0 to 100), or done of total; gives the book''s row.
A lower value than before leaves progress as it is; a report of an earlier attempt or a stage left has no effect. The checkpoint is the worker''s own JSON to go on from. PT404 unknown_book or unknown_stage, PT409 stage_not_reached or attempt_ahead, PT422 unknown_substep or bad_input.';
comment on function bindery.plan_substeps(uuid, text, jsonb, bigint) is
  'Declares a book''s own substeps of a stage, [{"name", "weight"}], up to 10,000; gives its row.
Planning again changes weights, never progress. PT404 unknown_book or unknown_stage, PT409 stale_revision, PT422 bad_input.';
comment on function bindery.heartbeat(uuid, integer) is
  'Says that a book''s service is alive.
PT404 unknown_book, PT409 attempt_ahead.';
comment on function bindery.fail_book(uuid, jsonb, text, bigint, integer) is
  'Halts a book as FAILED with an error object and a message; gives its row.
The error has a code of yours ({"code": "out_of_memory", …}); with "retry": false the book waits for a person, else sweep resumes it where its stage says retry_after and attempts are left. A worker gives its attempt: from an earlier one than the book''s the call has no effect. PT404 unknown_book, PT409 illegal_transition, stale_revision or attempt_ahead, PT422 bad_input.';
comment on function bindery.resume_book(uuid, bigint) is
  'A FAILED book goes on at the stage it failed in, as the next attempt; gives its row.
Substeps that are finished or have a checkpoint are kept, the others start over. PT404 unknown_book, PT409 not_failed or stale_revision.';
