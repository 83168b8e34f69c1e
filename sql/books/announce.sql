-- announce: says which books changed: by Supabase Realtime's broadcast where that is installed,
-- else by NOTIFY.
-- Invariants: a hint only, rows and revisions are the truth; nothing that goes wrong here fails the
-- change. A function announces a book once, at its end; a plain statement's books are collected row
-- by row in the setting bindery.changed and announced after the statement.
-- Locks: none of ours; waits at most 100 ms for somebody else's.
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
  -- The schema first: the quicker look-up, and to_regprocedure raises where USAGE is missing.
  elsif has_schema_privilege(to_regnamespace('realtime'), 'usage')
    and to_regprocedure('realtime.send(jsonb,text,text,boolean)') is not null
  then
    if bindery_internal.broadcasts() then
      perform bindery_internal.broadcast(book_ids, substeps);
    end if;
  else
    -- Not both: NOTIFY serializes the commits of the whole cluster.
    -- Joined as text, which is much quicker than building JSON; neither value needs quoting.
    for i in 1 .. cardinality(book_ids) loop
      nothing := pg_notify('bindery',
        '{"book_id": "' || book_ids[i] || '", "revision": ' || revisions[i] || '}');
    end loop;
  end if;
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

-- Announces one book as it stands now, or, in a batch, collects it for the batch's end.
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
  -- Each row copies what was collected: a statement on very many books announces them in parts.
  if length(collected) >= 37 * 1000
    and coalesce(current_setting('bindery.batching', true), '') <> 'yes'
  then
    perform bindery_internal.announce_those(collected);
    collected := '';
  end if;
  collected := set_config('bindery.changed', collected || collect_change.book_id || ' ', true);
end
$$;

-- These books as they stand now. collected: their ids, with a blank after each.
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
