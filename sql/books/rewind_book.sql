-- rewind_book: moves a book back to an earlier stage, or a FAILED book to the start of the stage it
-- failed in.
-- Invariants: do_rewind returns null when done, else the error, and then changes nothing. No
-- progress of the entered stage is kept. Locks: the book's row.
create or replace function bindery_internal.do_rewind(
  book_id uuid, to_stage text, message text default null, expected_revision bigint default null
) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  if do_rewind.to_stage is null then
    return bindery_internal.bad_input('to_stage', 'is missing', 'Name the stage to go back to.');
  elsif bindery_internal.refused_text('to_stage', do_rewind.to_stage, 63) is not null then
    return bindery_internal.refused_text('to_stage', do_rewind.to_stage, 63);
  end if;
  select b.* into book from bindery.book_status b
  where b.book_id = do_rewind.book_id for no key update;
  if not found then
    return bindery_internal.unknown_book(do_rewind.book_id);
  elsif bindery_internal.state_of(
    bindery_internal.book_machine(book), do_rewind.to_stage) is null
  then
    return bindery_internal.refused_report(
      'unknown_stage', book.book_id, do_rewind.to_stage, null, null);
  end if;
  return bindery_internal.do_transition(do_rewind.book_id, do_rewind.to_stage, do_rewind.message,
    do_rewind.expected_revision, rewinding => true);
end
$$;

create or replace function bindery.rewind_book(
  book_id uuid, to_stage text, message text default null, expected_revision bigint default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_rewind(
    rewind_book.book_id, rewind_book.to_stage, rewind_book.message,
    rewind_book.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = rewind_book.book_id;
end
$$;

comment on function bindery_internal.do_rewind(uuid, text, text, bigint) is
  'Takes a book a step back. Null: done; else the error.';
comment on function bindery.rewind_book(uuid, text, text, bigint) is
  'Takes a book back to an earlier stage, or a FAILED one to the start of the stage it failed in; '
  'gives its row.
The stage starts over with nothing kept, as its next attempt; workers are notified as of a resume. '
  'A book that is complete or CANCELLED is not rewound. PT404 unknown_book or unknown_stage, PT409 '
  'illegal_transition (the detail lists where it may go) or stale_revision, PT422 bad_input.';
