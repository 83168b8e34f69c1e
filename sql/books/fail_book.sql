-- fail_book: halts a book as FAILED.
-- Invariants: SECURITY INVOKER; the book keeps its values.
-- Locks: as bindery_internal.do_transition.
create or replace function bindery.fail_book(
  book_id uuid, error jsonb default null, message text default null,
  expected_revision bigint default null, attempt integer default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_transition(
    fail_book.book_id, 'FAILED', fail_book.message, fail_book.expected_revision,
    fail_book.attempt, coalesce(fail_book.error, '{}'), asking_first => false));
  return query select b.* from bindery.book_status b where b.book_id = fail_book.book_id;
end
$$;

comment on function bindery.fail_book(uuid, jsonb, text, bigint, integer) is
  'Halts a book as FAILED with an error object and a message; gives its row.
The error has a code of yours ({"code": "out_of_memory", …}). With "retry": false the book waits '
  'for an operator, else sweep resumes it where its stage says retry_after and attempts are left. '
  'A '
  'worker gives its attempt: from an earlier one than the book''s the call has no effect, and so '
  'has '
  'a call for a book that is FAILED already. PT404 unknown_book, PT409 illegal_transition, '
  'stale_revision or attempt_ahead, PT422 bad_input.';
