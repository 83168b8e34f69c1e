-- announce_departures: announces a book that changes its owner or is deleted to its former topics,
-- with the event gone.
-- Invariants: one statement, one set of messages; without Realtime, does nothing.
-- The owners of an UPDATE are collected row by row in the setting bindery.departed: a transition
-- table would copy the rows of every report.
-- Locks: waits at most 100 ms for a lock of another session.
create or replace function bindery_internal.send_departures(departures jsonb) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  problem text;
begin
  if bindery_internal.has_realtime() and bindery_internal.broadcasts() then
    problem := bindery_internal.send_messages(null, null, departures);
    if problem is not null then
      perform bindery_internal.warn_not_broadcast(jsonb_array_length(departures), problem);
    end if;
  end if;
end
$$;

create or replace function bindery_internal.announce_deletion() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  -- A client ignores revisions that are not newer than its own.
  departures jsonb;
begin
  if not bindery_internal.has_realtime() then
    return null;
  end if;
  select jsonb_agg(jsonb_build_object(
    'book_id', d.book_id, 'owner_id', d.owner_id, 'revision', d.revision + 1))
  into departures from deleted d;
  if departures is not null then
    delete from bindery_internal.broadcast_windows w
    using jsonb_to_recordset(departures) as d(book_id uuid) where w.book_id = d.book_id;
    perform bindery_internal.send_departures(departures);
  end if;
  return null;
end
$$;

create or replace trigger announce_deletion after delete on bindery.book_status
referencing old table as deleted
for each statement execute function bindery_internal.announce_deletion();

create or replace function bindery_internal.collect_departure() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  collected text := coalesce(current_setting('bindery.departed', true), '');
begin
  if not bindery_internal.has_realtime() then
    return null;
  end if;
  -- Each row copies the collected ids, so a statement on very many books announces them in parts.
  if length(collected) >= 100000 then
    perform bindery_internal.send_departures(('[' || rtrim(collected, ',') || ']')::jsonb);
    collected := '';
  end if;
  perform set_config('bindery.departed', collected || jsonb_build_object('book_id', old.book_id,
    'owner_id', old.owner_id, 'revision', new.revision) || ',', true);
  return null;
end
$$;

create or replace trigger collect_departure after update of owner_id on bindery.book_status
for each row when (old.owner_id is distinct from new.owner_id)
execute function bindery_internal.collect_departure();

create or replace function bindery_internal.announce_departed() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  collected constant text := coalesce(current_setting('bindery.departed', true), '');
begin
  if collected <> '' then
    perform set_config('bindery.departed', '', true);
    perform bindery_internal.send_departures(('[' || rtrim(collected, ',') || ']')::jsonb);
  end if;
  return null;
end
$$;

create or replace trigger zz_announce_departed after update of owner_id on bindery.book_status
for each statement execute function bindery_internal.announce_departed();

comment on function bindery_internal.send_departures(jsonb) is
  'Sends the event gone to the topics that these books had ([{book_id, owner_id, revision}]). A '
  'failure is a warning, never an error.';
comment on function bindery_internal.announce_deletion() is
  'Announces the books that a statement deleted to the topics that they had.';
comment on function bindery_internal.collect_departure() is
  'Collects a book whose owner changes, with the former owner, for the end of the statement.';
comment on function bindery_internal.announce_departed() is
  'Announces the books whose owner a statement changed to the topics that they had.';
