-- The functions of the relay, and forget_stream for the operator. Of these the role bindery_relay may call all but that one.
-- Invariants: SECURITY INVOKER over definers in bindery_internal, since the relay has no right to any table.
-- Locks: relay_cursors first, then books in order of book_id.
create or replace function bindery.acquire_stream(stream text, holder text, ttl interval default '10 seconds')
returns table (epoch bigint, "position" text, lease_expires_at timestamptz, entries bigint)
language sql volatile
set search_path = ''
as $$
  select a.epoch, a.position, a.lease_expires_at, a.entries from bindery_internal.acquire_stream(stream, holder, ttl) a;
$$;

create or replace function bindery.renew_stream(stream text, epoch bigint, caught_up_at timestamptz default null) returns timestamptz
language sql volatile
set search_path = ''
as $$
  select bindery_internal.renew_stream(stream, epoch, caught_up_at);
$$;

create or replace function bindery.note_stream(
  stream text, epoch bigint, entries bigint default null, loss text default null, lost bigint default 0, "position" text default null
) returns void
language sql volatile
set search_path = ''
as $$
  select bindery_internal.note_stream(stream, epoch, entries, loss, lost, "position");
$$;

create or replace function bindery.release_stream(stream text, epoch bigint) returns void
language sql volatile
set search_path = ''
as $$
  select bindery_internal.release_stream(stream, epoch);
$$;

create or replace function bindery.forget_stream(stream text) returns void
language sql volatile
set search_path = ''
as $$
  select bindery_internal.forget_stream(stream);
$$;

create or replace function bindery.announce_relay(
  holder text, streams text[], ttl interval default '10 seconds', out relays integer, out give_up text, out leave text[]
)
language sql volatile
set search_path = ''
as $$
  select a.relays, a.give_up, a.leave from bindery_internal.announce_relay(holder, streams, ttl) a;
$$;

create or replace function bindery.apply_events(stream text, epoch bigint, "position" text, events jsonb)
returns table (applied bigint, stale bigint, dead bigint)
language sql volatile
set search_path = ''
as $$
  select a.applied, a.stale, a.dead from bindery_internal.apply_events(stream, epoch, "position", events) a;
$$;

comment on function bindery.acquire_stream(text, text, interval) is
  'Takes the lease on a stream: gives a new epoch, and the position applied so far.
Also when the lease ends unless renewed, and how many entries Redis had counted at the position (null: not known). The present holder may take it again at once. PT409 lease_held while another''s lease lasts, PT422 bad_input.';
comment on function bindery.renew_stream(text, bigint, timestamptz) is
  'Prolongs the lease by its ttl and gives its new end.
PT409 fenced where the epoch is not the newest. caught_up_at says that everything that was in the stream at that moment of this database''s clock is applied; kept in relay_cursors where it is later than what is known, at most now, or PT422 bad_input. A relay may say it of a moment whose answer it had before it began a read that found no more than it has applied.';
comment on function bindery.note_stream(text, bigint, bigint, text, bigint, text) is
  'Notes what the relay found its stream to be: how many entries Redis had counted at the position, and what is lost.
Where something is missing: what happened (trimmed, deleted, recreated, rewound) and how many entries are known to be lost. With a position, the stream is read from there on, which may lie before: what comes after it is new. PT409 fenced where the epoch is not the newest, PT422 bad_input.';
comment on function bindery.release_stream(text, bigint) is
  'Gives the lease up, so that another relay need not wait for its end.
PT409 fenced where the epoch is not the newest.';
comment on function bindery.forget_stream(text) is
  'Deletes the row of a stream that is no longer read: its position, lease and counts. Its dead letters stay.
Without it a stream whose relay is gone for good would hold the detection of stalled books up for ever. Acquired again, the stream is read from its beginning. PT404 unknown_stream, PT409 lease_held while its lease lasts.';
comment on function bindery.announce_relay(text, text[], interval) is
  'Says that a relay lives, for as long as ttl, and which streams it would read, so that living relays share them evenly; an empty list says goodbye.
Gives how many relays share these streams, one that it holds and should release now for another that has fewer (or null), and those that are free and that another with fewer should take. PT422 bad_input.';
comment on function bindery.apply_events(text, bigint, text, jsonb) is
  'Applies a batch of events and moves the stream''s position, in one transaction; counts what was applied, stale, dead.
Items are events as docs/events.md has them, with id, count (how many events it stands for) and segment: items of a segment must have distinct keys, segments are applied in order; without a segment each item is one. PT409 fenced or position_passed, PT422 bad_input.';
