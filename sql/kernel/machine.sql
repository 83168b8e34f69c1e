-- Reads a compiled machine: its form, its states, and their edges. Invariant: accepts the same
-- machines as core/src/machine.rs, which reads and writes the JSON.
create or replace function bindery_core.is_machine(machine jsonb) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  names jsonb;
  targets jsonb;
  settled jsonb := '[]';
  found jsonb;
begin
  -- Beyond these bounds, rounding to a double gives infinity or 0. A path also looks into arrays,
  -- so each type is checked separately.
  if jsonb_typeof(machine) <> 'object'
    or machine @@ '$.total_weight.type() == "number" && $.total_weight > 2.4703282292062327e-324
      && $.total_weight < 1.7976931348623158079372897140530341507993e308
      && $.auto_advance.type() == "boolean"
      && $.states.type() == "array" && $.states.size() >= 2 && $.states.size() <= 64
      && !exists($.states[*].type() ? (@ != "object"))
      && !exists($.states[*] ? (!(@.name.type() == "string" && @.label.type() == "string"
        && @.weight.type() == "number" && @.weight >= -2.4703282292062327e-324
        && @.weight < 1.7976931348623158079372897140530341507993e308
        && @.start.type() == "number" && @.start >= -2.4703282292062327e-324
        && @.start < 1.7976931348623158079372897140530341507993e308
        && @.final.type() == "boolean" && @.open_substeps.type() == "boolean"
        && @.next.type() == "array" && @.rework.type() == "array" && @.substeps.type() == "array"
        && !exists(@.stall_after.type() ? (@ != "number" && @ != "null"))
        && !exists(@.retry_after.type() ? (@ != "number" && @ != "null"))
        && !exists(@.max_attempts.type() ? (@ != "number" && @ != "null")))
        || @.max_attempts < -2147483648 || @.max_attempts > 2147483647
        || exists(@.max_attempts ? (@ != null && @.floor() != @
          && (@ > 2.4703282292062327e-324 || @ <= -2.4703282292062327e-324)))
        || @.stall_after >= 1.7976931348623158079372897140530341507993e308
        || @.stall_after <= -1.7976931348623158079372897140530341507993e308
        || @.retry_after >= 1.7976931348623158079372897140530341507993e308
        || @.retry_after <= -1.7976931348623158079372897140530341507993e308))
      && !exists($.states[*].rework[*].type() ? (@ != "string"))
      && !exists($.states[*].next[*].type() ? (@ != "object"))
      && !exists($.states[*].next[*] ? (!(@.to.type() == "string")))
      && !exists($.states[*].next[*].guard.type() ? (@ != "string" && @ != "null"))
      && !exists($.states[*].substeps[*].type() ? (@ != "object"))
      && !exists($.states[*].substeps[*] ? (!(@.substep.type() == "string"
        && @.label.type() == "string" && @.weight.type() == "number"
        && @.weight >= -2.4703282292062327e-324
        && @.weight < 1.7976931348623158079372897140530341507993e308)))
      && $.states[last].final == true && !exists($.states[last].next[*])
      && !exists($.states[0 to last - 1] ? (@.final == true || !exists(@.next[*])))' is not true
  then
    return false;
  end if;
  names := jsonb_path_query_array(machine, '$.states[*].name');
  targets := jsonb_path_query_array(machine, '$.states[*].next[*].to');
  if not (jsonb_path_query_array(machine, '$.states[*].rework[*]') || targets) <@ names
    or (select count(distinct t.name)
      from jsonb_array_elements_text(names) as t(name) where t.name not in ('FAILED', 'CANCELLED'))
      <> jsonb_array_length(names)
  then
    return false;
  end if;
  -- Most pipelines are linear. In others a state is settled once all its next states are; a state
  -- in a cycle never is.
  while targets <> names - 0 and settled <> names loop
    found := jsonb_path_query_array(machine,
      '$.states[*] ? (!exists(@.next[*] ? (!(@.to == $settled[*])))).name',
      jsonb_build_object('settled', settled));
    if found = settled then
      return false;
    end if;
    settled := found;
  end loop;
  return true;
end
$$;

create or replace function bindery_core.state_named(machine jsonb, name text) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_path_query_first(machine, '$.states[*] ? (@.name == $name)',
    jsonb_build_object('name', name));
end
$$;

-- The state a book is in or, once halted, was last in; null if the state is final or not in the
-- machine.
create or replace function bindery_core.current_state(
  machine jsonb, status text, stage text
) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  state constant jsonb := case
    when stage is null and status in ('FAILED', 'CANCELLED') then machine #> '{states,0}'
    else bindery_core.state_named(machine, coalesce(stage, status))
  end;
begin
  return case when state ->> 'final' = 'false' then state end;
end
$$;

-- The state that a book which is neither complete nor CANCELLED is in or, once FAILED, was last in.
create or replace function bindery_core.state_at_work(
  machine jsonb, status text, stage text
) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  state constant jsonb := case
    when status = 'FAILED' then bindery_core.current_state(machine, status, stage)
    else bindery_core.state_named(machine, status)
  end;
begin
  return case when state ->> 'final' = 'false' then state end;
end
$$;

create or replace function bindery_core.reaches(
  machine jsonb, from_state text, to_state text
) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  names jsonb := jsonb_build_array(from_state);
begin
  for step in 1 .. 64 loop
    names := jsonb_path_query_array(machine, '$.states[*] ? (@.name == $names[*]).next[*].to',
      jsonb_build_object('names', names));
    if names ? to_state or names = '[]' then
      return names <> '[]';
    end if;
  end loop;
  return false;
end
$$;

-- The states from which a state can be reached, in the machine's order.
create or replace function bindery_core.states_before(machine jsonb, name text) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  before jsonb := '[]';
  found jsonb;
begin
  loop
    found := jsonb_path_query_array(machine, '$.states[*] ? (@.next[*].to == $ahead[*]).name',
      jsonb_build_object('ahead', before || to_jsonb(name)));
    exit when found = before;
    before := found;
  end loop;
  return before;
end
$$;

comment on function bindery_core.is_machine(jsonb) is
  'Whether this is a compiled pipeline: its form, its names, where its edges lead, and that they '
  'form no circle. No errors.';
comment on function bindery_core.state_named(jsonb, text) is
  'The state of this name in a machine; null where there is none. No errors.';
comment on function bindery_core.current_state(jsonb, text, text) is
  'The state of a machine that a book of this status is in or, once halted or complete, was last '
  'in (stage; null: see status); null where that is none that work is done in. No errors.';
comment on function bindery_core.state_at_work(jsonb, text, text) is
  'Returns the state in which work on a book of this status continues; null for a complete or '
  'CANCELLED book. No errors.';
comment on function bindery_core.reaches(jsonb, text, text) is
  'Whether forward edges of a machine lead from one state to the other. No errors.';
comment on function bindery_core.states_before(jsonb, text) is
  'The names of the states of a machine from which this one is reached, in its order, as a JSON '
  'array. No errors.';
