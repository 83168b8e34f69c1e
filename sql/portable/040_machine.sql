-- Reading a compiled machine: its form, its states, and which leads to which.
-- Invariant: looks at the form only; names that are taken twice and circles are what compile_pipeline rules out.
-- Locks: none.
create function bindery_core.is_machine(machine jsonb) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  names jsonb;
begin
  if machine @@ '$.total_weight.type() == "number" && $.total_weight > 0 && $.auto_advance.type() == "boolean"
      && $.states.type() == "array" && $.states.size() >= 2 && $.states.size() <= 64
      && !exists($.states[*].type() ? (@ != "object"))
      && !exists($.states[*] ? (!(@.name.type() == "string" && @.label.type() == "string"
        && @.weight.type() == "number" && @.weight >= 0 && @.start.type() == "number" && @.start >= 0
        && @.final.type() == "boolean" && @.open_substeps.type() == "boolean"
        && @.next.type() == "array" && @.rework.type() == "array" && @.substeps.type() == "array")))
      && !exists($.states[*].rework[*].type() ? (@ != "string"))
      && !exists($.states[*].next[*] ? (!(@.to.type() == "string")))
      && !exists($.states[*].next[*].guard.type() ? (@ != "string" && @ != "null"))
      && !exists($.states[*].substeps[*] ? (!(@.name.type() == "string" && @.label.type() == "string"
        && @.weight.type() == "number" && @.weight >= 0)))
      && $.states[last].final == true && !exists($.states[last].next[*])
      && !exists($.states[0 to last - 1] ? (@.final == true || !exists(@.next[*])))' is not true
  then
    return false;
  end if;
  names := jsonb_path_query_array(machine, '$.states[*].name');
  return jsonb_path_query_array(machine, '$.states[*].next[*].to') <@ names
    and jsonb_path_query_array(machine, '$.states[*].rework[*]') <@ names;
end
$$;

create function bindery_core.state_named(machine jsonb, name text) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return jsonb_path_query_first(machine, '$.states[*] ? (@.name == $name)', jsonb_build_object('name', name));
end
$$;

-- The state a book is in or, once halted or complete, was last in; null where that is none that work is done in.
create function bindery_core.current_state(machine jsonb, status text, stage text) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
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

create function bindery_core.reaches(machine jsonb, from_state text, to_state text) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  names jsonb := jsonb_build_array(from_state);
begin
  for step in 1 .. 64 loop
    names := jsonb_path_query_array(machine, '$.states[*] ? (@.name == $names[*]).next[*].to', jsonb_build_object('names', names));
    if names ? to_state or names = '[]' then
      return names <> '[]';
    end if;
  end loop;
  return false;
end
$$;

-- The states from which one is reached, in the machine's order.
create function bindery_core.states_before(machine jsonb, name text) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
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
