-- stage_durations: the median and the 95th percentile of the duration of each state, from its
-- newest visits, for operators.
-- Invariants: read-only; reads stage_samples, which has at most 50 rows a state.
create or replace function bindery_internal.stage_durations()
returns table (pipeline text, pipeline_version integer, stage text,
  median_seconds double precision, p95_seconds double precision, samples integer)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select s.pipeline, s.pipeline_version, s.stage,
    percentile_cont(0.5) within group (order by s.seconds),
    percentile_cont(0.95) within group (order by s.seconds),
    count(*)::integer
  from bindery_internal.stage_samples s
  group by s.pipeline, s.pipeline_version, s.stage
  order by s.pipeline, s.pipeline_version, s.stage;
$$;

create or replace function bindery.stage_durations()
returns table (pipeline text, pipeline_version integer, stage text,
  median_seconds double precision, p95_seconds double precision, samples integer)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select d.* from bindery_internal.stage_durations() d
  order by d.pipeline, d.pipeline_version, d.stage;
$$;

comment on function bindery_internal.stage_durations() is 'See bindery.stage_durations.';
comment on function bindery.stage_durations() is
  'How long the newest visits to each state took, from entering it to leaving it forward.
The median and the 95th percentile in seconds, halts included, and of how many visits they are, '
  'up to 50. A state without a visit has no row. The sweep renews the visits once a minute.';
