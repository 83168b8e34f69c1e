-- report_events: applies a batch of events over HTTP, each with its own outcome; with a key, once.
-- Invariants: an event takes effect as in a stream, those of one book in the batch's order; a
-- rejected event affects no other and becomes no dead letter, since the caller receives the reason;
-- a transient failure (is_transient) undoes the whole call. A repeated key returns the stored
-- answer.
-- Locks: the row of the key, then all books of the batch in order of book_id, then the
-- registration slots of those that are unknown.
create or replace function bindery_internal.report_events(events jsonb, idempotency_key text)
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- If another session holds a book's row for long, the call fails with 55P03.
set lock_timeout = '5s'
as $$
declare
  claims constant jsonb := coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}');
  asking constant text := encode(sha256(convert_to(jsonb_build_array(
    coalesce(nullif(current_setting('role', true), 'none'), session_user), claims -> 'sub',
    claims -> 'pipeline', claims -> 'stage', claims -> 'book_id')::text, 'UTF8')), 'hex');
  hash constant bytea := sha256(convert_to(report_events.events::text, 'UTF8'));
  stored bindery_internal.stored_answers;
  named uuid[];
  item jsonb;
  outcomes jsonb[] := '{}';
  nothing text;
begin
  if jsonb_typeof(report_events.events) is distinct from 'array'
    or jsonb_array_length(report_events.events) > 1000
  then
    perform bindery_internal.raise_error(bindery_internal.bad_input('events',
      'is not a JSON array of at most 1,000 events', 'Send an array, or several batches.'));
  -- The same checks as in check_batch of apply_events.
  elsif jsonb_path_exists(report_events.events, '$.**{68}') then
    perform bindery_internal.raise_error(bindery_internal.bad_input('events',
      'is nested deeper than 67 levels', 'Make the JSON in the events flatter.'));
  elsif report_events.idempotency_key = '' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('idempotency_key',
      'is empty', 'Give a key of 1 to 255 characters, or none.'));
  end if;
  perform bindery_internal.raise_error(bindery_internal.refused_text(
    'idempotency_key', report_events.idempotency_key, 255));
  if report_events.idempotency_key is not null then
    loop
      -- Waits for another call with this key.
      insert into bindery_internal.stored_answers (caller, key, digest, at)
      values (asking, report_events.idempotency_key, hash, bindery_internal.now())
      on conflict on constraint stored_answers_pkey do nothing;
      exit when found;
      select a.* into stored from bindery_internal.stored_answers a
      where a.caller = asking and a.key = report_events.idempotency_key;
      -- No row: it was deleted meanwhile.
      continue when not found;
      if stored.digest <> hash then
        perform bindery_internal.raise_error(bindery_internal.error('PT422', 'key_reused',
          format('The idempotency key %s was sent with another batch.',
            report_events.idempotency_key),
          'Use a new key for each batch.'));
      end if;
      return stored.answer || '{"replayed": true}';
    end loop;
  end if;

  select array_agg(n.book_id) into named from (
    select distinct bindery_internal.as_uuid(e.item ->> 'book_id') as book_id
    from jsonb_array_elements(report_events.events) as e(item)) n
  where n.book_id is not null;
  if named is not null then
    perform bindery_internal.lock_books(named);
  end if;
  nothing := set_config('bindery.batching', 'yes', true);
  nothing := set_config('bindery.changed', '', true);
  -- First in one subtransaction: one for each event would slow down every other session.
  begin
    for item in select e.item from jsonb_array_elements(report_events.events) as e(item) loop
      outcomes := outcomes || bindery_internal.report_event(item, false);
    end loop;
  exception when assert_failure or others then
    if bindery_internal.is_transient(sqlstate) then
      raise;
    end if;
    outcomes := '{}';
    for item in select e.item from jsonb_array_elements(report_events.events) as e(item) loop
      outcomes := outcomes || bindery_internal.report_event(item, true);
    end loop;
  end;
  nothing := set_config('bindery.batching', '', true);
  perform bindery_internal.announce_batch('{}', '{}', '{}');
  stored.answer := jsonb_build_object('replayed', false, 'outcomes', to_jsonb(outcomes));
  update bindery_internal.stored_answers a set answer = stored.answer
  where a.caller = asking and a.key = report_events.idempotency_key;
  return stored.answer;
end
$$;

-- One event of a batch: {outcome: applied, stale, early or rejected, code?, message?, hint?}.
create or replace function bindery_internal.report_event(item jsonb, by_itself boolean)
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  claims constant jsonb := bindery_internal.worker_claims();
  book uuid;
  outcome jsonb;
  kept record;
begin
  if jsonb_typeof(item) is distinct from 'object' then
    return '{"outcome": "rejected", "code": "not_an_object",
      "message": "The event is not a JSON object."}';
  elsif item ->> 'type' = 'rejected' then
    return jsonb_build_object('outcome', 'rejected', 'code', item -> 'reason',
      'message', item -> 'message');
  end if;
  book := bindery_internal.as_uuid(item ->> 'book_id');
  if book is null then
    return '{"outcome": "rejected", "code": "bad_uuid", "message": "book_id is not a uuid"}';
  end if;
  if claims is not null then
    -- A worker registers no book; a report without a stage is about the stage of its token.
    item := item - 'pipeline';
    if claims ? 'stage' and item ->> 'stage' is null
      and item ->> 'type' in ('progress', 'heartbeat', 'fail')
    then
      item := item || jsonb_build_object('stage', claims -> 'stage');
    end if;
  end if;
  outcome := bindery_internal.refused_worker(item ->> 'type', book,
    case item ->> 'type' when 'begin' then item ->> 'to_status' else item ->> 'stage' end);
  if outcome is not null then
    null;
  elsif bindery_internal.depends_on_order(item) and exists (
    select from bindery.early_events e
    where e.stream = 'http' and e.book_id = book
      and bindery_internal.may_lead_on(e.payload))
  then
    outcome := '{"code": "queued_behind", "early": true,
      "message": "An earlier event of this book waits."}';
  elsif by_itself then
    outcome := bindery_internal.try_item(item);
  else
    outcome := bindery_internal.apply_item(item);
  end if;
  if outcome is null then
    return '{"outcome": "applied"}';
  elsif outcome ? 'stale' then
    return '{"outcome": "stale"}';
  -- It is not known yet whether a worker's claims will admit a book that is not registered.
  elsif bindery_internal.is_early(outcome)
    and not (coalesce(claims ? 'pipeline', false) and outcome ->> 'code' = 'unknown_book')
  then
    select d.early, d.rejected into kept from bindery_internal.defer('http',
      jsonb_build_array(item || jsonb_build_object('reason', outcome -> 'code',
        'refusal', outcome -> 'message'))) d;
    if kept.rejected > 0 then
      return jsonb_build_object('outcome', 'rejected', 'code', 'too_many_early_events',
        'message', (outcome ->> 'message') || ' Too many events wait already.');
    end if;
    return jsonb_build_object('outcome', 'early', 'code', outcome -> 'code',
      'message', outcome -> 'message');
  end if;
  return jsonb_strip_nulls(jsonb_build_object('outcome', 'rejected', 'code', outcome -> 'code',
    'message', outcome -> 'message', 'hint', outcome -> 'hint'));
end
$$;

create or replace function bindery.report_events(
  events jsonb, idempotency_key text default null
) returns jsonb
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.report_events(events, idempotency_key);
$$;

comment on function bindery_internal.report_events(jsonb, text) is
  'See bindery.report_events.';
comment on function bindery_internal.report_event(jsonb, boolean) is
  'Applies one event of a batch, or keeps it as early; gives its outcome. by_itself: what it '
  'raises is its outcome, and undoes nothing else.';
comment on function bindery.report_events(jsonb, text) is
  'Applies up to 1,000 events, as docs/events.md has them, and gives the outcome of each.
{replayed, outcomes: [{outcome: applied, stale, early or rejected, code?, message?, hint?}]}, in '
  'the order of the events. Early events wait as those of a stream do. The same caller''s same key '
  'within a day gives the stored answer with replayed true, and applies nothing. PT422 '
  'key_reused or bad_input.';
