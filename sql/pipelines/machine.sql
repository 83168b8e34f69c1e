-- The compiled machine of a pipeline's version, which every rule reads.
-- Invariant: readers get it without a right to read the table; a version never changes, so neither
-- does the answer.
create or replace function bindery_internal.machine(pipeline text,
  pipeline_version integer) returns jsonb
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select p.machine from bindery.pipelines p where p.name = pipeline
    and p.version = pipeline_version);
end
$$;

-- The same for a book, whose pipeline may be missing after a restore of data.
create or replace function bindery_internal.book_machine(book bindery.book_status) returns jsonb
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  machine constant jsonb := (select p.machine from bindery.pipelines p
    where p.name = book.pipeline and p.version = book.pipeline_version);
begin
  if machine is null and book.book_id is not null then
    perform bindery_internal.raise_error(bindery_internal.missing_pipeline(
      book.book_id, book.pipeline, book.pipeline_version));
  end if;
  return machine;
end
$$;

comment on function bindery_internal.book_machine(bindery.book_status) is
  'The compiled machine of a book''s pipeline; raises PT409 missing_pipeline where there is none.';
comment on function bindery_internal.machine(text, integer) is
  'The compiled machine of this version of the pipeline; null where there is none.';
