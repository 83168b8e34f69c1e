-- replay_dead_letters: applies dead letters once more, by the rules of the present relay.
-- Invariants: one by one in order of id, so a book's dead letters keep their order; each is deleted
-- (applied or stale) or kept with its newest reason, and affects no other.
-- Locks: the mutex dead_letters (one replay at a time), the dead letters (skipping those that are
-- being pruned), then their books in order of book_id.
create or replace function bindery_internal.replay_letter(letter bindery.dead_letters) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  raised_detail text;
begin
  -- A truncated entry, or one that the relay could not read, is not an event and cannot be applied.
  if letter.truncated or jsonb_typeof(letter.payload -> 'count') is distinct from 'number' then
    return jsonb_build_object('code', letter.reason, 'message', letter.message);
  end if;
  return bindery_internal.apply_item(letter.payload);
exception when assert_failure or others then
  if bindery_internal.is_transient(sqlstate) then
    raise;
  end if;
  get stacked diagnostics raised_detail = pg_exception_detail;
  return bindery_internal.raised(sqlstate, sqlerrm, raised_detail);
end
$$;

create or replace function bindery_internal.replay_dead_letters(
  stream text, reason text, book_id uuid, max_letters integer, ids bigint[],
  out applied bigint, out stale bigint, out rejected bigint
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- If another session holds a book's row for long, the call fails with 55P03.
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  actor constant text := coalesce(current_setting('bindery.actor', true), '');
  chosen bigint[];
  letter bindery.dead_letters;
  outcome jsonb;
begin
  applied := 0;
  stale := 0;
  rejected := 0;
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_text('stream', replay_dead_letters.stream, 512),
    bindery_internal.refused_text('reason', replay_dead_letters.reason, 63)));
  if replay_dead_letters.max_letters is null or replay_dead_letters.max_letters not between 1
    and 10000 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('max_letters',
      'is not between 1 and 10,000', 'Give how many letters a call may replay.'));
  elsif not bindery_internal.take_mutex('dead_letters', 100) then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'replay_running',
      'Dead letters are being replayed already.',
      'Try again when that is done: two at a time could apply a book''s events out of order.'));
  end if;

  chosen := array(
    select d.id from bindery.dead_letters d
    where (replay_dead_letters.stream is null or d.stream = replay_dead_letters.stream)
      and (replay_dead_letters.reason is null or d.reason = replay_dead_letters.reason)
      and (replay_dead_letters.book_id is null or d.book_id = replay_dead_letters.book_id)
      and (replay_dead_letters.ids is null or d.id = any (replay_dead_letters.ids))
      -- Skip dead letters that can never be replayed. If the caller gives their ids, include them,
      -- so that the result counts them as rejected.
      and (replay_dead_letters.ids is not null or not d.truncated
        and jsonb_typeof(d.payload -> 'count') = 'number')
    order by d.id limit replay_dead_letters.max_letters
    for update skip locked);
  perform from bindery.book_status b
  where b.book_id in (select d.book_id from bindery.dead_letters d where d.id = any (chosen))
  order by b.book_id for no key update;

  perform set_config('bindery.actor', 'replay', true);
  for letter in select d.* from bindery.dead_letters d where d.id = any (chosen) order by d.id loop
    outcome := bindery_internal.replay_letter(letter);
    if outcome is null or outcome ? 'stale' then
      delete from bindery.dead_letters d where d.id = letter.id;
      applied := applied + case when outcome is null then letter.count else 0 end;
      stale := stale + case when outcome is null then 0 else letter.count end;
    else
      update bindery.dead_letters d
      set reason = outcome ->> 'code', message = outcome ->> 'message',
        replayed_at = bindery_internal.now()
      where d.id = letter.id;
      rejected := rejected + letter.count;
    end if;
  end loop;
  perform set_config('bindery.actor', actor, true);
end
$$;

create or replace function bindery.replay_dead_letters(
  stream text default null, reason text default null, book_id uuid default null,
    max_letters integer default 100,
  ids bigint[] default null
)
returns table (applied bigint, stale bigint, rejected bigint)
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select r.applied, r.stale, r.rejected from bindery_internal.replay_dead_letters(stream, reason,
    book_id, max_letters, ids) r;
$$;

comment on function bindery_internal.replay_letter(bindery.dead_letters) is
  'Applies a dead letter: null when done, {"stale": true}, or why not as {code, message}; changes '
  'nothing then.';
comment on function bindery_internal.replay_dead_letters(text, text, uuid, integer, bigint[]) is
  'See bindery.replay_dead_letters.';
comment on function bindery.replay_dead_letters(text, text, uuid, integer, bigint[]) is
  'Applies dead letters once more, the oldest first, up to max_letters (1 to 10,000), and counts '
  'the events: applied, stale, rejected.
All filters given must fit: the stream, the reason, the book, the letters'' ids. What took effect '
  'or came too late is deleted; the rest stays with its newest reason. The history names replay '
  'as the actor. Truncated letters and entries that the relay could not read stay as they are: '
  'send those again. PT409 replay_running, PT422 bad_input.';
