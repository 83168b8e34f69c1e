-- broadcast: books as messages of Supabase Realtime, to the private topics
-- book:<book_id>:<owner_id>, or book:<book_id> for a book without an owner, and owner:<owner_id>.
-- Invariants: an error here never fails the announced change; a payload stays below 32 KiB and
-- names the parts that were left out. The owner is part of the topic, so that a former owner's
-- channel receives nothing more, although Realtime checks rights only when a channel is joined.
-- Locks: waits at most 100 ms for a lock of another session.
create or replace function bindery_internal.book_topic(book_id uuid, owner_id uuid) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select concat_ws(':', 'book', book_id, owner_id);
$$;

create or replace function bindery_internal.broadcast_payload(
  book bindery.book_status, substeps jsonb
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  payload jsonb := bindery_internal.book_json(book) || case
    when substeps is null then jsonb_build_object('substeps_partial', false,
      'substeps', bindery_internal.shown_substeps(book, null, 16000))
    when substeps = 'null' then '{"substeps_partial": true}'
    when jsonb_typeof(substeps) = 'object' then '{"substeps_partial": true}' || substeps
    else jsonb_build_object('substeps_partial', true, 'substeps', substeps) end;
  left_out text[] := case when substeps = 'null' then '{substeps}' else '{}' end;
  part text;
begin
  -- Remove the largest parts first, and among them those that a screen needs least.
  foreach part in array array['metadata', 'error', 'substeps', 'message', 'title'] loop
    exit when octet_length(payload::text) <= 30000;
    if octet_length((payload -> part)::text) > 1000 then
      payload := payload - part;
      left_out := left_out || part;
    end if;
  end loop;
  return payload || case when left_out = '{}' then '{}'
    else jsonb_build_object('partial', true, 'left_out', left_out) end;
end
$$;

-- Broadcasts the books that are not held back.
create or replace function bindery_internal.broadcast(book_ids uuid[], substeps jsonb[])
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  due record;
  problem text;
begin
  -- A subtransaction, so that a window is opened only for a broadcast that was sent: one for all
  -- books (more than 64 slow down every other session), and none if everything is held back.
  begin
    due := bindery_internal.open_windows(book_ids, substeps);
    if due.book_ids is null then
      return;
    end if;
    problem := bindery_internal.send_messages(due.book_ids, due.substeps, null);
    if problem is null then
      return;
    end if;
    raise exception sqlstate 'BD000';
  exception
    when sqlstate 'BD000' then
      null;
    when others then
      problem := format('%s (SQLSTATE %s)', sqlerrm, sqlstate);
  end;
  perform bindery_internal.warn_not_broadcast(cardinality(book_ids), problem);
end
$$;

-- One warning a transaction.
create or replace function bindery_internal.warn_not_broadcast(books integer, problem text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if coalesce(current_setting('bindery.not_broadcast', true), '') <> 'warned' then
    perform set_config('bindery.not_broadcast', 'warned', true);
    raise warning '% changed books were not broadcast: %.', books, problem;
  end if;
end
$$;

-- Returns the error, or null.
create or replace function bindery_internal.send_messages(
  book_ids uuid[], substeps jsonb[], departures jsonb
) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
as $$
declare
  -- By name, because neither has to exist.
  messages text;
  send regprocedure;
  message record;
  problem text;
begin
  begin
    -- The table that realtime.send writes to, in one statement for the whole batch.
    messages := to_regclass('realtime.messages');
    if messages is not null then
      execute format('insert into %s (payload, event, topic, private, extension)
        select t.payload, t.event, t.topic, true, ''broadcast''
        from bindery_internal.broadcast_messages($1, $2, $3) t', messages)
      using book_ids, substeps, departures;
      return null;
    end if;
    problem := 'there is no table realtime.messages (SQLSTATE 42P01)';
  exception
    -- The table of another version of Realtime has other columns.
    when undefined_column or undefined_table or not_null_violation or datatype_mismatch then
      problem := format('%s (SQLSTATE %s)', sqlerrm, sqlstate);
    -- realtime.send would fail the same way, with a warning a message: no partition for today, no
    -- right to write, a lock.
    when others then
      return format('%s (SQLSTATE %s)', sqlerrm, sqlstate);
  end;
  -- Another version of Realtime may store its messages elsewhere, but has this function. If its
  -- table is missing, the function turns every error into a warning.
  begin
    send := to_regprocedure('realtime.send(jsonb,text,text,boolean)');
    if messages is null and (
      select strpos(p.prosrc, 'realtime.messages') > 0 from pg_catalog.pg_proc p
      where p.oid = send)
    then
      return problem;
    end if;
    for message in
      select t.topic, t.event, t.payload
      from bindery_internal.broadcast_messages(book_ids, substeps, departures) t
    loop
      execute format('select %s($1, $2, $3, $4)', send::regproc)
      using message.payload, message.event, message.topic, true;
    end loop;
    return null;
  exception when others then
    return format('%s (SQLSTATE %s)', sqlerrm, sqlstate);
  end;
end
$$;

create or replace function bindery_internal.broadcast_messages(
  book_ids uuid[], substeps jsonb[], departures jsonb
) returns table (topic text, event text, payload jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_indexscan = off
set plan_cache_mode = force_generic_plan
-- Some rows can only be reached by a disabled plan node; the cost of such a plan is so high that
-- Postgres would JIT-compile it, which takes longer than the query.
set jit = off
as $$
begin
  return query
  select t.topic, 'book_status', p.payload
  from unnest(book_ids, substeps) as c(book_id, substeps)
  join bindery.book_status b on b.book_id = c.book_id
  cross join lateral (select bindery_internal.broadcast_payload(b, c.substeps) as payload) p
  cross join lateral (values
    (bindery_internal.book_topic(b.book_id, b.owner_id)), ('owner:' || b.owner_id)) t(topic)
  where t.topic is not null
  order by b.book_id, t.topic;
  if departures is not null then
    return query
    select t.topic, 'gone',
      jsonb_build_object('book_id', d.book_id, 'revision', d.revision, 'gone', true)
    from jsonb_to_recordset(departures) as d(book_id uuid, owner_id uuid, revision bigint)
    cross join lateral (values
      (bindery_internal.book_topic(d.book_id, d.owner_id)), ('owner:' || d.owner_id)) t(topic)
    where t.topic is not null;
  end if;
end
$$;

create or replace function bindery_internal.broadcasts() returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select case current_setting('bindery.broadcast', true)
    when 'off' then false
    when 'on' then true
    else coalesce((select s.broadcast from bindery.settings s), true) end;
$$;

comment on function bindery_internal.broadcasts() is
  'Whether books are broadcast: as the session''s bindery.broadcast sets it, on or off, else as '
  'bindery.settings does.';
comment on function bindery_internal.book_topic(uuid, uuid) is
  'The topic of a book that has this owner: book:<book_id>:<owner_id>, or book:<book_id>.';
comment on function bindery_internal.broadcast_payload(bindery.book_status, jsonb) is
  'A book as a broadcast''s payload, below 32 KiB: its row, and the changed substeps '
  '(substeps_partial true; with since_revision where it covers more than one revision) or, for '
  'null, its list of substeps. What is too large, and substeps '
  'that are JSON''s null, are left out and named in left_out, with partial true.';
comment on function bindery_internal.broadcast(uuid[], jsonb[]) is
  'Sends these books to Realtime''s topics, except those that are held back. A failure is a '
  'warning, one a transaction, never an error.';
comment on function bindery_internal.warn_not_broadcast(integer, text) is
  'Warns that so many books were not broadcast, once a transaction.';
comment on function bindery_internal.send_messages(uuid[], jsonb[], jsonb) is
  'Sends the messages of broadcast_messages. Null: sent; else what went wrong, and nothing was '
  'sent.';
comment on function bindery_internal.broadcast_messages(uuid[], jsonb[], jsonb) is
  'The messages of these books: one to the book''s topic, and one to owner:<owner_id> where it has '
  'an owner; and of these departures ([{book_id, owner_id, revision}]), to the topics they had.';
