-- send_held_broadcasts: broadcasts the newest state of the books whose window is over, or that have
-- been quiet in a long one.
-- Without Realtime: announces the books in unannounced by NOTIFY.
-- Invariants: a window is removed if its book has nothing newer than what was sent; a failure keeps
-- the window, and it is due again after another period. If nothing is due, nothing is written.
-- Locks: the books, in order of book_id, skipping locked ones, which the next call finds; then
-- their windows.
create or replace function bindery_internal.send_held_broadcasts(
  overdue interval default '0', out realtime boolean, out sent bigint, out held_back bigint,
  out failed bigint, out problem text, out next_seconds double precision
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
as $$
declare
  every constant interval := (select s.broadcast_every from bindery.settings s);
  length constant interval := bindery_internal.window_length();
  moment constant timestamptz := bindery_internal.now();
  sending constant boolean := bindery_internal.has_realtime() and bindery_internal.broadcasts();
  due_ids uuid[];
  locked uuid[];
  due record;
begin
  realtime := bindery_internal.has_realtime();
  sent := 0;
  held_back := 0;
  failed := 0;
  if not realtime then
    next_seconds := case when bindery_internal.announce_left() > 0 then 0.03 else 0.1 end;
    return;
  end if;
  -- If a window is longer than broadcast_every and its book has been quiet for twice the usual
  -- period, broadcast before the window ends: that was the last change of the book for now.
  due_ids := array(
    select w.book_id from bindery_internal.broadcast_windows w
    where moment >= w.due_at + overdue or moment < w.due_at - interval '1 minute'
      or (w.due_at > w.opened_at + every and moment >= w.opened_at + every + overdue and exists (
        select from bindery.book_status b
        where b.book_id = w.book_id and b.revision > w.revision
          and moment >= b.updated_at + greatest(interval '300 milliseconds',
            2 * (b.updated_at - w.opened_at) / (b.revision - w.revision))))
    order by w.due_at limit 500);
  if due_ids <> '{}' then
    select array_agg(l.book_id) into locked from (
      select b.book_id
      from bindery.book_status b
      where b.book_id = any (due_ids)
      order by b.book_id
      for no key update skip locked) l;
    -- Statements from here on see the state that the locks protect.
    select array_agg(w.book_id order by w.book_id) as book_ids,
      -- A status could not be sent: send the whole list.
      array_agg(case when (w.status, w.attempt) is not distinct from (b.status, b.attempt)
        then w.revision end order by w.book_id) as since,
      sum(w.held_back + b.revision - w.revision) as held_back
    into due
    from bindery_internal.broadcast_windows w
    join bindery.book_status b on b.book_id = w.book_id
    where w.book_id = any (locked) and b.revision > w.revision and sending;
    if due.book_ids is not null then
      problem := bindery_internal.send_messages(due.book_ids,
        bindery_internal.substeps_since(
          due.book_ids, array_fill(null::jsonb, array[cardinality(due.book_ids)]), due.since),
        null);
    end if;
    with ended as (
      delete from bindery_internal.broadcast_windows w
      where w.book_id = any (locked) and (due.book_ids is null or w.book_id <> all (due.book_ids))
        and (moment >= w.due_at or moment < w.due_at - interval '1 minute')
      returning w.held_back
    ), followed as (
      update bindery_internal.broadcast_windows w
      set opened_at = moment, due_at = moment + length, revision = b.revision,
          status = b.status, attempt = b.attempt, owner_id = b.owner_id, held_back = 0
      from bindery.book_status b
      where problem is null and w.book_id = any (due.book_ids) and b.book_id = w.book_id
      returning 1
    ), waiting as (
      update bindery_internal.broadcast_windows w
      set opened_at = moment, due_at = moment + greatest(every, interval '1 second')
      where problem is not null and w.book_id = any (due.book_ids)
      returning 1
    )
    select (select count(*) from followed), (select count(*) from waiting),
      coalesce((select sum(e.held_back) from ended e), 0)
        + case when problem is null then coalesce(due.held_back, 0) else 0 end
    into sent, failed, held_back;
    -- Books that were removed without a trigger (TRUNCATE).
    delete from bindery_internal.broadcast_windows w
    where w.due_at < moment - interval '1 minute'
      and not exists (select from bindery.book_status b where b.book_id = w.book_id);
  end if;
  next_seconds := least(
    extract(epoch from greatest(every, interval '250 milliseconds')),
    (select extract(epoch from min(least(w.due_at, greatest(w.opened_at + every,
          bindery_internal.now() + interval '250 milliseconds'))) - bindery_internal.now())
      from bindery_internal.broadcast_windows w));
end
$$;

create or replace function bindery.send_held_broadcasts(
  out realtime boolean, out sent bigint, out held_back bigint, out failed bigint,
  out problem text, out next_seconds double precision
)
language sql
set search_path = pg_catalog, pg_temp
as $$
  select * from bindery_internal.send_held_broadcasts();
$$;

comment on function bindery_internal.send_held_broadcasts(interval) is
  'See bindery.send_held_broadcasts. overdue: only windows that ended so long ago.';
comment on function bindery.send_held_broadcasts() is
  'Broadcasts the newest state of the books whose changes were held back.
Where Realtime is not installed it announces by NOTIFY the changes that another session''s NOTIFY '
  'held back. binderyd calls it as soon as something is due, sweep for what is 2 s overdue. '
  'realtime: whether Supabase Realtime is installed; sent: books broadcast, up to 500 a call; '
  'held_back: changes that were held back since the last call; failed and problem: books that '
  'could not be broadcast, '
  'and why (they are tried again); next_seconds: when to call again.';
