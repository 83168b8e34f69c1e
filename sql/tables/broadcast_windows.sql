-- broadcast_windows: the books that were broadcast to Supabase Realtime a moment ago; until due_at,
-- their further progress is held back.
-- Invariant: a held-back change writes nothing here: the book's revision is then above the revision
-- in the row. A row is written only by a session that has locked the book.
-- Locks: after the book's row.
create table bindery_internal.broadcast_windows (
  book_id uuid not null,
  opened_at timestamptz not null,
  due_at timestamptz not null,
  revision bigint not null,
  status text not null,
  attempt integer not null,
  owner_id uuid,
  held_back bigint not null default 0,
  constraint broadcast_windows_pkey primary key (book_id)
-- Updated once a window; no index holds what an update changes.
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

alter table bindery_internal.broadcast_windows enable row level security;

comment on table bindery_internal.broadcast_windows is
  'One row a book that was broadcast a moment ago: what was sent, and until when more is held '
  'back.';
comment on column bindery_internal.broadcast_windows.book_id is 'The book.';
comment on column bindery_internal.broadcast_windows.opened_at is 'When it was broadcast.';
comment on column bindery_internal.broadcast_windows.due_at is
  'Until when changes other than those of status and owner are held back.';
comment on column bindery_internal.broadcast_windows.revision is 'The revision that was sent last.';
comment on column bindery_internal.broadcast_windows.status is 'The status that was sent last.';
comment on column bindery_internal.broadcast_windows.attempt is 'The attempt that was sent last.';
comment on column bindery_internal.broadcast_windows.owner_id is
  'The owner to whom it was sent; null: none.';
comment on column bindery_internal.broadcast_windows.held_back is
  'How many changes were held back and are not counted yet by send_held_broadcasts.';
