-- announce_relay: records that a relay is live, and returns which streams it should release or
-- leave to other relays.
-- Invariants: a stream is given up only for a live relay that would read it and has at least two
-- fewer, one at a time over all relays that share streams; so the numbers come to differ by one at
-- most, and then nothing moves. This is advice: safety rests on the epochs alone.
-- Locks: relays, whole, so that two relays are advised one after the other.
create or replace function bindery_internal.announce_relay(
  holder text, streams text[], ttl interval, out relays integer, out give_up text, out leave text[]
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  moment timestamptz;
begin
  if announce_relay.holder is null or length(announce_relay.holder) not between 1 and 512 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('holder',
      'is not a name of 1 to 512 characters', 'Give a name that no other relay has.'));
  elsif announce_relay.streams is null or cardinality(announce_relay.streams) > 1000
    or array_ndims(announce_relay.streams) > 1
    or exists (select from unnest(announce_relay.streams) s(name) where s.name is null
      or length(s.name) not between 1 and 512) then
    perform bindery_internal.raise_error(bindery_internal.bad_input('streams',
      'is not a list of up to 1000 names of 1 to 512 characters',
      'Give the keys of the Redis streams; an empty list ends the announcement.'));
  elsif announce_relay.ttl is null or announce_relay.ttl not between '100 milliseconds'
    and '1 hour' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('ttl',
      'is not between 100 milliseconds and 1 hour',
      'Give the interval of the leases, such as 10 seconds.'));
  end if;
  perform bindery_internal.raise_error(bindery_internal.refused_text('holder',
    announce_relay.holder, 512));
  perform bindery_internal.raise_error(bindery_internal.refused_text('streams', s.name, 512))
    from unnest(announce_relay.streams) s(name);

  lock table bindery_internal.relays in share row exclusive mode;
  moment := bindery_internal.now();
  delete from bindery_internal.relays r where r.expires_at <= moment
    or (r.holder = announce_relay.holder and announce_relay.streams = '{}');
  if announce_relay.streams <> '{}' then
    insert into bindery_internal.relays (holder, streams, expires_at)
    values (announce_relay.holder, announce_relay.streams,
      moment + make_interval(secs => extract(epoch from announce_relay.ttl)::double precision))
    on conflict (holder) do update set streams = excluded.streams, expires_at = excluded.expires_at;
  end if;
  -- The handover is over once the stream was released or acquired by another relay.
  update bindery_internal.relays r set handing_over = null
  where r.handing_over is not null and not exists (
    select from bindery.relay_cursors c where c.stream = r.handing_over and c.holder = r.holder
      and c.lease_expires_at > moment);
  select count(*)::integer into relays from bindery_internal.relays r
    where r.streams && announce_relay.streams;

  with held as (
    select c.stream, c.holder from bindery.relay_cursors c where c.holder is not null
      and c.lease_expires_at > moment
  ), others as (
    select r.streams, (select count(*) from held h where h.holder = r.holder) as has
    from bindery_internal.relays r where r.holder <> announce_relay.holder
  ), me as (
    select count(*) as has from held h where h.holder = announce_relay.holder
  )
  select
    -- Free streams that another relay with fewer streams would read.
    array(select distinct s.name from unnest(announce_relay.streams) s(name)
      where not exists (select from held h where h.stream = s.name)
        and exists (select from others o where s.name = any (o.streams) and o.has < me.has)
          order by 1),
    (select h.stream from held h join others o on h.stream = any (o.streams)
      where h.holder = announce_relay.holder and h.stream = any (announce_relay.streams)
        and o.has + 2 <= me.has
      order by o.has, h.stream limit 1)
  into leave, give_up
  from me;

  -- One at a time: while a stream is being handed over, the counts are about to change.
  if give_up is not null and (
    exists (select from bindery_internal.relays r where r.handing_over is not null
      and r.holder <> announce_relay.holder and r.streams && announce_relay.streams)
    or exists (select from unnest(announce_relay.streams) s(name)
      where not exists (select from bindery.relay_cursors c where c.stream = s.name
        and c.holder is not null and c.lease_expires_at > moment))) then
    give_up := null;
  end if;
  if give_up is not null then
    update bindery_internal.relays r set handing_over = announce_relay.give_up
      where r.holder = announce_relay.holder;
  end if;
end
$$;

create or replace function bindery.announce_relay(
  holder text, streams text[], ttl interval default '10 seconds', out relays integer,
    out give_up text, out leave text[]
)
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select a.relays, a.give_up, a.leave from bindery_internal.announce_relay(holder, streams, ttl) a;
$$;

comment on function bindery_internal.announce_relay(text, text[], interval) is
  'See bindery.announce_relay.';
comment on function bindery.announce_relay(text, text[], interval) is
  'Announces that a relay lives, for as long as ttl, and which streams it would read, so that '
  'living relays share them evenly; an empty list ends the announcement.
Gives how many relays share these streams, one that it holds and should release now for another '
  'that has fewer (or null), and those that are free and that another with fewer should take. '
  'PT422 bad_input.';
