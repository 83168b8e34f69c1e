-- pipelines: named, versioned state machines.
-- Invariants: a row is never changed; a row that books use cannot be deleted (their foreign key);
-- the kernel compiles machine.
-- Locks: define_pipeline takes the mutex pipelines.
create table bindery.pipelines (
  name text not null,
  version integer not null,
  definition jsonb not null,
  machine jsonb not null,
  created_at timestamptz not null default bindery_internal.now(),
  constraint pipelines_pkey primary key (name, version),
  constraint name_is_lower_snake_case check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  constraint version_counts_from_one check (version >= 1)
-- A machine of up to 8 KB stays in its row: each change of a book reads it.
) with (toast_tuple_target = 8160);

-- Every report reads the machine; uncompressed, it needs no decompression.
alter table bindery.pipelines alter column machine set storage external;
alter table bindery.pipelines enable row level security;

comment on table bindery.pipelines is
  'The pipelines a book may follow, by name and version. Rows are never changed: define the next '
  'version instead.';
comment on column bindery.pipelines.name is
  'The pipeline''s name, lower snake case, up to 63 characters.';
comment on column bindery.pipelines.version is
  'Counts from 1; a book stays on the version it began with.';
comment on column bindery.pipelines.definition is 'What was given to define_pipeline.';
comment on column bindery.pipelines.machine is 'The definition compiled by the kernel.';
comment on column bindery.pipelines.created_at is 'When this version was defined.';
