-- book_events: the append-only history of every change of status.
-- Invariants: rows are written only by the trigger record_transition, in the change's own
-- transaction, and never updated. The key has no global sequence, so that the table can be
-- partitioned. Locks: appended to last.
create table bindery.book_events (
  book_id uuid not null,
  revision bigint not null,
  kind text not null,
  from_status text,
  to_status text not null,
  stage text not null,
  attempt integer not null,
  actor text not null,
  message text,
  data jsonb,
  at timestamptz not null,
  constraint book_events_pkey primary key (book_id, revision),
  constraint event_belongs_to_a_book
    foreign key (book_id) references bindery.book_status (book_id) on delete cascade
);

-- For prune_events, which keeps the row of each book's end.
create index book_events_prunable on bindery.book_events (at)
  where kind not in ('complete', 'cancel');
-- For operators: the failures of each stage over time, from the index alone.
create index book_events_failures on bindery.book_events (at, book_id, stage)
  where kind = 'fail';

alter table bindery.book_events enable row level security;

comment on table bindery.book_events is
  'The history: one row for every change of a book''s status, never updated.';
comment on column bindery.book_events.book_id is 'The book.';
comment on column bindery.book_events.revision is 'The book''s revision after this change.';
comment on column bindery.book_events.kind is
  'register, transition, fail, resume, rewind, cancel or complete.';
comment on column bindery.book_events.from_status is 'The status before; null at registration.';
comment on column bindery.book_events.to_status is 'The status after.';
comment on column bindery.book_events.stage is 'The stage the book was in after the change.';
comment on column bindery.book_events.attempt is 'The attempt after the change.';
comment on column bindery.book_events.actor is
  'Who made it: a user''s id, a role, a worker, relay:<stream>, or sweep.';
comment on column bindery.book_events.message is 'The message given with it.';
comment on column bindery.book_events.data is 'For fail: the error.';
comment on column bindery.book_events.at is 'When.';
