-- guard_columns: BEFORE UPDATE on book_status where something that only follows from other things is set by hand.
-- touch: the same for what may be changed by hand; it counts as a visible change.
-- Invariants: identity and pipeline never change; stage, attempt and percentages only follow; revision never falls. Locks: the row being updated.
create or replace function bindery_internal.guard_columns() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  perform bindery_internal.raise_error(bindery_internal.error('PT422', 'column_is_derived',
    format('Of book %s only owner_id, title, message, metadata, status and error are set by hand.', old.book_id),
    'Change the status, or report progress; these columns follow.', jsonb_build_object('book_id', old.book_id)));
  return null;
end
$$;

-- Naming the columns spares the other statements the reading of this condition, which is most of what it costs.
create or replace trigger guard_columns before update of
  book_id, pipeline, pipeline_version, created_at, revision, current_stage, attempt, overall_progress, stage_progress, substeps, completed_at
on bindery.book_status
for each row when (
  old.book_id <> new.book_id or old.pipeline <> new.pipeline or old.pipeline_version <> new.pipeline_version
  or old.created_at <> new.created_at or new.revision < old.revision
  or (old.status = new.status and (old.current_stage <> new.current_stage or old.attempt <> new.attempt))
  -- Depth 0 is a statement of somebody's own; roll_up's stands inside a trigger.
  or (pg_trigger_depth() = 0 and old.status = new.status
    and (old.overall_progress, old.stage_progress, old.substeps, old.completed_at, old.revision)
      is distinct from (new.overall_progress, new.stage_progress, new.substeps, new.completed_at, new.revision)))
execute function bindery_internal.guard_columns();

create or replace function bindery_internal.touch() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  if (old.title, old.message, old.error, old.metadata) is distinct from (new.title, new.message, new.error, new.metadata) then
    perform bindery_internal.refuse_texts(new);
  end if;
  if old.revision = new.revision
    and (old.owner_id, old.title, old.message, old.error, old.metadata, old.resume_at, old.estimated_completion_at)
      is distinct from (new.owner_id, new.title, new.message, new.error, new.metadata, new.resume_at, new.estimated_completion_at)
  then
    new.revision := old.revision + 1;
    new.updated_at := bindery_internal.now();
  end if;
  return new;
end
$$;

-- A condition is read anew by each statement, which costs more the longer it is: a transition, which names message and error, reads
-- a short one, and a roll-up, which touches many rows, one of its own that spares it the call.
create or replace trigger touch before update of owner_id, title, message, error, metadata, resume_at on bindery.book_status
for each row when (old.status = new.status) execute function bindery_internal.touch();

create or replace trigger touch_estimate before update of estimated_completion_at on bindery.book_status
for each row when (old.status = new.status and old.revision = new.revision
  and old.estimated_completion_at is distinct from new.estimated_completion_at)
execute function bindery_internal.touch();

comment on function bindery_internal.guard_columns() is
  'Refuses to have columns set by hand that only follow from others (PT422 column_is_derived).';
comment on function bindery_internal.touch() is
  'Counts a change by hand of title, owner, message, error, metadata or a time as a revision; refuses texts that calls refuse (PT422 bad_input).';
