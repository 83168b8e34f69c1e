-- do_register: puts a book at the start of a pipeline; the same call again finds it there.
-- Invariants: returns null when the book stands as asked, else the error; changes nothing then.
-- Locks: the new row.
create or replace function bindery_internal.do_register(
  book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb
) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  refusal jsonb;
begin
  if do_register.book_id is null then
    return bindery_internal.bad_input('book_id', 'is missing', 'Give the book''s uuid.');
  elsif jsonb_typeof(do_register.metadata) <> 'object' then
    return bindery_internal.bad_input('metadata', 'is not a JSON object', 'Give an object such as {"pages": 320}.');
  end if;
  refusal := coalesce(
    bindery_internal.refused_text('title', do_register.title, 1024),
    bindery_internal.refused_text('pipeline', do_register.pipeline, 63),
    bindery_internal.refused_json('metadata', do_register.metadata));
  if refusal is not null then
    return refusal;
  elsif not exists (select from bindery.pipelines p where p.name = coalesce(do_register.pipeline, 'comic')) then
    return bindery_internal.unknown_pipeline(do_register.pipeline, null);
  end if;

  insert into bindery.book_status (book_id, owner_id, pipeline, title, metadata)
  values (do_register.book_id, do_register.owner_id, coalesce(do_register.pipeline, 'comic'), do_register.title,
    coalesce(do_register.metadata, '{}'))
  on conflict (book_id) do nothing;
  if found then
    return null;
  end if;

  select b.* into book from bindery.book_status b where b.book_id = do_register.book_id;
  if book.pipeline <> do_register.pipeline or book.owner_id is distinct from coalesce(do_register.owner_id, book.owner_id) then
    return bindery_internal.error('PT409', 'conflicting_registration',
      format('Book %s is registered already, with another pipeline or owner.', book.book_id),
      'Use a new id for another book; a registration is not changed by registering again.',
      jsonb_build_object('book_id', book.book_id, 'pipeline', book.pipeline));
  end if;
  return null;
end
$$;

comment on function bindery_internal.do_register(uuid, uuid, text, text, jsonb) is
  'Puts a book at the start of a pipeline. Null: it stands as asked; else the error.';
