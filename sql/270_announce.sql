-- announce: tells listeners on plain Postgres which books changed, at commit.
-- Invariants: a hint only, rows and revisions are the truth; silent where Supabase Realtime is there to do it (NOTIFY makes
-- the commits of a whole cluster queue up behind each other). Locks: none of ours.
create or replace function bindery_internal.announce() returns trigger
language plpgsql security definer
set search_path = ''
-- Transition tables have no index and no statistics: a nested loop over a batch of 1,000 books looks at a million pairs.
set enable_nestloop = off
set plan_cache_mode = force_generic_plan
as $$
begin
  -- The schema first: it is the quicker look-up, and on plain Postgres the only one.
  if to_regnamespace('realtime') is not null and to_regprocedure('realtime.send(jsonb,text,text,boolean)') is not null then
    return null;
  end if;
  if tg_op = 'INSERT' then
    perform pg_notify('bindery', json_build_object('book_id', n.book_id, 'revision', n.revision)::text) from new_books n;
  else
    perform pg_notify('bindery', json_build_object('book_id', n.book_id, 'revision', n.revision)::text)
    from new_books n join old_books o using (book_id) where n.revision <> o.revision;
  end if;
  return null;
end
$$;

create or replace trigger announce_start after insert on bindery.book_status
referencing new table as new_books for each statement execute function bindery_internal.announce();

create or replace trigger announce_change after update on bindery.book_status
referencing old table as old_books new table as new_books for each statement execute function bindery_internal.announce();

comment on function bindery_internal.announce() is
  'Notifies listeners of the books a statement changed, on plain Postgres.';
