-- broadcast: books as messages of Supabase Realtime, to the private topics book:<book_id> and owner:<owner_id>.
-- Invariants: nothing of it can fail the change it tells of; a payload stays below 32 KiB, and says what was left out.
-- Locks: none of ours; waits at most 100 ms for somebody else's.
create or replace function bindery_internal.broadcast_payload(book bindery.book_status) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  payload jsonb := to_jsonb(book);
  left_out text[] := '{}';
  part text;
begin
  -- The largest things first, and of least use on a screen first.
  foreach part in array array['metadata', 'error', 'substeps', 'message', 'title'] loop
    exit when octet_length(payload::text) <= 30000;
    if octet_length((payload -> part)::text) > 1000 then
      payload := payload - part;
      left_out := left_out || part;
    end if;
  end loop;
  return payload || case when left_out = '{}' then '{}' else jsonb_build_object('partial', true, 'left_out', left_out) end;
end
$$;

create or replace function bindery_internal.broadcast(book_ids uuid[]) returns void
language plpgsql security definer
set search_path = ''
set lock_timeout = '100ms'
as $$
declare
  -- By name: neither need be there.
  messages text;
  send text;
  message record;
begin
  -- One block, one subtransaction, however many books: more than 64 of them slow down every other session.
  begin
    -- The table that realtime.send writes to, in one statement for the whole batch.
    messages := to_regclass('realtime.messages');
    execute format('insert into %s (payload, event, topic, private, extension)
      select t.payload, ''book_status'', t.topic, true, ''broadcast'' from bindery_internal.broadcast_messages($1) t', messages)
    using book_ids;
    return;
  exception
    when lock_not_available then
      -- realtime.send would wait for the same lock, once a message.
      raise warning 'Realtime was not told of % changed books: % (SQLSTATE %).', cardinality(book_ids), sqlerrm, sqlstate;
      return;
    when others then
      null;
  end;
  -- Another version of Realtime may keep its messages elsewhere; its function is what it promises.
  begin
    send := to_regproc('realtime.send');
    for message in select t.topic, t.payload from bindery_internal.broadcast_messages(book_ids) t loop
      execute format('select %s($1, $2, $3, $4)', send) using message.payload, 'book_status', message.topic, true;
    end loop;
  exception when others then
    raise warning 'Realtime was not told of % changed books: % (SQLSTATE %).', cardinality(book_ids), sqlerrm, sqlstate;
  end;
end
$$;

create or replace function bindery_internal.broadcast_messages(book_ids uuid[])
returns table (topic text, payload jsonb)
language plpgsql stable security definer
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  select t.topic, p.payload
  from bindery.book_status b
  cross join lateral (select bindery_internal.broadcast_payload(b) as payload) p
  cross join lateral (values ('book:' || b.book_id), ('owner:' || b.owner_id)) t(topic)
  where b.book_id = any (book_ids) and t.topic is not null
  order by b.book_id, t.topic;
end
$$;

create or replace function bindery_internal.broadcasts() returns boolean
language sql stable
set search_path = ''
as $$
  select case current_setting('bindery.broadcast', true) when 'off' then false when 'on' then true
    else coalesce((select s.broadcast from bindery.settings s), true) end;
$$;

comment on function bindery_internal.broadcasts() is
  'Whether books are broadcast: as the session''s bindery.broadcast says, on or off, else as bindery.settings does.';
comment on function bindery_internal.broadcast_payload(bindery.book_status) is
  'A book''s row as JSON, below 32 KiB: what is too large is left out, and named in left_out, with partial true.';
comment on function bindery_internal.broadcast(uuid[]) is
  'Sends these books to Realtime''s topics. A fault of it is a warning, never an error.';
comment on function bindery_internal.broadcast_messages(uuid[]) is
  'The messages of these books: one to book:<book_id>, and one to owner:<owner_id> where it has an owner.';
