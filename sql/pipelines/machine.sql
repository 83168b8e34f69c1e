-- The compiled machine of a pipeline's version: what every rule asks.
-- Invariant: readers get it without a right to read the table; a version never changes, so the
-- answer is the same for good.
-- Locks: reads only.
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

comment on function bindery_internal.machine(text, integer) is
  'The compiled machine of this version of the pipeline; null where there is none.';
