-- queued_among: which of these books have not begun, or wait for a worker: the phase "queued" of
-- lists, worked out for many books at once.
-- Invariants: the condition is that of bindery_internal.is_queued. Callers give the ids that
-- row-level security lets them read.
create or replace function bindery_internal.is_queued(
  book bindery.book_status, machine jsonb, health text
) returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(health = 'waiting', false)
    or book.overall_progress = 0 and book.status = machine #>> '{states,0,name}';
$$;

create or replace function bindery_internal.queued_among(book_ids uuid[]) returns setof uuid
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  moment constant timestamptz := bindery_internal.now();
begin
  return query
  with known as materialized (
    select b.book_id, b.pipeline, b.pipeline_version, b.current_stage, b.overall_progress,
      moment - b.heartbeat_at as silence, exists (
        select from bindery_internal.waiting_books w where w.book_id = b.book_id) as has_job
    from unnest(queued_among.book_ids) as u(book_id)
    join bindery.book_status b on b.book_id = u.book_id
    where b.status = b.current_stage and b.completed_at is null
  ), places as materialized (
    -- There are few pipelines: each machine is read once, not once a book.
    select p.pipeline, p.pipeline_version, p.current_stage,
      p.current_stage = m.machine #>> '{states,0,name}' as is_first,
      bindery_internal.brief_silence((bindery_internal.state_of(m.machine, p.current_stage)
        ->> 'stall_after')::double precision) as brief
    from (select distinct k.pipeline, k.pipeline_version, k.current_stage from known k) p
    cross join lateral (
      select bindery_internal.machine(p.pipeline, p.pipeline_version) as machine offset 0) m
    where m.machine is not null
  )
  select k.book_id from known k join places p using (pipeline, pipeline_version, current_stage)
  where (k.overall_progress = 0 and p.is_first) or (k.has_job and k.silence > p.brief);
end
$$;

comment on function bindery_internal.is_queued(bindery.book_status, jsonb, text) is
  'Whether a book has not begun (it has no progress and is in the first state of its pipeline), or '
  'its health is waiting.';
comment on function bindery_internal.queued_among(uuid[]) is
  'The books among these that are queued, as bindery_internal.is_queued has it.';
