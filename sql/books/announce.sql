-- announce: announces changed books, by Supabase Realtime's broadcast if it is installed, else by
-- NOTIFY.
-- Invariants: a hint only, rows and revisions are the truth; an error here never fails the change.
-- A function announces a book once, at its end; a plain statement's books are collected row by row
-- in the setting bindery.changed and announced after the statement. NOTIFY holds a lock of the
-- whole cluster until its commit is on disk, so only one session at a time notifies: any other
-- session leaves its books in unannounced.
-- Locks: the mutex notify, if it is free; never waits for it. Waits at most 100 ms for a lock of
-- another session.
create or replace function bindery_internal.announce_books(
  book_ids uuid[], revisions bigint[], substeps jsonb[]
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  nothing text;
begin
  if book_ids is null or book_ids = '{}' then
    return;
  -- Check the schema first: this is faster, and to_regprocedure raises an error without USAGE.
  elsif has_schema_privilege(to_regnamespace('realtime'), 'usage')
    and to_regprocedure('realtime.send(jsonb,text,text,boolean)') is not null
  then
    if bindery_internal.broadcasts() then
      perform bindery_internal.broadcast(book_ids, substeps);
    end if;
    return;
  end if;
  perform from bindery.settings s, bindery_internal.mutexes m
  where s.notify and m.task = 'notify' for no key update of m skip locked;
  if found then
    nothing := bindery_internal.notify_books(book_ids, revisions);
  elsif bindery_internal.notifies() then
    -- Bounded, in case no session announces these rows.
    if pg_relation_size('bindery_internal.unannounced') < 16777216 then
      insert into bindery_internal.unannounced (book_id, revision)
      select u.book_id, u.revision from unnest(book_ids, revisions) as u(book_id, revision);
    end if;
  end if;
end
$$;

create or replace function bindery_internal.notify_books(book_ids uuid[], revisions bigint[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  nothing text;
begin
  for i in 1 .. cardinality(book_ids) loop
    -- Joined as text, which is much faster than building JSON; neither value needs quoting.
    nothing := pg_notify('bindery',
      '{"book_id": "' || book_ids[i] || '", "revision": ' || revisions[i] || '}');
  end loop;
end
$$;

create or replace function bindery_internal.notifies() returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return not bindery_internal.has_realtime() and (select s.notify from bindery.settings s);
end
$$;

-- Announces the books in unannounced. Rows that another session is inserting or announcing are left
-- for the next call.
create or replace function bindery_internal.announce_left() returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  book_ids uuid[];
  revisions bigint[];
begin
  with taken as (
    delete from bindery_internal.unannounced u
    where u.ctid = any (array(
      select l.ctid from bindery_internal.unannounced l limit 10000 for update skip locked))
    returning u.book_id, u.revision
  )
  select array_agg(t.book_id), array_agg(t.revision) into book_ids, revisions
  from (select n.book_id, max(n.revision) as revision from taken n group by n.book_id) t;
  if book_ids is null then
    return 0;
  elsif bindery_internal.notifies() then
    perform bindery_internal.notify_books(book_ids, revisions);
  end if;
  return cardinality(book_ids);
end
$$;

create or replace function bindery_internal.has_realtime() returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(has_schema_privilege(to_regnamespace('realtime'), 'usage'), false)
    and to_regprocedure('realtime.send(jsonb,text,text,boolean)') is not null;
end
$$;

-- Announces one book in its present state or, in a batch, collects it for the batch's end.
create or replace function bindery_internal.announce_book(book_id uuid, substeps jsonb)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  nothing text;
begin
  if coalesce(current_setting('bindery.batching', true), '') = 'yes' then
    nothing := bindery_internal.collect_change(announce_book.book_id);
    return;
  end if;
  perform bindery_internal.announce_books(array[b.book_id], array[b.revision], array[substeps])
  from bindery.book_status b where b.book_id = announce_book.book_id;
end
$$;

-- For the triggers that follow a plain statement row by row, and for batches.
create or replace function bindery_internal.collect_change(book_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  collected text := coalesce(current_setting('bindery.changed', true), '');
begin
  -- Each row copies the collected ids, so a statement on very many books announces them in parts.
  if length(collected) >= 37 * 1000
    and coalesce(current_setting('bindery.batching', true), '') <> 'yes'
  then
    perform bindery_internal.announce_those(collected);
    collected := '';
  end if;
  collected := set_config('bindery.changed', collected || collect_change.book_id || ' ', true);
end
$$;

-- Announces these books in their present state. collected: their ids, each followed by a blank.
create or replace function bindery_internal.announce_those(collected text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform bindery_internal.announce_books(array_agg(b.book_id), array_agg(b.revision), null)
  from bindery.book_status b
  where b.book_id = any (string_to_array(rtrim(collected), ' ')::uuid[]);
end
$$;

create or replace function bindery_internal.announce_collected() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  collected constant text := coalesce(current_setting('bindery.changed', true), '');
  nothing text;
begin
  if collected <> '' then
    nothing := set_config('bindery.changed', '', true);
    perform bindery_internal.announce_those(collected);
  end if;
  return null;
end
$$;

create or replace trigger zz_announce after insert or update on bindery.book_status
for each statement
when (current_setting('bindery.writer', true) is distinct from pg_trigger_depth()::text)
execute function bindery_internal.announce_collected();

comment on function bindery_internal.announce_books(uuid[], bigint[], jsonb[]) is
  'Announces that these books have these revisions: broadcasts where realtime.send exists and is '
  'not switched off, else NOTIFY bindery. substeps: for each book its changed substeps, null for '
  'the whole list.';
comment on function bindery_internal.notify_books(uuid[], bigint[]) is
  'NOTIFY bindery, once a book, that these books have these revisions.';
comment on function bindery_internal.notifies() is
  'Whether changed books are announced by NOTIFY.';
comment on function bindery_internal.announce_left() is
  'Announces by NOTIFY up to 10,000 changes that were left in unannounced; gives how many books.';
comment on function bindery_internal.has_realtime() is
  'Whether Supabase Realtime''s function send exists here.';
comment on function bindery_internal.announce_book(uuid, jsonb) is
  'Announces one book; in a batch at its end. substeps: its changed ones; null: the whole list.';
comment on function bindery_internal.collect_change(uuid) is
  'Collects a book that is to be announced at the end of the statement or the batch.';
comment on function bindery_internal.announce_those(text) is
  'Announces the collected books as they stand now.';
comment on function bindery_internal.announce_collected() is
  'Announces the books that a plain statement changed.';
