-- The substeps of a stage: their sums, the rows that entering a stage makes, and their JSON.
-- Invariants: a resume keeps the rows that are finished or have a checkpoint, any other entry keeps
-- none: stage_sums predicts this for guard_transition, enter_stage does it. The sums are exact
-- (book_progress.points).
-- In PL/pgSQL, like everything that runs once a call: its plans are cached in the session.
-- entering: null for the present rows; else the rows as they will be once the stage is entered
-- (true: by a resume), including declared substeps that have no row yet.
create or replace function bindery_internal.stage_sums(
  book_id uuid, state jsonb, entering boolean, has_rows boolean,
  out substeps integer, out done integer, out weight numeric, out points numeric
)
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if not has_rows then
    select count(*)::integer, 0,
      coalesce(sum(round((d.substep ->> 'weight')::double precision * 1e9)::bigint), 0), 0
    into substeps, done, weight, points
    from jsonb_array_elements(state -> 'substeps') as d(substep);
    return;
  end if;
  select count(*)::integer, count(*) filter (where r.kept and r.progress >= 100)::integer,
    coalesce(sum(round(r.weight * 1e9)::bigint), 0),
    coalesce(sum(r.points) filter (where r.kept), 0)
  into substeps, done, weight, points
  from (
    select g.weight, g.progress, g.points,
      entering is null or (entering and (g.progress = 100 or g.checkpoint is not null)) as kept
    from bindery.book_progress g
    where g.book_id = stage_sums.book_id and g.stage = state ->> 'name'
    union all
    select (d.substep ->> 'weight')::double precision, 0, 0, false
    from jsonb_array_elements(state -> 'substeps') as d(substep)
    where entering is not null and not exists (
      select from bindery.book_progress g
      where g.book_id = stage_sums.book_id and g.stage = state ->> 'name'
        and g.substep = d.substep ->> 'substep')
  ) r;
end
$$;

-- The book is already in the stage, under its new attempt and revision.
create or replace function bindery_internal.enter_stage(
  book bindery.book_status, resuming boolean
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  outer_writer constant text := coalesce(current_setting('bindery.writer', true), '');
  nothing text := set_config('bindery.writer', pg_trigger_depth()::text, true);
begin
  if book.attempt > 1 or exists (
    select from bindery.book_progress g
    where g.book_id = book.book_id and g.stage = book.current_stage)
  then
    update bindery.book_progress g
    set progress = 0, points = 0, done = null, total = null, unit = null, message = null,
        checkpoint = null, started_at = null, attempt = book.attempt, revision = book.revision,
        updated_at = book.updated_at
    where g.book_id = book.book_id and g.stage = book.current_stage
      and not (resuming and (g.progress = 100 or g.checkpoint is not null));
  end if;
  insert into bindery.book_progress (book_id, stage, substep, weight, attempt, revision, updated_at)
  select book.book_id, book.current_stage, d.substep ->> 'substep',
    (d.substep ->> 'weight')::double precision, book.attempt, book.revision, book.updated_at
  from bindery.pipelines p, jsonb_array_elements(p.machine -> 'states') as s(state),
    jsonb_array_elements(s.state -> 'substeps') as d(substep)
  where p.name = book.pipeline and p.version = book.pipeline_version
    and s.state ->> 'name' = book.current_stage
  on conflict on constraint book_progress_pkey do nothing;
  nothing := set_config('bindery.writer', outer_writer, true);
end
$$;

create or replace function bindery_internal.points(
  weight double precision, progress double precision
) returns numeric
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- apply_reports has the same expression.
  return round(weight * 1e9)::bigint::numeric * case when progress >= 100 then 100000000
    else least(round(progress * 1e6)::bigint, 99999999) end;
end
$$;

-- A substep as JSON, as in statuses, broadcasts and lists.
create or replace function bindery_internal.substep_json(g bindery.book_progress, declared jsonb)
returns jsonb
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_strip_nulls(jsonb_build_object(
    'substep', g.substep,
    'label', coalesce(
      jsonb_path_query_first(declared, '$[*] ? (@.substep == $key).label',
        jsonb_build_object('key', g.substep)) #>> '{}',
      bindery_core.label_of(g.substep)),
    'weight', g.weight,
    'state', case when g.progress >= 100 then 'done' when g.progress > 0 then 'active'
                  else 'pending' end,
    'progress', case when g.progress >= 100 then 100
                     else least(floor(g.progress * 100 + 0.5) / 100, 99.99) end,
    'done', g.done, 'total', g.total, 'unit', g.unit,
    'message', case when length(g.message) > 500 then left(g.message, 499) || '…'
                    else g.message end));
end
$$;

comment on function bindery_internal.stage_sums(uuid, jsonb, boolean, boolean) is
  'The sums of a stage''s substeps, from all rows: how many, how many done, weight, points.
entering: null for the rows as they are, else as they will be once the stage is entered (true: by '
  'a resume). has_rows: whether the book has rows for the stage.';
comment on function bindery_internal.points(double precision, double precision) is
  'What a substep of this weight adds to its stage''s sum at this progress: weight in units of '
  '1e-9 '
  'times progress in units of 1e-6 percent (bindery-core: progress::Part).';
comment on function bindery_internal.enter_stage(bindery.book_status, boolean) is
  'Resets the rows of the stage that a book has just entered, and makes those that are missing.';
comment on function bindery_internal.substep_json(bindery.book_progress, jsonb) is
  'A substep as statuses and broadcasts show it: {substep, label, weight, state, progress, done?, '
  'total?, unit?, message?}; a message is cut to 500 characters. declared: the stage''s substeps '
  'in '
  'the machine.';
