-- bury: writes events to dead_letters; transient: which errors are not the event's fault.
-- Invariants: an event is buried in the transaction that moves the position past it.
-- Locks: appends only.
create or replace function bindery_internal.bury(stream text, items jsonb) returns bigint
language sql volatile security definer
set search_path = ''
as $$
  with buried as (
    insert into bindery.dead_letters (stream, event_id, first_event_id, count, book_id, reason, message, payload, truncated, at)
    select bury.stream, i.item ->> 'id', coalesce(i.item ->> 'first_id', i.item ->> 'id'), c.count,
      case when n.book_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then n.book_id::uuid end,
      coalesce(i.item ->> 'reason', 'unknown'), coalesce(i.item ->> 'refusal', i.item ->> 'message', 'no reason given'),
      -- By its count, a number, replay_dead_letters knows what the relay could read.
      coalesce(i.item -> 'payload', i.item - array['reason', 'refusal', 'segment', 'truncated'] || jsonb_build_object('count', c.count)),
      coalesce(i.item -> 'truncated' = 'true', false), bindery_internal.now()
    from jsonb_array_elements(items) with ordinality as i(item, ord)
    -- Burying must not fail, or the batch would never pass: what is no number or boolean counts as left out.
    cross join lateral (
      select case when i.item ->> 'count' ~ '^[1-9][0-9]{0,8}$' then (i.item ->> 'count')::bigint else 1 end) as c(count)
    cross join lateral (select coalesce(i.item ->> 'book_id', i.item #>> '{payload,book_id}')) as n(book_id)
    order by i.ord
    returning count
  )
  select coalesce(sum(b.count), 0)::bigint from buried b;
$$;

create or replace function bindery_internal.is_transient(sqlstate text) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  -- Only these can be an event's fault: bad data, a constraint, a limit, somebody's own RAISE, and a panic in the kernel. A missing
  -- function, a lost grant, a full disk, a deadlock is the server's, and will be mended there.
  select not (left(sqlstate, 2) in ('21', '22', '23', '27', '2F', '38', '39', '44', '54', 'P0', 'PT') or sqlstate = 'XX000');
$$;

comment on function bindery_internal.bury(text, jsonb) is
  'Writes items to dead_letters, [{id, first_id?, count?, book_id?, reason, refusal or message, payload?, …}]; gives how many events they stand for.';
comment on function bindery_internal.is_transient(text) is
  'Whether the fault is the server''s rather than the event''s: then the whole batch is tried again, and nothing is buried.';
