-- start_book: BEFORE INSERT on book_status, whoever inserts.
-- Invariants: a book begins in its pipeline's first state, at revision 1 and 0 percent, on a version that exists.
-- Locks: none beyond the new row.
create or replace function bindery_internal.start_book() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  machine jsonb;
  initial text;
  summary jsonb;
  moment constant timestamptz := bindery_internal.now();
begin
  new.pipeline := coalesce(new.pipeline, 'comic');
  new.pipeline_version := coalesce(new.pipeline_version,
    (select max(p.version) from bindery.pipelines p where p.name = new.pipeline));
  machine := bindery_internal.machine(new.pipeline, new.pipeline_version);
  if machine is null then
    perform bindery_internal.raise_error(bindery_internal.unknown_pipeline(new.pipeline, new.pipeline_version));
  end if;
  initial := machine #>> '{states,0,name}';
  if new.status is distinct from initial and new.status is not null then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'illegal_transition',
      format('A new book of the pipeline %s begins in %s, not in %s.', new.pipeline, initial, new.status),
      format('Insert it without a status, or with %s; then make its transitions one by one.', initial),
      jsonb_build_object('from', null, 'to', new.status, 'allowed', jsonb_build_array(initial))));
  end if;
  summary := bindery_core.summarize(machine, initial, initial, '[]');
  new.status := initial;
  new.current_stage := initial;
  new.overall_progress := (summary ->> 'overall')::double precision;
  new.stage_progress := (summary ->> 'stage_progress')::double precision;
  new.substeps := summary -> 'substeps';
  new.error := null;
  new.attempt := 1;
  new.revision := 1;
  new.heartbeat_at := moment;
  new.stage_started_at := moment;
  new.resume_at := null;
  new.estimated_completion_at := (
    select bindery_internal.estimate(moment, moment, new.stage_progress, 1, p.median_seconds, p.later_seconds)
    from bindery_internal.stage_pace p
    where p.pipeline = new.pipeline and p.pipeline_version = new.pipeline_version and p.stage = initial);
  new.created_at := moment;
  new.updated_at := moment;
  new.completed_at := null;
  return new;
end
$$;

create or replace function bindery_internal.unknown_pipeline(pipeline text, pipeline_version integer) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select bindery_internal.error('PT404', 'unknown_pipeline',
    format('There is no pipeline %s%s.', pipeline, ' version ' || pipeline_version),
    'Define it with bindery.define_pipeline, or name one that is there.',
    jsonb_build_object('pipeline', pipeline, 'version', pipeline_version));
$$;

create or replace trigger start_book before insert on bindery.book_status
for each row execute function bindery_internal.start_book();

comment on function bindery_internal.start_book() is
  'Puts a new book at its pipeline''s first state, on a version that exists, whoever inserts it.';
comment on function bindery_internal.unknown_pipeline(text, integer) is
  'The error PT404 unknown_pipeline.';
