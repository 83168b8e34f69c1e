-- book_status: one row a book; the row that readers see.
-- Invariants: status changes only as the book's pipeline allows (trigger guard_transition). The
-- percentages and the substeps_ columns are derived from the current stage's rows in book_progress;
-- a plain UPDATE cannot set them. revision grows by one with every visible change.
-- Locks: a writer takes this row FOR NO KEY UPDATE before it touches book_progress; several rows
-- are locked in order of book_id.
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
  substeps_total integer not null default 0,
  substeps_done integer not null default 0,
  substeps_weight numeric not null default 0,
  substeps_points numeric not null default 0,
  stage_base double precision not null default 0,
  stage_share double precision not null default 0,
  message text,
  error jsonb,
  attempt integer not null default 1,
  revision bigint not null default 1,
  heartbeat_at timestamptz not null,
  stage_entered_at timestamptz not null,
  stage_started_at timestamptz not null,
  resume_at timestamptz,
  estimated_completion_at timestamptz,
  metadata jsonb not null default '{}',
  created_at timestamptz not null,
  updated_at timestamptz not null,
  completed_at timestamptz,
  constraint book_status_pkey primary key (book_id),
  constraint book_follows_a_pipeline
    foreign key (pipeline, pipeline_version) references bindery.pipelines (name, version),
  -- Short, because every statement parses it. refuse_texts checks texts, guard_columns columns.
  constraint numbers_are_in_range check (
    overall_progress between 0 and 100 and stage_progress between 0 and 100
    and substeps_total <= 10000),
  constraint error_while_failed_only check ((error is not null) = (status = 'FAILED'))
-- Room on each page, so that a report's new row version stays on the page and needs no index entry.
) with (fillfactor = 50);

create index book_status_owner on bindery.book_status (owner_id, created_at desc);
create index book_status_pipeline on bindery.book_status (pipeline, pipeline_version);
create index book_status_created on bindery.book_status (created_at desc);
-- For sweep. No index, its condition included, has a column that a report or a transition from one
-- stage to the next changes: such an update needs no new index entry.
create index book_status_at_work on bindery.book_status (book_id)
  where completed_at is null and error is null;
-- For lists with failed books first: on error, which only a failure and its resume change.
create index book_status_failed on bindery.book_status (created_at desc) where error is not null;
create index book_status_to_resume on bindery.book_status (resume_at) where resume_at is not null;

alter table bindery.book_status enable row level security;

comment on table bindery.book_status is
  'One row a book: where it stands.
Read, filter and subscribe to it. Change it with the functions of this schema; a plain UPDATE of '
  'status passes the same rules. The substeps are in book_progress.';
comment on column bindery.book_status.book_id is 'The id that the registering service chose.';
comment on column bindery.book_status.owner_id is
  'The user who may read it (the sub of the token); null: only the service.';
comment on column bindery.book_status.title is 'A title for people, up to 1,024 characters.';
comment on column bindery.book_status.pipeline is 'The pipeline it follows.';
comment on column bindery.book_status.pipeline_version is 'The version it began with and keeps.';
comment on column bindery.book_status.status is 'A state of its pipeline, or FAILED or CANCELLED.';
comment on column bindery.book_status.current_stage is
  'The state it is in; once FAILED, CANCELLED or completed, the last one it was in.';
comment on column bindery.book_status.overall_progress is
  'Percent of the whole pipeline, 0 to 100, two decimals; 100 only when completed.';
comment on column bindery.book_status.stage_progress is
  'Percent of the current stage, 0 to 100, two decimals; 100 only when all substeps are done.';
comment on column bindery.book_status.substeps_total is
  'How many substeps the current stage has, 0 to 10,000.';
comment on column bindery.book_status.substeps_done is 'How many of them are at 100 percent.';
comment on column bindery.book_status.substeps_weight is
  'Internal: the sum of their weights, in units of 1e-9; exact.';
comment on column bindery.book_status.substeps_points is
  'Internal: the sum of book_progress.points of the current stage; exact.';
comment on column bindery.book_status.stage_base is
  'Internal: the percent of the whole at which the current stage begins.';
comment on column bindery.book_status.stage_share is
  'Internal: the percent of the whole that the current stage makes up.';
comment on column bindery.book_status.message is
  'The message of the last change of status, up to 8,192 characters.';
comment on column bindery.book_status.error is
  'Why it FAILED: an object with at least code; null otherwise.';
comment on column bindery.book_status.attempt is
  'Which attempt at the current stage this is: 1, and one more at each resume or re-entry.';
comment on column bindery.book_status.revision is
  'Grows by one with every visible change; drop what is older than what you have.';
comment on column bindery.book_status.heartbeat_at is
  'When the last accepted event or call of a service about this book took effect.';
comment on column bindery.book_status.stage_entered_at is
  'When the book came to the current stage; resumes do not change it.';
comment on column bindery.book_status.stage_started_at is
  'When the current attempt at the current stage began.';
comment on column bindery.book_status.resume_at is
  'When sweep resumes a FAILED book; null: an operator has to.';
comment on column bindery.book_status.estimated_completion_at is
  'When it is expected to be complete; null without a basis for an estimate.';
comment on column bindery.book_status.metadata is
  'The registering service''s own JSON object; Bindery does not read it.';
comment on column bindery.book_status.created_at is 'When it was registered.';
comment on column bindery.book_status.updated_at is 'When revision last grew.';
comment on column bindery.book_status.completed_at is 'When it reached its final state.';
