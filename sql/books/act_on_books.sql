-- resume_books, cancel_books: an operator's act on many books, one batch a call.
-- Invariants: a book that is refused changes nothing and leaves the others as they are; with
-- dry_run nothing changes, and the outcomes are those of the call without it, as far as locks and
-- later changes do not matter.
-- Locks: the books' rows in order of book_id, all before the first change; waits 2 seconds for a
-- row at most, and then refuses the books whose rows another session holds.
create or replace function bindery_internal.act_on_books(
  book_ids uuid[], to_status text, message text, dry_run boolean
) returns table (book_id uuid, outcome text, code text, reason text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s'
as $$
#variable_conflict use_column
declare
  ids constant uuid[] := array(
    select distinct u.book_id from unnest(act_on_books.book_ids) as u(book_id)
    order by u.book_id);
  -- The books whose rows another session holds.
  unheld uuid[] := '{}';
  book bindery.book_status;
  refusal jsonb;
  detail text;
begin
  if coalesce(cardinality(ids), 0) not between 1 and 10000 or array_position(ids, null) > 0 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('book_ids',
      'are not between 1 and 10,000 ids', 'Name the books by their ids.'));
  elsif act_on_books.dry_run is null then
    perform bindery_internal.raise_error(bindery_internal.bad_input('dry_run', 'is null',
      'Give false to act, true to see what would become of it.'));
  end if;
  perform bindery_internal.raise_error(
    bindery_internal.refused_text('message', act_on_books.message, 8192));
  if not act_on_books.dry_run then
    begin
      perform from bindery.book_status b where b.book_id = any (ids)
      order by b.book_id for no key update;
    exception when lock_not_available or deadlock_detected then
      unheld := array(
        with locked as materialized (
          select b.book_id from bindery.book_status b where b.book_id = any (ids)
          order by b.book_id for no key update skip locked)
        select b.book_id from bindery.book_status b
        where b.book_id = any (ids) and b.book_id not in (select l.book_id from locked l));
    end;
  end if;

  foreach book_id in array ids loop
    refusal := null;
    select b.* into book from bindery.book_status b where b.book_id = act_on_books.book_id;
    if not found then
      refusal := bindery_internal.unknown_book(book_id);
    elsif to_status is null and book.status <> 'FAILED' then
      refusal := bindery_internal.not_failed(book);
    elsif act_on_books.dry_run then
      if book.status is distinct from to_status then
        begin
          refusal := bindery_internal.refused_transition(
            book, coalesce(to_status, book.current_stage), false,
            bindery_internal.book_machine(book));
        exception when others then
          get stacked diagnostics detail = pg_exception_detail;
          refusal := bindery_internal.caught(sqlstate, sqlerrm, detail);
        end;
      end if;
    elsif book_id = any (unheld) then
      refusal := bindery_internal.caught('55P03',
        format('Another session holds the lock on book %s.', book_id), null);
    else
      begin
        refusal := bindery_internal.do_transition(
          book_id, coalesce(to_status, book.current_stage), act_on_books.message);
      exception when others then
        get stacked diagnostics detail = pg_exception_detail;
        refusal := bindery_internal.caught(sqlstate, sqlerrm, detail);
      end;
    end if;
    outcome := case when refusal is not null then 'refused' when act_on_books.dry_run
      then 'allowed' else 'done' end;
    code := refusal ->> 'code';
    reason := refusal ->> 'message';
    return next;
  end loop;
end
$$;

-- An error that was raised, as a value of bindery_internal.error.
create or replace function bindery_internal.caught(sqlstate text, message text, detail text)
returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The detail of an error of Bindery is JSON; of another it can be any text.
  return bindery_internal.error(sqlstate, coalesce(
    case when sqlstate like 'PT%' and detail like '{%' then detail::jsonb ->> 'code' end,
    sqlstate), message, 'Read the book''s status.');
end
$$;

create or replace function bindery.resume_books(book_ids uuid[], dry_run boolean default false)
returns table (book_id uuid, outcome text, code text, reason text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query select a.* from bindery_internal.act_on_books(
    resume_books.book_ids, null, null, resume_books.dry_run) a;
end
$$;

create or replace function bindery.cancel_books(
  book_ids uuid[], message text default null, dry_run boolean default false
) returns table (book_id uuid, outcome text, code text, reason text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query select a.* from bindery_internal.act_on_books(
    cancel_books.book_ids, 'CANCELLED', cancel_books.message, cancel_books.dry_run) a;
end
$$;

comment on function bindery_internal.act_on_books(uuid[], text, text, boolean) is
  'Resumes these books (to_status null) or moves them to a status; see bindery.resume_books.';
comment on function bindery_internal.caught(text, text, text) is
  'An error that was raised, as a value; its code is that of its detail, or the SQLSTATE.';
comment on function bindery.resume_books(uuid[], boolean) is
  'Resumes these books (1 to 10,000 ids) and gives a row a book, in order of book_id.
outcome: done, or refused with the code and the reason; a refused book does not affect the others. '
  'dry_run: nothing changes, and the outcome is allowed in place of done. Give a few hundred ids a '
  'call, since their rows stay locked until the transaction ends. PT422 bad_input.';
comment on function bindery.cancel_books(uuid[], text, boolean) is
  'Stops these books (1 to 10,000 ids) permanently and gives a row a book, as resume_books does.
A CANCELLED book stays as it is: done. PT422 bad_input.';
