-- early_events: events that a later change of their book can make applicable.
-- Invariants: written in the transaction that moves the stream's position past the event; deleted
-- in the transaction in which it takes effect, proves stale or becomes a dead letter. The events of
-- one book and stream keep their order (id). Locks: the book's row first (see settle_early), for an
-- unknown book its slot in registration_slots.
create table bindery.early_events (
  id bigint generated always as identity,
  stream text not null,
  event_id text,
  first_event_id text,
  count bigint not null default 1,
  book_id uuid not null,
  reason text not null,
  message text not null,
  payload jsonb not null,
  at timestamptz not null,
  constraint early_events_pkey primary key (id),
  constraint count_is_positive check (count >= 1)
);

create index early_events_book on bindery.early_events (book_id, id);
create index early_events_at on bindery.early_events (at);

alter table bindery.early_events enable row level security;

comment on table bindery.early_events is
  'Events that arrived before the change that makes them applicable; each waits for it.
After the setting patience an event becomes a dead letter with the reason it has here.';
comment on column bindery.early_events.id is 'Grows with the order of arrival.';
comment on column bindery.early_events.stream is 'The stream it came from.';
comment on column bindery.early_events.event_id is
  'Its id in the stream; of merged events the last.';
comment on column bindery.early_events.first_event_id is 'Of merged events the first.';
comment on column bindery.early_events.count is 'How many events of the stream it stands for.';
comment on column bindery.early_events.book_id is 'The book; it need not be registered yet.';
comment on column bindery.early_events.reason is
  'Why it waits: unknown_book, stage_not_reached, attempt_ahead, transition_ahead or '
  'queued_behind.';
comment on column bindery.early_events.message is 'The reason for people.';
comment on column bindery.early_events.payload is 'The event as the relay read it.';
comment on column bindery.early_events.at is 'When it arrived.';
