-- apply_events: a batch of events takes effect and the position moves, in one transaction.
-- Invariants: only the newest epoch applies anything; no position is passed twice; an item that raises is buried alone, and a
-- failure that may pass (is_transient) undoes the whole call. Locks: relay_cursors, then all books of the batch in order of book_id.
create or replace function bindery_internal.is_after(a text, b text) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  -- Both halves of a stream id are unsigned 64-bit numbers.
  select (split_part(a, '-', 1)::numeric, split_part(a, '-', 2)::numeric) > (split_part(b, '-', 1)::numeric, split_part(b, '-', 2)::numeric);
$$;

create or replace function bindery_internal.is_position("position" text) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  -- A position beyond what Redis can count to would be passed by no entry ever.
  return case when "position" ~ '^[0-9]{1,20}-[0-9]{1,20}$' then
    greatest(split_part("position", '-', 1)::numeric, split_part("position", '-', 2)::numeric) <= 18446744073709551615 end;
end
$$;

comment on function bindery_internal.is_position(text) is 'Whether this is the id of a stream''s entry: two unsigned 64-bit numbers; null where it is not even of the form.';

create or replace function bindery_internal.fenced(stream text, epoch bigint) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select bindery_internal.error('PT409', 'fenced',
    format('Epoch %s of the stream %s is over; the newest is %s.', fenced.epoch, fenced.stream, c.newest),
    'Another relay has taken the stream over. Apply nothing more; acquire it again.',
    jsonb_build_object('stream', fenced.stream, 'epoch', fenced.epoch, 'newest', c.newest))
  from (select max(r.epoch) from bindery.relay_cursors r where r.stream = fenced.stream) as c(newest);
$$;

create or replace function bindery_internal.apply_events(
  stream text, epoch bigint, "position" text, events jsonb, out applied bigint, out stale bigint, out dead bigint
)
language plpgsql security definer
set search_path = ''
-- A book's row that somebody holds for long is told (55P03, and the relay tries again) rather than waited for in silence.
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  cursor_row bindery.relay_cursors;
  segment jsonb;
  item jsonb;
  counts record;
  named uuid[];
  whole boolean;
  segments jsonb[];
  revisions jsonb;
begin
  applied := 0;
  stale := 0;
  dead := 0;
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream', apply_events.stream, 512));
  select c.* into cursor_row from bindery.relay_cursors c where c.stream = apply_events.stream for no key update;
  if not found or cursor_row.epoch is distinct from apply_events.epoch or cursor_row.holder is null then
    perform bindery_internal.raise_error(bindery_internal.fenced(apply_events.stream, apply_events.epoch));
  elsif bindery_internal.is_position(apply_events."position") is not true then
    perform bindery_internal.raise_error(bindery_internal.bad_input('position', 'is not a stream id', 'Give the last entry''s id, such as 1700000000000-0.'));
  elsif jsonb_typeof(apply_events.events) is distinct from 'array' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('events', 'is not a JSON array', 'Give an array, empty if need be.'));
  -- An item's own JSON may be 64 levels deep. What is far deeper can be read, and then neither taken apart nor buried.
  elsif jsonb_path_exists(apply_events.events, '$.**{68}') then
    perform bindery_internal.raise_error(bindery_internal.bad_input('events', 'is nested deeper than 67 levels', 'Make the JSON in the events flatter.'));
  elsif not bindery_internal.is_after(apply_events."position", cursor_row.position) then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'position_passed',
      format('The stream %s is applied up to %s; %s is not after that.', apply_events.stream, cursor_row.position, apply_events."position"),
      'Read on from the position in relay_cursors; this batch has taken effect already.',
      jsonb_build_object('stream', apply_events.stream, 'position', cursor_row.position)));
  end if;
  -- announce waits for the end of the batch.
  perform set_config('bindery.actor', 'relay:' || apply_events.stream, true), set_config('bindery.batching', 'yes', true);
  -- A segment that is no whole number counts as none. Most batches are one segment, which need not be put together again.
  select array_agg(distinct (e.item ->> 'book_id')::uuid)
      filter (where e.item ->> 'book_id' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'),
    bool_and((jsonb_typeof(e.item) = 'object' and e.item ->> 'segment' ~ '^[0-9]{1,18}$') is true)
      and count(distinct e.item ->> 'segment') = 1
  into named, whole
  from jsonb_array_elements(apply_events.events) as e(item);

  with locked as (
    select b.book_id, b.revision from bindery.book_status b where b.book_id = any (named) order by b.book_id for no key update
  )
  select coalesce(jsonb_object_agg(l.book_id, l.revision), '{}') into revisions from locked l;

  segments := case when whole then array[apply_events.events] else array(
    select jsonb_agg(
      case when jsonb_typeof(e.item) = 'object' then e.item
           else jsonb_build_object('type', 'dead', 'reason', 'not_an_object', 'message', 'The event is not a JSON object.', 'payload', e.item)
      end order by e.ord)
    from jsonb_array_elements(apply_events.events) with ordinality as e(item, ord)
    group by case when e.item ->> 'segment' ~ '^[0-9]{1,18}$' then (e.item ->> 'segment')::bigint else e.ord end
    order by case when e.item ->> 'segment' ~ '^[0-9]{1,18}$' then (e.item ->> 'segment')::bigint else e.ord end) end;
  foreach segment in array segments loop
    begin
      select s.* into counts from bindery_internal.apply_segment(apply_events.stream, segment) s;
      applied := applied + counts.applied;
      stale := stale + counts.stale;
      dead := dead + counts.dead;
    exception when assert_failure or others then
      if bindery_internal.is_transient(sqlstate) then
        raise;
      end if;
      -- Something in the segment is poison: find it, one by one.
      for item in select i.item from jsonb_array_elements(segment) as i(item) loop
        begin
          select s.* into counts from bindery_internal.apply_segment(apply_events.stream, jsonb_build_array(item)) s;
          applied := applied + counts.applied;
          stale := stale + counts.stale;
          dead := dead + counts.dead;
        exception when assert_failure or others then
          if bindery_internal.is_transient(sqlstate) then
            raise;
          end if;
          dead := dead + bindery_internal.bury(apply_events.stream, jsonb_build_array(
            item || jsonb_build_object('reason', 'refused_by_database', 'refusal', format('%s (SQLSTATE %s)', sqlerrm, sqlstate))));
        end;
      end loop;
    end;
  end loop;

  perform set_config('bindery.batching', '', true);
  perform bindery_internal.announce_books(array_agg(b.book_id), array_agg(b.revision))
  from bindery.book_status b
  where b.book_id = any (named) and b.revision is distinct from (revisions ->> b.book_id::text)::bigint;

  update bindery.relay_cursors c
  set position = apply_events."position", applied = c.applied + apply_events.applied, stale = c.stale + apply_events.stale,
      dead = c.dead + apply_events.dead, applied_at = bindery_internal.now(),
      lease_expires_at = bindery_internal.now() + c.lease_ttl
  where c.stream = apply_events.stream;
end
$$;

comment on function bindery_internal.apply_events(text, bigint, text, jsonb) is 'See bindery.apply_events.';
comment on function bindery_internal.is_after(text, text) is
  'Whether a stream id comes after another.';
comment on function bindery_internal.fenced(text, bigint) is
  'The error PT409 fenced: this epoch of the stream is not the newest.';
