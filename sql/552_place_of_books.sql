-- place_of_books: where books stand as a stage sees them; for events that say that work on the stage has begun.
-- Invariants: reads only; a book that is not there is not among the answers.
-- Locks: none.
create or replace function bindery_internal.place_of_books(stage text, book_ids uuid[])
returns table (book_id uuid, place text)
language plpgsql stable security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stage', place_of_books.stage, 63));
  return query
  select b.book_id, case
    when b.status = place_of_books.stage then 'at'
    when b.status = 'FAILED' and b.current_stage = place_of_books.stage then 'failed'
    when exists (
      select from jsonb_array_elements(
        bindery_internal.state_of(bindery_internal.machine(b.pipeline, b.pipeline_version), b.status) -> 'next') as n(edge)
      where n.edge ->> 'to' = place_of_books.stage) then 'before'
    else 'elsewhere' end
  from bindery.book_status b where b.book_id = any (place_of_books.book_ids);
end
$$;

create or replace function bindery.place_of_books(stage text, book_ids uuid[])
returns table (book_id uuid, place text)
language sql stable
set search_path = ''
as $$
  select p.* from bindery_internal.place_of_books(place_of_books.stage, place_of_books.book_ids) p;
$$;

comment on function bindery_internal.place_of_books(text, uuid[]) is 'See bindery.place_of_books.';
comment on function bindery.place_of_books(text, uuid[]) is
  'Where books stand as a stage sees them: at it; failed in it; before it, where the next transition may lead there; else elsewhere.
Unknown books are left out. PT422 bad_input.';
