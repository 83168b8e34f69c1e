-- pipelines: named, versioned state machines.
-- Invariants: a row is never changed; one that books use is not deleted (their foreign key); machine is what the kernel compiled.
-- Locks: define_pipeline takes an advisory lock on the name, before anything else.
create table bindery.pipelines (
  name text not null,
  version integer not null,
  definition jsonb not null,
  machine jsonb not null,
  created_at timestamptz not null default bindery_internal.now(),
  constraint pipelines_pkey primary key (name, version),
  constraint name_is_lower_snake_case check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  constraint version_counts_from_one check (version >= 1)
);

-- Every report reads the machine: uncompressed it is read without unpacking.
alter table bindery.pipelines alter column machine set storage external;
alter table bindery.pipelines enable row level security;

comment on table bindery.pipelines is
  'The pipelines a book may follow, by name and version. Rows are never changed: define the next version instead.';
comment on column bindery.pipelines.name is 'The pipeline''s name, lower snake case, up to 63 characters.';
comment on column bindery.pipelines.version is 'Counts from 1; a book stays on the version it began with.';
comment on column bindery.pipelines.definition is 'What was given to define_pipeline.';
comment on column bindery.pipelines.machine is 'The definition compiled by the kernel.';
comment on column bindery.pipelines.created_at is 'When this version was defined.';

create or replace function bindery_internal.machine(pipeline text, pipeline_version integer) returns jsonb
language plpgsql stable parallel safe security definer
set search_path = ''
as $$
begin
  return (select p.machine from bindery.pipelines p where p.name = pipeline and p.version = pipeline_version);
end
$$;

create or replace function bindery_internal.refuse_pipeline_change() returns trigger
language plpgsql
set search_path = ''
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
