-- heartbeat: renews the heartbeat of one book or many; one statement, no new revision. A call
-- returns the book's row, in which a worker sees that its heartbeat had no effect.
-- Invariant: a halted book or an earlier attempt is stale.
-- Locks: the books' rows in order of book_id.
create or replace function bindery_internal.do_heartbeats(heartbeats jsonb)
returns table (ord bigint, verdict text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  moment constant timestamptz := bindery_internal.now();
begin
  perform from bindery.book_status b
  where b.book_id = any (array(
    select h.book_id from jsonb_to_recordset(heartbeats) as h(book_id uuid)))
  order by b.book_id for no key update;

  return query
  with judged as materialized (
    select h.ord, h.book_id,
      case
        when b.status is null then 'unknown_book'
        when b.status = b.current_stage and (h.stage is null or h.stage = b.current_stage)
          and (h.attempt is null or h.attempt = b.attempt) then 'accept'
        else bindery_internal.whole_book_verdict(h.book_id, h.stage, h.attempt)
      end as verdict
    from rows from (
        jsonb_to_recordset(heartbeats) as (book_id uuid, stage text, attempt integer))
      with ordinality as h(book_id, stage, attempt, ord)
    left join lateral (
      select s.status, s.current_stage, s.attempt
      from bindery.book_status s where s.book_id = h.book_id limit 1) b on true
  ), beaten as (
    update bindery.book_status b set heartbeat_at = moment
    where b.book_id = any (array(select j.book_id from judged j where j.verdict = 'accept'))
  )
  select j.ord, j.verdict from judged j order by j.ord;
end
$$;

-- The verdict on an event about a book as a whole, which never moves the book to another stage.
create or replace function bindery_internal.whole_book_verdict(
  book_id uuid, stage text, attempt integer
) returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  select b.* into book from bindery.book_status b
  where b.book_id = whole_book_verdict.book_id;
  if not found then
    return 'unknown_book';
  end if;
  return replace(bindery_core.report_verdict(
    bindery_internal.book_machine(book), book.status,
    book.current_stage, book.attempt, whole_book_verdict.stage, 'all', whole_book_verdict.attempt,
    true,
    case when whole_book_verdict.stage <> book.current_stage then (
      select v.attempt from bindery.stage_visits v
      where v.book_id = book.book_id and v.stage = whole_book_verdict.stage) end),
    'advance', 'stage_not_reached');
end
$$;

create or replace function bindery.heartbeat(
  book_id uuid, attempt integer default null, stage text default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  stage constant text := coalesce(heartbeat.stage, bindery_internal.claimed_stage());
begin
  perform bindery_internal.raise_error(coalesce(
    case when heartbeat.attempt < 1 then bindery_internal.refused_attempt() end,
    bindery_internal.refused_text('stage', stage, 63),
    bindery_internal.refused_worker('heartbeat', heartbeat.book_id, stage)));
  perform bindery_internal.raise_error(bindery_internal.refused_report(
    h.verdict, heartbeat.book_id, stage, null, heartbeat.attempt))
  from bindery_internal.do_heartbeats(jsonb_build_array(jsonb_build_object(
    'book_id', heartbeat.book_id, 'stage', stage, 'attempt', heartbeat.attempt))) h;
  if bindery_internal.is_worker() then
    return query select w.* from bindery_internal.worker_book(heartbeat.book_id) w;
    return;
  end if;
  return query select b.* from bindery.book_status b where b.book_id = heartbeat.book_id;
end
$$;

comment on function bindery_internal.do_heartbeats(jsonb) is
  'Applies [{book_id, stage?, attempt?}, …] as heartbeats; gives each one''s verdict.';
comment on function bindery_internal.whole_book_verdict(uuid, text, integer) is
  'The verdict on an event about a book as a whole from this stage and attempt (null: the current '
  'ones): unknown_book, or one of bindery_core.report_verdict but advance.';
comment on function bindery.heartbeat(uuid, integer, text) is
  'Records that a book''s service is alive; gives the book''s row.
A worker gives its attempt and stage: from an earlier attempt, or a stage that the book has left, '
  'the call has no effect, as the row shows. PT404 unknown_book or unknown_stage, PT409 '
  'attempt_ahead or stage_not_reached, PT422 bad_input.';
