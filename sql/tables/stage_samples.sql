-- stage_samples: how long the newest visits of books to each state took; the medians in stage_pace
-- are computed from them.
-- Invariants: written by refresh_pace only; the newest 50 of each state, one a book.
-- Locks: written while refresh_pace holds its mutex.
create table bindery_internal.stage_samples (
  pipeline text not null,
  pipeline_version integer not null,
  stage text not null,
  book_id uuid not null,
  left_at timestamptz not null,
  seconds double precision not null,
  constraint stage_samples_pkey primary key (pipeline, pipeline_version, stage, book_id),
  constraint sample_follows_a_pipeline foreign key (pipeline, pipeline_version)
    references bindery.pipelines (name, version) on delete cascade,
  constraint seconds_are_not_negative check (seconds >= 0)
);

alter table bindery_internal.stage_samples enable row level security;

comment on table bindery_internal.stage_samples is
  'How long the newest visits to each state took, up to 50 a state.';
comment on column bindery_internal.stage_samples.pipeline is 'The pipeline of the book.';
comment on column bindery_internal.stage_samples.pipeline_version is
  'The version of that pipeline.';
comment on column bindery_internal.stage_samples.stage is 'The state that was visited.';
comment on column bindery_internal.stage_samples.book_id is
  'The book; no foreign key, a sample outlives its book.';
comment on column bindery_internal.stage_samples.left_at is 'When the visit ended.';
comment on column bindery_internal.stage_samples.seconds is
  'From entering the state to leaving it forward, halts included.';
