-- forgotten_streams: streams that were forgotten, each with its last epoch. If one is acquired
-- again, its epochs continue above it.
-- Invariant: a relay that was paused meanwhile never finds its own epoch in force again.
-- Locks: like relay_cursors; taken before any book's row.
create table bindery_internal.forgotten_streams (
  stream text not null,
  epoch bigint not null,
  constraint forgotten_streams_pkey primary key (stream)
);

alter table bindery_internal.forgotten_streams enable row level security;

comment on table bindery_internal.forgotten_streams is
  'Streams that bindery.forget_stream deleted and no relay has acquired since.';
comment on column bindery_internal.forgotten_streams.stream is 'The stream''s key in Redis.';
comment on column bindery_internal.forgotten_streams.epoch is 'The last epoch it had.';
