-- apply_events: a batch of events takes effect and the position moves, in one transaction.
-- Invariants: only the newest epoch applies anything; no position is passed twice; every item ends
-- applied, stale, early (kept) or rejected; an item that raises is rejected alone, and a failure
-- that may pass (is_transient) undoes the whole call.
-- Locks: relay_cursors, then all books of the batch in order of book_id, then the registration
-- slots of those that are unknown.
create or replace function bindery_internal.is_after(a text, b text) returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- Both halves of a stream id are unsigned 64-bit numbers.
  select (split_part(a, '-', 1)::numeric, split_part(a, '-', 2)::numeric)
    > (split_part(b, '-', 1)::numeric, split_part(b, '-', 2)::numeric);
$$;

create or replace function bindery_internal.is_position("position" text) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- A position above Redis's largest id could never be passed.
  return case when "position" ~ '^[0-9]{1,20}-[0-9]{1,20}$' then
    greatest(split_part("position", '-', 1)::numeric, split_part("position", '-', 2)::numeric)
      <= 18446744073709551615 end;
end
$$;

create or replace function bindery_internal.fenced(stream text, epoch bigint) returns jsonb
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.error('PT409', 'fenced',
    format('Epoch %s of the stream %s is over; the newest is %s.', fenced.epoch, fenced.stream,
      c.newest),
    'Another relay has taken the stream over. Apply nothing more; acquire it again.',
    jsonb_build_object('stream', fenced.stream, 'epoch', fenced.epoch, 'newest', c.newest))
  from (
    select max(r.epoch) from bindery.relay_cursors r where r.stream = fenced.stream) as c(newest);
$$;

-- Locks the stream's row for its holder, or raises an error.
create or replace function bindery_internal.lock_cursor(stream text, epoch bigint, "position" text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  cursor_row bindery.relay_cursors;
begin
  perform bindery_internal.raise_error(
    bindery_internal.refused_text('stream', lock_cursor.stream, 512));
  select c.* into cursor_row from bindery.relay_cursors c
  where c.stream = lock_cursor.stream for no key update;
  if not found or cursor_row.epoch is distinct from lock_cursor.epoch
    or cursor_row.holder is null
  then
    perform bindery_internal.raise_error(
      bindery_internal.fenced(lock_cursor.stream, lock_cursor.epoch));
  elsif bindery_internal.is_position(lock_cursor."position") is not true then
    perform bindery_internal.raise_error(bindery_internal.bad_input('position',
      'is not a stream id', 'Give the last entry''s id, such as 1700000000000-0.'));
  elsif not bindery_internal.is_after(lock_cursor."position", cursor_row.position) then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'position_passed',
      format('The stream %s is applied up to %s; %s is not after that.',
        lock_cursor.stream, cursor_row.position, lock_cursor."position"),
      'Read on from the position in relay_cursors; this batch has taken effect already.',
      jsonb_build_object('stream', lock_cursor.stream, 'position', cursor_row.position)));
  end if;
end
$$;

create or replace function bindery_internal.lock_books(book_ids uuid[]) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  known bigint;
begin
  select count(*) into known from (
    select from bindery.book_status b
    where b.book_id = any (book_ids) order by b.book_id for no key update) l;
  if known < cardinality(book_ids) then
    -- Wait for concurrent registrations, and lock the books that they have inserted.
    perform from bindery_internal.registration_slots s
    where s.slot in (
      select bindery_internal.slot_of(u.book_id) from unnest(book_ids) as u(book_id)
      where not exists (select from bindery.book_status b where b.book_id = u.book_id))
    order by s.slot for update;
    perform from bindery.book_status b
    where b.book_id = any (book_ids) order by b.book_id for no key update;
  end if;
end
$$;

create or replace function bindery_internal.apply_events(
  stream text, epoch bigint, "position" text, events jsonb, segments integer[], book_ids uuid[],
  stages text[], substeps text[], attempts integer[], progress double precision[],
  done double precision[], totals double precision[], units text[], messages text[],
  checkpoints text[], counts bigint[], first_ids text[], ids text[],
  out applied bigint, out stale bigint, out early bigint, out rejected bigint
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- If another session holds a book's row for long, the call fails with 55P03 and the relay retries.
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  reports constant integer := coalesce(cardinality(apply_events.book_ids), 0);
  with_substeps constant boolean := bindery_internal.has_realtime();
  actor constant text := coalesce(current_setting('bindery.actor', true), '');
  nothing text;
  named uuid[];
  segment record;
  slice int4range;
  slices int4range[];
  a integer;
  z integer;
  held uuid[] := '{}';
  result record;
  outcome record;
  item jsonb;
  queue jsonb[];
  some_early boolean := false;
  here record;
  raised_detail text;
  raised jsonb;
  changed uuid[] := '{}';
  revisions bigint[] := '{}';
  shown jsonb[] := '{}';
begin
  applied := 0;
  stale := 0;
  early := 0;
  rejected := 0;
  perform bindery_internal.lock_cursor(
    apply_events.stream, apply_events.epoch, apply_events."position");
  perform bindery_internal.check_batch(apply_events.events, apply_events.segments,
    apply_events.counts, reports, array[bindery_internal.list_length(apply_events.segments),
      bindery_internal.list_length(apply_events.book_ids),
      bindery_internal.list_length(apply_events.stages),
      bindery_internal.list_length(apply_events.substeps),
      bindery_internal.list_length(apply_events.attempts),
      coalesce(bindery_internal.list_length(apply_events.progress), 0),
      bindery_internal.list_length(apply_events.done),
      bindery_internal.list_length(apply_events.totals),
      bindery_internal.list_length(apply_events.units),
      bindery_internal.list_length(apply_events.messages),
      bindery_internal.list_length(apply_events.checkpoints),
      bindery_internal.list_length(apply_events.counts),
      bindery_internal.list_length(apply_events.first_ids),
      bindery_internal.list_length(apply_events.ids)]);
  nothing := set_config('bindery.actor', 'relay:' || apply_events.stream, true);
  nothing := set_config('bindery.batching', 'yes', true);
  nothing := set_config('bindery.changed', '', true);

  select array_agg(n.book_id) into named from (
    select u.book_id from unnest(apply_events.book_ids) as u(book_id)
    union
    select bindery_internal.as_uuid(e.item ->> 'book_id')
    from jsonb_array_elements(apply_events.events) as e(item)) n
  where n.book_id is not null;
  if named is not null then
    perform bindery_internal.lock_books(named);
  end if;

  for segment in
    select coalesce(r.number, e.number) as number, r.a, r.z, e.items
    from (
      select coalesce(s.number, 0) as number, min(s.ord)::integer as a, max(s.ord)::integer as z
      from unnest(coalesce(apply_events.segments, array_fill(0, array[reports])))
        with ordinality as s(number, ord)
      group by 1) r
    full join (
      -- An item without a segment is a segment of its own, in the order of the array.
      select case when i.item ->> 'segment' ~ '^[0-9]{1,9}$' then (i.item ->> 'segment')::integer
        else i.ord::integer end as number, jsonb_agg(i.item order by i.ord) as items
      from jsonb_array_elements(apply_events.events) with ordinality as i(item, ord)
      group by 1) e on e.number = r.number
    order by 1
  loop
    -- By the index, which is fast also before the first vacuum.
    some_early := (
      select e.id from bindery.early_events e order by e.id limit 1) is not null;
    held := '{}';
    -- Only the books of this segment's reports, and the first such event of each.
    if some_early and segment.a is not null then
      select coalesce(array_agg(u.book_id), '{}') into held
      from (
        select distinct r.book_id
        from unnest(apply_events.book_ids[segment.a:segment.z]) as r(book_id)) u
      where exists (
        select from bindery.early_events e
        where e.book_id = u.book_id and e.stream = apply_events.stream
          and bindery_internal.may_lead_on(e.payload));
    end if;
    -- Apply all reports at once; on an error, apply each half separately.
    slices := case when segment.a is not null then array[int4range(segment.a, segment.z, '[]')]
      else '{}' end;
    while cardinality(slices) > 0 loop
      slice := slices[1];
      slices := slices[2:];
      a := lower(slice);
      z := upper(slice) - 1;
      begin
        -- Count in variables: an exception undoes changes of the database, not of variables.
        select 0::bigint as applied, 0::bigint as stale, 0::bigint as early, 0::bigint as rejected
        into here;
        if a = 1 and z = reports then
          result := bindery_internal.apply_reports(apply_events.book_ids, apply_events.stages,
            apply_events.substeps, apply_events.attempts, apply_events.progress,
            apply_events.done, apply_events.totals, apply_events.units, apply_events.messages,
            apply_events.checkpoints, with_substeps, held);
        else
          result := bindery_internal.apply_reports(apply_events.book_ids[a:z],
            apply_events.stages[a:z], apply_events.substeps[a:z], apply_events.attempts[a:z],
            apply_events.progress[a:z], apply_events.done[a:z], apply_events.totals[a:z],
            apply_events.units[a:z], apply_events.messages[a:z], apply_events.checkpoints[a:z],
            with_substeps, held);
        end if;
        queue := '{}';
        if result.verdicts is null then
          here.applied := coalesce(
            (select sum(coalesce(c, 1)) from unnest(apply_events.counts[a:z]) as c), z - a + 1);
        else
          for outcome in
            select o.verdict, sum(r.count)::bigint as count, jsonb_agg(
              case when o.verdict not in ('accept', 'stale') then
              jsonb_strip_nulls(jsonb_build_object('type', 'progress', 'id', r.id,
                'first_id', r.first_id, 'count', r.count, 'book_id', r.book_id, 'stage', r.stage,
                'substep', r.substep, 'attempt', r.attempt, 'progress', r.progress, 'done', r.done,
                'total', r.total, 'unit', r.unit, 'message', r.message))
              || case when r.checkpoint is null then '{}'
                 else jsonb_build_object('checkpoint', r.checkpoint::jsonb) end
              || jsonb_build_object('reason', o.verdict, 'refusal', case o.verdict
                when 'queued_behind' then 'An earlier event of this book waits.'
                when 'bad_input' then bindery_internal.bad_report(r.substep, r.progress, r.done,
                  r.total, r.unit, r.message, r.checkpoint::jsonb, r.attempt) ->> 'message'
                else bindery_internal.refused_report(
                  o.verdict, r.book_id, r.stage, r.substep, r.attempt) ->> 'message' end) end
              order by r.ord) as items
            from (
              select u.ord, u.book_id, u.stage, u.substep, u.attempt, u.progress, u.done, u.total,
                u.unit, u.message, u.checkpoint, coalesce(u.count, 1) as count, u.first_id, u.id
              from unnest(apply_events.book_ids[a:z], apply_events.stages[a:z],
                apply_events.substeps[a:z], apply_events.attempts[a:z],
                apply_events.progress[a:z], apply_events.done[a:z], apply_events.totals[a:z],
                apply_events.units[a:z], apply_events.messages[a:z],
                apply_events.checkpoints[a:z], apply_events.counts[a:z],
                apply_events.first_ids[a:z], apply_events.ids[a:z])
                with ordinality as u(book_id, stage, substep, attempt, progress, done, total, unit,
                  message, checkpoint, count, first_id, id, ord)) r
            left join unnest(result.others, result.verdicts) as v(ord, verdict) on v.ord = r.ord
            cross join lateral (select coalesce(v.verdict, 'accept')) as o(verdict)
            group by o.verdict
          loop
            case
              when outcome.verdict = 'accept' then
                here.applied := outcome.count;
              when outcome.verdict = 'stale' then
                here.stale := outcome.count;
              when outcome.verdict = 'advance' then
                select queue || array_agg(i.item) into queue
                from jsonb_array_elements(outcome.items) as i(item);
              when outcome.verdict in
                ('unknown_book', 'stage_not_reached', 'attempt_ahead', 'queued_behind')
              then
                select here.early + d.early, here.rejected + d.rejected
                into here.early, here.rejected from bindery_internal.defer(apply_events.stream,
                  outcome.items) d;
              else
                here.rejected := here.rejected
                  + bindery_internal.reject(apply_events.stream, outcome.items);
            end case;
          end loop;
        end if;
        if some_early and result.changed is not null then
          perform bindery_internal.settle_complete(e.book_id)
          from (
            select distinct w.book_id from bindery.early_events w
            where w.book_id = any (result.changed)) e;
        end if;
        segment.items := coalesce(to_jsonb(nullif(queue, '{}')), '[]')
          || coalesce(segment.items, '[]');
        applied := applied + here.applied;
        stale := stale + here.stale;
        early := early + here.early;
        rejected := rejected + here.rejected;
        changed := changed || result.changed;
        revisions := revisions || result.revisions;
        shown := shown || result.shown;
      exception when assert_failure or others then
        if bindery_internal.is_transient(sqlstate) then
          raise;
        elsif a < z then
          slices := array[int4range(a, (a + z) / 2, '[]'),
            int4range((a + z) / 2 + 1, z, '[]')] || slices;
        else
          get stacked diagnostics raised_detail = pg_exception_detail;
          raised := bindery_internal.raised(sqlstate, sqlerrm, raised_detail);
          rejected := rejected + bindery_internal.reject(apply_events.stream,
            jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('type', 'progress',
              'id', apply_events.ids[a], 'first_id', apply_events.first_ids[a],
              'count', apply_events.counts[a], 'book_id', apply_events.book_ids[a],
              'stage', apply_events.stages[a], 'substep', apply_events.substeps[a],
              'attempt', apply_events.attempts[a], 'progress', apply_events.progress[a],
              'done', apply_events.done[a], 'total', apply_events.totals[a],
              'unit', apply_events.units[a], 'message', apply_events.messages[a],
              -- PT422 is raised by check_reports.
              'reason', case when sqlstate = 'PT422' then 'bad_input'
                else raised ->> 'code' end,
              'refusal', case when sqlstate = 'PT422' then sqlerrm
                else raised ->> 'message' end))
            || case when apply_events.checkpoints[a] is null then '{}' else jsonb_build_object(
              'checkpoint', bindery_internal.as_json(apply_events.checkpoints[a])) end));
        end if;
      end;
    end loop;

    -- Apply the other items one by one, in one subtransaction: one for each would slow down every
    -- other session. On an error, retry each in its own.
    begin
      select 0::bigint as applied, 0::bigint as stale, 0::bigint as early, 0::bigint as rejected
      into here;
      for item in select i.item from jsonb_array_elements(segment.items) as i(item) loop
        outcome := bindery_internal.apply_one(apply_events.stream, item, false);
        here.applied := here.applied + outcome.applied;
        here.stale := here.stale + outcome.stale;
        here.early := here.early + outcome.early;
        here.rejected := here.rejected + outcome.rejected;
      end loop;
      applied := applied + here.applied;
      stale := stale + here.stale;
      early := early + here.early;
      rejected := rejected + here.rejected;
    exception when assert_failure or others then
      if bindery_internal.is_transient(sqlstate) then
        raise;
      end if;
      for item in select i.item from jsonb_array_elements(segment.items) as i(item) loop
        outcome := bindery_internal.apply_one(apply_events.stream, item, true);
        applied := applied + outcome.applied;
        stale := stale + outcome.stale;
        early := early + outcome.early;
        rejected := rejected + outcome.rejected;
      end loop;
    end;
  end loop;

  nothing := set_config('bindery.batching', '', true);
  nothing := set_config('bindery.actor', actor, true);
  perform bindery_internal.announce_batch(changed, revisions, shown);
  update bindery.relay_cursors c
  set position = apply_events."position", applied = c.applied + apply_events.applied,
      stale = c.stale + apply_events.stale, early = c.early + apply_events.early,
      rejected = c.rejected + apply_events.rejected, applied_at = bindery_internal.now(),
      lease_expires_at = bindery_internal.now() + c.lease_ttl
  where c.stream = apply_events.stream;
end
$$;

-- Parses a text as JSON; a text that is not JSON becomes a JSON string.
create or replace function bindery_internal.as_json(value text) returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return value::jsonb;
exception when others then
  return to_jsonb(value);
end
$$;

-- Applies, defers or rejects one item of a batch that is not a report.
create or replace function bindery_internal.apply_one(
  stream text, item jsonb, by_itself boolean, out applied bigint, out stale bigint,
  out early bigint, out rejected bigint
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  count constant bigint := bindery_internal.event_count(item);
  outcome jsonb;
begin
  applied := 0;
  stale := 0;
  early := 0;
  rejected := 0;
  if jsonb_typeof(item) is distinct from 'object' then
    rejected := bindery_internal.reject(stream, jsonb_build_array(jsonb_build_object(
      'reason', 'not_an_object', 'message', 'The event is not a JSON object.', 'payload', item)));
    return;
  elsif item ->> 'type' = 'rejected' then
    rejected := bindery_internal.reject(stream, jsonb_build_array(item));
    return;
  elsif bindery_internal.depends_on_order(item) and exists (
    select from bindery.early_events e
    where e.stream = apply_one.stream
      and e.book_id = bindery_internal.as_uuid(item ->> 'book_id')
      and bindery_internal.may_lead_on(e.payload))
  then
    outcome := jsonb_build_object('code', 'queued_behind', 'early', true,
      'message', 'An earlier event of this book waits.');
  else
    outcome := case when by_itself then bindery_internal.try_item(item)
      else bindery_internal.apply_item(item) end;
  end if;
  if outcome is null then
    applied := count;
  elsif outcome ? 'stale' then
    stale := count;
  elsif bindery_internal.is_early(outcome) then
    select d.early, d.rejected into early, rejected
    from bindery_internal.defer(stream, jsonb_build_array(item
      || jsonb_build_object('reason', outcome -> 'code', 'refusal', outcome -> 'message'))) d;
  else
    rejected := bindery_internal.reject(stream, jsonb_build_array(item
      || jsonb_build_object('reason', outcome -> 'code', 'refusal', outcome -> 'message')));
  end if;
end
$$;

-- Slices count from 1, so a list must count from 1 too.
create or replace function bindery_internal.list_length(list anyarray) returns integer
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return case when array_ndims(list) > 1 or array_lower(list, 1) <> 1 then -1
    else cardinality(list) end;
end
$$;

create or replace function bindery_internal.check_batch(
  events jsonb, segments integer[], counts bigint[], reports integer, lengths integer[]
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if jsonb_typeof(events) is distinct from 'array' then
    perform bindery_internal.raise_error(bindery_internal.bad_input(
      'events', 'is not a JSON array', 'Give an array, empty if there are none.'));
  -- An item's own JSON may be 64 levels deep. JSON that is much deeper can be parsed, but can then
  -- neither be split nor rejected.
  elsif jsonb_path_exists(events, '$.**{68}') then
    perform bindery_internal.raise_error(bindery_internal.bad_input(
      'events', 'is nested deeper than 67 levels', 'Make the JSON in the events flatter.'));
  elsif exists (select from unnest(lengths) as l(length) where l.length <> reports) then
    perform bindery_internal.raise_error(bindery_internal.bad_input('the arrays of reports',
      'are not lists of one length', 'Give one element a report; leave out what no report has.'));
  -- The limit of event_count: a larger value could overflow the totals in relay_cursors.
  elsif exists (select from unnest(counts) as c(count) where c.count not between 1 and 999999999)
  then
    perform bindery_internal.raise_error(bindery_internal.bad_input('counts',
      'has an element that is not between 1 and 999,999,999',
      'Give how many events each report stands for.'));
  elsif exists (
    select from (
      select s.number, lag(s.number) over (order by s.ord) as before
      from unnest(segments) with ordinality as s(number, ord)) o
    where o.number is null or o.number < 0 or o.number < o.before)
  then
    perform bindery_internal.raise_error(bindery_internal.bad_input('segments',
      'are not sorted', 'Give the reports in order of their segments.'));
  end if;
end
$$;

-- Announces the books that a batch changed: those with reports with their changed substeps, and
-- those whose status changed (collected in bindery.changed) as a whole.
create or replace function bindery_internal.announce_batch(
  changed uuid[], revisions bigint[], shown jsonb[]
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
  whole constant uuid[] := string_to_array(
    nullif(rtrim(coalesce(current_setting('bindery.changed', true), '')), ''), ' ')::uuid[];
  nothing text;
begin
  nothing := set_config('bindery.changed', '', true);
  if whole is null and (
    select count(distinct c) = count(*) from unnest(changed) as c)
  then
    perform bindery_internal.announce_books(changed, revisions, shown);
    return;
  end if;
  perform bindery_internal.announce_books(array_agg(c.book_id), array_agg(b.revision),
    array_agg(case when c.whole then null else c.shown end))
  from (
    -- If several segments changed a substep, its last state counts.
    select u.book_id, bool_or(u.whole) as whole, coalesce(jsonb_path_query_array(
      jsonb_object_agg(s.substep ->> 'substep', s.substep order by u.place)
        filter (where s.substep is not null), '$.*'), '[]') as shown
    from (
      select w as book_id, true as whole, null::jsonb as shown, 0 as place from unnest(whole) as w
      union all
      select r.book_id, false, r.shown, r.place
      from unnest(changed, shown) with ordinality as r(book_id, shown, place)) u
    left join lateral jsonb_array_elements(u.shown) as s(substep) on true
    group by u.book_id) c
  cross join lateral (
    select s.revision from bindery.book_status s where s.book_id = c.book_id limit 1) b;
end
$$;

create or replace function bindery.apply_events(
  stream text, epoch bigint, "position" text, events jsonb default '[]',
  segments integer[] default null, book_ids uuid[] default null, stages text[] default null,
  substeps text[] default null, attempts integer[] default null,
  progress double precision[] default null, done double precision[] default null,
  totals double precision[] default null, units text[] default null,
  messages text[] default null, checkpoints text[] default null, counts bigint[] default null,
  first_ids text[] default null, ids text[] default null
)
returns table (applied bigint, stale bigint, early bigint, rejected bigint)
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select a.applied, a.stale, a.early, a.rejected
  from bindery_internal.apply_events(stream, epoch, "position", events, segments, book_ids, stages,
    substeps, attempts, progress, done, totals, units, messages, checkpoints, counts, first_ids,
    ids) a;
$$;

comment on function bindery_internal.is_after(text, text) is
  'Whether a stream id comes after another.';
comment on function bindery_internal.is_position(text) is
  'Whether this is the id of a stream''s entry: two unsigned 64-bit numbers; null where it is not '
  'even of the form.';
comment on function bindery_internal.fenced(text, bigint) is
  'The error PT409 fenced: this epoch of the stream is not the newest.';
comment on function bindery_internal.lock_cursor(text, bigint, text) is
  'Locks the row of a stream for the holder of this epoch; raises where it is another''s, or where '
  'the position is not after the stream''s.';
comment on function bindery_internal.lock_books(uuid[]) is
  'Locks the rows of these books, in order; of those that are unknown the registration slots.';
comment on function bindery_internal.apply_events(text, bigint, text, jsonb, integer[], uuid[],
  text[], text[], integer[], double precision[], double precision[], double precision[], text[],
  text[], text[], bigint[], text[], text[]) is 'See bindery.apply_events.';
comment on function bindery_internal.as_json(text) is
  'A text read as JSON; one that is no JSON as a JSON string.';
comment on function bindery_internal.apply_one(text, jsonb, boolean) is
  'Applies one item, or keeps it as early, or rejects it; counts the events it stands for. '
  'by_itself: what it raises is a reason to reject it, and undoes nothing else.';
comment on function bindery_internal.list_length(anyarray) is
  'The length of an array of one dimension that counts from 1, -1 for other arrays, null for null.';
comment on function bindery_internal.check_batch(jsonb, integer[], bigint[], integer, integer[]) is
  'Raises PT422 bad_input for a batch that cannot be read.';
comment on function bindery_internal.announce_batch(uuid[], bigint[], jsonb[]) is
  'Announces the books that a batch changed, each once.';
comment on function bindery.apply_events(text, bigint, text, jsonb, integer[], uuid[], text[],
  text[], integer[], double precision[], double precision[], double precision[], text[], text[],
  text[], bigint[], text[], text[]) is
  'Applies a batch of events and moves the stream''s position, in one transaction.
Counts the events that were applied, stale, early (kept in early_events) and rejected (dead '
  'letters).
Progress reports are arrays of one element a report, sorted by segment; an array that no report '
  'needs is left out. checkpoints hold JSON as text, counts how many events a report stands for. '
  'events holds all other items as docs/events.md has them, with id, count and segment. Segments '
  'are '
  'applied in order; in one segment the reports must be about different substeps. An item without '
  'a '
  'segment is a segment of its own. PT409 fenced or position_passed, PT422 bad_input.';
