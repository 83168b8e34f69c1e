-- relays: the live relays and the streams that each would read, from which they share the streams.
-- Invariants: a relay that has not announced itself within its ttl does not count; handing_over is
-- one of its streams, or null.
-- Locks: the whole table, by announce_relay, before everything else; announce_relay locks no row of
-- relay_cursors.
create table bindery_internal.relays (
  holder text not null,
  streams text[] not null,
  handing_over text,
  expires_at timestamptz not null,
  constraint relays_pkey primary key (holder)
);

alter table bindery_internal.relays enable row level security;

comment on table bindery_internal.relays is
  'Relays that live, as bindery.announce_relay received them.';
comment on column bindery_internal.relays.holder is 'The name by which it acquires streams.';
comment on column bindery_internal.relays.streams is 'The streams that it would read.';
comment on column bindery_internal.relays.handing_over is
  'The stream that it was last advised to release; null: none.';
comment on column bindery_internal.relays.expires_at is
  'When it counts no more, by this database''s clock.';
