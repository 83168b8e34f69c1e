-- Why a book may not change to a status, for people; null if it may. Invariant: a missing fact
-- counts as false; core/src/transition.rs in SQL.
create or replace function bindery_core.unmet_guard(
  status text, edge jsonb, facts jsonb
) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  guard constant text := edge ->> 'guard';
  holds constant text := case when guard in ('substeps_complete', 'attempts_left') then facts
    else facts -> 'guards' end ->> guard;
begin
  if guard is null or holds = 'true' then
    return null;
  end if;
  return format('The guard %s of %s -> %s does not hold: %s.', guard, status, edge ->> 'to', case
    when holds is null then 'nothing is known about it'
    when guard = 'substeps_complete' then format('not every substep of %s is done', status)
    when guard = 'attempts_left' then format('%s has no attempts left', status)
    else 'it said no'
  end);
end
$$;

create or replace function bindery_core.is_facts(facts jsonb) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The paths below would also look into an array of facts.
  return jsonb_typeof(facts) = 'object'
    and not facts @@ 'exists($.substeps_complete.type() ? (@ != "boolean" && @ != "null"))
    || exists($.attempts_left.type() ? (@ != "boolean" && @ != "null"))
    || exists($.rewind.type() ? (@ != "boolean" && @ != "null"))
    || exists($.guards.type() ? (@ != "object" && @ != "null"))
    || exists($.guards.*.type() ? (@ != "boolean"))';
end
$$;

-- The error of a rewind, if the book is in a state of its pipeline that is not final.
create or replace function bindery_core.rewind_error(
  status text, target text, states text[], allowed text[]
) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if target = any (allowed) then
    return null;
  elsif allowed = '{}' then
    return format('A book in %s cannot be rewound; there is no earlier state.', status);
  end if;
  return format(case
      when target = status then 'A book in %1$s is already in %1$s; it'
      when target = any (states) then 'A book in %1$s cannot be rewound to %2$s; it'
      else 'This pipeline has no state %2$s; a book in %1$s'
    end || ' may be rewound to %3$s.', status, target, bindery_core.listed(allowed, 'or'));
end
$$;

-- Stable, like the functions that it calls, so that the planner does not evaluate it early.
create or replace function bindery_core.check_transition(
  machine jsonb, status text, target text, facts jsonb
) returns void
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if not bindery_core.is_facts(facts) then
    perform bindery_core.refuse('facts',
      'expected an object of booleans, with guards as another one');
  elsif machine is null then
    perform bindery_core.refuse_null('machine');
  elsif not bindery_core.is_machine(machine) then
    perform bindery_core.refuse('machine', 'this is not a compiled pipeline');
  elsif status is null then
    perform bindery_core.refuse_null('status');
  elsif target is null then
    perform bindery_core.refuse_null('target');
  end if;
end
$$;

create or replace function bindery_core.transition_problem(
  machine jsonb, status text, stage text, target text, facts jsonb
) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  states text[];
  allowed text[];
begin
  if (facts ->> 'rewind')::boolean is not true then
    allowed := bindery_core.following(machine, status, stage);
    if target = any (allowed) then
      return bindery_core.unmet_guard(status,
        jsonb_path_query_first(bindery_core.state_named(machine, status),
        '$.next[*] ? (@.to == $target)', jsonb_build_object('target', target)), facts);
    end if;
  end if;
  states := array(select jsonb_path_query(machine, '$.states[*].name') #>> '{}')
    || array['FAILED', 'CANCELLED'];
  if status <> all (states) then
    return format('This pipeline has no state %s; its states are %s.', status,
      bindery_core.listed(states, 'and'));
  elsif status in ('CANCELLED', machine #>> '{states,-1,name}') then
    return format('%s is final; nothing follows it.', status);
  elsif allowed is null then
    return bindery_core.rewind_error(status, target, states,
      bindery_core.earlier(machine, status, stage));
  end if;
  return format(case
      when target = status then 'A book in %1$s is already in %1$s'
      when target = any (states) then 'A book in %1$s cannot go to %2$s'
      else 'This pipeline has no state %2$s'
    end || '; from %1$s it may go to %3$s.', status, target, bindery_core.listed(allowed, 'or'));
end
$$;

create or replace function bindery_core.transition_error(
  machine jsonb, status text, stage text, target text, facts jsonb
) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  perform bindery_core.check_transition(machine, status, target, facts);
  return bindery_core.transition_problem(machine, status, stage, target, facts);
end
$$;

comment on function bindery_core.unmet_guard(text, jsonb, jsonb) is
  'Why the guard of an edge from this status does not hold, by these facts; null where it does, '
  'or there is none. No errors.';
comment on function bindery_core.is_facts(jsonb) is
  'Whether this is what transition_error takes as facts; null for null. No errors.';
comment on function bindery_core.check_transition(jsonb, text, text, jsonb) is
  'Checks the arguments of transition_error and the verdicts. Errors: as for transition_error.';
comment on function bindery_core.transition_problem(jsonb, text, text, text, jsonb) is
  'Returns what transition_error returns, of arguments that were checked. No errors.';
comment on function bindery_core.rewind_error(text, text, text[], text[]) is
  'Why a book of this status may not be rewound to target; null where it may. states: all of the '
  'pipeline; allowed: as rewind_targets gives them. No errors.';
comment on function bindery_core.transition_error(jsonb, text, text, text, jsonb) is
  'Returns why a book may not change its status, in a sentence that names what is allowed; null '
  'where it may. machine: as compile_pipeline gives it. status, stage: the book''s; stage is the '
  'state that a halted book was last in, null for the initial one. target: the new status. facts: '
  '{"substeps_complete", "attempts_left", "guards": {NAME: boolean}}, where a missing fact does '
  'not hold; "rewind": true for an operator''s step back, which follows rewind_targets and asks '
  'no guard; null for no facts. Errors: 22004 for a null machine, status or target, 22023 for a '
  'machine or facts of another form.';
