-- estimate: when a book is expected to be complete. The arithmetic for all who set
-- estimated_completion_at.
-- Invariants: null without a pace to go by; never before the moment it is made.
-- (In PL/pgSQL: with its search_path pinned a function in SQL is never inlined, and
-- planned anew at each call.)
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
  -- The stage's own pace is elapsed / part. It weighs part squared: at the beginning it says
  -- little, in the end nearly all.
  -- Of a resumed attempt it says nothing, which began with what the one before had done.
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
