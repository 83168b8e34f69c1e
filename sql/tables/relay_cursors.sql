-- relay_cursors: one row a stream: its position and its holder.
-- Invariants: position moves with the events it covers, in one transaction, or by note_stream after
-- a loss in the stream; epoch and caught_up_at only grow; one holder at a time.
-- Locks: taken before any book's row.
create table bindery.relay_cursors (
  stream text not null,
  position text not null default '0-0',
  epoch bigint not null default 0,
  holder text,
  lease_ttl interval not null default '10 seconds',
  lease_expires_at timestamptz,
  applied bigint not null default 0,
  stale bigint not null default 0,
  early bigint not null default 0,
  rejected bigint not null default 0,
  applied_at timestamptz,
  created_at timestamptz not null default bindery_internal.now(),
  caught_up_at timestamptz,
  losses bigint not null default 0,
  lost bigint not null default 0,
  last_loss text,
  lost_at timestamptz,
  entries_ahead bigint,
  constraint relay_cursors_pkey primary key (stream),
  constraint stream_has_a_name check (length(stream) between 1 and 512),
  constraint position_is_a_stream_id check (position ~ '^[0-9]{1,20}-[0-9]{1,20}$'),
  constraint loss_is_known check (last_loss in ('trimmed', 'deleted', 'recreated', 'rewound'))
) with (fillfactor = 50);

alter table bindery.relay_cursors enable row level security;

comment on table bindery.relay_cursors is
  'One row a Redis stream: the position applied, the lease, and what was counted.';
comment on column bindery.relay_cursors.stream is 'The stream''s key in Redis.';
comment on column bindery.relay_cursors.position is
  'The id of the last entry whose effect is in this database.';
comment on column bindery.relay_cursors.epoch is
  'The fencing token: one higher at each acquire; an older one can apply nothing.';
comment on column bindery.relay_cursors.holder is 'Which relay reads it; null: none.';
comment on column bindery.relay_cursors.lease_ttl is
  'How long the lease lasts after each sign of the holder.';
comment on column bindery.relay_cursors.lease_expires_at is
  'When another relay may take over, by this database''s clock.';
comment on column bindery.relay_cursors.applied is 'Events that took effect.';
comment on column bindery.relay_cursors.stale is
  'Events from an earlier attempt or for a stage left: counted, without effect.';
comment on column bindery.relay_cursors.early is
  'Events that arrived early and were kept in early_events; what became of them later is not '
  'counted here.';
comment on column bindery.relay_cursors.rejected is 'Events that went to dead_letters.';
comment on column bindery.relay_cursors.applied_at is 'When a batch was last applied.';
comment on column bindery.relay_cursors.created_at is 'When the stream was first acquired.';
comment on column bindery.relay_cursors.caught_up_at is
  'Everything that was in the stream at this moment (of this database''s clock) has been applied; '
  'null: not proven yet. It lags the clock by
seconds while the relay keeps up, and stands still while it is behind, gone, or cut off from '
  'Redis.';
comment on column bindery.relay_cursors.losses is
  'How often the relay found the stream not to be what it had been: entries gone unread, or '
  'another stream in its place.';
comment on column bindery.relay_cursors.lost is
  'Entries that were gone before they were read, as far as they could be counted.';
comment on column bindery.relay_cursors.last_loss is
  'What was found last: trimmed (entries gone unread), deleted, recreated (another stream of that '
  'name) or rewound (a stream that ends before the position).';
comment on column bindery.relay_cursors.lost_at is 'When that was found.';
comment on column bindery.relay_cursors.entries_ahead is
  'How many entries Redis had counted at the position (entries-added) beyond applied, stale, '
  'early and rejected; by it the relay sees what goes missing. Null: not known yet.';
