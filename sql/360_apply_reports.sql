-- apply_reports: progress reports, one or ten thousand, in one set-based statement; the only writer of progress.
-- Invariants: gives each report's verdict (bindery_core.report_verdict, or unknown_book) and writes the accepted ones; within an
-- attempt the higher progress stays, with its own done and total. Locks: the books' rows in order of book_id, then progress rows.
create or replace function bindery_internal.apply_reports(reports jsonb)
returns table (ord bigint, verdict text)
language plpgsql security definer
set search_path = ''
-- Found by index and planned once, however small the tables were when that was.
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  moment constant timestamptz := bindery_internal.now();
begin
  -- In a statement of its own: the next one then sees what a writer we waited for has committed.
  perform from bindery.book_status b
  where b.book_id in (select r.book_id from jsonb_to_recordset(reports) as r(book_id uuid))
  order by b.book_id for no key update;

  return query
  -- Book by book and row by row through the primary keys: on tables that were never analyzed, joins would be planned otherwise.
  with placed as materialized (
    select r.*, b.status, b.current_stage, b.attempt as current_attempt, b.machine,
      coalesce(r.stage, b.current_stage) as at_stage, coalesce(r.substep, 'all') as at_substep
    from rows from (jsonb_to_recordset(reports) as (
        book_id uuid, stage text, substep text, progress double precision, done double precision, total double precision,
        unit text, message text, checkpoint jsonb, attempt integer)) with ordinality
      as r(book_id, stage, substep, progress, done, total, unit, message, checkpoint, attempt, ord)
    left join lateral (
      select s.status, s.current_stage, s.attempt, p.machine
      from bindery.book_status s join bindery.pipelines p on p.name = s.pipeline and p.version = s.pipeline_version
      where s.book_id = r.book_id limit 1) b on true
  ), judged as materialized (
    select q.*,
      case when q.status is null then 'unknown_book'
        -- A substep that has a row was planned, or accepted before.
        else bindery_core.report_verdict(q.machine, q.status, q.current_stage, q.current_attempt, q.stage, q.substep, q.attempt,
          g.there is not null,
          case when q.stage <> q.current_stage then bindery_internal.last_attempt(q.book_id, q.stage) end) end as verdict
    from placed q
    left join lateral (
      select true as there from bindery.book_progress g
      where g.book_id = q.book_id and g.stage = q.at_stage and g.substep = q.at_substep limit 1) g on true
  ), written as (
    insert into bindery.book_progress as g
      (book_id, stage, substep, progress, done, total, unit, message, checkpoint, attempt, started_at, updated_at)
    select j.book_id, j.at_stage, j.at_substep, j.progress, j.done, j.total, j.unit, j.message, j.checkpoint, j.current_attempt, moment, moment
    from judged j where j.verdict = 'accept'
    on conflict (book_id, stage, substep) do update set
      progress = greatest(g.progress, excluded.progress),
      done = case when excluded.progress >= g.progress then excluded.done else g.done end,
      total = case when excluded.progress >= g.progress then excluded.total else g.total end,
      unit = case when excluded.progress >= g.progress then excluded.unit else g.unit end,
      message = coalesce(excluded.message, g.message),
      checkpoint = coalesce(excluded.checkpoint, g.checkpoint),
      attempt = excluded.attempt,
      started_at = coalesce(g.started_at, excluded.started_at),
      updated_at = excluded.updated_at
  )
  select j.ord, j.verdict from judged j order by j.ord;
end
$$;

comment on function bindery_internal.apply_reports(jsonb) is
  'Applies [{book_id, stage?, substep?, progress, done?, total?, unit?, message?, checkpoint?, attempt?}, …], each key once; gives each one''s verdict.';
