-- guard_texts: checks the form of a book's texts and JSON: BEFORE INSERT, and called by
-- guard_transition and touch if a plain UPDATE sets title, message, error or metadata.
-- Invariant: a plain write is refused with the same error as a call.
create or replace function bindery_internal.refuse_texts(book bindery.book_status) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if jsonb_typeof(book.metadata) is distinct from 'object' then
    perform bindery_internal.raise_error(bindery_internal.bad_input(
      'metadata', 'is not a JSON object', 'Give an object such as {"pages": 320}.'));
  elsif jsonb_typeof(book.error) <> 'object' then
    perform bindery_internal.raise_error(bindery_internal.bad_input(
      'error', 'is not a JSON object', 'Give an object such as {"code": "out_of_memory"}.'));
  end if;
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_text('status', book.status, 63),
    bindery_internal.refused_text('title', book.title, 1024),
    bindery_internal.refused_text('message', book.message, 8192),
    bindery_internal.refused_json('error', book.error),
    bindery_internal.refused_json('metadata', book.metadata)));
end
$$;

create or replace function bindery_internal.guard_texts() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  new.metadata := coalesce(new.metadata, '{}');
  -- For every writer: any role may set the settings that mark Bindery's own functions.
  perform bindery_internal.refuse_texts(new);
  return new;
end
$$;

create or replace trigger guard_texts before insert on bindery.book_status
for each row execute function bindery_internal.guard_texts();

comment on function bindery_internal.refuse_texts(bindery.book_status) is
  'Raises for a row the texts and JSON that calls refuse (PT422 bad_input).';
comment on function bindery_internal.guard_texts() is
  'Refuses in an INSERT the texts and JSON that calls refuse (PT422 bad_input).';
