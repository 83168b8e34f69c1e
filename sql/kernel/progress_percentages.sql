-- The percentages of a book, from the sums of its stage and the stage's place in the pipeline.
-- Invariant: core/src/progress.rs in SQL, the same doubles in the same order. It reads no machine,
-- runs no query and is one expression, because every report calls it. The comparisons with 1 and
-- 1e-100 avoid results that Postgres refuses; they change no digit.
create or replace function bindery_core.progress_percentages(
  substeps integer, done integer, points double precision, weight double precision,
  stage_base double precision, stage_share double precision
) returns double precision[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if substeps is null or done is null or points is null or weight is null
    or stage_base is null or stage_share is null
  then
    perform bindery_core.refuse_null(case
      when substeps is null then 'substeps' when done is null then 'done'
      when points is null then 'points' when weight is null then 'weight'
      when stage_base is null then 'stage_base' else 'stage_share' end);
  end if;
  return case
    when substeps <= 0 or done < substeps and (weight < 1 or points < 1) then array[
      0,
      least(floor(greatest(least(stage_base, 100), 0) * 100 + 0.5) / 100, 99.99)]
    when done >= substeps then array[
      100,
      least(floor((greatest(least(stage_base, 100), 0) + case
          when stage_share < 1e-100 then 0
          else least(stage_share, 100) * 100 / 100
        end) * 100 + 0.5) / 100, 99.99)]
    else array[
      least(floor(least(points / weight / 1e6, 99.999999) * 100 + 0.5) / 100, 99.99),
      least(floor((greatest(least(stage_base, 100), 0) + case
          when stage_share < 1e-100 or points / weight / 1e6 < 1e-100 then 0
          else least(stage_share, 100) * least(points / weight / 1e6, 99.999999) / 100
        end) * 100 + 0.5) / 100, 99.99)]
  end;
end
$$;

comment on function bindery_core.progress_percentages(
  integer, integer, double precision,
  double precision, double precision, double precision) is
  'Returns {stage_progress, overall_progress} in percent, two decimals. stage_progress is 100 '
  'exactly when done = substeps > 0; overall_progress is at most 99.99. substeps, done: how many '
  'the stage has and how many are at 100. points, weight: the exact sums of the stage''s points '
  'and weight units. stage_base, stage_share: the percent of the whole before the stage, and its '
  'own. Errors: 22004 for a null.';
