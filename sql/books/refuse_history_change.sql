-- refuse_history_change: BEFORE UPDATE on book_events, for every role.
-- Invariant: the history is appended to and pruned by age, never rewritten.
create or replace function bindery_internal.refuse_history_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform bindery_internal.raise_error(bindery_internal.error('PT409', 'history_is_append_only',
    'The history of a book is never rewritten.', 'Make the change itself; it will be recorded.'));
  return null;
end
$$;

create or replace trigger history_is_append_only before update on bindery.book_events
for each row execute function bindery_internal.refuse_history_change();

comment on function bindery_internal.refuse_history_change() is
  'Raises PT409 history_is_append_only: recorded changes stay as they were.';
