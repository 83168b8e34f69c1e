-- reject: writes events to dead_letters; is_transient: which errors are not the event's fault.
-- Invariants: an event is rejected in the transaction that moves the position past it, or in which
-- it stops waiting. Above the setting dead_letters_total, events are only counted: one dead letter
-- a stream and reason, without a payload.
-- Locks: appends. If events are only counted, that dead letter's row; if another session has locked
-- it, one more is appended.
create or replace function bindery_internal.event_count(item jsonb) returns bigint
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Rejecting must not fail, or the batch would never pass: an invalid count counts as 1.
  return case when item ->> 'count' ~ '^[1-9][0-9]{0,8}$' then (item ->> 'count')::bigint
    else 1 end;
end
$$;

create or replace function bindery_internal.reject(stream text, items jsonb) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  most constant integer := (select s.dead_letters_total from bindery.settings s);
  letters bigint;
  events bigint;
begin
  -- Ids have gaps, so there are at most as many letters as the ids span.
  select coalesce(max(d.id) - min(d.id) + 1, 0) into letters from bindery.dead_letters d;
  if letters + jsonb_array_length(items) > most then
    select count(*) into letters from bindery.dead_letters d;
    if letters + jsonb_array_length(items) > most then
      return bindery_internal.count_rejected(stream, items);
    end if;
  end if;
  with rejected as (
    insert into bindery.dead_letters (stream, event_id, first_event_id, count, book_id, reason,
      message, payload, truncated, at)
    select reject.stream, i.item ->> 'id', coalesce(i.item ->> 'first_id', i.item ->> 'id'),
      c.count, bindery_internal.as_uuid(n.book_id), coalesce(i.item ->> 'reason', 'unknown'),
      coalesce(i.item ->> 'refusal', i.item ->> 'message', 'no reason given'),
      -- replay_dead_letters recognizes by a numeric count that the relay could read the event.
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

create or replace function bindery_internal.count_rejected(stream text, items jsonb)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  rejected record;
  events bigint := 0;
begin
  for rejected in
    select coalesce(i.item ->> 'reason', 'unknown') as reason,
      sum(bindery_internal.event_count(i.item)) as count,
      (array_agg(coalesce(i.item ->> 'first_id', i.item ->> 'id') order by i.ord))[1] as first_id,
      (array_agg(i.item ->> 'id' order by i.ord desc))[1] as id
    from jsonb_array_elements(items) with ordinality as i(item, ord)
    group by 1 order by 1
  loop
    events := events + rejected.count;
    update bindery.dead_letters d
    set count = d.count + rejected.count, event_id = coalesce(rejected.id, d.event_id)
    where d.id = (
      select c.id from bindery.dead_letters c
      where c.reason = rejected.reason and c.payload = '{}' and c.id = any (array(
        -- One of the newest: few dead letters were added since events are only counted.
        select n.id from bindery.dead_letters n
        where n.stream = count_rejected.stream order by n.id desc limit 100))
      order by c.id desc limit 1
      for update skip locked);
    if not found then
      insert into bindery.dead_letters
        (stream, event_id, first_event_id, count, reason, message, payload, truncated, at)
      values (count_rejected.stream, rejected.id, rejected.first_id, rejected.count,
        rejected.reason, 'Only counted: there are as many dead letters as the setting '
          || 'dead_letters_total allows. Replay, drop or prune some.',
        '{}', true, bindery_internal.now());
    end if;
  end loop;
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
  -- Only these can be an event's fault: bad data, a constraint, a limit, a RAISE in a trigger, and
  -- a panic in the kernel. A missing function, a lost grant, a full disk or a deadlock is a fault
  -- of the server.
  select not (
    left(sqlstate, 2) in ('21', '22', '23', '27', '2F', '38', '39', '44', '54', 'P0', 'PT')
    or sqlstate = 'XX000');
$$;

comment on function bindery_internal.event_count(jsonb) is
  'How many events of the stream an item stands for.';
comment on function bindery_internal.reject(text, jsonb) is
  'Writes items to dead_letters, [{id, first_id?, count?, book_id?, reason, refusal or message, '
  'payload?, …}]; gives how many events they stand for.';
comment on function bindery_internal.count_rejected(text, jsonb) is
  'Counts items in one dead letter a stream and reason, which has no payload; gives how many '
  'events they stand for.';
comment on function bindery_internal.as_uuid(text) is
  'A uuid in any form that Postgres reads (dashed or not, in braces or not); null for other texts.';
comment on function bindery_internal.is_transient(text) is
  'Whether the fault is the server''s rather than the event''s: then the whole batch is tried '
  'again, '
  'and nothing is rejected.';
