-- take_mutex: lets one session at a time do a task.
-- Invariant: the lock is on a row that only this schema's owner can lock, and ends with the
-- transaction. Locks: the row, for which it waits a bounded time.
create or replace function bindery_internal.take_mutex(task text, most_ms integer)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  outer_timeout constant text := current_setting('lock_timeout');
begin
  perform from bindery_internal.mutexes m
  where m.task = take_mutex.task for no key update skip locked;
  if found then
    return true;
  elsif most_ms = 0 then
    return false;
  end if;
  perform set_config('lock_timeout', most_ms::text, true);
  begin
    perform from bindery_internal.mutexes m
    where m.task = take_mutex.task for no key update;
  exception when lock_not_available then
    perform set_config('lock_timeout', outer_timeout, true);
    return false;
  end;
  perform set_config('lock_timeout', outer_timeout, true);
  return true;
end
$$;

comment on function bindery_internal.take_mutex(text, integer) is
  'Locks the mutex of a task until the transaction ends; false where another session has it for '
  'longer than so many milliseconds (0: does not wait).';
