-- pace_refresh: one row, how far refresh_pace has read the history and when.
-- Invariants: at most one row, made by the first refresh.
-- Locks: written under the advisory lock of refresh_pace.
create table bindery_internal.pace_refresh (
  only_row boolean not null default true,
  through_event bigint not null default 0,
  refreshed_at timestamptz,
  constraint pace_refresh_pkey primary key (only_row),
  constraint there_is_one_row check (only_row)
);

alter table bindery_internal.pace_refresh enable row level security;

comment on table bindery_internal.pace_refresh is 'One row: how far the history has been read for stage_visits, and when.';
comment on column bindery_internal.pace_refresh.only_row is 'Always true: there is one row.';
comment on column bindery_internal.pace_refresh.through_event is 'The newest event of book_events that was read.';
comment on column bindery_internal.pace_refresh.refreshed_at is 'When; null: never.';
