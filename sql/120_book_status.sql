-- book_status: one row a book, what a reader sees.
-- Invariants: status only moves as the book's machine allows (trigger guard_transition); overall_progress, stage_progress and
-- substeps are worked out from book_progress (trigger roll_up), never set by hand; revision grows with every visible change.
-- Locks: a writer takes the row FOR NO KEY UPDATE before it touches book_progress; several rows in order of book_id.
create table bindery.book_status (
  book_id uuid not null,
  owner_id uuid,
  title text,
  pipeline text not null default 'comic',
  pipeline_version integer not null,
  status text not null,
  current_stage text not null,
  overall_progress double precision not null default 0,
  stage_progress double precision not null default 0,
  substeps jsonb not null default '[]',
  message text,
  error jsonb,
  attempt integer not null default 1,
  revision bigint not null default 1,
  heartbeat_at timestamptz not null,
  stage_started_at timestamptz not null,
  resume_at timestamptz,
  estimated_completion_at timestamptz,
  metadata jsonb not null default '{}',
  created_at timestamptz not null,
  updated_at timestamptz not null,
  completed_at timestamptz,
  constraint book_status_pkey primary key (book_id),
  constraint book_follows_a_pipeline foreign key (pipeline, pipeline_version) references bindery.pipelines (name, version),
  constraint overall_progress_is_percent check (overall_progress between 0 and 100),
  constraint stage_progress_is_percent check (stage_progress between 0 and 100),
  constraint attempt_counts_from_one check (attempt >= 1),
  constraint title_is_short check (length(title) <= 1024),
  constraint message_is_short check (length(message) <= 8192),
  constraint title_is_plain_text check (title !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]'),
  constraint message_is_plain_text check (message !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]'),
  constraint error_is_an_object check (jsonb_typeof(error) = 'object'),
  constraint error_while_failed_only check ((error is not null) = (status = 'FAILED')),
  constraint metadata_is_an_object check (jsonb_typeof(metadata) = 'object'),
  constraint error_is_small check (pg_column_size(error) <= 1048576),
  constraint metadata_is_small check (pg_column_size(metadata) <= 1048576)
-- Room on each page, so that progress updates stay heap-only.
) with (fillfactor = 70);

create index book_status_owner on bindery.book_status (owner_id, created_at desc);
create index book_status_pipeline on bindery.book_status (pipeline, pipeline_version);
create index book_status_created on bindery.book_status (created_at desc);
-- For sweep: the books at work, and those to be resumed. Neither holds what a report changes, so reports stay heap-only.
create index book_status_at_work on bindery.book_status (book_id) where completed_at is null and status not in ('FAILED', 'CANCELLED');
-- For lists with failed books first. By error and not by status, which every transition changes: this one is touched by failures only.
create index book_status_failed on bindery.book_status (created_at desc) where error is not null;
create index book_status_to_resume on bindery.book_status (resume_at) where resume_at is not null;

alter table bindery.book_status enable row level security;

comment on table bindery.book_status is
  'One row a book: where it stands.
Read it, filter it, subscribe to it. Change it with the functions of this schema; a plain UPDATE of status passes the same rules.';
comment on column bindery.book_status.book_id is 'The book''s own id, given by whoever registers it.';
comment on column bindery.book_status.owner_id is 'The user who may read it (the sub of the token); null: nobody but the service.';
comment on column bindery.book_status.title is 'A name for people, up to 1,024 characters.';
comment on column bindery.book_status.pipeline is 'The pipeline it follows.';
comment on column bindery.book_status.pipeline_version is 'The version it began with, and keeps.';
comment on column bindery.book_status.status is 'A state of its pipeline, or FAILED or CANCELLED.';
comment on column bindery.book_status.current_stage is 'The state it is in; once FAILED, CANCELLED or completed, the last one it was in.';
comment on column bindery.book_status.overall_progress is 'Percent of the whole pipeline, 0 to 100, two decimals; 100 only when completed.';
comment on column bindery.book_status.stage_progress is 'Percent of the current stage, 0 to 100, two decimals.';
comment on column bindery.book_status.substeps is
  'The current stage''s substeps: [{name, label, weight, state: done|active|pending, progress, done?, total?, unit?, message?}].';
comment on column bindery.book_status.message is 'What the last change of status said, up to 8,192 characters.';
comment on column bindery.book_status.error is 'Why it FAILED: an object with at least code; null otherwise.';
comment on column bindery.book_status.attempt is 'Which try at the current stage this is: 1, and one more at each resume and each time the book comes back to the stage.';
comment on column bindery.book_status.revision is 'Grows by one with every visible change; drop what is older than what you have.';
comment on column bindery.book_status.heartbeat_at is 'When a service was last heard of about this book.';
comment on column bindery.book_status.stage_started_at is 'When the current attempt at the current stage began.';
comment on column bindery.book_status.resume_at is 'When sweep is to resume a FAILED book; null: it waits for a person.';
comment on column bindery.book_status.estimated_completion_at is 'When it is expected to be complete; null while there is no ground for an estimate.';
comment on column bindery.book_status.metadata is 'The registrar''s own JSON object; Bindery does not read it.';
comment on column bindery.book_status.created_at is 'When it was registered.';
comment on column bindery.book_status.updated_at is 'When revision last grew.';
comment on column bindery.book_status.completed_at is 'When it reached its final state.';
