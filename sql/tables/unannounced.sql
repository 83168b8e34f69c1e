-- unannounced: books whose change was not announced by NOTIFY, because another session was
-- notifying.
-- Invariant: hints only; a crash of the server empties the table. Rows are deleted as they are
-- announced (announce_left). Locks: appended to last.
create unlogged table bindery_internal.unannounced (
  id bigint generated always as identity,
  book_id uuid not null,
  revision bigint not null,
  constraint unannounced_pkey primary key (id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

alter table bindery_internal.unannounced enable row level security;

comment on table bindery_internal.unannounced is
  'Changes that are still to be announced by NOTIFY, by the next send_held_broadcasts or sweep.';
comment on column bindery_internal.unannounced.id is 'For tools that want a key.';
comment on column bindery_internal.unannounced.book_id is 'The book.';
comment on column bindery_internal.unannounced.revision is 'Its revision after the change.';
