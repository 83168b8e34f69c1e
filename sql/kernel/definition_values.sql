-- Single values of a definition: each function returns the value, or null if it is faulty or left
-- out; others return the fault. Invariants: core/src/definition/values.rs in SQL. A function named
-- …_faults returns an array, empty if there is no fault.
create or replace function bindery_core.fault(path text, problem text) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_build_object('path', path, 'problem', problem);
end
$$;

-- The fault of an optional value; null counts as left out.
create or replace function bindery_core.value_faults(
  is_valid boolean, path text, expected text, value jsonb
) returns jsonb[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if is_valid or value is null or value = 'null' then
    return '{}';
  end if;
  return array[bindery_core.fault(path,
    format('expected %s, found %s', expected, bindery_core.describe(value)))];
end
$$;

create or replace function bindery_core.is_name(value jsonb, kind text) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(jsonb_typeof(value) = 'string' and (value #>> '{}') collate "C" ~ case kind
    when 'state' then '^[A-Z][A-Z0-9_]{0,62}$'
    when 'substep' then '^[a-z][a-z0-9_]{0,62}$'
    when 'guard' then '^[a-z_][a-z0-9_]{0,62}([.][a-z_][a-z0-9_]{0,62})?$'
  end, false);
end
$$;

-- The fault of a required name.
create or replace function bindery_core.name_faults(
  value jsonb, kind text, path text
) returns jsonb[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  expected constant text := case kind
    when 'state' then 'a name of the form [A-Z][A-Z0-9_]*, up to 63 characters'
    when 'substep' then 'a key of the form [a-z][a-z0-9_]*, up to 63 characters'
    when 'guard' then 'substeps_complete, attempts_left, or the name of an SQL function'
  end;
begin
  if bindery_core.is_name(value, kind) then
    return '{}';
  elsif value is null then
    return array[bindery_core.fault(path, 'is missing; expected ' || expected)];
  end if;
  return array[bindery_core.fault(path,
    format('expected %s, found %s', expected, bindery_core.describe(value)))];
end
$$;

create or replace function bindery_core.unknown_key_faults(
  keys jsonb, known text[], path text
) returns jsonb[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return array(
    select bindery_core.fault(
      path || case when k.key collate "C" ~ '^[A-Za-z0-9_]+$' then '.' || k.key
        else '[' || bindery_core.quoted(k.key) || ']' end,
      'is no key that is known here; known are ' || array_to_string(known, ', '))
    from jsonb_object_keys(keys) as k(key)
    where k.key <> all (known)
    order by k.key collate "C");
end
$$;

create or replace function bindery_core.label_value(value jsonb) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return case when jsonb_typeof(value) = 'string' and length(value #>> '{}') between 1 and 200
    then value #>> '{}' end;
end
$$;

create or replace function bindery_core.weight_value(value jsonb) returns double precision
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  weight constant double precision := bindery_core.as_double(value);
begin
  -- Adding 0 turns -0 into 0.
  return case when weight = 0 or weight between 1e-9 and 1e9 then weight + 0 end;
end
$$;

create or replace function bindery_core.attempts_value(value jsonb) returns integer
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  attempts constant double precision := bindery_core.as_double(value);
begin
  return case when attempts between 1 and 2147483647 and attempts = floor(attempts)
    then attempts::integer end;
end
$$;

-- Seconds, from a text such as "2 minutes".
create or replace function bindery_core.seconds_value(value jsonb) returns double precision
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  parts constant text[] := case when jsonb_typeof(value) = 'string' then
    regexp_match(value #>> '{}', '^([0-9]+)([.][0-9]+)? (second|minute|hour|day)s?$') end;
  whole constant text := ltrim(parts[1], '0');
  seconds double precision;
begin
  -- More digits than any duration has; further decimals than these change no double.
  if parts is null or length(whole) > 10 then
    return null;
  end if;
  seconds := bindery_core.as_double(to_jsonb(('0' || whole
    || coalesce(left(parts[2], 1100), ''))::numeric))
    * case parts[3] when 'second' then 1 when 'minute' then 60 when 'hour' then 3600 else 86400 end;
  return case when seconds > 0 and seconds <= 3650 * 86400.0 then seconds end;
end
$$;

comment on function bindery_core.fault(text, text) is
  'A fault of a definition: {"path", "problem"}. No errors.';
comment on function bindery_core.value_faults(boolean, text, text, jsonb) is
  'The faults of a value that may be left out: none where it is valid, null or absent. No errors.';
comment on function bindery_core.is_name(jsonb, text) is
  'Whether a value is a name of this kind: state, substep or guard. No errors.';
comment on function bindery_core.name_faults(jsonb, text, text) is
  'The faults of a name of this kind (state, substep, guard) that must be there. No errors.';
comment on function bindery_core.unknown_key_faults(jsonb, text[], text) is
  'The faults of an objects keys: one for each that is not known, by name. No errors.';
comment on function bindery_core.label_value(jsonb) is
  'A label, 1 to 200 characters; null where the value is none. No errors.';
comment on function bindery_core.weight_value(jsonb) is
  'A weight, 0 or 0.000000001 to 1000000000; null where the value is none. No errors.';
comment on function bindery_core.attempts_value(jsonb) is
  'A number of attempts, whole and at least 1; null where the value is none. No errors.';
comment on function bindery_core.seconds_value(jsonb) is
  'The seconds of a duration such as "2 minutes"; null where the value is none. No errors.';
