-- Facts about a state for SQL: its entry in the compiled machine, whether attempts are left, and
-- when a failed attempt is retried.
-- Invariant: the machine is what the kernel compiled.
create or replace function bindery_internal.state_of(machine jsonb, name text) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select s.state from jsonb_array_elements(machine -> 'states') as s(state)
    where s.state ->> 'name' = state_of.name);
end
$$;

create or replace function bindery_internal.attempts_left(state jsonb, attempt integer)
returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(attempt < (state ->> 'max_attempts')::integer, true);
end
$$;

create or replace function bindery_internal.resume_at(
  state jsonb, attempt integer, error jsonb, moment timestamptz
) returns timestamptz
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  seconds constant double precision := (state ->> 'retry_after')::double precision;
begin
  if seconds is null or not bindery_internal.attempts_left(state, attempt)
    or error -> 'retry' = 'false'
  then
    return null;
  end if;
  -- The bound on the exponent keeps the power finite; the delay has long reached a day then.
  return moment
    + greatest(seconds, least(seconds * 2 ^ least(attempt - 1, 40), 86400)) * interval '1 second';
end
$$;

comment on function bindery_internal.state_of(jsonb, text) is
  'A state of a compiled machine by its name; null where it has none of that name.';
comment on function bindery_internal.attempts_left(jsonb, integer) is
  'Whether an attempt at a state is not its last by max_attempts.';
comment on function bindery_internal.resume_at(jsonb, integer, jsonb, timestamptz) is
  'When a book that fails now in this attempt is to be resumed: after retry_after, doubled for '
  'each '
  'attempt before, at most a day (or retry_after, where that is longer).
Null: not automatically, since the stage has no retry_after or no attempts left, or the error has '
  '{"retry": false}.';
