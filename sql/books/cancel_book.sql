-- cancel_book: stops a book permanently.
-- Invariants: SECURITY INVOKER; CANCELLED is final and keeps its percentage.
-- Locks: as bindery_internal.do_transition.
create or replace function bindery.cancel_book(
  book_id uuid, message text default null, expected_revision bigint default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_transition(
    cancel_book.book_id, 'CANCELLED', cancel_book.message, cancel_book.expected_revision,
    asking_first => false));
  return query select b.* from bindery.book_status b where b.book_id = cancel_book.book_id;
end
$$;

comment on function bindery.cancel_book(uuid, text, bigint) is
  'Stops a book permanently, where it is; gives its row.
A CANCELLED book stays as it is. PT404 unknown_book, PT409 illegal_transition (it is complete) or '
  'stale_revision, PT422 bad_input.';
