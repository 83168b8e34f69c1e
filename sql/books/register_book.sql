-- register_book: registers a book in the first state of a pipeline; a repeated call has no effect.
-- Invariants: do_register returns null when the book exists as requested, else the error, and then
-- changes nothing. Locks: its registration slot, then the new row.
create or replace function bindery_internal.do_register(
  book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb
) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  refusal jsonb;
  nothing text;
  outer_change constant text := coalesce(current_setting('bindery.changing', true), '');
  outer_writer constant text := coalesce(current_setting('bindery.writer', true), '');
  done boolean;
begin
  if do_register.book_id is null then
    return bindery_internal.bad_input('book_id', 'is missing', 'Give the book''s uuid.');
  elsif jsonb_typeof(do_register.metadata) <> 'object' then
    return bindery_internal.bad_input('metadata', 'is not a JSON object',
      'Give an object such as {"pages": 320}.');
  end if;
  refusal := coalesce(
    bindery_internal.refused_text('title', do_register.title, 1024),
    bindery_internal.refused_text('pipeline', do_register.pipeline, 63),
    bindery_internal.refused_json('metadata', do_register.metadata));
  if refusal is not null then
    return refusal;
  elsif not exists (
    select from bindery.pipelines p where p.name = coalesce(do_register.pipeline, 'comic'))
  then
    return bindery_internal.unknown_pipeline(do_register.pipeline, null);
  end if;

  nothing := set_config('bindery.changing', do_register.book_id::text, true);
  nothing := set_config('bindery.writer', pg_trigger_depth()::text, true);
  insert into bindery.book_status (book_id, owner_id, pipeline, title, metadata)
  values (do_register.book_id, do_register.owner_id, coalesce(do_register.pipeline, 'comic'),
    do_register.title, coalesce(do_register.metadata, '{}'))
  on conflict on constraint book_status_pkey do nothing;
  done := found;
  nothing := set_config('bindery.writer', outer_writer, true);
  nothing := set_config('bindery.changing', outer_change, true);
  if done then
    nothing := bindery_internal.settle_and_announce(do_register.book_id, 1);
    return null;
  end if;

  select b.* into book from bindery.book_status b where b.book_id = do_register.book_id;
  if book.pipeline <> do_register.pipeline
    or book.owner_id is distinct from coalesce(do_register.owner_id, book.owner_id)
  then
    return bindery_internal.error('PT409', 'conflicting_registration',
      format('Book %s is registered already, with another pipeline or owner.', book.book_id),
      'Use a new id for another book; registering again does not change a registration.',
      jsonb_build_object('book_id', book.book_id, 'pipeline', book.pipeline));
  end if;
  return null;
end
$$;

create or replace function bindery.register_book(
  book_id uuid, owner_id uuid default null, pipeline text default null, title text default null,
  metadata jsonb default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_register(
    register_book.book_id, register_book.owner_id, register_book.pipeline, register_book.title,
    register_book.metadata));
  return query select b.* from bindery.book_status b where b.book_id = register_book.book_id;
end
$$;

comment on function bindery_internal.do_register(uuid, uuid, text, text, jsonb) is
  'Puts a book at the start of a pipeline. Null: it stands as asked; else the error.';
comment on function bindery.register_book(uuid, uuid, text, text, jsonb) is
  'Puts a book at the start of a pipeline (comic unless named), and gives its row.
Idempotent: the same call again gives the row as it stands. PT404 unknown_pipeline, PT409 '
  'conflicting_registration (another pipeline or owner), PT422 bad_input.';
