-- broadcast: books as messages of Supabase Realtime, to the private topics book:<book_id> and
-- owner:<owner_id>.
-- Invariants: nothing here can fail the change that is announced; a payload stays below 32 KiB and
-- names what was left out. Locks: none of ours; waits at most 100 ms for somebody else's.
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
    else jsonb_build_object('substeps_partial', true, 'substeps', substeps) end;
  left_out text[] := '{}';
  part text;
begin
  -- The largest first, and of those what a screen needs least.
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

create or replace function bindery_internal.broadcast(book_ids uuid[], substeps jsonb[])
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
as $$
declare
  -- By name: neither need exist.
  messages text;
  send text;
  message record;
begin
  -- One block, one subtransaction, however many books: more than 64 of them slow down every other
  -- session.
  begin
    -- The table that realtime.send writes to, in one statement for the whole batch.
    messages := to_regclass('realtime.messages');
    execute format('insert into %s (payload, event, topic, private, extension)
      select t.payload, ''book_status'', t.topic, true, ''broadcast''
      from bindery_internal.broadcast_messages($1, $2) t', messages)
    using book_ids, substeps;
    return;
  exception
    when lock_not_available then
      -- realtime.send would wait for the same lock, once a message.
      raise warning '% changed books were not broadcast: % (SQLSTATE %).',
        cardinality(book_ids), sqlerrm, sqlstate;
      return;
    when others then
      null;
  end;
  -- Another version of Realtime may keep its messages elsewhere; it keeps this function.
  begin
    send := to_regproc('realtime.send');
    for message in
      select t.topic, t.payload from bindery_internal.broadcast_messages(book_ids, substeps) t
    loop
      execute format('select %s($1, $2, $3, $4)', send)
      using message.payload, 'book_status', message.topic, true;
    end loop;
  exception when others then
    raise warning '% changed books were not broadcast: % (SQLSTATE %).',
      cardinality(book_ids), sqlerrm, sqlstate;
  end;
end
$$;

create or replace function bindery_internal.broadcast_messages(book_ids uuid[], substeps jsonb[])
returns table (topic text, payload jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_indexscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  select t.topic, p.payload
  from unnest(book_ids, substeps) as c(book_id, substeps)
  join bindery.book_status b on b.book_id = c.book_id
  cross join lateral (select bindery_internal.broadcast_payload(b, c.substeps) as payload) p
  cross join lateral (values ('book:' || b.book_id), ('owner:' || b.owner_id)) t(topic)
  where t.topic is not null
  order by b.book_id, t.topic;
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
  'Whether books are broadcast: as the session''s bindery.broadcast says, on or off, else as '
  'bindery.settings does.';
comment on function bindery_internal.broadcast_payload(bindery.book_status, jsonb) is
  'A book as a broadcast''s payload, below 32 KiB: its row, and the changed substeps '
  '(substeps_partial true) or, for null, its list of substeps. What is too large is left out and '
  'named in left_out, with partial true.';
comment on function bindery_internal.broadcast(uuid[], jsonb[]) is
  'Sends these books to Realtime''s topics. A failure is a warning, never an error.';
comment on function bindery_internal.broadcast_messages(uuid[], jsonb[]) is
  'The messages of these books: one to book:<book_id>, and one to owner:<owner_id> where it has an '
  'owner.';
