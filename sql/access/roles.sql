-- The roles that Supabase has (anon, authenticated, service_role), bindery_relay, and bindery_guard
-- (as which guards that are
-- SQL functions run), each made where it is missing.
-- Invariant: no role made here can log in; an operator grants bindery_relay to the daemon's own
-- login role.
-- Locks: none of ours.
do $$
declare
  wanted text;
begin
  foreach wanted in array array['anon', 'authenticated', 'service_role', 'bindery_relay',
    'bindery_guard'] loop
    if to_regrole(wanted) is null then
      begin
        execute format('create role %I nologin noinherit', wanted);
      exception when duplicate_object or unique_violation then
        -- Roles are the server's: another of its databases is being migrated at this moment.
        null;
      end;
    end if;
  end loop;
end
$$;
