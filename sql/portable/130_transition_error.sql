-- Why a book may not change to a status, for people; null where it may.
-- Invariant: a fact that is missing counts as one that does not hold; core/src/transition.rs in SQL.
-- Locks: none.
create function bindery_core.unmet_guard(status text, edge jsonb, facts jsonb) returns text
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  guard constant text := edge ->> 'guard';
  holds constant text := case when guard in ('substeps_complete', 'attempts_left') then facts else facts -> 'guards' end ->> guard;
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

create function bindery_core.transition_error(machine jsonb, status text, stage text, target text, facts jsonb) returns text
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  states text[];
  allowed text[];
begin
  if jsonb_typeof(facts) <> 'object'
    or jsonb_path_exists(facts, '$.substeps_complete.type() ? (@ != "boolean" && @ != "null")')
    or jsonb_path_exists(facts, '$.attempts_left.type() ? (@ != "boolean" && @ != "null")')
    or jsonb_path_exists(facts, '$.guards.type() ? (@ != "object" && @ != "null")')
    or jsonb_path_exists(facts, '$.guards.*.type() ? (@ != "boolean")')
  then
    perform bindery_core.refuse('facts', 'expected an object of booleans, with guards as another one');
  elsif machine is null then
    perform bindery_core.refuse_null('machine');
  elsif not bindery_core.is_machine(machine) then
    perform bindery_core.refuse('machine', 'this is not a compiled pipeline');
  elsif status is null then
    perform bindery_core.refuse_null('status');
  elsif target is null then
    perform bindery_core.refuse_null('target');
  end if;

  allowed := bindery_core.following(machine, status, stage);
  if target = any (allowed) then
    return bindery_core.unmet_guard(status, jsonb_path_query_first(bindery_core.state_named(machine, status),
      '$.next[*] ? (@.to == $target)', jsonb_build_object('target', target)), facts);
  end if;
  states := array(select jsonb_path_query(machine, '$.states[*].name') #>> '{}') || array['FAILED', 'CANCELLED'];
  if status <> all (states) then
    return format('This pipeline has no state %s; its states are %s.', status, bindery_core.listed(states, 'and'));
  elsif allowed = '{}' then
    return format('%s is final; nothing follows it.', status);
  end if;
  return format(case
      when target = status then 'A book in %1$s is already in %1$s'
      when target = any (states) then 'A book in %1$s cannot go to %2$s'
      else 'This pipeline has no state %2$s'
    end || '; from %1$s it may go to %3$s.', status, target, bindery_core.listed(allowed, 'or'));
end
$$;

comment on function bindery_core.transition_error(jsonb, text, text, text, jsonb) is
  'Null where the transition is allowed, else the reason, naming what would be allowed.';
