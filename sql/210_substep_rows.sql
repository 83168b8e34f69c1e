-- What the kernel needs of a stage's progress rows, and which of them a change of status keeps.
-- Invariant: the one place that says what a resume keeps; guard_transition foresees with it, record_transition acts by it.
-- Locks: reads only. (In PL/pgSQL, like all that runs once a call: it keeps its plans, where a function in SQL is planned anew.)
create or replace function bindery_internal.kept(resuming boolean, g bindery.book_progress) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return resuming and (g.progress = 100 or g.checkpoint is not null);
end
$$;

-- resuming: null reads the rows as they are; else as they will be once the stage is entered (true: by a resume).
create or replace function bindery_internal.substep_rows(book_id uuid, stage text, resuming boolean default null) returns jsonb
language plpgsql stable parallel safe
set search_path = ''
as $$
begin
  return (select coalesce(jsonb_agg(
    case when resuming is null or bindery_internal.kept(resuming, g)
      then jsonb_build_object('substep', g.substep, 'weight', g.weight, 'progress', g.progress,
             'done', g.done, 'total', g.total, 'unit', g.unit, 'message', g.message)
      else jsonb_build_object('substep', g.substep, 'weight', g.weight, 'progress', 0)
    end), '[]')
  from bindery.book_progress g
  where g.book_id = substep_rows.book_id and g.stage = substep_rows.stage);
end
$$;

comment on function bindery_internal.kept(boolean, bindery.book_progress) is
  'Whether a progress row survives entering its stage: a resume keeps what is finished or has a checkpoint; any other entry keeps nothing.';
comment on function bindery_internal.substep_rows(uuid, text, boolean) is
  'The progress rows of a book''s stage as bindery_core.summarize takes them; with resuming, as they will be after the entry.';
