-- report_progress: checks and applies one progress report; makes the transition first if the
-- pipeline has auto_advance.
-- Invariants: do_report returns null when done, {"stale": true}, or the error, and then changes
-- nothing. Locks: the book's row, then its progress row.
create or replace function bindery_internal.do_report(
  book_id uuid, substep text, progress double precision, done double precision,
  total double precision, unit text, message text, checkpoint jsonb, stage text, attempt integer
) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  percent double precision;
  slack double precision;
  result record;
  refusal jsonb;
  settling constant text := coalesce(current_setting('bindery.settling', true), '');
  nothing text;
begin
  if progress is null and (done is null or total is null)
    or progress is not null and (done is not null or total is not null)
  then
    return bindery_internal.bad_input('progress', 'or done and total is expected, one of the two',
      'Give progress (0 to 100), or done and total.');
  end if;
  -- Sums of fractions in floating point miss 0, 100 or total by less than 1e-9 of it.
  if progress is not null then
    percent := case when abs(progress) <= 1e-7 then 0
      when abs(progress - 100) <= 1e-7 then 100 else progress end;
  elsif total > 0 and total <= 1e15 then
    -- A product that underflows is an error.
    slack := case when total >= 1e-290 then total * 1e-9 else 0 end;
    done := case when abs(done) <= slack then 0
      when abs(done - total) <= slack then total else done end;
    percent := case when done = total then 100
      when done between 0 and total then least(100 * done / total, 99.99999999999999) end;
  end if;
  refusal := coalesce(
    bindery_internal.bad_report(
      substep, percent, done, total, unit, message, checkpoint, attempt),
    case when stage is not null then bindery_internal.refused_text('stage', stage, 63) end);
  if refusal is not null then
    return refusal;
  end if;

  perform from bindery.book_status b where b.book_id = do_report.book_id for no key update;
  result := bindery_internal.apply_reports(array[book_id], array[stage], array[substep],
    array[attempt], array[percent], array[done], array[total], array[unit], array[message],
    array[checkpoint::text], bindery_internal.has_realtime(), '{}');
  if result.verdicts[1] = 'advance' then
    begin
      -- The early events that the transition makes applicable come after this report.
      nothing := set_config('bindery.settling', settling || book_id || ' ', true);
      refusal := bindery_internal.do_transition(book_id, stage);
      nothing := set_config('bindery.settling', settling, true);
      refusal := coalesce(refusal, bindery_internal.do_report(book_id, substep,
        case when done is null then percent end, done, total, unit, message, checkpoint, stage,
        attempt));
      if refusal is not null then
        -- Undoes the transition.
        raise exception sqlstate 'BD000';
      end if;
    exception when sqlstate 'BD000' then
      return refusal;
    end;
    perform bindery_internal.settle_early(book_id);
  elsif result.verdicts is not null then
    return bindery_internal.refused_report(
      result.verdicts[1], book_id, stage, substep, attempt);
  elsif result.changed is not null then
    perform bindery_internal.announce_book(book_id, coalesce(result.shown[1], '[]'));
    perform bindery_internal.settle_complete(book_id);
  end if;
  return null;
end
$$;

create or replace function bindery.report_progress(
  book_id uuid, substep text default null, progress double precision default null,
  done double precision default null, total double precision default null,
  unit text default null, message text default null, checkpoint jsonb default null,
  stage text default null, attempt integer default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  stage constant text := coalesce(report_progress.stage, bindery_internal.claimed_stage());
  refusal constant jsonb := coalesce(
    bindery_internal.refused_worker('progress', report_progress.book_id, stage),
    bindery_internal.do_report(
      report_progress.book_id, report_progress.substep, report_progress.progress,
      report_progress.done, report_progress.total, report_progress.unit, report_progress.message,
      report_progress.checkpoint, stage, report_progress.attempt));
begin
  if refusal is not null then
    perform bindery_internal.raise_error(refusal);
  end if;
  if bindery_internal.is_worker() then
    return query select w.* from bindery_internal.worker_book(report_progress.book_id) w;
    return;
  end if;
  return query select b.* from bindery.book_status b where b.book_id = report_progress.book_id;
end
$$;

comment on function bindery_internal.do_report(uuid, text, double precision, double precision,
  double precision, text, text, jsonb, text, integer) is
  'One progress report. Null: done; {"stale": true}: too late; else the error.';
comment on function bindery.report_progress(uuid, text, double precision, double precision,
  double precision, text, text, jsonb, text, integer) is
  'Reports a substep''s progress: percent (0 to 100), or done of total; gives the book''s row.
A lower value than before leaves progress as it is; a report of an earlier attempt or a stage left '
  'has no effect. What is within 1e-9 of an end counts as the end. checkpoint: the worker''s own '
  'JSON to continue from. PT404 unknown_book or unknown_stage, PT409 stage_not_reached or '
  'attempt_ahead, PT422 unknown_substep, too_many_substeps or bad_input.';
