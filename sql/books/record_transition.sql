-- record_transition: AFTER INSERT, and AFTER UPDATE if status changed, for every writer.
-- Invariants: history, visit, outbox and the rows of the entered stage are written in the change's
-- transaction, under its revision. Locks: the book's row is held; then book_progress, then
-- stage_visits, then the append-only tables.
create or replace function bindery_internal.record_transition() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  change constant text := coalesce(current_setting('bindery.changing', true), '');
  by_call constant boolean := starts_with(change, new.book_id::text);
  rewinding constant boolean := by_call and change like '% rewinding';
  from_status constant text := case when tg_op = 'UPDATE' then old.status end;
  resuming constant boolean := from_status is not distinct from 'FAILED'
    and new.status not in ('FAILED', 'CANCELLED') and not rewinding;
  entering constant boolean := new.status = new.current_stage;
  leaving constant boolean := tg_op = 'UPDATE'
    and (new.current_stage <> old.current_stage or new.completed_at is not null);
  -- Further along, or complete. A state without weight begins where the next one does.
  forward constant boolean := leaving and not rewinding and (new.completed_at is not null
    or new.stage_base > old.stage_base
    or (new.stage_base = old.stage_base and old.stage_share = 0));
  payload jsonb;
  nothing text;
begin
  if entering and new.substeps_total > 0 then
    nothing := bindery_internal.enter_stage(new, resuming);
  end if;
  if leaving then
    insert into bindery.stage_visits as v (book_id, stage, attempt, entered_at, left_at, seconds)
    values (new.book_id, old.current_stage, old.attempt, old.stage_entered_at, new.updated_at,
      case when forward
        then greatest(extract(epoch from new.updated_at - old.stage_entered_at), 0) end)
    on conflict on constraint stage_visits_pkey do update
    set attempt = excluded.attempt, entered_at = excluded.entered_at, left_at = excluded.left_at,
        seconds = excluded.seconds;
  end if;

  payload := jsonb_build_object('book_id', new.book_id, 'revision', new.revision,
    'from_status', from_status, 'to_status', new.status, 'stage', new.current_stage,
    'attempt', new.attempt);
  if resuming or rewinding then
    payload := payload || jsonb_build_object('resume_point',
      bindery_internal.resume_point(new, null, 32768, false));
  end if;
  with event as (
    insert into bindery.book_events
      (book_id, revision, kind, from_status, to_status, stage, attempt, actor, message, data, at)
    values (new.book_id, new.revision,
      case when tg_op = 'INSERT' then 'register' when rewinding then 'rewind'
           when resuming then 'resume' when new.status = 'FAILED' then 'fail'
           when new.status = 'CANCELLED' then 'cancel'
           when new.completed_at is not null then 'complete' else 'transition' end,
      from_status, new.status, new.current_stage, new.attempt, bindery_internal.actor(),
      new.message, case when new.status = 'FAILED' then new.error end, new.updated_at)
  )
  insert into bindery.outbox (book_id, revision, kind, payload, created_at)
  values (new.book_id, new.revision,
    case when resuming or rewinding then 'resume' else 'transition' end, payload, new.updated_at);

  -- Bindery's functions settle early events and announce the book after their statement.
  if not by_call then
    perform bindery_internal.settle_early(new.book_id);
    perform bindery_internal.collect_change(new.book_id);
  end if;
  return null;
end
$$;

create or replace trigger record_start after insert on bindery.book_status
for each row execute function bindery_internal.record_transition();

create or replace trigger record_transition after update on bindery.book_status
for each row when (old.status is distinct from new.status)
execute function bindery_internal.record_transition();

comment on function bindery_internal.record_transition() is
  'Prepares the rows of the stage that is entered, writes the visit that ended, the history and '
  'the '
  'outbox, and applies early events where the change is no function''s.';
