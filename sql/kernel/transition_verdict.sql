-- The verdict on an event that requests another status: none, accept, early, stale or illegal.
-- Invariant: core/src/transition.rs in SQL, question by question.
create or replace function bindery_core.edge_to(machine jsonb, status text, target text)
returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_path_query_first(bindery_core.state_named(machine, status),
    '$.next[*] ? (@.to == $target)', jsonb_build_object('target', target));
end
$$;

-- The verdict on a target that is not allowed now, by its position relative to the book's stage.
create or replace function bindery_core.verdict_by_place(
  machine jsonb, status text, stage text, target text
) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  current text;
begin
  if status in ('CANCELLED', machine #>> '{states,-1,name}') then
    return case
      when target in ('FAILED', 'CANCELLED')
        or bindery_core.state_named(machine, target) is not null then 'stale'
      else 'illegal'
    end;
  end if;
  current := bindery_core.state_at_work(machine, status, stage) ->> 'name';
  return case
    when current is null then 'illegal'
    when bindery_core.reaches(machine, current, target) then 'early'
    when bindery_core.reaches(machine, target, current) then 'stale'
    else 'illegal'
  end;
end
$$;

create or replace function bindery_core.transition_verdict(
  machine jsonb, status text, stage text, target text, facts jsonb
) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  edge jsonb;
begin
  perform bindery_core.check_transition(machine, status, target, facts);
  if status = target then
    return 'none';
  elsif bindery_core.transition_problem(machine, status, stage, target, facts) is null then
    return 'accept';
  end if;
  edge := bindery_core.edge_to(machine, status, target);
  return case
    when edge is not null and edge ->> 'guard' is distinct from 'substeps_complete' then 'illegal'
    else bindery_core.verdict_by_place(machine, status, stage, target)
  end;
end
$$;

create or replace function bindery_core.begin_verdict(
  machine jsonb, status text, stage text, target text, facts jsonb
) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  edge jsonb;
begin
  perform bindery_core.check_transition(machine, status, target, facts);
  if bindery_core.state_named(machine, target) ->> 'final' is distinct from 'false' then
    return 'illegal';
  elsif status = target then
    return 'none';
  end if;
  edge := bindery_core.edge_to(machine, status, target);
  return case
    when status = 'FAILED'
      and bindery_core.current_state(machine, status, stage) ->> 'name' = target then 'accept'
    when edge is not null
      and bindery_core.unmet_guard(status, edge, facts) is null then 'accept'
    else bindery_core.verdict_by_place(machine, status, stage, target)
  end;
end
$$;

comment on function bindery_core.edge_to(jsonb, text, text) is
  'Returns the forward edge from one state of a machine to another; null where there is none. '
  'No errors.';
comment on function bindery_core.verdict_by_place(jsonb, text, text, text) is
  'Returns the verdict on a target that is not allowed now: early, stale or illegal. No errors.';
comment on function bindery_core.transition_verdict(jsonb, text, text, text, jsonb) is
  'Returns what becomes of a transition event: none (the book has that status already), accept '
  '(transition_error allows it), early (forward edges lead to target from the book''s stage, so a '
  'later change can make it applicable), stale (target lies before the book''s stage, or the book '
  'is complete or CANCELLED) or illegal. A direct edge whose guard does not hold is early only if '
  'the guard is substeps_complete. Arguments and errors: as for transition_error.';
comment on function bindery_core.begin_verdict(jsonb, text, text, text, jsonb) is
  'Returns what becomes of an event by which a worker begins the state target: none (the book is '
  'in it), accept (the book FAILED in it, or a forward edge whose guard holds leads to it), early '
  '(forward edges lead to it from the book''s stage), stale (it lies before the book''s stage, or '
  'the book is complete or CANCELLED) or illegal (it is no state of the pipeline, the final one, '
  'or not connected). Arguments and errors: as for transition_error.';
