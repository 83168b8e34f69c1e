-- reject: writes events to dead_letters; is_transient: which errors are not the event's fault.
-- Invariant: an event is rejected in the transaction that moves the position past it, or in which
-- it stops waiting. Locks: appends only.
create or replace function bindery_internal.event_count(item jsonb) returns bigint
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Rejecting must not fail, or the batch would never pass: what is no count counts as one.
  return case when item ->> 'count' ~ '^[1-9][0-9]{0,8}$' then (item ->> 'count')::bigint
    else 1 end;
end
$$;

create or replace function bindery_internal.reject(stream text, items jsonb) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  events bigint;
begin
  with rejected as (
    insert into bindery.dead_letters (stream, event_id, first_event_id, count, book_id, reason,
      message, payload, truncated, at)
    select reject.stream, i.item ->> 'id', coalesce(i.item ->> 'first_id', i.item ->> 'id'),
      c.count, bindery_internal.as_uuid(n.book_id), coalesce(i.item ->> 'reason', 'unknown'),
      coalesce(i.item ->> 'refusal', i.item ->> 'message', 'no reason given'),
      -- By its count, a number, replay_dead_letters recognizes what the relay could read.
      coalesce(i.item -> 'payload', i.item - array['reason', 'refusal', 'segment', 'truncated']
        || jsonb_build_object('count', c.count)),
      coalesce(i.item -> 'truncated' = 'true', false), bindery_internal.now()
    from jsonb_array_elements(items) with ordinality as i(item, ord)
    cross join lateral (select bindery_internal.event_count(i.item) as count) c
    cross join lateral (
      select coalesce(i.item ->> 'book_id', i.item #>> '{payload,book_id}')) as n(book_id)
    order by i.ord
    returning count
  )
  select coalesce(sum(r.count), 0)::bigint into events from rejected r;
  return events;
end
$$;

-- Any form of a uuid that Postgres reads; null for anything else.
create or replace function bindery_internal.as_uuid(value text) returns uuid
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    when value ~* '^\{?[0-9a-f]{4}(-?[0-9a-f]{4}){7}\}?$'
      and (left(value, 1) = '{') = (right(value, 1) = '}') then value::uuid end;
end
$$;

create or replace function bindery_internal.is_transient(sqlstate text) returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- Only these can be an event's fault: bad data, a constraint, a limit, somebody's own RAISE, and
  -- a panic in the kernel. A missing function, a lost grant, a full disk or a deadlock is the
  -- server's.
  select not (
    left(sqlstate, 2) in ('21', '22', '23', '27', '2F', '38', '39', '44', '54', 'P0', 'PT')
    or sqlstate = 'XX000');
$$;

comment on function bindery_internal.event_count(jsonb) is
  'How many events of the stream an item stands for.';
comment on function bindery_internal.reject(text, jsonb) is
  'Writes items to dead_letters, [{id, first_id?, count?, book_id?, reason, refusal or message, '
  'payload?, …}]; gives how many events they stand for.';
comment on function bindery_internal.as_uuid(text) is
  'A uuid in any form that Postgres reads (dashed or not, in braces or not); null for other texts.';
comment on function bindery_internal.is_transient(text) is
  'Whether the fault is the server''s rather than the event''s: then the whole batch is tried '
  'again, '
  'and nothing is rejected.';
