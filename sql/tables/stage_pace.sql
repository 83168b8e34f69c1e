-- stage_pace: the median duration of each state of a pipeline and of the states after it, from the
-- newest visits.
-- Invariants: written by refresh_pace only; a row for every state but the final one, once any state
-- of the pipeline was visited.
-- Locks: written while refresh_pace holds its mutex; triggers read it without one.
create table bindery_internal.stage_pace (
  pipeline text not null,
  pipeline_version integer not null,
  stage text not null,
  median_seconds double precision,
  later_seconds double precision,
  samples integer not null,
  refreshed_at timestamptz not null,
  constraint stage_pace_pkey primary key (pipeline, pipeline_version, stage),
  constraint pace_belongs_to_a_pipeline foreign key (pipeline, pipeline_version)
    references bindery.pipelines (name, version) on delete cascade,
  constraint pace_is_not_negative check (median_seconds >= 0 and later_seconds >= 0),
  constraint samples_are_not_negative check (samples >= 0)
);

alter table bindery_internal.stage_pace enable row level security;

comment on table bindery_internal.stage_pace is
  'How long each state of a pipeline takes, by the median of its newest visits: the ground of '
  'estimated_completion_at.';
comment on column bindery_internal.stage_pace.pipeline is 'The pipeline.';
comment on column bindery_internal.stage_pace.pipeline_version is
  'Its version; each has a pace of its own.';
comment on column bindery_internal.stage_pace.stage is 'The state.';
comment on column bindery_internal.stage_pace.median_seconds is
  'The median of its visits; with fewer than 3, 0 for a state of no weight (no work is done there) '
  'and null for a stage.';
comment on column bindery_internal.stage_pace.later_seconds is
  'The sum of the medians of the states after it on the heaviest path to the end; null where one '
  'of them is null.';
comment on column bindery_internal.stage_pace.samples is
  'How many visits the median is of, up to 50.';
comment on column bindery_internal.stage_pace.refreshed_at is 'When this row was worked out.';
