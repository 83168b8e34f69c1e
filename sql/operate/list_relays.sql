-- list_relays: the live relays, and the streams that each would read.
-- Invariants: read-only; a relay that has not announced itself within its ttl is left out.
create or replace function bindery_internal.list_relays()
returns table (holder text, streams text[], expires_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select r.holder, r.streams, r.expires_at
  from bindery_internal.relays r
  where r.expires_at > bindery_internal.now()
  order by r.holder;
$$;

create or replace function bindery.list_relays()
returns table (holder text, streams text[], expires_at timestamptz)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select r.* from bindery_internal.list_relays() r order by r.holder;
$$;

comment on function bindery_internal.list_relays() is 'See bindery.list_relays.';
comment on function bindery.list_relays() is
  'The live relays, by the name under which each acquires streams.
streams: those that it would read. expires_at: when it no longer counts, unless it announces '
  'itself again.';
