-- Doubles as Rust reads them from JSON: a number too small for Postgres is 0.
-- Null if the value is not a number.
create or replace function bindery_core.as_double(value jsonb) returns double precision
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Half of the smallest double; the caller has checked that the value is not too large.
  return case when jsonb_typeof(value) = 'number' then
    case when abs(value::numeric) <= 2.4703282292062327e-324 then 0
      else value::double precision end end;
end
$$;

comment on function bindery_core.as_double(jsonb) is
  'Returns the double that a JSON number stands for, 0 for one that is too small; null where the '
  'value is no number. Errors: 22003 beyond the range of doubles, which callers rule out.';
