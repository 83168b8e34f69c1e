-- sweep: what nobody else will do: a silent book is FAILED, and a FAILED book whose time has come goes on.
-- Invariants: one sweep at a time; silence counts only up to where every relay is known to have applied all that was sent; each act
-- stands in the history with who (sweep) and why. Locks: an advisory lock; then books one by one, skipping those somebody else has.
create or replace function bindery_internal.sweep(given timestamptz) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  clock constant timestamptz := bindery_internal.now();
  -- A moment that has not come would fail books for silence to be.
  moment constant timestamptz := case when bindery_internal.may_set_clock() then coalesce(given, clock) else least(given, clock) end;
  waiting_for jsonb;
  heard_until timestamptz;
  stalled integer := 0;
  resumed integer := 0;
  book record;
  refusal jsonb;
begin
  if not isfinite(moment) then
    perform bindery_internal.raise_error(bindery_internal.bad_input('now', 'is no moment', 'Give a time, or leave it out.'));
  elsif not pg_try_advisory_xact_lock(hashtextextended('bindery.sweep', 0)) then
    return jsonb_build_object('stalled', 0, 'resumed', 0, 'waiting_for', '[]'::jsonb);
  end if;
  perform set_config('bindery.actor', 'sweep', true);
  perform bindery_internal.refresh_pace();

  -- An event that waits in a stream is a sign of life that has not got here yet.
  select least(moment, min(c.caught_up_at)),
    coalesce(jsonb_agg(c.stream order by c.stream) filter (
      where c.holder is null or c.lease_expires_at <= clock or c.caught_up_at is null), '[]')
  into heard_until, waiting_for
  from bindery.relay_cursors c;

  for book in
    select b.book_id, b.status, b.heartbeat_at, s.stall_after
    from bindery.book_status b
    join bindery.pipelines p on p.name = b.pipeline and p.version = b.pipeline_version
    cross join lateral (
      select (bindery_internal.state_of(p.machine, b.status) ->> 'stall_after')::double precision as stall_after) s
    where b.completed_at is null and b.status not in ('FAILED', 'CANCELLED')
      and heard_until - b.heartbeat_at > s.stall_after * interval '1 second' and waiting_for = '[]'
    order by b.book_id
    for no key update of b skip locked
  loop
    -- What could not be failed does not count: it would keep the others out for ever.
    exit when stalled >= 500;
    -- One that raises (a trigger of somebody's own, say) holds up no other.
    begin
      refusal := bindery_internal.do_transition(book.book_id, 'FAILED',
        format('Nothing was heard of %s for more than %s.', book.status, book.stall_after * interval '1 second'),
        error => jsonb_build_object(
          'code', 'stalled', 'stage', book.status, 'stall_after', book.stall_after, 'heartbeat_at', book.heartbeat_at));
      stalled := stalled + case when refusal is null then 1 else 0 end;
    exception when assert_failure or others then
      raise warning 'Book % is silent, but could not be failed: % (SQLSTATE %).', book.book_id, sqlerrm, sqlstate;
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
        message => format('Attempt %s at %s failed; its retry_after is over.', book.attempt, book.current_stage));
      resumed := resumed + case when refusal is null then 1 else 0 end;
    exception when assert_failure or others then
      raise warning 'Book % is due, but could not be resumed: % (SQLSTATE %).', book.book_id, sqlerrm, sqlstate;
    end;
  end loop;
  perform set_config('bindery.actor', '', true);
  return jsonb_build_object('stalled', stalled, 'resumed', resumed, 'waiting_for', waiting_for);
end
$$;

create or replace function bindery.sweep(now timestamptz default null) returns jsonb
language plpgsql
set search_path = ''
as $$
begin
  return bindery_internal.sweep(sweep.now);
end
$$;

comment on function bindery_internal.sweep(timestamptz) is 'See bindery.sweep.';
comment on function bindery.sweep(timestamptz) is
  'Fails books that have been silent for longer than their stage''s stall_after, and resumes FAILED ones that are due; up to 500 of each.
{stalled, resumed, waiting_for}. No book is called stalled while waiting_for names streams: their relay has no lease, or has never caught up; and silence counts only up to the moment to which every relay has caught up. Call it every few seconds (binderyd does); two at once: the second does nothing. now: the moment to judge by, the clock''s unless given (only the schema''s owner may name one that has not come). PT422 bad_input.';
