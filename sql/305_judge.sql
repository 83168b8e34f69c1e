-- judge: what becomes of a word about a book as a whole, from a service in this stage and attempt (null: the current ones).
-- Invariants: gives unknown_book, or a verdict of bindery_core.report_verdict; changes nothing.
-- Locks: the book's row.
create or replace function bindery_internal.judge(book_id uuid, stage text, attempt integer) returns text
language plpgsql security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  select b.* into book from bindery.book_status b where b.book_id = judge.book_id for no key update;
  if not found then
    return 'unknown_book';
  end if;
  return bindery_core.report_verdict(bindery_internal.machine(book.pipeline, book.pipeline_version),
    book.status, book.current_stage, book.attempt, judge.stage, 'all', judge.attempt, true,
    case when judge.stage <> book.current_stage then bindery_internal.last_attempt(book.book_id, judge.stage) end);
end
$$;

comment on function bindery_internal.judge(uuid, text, integer) is
  'The verdict on a word about a book as a whole from this stage and attempt (null: the current ones): unknown_book, or one of bindery_core.report_verdict.';
