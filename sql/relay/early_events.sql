-- early_events: defer keeps early events; settle_early applies a book's early events
-- after a change of the book; expire_early turns those that waited too long into dead letters.
-- Invariants: an event is kept in the transaction that moves the position past it, and takes effect
-- in the transaction of the change that makes it applicable, each exactly once. Events of one book
-- and stream keep their order; one that names no stage waits behind those before it.
-- Locks: the book's row. An unknown book has no row: its registration locks the book's slot FOR KEY
-- SHARE before it inserts the book; a batch that keeps an early event locks the slot FOR UPDATE and
-- then queries the book again. So at least one of the two sees the other's change.
create or replace function bindery_internal.slot_of(book_id uuid) returns integer
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return uuid_hash(book_id) & 255;
end
$$;

-- True if an outcome of apply_item means that the event is early.
create or replace function bindery_internal.is_early(outcome jsonb) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return outcome is not null and (outcome ? 'early'
    or outcome ->> 'code' in ('unknown_book', 'stage_not_reached', 'attempt_ahead'));
end
$$;

create or replace function bindery_internal.defer(
  stream text, items jsonb, out early bigint, out rejected bigint
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  bounds bindery.settings;
  kept jsonb;
  refused jsonb;
  span bigint;
begin
  early := 0;
  rejected := 0;
  if items is null or items = '[]' then
    return;
  end if;
  select s.* into bounds from bindery.settings s;
  -- Ids have gaps, so there are at most as many events as the ids span.
  select coalesce(max(e.id) - min(e.id) + 1, 0) into span from bindery.early_events e;
  if span + jsonb_array_length(items) > bounds.early_events_total then
    select count(*) into span from bindery.early_events e;
  end if;
  -- An event without a book can never apply. Of the others, keep as many as the limit allows.
  select jsonb_agg(j.item order by j.ord) filter (where j.fits),
    jsonb_agg(j.item || case when j.book_id is null then '{}'
        else jsonb_build_object('reason', 'too_many_early_events', 'refusal', format(
          '%s Too many events wait already (bindery.settings).', j.item ->> 'refusal')) end
      order by j.ord) filter (where not j.fits)
  into kept, refused
  from (
    select i.item, i.ord, i.book_id, i.book_id is not null
      and span + i.ord <= bounds.early_events_total
      and w.waiting + row_number() over (partition by i.book_id order by i.ord)
        <= bounds.early_events_per_book as fits
    from (
      select n.item, n.ord, bindery_internal.as_uuid(n.item ->> 'book_id') as book_id
      from jsonb_array_elements(items) with ordinality as n(item, ord)) i
    left join (
      -- Like the total: a batch keeps some items one by one, and each would count all again.
      select b.book_id, case
        when s.span + jsonb_array_length(items) <= bounds.early_events_per_book then s.span
        else (
          select count(*) from (
            select from bindery.early_events e where e.book_id = b.book_id
            limit bounds.early_events_per_book) c) end as waiting
      from (
        select distinct bindery_internal.as_uuid(n.item ->> 'book_id') as book_id
        from jsonb_array_elements(items) as n(item)) b
      cross join lateral (
        select coalesce(max(e.id) - min(e.id) + 1, 0) as span from bindery.early_events e
        where e.book_id = b.book_id) s
    ) w on w.book_id = i.book_id) j;
  insert into bindery.early_events
    (stream, event_id, first_event_id, count, book_id, reason, message, payload, at)
  select defer.stream, i.item ->> 'id', coalesce(i.item ->> 'first_id', i.item ->> 'id'), c.count,
    (i.item ->> 'book_id')::uuid, i.item ->> 'reason', i.item ->> 'refusal',
    i.item - array['reason', 'refusal', 'segment'] || jsonb_build_object('count', c.count),
    bindery_internal.now()
  from jsonb_array_elements(kept) with ordinality as i(item, ord)
  cross join lateral (select bindery_internal.event_count(i.item) as count) c
  order by i.ord;
  select coalesce(sum(bindery_internal.event_count(i.item)), 0) into early
  from jsonb_array_elements(kept) as i(item);
  if refused is not null then
    rejected := bindery_internal.reject(stream, refused);
  end if;
end
$$;

-- Not after the INSERT: a batch that has the slot and then registers the book itself would wait for
-- this registration, which waits for the slot. Not for a registered book: the batch that has the
-- slot may wait for a row that this transaction has locked.
create or replace function bindery_internal.share_slot(book_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (
    select from bindery.book_status b where b.book_id = share_slot.book_id)
  then
    perform from bindery_internal.registration_slots s
    where s.slot = bindery_internal.slot_of(share_slot.book_id) for key share;
  end if;
end
$$;

create or replace function bindery_internal.settle_early(book_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  settling constant text := coalesce(current_setting('bindery.settling', true), '');
  actor constant text := coalesce(current_setting('bindery.actor', true), '');
  nothing text;
  event bindery.early_events;
  outcome jsonb;
  blocked text[];
  -- A report's stage and attempt decide whether it is early: of many that wait for the same state,
  -- one is tried until the book changes.
  report text;
  tried text[];
  stood text;
  stands text;
  again boolean;
  by_itself boolean;
begin
  -- The outermost call repeats until nothing more applies.
  if strpos(settling, settle_early.book_id::text) > 0
    or not exists (
      select from bindery.early_events e where e.book_id = settle_early.book_id)
  then
    return;
  end if;
  -- Other people's triggers can call this function for other books, and again for this one.
  nothing := set_config('bindery.settling', settling || settle_early.book_id || ' ', true);
  -- All in one subtransaction: one for each would slow down every other session. If an event raises
  -- an error, all are retried, each in its own.
  foreach by_itself in array array[false, true] loop
    begin
      again := true;
      while again loop
        again := false;
        blocked := '{}';
        tried := '{}';
        for event in
          select e.* from bindery.early_events e
          where e.book_id = settle_early.book_id order by e.id
        loop
          continue when event.stream = any (blocked)
            and bindery_internal.depends_on_order(event.payload);
          report := case when event.payload ->> 'type' in ('progress', 'heartbeat')
            and event.payload ? 'stage' then concat_ws(' ', event.payload ->> 'type',
              event.payload ->> 'stage', event.payload ->> 'attempt') end;
          if report = any (tried) then
            if bindery_internal.may_lead_on(event.payload) then
              blocked := blocked || event.stream;
            end if;
            continue;
          end if;
          nothing := set_config('bindery.actor', 'relay:' || event.stream, true);
          outcome := case when by_itself then bindery_internal.try_item(event.payload)
            else bindery_internal.apply_item(event.payload) end;
          if bindery_internal.is_early(outcome) then
            if bindery_internal.may_lead_on(event.payload) then
              blocked := blocked || event.stream;
            end if;
            tried := tried || report;
            continue;
          end if;
          select concat_ws(' ', b.status, b.current_stage, b.attempt) into stands
          from bindery.book_status b where b.book_id = settle_early.book_id;
          if stands is distinct from stood then
            tried := '{}';
            stood := stands;
          end if;
          delete from bindery.early_events e where e.id = event.id;
          if outcome is not null and not outcome ? 'stale' then
            nothing := bindery_internal.reject(event.stream, jsonb_build_array(event.payload
              || jsonb_build_object('reason', outcome -> 'code',
                'refusal', outcome -> 'message')));
          end if;
          again := true;
        end loop;
      end loop;
      exit;
    exception when assert_failure or others then
      if by_itself or bindery_internal.is_transient(sqlstate) then
        raise;
      end if;
    end;
  end loop;
  nothing := set_config('bindery.actor', actor, true);
  nothing := set_config('bindery.settling', settling, true);
end
$$;

-- Called after a report that completes a stage: a guard substeps_complete then holds.
create or replace function bindery_internal.settle_complete(book_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (
      select from bindery.early_events e where e.book_id = settle_complete.book_id)
    and exists (
      select from bindery.book_status b
      where b.book_id = settle_complete.book_id and b.substeps_done = b.substeps_total)
  then
    perform bindery_internal.settle_early(settle_complete.book_id);
  end if;
end
$$;

-- An event without a stage is about the stage that the events before it lead to.
create or replace function bindery_internal.depends_on_order(item jsonb) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return item ->> 'type' in ('progress', 'fail') and item ->> 'stage' is null;
end
$$;

-- A heartbeat or a plan changes no stage, so no event waits behind it.
create or replace function bindery_internal.may_lead_on(item jsonb) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return item ->> 'type' not in ('heartbeat', 'plan');
end
$$;

create or replace function bindery_internal.try_item(item jsonb) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  raised_detail text;
begin
  return bindery_internal.apply_item(item);
exception when assert_failure or others then
  if bindery_internal.is_transient(sqlstate) then
    raise;
  end if;
  get stacked diagnostics raised_detail = pg_exception_detail;
  return bindery_internal.raised(sqlstate, sqlerrm, raised_detail);
end
$$;

-- Skips a book that another session has locked, and an unknown book that is being registered; the
-- next sweep retries them.
create or replace function bindery_internal.expire_early(moment timestamptz, most integer)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  patience constant interval := coalesce(
    (select s.patience from bindery.settings s), interval '15 minutes');
  book record;
  event bindery.early_events;
  expired integer := 0;
begin
  for book in
    select e.book_id, exists (
        select from bindery.book_status b where b.book_id = e.book_id) as is_known
    from bindery.early_events e where e.at < moment - patience
    group by e.book_id order by min(e.id) limit most
  loop
    if book.is_known then
      perform from bindery.book_status b
      where b.book_id = book.book_id for no key update skip locked;
    else
      perform from bindery_internal.registration_slots s
      where s.slot = bindery_internal.slot_of(book.book_id) for update skip locked;
    end if;
    continue when not found or not book.is_known and exists (
      select from bindery.book_status b where b.book_id = book.book_id);
    -- A change in REPEATABLE READ may not have seen the events deferred since its snapshot.
    if book.is_known then
      perform bindery_internal.settle_early(book.book_id);
    end if;
    for event in
      select e.* from bindery.early_events e
      where e.book_id = book.book_id and e.at < moment - patience
      order by e.id limit most - expired
    loop
      perform bindery_internal.reject(event.stream, jsonb_build_array(event.payload
        || jsonb_build_object('reason', event.reason, 'refusal',
          format('%s It waited for %s.', event.message, patience))));
      delete from bindery.early_events e where e.id = event.id;
      expired := expired + 1;
    end loop;
    -- The events that waited behind it.
    if book.is_known then
      perform bindery_internal.settle_early(book.book_id);
    end if;
    exit when expired >= most;
  end loop;
  return expired;
end
$$;

create or replace function bindery_internal.early_backlog(
  out events bigint, out books bigint, out oldest_at timestamptz, out age interval
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(sum(e.count), 0)::bigint, count(distinct e.book_id), min(e.at),
    coalesce(greatest(bindery_internal.now() - min(e.at), '0'), '0')
  from (select c.count, c.book_id, c.at from bindery.early_events c order by c.id limit 100000) e;
$$;

create or replace function bindery.early_backlog(
  out events bigint, out books bigint, out oldest_at timestamptz, out age interval
)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select b.* from bindery_internal.early_backlog() b;
$$;

comment on function bindery_internal.slot_of(uuid) is
  'The registration slot of a book, 0 to 255.';
comment on function bindery_internal.is_early(jsonb) is
  'Whether an outcome of apply_item is that of an early event.';
comment on function bindery_internal.defer(text, jsonb) is
  'Keeps items in early_events, [{book_id, id, first_id?, count?, reason, refusal, …}]; those '
  'beyond '
  'the bounds in bindery.settings become dead letters. Gives how many events of each.';
comment on function bindery_internal.share_slot(uuid) is
  'Before a book is inserted: waits for batches that keep early events of it, and keeps others '
  'out.';
comment on function bindery_internal.settle_early(uuid) is
  'Applies the early events of a book that have become applicable, in order.';
comment on function bindery_internal.settle_complete(uuid) is
  'Calls settle_early where all substeps of the book''s stage are done.';
comment on function bindery_internal.depends_on_order(jsonb) is
  'Whether the meaning of an event depends on those before it: progress or fail without a stage.';
comment on function bindery_internal.may_lead_on(jsonb) is
  'Whether an early event can lead to another stage, so that events that depend on order wait '
  'behind '
  'it: all but heartbeat and plan.';
comment on function bindery_internal.try_item(jsonb) is
  'As apply_item; an error that is the event''s fault is a result and changes nothing.';
comment on function bindery_internal.expire_early(timestamptz, integer) is
  'Turns early events that have waited longer than patience into dead letters, and applies those '
  'that waited behind them; gives how many became dead letters.';
comment on function bindery_internal.early_backlog() is 'See bindery.early_backlog.';
comment on function bindery.early_backlog() is
  'How many early events wait, of how many books, and since when the oldest does.
Counted up to 100,000 items.';
