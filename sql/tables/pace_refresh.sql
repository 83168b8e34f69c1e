-- pace_refresh: one row: the time up to which refresh_pace has read stage_visits, and when it ran.
-- Invariant: at most one row, inserted by the first refresh.
-- Locks: written while refresh_pace holds its mutex.
create table bindery_internal.pace_refresh (
  only_row boolean not null default true,
  read_until timestamptz,
  refreshed_at timestamptz,
  constraint pace_refresh_pkey primary key (only_row),
  constraint there_is_one_row check (only_row)
);

alter table bindery_internal.pace_refresh enable row level security;

comment on table bindery_internal.pace_refresh is
  'One row: up to when stage_visits has been read for stage_samples, and when.';
comment on column bindery_internal.pace_refresh.only_row is 'Always true: there is one row.';
comment on column bindery_internal.pace_refresh.read_until is
  'The latest left_at that was read; null: none.';
comment on column bindery_internal.pace_refresh.refreshed_at is 'When it ran; null: never.';
