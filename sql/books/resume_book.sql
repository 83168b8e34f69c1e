-- resume_book: resumes a FAILED book at the stage it failed in.
-- Invariants: do_resume returns null when done, else the error, and then changes nothing.
-- bindery_internal.kept decides which progress is kept. Locks: the book's row.
create or replace function bindery_internal.not_failed(book bindery.book_status) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.error('PT409', 'not_failed',
    format('Book %s is in %s; only a FAILED book is resumed.', book.book_id, book.status),
    'Nothing has to be done: read its status again.',
    jsonb_build_object('book_id', book.book_id, 'status', book.status));
$$;

create or replace function bindery_internal.do_resume(
  book_id uuid, expected_revision bigint default null, message text default null
) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  select b.* into book from bindery.book_status b
  where b.book_id = do_resume.book_id for no key update;
  if not found then
    return bindery_internal.unknown_book(do_resume.book_id);
  elsif book.status <> 'FAILED' then
    return bindery_internal.not_failed(book);
  end if;
  return bindery_internal.do_transition(do_resume.book_id, book.current_stage, do_resume.message,
    do_resume.expected_revision);
end
$$;

create or replace function bindery.resume_book(
  book_id uuid, expected_revision bigint default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_resume(
    resume_book.book_id, resume_book.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = resume_book.book_id;
end
$$;

comment on function bindery_internal.not_failed(bindery.book_status) is
  'The error of a resume of a book that is not FAILED.';
comment on function bindery_internal.do_resume(uuid, bigint, text) is
  'Resumes a FAILED book. Null: done; else the error.';
comment on function bindery.resume_book(uuid, bigint) is
  'A FAILED book continues at the stage it failed in, as the next attempt; gives its row.
Substeps that are finished or have a checkpoint are kept, the others start over. PT404 '
  'unknown_book, PT409 not_failed or stale_revision.';
