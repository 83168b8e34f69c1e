-- stage_visits: how long the newest visits of books to each state took; what the medians in stage_pace are worked out from.
-- Invariants: written by refresh_pace only, the newest 50 of each state; a visit is counted once, by the event that ended it.
-- Locks: written under the advisory lock of refresh_pace; readers take none.
create table bindery_internal.stage_visits (
  pipeline text not null,
  pipeline_version integer not null,
  stage text not null,
  event_id bigint not null,
  seconds double precision not null,
  constraint stage_visits_pkey primary key (pipeline, pipeline_version, stage, event_id),
  constraint visit_follows_a_pipeline foreign key (pipeline, pipeline_version)
    references bindery.pipelines (name, version) on delete cascade,
  constraint visit_takes_no_negative_time check (seconds >= 0)
);

alter table bindery_internal.stage_visits enable row level security;

comment on table bindery_internal.stage_visits is
  'How long the newest visits to each state took, up to 50 a state; kept here so that no look back into the history is needed.';
comment on column bindery_internal.stage_visits.pipeline is 'The pipeline of the book that was there.';
comment on column bindery_internal.stage_visits.pipeline_version is 'The version of that pipeline.';
comment on column bindery_internal.stage_visits.stage is 'The state that was visited.';
comment on column bindery_internal.stage_visits.event_id is 'The event of book_events that ended the visit; no foreign key, a visit outlives pruned history.';
comment on column bindery_internal.stage_visits.seconds is 'From entering the state to leaving it forward, halts in between included.';
