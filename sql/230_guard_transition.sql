-- guard_transition: BEFORE UPDATE on book_status where status changes, whoever changes it.
-- Invariants: nothing the kernel refuses is stored; what follows from the change (stage, attempt, percent, revision) is worked out here.
-- Locks: the row being updated; reads book_progress.
create or replace function bindery_internal.facts(book bindery.book_status, machine jsonb) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return jsonb_build_object(
    'substeps_complete', jsonb_array_length(book.substeps) > 0
      and not exists (select from jsonb_array_elements(book.substeps) as s(substep) where s.substep ->> 'state' <> 'done'),
    'attempts_left', coalesce(book.attempt < (
      select (s.state ->> 'max_attempts')::integer
      from jsonb_array_elements(machine -> 'states') as s(state) where s.state ->> 'name' = book.current_stage), true));
end
$$;

create or replace function bindery_internal.refused_transition(book bindery.book_status, to_status text) returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
declare
  machine constant jsonb := bindery_internal.machine(book.pipeline, book.pipeline_version);
  reason constant text := bindery_core.transition_error(
    machine, book.status, book.current_stage, to_status, bindery_internal.facts(book, machine));
begin
  if reason is null then
    return null;
  end if;
  return bindery_internal.illegal_transition(machine, book.status, book.current_stage, to_status, reason);
end
$$;

create or replace function bindery_internal.guard_transition() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  machine constant jsonb := bindery_internal.machine(old.pipeline, old.pipeline_version);
  moment constant timestamptz := bindery_internal.now();
  final constant text := machine #>> '{states,-1,name}';
  resuming constant boolean := old.status = 'FAILED';
  summary jsonb;
begin
  if new.status is null then
    perform bindery_internal.raise_error(bindery_internal.bad_input('status', 'is null', 'Name the state to go to.'));
  end if;
  perform bindery_internal.raise_error(bindery_internal.refused_transition(old, new.status));

  new.revision := old.revision + 1;
  new.updated_at := moment;
  new.heartbeat_at := moment;
  new.resume_at := null;
  new.estimated_completion_at := null;
  new.current_stage := old.current_stage;
  new.attempt := old.attempt;
  new.overall_progress := old.overall_progress;
  new.stage_progress := old.stage_progress;
  new.substeps := old.substeps;
  new.completed_at := null;
  -- A message or an error belongs to the change that brought it; a plain UPDATE that names none leaves the old one in new.
  if new.message is not distinct from old.message and coalesce(current_setting('bindery.message_is_new', true), '') <> 'yes' then
    new.message := null;
  end if;
  if new.status <> 'FAILED' then
    new.error := null;
  elsif new.error is null or not new.error ? 'code' then
    new.error := coalesce(new.error, '{}') || '{"code": "failed"}';
  end if;
  -- The halted keep the values they halted at.
  if new.status in ('FAILED', 'CANCELLED') then
    return new;
  end if;

  if new.status = final then
    new.completed_at := moment;
  else
    new.current_stage := new.status;
    new.attempt := case when resuming then old.attempt + 1 else 1 end;
    new.stage_started_at := moment;
  end if;
  summary := bindery_core.summarize(machine, new.status, new.current_stage,
    bindery_internal.substep_rows(new.book_id, new.current_stage, case when new.status <> final then resuming end));
  new.overall_progress := (summary ->> 'overall')::double precision;
  new.stage_progress := (summary ->> 'stage_progress')::double precision;
  new.substeps := summary -> 'substeps';
  new.estimated_completion_at := case when new.status <> final then (
    select bindery_internal.estimate(moment, moment, new.stage_progress, new.attempt, p.median_seconds, p.later_seconds)
    from bindery_internal.stage_pace p
    where p.pipeline = new.pipeline and p.pipeline_version = new.pipeline_version and p.stage = new.current_stage) end;
  return new;
end
$$;

create or replace trigger guard_transition before update on bindery.book_status
for each row when (old.status is distinct from new.status)
execute function bindery_internal.guard_transition();

comment on function bindery_internal.refused_transition(bindery.book_status, text) is
  'The error that forbids this book this status; null where it is allowed.';
