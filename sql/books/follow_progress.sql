-- Handles a plain INSERT, UPDATE or DELETE on book_progress, for example by an operator.
-- prepare_progress, BEFORE each row: locks the book, checks the row, and computes its points and
-- revision. follow_progress, AFTER the statement: updates the books' sums, percentages and
-- revision, and announces the books.
-- Invariant: the sums equal the sums over all rows. They are computed once a book and statement:
-- one update of the book's row for each of 10,000 rows would take minutes. A book that users'
-- triggers have halted or completed meanwhile keeps its values.
-- Locks: the book's row, before its rows.
create or replace function bindery_internal.prepare_progress() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  touched text := coalesce(current_setting('bindery.touched', true), '');
  removed text := coalesce(current_setting('bindery.removed', true), '');
  part bindery.book_progress;
  book bindery.book_status;
  nothing text;
begin
  foreach part in array case tg_op when 'INSERT' then array[new] when 'DELETE' then array[old]
    else array[old, new] end
  loop
    select b.* into book from bindery.book_status b
    where b.book_id = part.book_id for no key update;
    if book.status = book.current_stage and book.current_stage = part.stage
      and right(touched, 37) <> part.book_id || ' '
    then
      touched := touched || part.book_id || ' ';
      nothing := set_config('bindery.touched', touched, true);
    end if;
    if book.status = book.current_stage and book.current_stage = part.stage
      and right(removed, 37) <> part.book_id || ' ' and (tg_op = 'DELETE' or tg_op = 'UPDATE'
        and (old.book_id, old.stage, old.substep) <> (new.book_id, new.stage, new.substep))
    then
      removed := removed || part.book_id || ' ';
      nothing := set_config('bindery.removed', removed, true);
    end if;
  end loop;
  if tg_op = 'DELETE' then
    return old;
  end if;
  perform bindery_internal.raise_error(bindery_internal.bad_report(new.substep, new.progress,
    new.done, new.total, new.unit, new.message, new.checkpoint, new.attempt));
  new.points := bindery_internal.points(new.weight, new.progress);
  new.revision := coalesce(book.revision, 0) + 1;
  return new;
end
$$;

create or replace function bindery_internal.follow_progress() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  touched constant text := coalesce(current_setting('bindery.touched', true), '');
  removed constant text := coalesce(current_setting('bindery.removed', true), '');
  outer_writer text;
  moment timestamptz;
  touched_id uuid;
  book bindery.book_status;
  sums record;
  nothing text;
begin
  if touched = '' then
    return null;
  end if;
  outer_writer := bindery_internal.begin_writing();
  nothing := set_config('bindery.touched', '', true);
  nothing := set_config('bindery.removed', '', true);
  moment := bindery_internal.now();
  for touched_id in
    select distinct u.book_id
    from unnest(string_to_array(rtrim(touched), ' ')::uuid[]) as u(book_id) order by 1
  loop
    select b.* into book from bindery.book_status b
    where b.book_id = touched_id and b.status = b.current_stage;
    continue when not found;
    sums := bindery_internal.stage_sums(
      book.book_id, jsonb_build_object('name', book.current_stage), null, true);
    update bindery.book_status b
    set substeps_total = sums.substeps, substeps_done = sums.done,
        substeps_weight = sums.weight, substeps_points = sums.points, heartbeat_at = moment
    where b.book_id = book.book_id;
    perform bindery_internal.show_progress(book.book_id, moment);
    -- So that get_book_changes returns the whole list, from which a client finds deleted substeps.
    if strpos(removed, book.book_id::text) > 0 then
      update bindery.book_progress g set revision = book.revision + 1
      where g.book_id = book.book_id and g.stage = book.current_stage;
    end if;
    perform bindery_internal.collect_change(book.book_id);
    perform bindery_internal.settle_complete(book.book_id);
  end loop;
  perform bindery_internal.end_writing(outer_writer);
  return null;
end
$$;

create or replace function bindery_internal.show_progress(book_id uuid, moment timestamptz)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update bindery.book_status b
  set revision = b.revision + 1, updated_at = moment,
      (stage_progress, overall_progress, estimated_completion_at) = (
        select s.stage_progress, s.overall_progress, s.estimate
        from bindery_internal.shown_progress(b, 0, 0, 0, 0, moment) s)
  where b.book_id = show_progress.book_id;
end
$$;

-- A book's percentages once these are added to its sums.
create or replace function bindery_internal.shown_progress(
  book bindery.book_status, substeps integer, done integer, weight numeric, points numeric,
  moment timestamptz, out stage_progress double precision, out overall_progress double precision,
  out estimate timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  percentages constant double precision[] := bindery_core.progress_percentages(
    book.substeps_total + substeps, book.substeps_done + done,
    (book.substeps_points + points)::double precision,
    (book.substeps_weight + weight)::double precision, book.stage_base, book.stage_share);
begin
  stage_progress := percentages[1];
  overall_progress := percentages[2];
  select bindery_internal.estimate(moment, book.stage_started_at, percentages[1], book.attempt,
    t.median_seconds, t.later_seconds) into estimate
  from bindery_internal.stage_pace t
  where t.pipeline = book.pipeline and t.pipeline_version = book.pipeline_version
    and t.stage = book.current_stage;
end
$$;

create or replace trigger prepare_progress
before insert or update or delete on bindery.book_progress
for each row
when (current_setting('bindery.writer', true) is distinct from pg_trigger_depth()::text)
execute function bindery_internal.prepare_progress();

create or replace trigger follow_progress after insert or update or delete on bindery.book_progress
for each statement
when (current_setting('bindery.writer', true) is distinct from pg_trigger_depth()::text)
execute function bindery_internal.follow_progress();

create or replace trigger zz_announce after insert or update or delete on bindery.book_progress
for each statement
when (current_setting('bindery.writer', true) is distinct from pg_trigger_depth()::text)
execute function bindery_internal.announce_collected();

comment on function bindery_internal.prepare_progress() is
  'Before a plain write to book_progress: locks the book, refuses what calls refuse (PT422 '
  'bad_input), and computes the row''s points and revision.';
comment on function bindery_internal.follow_progress() is
  'After a plain statement on book_progress: computes its books'' sums and percentages from all '
  'rows, as a new revision.';
comment on function bindery_internal.show_progress(uuid, timestamptz) is
  'Computes a book''s percentages and estimate from its sums, as a new revision.';
comment on function bindery_internal.shown_progress(
  bindery.book_status, integer, integer, numeric, numeric, timestamptz) is
  'The percentages and the estimate of a book once these are added to its sums.';
