-- rewind_book: an operator's step back.
-- Invariants: SECURITY INVOKER; the stage that is entered starts over, as its next attempt.
-- Locks: as bindery_internal.do_rewind.
create or replace function bindery.rewind_book(
  book_id uuid, to_stage text, message text default null, expected_revision bigint default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_rewind(
    rewind_book.book_id, rewind_book.to_stage, rewind_book.message, rewind_book.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = rewind_book.book_id;
end
$$;

comment on function bindery.rewind_book(uuid, text, text, bigint) is
  'Takes a book back to an earlier stage, or a FAILED one to the start of the stage it failed in; gives its row.
The stage starts over with nothing kept, as its next attempt, and workers hear of it as of a resume. A book that is complete or CANCELLED is not rewound. PT404 unknown_book or unknown_stage, PT409 illegal_transition (the detail lists where it may go) or stale_revision, PT422 bad_input.';
