-- The one clock: wall time, or what the session set in bindery.now so that tests need no sleep.
-- Invariant: everything in bindery that asks for the time asks here.
-- Locks: none.
create or replace function bindery_internal.now() returns timestamptz
language plpgsql volatile parallel safe
set search_path = ''
as $$
begin
  return coalesce(nullif(current_setting('bindery.now', true), '')::timestamptz, clock_timestamp());
end
$$;

comment on function bindery_internal.now() is
  'Wall time (not the transaction''s start: a call may have waited for a lock), or the setting bindery.now where it is set.';
