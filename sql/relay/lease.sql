-- The lease on a stream: acquired with a new epoch, renewed by it, released by it; all by this
-- database's clock.
-- Invariants: two holders never have the same epoch, even if the stream was forgotten between them;
-- an unexpired lease of another holder is never taken over; caught_up_at never decreases, and never
-- exceeds the clock.
-- Locks: the stream's row in relay_cursors.
create or replace function bindery_internal.acquire_stream(stream text, holder text, ttl interval)
returns table (
  epoch bigint, "position" text, lease_expires_at timestamptz, entries bigint,
  caught_up_at timestamptz
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  cursor_row bindery.relay_cursors;
  moment timestamptz;
  -- Converted to seconds: as intervals, one month and 30 days compare as equal, but added to a date
  -- they differ.
  length_of interval;
begin
  if acquire_stream.stream is null or length(acquire_stream.stream) not between 1 and 512 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('stream',
      'is not a name of 1 to 512 characters', 'Give the key of the Redis stream.'));
  elsif acquire_stream.holder is null or length(acquire_stream.holder) not between 1 and 512 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('holder',
      'is not a name of 1 to 512 characters', 'Give a name that no other relay has.'));
  end if;
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_text('stream', acquire_stream.stream, 512),
    bindery_internal.refused_text('holder', acquire_stream.holder, 512)));
  if acquire_stream.ttl is null or acquire_stream.ttl not between '100 milliseconds'
    and '1 hour' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('ttl',
      'is not between 100 milliseconds and 1 hour', 'Give an interval such as 10 seconds.'));
  end if;

  length_of := make_interval(secs => extract(epoch from acquire_stream.ttl)::double precision);
  loop
    insert into bindery.relay_cursors (stream) values (acquire_stream.stream)
    on conflict (stream) do nothing;
    select c.* into cursor_row from bindery.relay_cursors c
      where c.stream = acquire_stream.stream for no key update;
    -- No row: forget_stream deleted it while this statement waited for the lock.
    exit when found;
  end loop;
  -- Read the clock after the lock, which may have taken time.
  moment := bindery_internal.now();
  if cursor_row.holder <> acquire_stream.holder and cursor_row.lease_expires_at > moment then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'lease_held',
      format('The stream %s is held by %s.', acquire_stream.stream, cursor_row.holder),
      'Stand by and try again when the lease runs out.',
      jsonb_build_object('stream', acquire_stream.stream, 'holder', cursor_row.holder,
        'lease_expires_at', cursor_row.lease_expires_at)));
  end if;
  if cursor_row.epoch = 0 then
    -- Continue the epochs of a forgotten stream; the insert above may have waited for that.
    with remembered as (delete from bindery_internal.forgotten_streams f
      where f.stream = acquire_stream.stream returning f.epoch)
    update bindery.relay_cursors c set epoch = r.epoch from remembered r
      where c.stream = acquire_stream.stream;
  end if;
  return query
  update bindery.relay_cursors c
  set epoch = c.epoch + 1, holder = acquire_stream.holder, lease_ttl = length_of,
    lease_expires_at = moment + length_of
  where c.stream = acquire_stream.stream
  returning c.epoch, c.position, c.lease_expires_at,
    c.applied + c.stale + c.early + c.rejected + c.entries_ahead, c.caught_up_at;
end
$$;

create or replace function bindery_internal.renew_stream(stream text, epoch bigint,
  caught_up_at timestamptz) returns timestamptz
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  expires timestamptz;
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream', renew_stream.stream,
    512));
  if not isfinite(renew_stream.caught_up_at) then
    perform bindery_internal.raise_error(bindery_internal.bad_input('caught_up_at', 'is no moment',
      'Give a time, or leave it out.'));
  end if;
  update bindery.relay_cursors c
  set lease_expires_at = bindery_internal.now() + c.lease_ttl,
      -- GREATEST and LEAST ignore NULLs: least(null, now) would be now.
      caught_up_at = case when renew_stream.caught_up_at is null then c.caught_up_at
                          else greatest(c.caught_up_at, least(renew_stream.caught_up_at,
                            bindery_internal.now())) end
  where c.stream = renew_stream.stream and c.epoch = renew_stream.epoch and c.holder is not null
  returning c.lease_expires_at into expires;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.fenced(renew_stream.stream,
      renew_stream.epoch));
  end if;
  return expires;
end
$$;

create or replace function bindery_internal.release_stream(stream text, epoch bigint) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream',
    release_stream.stream, 512));
  -- The epoch grows, so that nothing sent before the release can be applied after it.
  update bindery.relay_cursors c set epoch = c.epoch + 1, holder = null, lease_expires_at = null
  where c.stream = release_stream.stream and c.epoch = release_stream.epoch;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.fenced(release_stream.stream,
      release_stream.epoch));
  end if;
end
$$;

create or replace function bindery_internal.forget_stream(stream text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  cursor_row bindery.relay_cursors;
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream',
    forget_stream.stream, 512));
  select c.* into cursor_row from bindery.relay_cursors c
    where c.stream = forget_stream.stream for update;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.error('PT404', 'unknown_stream',
      format('There is no stream %s.', coalesce(forget_stream.stream, '(null)')),
      'bindery.relay_cursors lists the streams that were ever read.',
      jsonb_build_object('stream', forget_stream.stream)));
  elsif cursor_row.lease_expires_at > bindery_internal.now() then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'lease_held',
      format('The stream %s is held by %s.', cursor_row.stream, cursor_row.holder),
      'Stop the relay that reads it first, or wait until its lease runs out.',
      jsonb_build_object('stream', cursor_row.stream, 'holder', cursor_row.holder,
        'lease_expires_at', cursor_row.lease_expires_at)));
  end if;
  insert into bindery_internal.forgotten_streams (stream, epoch) values (cursor_row.stream,
    cursor_row.epoch)
  on conflict (stream) do update set epoch = greatest(forgotten_streams.epoch, excluded.epoch);
  delete from bindery_internal.waiting_books w where w.stream = forget_stream.stream;
  delete from bindery.relay_cursors c where c.stream = forget_stream.stream;
end
$$;

create or replace function bindery.acquire_stream(stream text, holder text,
  ttl interval default '10 seconds')
returns table (
  epoch bigint, "position" text, lease_expires_at timestamptz, entries bigint,
  caught_up_at timestamptz
)
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select a.epoch, a.position, a.lease_expires_at, a.entries, a.caught_up_at
    from bindery_internal.acquire_stream(stream, holder, ttl) a;
$$;

create or replace function bindery.renew_stream(stream text, epoch bigint,
  caught_up_at timestamptz default null) returns timestamptz
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.renew_stream(stream, epoch, caught_up_at);
$$;

create or replace function bindery.release_stream(stream text, epoch bigint) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.release_stream(stream, epoch);
$$;

create or replace function bindery.forget_stream(stream text) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.forget_stream(stream);
$$;

comment on function bindery_internal.acquire_stream(text, text, interval) is
  'See bindery.acquire_stream.';
comment on function bindery_internal.renew_stream(text, bigint, timestamptz) is
  'See bindery.renew_stream.';
comment on function bindery_internal.release_stream(text, bigint) is 'See bindery.release_stream.';
comment on function bindery_internal.forget_stream(text) is 'See bindery.forget_stream.';
comment on function bindery.acquire_stream(text, text, interval) is
  'Takes the lease on a stream: gives a new epoch, and the position applied so far.
Also when the lease ends unless renewed, how many entries Redis had counted at the position (null: '
  'not known), and the latest moment at which everything in the stream is known to have been '
  'applied (null: never). The present holder may take it again at once. PT409 lease_held while '
  'another''s lease lasts, PT422 bad_input.';
comment on function bindery.renew_stream(text, bigint, timestamptz) is
  'Prolongs the lease by its ttl and gives its new end.
PT409 fenced where the epoch is not the newest. caught_up_at means that everything that was in the '
  'stream at that moment of this database''s clock is applied; kept in relay_cursors where it is '
  'later than what is known, at most now, or PT422 bad_input. A relay may report a moment '
  'whose answer it had before it began a read that found no more than it has applied.';
comment on function bindery.release_stream(text, bigint) is
  'Gives the lease up, so that another relay need not wait for its end.
PT409 fenced where the epoch is not the newest.';
comment on function bindery.forget_stream(text) is
  'Deletes the row of a stream that is no longer read: its position, lease and counts. Its dead '
  'letters stay.
Without it a stream whose relay is gone permanently would hold up the detection of stalled books '
  'without end. Acquired again, the stream is read from its beginning. PT404 unknown_stream, PT409 '
  'lease_held while its lease lasts.';
