-- dead_letters: rejected events, each with its rejection reason.
-- Invariants: written in the transaction that moves the position past the event, so none is lost or
-- listed twice.
-- Locks: appended to last.
create table bindery.dead_letters (
  id bigint generated always as identity,
  stream text not null,
  event_id text,
  first_event_id text,
  count bigint not null default 1,
  book_id uuid,
  reason text not null,
  message text not null,
  payload jsonb not null,
  truncated boolean not null default false,
  at timestamptz not null,
  replayed_at timestamptz,
  constraint dead_letters_pkey primary key (id),
  constraint count_is_positive check (count >= 1)
);

create index dead_letters_stream on bindery.dead_letters (stream, id);
create index dead_letters_at on bindery.dead_letters (at);
-- For operators: the newest of a reason, and the counts by reason from the index alone.
create index dead_letters_reason on bindery.dead_letters (reason, id);

alter table bindery.dead_letters enable row level security;

comment on table bindery.dead_letters is
  'Events that could not take effect, each with its reason; nothing else was held up by them. See '
  'bindery.replay_dead_letters.';
comment on column bindery.dead_letters.id is 'Grows with time.';
comment on column bindery.dead_letters.stream is 'Where it came from.';
comment on column bindery.dead_letters.event_id is
  'Its id in the stream; of merged events the last.';
comment on column bindery.dead_letters.first_event_id is 'Of merged events the first.';
comment on column bindery.dead_letters.count is
  'How many events of the stream this row stands for.';
comment on column bindery.dead_letters.book_id is 'The book it names, where it names one.';
comment on column bindery.dead_letters.reason is
  'A code: bad_uuid, unknown_book, illegal_transition, …; of a replay the newest.';
comment on column bindery.dead_letters.message is 'The reason for people.';
comment on column bindery.dead_letters.payload is
  'The event as the relay read it, with its count; or, where it could not read it, the entry as '
  'it came.';
comment on column bindery.dead_letters.truncated is
  'Whether payload was cut because the event was too large to keep, or left out because there were '
  'too many (the setting dead_letters_total).';
comment on column bindery.dead_letters.at is 'When it was refused first.';
comment on column bindery.dead_letters.replayed_at is
  'When it was last replayed, and refused again; null: never.';
