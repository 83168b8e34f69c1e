-- guard_columns: BEFORE UPDATE on book_status, if a plain UPDATE sets a derived column. touch: the
-- same for columns that a plain UPDATE may set; this counts as a visible change.
-- Invariants: identity and pipeline never change; stage, attempt, sums and percentages are only
-- derived; revision never falls. Locks: the row being updated.
create or replace function bindery_internal.guard_columns() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if (old.book_id, old.pipeline, old.pipeline_version, old.created_at)
      is distinct from (new.book_id, new.pipeline, new.pipeline_version, new.created_at)
    or (old.status = new.status
      and (old.current_stage, old.attempt, old.overall_progress, old.stage_progress,
          old.substeps_total, old.substeps_done, old.substeps_weight, old.substeps_points,
          old.stage_base, old.stage_share, old.completed_at, old.revision)
        is distinct from (new.current_stage, new.attempt, new.overall_progress,
          new.stage_progress, new.substeps_total, new.substeps_done, new.substeps_weight,
          new.substeps_points, new.stage_base, new.stage_share, new.completed_at, new.revision))
  then
    perform bindery_internal.raise_error(bindery_internal.error('PT422', 'column_is_derived',
      format(
        'Of book %s only owner_id, title, message, metadata, status and error are set by hand.',
        old.book_id),
      'Change the status, or report progress; the other columns follow.',
      jsonb_build_object('book_id', old.book_id)));
  end if;
  return new;
end
$$;

-- The condition is short, because every statement parses it.
create or replace trigger guard_columns before update of
  book_id, pipeline, pipeline_version, created_at, revision, current_stage, attempt,
  overall_progress, stage_progress, substeps_total, substeps_done, substeps_weight,
  substeps_points, stage_base, stage_share, completed_at
on bindery.book_status
for each row
when (current_setting('bindery.writer', true) is distinct from pg_trigger_depth()::text)
execute function bindery_internal.guard_columns();

create or replace function bindery_internal.touch() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if (old.title, old.message, old.error, old.metadata)
    is distinct from (new.title, new.message, new.error, new.metadata)
  then
    perform bindery_internal.refuse_texts(new);
  end if;
  if old.revision = new.revision
    and (old.owner_id, old.title, old.message, old.error, old.metadata, old.resume_at)
      is distinct from
        (new.owner_id, new.title, new.message, new.error, new.metadata, new.resume_at)
  then
    new.revision := old.revision + 1;
    new.updated_at := bindery_internal.now();
    perform bindery_internal.collect_change(new.book_id);
  end if;
  return new;
end
$$;

-- A report sets none of these columns.
create or replace trigger touch
before update of owner_id, title, message, error, metadata, resume_at on bindery.book_status
for each row when (old.status = new.status) execute function bindery_internal.touch();

comment on function bindery_internal.guard_columns() is
  'Refuses to have columns set by hand that follow from others (PT422 column_is_derived).';
comment on function bindery_internal.touch() is
  'Counts a change by hand of title, owner, message, error, metadata or resume_at as a revision; '
  'refuses texts that calls refuse (PT422 bad_input).';
