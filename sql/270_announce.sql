-- announce: tells the world which books changed: by Supabase Realtime's broadcast where that is there, else by NOTIFY.
-- Invariants: a hint only, rows and revisions are the truth; nothing that goes wrong here fails the change; a batch of events is
-- announced once a book, at its end (apply_events), and a change of status by whoever makes it (do_transition). Locks: none of ours; waits at most 100 ms for somebody else's.
create or replace function bindery_internal.announce_books(book_ids uuid[], revisions bigint[]) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  nothing text;
begin
  if book_ids is null then
    return;
  end if;
  -- The schema first: it is the quicker look-up, and on plain Postgres the only one. Whoever may not look into it is as without it;
  -- to_regprocedure would raise.
  if has_schema_privilege(to_regnamespace('realtime'), 'usage') and to_regprocedure('realtime.send(jsonb,text,text,boolean)') is not null then
    if bindery_internal.broadcasts() then
      perform bindery_internal.broadcast(book_ids);
    end if;
  else
    -- Not both: NOTIFY makes the commits of a whole cluster queue up behind each other.
    for i in 1 .. cardinality(book_ids) loop
      -- An assignment, which costs a single book less than a query.
      nothing := pg_notify('bindery', json_build_object('book_id', book_ids[i], 'revision', revisions[i])::text);
    end loop;
  end if;
end
$$;

create or replace function bindery_internal.announce() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  changed uuid[];
  revisions bigint[];
begin
  -- do_transition's UPDATE, too, is of one book that is known, and announced, without these tables; but not what others' triggers do
  -- in the midst of it.
  if coalesce(current_setting('bindery.batching', true), '') = 'yes'
    or (pg_trigger_depth() = 1 and coalesce(current_setting('bindery.changing', true), '') <> '')
  then
    return null;
  elsif tg_op = 'INSERT' then
    select array_agg(n.book_id), array_agg(n.revision) into changed, revisions from new_books n;
  else
    -- No join: transition tables have no index and no statistics, and a nested loop over 1,000 books looks at a million pairs.
    select array_agg(c.book_id), array_agg(c.revision) into changed, revisions
    from (select n.book_id, n.revision from new_books n except select o.book_id, o.revision from old_books o) as c;
  end if;
  perform bindery_internal.announce_books(changed, revisions);
  return null;
end
$$;

create or replace trigger announce_start after insert on bindery.book_status
referencing new table as new_books for each statement execute function bindery_internal.announce();

create or replace trigger announce_change after update on bindery.book_status
referencing old table as old_books new table as new_books for each statement execute function bindery_internal.announce();

comment on function bindery_internal.announce_books(uuid[], bigint[]) is
  'Tells listeners that these books have these revisions: broadcasts where realtime.send is there and not switched off, else NOTIFY bindery.';
comment on function bindery_internal.announce() is 'Announces the books a statement changed, unless a batch does so at its end.';
