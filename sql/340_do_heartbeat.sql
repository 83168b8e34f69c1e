-- do_heartbeats: "still alive" for many books at once; one statement, no new revision.
-- Invariants: gives each heartbeat's verdict; a halted book or an earlier attempt is stale.
-- Locks: the books' rows in order of book_id.
create or replace function bindery_internal.do_heartbeats(heartbeats jsonb)
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
  perform from bindery.book_status b
  where b.book_id in (select h.book_id from jsonb_to_recordset(heartbeats) as h(book_id uuid))
  order by b.book_id for no key update;

  return query
  with judged as materialized (
    select h.ord, h.book_id,
      case when b.status is null then 'unknown_book'
        else replace(bindery_core.report_verdict(b.machine, b.status, b.current_stage, b.attempt, h.stage, 'all', h.attempt, true,
            case when h.stage <> b.current_stage then bindery_internal.last_attempt(h.book_id, h.stage) end),
          -- A sign of life from a stage moves no book there.
          'advance', 'stage_not_reached') end as verdict
    from rows from (jsonb_to_recordset(heartbeats) as (book_id uuid, stage text, attempt integer)) with ordinality
      as h(book_id, stage, attempt, ord)
    left join lateral (
      select s.status, s.current_stage, s.attempt, p.machine
      from bindery.book_status s join bindery.pipelines p on p.name = s.pipeline and p.version = s.pipeline_version
      where s.book_id = h.book_id limit 1) b on true
  ), beaten as (
    update bindery.book_status b set heartbeat_at = moment
    where b.book_id in (select j.book_id from judged j where j.verdict = 'accept')
  )
  select j.ord, j.verdict from judged j order by j.ord;
end
$$;

comment on function bindery_internal.do_heartbeats(jsonb) is
  'Takes [{book_id, stage?, attempt?}, …] as signs of life; gives each one''s verdict.';
