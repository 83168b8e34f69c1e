-- guard_transition: BEFORE UPDATE on book_status if status changes, for every writer.
-- Invariants: no change that the kernel refuses is stored; the derived columns (stage, attempt,
-- sums, percentages, revision) are computed here. Locks: the row being updated.
create or replace function bindery_internal.facts(
  book bindery.book_status, machine jsonb, to_status text
) returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  state constant jsonb := bindery_internal.state_of(machine, book.current_stage);
  -- Only the guard of the requested edge is called.
  guard constant text := (
    select e.edge ->> 'guard' from jsonb_array_elements(state -> 'next') as e(edge)
    where e.edge ->> 'to' = to_status and book.status = book.current_stage);
  facts constant jsonb := jsonb_build_object(
    'substeps_complete', book.substeps_total > 0 and book.substeps_done = book.substeps_total,
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
  -- A guard that returns null does not hold.
  return facts
    || jsonb_strip_nulls(jsonb_build_object('guards', jsonb_build_object(guard, answer)));
end
$$;

create or replace function bindery_internal.refused_transition(
  book bindery.book_status, to_status text, rewinding boolean, machine jsonb
) returns jsonb
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Facts can only allow more: compute them only if the change is refused without them.
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
  return bindery_internal.illegal_transition(
    book.status, to_status, reason, coalesce(allowed, '{}'));
end
$$;

-- No edge allows a rewind, so transition_book marks it in a setting that names the book and lasts
-- as long as its UPDATE: changes that users' triggers make to other books meanwhile are not
-- rewinds.
create or replace function bindery_internal.is_rewinding(book_id uuid) returns boolean
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(current_setting('bindery.changing', true), '')
    = is_rewinding.book_id || ' rewinding';
end
$$;

create or replace function bindery_internal.guard_transition() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  moment constant timestamptz := bindery_internal.now();
  -- Set by transition_book, also to mark a rewind. Any role may set it, so it does not prove that
  -- the texts were checked.
  change constant text := coalesce(current_setting('bindery.changing', true), '');
  by_call constant boolean := starts_with(change, old.book_id::text);
  rewinding constant boolean := change like '% rewinding'
    and bindery_internal.is_rewinding(old.book_id);
  resuming constant boolean := old.status = 'FAILED' and not rewinding;
  machine jsonb;
  state jsonb;
  final text;
  visited integer;
  has_rows boolean;
  median_seconds double precision;
  later_seconds double precision;
  refusal jsonb;
  sums record;
  percentages double precision[];
begin
  if new.status is null then
    perform bindery_internal.raise_error(
      bindery_internal.bad_input('status', 'is null', 'Name the state to go to.'));
  elsif not by_call or (old.title, old.error, old.metadata)
    is distinct from (new.title, new.error, new.metadata)
  then
    perform bindery_internal.refuse_texts(new);
  elsif new.message is not null then
    refusal := bindery_internal.refused_text('message', new.message, 8192);
    if refusal is not null then
      perform bindery_internal.raise_error(refusal);
    end if;
  end if;
  -- One statement for all look-ups. FAILED and CANCELLED match no state, so the joins give null.
  select p.machine, p.machine #>> '{states,-1,name}', (
      select s.state from jsonb_array_elements(p.machine -> 'states') as s(state)
      where s.state ->> 'name' = new.status),
    t.median_seconds, t.later_seconds, v.attempt,
    exists (select from bindery.book_progress g
      where g.book_id = old.book_id and g.stage = new.status)
  into machine, final, state, median_seconds, later_seconds, visited, has_rows
  from bindery.pipelines p
  left join bindery_internal.stage_pace t
    on t.pipeline = p.name and t.pipeline_version = p.version and t.stage = new.status
  left join bindery.stage_visits v on v.book_id = old.book_id and v.stage = new.status
  where p.name = old.pipeline and p.version = old.pipeline_version;
  if machine is null then
    perform bindery_internal.raise_error(
      bindery_internal.missing_pipeline(old.book_id, old.pipeline, old.pipeline_version));
  end if;

  if rewinding or bindery_core.transition_error(
    machine, old.status, old.current_stage, new.status, '{}') is not null
  then
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
  new.substeps_total := old.substeps_total;
  new.substeps_done := old.substeps_done;
  new.substeps_weight := old.substeps_weight;
  new.substeps_points := old.substeps_points;
  new.stage_base := old.stage_base;
  new.stage_share := old.stage_share;
  new.stage_entered_at := old.stage_entered_at;
  new.stage_started_at := old.stage_started_at;
  new.completed_at := null;
  -- A message or an error belongs to its own change; after a plain UPDATE that sets none, new still
  -- has the old one.
  if new.message is not distinct from old.message and not by_call then
    new.message := null;
  end if;
  if new.status <> 'FAILED' then
    new.error := null;
  elsif new.error is null or not new.error ? 'code' then
    new.error := coalesce(new.error, '{}') || '{"code": "failed"}';
  end if;
  if new.status = 'FAILED' then
    new.resume_at := bindery_internal.resume_at(
      bindery_internal.state_of(machine, old.current_stage), old.attempt, new.error, moment);
  end if;
  -- A halted book keeps its values.
  if new.status in ('FAILED', 'CANCELLED') then
    return new;
  end if;
  if new.status = final then
    new.completed_at := moment;
    new.overall_progress := 100;
    new.stage_progress := 100;
    return new;
  end if;

  -- Attempts continue to count when a book re-enters a stage, so that events of an earlier visit
  -- are stale.
  new.attempt := case when new.status = old.current_stage then old.attempt
                      else coalesce(visited, 0) end + 1;
  new.current_stage := new.status;
  new.stage_started_at := moment;
  new.stage_entered_at := case when resuming then old.stage_entered_at else moment end;
  new.stage_base := 100 * (state ->> 'start')::double precision
    / (machine ->> 'total_weight')::double precision;
  new.stage_share := 100 * (state ->> 'weight')::double precision
    / (machine ->> 'total_weight')::double precision;
  if has_rows or state -> 'substeps' <> '[]' then
    sums := bindery_internal.stage_sums(new.book_id, state, resuming, has_rows);
    new.substeps_total := sums.substeps;
    new.substeps_done := sums.done;
    new.substeps_weight := sums.weight;
    new.substeps_points := sums.points;
  else
    new.substeps_total := 0;
    new.substeps_done := 0;
    new.substeps_weight := 0;
    new.substeps_points := 0;
  end if;
  percentages := bindery_core.progress_percentages(new.substeps_total, new.substeps_done,
    new.substeps_points::double precision, new.substeps_weight::double precision, new.stage_base,
    new.stage_share);
  new.stage_progress := percentages[1];
  new.overall_progress := percentages[2];
  if median_seconds is not null then
    new.estimated_completion_at := bindery_internal.estimate(
      moment, moment, new.stage_progress, new.attempt, median_seconds, later_seconds);
  end if;
  return new;
end
$$;

create or replace trigger guard_transition before update on bindery.book_status
for each row when (old.status is distinct from new.status)
execute function bindery_internal.guard_transition();

comment on function bindery_internal.facts(bindery.book_status, jsonb, text) is
  'What the kernel needs to know of a book to judge a change to this status: '
  '{substeps_complete, attempts_left, guards?}.';
comment on function bindery_internal.refused_transition(bindery.book_status, text, boolean, jsonb)
is 'The error that forbids this book this status (as a rewind: this step back); null where it is '
  'allowed.';
comment on function bindery_internal.is_rewinding(uuid) is
  'Whether the change of this book''s status that is being made is a rewind.';
comment on function bindery_internal.guard_transition() is
  'Asks the kernel whether the change is allowed, and computes what follows from it: stage, '
  'attempt, sums, percent, revision, times.';
