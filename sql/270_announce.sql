-- announce: tells the world which books changed: by Supabase Realtime's broadcast where that is there, else by NOTIFY.
-- Invariants: a hint only, rows and revisions are the truth; nothing that goes wrong here fails the change; a batch of events is
-- announced once a book, at its end (apply_events). Locks: none of ours; waits at most 100 ms for somebody else's.
create or replace function bindery_internal.announce_books(book_ids uuid[]) returns void
language plpgsql security definer
set search_path = ''
-- Found by index and planned once, however small the tables were when that was.
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
  -- The schema first: it is the quicker look-up, and on plain Postgres the only one. Whoever may not look into it is as without it;
  -- to_regprocedure would raise.
  if has_schema_privilege(to_regnamespace('realtime'), 'usage') and to_regprocedure('realtime.send(jsonb,text,text,boolean)') is not null then
    if coalesce(current_setting('bindery.broadcast', true), '') <> 'off' then
      perform bindery_internal.broadcast(book_ids);
    end if;
  else
    -- Not both: NOTIFY makes the commits of a whole cluster queue up behind each other.
    perform pg_notify('bindery', json_build_object('book_id', b.book_id, 'revision', b.revision)::text)
    from bindery.book_status b where b.book_id = any (book_ids) order by b.book_id;
  end if;
end
$$;

create or replace function bindery_internal.announce() returns trigger
language plpgsql security definer
set search_path = ''
-- Transition tables have no index and no statistics: a nested loop over a batch of 1,000 books looks at a million pairs.
set enable_nestloop = off
set plan_cache_mode = force_generic_plan
as $$
declare
  changed uuid[];
begin
  if coalesce(current_setting('bindery.batching', true), '') = 'yes' then
    return null;
  elsif tg_op = 'INSERT' then
    changed := array(select n.book_id from new_books n);
  else
    changed := array(select n.book_id from new_books n join old_books o using (book_id) where n.revision <> o.revision);
  end if;
  if changed <> '{}' then
    perform bindery_internal.announce_books(changed);
  end if;
  return null;
end
$$;

create or replace trigger announce_start after insert on bindery.book_status
referencing new table as new_books for each statement execute function bindery_internal.announce();

create or replace trigger announce_change after update on bindery.book_status
referencing old table as old_books new table as new_books for each statement execute function bindery_internal.announce();

comment on function bindery_internal.announce_books(uuid[]) is
  'Tells listeners that these books changed: broadcasts where realtime.send is there and bindery.broadcast is not off, else NOTIFY bindery.';
comment on function bindery_internal.announce() is 'Announces the books a statement changed, unless a batch does so at its end.';
