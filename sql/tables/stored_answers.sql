-- stored_answers: the answers of report_events to batches with a key.
-- Invariants: a row is written in the transaction that applies its batch; it is kept for a day.
create table bindery_internal.stored_answers (
  caller text not null,
  key text not null,
  digest bytea not null,
  answer jsonb,
  at timestamptz not null,
  constraint stored_answers_pkey primary key (caller, key)
);

create index stored_answers_at on bindery_internal.stored_answers (at);

alter table bindery_internal.stored_answers enable row level security;

comment on table bindery_internal.stored_answers is
  'The answers of bindery.report_events to batches with an idempotency key, for a day.';
comment on column bindery_internal.stored_answers.caller is
  'A hash of the role and the claims that identify whose key it is.';
comment on column bindery_internal.stored_answers.key is 'The caller''s key.';
comment on column bindery_internal.stored_answers.digest is 'The hash of the batch.';
comment on column bindery_internal.stored_answers.answer is
  'The outcomes; null only within the transaction that applies the batch.';
comment on column bindery_internal.stored_answers.at is 'When the batch was applied.';
