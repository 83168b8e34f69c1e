-- status_at: a book's status at a moment, from its history.
-- Invariants: SECURITY INVOKER and STABLE; null before the book was registered.
create or replace function bindery.status_at(book_id uuid, at timestamptz) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if status_at.at is null then
    perform bindery_internal.raise_error(bindery_internal.bad_input('at', 'is missing',
      'Give the moment to look back to.'));
  elsif not exists (select from bindery.book_status b where b.book_id = status_at.book_id) then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(status_at.book_id));
  end if;
  return (
    select jsonb_build_object('book_id', e.book_id, 'status', e.to_status, 'stage', e.stage,
      'attempt', e.attempt,
      'revision', e.revision, 'since', e.at, 'actor', e.actor, 'message', e.message, 'data', e.data)
    from bindery.book_events e
    -- If the next row begins at another status, the rows between were pruned: the status is
    -- unknown.
    left join lateral (
      select n.from_status from bindery.book_events n
      where n.book_id = e.book_id and n.revision > e.revision order by n.revision limit 1) n on true
    where e.book_id = status_at.book_id and e.revision = (
        select max(l.revision) from bindery.book_events l where l.book_id = status_at.book_id
          and l.at <= status_at.at)
      and coalesce(n.from_status, e.to_status) = e.to_status);
end
$$;

comment on function bindery.status_at(uuid, timestamptz) is
  'What a book''s status was at a moment, from its history, as one JSON object; null before it '
  'was registered, or where that history was pruned.
{book_id, status, stage, attempt, revision, since, actor, message, data}. PT404 unknown_book, '
  'PT422 bad_input.';
