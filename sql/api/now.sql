-- The only clock: wall time, or the value that the schema's owner set in bindery.now, so that tests
-- need no sleep.
-- Invariant: all code in bindery takes the time from here; no other role's setting moves a lease or
-- a heartbeat.
create or replace function bindery_internal.may_set_clock() returns boolean
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Checks the session's own user; SET ROLE and definer functions do not change it.
  return pg_has_role(session_user, (select n.nspowner from pg_catalog.pg_namespace n
    where n.nspname = 'bindery_internal'), 'member');
end
$$;

create or replace function bindery_internal.now() returns timestamptz
language plpgsql volatile parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  setting constant text := coalesce(current_setting('bindery.now', true), '');
begin
  if setting <> '' and bindery_internal.may_set_clock() then
    return setting::timestamptz;
  end if;
  return clock_timestamp();
end
$$;

comment on function bindery_internal.may_set_clock() is
  'Whether the session belongs to the schema''s owner, or to a superuser: who may set its '
  'clock.';
comment on function bindery_internal.now() is
  'Wall time (not the transaction''s start: a call may have waited for a lock), or the setting '
  'bindery.now where the schema''s owner has set it.';
