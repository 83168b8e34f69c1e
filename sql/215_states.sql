-- What SQL needs to know of a state: its entry in the compiled machine, the attempts a book has had there, when to try again.
-- Invariants: the machine is what the kernel compiled; attempts are counted by the history, whoever made them.
-- Locks: none.
create or replace function bindery_internal.state_of(machine jsonb, name text) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return (select s.state from jsonb_array_elements(machine -> 'states') as s(state) where s.state ->> 'name' = state_of.name);
end
$$;

create or replace view bindery_internal.last_attempts as
select e.book_id, e.stage, max(e.attempt) as attempt from bindery.book_events e group by e.book_id, e.stage;

create or replace function bindery_internal.last_attempt(book_id uuid, stage text) returns integer
language plpgsql stable parallel safe security definer
set search_path = ''
as $$
begin
  return coalesce(
    (select a.attempt from bindery_internal.last_attempts a where a.book_id = last_attempt.book_id and a.stage = last_attempt.stage), 0);
end
$$;

create or replace function bindery_internal.attempts_left(state jsonb, attempt integer) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return coalesce(attempt < (state ->> 'max_attempts')::integer, true);
end
$$;

create or replace function bindery_internal.resume_at(state jsonb, attempt integer, error jsonb, moment timestamptz) returns timestamptz
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  seconds constant double precision := (state ->> 'retry_after')::double precision;
begin
  if seconds is null or not bindery_internal.attempts_left(state, attempt) or error -> 'retry' = 'false' then
    return null;
  end if;
  -- The bound on the exponent keeps the power finite; the day is long reached then.
  return moment + greatest(seconds, least(seconds * 2 ^ least(attempt - 1, 40), 86400)) * interval '1 second';
end
$$;

comment on function bindery_internal.state_of(jsonb, text) is 'A state of a compiled machine by its name; null where it has none such.';
comment on view bindery_internal.last_attempts is
  'The highest attempt that each book has had at each stage, as far as its history goes back; ask it for one book and stage.';
comment on column bindery_internal.last_attempts.book_id is 'The book.';
comment on column bindery_internal.last_attempts.stage is 'The stage.';
comment on column bindery_internal.last_attempts.attempt is 'The highest attempt there, from 1.';
comment on function bindery_internal.last_attempt(uuid, text) is
  'The highest attempt a book has had at a stage, as far as its history goes back; 0: it was never there.';
comment on function bindery_internal.attempts_left(jsonb, integer) is 'Whether an attempt at a state is not yet its last by max_attempts.';
comment on function bindery_internal.resume_at(jsonb, integer, jsonb, timestamptz) is
  'When a book that fails now in this attempt is to be resumed: after retry_after, doubled for each attempt before, at most a day (or retry_after, where that is longer).
Null: not by itself, since the stage says no retry_after, has no attempts left, or the error says {"retry": false}.';
