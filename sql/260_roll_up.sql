-- roll_up: statement trigger on book_progress that turns its rows into the book's percent, substeps and revision.
-- Invariants: set-based, once a statement; a book whose visible values stay the same keeps its revision; every report is a heartbeat.
-- Locks: the books' rows in order of book_id (callers of ours hold them already).
create or replace function bindery_internal.roll_up() returns trigger
language plpgsql security definer
set search_path = ''
-- Found by index and planned once, however small the tables were when that was.
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  moment constant timestamptz := bindery_internal.now();
  anew constant boolean := tg_op = 'DELETE' or coalesce(current_setting('bindery.planning', true), '') = 'yes';
begin
  -- Fires for statements that touched no row, too.
  if not exists (select from changed) then
    return null;
  end if;
  -- In a statement of its own: the next one then sees what a writer we waited for has committed.
  perform from bindery.book_status b
  where b.book_id in (select c.book_id from changed c)
  order by b.book_id for no key update;

  with summed as materialized (
    select b.book_id, b.overall_progress, b.stage_progress, t.median_seconds, t.later_seconds,
      bindery_core.summarize(p.machine, b.status, b.current_stage, coalesce(g.substeps, '[]')) as summary
    from (select distinct c.book_id from changed c) c
    join bindery.book_status b on b.book_id = c.book_id and b.status = b.current_stage
    join bindery.pipelines p on p.name = b.pipeline and p.version = b.pipeline_version
    left join bindery_internal.stage_pace t
      on t.pipeline = b.pipeline and t.pipeline_version = b.pipeline_version and t.stage = b.current_stage
    -- Book by book: a sort of all rows would carry the machine along, and spill onto the disk.
    cross join lateral (
      select jsonb_agg(jsonb_build_object('substep', g.substep, 'weight', g.weight, 'progress', g.progress,
        'done', g.done, 'total', g.total, 'unit', g.unit, 'message', g.message)) as substeps
      from bindery.book_progress g where g.book_id = b.book_id and g.stage = b.current_stage) g
  ), valued as (
    -- A substep that nobody declared makes the stage longer when it is first heard of; the percentage waits then, it does not
    -- go back. Only a plan, a deletion, or entering a stage (guard_transition) works it out anew.
    select s.book_id,
      greatest((s.summary ->> 'overall')::double precision, case when not anew then s.overall_progress end) as overall,
      greatest((s.summary ->> 'stage_progress')::double precision, case when not anew then s.stage_progress end) as stage_progress,
      s.summary -> 'substeps' as substeps, s.median_seconds, s.later_seconds
    from summed s
  )
  update bindery.book_status b
  set overall_progress = v.overall,
      stage_progress = v.stage_progress,
      substeps = v.substeps,
      -- Each value is rounded by itself: a percent may move where no substep seems to.
      revision = b.revision + case when
        (v.overall, v.stage_progress, v.substeps) = (b.overall_progress, b.stage_progress, b.substeps) then 0 else 1 end,
      updated_at = case when
        (v.overall, v.stage_progress, v.substeps) = (b.overall_progress, b.stage_progress, b.substeps) then b.updated_at else moment end,
      -- It moves with what is seen, never by itself.
      estimated_completion_at = case when
        (v.overall, v.stage_progress, v.substeps) = (b.overall_progress, b.stage_progress, b.substeps) then b.estimated_completion_at
        else bindery_internal.estimate(moment, b.stage_started_at, v.stage_progress, b.attempt, v.median_seconds, v.later_seconds) end,
      heartbeat_at = moment
  from valued v
  where v.book_id = b.book_id;
  return null;
end
$$;

create or replace trigger roll_up_inserted after insert on bindery.book_progress
referencing new table as changed for each statement execute function bindery_internal.roll_up();

create or replace trigger roll_up_updated after update on bindery.book_progress
referencing new table as changed for each statement execute function bindery_internal.roll_up();

create or replace trigger roll_up_deleted after delete on bindery.book_progress
referencing old table as changed for each statement execute function bindery_internal.roll_up();

comment on function bindery_internal.roll_up() is
  'Turns changed progress rows into their books'' percentages, substeps, estimate and revision; once a statement.';
