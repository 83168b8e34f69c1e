-- guard_texts: BEFORE INSERT, and asked by guard_transition and touch where somebody's own UPDATE sets title, message, error or metadata.
-- Invariants: a plain INSERT or UPDATE is refused what a call is refused, with the same error (041, 042); the constraints of the
-- table stand behind it. Locks: the row being written.
create or replace function bindery_internal.refuse_texts(book bindery.book_status) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  if jsonb_typeof(book.metadata) is distinct from 'object' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('metadata', 'is not a JSON object', 'Give an object such as {"pages": 320}.'));
  elsif jsonb_typeof(book.error) <> 'object' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('error', 'is not a JSON object', 'Give an object such as {"code": "out_of_memory"}.'));
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
set search_path = ''
as $$
begin
  new.metadata := coalesce(new.metadata, '{}');
  perform bindery_internal.refuse_texts(new);
  return new;
end
$$;

create or replace trigger guard_texts_of_new before insert on bindery.book_status
for each row execute function bindery_internal.guard_texts();

comment on function bindery_internal.refuse_texts(bindery.book_status) is
  'Raises for a row the texts and JSON that calls refuse (PT422 bad_input).';
comment on function bindery_internal.guard_texts() is 'Refuses by a plain INSERT the texts and JSON that calls refuse (PT422 bad_input).';
