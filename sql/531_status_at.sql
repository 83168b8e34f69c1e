-- status_at: the status as the history has it at a moment.
-- Invariants: SECURITY INVOKER and STABLE; null before the book was registered.
-- Locks: none.
create or replace function bindery.status_at(book_id uuid, at timestamptz) returns jsonb
language plpgsql stable
set search_path = ''
as $$
#variable_conflict use_column
begin
  if not exists (select from bindery.book_status b where b.book_id = status_at.book_id) then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(status_at.book_id));
  end if;
  return (
    select jsonb_build_object('book_id', e.book_id, 'status', e.to_status, 'stage', e.stage, 'attempt', e.attempt,
      'revision', e.revision, 'since', e.at, 'actor', e.actor, 'message', e.message, 'data', e.data)
    from bindery.book_events e
    where e.book_id = status_at.book_id and e.at <= status_at.at
    order by e.revision desc limit 1);
end
$$;

comment on function bindery.status_at(uuid, timestamptz) is
  'What a book''s status was at a moment, from its history, as one JSON object; null before it was registered or pruned away.
{book_id, status, stage, attempt, revision, since, actor, message, data}. PT404 unknown_book.';
