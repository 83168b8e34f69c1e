-- The verdict on a progress report: accept, stale, advance, or the code of the error.
-- Invariant: core/src/report.rs in SQL, question by question.
create or replace function bindery_core.takes_substep(state jsonb, substep text) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return (state ->> 'open_substeps')::boolean
    or state -> 'substeps' = '[]' and substep = 'all'
    or jsonb_path_exists(state, '$.substeps[*] ? (@.substep == $substep)',
      jsonb_build_object('substep', substep));
end
$$;

create or replace function bindery_core.report_verdict(
  machine jsonb, status text, stage text, attempt integer, report_stage text, substep text,
  report_attempt integer, planned boolean,
  last_attempt integer default null)
returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  is_over boolean;
  may_come boolean;
  current jsonb;
  reported jsonb;
  verdict text := 'accept';
begin
  if machine is null then
    perform bindery_core.refuse_null('machine');
  elsif not bindery_core.is_machine(machine) then
    perform bindery_core.refuse('machine', 'this is not a compiled pipeline');
  elsif planned is null then
    perform bindery_core.refuse_null('planned');
  elsif status is null then
    perform bindery_core.refuse_null('status');
  elsif attempt is null then
    perform bindery_core.refuse_null('attempt');
  end if;

  is_over := status in ('FAILED', 'CANCELLED') or status = machine #>> '{states,-1,name}';
  current := bindery_core.current_state(machine, status, stage);
  if current is null and stage is null and is_over then
    -- A complete book without a given last stage may have ended in any of them; the report is stale
    -- in every case.
    current := machine #> '{states,0}';
  end if;
  reported := case when report_stage is null then current
    else bindery_core.state_named(machine, report_stage) end;
  if current is null or reported is null
    or (reported ->> 'final')::boolean and report_stage is not null
  then
    return 'unknown_stage';
  end if;

  -- A FAILED book may still reach later stages; every other halt is final.
  may_come := status = 'FAILED' and reported -> 'name' <> current -> 'name'
    and bindery_core.reaches(machine, current ->> 'name', reported ->> 'name');
  if reported -> 'name' = current -> 'name' or (is_over and not may_come) then
    if report_attempt > attempt then
      return 'attempt_ahead';
    elsif is_over or report_attempt < attempt then
      return 'stale';
    end if;
  elsif bindery_core.reaches(machine, reported ->> 'name', current ->> 'name') then
    return 'stale';
  elsif report_attempt <= coalesce(last_attempt, 0) then
    -- A late report of an earlier attempt: the book's next attempt there is its last plus one.
    return 'stale';
  elsif may_come or not (machine ->> 'auto_advance')::boolean or not jsonb_path_exists(current,
      '$.next[*] ? (@.to == $to && (!exists(@.guard) || @.guard == null))',
      jsonb_build_object('to', reported -> 'name')) then
    return 'stage_not_reached';
  elsif report_attempt > coalesce(last_attempt, 0)::bigint + 1 then
    return 'attempt_ahead';
  else
    verdict := 'advance';
  end if;
  return case when planned or bindery_core.takes_substep(reported, coalesce(substep, 'all'))
    then verdict else 'unknown_substep' end;
end
$$;

comment on function bindery_core.takes_substep(jsonb, text) is
  'Whether a state takes reports on this substep without a book having planned it. No errors.';
comment on function bindery_core.report_verdict(
  jsonb, text, text,
  integer, text, text, integer, boolean, integer) is
  'Returns what becomes of a progress report: accept, stale (from an earlier attempt or a stage '
  'already left: no effect), advance (it takes the book to its stage first), or the code of the '
  'refusal: unknown_stage, stage_not_reached, unknown_substep, attempt_ahead. machine: as '
  'compile_pipeline gives it. status, stage: the book''s; stage is the state that a halted book '
  'was last in, null for the initial one. attempt: the book''s. report_stage, substep, '
  'report_attempt: the report''s, null where it names none. planned: whether the book itself has '
  'the substep. last_attempt: the highest attempt that the book ever had at report_stage, null '
  'where it never was there or is there now. Errors: 22004 for a null machine, status, attempt or '
  'planned, 22023 for a machine of another form.';
