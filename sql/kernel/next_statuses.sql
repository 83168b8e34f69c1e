-- The statuses that may follow a status, without guards; and the targets of a rewind. Invariant:
-- the order is forward, back, then FAILED and CANCELLED; for a rewind the states before, then the
-- one it failed in; core/src/transition.rs in SQL.
create or replace function bindery_core.following(
  machine jsonb, status text, stage text
) returns text[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  state jsonb;
begin
  if status = 'FAILED' then
    -- If the stage is not a state of this pipeline, there is no state to resume to.
    return array_remove(array[bindery_core.current_state(machine, status, stage) ->> 'name',
      'CANCELLED'], null);
  end if;
  state := bindery_core.state_named(machine, status);
  if (state ->> 'final')::boolean is not false then
    return '{}';
  end if;
  return array(select jsonb_array_elements_text(jsonb_path_query_array(state, '$.next[*].to')
    || (state -> 'rework')))
    || array['FAILED', 'CANCELLED'];
end
$$;

create or replace function bindery_core.next_statuses(
  machine jsonb, status text, stage text
) returns text[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if machine is null then
    perform bindery_core.refuse_null('machine');
  elsif not bindery_core.is_machine(machine) then
    perform bindery_core.refuse('machine', 'this is not a compiled pipeline');
  elsif status is null then
    perform bindery_core.refuse_null('status');
  end if;
  return bindery_core.following(machine, status, stage);
end
$$;

create or replace function bindery_core.earlier(
  machine jsonb, status text, stage text
) returns text[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  state constant text := bindery_core.state_at_work(machine, status, stage) ->> 'name';
begin
  if state is null then
    return '{}';
  end if;
  return array(select jsonb_array_elements_text(bindery_core.states_before(machine, state)))
    || case when status = 'FAILED' then array[state] end;
end
$$;

create or replace function bindery_core.rewind_targets(
  machine jsonb, status text, stage text
) returns text[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if machine is null then
    perform bindery_core.refuse_null('machine');
  elsif not bindery_core.is_machine(machine) then
    perform bindery_core.refuse('machine', 'this is not a compiled pipeline');
  elsif status is null then
    perform bindery_core.refuse_null('status');
  end if;
  return bindery_core.earlier(machine, status, stage);
end
$$;

comment on function bindery_core.following(jsonb, text, text) is
  'next_statuses, of arguments that were looked at. No errors.';
comment on function bindery_core.next_statuses(jsonb, text, text) is
  'Returns the statuses that may follow, guards aside: forward, back by rework, then FAILED and '
  'CANCELLED; none for a complete or CANCELLED book. machine: as compile_pipeline gives it. '
  'status, stage: the book''s; stage is the state that a halted book was last in, null for the '
  'initial one. Errors: 22004 for a null machine or status, 22023 for a machine of another form.';
comment on function bindery_core.earlier(jsonb, text, text) is
  'rewind_targets, of arguments that were looked at. No errors.';
comment on function bindery_core.rewind_targets(jsonb, text, text) is
  'Returns the states that an operator may take a book back to: those before its own, in the '
  'order of the pipeline, then for a FAILED book the one it failed in; none for a complete or '
  'CANCELLED book. machine: as compile_pipeline gives it. status, stage: the book''s; stage is '
  'the state that a halted book was last in, null for the initial one. Errors: 22004 for a null '
  'machine or status, 22023 for a machine of another form.';
