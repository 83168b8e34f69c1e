-- The caller: the user of the token (for policies) and the name that goes into the history.
-- Invariant: works with and without PostgREST, and inside definer functions (which do not change
-- the setting role).
create or replace function bindery_internal.user_id() returns uuid
language sql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select case when c.sub ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then c.sub::uuid end
  from (select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub') as c(sub);
$$;

create or replace function bindery_internal.actor() returns text
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(
    nullif(current_setting('bindery.actor', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub',
    nullif(current_setting('role', true), 'none'),
    session_user);
end
$$;

comment on function bindery_internal.user_id() is
  'The sub of the request''s JWT where it is a uuid, else null.';
comment on function bindery_internal.actor() is
  'Who the history names: the setting bindery.actor, the token''s sub, the role, or the '
  'session''s user; the first there is.';
