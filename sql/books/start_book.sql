-- start_book: BEFORE INSERT on book_status, for every writer.
-- Invariants: a book begins in its pipeline's first state, at revision 1 and 0 percent, on a
-- version that exists. Locks: the book's registration slot.
create or replace function bindery_internal.start_book() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  machine jsonb;
  state jsonb;
  initial text;
  sums record;
  moment constant timestamptz := bindery_internal.now();
begin
  perform bindery_internal.share_slot(new.book_id);
  new.pipeline := coalesce(new.pipeline, 'comic');
  new.pipeline_version := coalesce(new.pipeline_version,
    (select max(p.version) from bindery.pipelines p where p.name = new.pipeline));
  machine := bindery_internal.machine(new.pipeline, new.pipeline_version);
  if machine is null then
    perform bindery_internal.raise_error(
      bindery_internal.unknown_pipeline(new.pipeline, new.pipeline_version));
  end if;
  state := machine #> '{states,0}';
  initial := state ->> 'name';
  if new.status is distinct from initial and new.status is not null then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'illegal_transition',
      format('A new book of the pipeline %s begins in %s, not in %s.',
        new.pipeline, initial, new.status),
      format('Insert it without a status, or with %s; then make its transitions one by one.',
        initial),
      jsonb_build_object('from_status', null, 'to_status', new.status,
        'allowed', jsonb_build_array(initial))));
  end if;
  new.status := initial;
  new.current_stage := initial;
  new.overall_progress := 0;
  new.stage_progress := 0;
  new.substeps_total := 0;
  new.substeps_done := 0;
  new.substeps_weight := 0;
  new.substeps_points := 0;
  new.stage_base := 100 * (state ->> 'start')::double precision
    / (machine ->> 'total_weight')::double precision;
  new.stage_share := 100 * (state ->> 'weight')::double precision
    / (machine ->> 'total_weight')::double precision;
  if state -> 'substeps' <> '[]' then
    sums := bindery_internal.stage_sums(new.book_id, state, false, false);
    new.substeps_total := sums.substeps;
    new.substeps_weight := sums.weight;
  end if;
  new.error := null;
  new.attempt := 1;
  new.revision := 1;
  new.heartbeat_at := moment;
  new.stage_entered_at := moment;
  new.stage_started_at := moment;
  new.resume_at := null;
  new.estimated_completion_at := (
    select bindery_internal.estimate(moment, moment, 0, 1, p.median_seconds, p.later_seconds)
    from bindery_internal.stage_pace p
    where p.pipeline = new.pipeline and p.pipeline_version = new.pipeline_version
      and p.stage = initial);
  new.created_at := moment;
  new.updated_at := moment;
  new.completed_at := null;
  return new;
end
$$;

create or replace function bindery_internal.unknown_pipeline(
  pipeline text, pipeline_version integer
) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.error('PT404', 'unknown_pipeline',
    format('There is no pipeline %s%s.', pipeline, ' version ' || pipeline_version),
    'Define it with bindery.define_pipeline, or name one that exists.',
    jsonb_build_object('pipeline', pipeline, 'version', pipeline_version));
$$;

create or replace trigger start_book before insert on bindery.book_status
for each row execute function bindery_internal.start_book();

comment on function bindery_internal.start_book() is
  'Puts a new book at its pipeline''s first state, on a version that exists, '
  'whichever role inserts it.';
comment on function bindery_internal.unknown_pipeline(text, integer) is
  'The error PT404 unknown_pipeline.';
