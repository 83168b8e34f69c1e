-- refresh_pace: keeps stage_pace up with the history, once a minute at most.
-- Invariants: reads only events newer than the last time (and 1,000 before those: transactions commit out of order), never more
-- than 50,000, by the primary key. Locks: an advisory lock until the transaction ends; who finds it taken leaves.
create or replace function bindery_internal.pace_of(machine jsonb, medians jsonb)
returns table (stage text, median_seconds double precision, later_seconds double precision)
language plpgsql immutable parallel safe
set search_path = ''
as $$
#variable_conflict use_column
declare
  n constant integer := jsonb_array_length(machine -> 'states');
  names text[] := '{}';
  weights double precision[] := '{}';
  paces double precision[] := '{}';
  -- The most weight that can lie between a state and the end, and the state after it on that path.
  heaviest double precision[] := array_fill(null::double precision, array[n - 1]) || 0::double precision;
  following integer[] := '{}';
  most double precision;
  settled boolean := false;
  here integer;
begin
  for i in 1 .. n loop
    names := names || (machine #>> array['states', (i - 1)::text, 'name']);
    weights := weights || (machine #>> array['states', (i - 1)::text, 'weight'])::double precision;
    paces := paces || coalesce((medians ->> names[i])::double precision, case when weights[i] = 0 then 0 end);
  end loop;
  -- States may stand in any order. Their forward edges have no cycle, so this comes to rest.
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
      from jsonb_array_elements(machine #> array['states', (i - 1)::text, 'next']) with ordinality as e(edge, ord)
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
set search_path = ''
as $$
declare
  -- The newest visits of a state that its median is of.
  newest constant integer := 50;
  moment constant timestamptz := bindery_internal.now();
  reading bindery_internal.pace_refresh;
  through bigint;
  moved record;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('bindery.stage_pace', 0)) then
    return false;
  end if;
  insert into bindery_internal.pace_refresh default values on conflict (only_row) do nothing;
  select r.* into reading from bindery_internal.pace_refresh r;
  if moment >= reading.refreshed_at and moment < reading.refreshed_at + interval '1 minute' then
    return false;
  end if;
  select max(e.id) into through from bindery.book_events e;

  for moved in
    with left_behind as materialized (
      select e.id, e.book_id, e.revision, e.from_status, e.to_status, e.at, b.pipeline, b.pipeline_version
      from bindery.book_events e join bindery.book_status b on b.book_id = e.book_id
      where e.id > greatest(reading.through_event - 1000, through - 50000) and e.id <= through
        and e.kind in ('transition', 'complete')
    ), edges as materialized (
      select p.name, p.version, s.state ->> 'name' as from_status, n.edge ->> 'to' as to_status
      from bindery.pipelines p, jsonb_array_elements(p.machine -> 'states') as s(state), jsonb_array_elements(s.state -> 'next') as n(edge)
      where exists (select from left_behind l where l.pipeline = p.name and l.pipeline_version = p.version)
    ), ranked as (
      select l.*, row_number() over (partition by l.pipeline, l.pipeline_version, l.from_status order by l.id desc) as place
      from left_behind l join edges e
        on (e.name, e.version, e.from_status, e.to_status) = (l.pipeline, l.pipeline_version, l.from_status, l.to_status)
    ), added as (
      insert into bindery_internal.stage_visits (pipeline, pipeline_version, stage, event_id, seconds)
      select r.pipeline, r.pipeline_version, r.from_status, r.id, greatest(extract(epoch from r.at - entered.at)::double precision, 0)
      from ranked r
      cross join lateral (
        select e.at from bindery.book_events e
        where e.book_id = r.book_id and e.revision < r.revision and e.to_status = r.from_status and e.kind <> 'resume'
        order by e.revision desc limit 1) as entered
      where r.place <= newest
      on conflict do nothing
      returning stage_visits.pipeline, stage_visits.pipeline_version
    )
    select a.pipeline, a.pipeline_version, p.machine
    from (select distinct d.pipeline, d.pipeline_version from added d) a
    join bindery.pipelines p on p.name = a.pipeline and p.version = a.pipeline_version
    order by a.pipeline, a.pipeline_version
  loop
    delete from bindery_internal.stage_visits v
    using (
      select o.stage, o.event_id, row_number() over (partition by o.stage order by o.event_id desc) as place
      from bindery_internal.stage_visits o
      where o.pipeline = moved.pipeline and o.pipeline_version = moved.pipeline_version) as old
    where v.pipeline = moved.pipeline and v.pipeline_version = moved.pipeline_version
      and v.stage = old.stage and v.event_id = old.event_id and old.place > newest;

    insert into bindery_internal.stage_pace as p
      (pipeline, pipeline_version, stage, median_seconds, later_seconds, samples, refreshed_at)
    with seen as (
      select v.stage, percentile_cont(0.5) within group (order by v.seconds) as median, count(*)::integer as samples
      from bindery_internal.stage_visits v
      where v.pipeline = moved.pipeline and v.pipeline_version = moved.pipeline_version
      group by v.stage)
    select moved.pipeline, moved.pipeline_version, o.stage, o.median_seconds, o.later_seconds, coalesce(s.samples, 0), moment
    from bindery_internal.pace_of(moved.machine, (select jsonb_object_agg(m.stage, m.median) from seen m)) o
    left join seen s on s.stage = o.stage
    on conflict (pipeline, pipeline_version, stage) do update
    set median_seconds = excluded.median_seconds, later_seconds = excluded.later_seconds, samples = excluded.samples,
        refreshed_at = excluded.refreshed_at;
  end loop;

  update bindery_internal.pace_refresh r
  set through_event = coalesce(greatest(through, reading.through_event), 0), refreshed_at = moment;
  return true;
end
$$;

comment on function bindery_internal.pace_of(jsonb, jsonb) is
  'For every state of a machine but the final one: its median, and the sum of those after it on the heaviest path; from {state: seconds}.
Of paths of the same weight the one listed first. A state of no weight without a median takes no time; a stage without one makes null.';
comment on function bindery_internal.refresh_pace() is
  'Reads the visits that ended since the last time, and works out the medians of their pipelines anew: true.
False where that was done within a minute, or is being done by another. Books take the new pace up at their next change.';
