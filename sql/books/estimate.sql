-- estimate: when a book is expected to be complete. The only arithmetic for
-- estimated_completion_at.
-- Invariants: null without a median duration; never before the present moment.
-- In PL/pgSQL: an SQL function with a pinned search_path is never inlined, and is planned at each
-- call.
create or replace function bindery_internal.estimate(
  moment timestamptz, stage_started_at timestamptz, stage_progress double precision,
    attempt integer,
  median_seconds double precision, later_seconds double precision
) returns timestamptz
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  part constant double precision := stage_progress / 100;
  whole double precision := median_seconds;
begin
  -- The stage's own duration is elapsed / part. Its weight is part squared: at the beginning it
  -- counts little, at the end almost fully. It is unusable in a resumed attempt, which begins with
  -- the progress of the attempt before.
  if attempt = 1 then
    whole := (1 - part * part) * median_seconds
      + part * greatest(extract(epoch from moment - stage_started_at)::double precision, 0);
  end if;
  return moment + ((1 - part) * whole + later_seconds) * interval '1 second';
end
$$;

comment on function bindery_internal.estimate(timestamptz, timestamptz, double precision,
  integer, double precision, double precision) is
  'When a book is expected to be complete that has come to stage_progress percent, at moment.
(1 - p) * ((1 - p^2) * median_seconds + p * elapsed) + later_seconds from now, where p = '
  'stage_progress / 100; null where a pace is null.';
