-- The roles that Supabase has (anon, authenticated, service_role), bindery_relay, bindery_worker
-- (the role of workers' tokens), and bindery_guard (the role as which guards that are SQL functions
-- run), each created if it is missing.
-- Invariant: no role made here can log in; an operator grants bindery_relay to the daemon's own
-- login role. PostgREST's login, if it is Supabase's, may act as bindery_worker.
do $$
declare
  wanted text;
begin
  foreach wanted in array array['anon', 'authenticated', 'service_role', 'bindery_relay',
    'bindery_worker', 'bindery_guard'] loop
    if to_regrole(wanted) is null then
      begin
        execute format('create role %I nologin noinherit', wanted);
      exception when duplicate_object or unique_violation then
        -- Roles belong to the server: a migration of another of its databases created it just now.
        null;
      end;
    end if;
  end loop;
  if to_regrole('authenticator') is not null
    and not pg_has_role('authenticator', 'bindery_worker', 'member')
  then
    begin
      grant bindery_worker to authenticator;
    exception when insufficient_privilege then
      raise warning 'bindery_worker is not granted to authenticator: PostgREST takes no token of '
        'workers.';
    end;
  end if;
end
$$;
