-- Doubles as Rust has them: what Postgres refuses, too small or too big, becomes 0 or Infinity.
-- Invariant: within the range of doubles these are the plain operations, so results are equal to the last bit.
-- Locks: none.
-- Null where the value is no number.
create function bindery_core.as_double(value jsonb) returns double precision
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  -- Half of the smallest double; the caller has made sure that it is none too big.
  return case when jsonb_typeof(value) = 'number' then
    case when abs(value::numeric) <= 2.4703282292062327e-324 then 0 else value::double precision end end;
end
$$;

-- Logarithms say whether the result is one that Postgres would refuse. All operands are 0 or more.
create function bindery_core.product(a double precision, b double precision) returns double precision
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return case
    when a = 0 or b = 0 then 0
    when ln(a) + ln(b) > 709.782712893384 then 'Infinity'
    when ln(a) + ln(b) < -744.44 then 0
    else a * b
  end;
end
$$;

create function bindery_core.quotient(a double precision, b double precision) returns double precision
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return case
    when a = 0 then 0
    when a = 'Infinity' then a
    when ln(a) - ln(b) > 709.782712893384 then 'Infinity'
    when ln(a) - ln(b) < -744.44 then 0
    else a / b
  end;
end
$$;

create function bindery_core.total(a double precision, b double precision) returns double precision
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  -- 2^1023: halves are exact, and their sum is as far from overflowing as can be.
  return case when a / 2 + b / 2 >= 8.98846567431158e307 then 'Infinity' else a + b end;
end
$$;

comment on function bindery_core.as_double(jsonb) is
  'The double that a JSON number stands for, too small a one 0; null where the value is no number. Errors: 22003 beyond the range of doubles, which callers rule out.';
comment on function bindery_core.product(double precision, double precision) is
  'a times b, both 0 or more; 0 or Infinity where Postgres would refuse the result. No errors.';
comment on function bindery_core.quotient(double precision, double precision) is
  'a by b, both 0 or more and b above 0; 0 or Infinity where Postgres would refuse the result. No errors.';
comment on function bindery_core.total(double precision, double precision) is
  'a plus b, both 0 or more; Infinity where Postgres would refuse the result. No errors.';
