-- refuse_pipeline_change: BEFORE UPDATE on pipelines, for every role.
-- Invariant: a version never changes after it was defined, because books rely on it.
create or replace function bindery_internal.refuse_pipeline_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform bindery_internal.raise_error(bindery_internal.error('PT409', 'pipeline_is_immutable',
    format('Version %s of the pipeline %s is fixed.', old.version, old.name),
    'Define the next version with bindery.define_pipeline; books keep the version they began with.',
    jsonb_build_object('pipeline', old.name, 'version', old.version)));
  return null;
end
$$;

create or replace trigger pipeline_is_immutable before update on bindery.pipelines
for each row execute function bindery_internal.refuse_pipeline_change();

comment on function bindery_internal.refuse_pipeline_change() is
  'Raises PT409 pipeline_is_immutable: a version of a pipeline is fixed.';
