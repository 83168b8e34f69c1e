-- outbox: messages to workers and other systems, written in the change's own transaction.
-- Invariants: written by the trigger record_transition; the daemon publishes rows in order of id
-- and deletes them (take_outbox).
-- Locks: appended to last.
create table bindery.outbox (
  id bigint generated always as identity,
  message_id uuid not null default gen_random_uuid(),
  book_id uuid not null,
  revision bigint not null,
  kind text not null,
  payload jsonb not null,
  created_at timestamptz not null,
  constraint outbox_pkey primary key (id)
);

alter table bindery.outbox enable row level security;

comment on table bindery.outbox is
  'Messages on their way to the stream bindery:changes: transitions, and resume commands (after a '
  'resume or a rewind) with the resume point, without its lists where it is large.';
comment on column bindery.outbox.id is 'The order of publication.';
comment on column bindery.outbox.message_id is
  'By this readers know what they have seen. Random, so that a failover to a server that lacks the '
  'latest commits cannot give it again; it may give id and revision again.';
comment on column bindery.outbox.book_id is
  'The book; no foreign key, a message outlives its book.';
comment on column bindery.outbox.revision is 'The book''s revision after the change.';
comment on column bindery.outbox.kind is 'transition or resume.';
comment on column bindery.outbox.payload is 'The message.';
comment on column bindery.outbox.created_at is 'When it was written.';
