-- open_windows: decides which changed books are broadcast at once, and which are held back.
-- Invariants: a change of status, attempt or owner is never held back. Any other change is held
-- back for as long as the book's window is open; the window's row stays until send_held_broadcasts
-- has sent the newest state. A window is as long as broadcast_every, and longer if so many books
-- change that there would be more messages than broadcasts_per_second. The first broadcast after a
-- held-back change has every substep that changed since the last broadcast.
-- A change is held back only before due_at, by a session that has locked the book, and a row is
-- removed only after due_at, by a session that has locked the book: no change falls in between,
-- whatever the isolation level.
-- Locks: the caller has locked the books.
create or replace function bindery_internal.window_length() returns interval
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select case when s.broadcast_every = interval '0' then interval '0'
      else greatest(s.broadcast_every, least(interval '1 minute', (
        -- Two topics a book.
        select count(*) * 2.0 / s.broadcasts_per_second * interval '1 second'
        from (select from bindery_internal.broadcast_windows limit 10000) w))) end
    from bindery.settings s where s.only_row);
end
$$;

create or replace function bindery_internal.open_windows(
  inout book_ids uuid[], inout substeps jsonb[]
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- Book by book through the primary keys, independent of the tables' statistics; planned once.
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
-- The cost of a plan with a disabled node is so high that Postgres would JIT-compile it.
set jit = off
as $$
declare
  every constant interval := bindery_internal.window_length();
  moment constant timestamptz := bindery_internal.now();
  -- For books with a held-back change, the revision that was sent last.
  since bigint[];
begin
  with due as materialized (
    select c.book_id, c.substeps, b.revision, b.status, b.attempt, b.owner_id,
      case when c.substeps is not null and b.revision > w.revision + 1 then w.revision end as since,
      w.book_id is not null as known,
      -- A window is for progress. A change of status opens none, so that the next report is
      -- broadcast at once.
      case when w.book_id is null
        then c.substeps is null and exists (
          select from bindery.book_events e
          where e.book_id = b.book_id and e.revision = b.revision)
        else (w.status, w.attempt, w.owner_id) is distinct from (b.status, b.attempt, b.owner_id)
      end as moved
    from unnest(open_windows.book_ids, open_windows.substeps) as c(book_id, substeps)
    join bindery.book_status b on b.book_id = c.book_id
    left join lateral (
      select v.* from bindery_internal.broadcast_windows v
      where v.book_id = c.book_id limit 1) w on true
    where w.book_id is null
      or (w.status, w.attempt, w.owner_id) is distinct from (b.status, b.attempt, b.owner_id)
      -- If the clock is set back, hold back no longer than one window.
      or moment >= w.due_at or moment < w.due_at - interval '1 minute'
  ), opened as (
    insert into bindery_internal.broadcast_windows as w
      (book_id, opened_at, due_at, revision, status, attempt, owner_id)
    select d.book_id, moment, moment + every, d.revision, d.status, d.attempt, d.owner_id
    from due d
    where d.known or (every > interval '0' and not d.moved)
    on conflict on constraint broadcast_windows_pkey do update
    set opened_at = case when (w.status, w.attempt, w.owner_id)
            is distinct from (excluded.status, excluded.attempt, excluded.owner_id)
          then w.opened_at else excluded.opened_at end,
        due_at = case when (w.status, w.attempt, w.owner_id)
            is distinct from (excluded.status, excluded.attempt, excluded.owner_id)
          then w.due_at else excluded.due_at end,
        revision = excluded.revision, status = excluded.status, attempt = excluded.attempt,
        owner_id = excluded.owner_id,
        held_back = w.held_back + greatest(excluded.revision - w.revision - 1, 0)
  )
  -- After a change of status, send the whole list.
  select array_agg(d.book_id),
    array_agg(case when d.moved and d.since is not null then null else d.substeps end),
    array_agg(case when not d.moved then d.since end)
  into book_ids, substeps, since from due d;
  substeps := bindery_internal.substeps_since(book_ids, substeps, since);
end
$$;

-- Adds the substeps of held-back changes. In a stage of many substeps, and in a batch with very
-- many such books, they are left out: finding the changes would cost more than the reports.
create or replace function bindery_internal.substeps_since(
  book_ids uuid[], substeps jsonb[], since bigint[]
) returns jsonb[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
set jit = off
as $$
declare
  held constant integer := cardinality(array_remove(since, null));
begin
  if coalesce(held, 0) = 0 then
    return substeps;
  end if;
  return (
    select array_agg(case when c.since is null then c.substeps
      when b.substeps_total > 200 or held > 500 then 'null'
      when l.changed is not null then jsonb_build_object(
        'since_revision', c.since, 'substeps', l.changed) end order by c.place)
    from unnest(book_ids, substeps_since.substeps, since) with ordinality
      as c(book_id, substeps, since, place)
    join bindery.book_status b on b.book_id = c.book_id
    cross join lateral (
      select bindery_internal.state_of(m.machine, b.current_stage) -> 'substeps' as declared
      from bindery.pipelines m
      where m.name = b.pipeline and m.version = b.pipeline_version offset 0) d
    cross join lateral (
      -- The whole list if no substep is unchanged: one may have been deleted (follow_progress).
      select case when count(*) > count(*) filter (where g.revision > c.since) then coalesce(
        jsonb_agg(bindery_internal.substep_json(g, d.declared)
          order by g.substep) filter (where g.revision > c.since), '[]') end as changed
      from bindery.book_progress g
      where g.book_id = b.book_id and g.stage = b.current_stage
        and c.since is not null and b.substeps_total <= 200 and held <= 500) l);
end
$$;

comment on function bindery_internal.window_length() is
  'How long a window is that is opened now: broadcast_every, or as much longer as '
  'broadcasts_per_second needs, up to 1 minute; 0: none is opened.';
comment on function bindery_internal.open_windows(uuid[], jsonb[]) is
  'Of these changed books and their changed substeps (null: the whole list) those that are to be '
  'broadcast now; notes in broadcast_windows what is sent. Null: all are held back.';
comment on function bindery_internal.substeps_since(uuid[], jsonb[], bigint[]) is
  'The changed substeps of these books: as given, or, where since is given, {since_revision, '
  'substeps}: those that changed after this revision; null: the whole list; JSON''s null: more '
  'than can be looked for.';
