-- record_transition: AFTER INSERT, and AFTER UPDATE where status changed, whoever made the change.
-- Invariants: history, outbox and the restarted progress rows stand in the change's transaction, under its revision.
-- Locks: the book's row is held; then book_progress, then the append-only tables.
create or replace function bindery_internal.record_transition() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  from_status constant text := case when tg_op = 'UPDATE' then old.status end;
  rewinding constant boolean := coalesce(current_setting('bindery.changing', true), '') like '% rewinding'
    and bindery_internal.is_rewinding(new.book_id);
  resuming constant boolean := from_status is not distinct from 'FAILED' and new.status not in ('FAILED', 'CANCELLED') and not rewinding;
  payload jsonb;
begin
  -- Where there is nothing to start over, not even the statement's own triggers run.
  if tg_op = 'UPDATE' and new.status = new.current_stage
    and exists (select from bindery.book_progress g where g.book_id = new.book_id and g.stage = new.current_stage)
  then
    -- The stage is entered: guard_transition has already counted these rows as they will be,
    -- so roll_up finds nothing to change.
    update bindery.book_progress g
    set progress = 0, done = null, total = null, unit = null, message = null, checkpoint = null, started_at = null,
        attempt = new.attempt, updated_at = new.updated_at
    where g.book_id = new.book_id and g.stage = new.current_stage and not bindery_internal.kept(resuming, g);
  end if;

  payload := jsonb_build_object('book_id', new.book_id, 'revision', new.revision, 'from', from_status, 'to', new.status,
    'stage', new.current_stage, 'attempt', new.attempt);
  if resuming or rewinding then
    payload := payload || jsonb_build_object('resume_point', bindery.get_resume_point(new.book_id));
  end if;
  with event as (
    insert into bindery.book_events (book_id, revision, kind, from_status, to_status, stage, attempt, actor, message, data, at)
    values (new.book_id, new.revision,
      case when tg_op = 'INSERT' then 'register' when rewinding then 'rewind' when resuming then 'resume' when new.status = 'FAILED' then 'fail'
           when new.status = 'CANCELLED' then 'cancel' when new.completed_at is not null then 'complete' else 'transition' end,
      from_status, new.status, new.current_stage, new.attempt, bindery_internal.actor(), new.message,
      case when new.status = 'FAILED' then new.error end, new.updated_at)
  )
  insert into bindery.outbox (book_id, revision, kind, payload, created_at)
  values (new.book_id, new.revision, case when resuming or rewinding then 'resume' else 'transition' end,
    payload, new.updated_at);
  return null;
end
$$;

create or replace trigger record_start after insert on bindery.book_status
for each row execute function bindery_internal.record_transition();

create or replace trigger record_transition after update on bindery.book_status
for each row when (old.status is distinct from new.status)
execute function bindery_internal.record_transition();

comment on function bindery_internal.record_transition() is
  'Starts the stage''s progress rows over where it is entered, and writes the history and the outbox.';
