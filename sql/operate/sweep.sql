-- sweep: a book without a heartbeat for too long is FAILED, a FAILED book that is due is resumed,
-- an early event that waited too long becomes a dead letter.
-- Invariants: one sweep at a time; time without a heartbeat counts only up to the moment to which
-- every relay is known to have applied what was sent; a book whose job waits in a BullMQ queue is
-- not silent; the history has each act with the actor sweep and a reason.
-- Locks: the mutex sweep, waited for at most 2 s; then books one by one, skipping locked ones.
create or replace function bindery_internal.sweep(given timestamptz) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  clock constant timestamptz := bindery_internal.now();
  -- A moment in the future would fail books that are not silent yet.
  moment constant timestamptz := case when bindery_internal.may_set_clock()
    then coalesce(given, clock) else least(given, clock) end;
  waiting_for jsonb;
  caught_up_at timestamptz;
  stalled integer := 0;
  resumed integer := 0;
  expired integer := 0;
  book record;
  refusal jsonb;
begin
  if not isfinite(moment) then
    perform bindery_internal.raise_error(bindery_internal.bad_input(
      'now', 'is not a finite time', 'Give a time, or leave it out.'));
  elsif not bindery_internal.take_mutex('sweep', 2000) then
    return jsonb_build_object('ran', false, 'stalled', 0, 'resumed', 0, 'expired', 0,
      'waiting_for', '[]'::jsonb);
  end if;
  perform set_config('bindery.actor', 'sweep', true);
  perform bindery_internal.refresh_pace();
  expired := bindery_internal.expire_early(moment, 1000);
  delete from bindery_internal.stored_answers a
  where a.at < clock - interval '1 day';

  -- An event that is not applied yet is a heartbeat that has not arrived.
  select least(moment, min(c.caught_up_at)),
    coalesce(jsonb_agg(c.stream order by c.stream) filter (
      where c.holder is null or c.lease_expires_at <= clock or c.caught_up_at is null), '[]')
  into caught_up_at, waiting_for
  from bindery.relay_cursors c;

  for book in
    select b.book_id, b.status, b.heartbeat_at, s.stall_after
    from bindery.book_status b
    join bindery.pipelines p on p.name = b.pipeline and p.version = b.pipeline_version
    cross join lateral (
      select (bindery_internal.state_of(p.machine, b.status) ->> 'stall_after')
        ::double precision as stall_after) s
    where b.completed_at is null and b.error is null and b.status <> 'CANCELLED'
      and caught_up_at - b.heartbeat_at > s.stall_after * interval '1 second'
      and waiting_for = '[]'
      and not exists (
        select from bindery_internal.waiting_books w where w.book_id = b.book_id)
    order by b.book_id
    for no key update of b skip locked
  loop
    -- A book that cannot be failed does not count; otherwise it would block the others permanently.
    exit when stalled >= 500;
    -- An error for one book (raised by a user's trigger, for example) does not stop the others.
    begin
      refusal := bindery_internal.do_transition(book.book_id, 'FAILED',
        format('No heartbeat from %s for more than %s.',
          book.status, book.stall_after * interval '1 second'),
        error => jsonb_build_object('code', 'stalled', 'stage', book.status,
          'stall_after', book.stall_after, 'heartbeat_at', book.heartbeat_at));
      stalled := stalled + case when refusal is null then 1 else 0 end;
    exception when assert_failure or others then
      raise warning 'Book % has stalled, but could not be failed: % (SQLSTATE %).',
        book.book_id, sqlerrm, sqlstate;
    end;
  end loop;

  for book in
    select b.book_id, b.attempt, b.current_stage
    from bindery.book_status b
    where b.resume_at <= moment and b.status = 'FAILED'
    order by b.resume_at, b.book_id
    for no key update skip locked
  loop
    exit when resumed >= 500;
    begin
      refusal := bindery_internal.do_resume(book.book_id,
        message => format('Attempt %s at %s failed; its retry_after is over.',
          book.attempt, book.current_stage));
      resumed := resumed + case when refusal is null then 1 else 0 end;
    exception when assert_failure or others then
      raise warning 'Book % is due, but could not be resumed: % (SQLSTATE %).',
        book.book_id, sqlerrm, sqlstate;
    end;
  end loop;
  perform set_config('bindery.actor', '', true);
  -- For installations without a daemon; a daemon sends them as soon as they are due.
  perform bindery_internal.send_held_broadcasts(interval '2 seconds');
  return jsonb_build_object('ran', true, 'stalled', stalled, 'resumed', resumed,
    'expired', expired, 'waiting_for', waiting_for);
end
$$;

create or replace function bindery.sweep(now timestamptz default null) returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return bindery_internal.sweep(sweep.now);
end
$$;

comment on function bindery_internal.sweep(timestamptz) is 'See bindery.sweep.';
comment on function bindery.sweep(timestamptz) is
  'Fails stalled books, resumes FAILED books that are due, and rejects early events that waited '
  'too '
  'long.
A book has stalled when it has had no heartbeat for its stage''s stall_after, an early event has '
  'waited too long after the setting patience. A call fails and resumes up to 500 books each.
Gives {ran, stalled, resumed, expired, waiting_for}. ran is false where another sweep is running: '
  'then '
  'nothing was done. No book is failed while waiting_for names streams: their relay has no lease, '
  'or has never caught up. No book is failed whose job waits in a BullMQ queue. Time counts only '
  'up to the moment to which every relay has caught up. '
  'Call it every few seconds (binderyd does). now: the moment to judge by, the clock''s by default '
  '(only the schema''s owner may name a later one). PT422 bad_input.';
