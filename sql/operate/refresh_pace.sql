-- refresh_pace: keeps stage_pace current with stage_visits, once a minute at most.
-- Invariants: reads only the visits that ended since the last time (and in the minute before), at
-- most 50,000 a call, by the index on left_at.
-- Locks: the mutex pace until the transaction ends; if another session has it, nothing is done.
create or replace function bindery_internal.pace_of(machine jsonb, medians jsonb)
returns table (stage text, median_seconds double precision, later_seconds double precision)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  n constant integer := jsonb_array_length(machine -> 'states');
  names text[] := '{}';
  weights double precision[] := '{}';
  paces double precision[] := '{}';
  -- The most weight that can lie between a state and the end, and the state after it on that path.
  heaviest double precision[] := array_fill(null::double precision,
    array[n - 1]) || 0::double precision;
  following integer[] := '{}';
  most double precision;
  settled boolean := false;
  here integer;
begin
  for i in 1 .. n loop
    names := names || (machine #>> array['states', (i - 1)::text, 'name']);
    weights := weights || (machine #>> array['states', (i - 1)::text, 'weight'])::double precision;
    paces := paces || coalesce((medians ->> names[i])::double precision, case when weights[i] = 0
      then 0 end);
  end loop;
  -- States may be in any order. Their forward edges have no cycle, so the loop ends.
  while not settled loop
    settled := true;
    for i in reverse n - 1 .. 1 loop
      select max(weights[t.target] + heaviest[t.target]) into most
      from jsonb_array_elements(machine #> array['states', (i - 1)::text, 'next']) as e(edge)
      cross join lateral (select array_position(names, e.edge ->> 'to')) as t(target);
      if most is distinct from heaviest[i] then
        heaviest[i] := most;
        settled := false;
      end if;
    end loop;
  end loop;
  for i in 1 .. n - 1 loop
    following := following || (
      select t.target
      from jsonb_array_elements(machine #> array['states', (i - 1)::text,
        'next']) with ordinality as e(edge, ord)
      cross join lateral (select array_position(names, e.edge ->> 'to')) as t(target)
      order by weights[t.target] + heaviest[t.target] desc, e.ord limit 1);
  end loop;
  for i in 1 .. n - 1 loop
    stage := names[i];
    median_seconds := paces[i];
    later_seconds := 0;
    here := following[i];
    while here < n loop
      later_seconds := later_seconds + paces[here];
      here := following[here];
    end loop;
    return next;
  end loop;
end
$$;

create or replace function bindery_internal.refresh_pace() returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  -- The newest visits of a state, from which its median is computed.
  newest constant integer := 50;
  -- A median of fewer visits is no basis for an estimate. Also in bindery_internal.stage_medians.
  fewest constant integer := 3;
  moment constant timestamptz := bindery_internal.now();
  reading bindery_internal.pace_refresh;
  through timestamptz;
  moved record;
begin
  select r.* into reading from bindery_internal.pace_refresh r;
  if moment >= reading.refreshed_at and moment < reading.refreshed_at + interval '1 minute' then
    return false;
  elsif not bindery_internal.take_mutex('pace', 100) then
    return false;
  end if;
  insert into bindery_internal.pace_refresh default values on conflict (only_row) do nothing;

  select max(n.left_at) into through from (
    select v.left_at from bindery.stage_visits v
    where v.seconds is not null
      and (reading.read_until is null or v.left_at > reading.read_until - interval '1 minute')
    order by v.left_at limit 50000) n;
  for moved in
    with ended as materialized (
      select b.pipeline, b.pipeline_version, v.stage, v.book_id, v.left_at, v.seconds,
        row_number() over (partition by b.pipeline, b.pipeline_version, v.stage
          order by v.left_at desc) as place
      from bindery.stage_visits v join bindery.book_status b on b.book_id = v.book_id
      -- A restore of data can bring books without their pipeline.
      join bindery.pipelines d on d.name = b.pipeline and d.version = b.pipeline_version
      where v.seconds is not null and v.left_at <= through
        -- Transactions commit out of order; a visit that is read again changes nothing.
        and (reading.read_until is null or v.left_at > reading.read_until - interval '1 minute')
    ), added as (
      insert into bindery_internal.stage_samples as t
        (pipeline, pipeline_version, stage, book_id, left_at, seconds)
      select e.pipeline, e.pipeline_version, e.stage, e.book_id, e.left_at, e.seconds
      from ended e where e.place <= newest
      on conflict on constraint stage_samples_pkey do update
      set left_at = excluded.left_at, seconds = excluded.seconds
      where t.left_at < excluded.left_at
      returning t.pipeline, t.pipeline_version
    )
    select a.pipeline, a.pipeline_version, p.machine
    from (select distinct d.pipeline, d.pipeline_version from added d) a
    join bindery.pipelines p on p.name = a.pipeline and p.version = a.pipeline_version
    order by a.pipeline, a.pipeline_version
  loop
    delete from bindery_internal.stage_samples v
    using (
      select o.stage, o.book_id,
        row_number() over (partition by o.stage order by o.left_at desc, o.book_id) as place
      from bindery_internal.stage_samples o
      where o.pipeline = moved.pipeline and o.pipeline_version = moved.pipeline_version) as old
    where v.pipeline = moved.pipeline and v.pipeline_version = moved.pipeline_version
      and v.stage = old.stage and v.book_id = old.book_id and old.place > newest;

    insert into bindery_internal.stage_pace as p
      (pipeline, pipeline_version, stage, median_seconds, later_seconds, samples, refreshed_at)
    with seen as (
      select v.stage, percentile_cont(0.5) within group (order by v.seconds) as median,
        count(*)::integer as samples
      from bindery_internal.stage_samples v
      where v.pipeline = moved.pipeline and v.pipeline_version = moved.pipeline_version
      group by v.stage)
    select moved.pipeline, moved.pipeline_version, o.stage, o.median_seconds, o.later_seconds,
      coalesce(s.samples, 0), moment
    from bindery_internal.pace_of(
      moved.machine,
      (select jsonb_object_agg(m.stage, m.median) from seen m where m.samples >= fewest)) o
    left join seen s on s.stage = o.stage
    on conflict (pipeline, pipeline_version, stage) do update
    set median_seconds = excluded.median_seconds, later_seconds = excluded.later_seconds,
        samples = excluded.samples, refreshed_at = excluded.refreshed_at;
  end loop;

  update bindery_internal.pace_refresh r
  set read_until = greatest(through, r.read_until), refreshed_at = moment
  where r.only_row;
  return true;
end
$$;

comment on function bindery_internal.pace_of(jsonb, jsonb) is
  'For every state of a machine but the final one: its median, and the sum of those after it on '
  'the heaviest path; from {state: seconds}.
Of paths of the same weight the one listed first. A state of no weight without a median takes no '
  'time; a stage without one makes null.';
comment on function bindery_internal.refresh_pace() is
  'Reads the visits that ended since the last time, and works out the medians of their pipelines '
  'anew: true.
False where that was done within a minute, or is being done by another. Books take the new pace '
  'up at their next change.';
