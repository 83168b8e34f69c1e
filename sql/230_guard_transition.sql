-- guard_transition: BEFORE UPDATE on book_status where status changes, whoever changes it.
-- Invariants: nothing the kernel refuses is stored; what follows from the change (stage, attempt, percent, revision) is worked out here.
-- Locks: the row being updated; reads book_progress.
create or replace function bindery_internal.facts(book bindery.book_status, machine jsonb, to_status text) returns jsonb
language plpgsql volatile
set search_path = ''
as $$
declare
  state constant jsonb := bindery_internal.state_of(machine, book.current_stage);
  -- Of the state's edges only the one to be taken is asked about.
  guard constant text := (select e.edge ->> 'guard' from jsonb_array_elements(state -> 'next') as e(edge)
    where e.edge ->> 'to' = to_status and book.status = book.current_stage);
  facts constant jsonb := jsonb_build_object(
    'substeps_complete', jsonb_array_length(book.substeps) > 0
      and not exists (select from jsonb_array_elements(book.substeps) as s(substep) where s.substep ->> 'state' <> 'done'),
    'attempts_left', bindery_internal.attempts_left(state, book.attempt));
  called regproc;
  answer boolean;
begin
  if guard is null or guard in ('substeps_complete', 'attempts_left') then
    return facts;
  end if;
  called := bindery_internal.guard_function(guard);
  if called is not null then
    answer := bindery_internal.ask_guard(called, book);
  end if;
  -- No answer is no fact; then the guard does not hold.
  return facts || jsonb_strip_nulls(jsonb_build_object('guards', jsonb_build_object(guard, answer)));
end
$$;

create or replace function bindery_internal.refused_transition(
  book bindery.book_status, to_status text, rewinding boolean, machine jsonb
) returns jsonb
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  -- Facts can only allow more: what is allowed without any need not have them worked out.
  reason text := bindery_core.transition_error(machine, book.status, book.current_stage, to_status,
    case when rewinding then '{"rewind": true}' else '{}' end::jsonb);
  allowed text[];
begin
  if reason is not null and not rewinding then
    reason := bindery_core.transition_error(machine, book.status, book.current_stage, to_status,
      bindery_internal.facts(book, machine, to_status));
  end if;
  if reason is null then
    return null;
  elsif rewinding then
    allowed := bindery_core.rewind_targets(machine, book.status, book.current_stage);
  else
    allowed := bindery_core.next_statuses(machine, book.status, book.current_stage);
  end if;
  return bindery_internal.illegal_transition(book.status, to_status, reason, coalesce(allowed, '{}'));
end
$$;

-- A rewind asks for what no edge allows, so whoever makes it says so, in a setting that names the book and only lives as long as its
-- UPDATE: what triggers of others do to other books meanwhile is no rewind.
create or replace function bindery_internal.is_rewinding(book_id uuid) returns boolean
language plpgsql stable parallel safe
set search_path = ''
as $$
begin
  return coalesce(current_setting('bindery.changing', true), '') = is_rewinding.book_id || ' rewinding';
end
$$;

create or replace function bindery_internal.guard_transition() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  moment constant timestamptz := bindery_internal.now();
  -- What do_transition says of the change it makes: it has looked at the texts, and whether it is a rewind.
  change constant text := coalesce(current_setting('bindery.changing', true), '');
  by_call constant boolean := starts_with(change, old.book_id::text);
  rewinding constant boolean := change like '% rewinding' and bindery_internal.is_rewinding(old.book_id);
  resuming constant boolean := old.status = 'FAILED' and not rewinding;
  machine jsonb;
  final text;
  attempts integer;
  has_rows boolean;
  median_seconds double precision;
  later_seconds double precision;
  refusal jsonb;
  summary jsonb;
begin
  if new.status is null then
    perform bindery_internal.raise_error(bindery_internal.bad_input('status', 'is null', 'Name the state to go to.'));
  elsif not by_call then
    perform bindery_internal.refuse_texts(new);
  end if;
  -- All that is looked up, in one statement. The halted stay in their stage, and no state is named like them.
  select p.machine, p.machine #>> '{states,-1,name}', t.median_seconds, t.later_seconds,
    (select a.attempt from bindery_internal.last_attempts a where a.book_id = old.book_id and a.stage = new.status),
    exists (select from bindery.book_progress g where g.book_id = old.book_id and g.stage = new.status)
  into machine, final, median_seconds, later_seconds, attempts, has_rows
  from bindery.pipelines p
  left join bindery_internal.stage_pace t on t.pipeline = p.name and t.pipeline_version = p.version and t.stage = new.status
  where p.name = old.pipeline and p.version = old.pipeline_version;

  -- What needs no facts is allowed by the kernel's first word; only where it is not are they worked out, and the refusal with them.
  if rewinding or bindery_core.transition_error(machine, old.status, old.current_stage, new.status, '{}') is not null then
    refusal := bindery_internal.refused_transition(old, new.status, rewinding, machine);
    if refusal is not null then
      perform bindery_internal.raise_error(refusal);
    end if;
  end if;

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
  if new.message is not distinct from old.message and not by_call then
    new.message := null;
  end if;
  if new.status <> 'FAILED' then
    new.error := null;
  elsif new.error is null or not new.error ? 'code' then
    new.error := coalesce(new.error, '{}') || '{"code": "failed"}';
  end if;
  if new.status = 'FAILED' then
    new.resume_at := bindery_internal.resume_at(bindery_internal.state_of(machine, old.current_stage), old.attempt, new.error, moment);
  end if;
  -- The halted keep the values they halted at.
  if new.status in ('FAILED', 'CANCELLED') then
    return new;
  end if;

  if new.status = final then
    new.completed_at := moment;
  else
    new.current_stage := new.status;
    -- Who comes back to a stage goes on counting: words from the visit before are stale then, not about this one.
    new.attempt := case when resuming then old.attempt else coalesce(attempts, 0) end + 1;
    new.stage_started_at := moment;
  end if;
  summary := bindery_core.summarize(machine, new.status, new.current_stage, case
    when new.status = final then bindery_internal.substep_rows(new.book_id, new.current_stage)
    when has_rows then bindery_internal.substep_rows(new.book_id, new.current_stage, resuming)
    else '[]' end);
  new.overall_progress := (summary ->> 'overall')::double precision;
  new.stage_progress := (summary ->> 'stage_progress')::double precision;
  new.substeps := summary -> 'substeps';
  new.estimated_completion_at := case when new.status <> final and median_seconds is not null
    then bindery_internal.estimate(moment, moment, new.stage_progress, new.attempt, median_seconds, later_seconds) end;
  return new;
end
$$;

create or replace trigger guard_transition before update on bindery.book_status
for each row when (old.status is distinct from new.status)
execute function bindery_internal.guard_transition();

comment on function bindery_internal.facts(bindery.book_status, jsonb, text) is
  'What the kernel needs to know of a book to judge a change to this status: {substeps_complete, attempts_left, guards?}.';
comment on function bindery_internal.refused_transition(bindery.book_status, text, boolean, jsonb) is
  'The error that forbids this book this status (as a rewind: this step back); null where it is allowed.';
comment on function bindery_internal.is_rewinding(uuid) is 'Whether the change of this book''s status that is being made is an operator''s step back (do_transition).';
comment on function bindery_internal.guard_transition() is
  'Asks the kernel whether the change is allowed, and works out what follows from it: stage, attempt, percent, revision, times.';
