-- schema_version: the version of the schema that `binderyd migrate` or a migration recorded.
-- Invariants: read-only. The table of the record is made by the migration, before or after this
-- function, so the query is dynamic.
create or replace function bindery_internal.schema_version() returns integer
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  version integer;
begin
  if to_regclass('bindery_internal.schema_history') is not null then
    execute 'select max(h.version) from bindery_internal.schema_history h' into version;
  end if;
  return version;
end
$$;

create or replace function bindery.schema_version() returns integer
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.schema_version();
$$;

comment on function bindery_internal.schema_version() is 'See bindery.schema_version.';
comment on function bindery.schema_version() is
  'The version of the schema that this database records; null: it was installed without a record.';
