-- Bindery's schema, printed by `binderyd migration`. Do not edit: change sql/ and print it again.

-- The portable kernel: the extension's functions in PL/pgSQL, for hosts that load no native code. Here: what they raise.
-- Invariants: texts and numbers as in core/src, compared by tests/tests/e2e/kernels.rs. Nothing here catches an exception: that
-- takes a subtransaction, which parallel workers refuse. Locks: none; no table is read.
create schema if not exists bindery_core;

-- Every function checks its arguments itself: a STRICT one would answer null, which reads as "allowed".
-- Stable, where all else is immutable: nobody is to work these out before they are reached.
create function bindery_core.refuse_null(argument text) returns void
language plpgsql stable parallel safe
set search_path = ''
as $$
begin
  raise exception using errcode = '22004', message = argument || ' must not be null',
    hint = 'Pass the value; null does not stand for a default here.';
end
$$;

create function bindery_core.refuse(argument text, problem text) returns void
language plpgsql stable parallel safe
set search_path = ''
as $$
begin
  raise exception using errcode = '22023', message = argument || ': ' || problem,
    hint = 'Pass a machine as bindery_core.compile_pipeline gives it, and rows as docs/architecture.md shows them.';
end
$$;

comment on function bindery_core.refuse_null(text) is
  'Raises 22004 for an argument that must not be null. argument: its name. Gives nothing.';
comment on function bindery_core.refuse(text, text) is
  'Raises 22023 for an argument of another form. argument: its name; problem: what is wrong with it. Gives nothing.';

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

-- Texts of faults and labels.
-- Invariant: a value is described as core describes it: texts quoted as in JSON, numbers as Rust writes a double.
-- Locks: none.
create function bindery_core.quoted(value text) returns text
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  quoted text := to_json(value)::text;
  hidden text;
begin
  -- What nobody sees: further controls, directions, joiners.
  for hidden in
    select distinct m.match[1]
    from regexp_matches(quoted, '[\u007F-\u009F\u200B-\u200F\u2028-\u202E\u2060-\u2069\uFEFF]', 'g') as m(match)
  loop
    quoted := replace(quoted, hidden, '\u' || lpad(to_hex(ascii(hidden)), 4, '0'));
  end loop;
  return quoted;
end
$$;

create function bindery_core.number_text(value jsonb) returns text
language plpgsql immutable parallel safe
set search_path = ''
set extra_float_digits = 1
as $$
declare
  written constant text := value #>> '{}';
  number double precision;
  shortest text;
  digits text;
  -- How many of the digits stand before the point.
  point integer;
begin
  if strpos(written, '.') = 0 and value::numeric between -9223372036854775808 and 18446744073709551615 then
    return written;
  end if;
  number := bindery_core.as_double(value);
  if number = 0 then
    return case when left(written, 1) = '-' then '-0.0' else '0.0' end;
  end if;
  shortest := abs(number)::text;
  digits := split_part(split_part(shortest, 'e', 1), '.', 1);
  point := length(digits) + coalesce(nullif(split_part(shortest, 'e', 2), '')::integer, 0);
  digits := digits || split_part(split_part(shortest, 'e', 1), '.', 2);
  point := point - length(digits) + length(ltrim(digits, '0'));
  digits := trim(both '0' from digits);
  return case when number < 0 then '-' else '' end || case
    when point between length(digits) and 16 then rpad(digits, point, '0') || '.0'
    when point between 1 and 16 then left(digits, point) || '.' || substr(digits, point + 1)
    when point between -4 and 0 then '0.' || repeat('0', -point) || digits
    else left(digits, 1) || case when length(digits) > 1 then '.' || substr(digits, 2) else '' end
      || 'e' || case when point > 0 then '+' else '' end || point - 1
  end;
end
$$;

create function bindery_core.describe(value jsonb) returns text
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  words text;
begin
  case jsonb_typeof(value)
    when 'object' then return 'an object';
    when 'array' then return 'an array';
    when 'number' then return bindery_core.number_text(value);
    when 'string' then
      words := value #>> '{}';
      return bindery_core.quoted(left(words, 40)) || case when length(words) > 40 then ' and more' else '' end;
    else return value::text;
  end case;
end
$$;

-- GENERATING_SCENES gives "Generating scenes", extract_text "Extract text".
create function bindery_core.label_of(name text) returns text
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return replace(upper(left(name, 1) collate "C") || lower(substr(name, 2) collate "C"), '_', ' ');
end
$$;

-- A, B or C.
create function bindery_core.listed(names text[], conjunction text) returns text
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return concat_ws(' ' || conjunction || ' ',
    nullif(array_to_string(trim_array(names, 1), ', '), ''), names[cardinality(names)]);
end
$$;

comment on function bindery_core.quoted(text) is
  'A text as JSON writes it, with what nobody sees escaped as well. No errors.';
comment on function bindery_core.number_text(jsonb) is
  'A JSON number as Rust writes it: whole ones as they are, others as the shortest double. Errors: 22003 beyond the range of doubles, which callers rule out.';
comment on function bindery_core.describe(jsonb) is
  'A JSON value in a few words, for the text of a fault. No errors.';
comment on function bindery_core.label_of(text) is
  'A label for people, made of a name: GENERATING_SCENES gives Generating scenes. No errors.';
comment on function bindery_core.listed(text[], text) is
  'The names as a list: A, B or C. conjunction: the word before the last. No errors.';

-- Reading a compiled machine: its form, its states, and which leads to which.
-- Invariant: what is a machine here is one in core/src/machine.rs, where the JSON is read and put together.
-- Locks: none.
create function bindery_core.is_machine(machine jsonb) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  names jsonb;
  targets jsonb;
  settled jsonb := '[]';
  found jsonb;
begin
  -- Bounds are where rounding to a double gives infinity or 0. A path looks into arrays, so each type is asked for itself.
  if jsonb_typeof(machine) <> 'object' or machine @@ '$.total_weight.type() == "number" && $.total_weight > 2.4703282292062327e-324
      && $.total_weight < 1.7976931348623158079372897140530341507993e308 && $.auto_advance.type() == "boolean"
      && $.states.type() == "array" && $.states.size() >= 2 && $.states.size() <= 64
      && !exists($.states[*].type() ? (@ != "object"))
      && !exists($.states[*] ? (!(@.name.type() == "string" && @.label.type() == "string"
        && @.weight.type() == "number" && @.weight >= -2.4703282292062327e-324 && @.weight < 1.7976931348623158079372897140530341507993e308
        && @.start.type() == "number" && @.start >= -2.4703282292062327e-324 && @.start < 1.7976931348623158079372897140530341507993e308
        && @.final.type() == "boolean" && @.open_substeps.type() == "boolean"
        && @.next.type() == "array" && @.rework.type() == "array" && @.substeps.type() == "array"
        && !exists(@.stall_after.type() ? (@ != "number" && @ != "null")) && !exists(@.retry_after.type() ? (@ != "number" && @ != "null"))
        && !exists(@.max_attempts.type() ? (@ != "number" && @ != "null")))
        || @.max_attempts < -2147483648 || @.max_attempts > 2147483647 || exists(@.max_attempts ? (@ != null && @.floor() != @
          && (@ > 2.4703282292062327e-324 || @ <= -2.4703282292062327e-324)))
        || @.stall_after >= 1.7976931348623158079372897140530341507993e308 || @.stall_after <= -1.7976931348623158079372897140530341507993e308
        || @.retry_after >= 1.7976931348623158079372897140530341507993e308 || @.retry_after <= -1.7976931348623158079372897140530341507993e308))
      && !exists($.states[*].rework[*].type() ? (@ != "string"))
      && !exists($.states[*].next[*].type() ? (@ != "object"))
      && !exists($.states[*].next[*] ? (!(@.to.type() == "string")))
      && !exists($.states[*].next[*].guard.type() ? (@ != "string" && @ != "null"))
      && !exists($.states[*].substeps[*].type() ? (@ != "object"))
      && !exists($.states[*].substeps[*] ? (!(@.name.type() == "string" && @.label.type() == "string" && @.weight.type() == "number"
        && @.weight >= -2.4703282292062327e-324 && @.weight < 1.7976931348623158079372897140530341507993e308)))
      && $.states[last].final == true && !exists($.states[last].next[*])
      && !exists($.states[0 to last - 1] ? (@.final == true || !exists(@.next[*])))' is not true
  then
    return false;
  end if;
  names := jsonb_path_query_array(machine, '$.states[*].name');
  targets := jsonb_path_query_array(machine, '$.states[*].next[*].to');
  if not (jsonb_path_query_array(machine, '$.states[*].rework[*]') || targets) <@ names
    or (select count(distinct t.name) from jsonb_array_elements_text(names) as t(name) where t.name not in ('FAILED', 'CANCELLED'))
      <> jsonb_array_length(names)
  then
    return false;
  end if;
  -- Most pipelines lead straight on. In others a state is settled once all that it leads to are; what is in a circle never is.
  while targets <> names - 0 and settled <> names loop
    found := jsonb_path_query_array(machine, '$.states[*] ? (!exists(@.next[*] ? (!(@.to == $settled[*])))).name',
      jsonb_build_object('settled', settled));
    if found = settled then
      return false;
    end if;
    settled := found;
  end loop;
  return true;
end
$$;

create function bindery_core.state_named(machine jsonb, name text) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return jsonb_path_query_first(machine, '$.states[*] ? (@.name == $name)', jsonb_build_object('name', name));
end
$$;

-- The state a book is in or, once halted or complete, was last in; null where that is none that work is done in.
create function bindery_core.current_state(machine jsonb, status text, stage text) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  state constant jsonb := case
    when stage is null and status in ('FAILED', 'CANCELLED') then machine #> '{states,0}'
    else bindery_core.state_named(machine, coalesce(stage, status))
  end;
begin
  return case when state ->> 'final' = 'false' then state end;
end
$$;

create function bindery_core.reaches(machine jsonb, from_state text, to_state text) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  names jsonb := jsonb_build_array(from_state);
begin
  for step in 1 .. 64 loop
    names := jsonb_path_query_array(machine, '$.states[*] ? (@.name == $names[*]).next[*].to', jsonb_build_object('names', names));
    if names ? to_state or names = '[]' then
      return names <> '[]';
    end if;
  end loop;
  return false;
end
$$;

-- The states from which one is reached, in the machine's order.
create function bindery_core.states_before(machine jsonb, name text) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  before jsonb := '[]';
  found jsonb;
begin
  loop
    found := jsonb_path_query_array(machine, '$.states[*] ? (@.next[*].to == $ahead[*]).name',
      jsonb_build_object('ahead', before || to_jsonb(name)));
    exit when found = before;
    before := found;
  end loop;
  return before;
end
$$;

comment on function bindery_core.is_machine(jsonb) is
  'Whether this is a compiled pipeline: its form, its names, where its edges lead, and that they form no circle. No errors.';
comment on function bindery_core.state_named(jsonb, text) is
  'The state of this name in a machine; null where there is none. No errors.';
comment on function bindery_core.current_state(jsonb, text, text) is
  'The state of a machine that a book of this status is in or, once halted or complete, was last in (stage; null: see status); null where that is none that work is done in. No errors.';
comment on function bindery_core.reaches(jsonb, text, text) is
  'Whether forward edges of a machine lead from one state to the other. No errors.';
comment on function bindery_core.states_before(jsonb, text) is
  'The names of the states of a machine from which this one is reached, in its order, as a JSON array. No errors.';

-- Single values of a definition: each is read, or null where it is faulty or left out; and the fault of one that is faulty.
-- Invariants: core/src/definition/values.rs in SQL. A function named …_faults gives an array, empty where all is well.
-- Locks: none.
create function bindery_core.fault(path text, problem text) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return jsonb_build_object('path', path, 'problem', problem);
end
$$;

-- The fault of a value that may be left out; null counts as left out.
create function bindery_core.value_faults(is_valid boolean, path text, expected text, value jsonb) returns jsonb[]
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  if is_valid or value is null or value = 'null' then
    return '{}';
  end if;
  return array[bindery_core.fault(path, format('expected %s, found %s', expected, bindery_core.describe(value)))];
end
$$;

create function bindery_core.is_name(value jsonb, kind text) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return coalesce(jsonb_typeof(value) = 'string' and (value #>> '{}') collate "C" ~ case kind
    when 'state' then '^[A-Z][A-Z0-9_]{0,62}$'
    when 'substep' then '^[a-z][a-z0-9_]{0,62}$'
    when 'guard' then '^[a-z_][a-z0-9_]{0,62}([.][a-z_][a-z0-9_]{0,62})?$'
  end, false);
end
$$;

-- Of a name that must be there.
create function bindery_core.name_faults(value jsonb, kind text, path text) returns jsonb[]
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  expected constant text := case kind
    when 'state' then 'a name of the form [A-Z][A-Z0-9_]*, up to 63 characters'
    when 'substep' then 'a name of the form [a-z][a-z0-9_]*, up to 63 characters'
    when 'guard' then 'substeps_complete, attempts_left, or the name of an SQL function'
  end;
begin
  if bindery_core.is_name(value, kind) then
    return '{}';
  elsif value is null then
    return array[bindery_core.fault(path, 'is missing; expected ' || expected)];
  end if;
  return array[bindery_core.fault(path, format('expected %s, found %s', expected, bindery_core.describe(value)))];
end
$$;

create function bindery_core.unknown_key_faults(keys jsonb, known text[], path text) returns jsonb[]
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return array(
    select bindery_core.fault(
      path || case when k.key collate "C" ~ '^[A-Za-z0-9_]+$' then '.' || k.key else '[' || bindery_core.quoted(k.key) || ']' end,
      'is no key that is known here; known are ' || array_to_string(known, ', '))
    from jsonb_object_keys(keys) as k(key)
    where k.key <> all (known)
    order by k.key collate "C");
end
$$;

create function bindery_core.label_value(value jsonb) returns text
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return case when jsonb_typeof(value) = 'string' and length(value #>> '{}') between 1 and 200 then value #>> '{}' end;
end
$$;

create function bindery_core.weight_value(value jsonb) returns double precision
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  weight constant double precision := bindery_core.as_double(value);
begin
  -- The sum makes 0 of -0.
  return case when weight between 0 and 1e9 then weight + 0 end;
end
$$;

create function bindery_core.attempts_value(value jsonb) returns integer
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  attempts constant double precision := bindery_core.as_double(value);
begin
  return case when attempts between 1 and 2147483647 and attempts = floor(attempts) then attempts::integer end;
end
$$;

-- Seconds, from a text such as "2 minutes".
create function bindery_core.seconds_value(value jsonb) returns double precision
language plpgsql immutable parallel safe
set search_path = ''
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
  seconds := bindery_core.as_double(to_jsonb(('0' || whole || coalesce(left(parts[2], 1100), ''))::numeric))
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
  'A weight, 0 to 1000000000; null where the value is none. No errors.';
comment on function bindery_core.attempts_value(jsonb) is
  'A number of attempts, whole and at least 1; null where the value is none. No errors.';
comment on function bindery_core.seconds_value(jsonb) is
  'The seconds of a duration such as "2 minutes"; null where the value is none. No errors.';

-- The lists of a state: where it leads to, where back, and its substeps; each as far as it is fit to be used, with its faults.
-- Invariant: faults stand in the order of the text; core/src/definition/parse.rs in SQL.
-- Locks: none.
create function bindery_core.read_next(keys jsonb, path text, out next jsonb, out faults jsonb[])
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  listed constant jsonb := keys -> 'next';
  value jsonb;
  here text;
  target jsonb;
  guard jsonb;
  found jsonb[];
begin
  next := '[]';
  faults := bindery_core.value_faults(jsonb_typeof(listed) = 'array', path || '.next', 'an array of the states that may follow', listed);
  if jsonb_typeof(listed) is distinct from 'array' then
    return;
  end if;
  for index in 0 .. jsonb_array_length(listed) - 1 loop
    value := listed -> index;
    here := format('%s.next[%s]', path, index);
    target := null;
    guard := null;
    case jsonb_typeof(value)
      when 'object' then
        faults := faults || bindery_core.unknown_key_faults(value, '{to,guard}', here);
        found := bindery_core.name_faults(value -> 'to', 'state', here || '.to');
        target := case when found = '{}' then value -> 'to' end;
        faults := faults || found;
        if value -> 'guard' <> 'null' then
          found := bindery_core.name_faults(value -> 'guard', 'guard', here || '.guard');
          guard := case when found = '{}' then value -> 'guard' end;
          faults := faults || found;
        end if;
      when 'string' then
        found := bindery_core.name_faults(value, 'state', here);
        target := case when found = '{}' then value end;
        faults := faults || found;
      else
        faults := faults || bindery_core.fault(here,
          'expected the name of a state, or an object with to and guard, found ' || bindery_core.describe(value));
    end case;
    if next @> jsonb_build_array(jsonb_build_object('to', target)) then
      faults := faults || bindery_core.fault(here, (target #>> '{}') || ' is listed already; a state has one edge to another');
    elsif target is not null then
      next := next || jsonb_build_object('to', target, 'guard', guard);
    end if;
  end loop;
end
$$;

create function bindery_core.read_rework(keys jsonb, path text, out rework jsonb, out faults jsonb[])
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  listed constant jsonb := keys -> 'rework';
  value jsonb;
  here text;
  found jsonb[];
begin
  rework := '[]';
  faults := bindery_core.value_faults(jsonb_typeof(listed) = 'array', path || '.rework', 'an array of the names of earlier states', listed);
  if jsonb_typeof(listed) is distinct from 'array' then
    return;
  end if;
  for index in 0 .. jsonb_array_length(listed) - 1 loop
    value := listed -> index;
    here := format('%s.rework[%s]', path, index);
    found := bindery_core.name_faults(value, 'state', here);
    if found <> '{}' then
      faults := faults || found;
    elsif rework @> value then
      faults := faults || bindery_core.fault(here, (value #>> '{}') || ' is listed already');
    else
      rework := rework || value;
    end if;
  end loop;
end
$$;

create function bindery_core.read_substeps(keys jsonb, path text, out substeps jsonb, out faults jsonb[])
language plpgsql immutable parallel safe
set search_path = ''
set extra_float_digits = 1
as $$
declare
  listed constant jsonb := keys -> 'substeps';
  value jsonb;
  here text;
  found jsonb[];
  name text;
  names text[] := '{}';
  weight double precision;
  sum double precision := 0;
  weights_known boolean := true;
begin
  substeps := '[]';
  faults := bindery_core.value_faults(jsonb_typeof(listed) = 'array', path || '.substeps', 'an array of substeps', listed);
  if jsonb_typeof(listed) is distinct from 'array' then
    return;
  end if;
  if jsonb_array_length(listed) > 256 then
    faults := faults || bindery_core.fault(path || '.substeps', 'expected up to 256 substeps, found ' || jsonb_array_length(listed));
  end if;
  for index in 0 .. jsonb_array_length(listed) - 1 loop
    value := listed -> index;
    here := format('%s.substeps[%s]', path, index);
    if jsonb_typeof(value) <> 'object' then
      faults := faults || bindery_core.fault(here, 'expected a substep, an object with a name, found ' || bindery_core.describe(value));
      weights_known := false;
      continue;
    end if;
    faults := faults || bindery_core.unknown_key_faults(value, '{name,label,weight}', here);
    found := bindery_core.name_faults(value -> 'name', 'substep', here || '.name');
    faults := faults || found;
    name := case when found = '{}' then value ->> 'name' else '' end;
    if name = any (names) then
      faults := faults || bindery_core.fault(here || '.name', name || ' is the name of an earlier substep; names are unique in a state');
    elsif name <> '' then
      names := names || name;
    end if;
    weight := case when coalesce(value -> 'weight', 'null') = 'null' then 1 else bindery_core.weight_value(value -> 'weight') end;
    weights_known := weights_known and weight is not null;
    sum := sum + coalesce(weight, 0);
    faults := faults
      || bindery_core.value_faults(bindery_core.label_value(value -> 'label') is not null, here || '.label', 'a text of 1 to 200 characters', value -> 'label')
      || bindery_core.value_faults(weight is not null, here || '.weight', 'a number from 0 to 1000000000', value -> 'weight');
    substeps := substeps || jsonb_build_object('name', name, 'weight', weight,
      'label', coalesce(bindery_core.label_value(value -> 'label'), bindery_core.label_of(name)));
  end loop;
  if listed <> '[]' and weights_known and sum <= 0 then
    faults := faults || bindery_core.fault(path || '.substeps', 'expected at least one substep of a weight above 0');
  end if;
end
$$;

comment on function bindery_core.read_next(jsonb, text) is
  'Of a states keys, where it leads to: the edges that are fit for use, and the faults of the others. No errors.';
comment on function bindery_core.read_rework(jsonb, text) is
  'Of a states keys, where it leads back to: the names that are fit for use, and the faults of the others. No errors.';
comment on function bindery_core.read_substeps(jsonb, text) is
  'Of a states keys, its substeps: those that are fit for use, and the faults of the others. No errors.';

-- From single states to one graph: what each state leads to, whether that goes in a circle, and whether it ends.
-- Invariants: one bit a state, the first state's the lowest; core/src/definition/graph.rs in SQL.
-- Locks: none.
create function bindery_core.closure(direct bigint[]) returns bigint[]
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  reach bigint[] := direct;
begin
  for via in 1 .. cardinality(reach) loop
    for here in 1 .. cardinality(reach) loop
      if reach[here] & (1::bigint << (via - 1)) <> 0 then
        reach[here] := reach[here] | reach[via];
      end if;
    end loop;
  end loop;
  return reach;
end
$$;

-- A shortest way along forward edges from a state back to itself, without the return.
create function bindery_core.cycle_through(start integer, direct bigint[]) returns integer[]
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  came_from integer[] := array_fill(start, array[cardinality(direct)]);
  seen bigint := 0;
  queue integer[] := array[start];
  at integer := 1;
  here integer;
  cycle integer[];
begin
  loop
    here := queue[at];
    if direct[here] & (1::bigint << (start - 1)) <> 0 then
      loop
        cycle := here || cycle;
        if here = start then
          return cycle;
        end if;
        here := came_from[here];
      end loop;
    end if;
    for ahead in 1 .. cardinality(direct) loop
      if direct[here] & (1::bigint << (ahead - 1)) <> 0 and seen & (1::bigint << (ahead - 1)) = 0 then
        seen := seen | (1::bigint << (ahead - 1));
        came_from[ahead] := here;
        queue := queue || ahead;
      end if;
    end loop;
    at := at + 1;
  end loop;
end
$$;

create function bindery_core.graph_faults(states jsonb[], direct bigint[], reach bigint[]) returns jsonb[]
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  n constant integer := cardinality(states);
  names constant text[] := array(select s.state ->> 'name' from unnest(states) with ordinality as s(state, place) order by s.place);
  faults jsonb[] := '{}';
  path text;
  cycle integer[];
  in_a_known_cycle integer[] := '{}';
  target text;
begin
  for index in 1 .. n loop
    path := format('$.states[%s]', index - 1);
    if reach[index] & (1::bigint << (index - 1)) <> 0 and index <> all (in_a_known_cycle) then
      cycle := bindery_core.cycle_through(index, direct);
      in_a_known_cycle := in_a_known_cycle || cycle;
      faults := faults || bindery_core.fault(path || '.next', format(
        'forward edges lead in a circle: %s; a way back belongs into rework',
        (select string_agg(names[c.state], ' -> ' order by c.place) from unnest(cycle || index) with ordinality as c(state, place))));
    end if;
    if index > 1 and reach[1] & (1::bigint << (index - 1)) = 0 then
      faults := faults || bindery_core.fault(path, format(
        '%s cannot be reached from %s, where every book begins', names[index], names[1]));
    end if;
    if index < n and direct[index] = 0 then
      faults := faults || bindery_core.fault(path || '.next',
        'expected at least one state that may follow; only the last state is final');
    elsif index < n and reach[index] & (1::bigint << (n - 1)) = 0 then
      faults := faults || bindery_core.fault(path || '.next', format('%s, the final state, cannot be reached from here', names[n]));
    end if;
    for target in select jsonb_array_elements_text(states[index] -> 'rework') loop
      if reach[array_position(names, target)] & (1::bigint << (index - 1)) = 0 then
        faults := faults || bindery_core.fault(path || '.rework', format(
          'expected states from which %s is reached; %s is none', names[index], target));
      end if;
    end loop;
  end loop;
  return faults;
end
$$;

comment on function bindery_core.closure(bigint[]) is
  'From what each state leads to directly, what it leads to at all; one bit a state, one entry a state. No errors.';
comment on function bindery_core.cycle_through(integer, bigint[]) is
  'A shortest way along forward edges from a state back to itself, without the return; asked only where there is one. No errors.';
comment on function bindery_core.graph_faults(jsonb[], bigint[], bigint[]) is
  'The faults of the graph that these states make: circles, ends, what cannot be reached. direct, reach: as for closure. No errors.';

-- From a definition to a machine, or to all of its faults: first those of single values in the order of the text, then the graph's.
-- Invariants: core/src/definition in SQL; what was faulty in itself brings no follow-on faults.
-- Locks: none.

-- A state as it was written. known: what of it is fit to be used by the graph, in the keys named, weight_known, edges_known, has_next.
create function bindery_core.read_state(value jsonb, path text, is_final boolean, earlier text[],
  out state jsonb, out known jsonb, out faults jsonb[])
language plpgsql immutable parallel safe
set search_path = ''
set extra_float_digits = 1
as $$
declare
  is_object constant boolean := jsonb_typeof(value) = 'object';
  keys constant jsonb := case when is_object then value else '{}' end;
  label constant text := bindery_core.label_value(keys -> 'label');
  weight constant double precision := bindery_core.weight_value(keys -> 'weight');
  stall_after constant double precision := bindery_core.seconds_value(keys -> 'stall_after');
  max_attempts constant integer := bindery_core.attempts_value(keys -> 'max_attempts');
  retry_after constant double precision := bindery_core.seconds_value(keys -> 'retry_after');
  duration constant text :=
    'a number above 0 and a unit (seconds, minutes, hours or days), such as "30 seconds", up to 3650 days';
  name text := '';
  named boolean := false;
  next record;
  rework record;
  substeps record;
begin
  if is_object then
    faults := bindery_core.unknown_key_faults(keys,
      '{name,label,weight,next,rework,substeps,open_substeps,stall_after,max_attempts,retry_after}', path)
      || bindery_core.name_faults(keys -> 'name', 'state', path || '.name');
  else
    -- What is no state at all is reported as such, not for what it lacks.
    faults := array[bindery_core.fault(path, 'expected a state, an object with a name, found ' || bindery_core.describe(value))];
  end if;
  if bindery_core.is_name(keys -> 'name', 'state') then
    name := keys ->> 'name';
    if name in ('FAILED', 'CANCELLED') then
      faults := faults || bindery_core.fault(path || '.name', name || ' is a state that every pipeline has; choose another name');
    elsif name = any (earlier) then
      faults := faults || bindery_core.fault(path || '.name', name || ' is the name of an earlier state; names are unique');
    else
      named := true;
    end if;
  end if;
  next := bindery_core.read_next(keys, path);
  rework := bindery_core.read_rework(keys, path);
  substeps := bindery_core.read_substeps(keys, path);
  faults := faults
    || bindery_core.value_faults(label is not null, path || '.label', 'a text of 1 to 200 characters', keys -> 'label')
    || bindery_core.value_faults(weight is not null, path || '.weight', 'a number from 0 to 1000000000', keys -> 'weight')
    || next.faults || rework.faults || substeps.faults
    || bindery_core.value_faults(jsonb_typeof(keys -> 'open_substeps') = 'boolean', path || '.open_substeps', 'true or false', keys -> 'open_substeps')
    || bindery_core.value_faults(stall_after is not null, path || '.stall_after', duration, keys -> 'stall_after')
    || bindery_core.value_faults(max_attempts is not null, path || '.max_attempts', 'a whole number from 1', keys -> 'max_attempts')
    || bindery_core.value_faults(retry_after is not null, path || '.retry_after', duration, keys -> 'retry_after');
  -- A book ends in the last state: no work is done in it, and nothing follows.
  if is_final and weight > 0 then
    faults := faults || bindery_core.fault(path || '.weight',
      'the last state is final, no work is done in it: its weight is 0, or left out');
  end if;
  if is_final and substeps.substeps <> '[]' then
    faults := faults || bindery_core.fault(path || '.substeps', 'the last state is final, no work is done in it: it has no substeps');
  end if;
  if is_final and keys -> 'open_substeps' = 'true' then
    faults := faults || bindery_core.fault(path || '.open_substeps', 'the last state is final, no work is done in it: it has no substeps');
  end if;
  if is_final and next.next <> '[]' then
    faults := faults || bindery_core.fault(path || '.next', 'the last state is final: nothing follows it');
  end if;
  if is_final and rework.rework <> '[]' then
    faults := faults || bindery_core.fault(path || '.rework', 'the last state is final: nothing follows it');
  end if;
  known := jsonb_build_object('named', named,
    'weight_known', weight is not null or coalesce(keys -> 'weight', 'null') = 'null',
    'edges_known', is_object and next.faults = '{}' and rework.faults = '{}',
    'has_next', coalesce(keys -> 'next', 'null') <> 'null');
  state := jsonb_build_object('name', name, 'label', coalesce(label, bindery_core.label_of(name)), 'weight', coalesce(weight, 0),
    'start', 0, 'final', is_final, 'next', next.next, 'rework', rework.rework, 'substeps', substeps.substeps,
    'open_substeps', coalesce(keys -> 'open_substeps' = 'true', false),
    'stall_after', stall_after, 'max_attempts', max_attempts, 'retry_after', retry_after);
end
$$;

create function bindery_core.compile_pipeline(definition jsonb) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
set extra_float_digits = 1
as $$
declare
  faults jsonb[];
  n integer;
  written record;
  states jsonb[] := '{}';
  -- By place: the name where it is fit to be referred to, else null.
  names text[] := '{}';
  earlier text[] := '{}';
  known jsonb[] := '{}';
  dangling jsonb[] := '{}';
  edge record;
  all_weights_known boolean := true;
  sum double precision := 0;
  fits boolean;
  direct bigint[];
  reach bigint[];
  weights double precision[];
  starts double precision[];
  here integer;
begin
  if definition is null then
    perform bindery_core.refuse_null('definition');
  end if;
  -- The limits of the native kernel's parser.
  if jsonb_path_exists(definition, 'strict $.**{127}.type() ? (@ == "object" || @ == "array")')
    or jsonb_path_exists(definition, 'strict $.** ? (@.type() == "number" && (@ >= 1.7976931348623158079372897140530341507993e308
      || @ <= -1.7976931348623158079372897140530341507993e308))')
  then
    return jsonb_build_object('faults', array[bindery_core.fault('$',
      'cannot be read: a number is beyond any double, or values are nested more than 127 deep')]);
  end if;
  if jsonb_typeof(definition) <> 'object' then
    return jsonb_build_object('faults', array[bindery_core.fault('$',
      'expected an object with the key states, found ' || bindery_core.describe(definition))]);
  end if;
  faults := bindery_core.unknown_key_faults(definition, '{states,auto_advance}', '$')
    || bindery_core.value_faults(jsonb_typeof(definition -> 'auto_advance') = 'boolean', '$.auto_advance', 'true or false', definition -> 'auto_advance');
  if jsonb_typeof(definition -> 'states') is distinct from 'array' then
    return jsonb_build_object('faults', faults || bindery_core.fault('$.states',
      coalesce('expected an array of states, found ' || bindery_core.describe(definition -> 'states'), 'is missing; expected an array of states')));
  end if;
  n := jsonb_array_length(definition -> 'states');
  fits := n between 2 and 64;
  if not fits then
    faults := faults || bindery_core.fault('$.states', 'expected 2 to 64 states, found ' || n);
  end if;

  for index in 1 .. n loop
    written := bindery_core.read_state(definition -> 'states' -> (index - 1), format('$.states[%s]', index - 1), index = n, earlier);
    faults := faults || written.faults;
    states := states || written.state;
    known := known || written.known;
    names := names || case when (written.known ->> 'named')::boolean then written.state ->> 'name' end;
    earlier := earlier || (written.state ->> 'name');
    all_weights_known := all_weights_known and (written.known ->> 'weight_known')::boolean;
    sum := sum + (written.state ->> 'weight')::double precision;
    fits := fits and (written.known ->> 'named')::boolean and (written.known ->> 'edges_known')::boolean;
  end loop;
  -- A state that does not say what follows leads to the one below it.
  for index in 1 .. n - 1 loop
    if not (known[index] ->> 'has_next')::boolean and names[index + 1] is not null then
      states[index] := jsonb_set(states[index], '{next}', jsonb_build_array(jsonb_build_object('to', names[index + 1], 'guard', null)));
    end if;
  end loop;
  for edge in
    select s.place, leads.key, leads.target
    from unnest(states) with ordinality as s(state, place)
    cross join lateral (
      select 'next' as key, e.value ->> 'to' as target, e.at from jsonb_array_elements(s.state -> 'next') with ordinality as e(value, at)
      union all
      select 'rework', r.value, r.at from jsonb_array_elements_text(s.state -> 'rework') with ordinality as r(value, at)
    ) as leads
    where (leads.target = any (names)) is not true
    order by s.place, leads.key, leads.at
  loop
    dangling := dangling || bindery_core.fault(format('$.states[%s].%s', edge.place - 1, edge.key), edge.target || ' is no state of this pipeline');
  end loop;
  faults := faults || dangling;
  if n > 0 and all_weights_known and sum <= 0 then
    faults := faults || bindery_core.fault('$.states', 'expected at least one state of a weight above 0');
  end if;

  if fits and dangling = '{}' then
    direct := array(
      select coalesce(bit_or(1::bigint << (array_position(names, e.value ->> 'to') - 1)), 0)
      from unnest(states) with ordinality as s(state, place)
      left join lateral jsonb_array_elements(s.state -> 'next') as e(value) on true
      group by s.place order by s.place);
    reach := bindery_core.closure(direct);
    faults := faults || bindery_core.graph_faults(states, direct, reach);
  end if;
  if faults <> '{}' then
    return jsonb_build_object('faults', faults);
  end if;

  -- The heaviest weight that can lie before each. A state has more states ahead of it than any state ahead of it has.
  starts := array_fill(0::double precision, array[n]);
  weights := array(select (s.state ->> 'weight')::double precision from unnest(states) with ordinality as s(state, place) order by s.place);
  for here in
    select r.place from unnest(reach) with ordinality as r(bits, place) order by bit_count(r.bits::bit(64)) desc, r.place
  loop
    for ahead in 1 .. n loop
      if direct[here] & (1::bigint << (ahead - 1)) <> 0 then
        starts[ahead] := greatest(starts[ahead], starts[here] + weights[here]);
      end if;
    end loop;
  end loop;
  for index in 1 .. n loop
    states[index] := jsonb_set(states[index], '{start}', to_jsonb(starts[index]));
  end loop;
  return jsonb_build_object('machine', jsonb_build_object('states', states, 'total_weight', starts[n],
    'auto_advance', coalesce(definition -> 'auto_advance' = 'true', false)));
end
$$;

comment on function bindery_core.read_state(jsonb, text, boolean, text[]) is
  'A state as it was written: what of it is fit for use, what of that the graph may rely on, and its faults. earlier: the names above it. No errors.';
comment on function bindery_core.compile_pipeline(jsonb) is
  'Compiles the definition of a pipeline. Gives {"machine": …}, or {"faults": [{"path": …, "problem": …}]} with every fault of the definition and its JSON path. Errors: 22004 where the definition is null.';

-- What may follow a status, guards aside; and where a rewind may go.
-- Invariant: forward, back, then FAILED and CANCELLED; what lies before, then where it failed; core/src/transition.rs in SQL.
-- Locks: none.
create function bindery_core.following(machine jsonb, status text, stage text) returns text[]
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  state jsonb;
begin
  if status = 'FAILED' then
    -- Where the stage is no state of this pipeline there is nothing to resume to.
    return array_remove(array[bindery_core.current_state(machine, status, stage) ->> 'name', 'CANCELLED'], null);
  end if;
  state := bindery_core.state_named(machine, status);
  if (state ->> 'final')::boolean is not false then
    return '{}';
  end if;
  return array(select jsonb_array_elements_text(jsonb_path_query_array(state, '$.next[*].to') || (state -> 'rework')))
    || array['FAILED', 'CANCELLED'];
end
$$;

create function bindery_core.next_statuses(machine jsonb, status text, stage text) returns text[]
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  if machine is null then
    perform bindery_core.refuse_null('machine');
  elsif not bindery_core.is_machine(machine) then
    perform bindery_core.refuse('machine', 'this is not a compiled pipeline');
  elsif status is null then
    perform bindery_core.refuse_null('status');
  end if;
  return bindery_core.following(machine, status, stage);
end
$$;

create function bindery_core.earlier(machine jsonb, status text, stage text) returns text[]
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  failed constant boolean := status = 'FAILED';
  state constant jsonb := case when failed then bindery_core.current_state(machine, status, stage)
    else bindery_core.state_named(machine, status) end;
begin
  if (state ->> 'final')::boolean is not false then
    return '{}';
  end if;
  return array(select jsonb_array_elements_text(bindery_core.states_before(machine, state ->> 'name')))
    || case when failed then array[state ->> 'name'] end;
end
$$;

create function bindery_core.rewind_targets(machine jsonb, status text, stage text) returns text[]
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  if machine is null then
    perform bindery_core.refuse_null('machine');
  elsif not bindery_core.is_machine(machine) then
    perform bindery_core.refuse('machine', 'this is not a compiled pipeline');
  elsif status is null then
    perform bindery_core.refuse_null('status');
  end if;
  return bindery_core.earlier(machine, status, stage);
end
$$;

comment on function bindery_core.following(jsonb, text, text) is
  'next_statuses, of arguments that were looked at. No errors.';
comment on function bindery_core.next_statuses(jsonb, text, text) is
  'The statuses that may follow, guards aside: forward, back by rework, then FAILED and CANCELLED; empty where the book is at its end. machine, status, stage: as for transition_error. Errors: 22004 for a null machine or status, 22023 for what is no machine.';
comment on function bindery_core.earlier(jsonb, text, text) is
  'rewind_targets, of arguments that were looked at. No errors.';
comment on function bindery_core.rewind_targets(jsonb, text, text) is
  'The states that an operator may take a book back to: those before its own, in the pipeline''s order, then for a FAILED book the one it failed in; empty where there is none or the book is at its end. machine, status, stage: as for transition_error. Errors: 22004 for a null machine or status, 22023 for what is no machine.';

-- Why a book may not change to a status, for people; null where it may.
-- Invariant: a fact that is missing counts as one that does not hold; core/src/transition.rs in SQL.
-- Locks: none.
create function bindery_core.unmet_guard(status text, edge jsonb, facts jsonb) returns text
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  guard constant text := edge ->> 'guard';
  holds constant text := case when guard in ('substeps_complete', 'attempts_left') then facts else facts -> 'guards' end ->> guard;
begin
  if guard is null or holds = 'true' then
    return null;
  end if;
  return format('The guard %s of %s -> %s does not hold: %s.', guard, status, edge ->> 'to', case
    when holds is null then 'nothing is known about it'
    when guard = 'substeps_complete' then format('not every substep of %s is done', status)
    when guard = 'attempts_left' then format('%s has no attempts left', status)
    else 'it said no'
  end);
end
$$;

create function bindery_core.is_facts(facts jsonb) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  -- In an array of facts the paths below would find facts, too.
  return jsonb_typeof(facts) = 'object' and not facts @@ 'exists($.substeps_complete.type() ? (@ != "boolean" && @ != "null"))
    || exists($.attempts_left.type() ? (@ != "boolean" && @ != "null")) || exists($.rewind.type() ? (@ != "boolean" && @ != "null"))
    || exists($.guards.type() ? (@ != "object" && @ != "null")) || exists($.guards.*.type() ? (@ != "boolean"))';
end
$$;

-- The refusal of a step back, where the book is in a state of its pipeline that is not its end.
create function bindery_core.rewind_error(status text, target text, states text[], allowed text[]) returns text
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  if target = any (allowed) then
    return null;
  elsif allowed = '{}' then
    return format('A book in %s cannot be rewound; there is no earlier state.', status);
  end if;
  return format(case
      when target = status then 'A book in %1$s is already in %1$s; it'
      when target = any (states) then 'A book in %1$s cannot be rewound to %2$s; it'
      else 'This pipeline has no state %2$s; a book in %1$s'
    end || ' may be rewound to %3$s.', status, target, bindery_core.listed(allowed, 'or'));
end
$$;

create function bindery_core.transition_error(machine jsonb, status text, stage text, target text, facts jsonb) returns text
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  states text[];
  allowed text[];
begin
  if not bindery_core.is_facts(facts) then
    perform bindery_core.refuse('facts', 'expected an object of booleans, with guards as another one');
  elsif machine is null then
    perform bindery_core.refuse_null('machine');
  elsif not bindery_core.is_machine(machine) then
    perform bindery_core.refuse('machine', 'this is not a compiled pipeline');
  elsif status is null then
    perform bindery_core.refuse_null('status');
  elsif target is null then
    perform bindery_core.refuse_null('target');
  end if;

  if (facts ->> 'rewind')::boolean is not true then
    allowed := bindery_core.following(machine, status, stage);
    if target = any (allowed) then
      return bindery_core.unmet_guard(status, jsonb_path_query_first(bindery_core.state_named(machine, status),
        '$.next[*] ? (@.to == $target)', jsonb_build_object('target', target)), facts);
    end if;
  end if;
  states := array(select jsonb_path_query(machine, '$.states[*].name') #>> '{}') || array['FAILED', 'CANCELLED'];
  if status <> all (states) then
    return format('This pipeline has no state %s; its states are %s.', status, bindery_core.listed(states, 'and'));
  elsif status in ('CANCELLED', machine #>> '{states,-1,name}') then
    return format('%s is final; nothing follows it.', status);
  elsif allowed is null then
    return bindery_core.rewind_error(status, target, states, bindery_core.earlier(machine, status, stage));
  end if;
  return format(case
      when target = status then 'A book in %1$s is already in %1$s'
      when target = any (states) then 'A book in %1$s cannot go to %2$s'
      else 'This pipeline has no state %2$s'
    end || '; from %1$s it may go to %3$s.', status, target, bindery_core.listed(allowed, 'or'));
end
$$;

comment on function bindery_core.unmet_guard(text, jsonb, jsonb) is
  'Why the guard of an edge from this status does not hold, by these facts; null where it does, or there is none. No errors.';
comment on function bindery_core.is_facts(jsonb) is
  'Whether this is what transition_error takes as facts; null for null. No errors.';
comment on function bindery_core.rewind_error(text, text, text[], text[]) is
  'Why a book of this status may not be rewound to target; null where it may. states: all of the pipeline; allowed: as rewind_targets gives them. No errors.';
comment on function bindery_core.transition_error(jsonb, text, text, text, jsonb) is
  'Why a book may not change its status; null where it may. machine: as compile_pipeline gives it; status, stage: the book''s (stage: the state a halted book was last in; null: the initial one); target: the status it is to have; facts: {"substeps_complete", "attempts_left", "guards": {NAME: boolean}}, where what is missing does not hold, and "rewind": true for an operator''s step back, which goes by rewind_targets and asks no guard; null: no facts. Gives a sentence that names what would be allowed. Errors: 22004 for a null machine, status or target, 22023 for a machine or facts of another form.';

-- What becomes of a progress report: accept, stale, advance, or the code of the error.
-- Invariant: core/src/report.rs in SQL, question by question.
-- Locks: none.
create function bindery_core.takes_substep(state jsonb, substep text) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return (state ->> 'open_substeps')::boolean
    or state -> 'substeps' = '[]' and substep = 'all'
    or jsonb_path_exists(state, '$.substeps[*] ? (@.name == $name)', jsonb_build_object('name', substep));
end
$$;

create function bindery_core.report_verdict(
  machine jsonb, status text, stage text, attempt integer, report_stage text, substep text, report_attempt integer, planned boolean,
  last_attempt integer default null)
returns text
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  is_over boolean;
  current jsonb;
  reported jsonb;
  verdict text := 'accept';
begin
  if machine is null then
    perform bindery_core.refuse_null('machine');
  elsif not bindery_core.is_machine(machine) then
    perform bindery_core.refuse('machine', 'this is not a compiled pipeline');
  elsif planned is null then
    perform bindery_core.refuse_null('planned');
  elsif status is null then
    perform bindery_core.refuse_null('status');
  elsif attempt is null then
    perform bindery_core.refuse_null('attempt');
  end if;

  is_over := status in ('FAILED', 'CANCELLED') or status = machine #>> '{states,-1,name}';
  current := bindery_core.current_state(machine, status, stage);
  if current is null and stage is null and is_over then
    -- A complete book whose last stage is not told was last in any of them; the report is stale wherever that was.
    current := machine #> '{states,0}';
  end if;
  reported := case when report_stage is null then current else bindery_core.state_named(machine, report_stage) end;
  if current is null or reported is null or (reported ->> 'final')::boolean and report_stage is not null then
    return 'unknown_stage';
  end if;

  if is_over or reported -> 'name' = current -> 'name' then
    if report_attempt > attempt then
      return 'attempt_ahead';
    elsif is_over or report_attempt < attempt then
      return 'stale';
    end if;
  elsif bindery_core.reaches(machine, reported ->> 'name', current ->> 'name') then
    return 'stale';
  elsif report_attempt <= coalesce(last_attempt, 0) then
    -- A straggler from an earlier visit: the book's next attempt there is one more than its last.
    return 'stale';
  elsif not (machine ->> 'auto_advance')::boolean or not jsonb_path_exists(current,
      '$.next[*] ? (@.to == $to && (!exists(@.guard) || @.guard == null))', jsonb_build_object('to', reported -> 'name')) then
    return 'stage_not_reached';
  elsif report_attempt > coalesce(last_attempt, 0)::bigint + 1 then
    return 'attempt_ahead';
  else
    verdict := 'advance';
  end if;
  return case when planned or bindery_core.takes_substep(reported, coalesce(substep, 'all')) then verdict else 'unknown_substep' end;
end
$$;

comment on function bindery_core.takes_substep(jsonb, text) is
  'Whether a state takes reports on this substep without a book having planned it. No errors.';
comment on function bindery_core.report_verdict(jsonb, text, text, integer, text, text, integer, boolean, integer) is
  'What becomes of a progress report: accept, stale (too late: without effect), advance (it takes the book to its stage first), or the code of its refusal: unknown_stage, stage_not_reached, unknown_substep, attempt_ahead. machine, status, stage: as for transition_error; attempt: the book''s; report_stage, substep, report_attempt: the report''s, null where it names none; planned: whether the book itself knows the substep; last_attempt: the highest attempt the book ever had at report_stage, null where it never was there or is there now. Errors: 22004 for a null machine, status, attempt or planned, 22023 for what is no machine.';

-- How far a book has come: percent of the whole and of its stage, its substeps and stages.
-- Invariants: core/src/progress.rs in SQL, the same doubles in the same order; what is not complete shows 99.99 at most.
-- Locks: none.
create function bindery_core.is_rows(substeps jsonb) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  -- The limit is where rounding to a double gives infinity.
  return jsonb_typeof(substeps) = 'array'
    and not jsonb_path_exists(substeps, '$[*].type() ? (@ != "object")')
    and not jsonb_path_exists(substeps, '$[*] ? (!(@.substep.type() == "string")
      || exists(@.weight.type() ? (@ != "number" && @ != "null")) || exists(@.progress.type() ? (@ != "number" && @ != "null"))
      || exists(@.done.type() ? (@ != "number" && @ != "null")) || exists(@.total.type() ? (@ != "number" && @ != "null"))
      || exists(@.unit.type() ? (@ != "string" && @ != "null")) || exists(@.message.type() ? (@ != "string" && @ != "null")))')
    and not jsonb_path_exists(substeps, '$[*].keyvalue() ? (@.key == "weight" || @.key == "progress" || @.key == "done" || @.key == "total").value
      ? (@ >= 1.7976931348623158079372897140530341507993e308 || @ <= -1.7976931348623158079372897140530341507993e308)');
end
$$;

-- Two decimals, halves up.
create function bindery_core.shown(percent double precision) returns double precision
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return case when percent >= 100 then 100 else least(floor(percent * 100 + 0.5) / 100, 99.99) end;
end
$$;

-- The weighted mean where weights are so big that sums may overflow; what is infinite counts as 0.
create function bindery_core.mean_of_giants(weights double precision[], percents double precision[]) returns double precision
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  sum double precision := 0;
  whole double precision := 0;
begin
  for index in 1 .. cardinality(weights) loop
    sum := bindery_core.total(sum, bindery_core.product(weights[index], percents[index]));
    whole := bindery_core.total(whole, weights[index]);
  end loop;
  return case when sum = 'Infinity' or whole = 'Infinity' then 0 else bindery_core.quotient(sum, whole) end;
end
$$;

create function bindery_core.summarize(machine jsonb, status text, stage text, substeps jsonb) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
set extra_float_digits = 1
as $$
declare
  complete boolean;
  current jsonb;
  shown_substeps jsonb := '[]';
  shown_stages jsonb;
  weights double precision[];
  percents double precision[];
  sum double precision;
  whole double precision;
  all_done boolean;
  -- The stage's percent before it is rounded.
  exact double precision := 100;
  stage_progress double precision := 100;
  overall double precision := 100;
  before jsonb;
begin
  if machine is null then
    perform bindery_core.refuse_null('machine');
  elsif not bindery_core.is_machine(machine) then
    perform bindery_core.refuse('machine', 'this is not a compiled pipeline');
  elsif substeps is null then
    perform bindery_core.refuse_null('substeps');
  elsif not bindery_core.is_rows(substeps) then
    perform bindery_core.refuse('substeps', 'expected an array of progress rows');
  elsif status is null then
    perform bindery_core.refuse_null('status');
  end if;
  complete := status = machine #>> '{states,-1,name}';
  if status not in ('FAILED', 'CANCELLED') and not complete and bindery_core.state_named(machine, status) is null then
    perform bindery_core.refuse('stage', 'this pipeline has no state ' || status);
  end if;
  current := bindery_core.current_state(machine, status, stage);
  if current is null and not complete then
    perform bindery_core.refuse('stage', 'this pipeline has no stage ' || coalesce(stage, status));
  end if;

  -- The declared ones in their order, then the others by name; of two rows of one substep the first counts.
  if current is not null and (current -> 'substeps' <> '[]' or substeps <> '[]') then
    select
      jsonb_agg(jsonb_strip_nulls(jsonb_build_object('name', s.name, 'label', s.label, 'weight', s.weight,
        'state', case when s.percent >= 100 then 'done' when s.percent > 0 then 'active' else 'pending' end,
        'progress', case when s.percent = 0 then 0 else bindery_core.shown(s.percent) end,
        'done', s.done, 'total', s.total, 'unit', s.unit, 'message', s.message))),
      array_agg(s.weight) filter (where s.weight > 0),
      array_agg(s.percent) filter (where s.weight > 0),
      bool_and(s.percent >= 100) filter (where s.weight > 0),
      sum(s.weight) filter (where s.weight > 0 and s.weight <= 1e290),
      sum(case when s.percent = 0 then 0 when s.weight >= 1e-100 and s.percent >= 1e-100 then s.weight * s.percent
        else bindery_core.product(s.weight, s.percent) end) filter (where s.weight > 0 and s.weight <= 1e290)
    into shown_substeps, weights, percents, all_done, whole, sum
    from (
      select coalesce(d.name, r.name) as name,
        coalesce(d.label, bindery_core.label_of(r.name)) as label,
        coalesce(r.weight, d.weight, 1) as weight,
        coalesce(least(greatest(r.progress, 0), 100), 0) as percent,
        r.done, r.total, r.unit, r.message
      from (
        select declared.substep ->> 'name' as name, declared.substep ->> 'label' as label,
          bindery_core.as_double(declared.substep -> 'weight') as weight, declared.place
        from jsonb_array_elements(current -> 'substeps') with ordinality as declared(substep, place)
      ) as d
      full join (
        select distinct on (given.substep ->> 'substep' collate "C")
          given.substep ->> 'substep' as name, bindery_core.as_double(given.substep -> 'weight') as weight,
          bindery_core.as_double(given.substep -> 'progress') as progress, bindery_core.as_double(given.substep -> 'done') as done,
          bindery_core.as_double(given.substep -> 'total') as total, given.substep ->> 'unit' as unit, given.substep ->> 'message' as message
        from jsonb_array_elements(substeps) with ordinality as given(substep, place)
        order by given.substep ->> 'substep' collate "C", given.place
      ) as r on r.name = d.name
      order by d.place, r.name collate "C"
    ) as s;
  end if;

  if not complete then
    exact := case
      when weights is null then 0
      when all_done then 100
      when 1e290 < any (weights) then bindery_core.mean_of_giants(weights, percents)
      else bindery_core.quotient(sum, whole)
    end;
    if not all_done then
      exact := case when exact = 'Infinity' then 0 else least(exact, 99.99999999999999) end;
    end if;
    stage_progress := bindery_core.shown(exact);
    -- 100 belongs to the final state alone.
    overall := least(99.99, bindery_core.shown(least(100, bindery_core.quotient(bindery_core.product(100, bindery_core.total(
      bindery_core.as_double(current -> 'start'),
      bindery_core.quotient(bindery_core.product(bindery_core.as_double(current -> 'weight'), exact), 100))),
      bindery_core.as_double(machine -> 'total_weight')))));
    before := bindery_core.states_before(machine, current ->> 'name');
  end if;

  select coalesce(jsonb_agg(jsonb_build_object('name', s.name, 'label', s.label, 'state', s.stands, 'progress',
    case s.stands when 'done' then 100 when 'pending' then 0 else stage_progress end)), '[]')
  into shown_stages
  from (
    select listed.state ->> 'name' as name, listed.state -> 'label' as label,
      case
        when complete then 'done'
        when listed.state -> 'name' = current -> 'name' then
          case status when 'FAILED' then 'failed' when 'CANCELLED' then 'cancelled' else 'active' end
        when before ? (listed.state ->> 'name') then 'done'
        else 'pending'
      end as stands
    from jsonb_array_elements(machine -> 'states') with ordinality as listed(state, place)
    where listed.state -> 'weight' <> '0'
    order by listed.place
  ) as s;
  return jsonb_build_object('overall', overall, 'stage_progress', stage_progress, 'substeps', shown_substeps, 'stages', shown_stages);
end
$$;

comment on function bindery_core.is_rows(jsonb) is
  'Whether these are progress rows as summarize takes them. No errors.';
comment on function bindery_core.shown(double precision) is
  'A percent as it is shown: two decimals, halves up, below 100 unless it is 100. No errors.';
comment on function bindery_core.mean_of_giants(double precision[], double precision[]) is
  'The weighted mean of percents where weights are so big that sums may overflow; 0 where they do. No errors.';
comment on function bindery_core.summarize(jsonb, text, text, jsonb) is
  'How far a book is: {"overall", "stage_progress"} in percent, two decimals, "substeps" of its stage and "stages" of its pipeline. machine, status, stage: as for transition_error; substeps: the book''s progress rows of that stage, [{"substep", "weight"?, "progress"?, "done"?, "total"?, "unit"?, "message"?}]. Errors: 22004 for a null machine, status or substeps, 22023 for a machine or rows of another form, or a status or stage that the pipeline does not have.';

comment on schema bindery_core is 'Bindery''s rules: the portable kernel 17485227820083753790.';

-- The roles that Supabase has (anon, authenticated, service_role), bindery_relay, and bindery_guard (as which guards that are
-- SQL functions run), each made where it is missing.
-- Invariant: no role made here can log in; an operator grants bindery_relay to the daemon's own login role.
-- Locks: none of ours.
do $$
declare
  wanted text;
begin
  foreach wanted in array array['anon', 'authenticated', 'service_role', 'bindery_relay', 'bindery_guard'] loop
    if to_regrole(wanted) is null then
      begin
        execute format('create role %I nologin noinherit', wanted);
      exception when duplicate_object or unique_violation then
        -- Roles are the server's: another of its databases is being migrated at this moment.
        null;
      end;
    end if;
  end loop;
end
$$;

-- bindery is the exposed API; bindery_internal holds what the API stands on (triggers, definers, helpers).
-- Invariant: bindery_core (the kernel) is made by the extension or by sql/portable, never here.
-- Locks: none of ours.
create schema if not exists bindery;
create schema if not exists bindery_internal;

comment on schema bindery is 'Bindery: the status and progress of books in the making. Tables to read, functions to call.';
comment on schema bindery_internal is 'What schema bindery stands on: triggers, definer functions, helpers. Not an API.';

-- The one clock: wall time, or what the schema's owner set in bindery.now so that tests need no sleep.
-- Invariant: everything in bindery that asks for the time asks here; nobody else's setting moves a lease or a heartbeat.
-- Locks: none.
create or replace function bindery_internal.may_set_clock() returns boolean
language plpgsql stable parallel safe
set search_path = ''
as $$
begin
  -- The session's own user: what it became by SET ROLE or a definer function counts for nothing.
  return pg_has_role(session_user, (select n.nspowner from pg_catalog.pg_namespace n where n.nspname = 'bindery_internal'), 'member');
end
$$;

create or replace function bindery_internal.now() returns timestamptz
language plpgsql volatile parallel safe
set search_path = ''
as $$
declare
  setting constant text := coalesce(current_setting('bindery.now', true), '');
begin
  if setting <> '' and bindery_internal.may_set_clock() then
    return setting::timestamptz;
  end if;
  return clock_timestamp();
end
$$;

comment on function bindery_internal.may_set_clock() is 'Whether the session belongs to the schema''s owner, or to a superuser: who may say what time it is.';
comment on function bindery_internal.now() is
  'Wall time (not the transaction''s start: a call may have waited for a lock), or the setting bindery.now where the schema''s owner has set it.';

-- Errors are values until they are raised: a relay turns the same value into a dead letter that an API call raises.
-- Invariant: every refusal of ours has a SQLSTATE, a message for people, a JSON detail with a code, and a hint.
-- Locks: none.
create or replace function bindery_internal.error(
  sqlstate text, code text, message text, hint text, detail jsonb default '{}'
) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select jsonb_build_object(
    'sqlstate', sqlstate, 'code', code, 'message', message, 'hint', hint,
    'detail', jsonb_build_object('code', code) || detail);
$$;

create or replace function bindery_internal.raise_error(error jsonb) returns void
language plpgsql
set search_path = ''
as $$
begin
  -- Null is no error, and stale is an outcome, not a fault.
  if error is null or error ? 'stale' then
    return;
  end if;
  raise exception using
    errcode = error ->> 'sqlstate',
    message = error ->> 'message',
    detail = (error -> 'detail')::text,
    hint = error ->> 'hint';
end
$$;

comment on function bindery_internal.error(text, text, text, text, jsonb) is
  'An error as a value: {sqlstate, code, message, hint, detail}.';
comment on function bindery_internal.raise_error(jsonb) is
  'Raises a value of bindery_internal.error; null and {"stale": true} pass.';

-- The errors that more than one function gives, each worded once.
-- Invariant: PT404 unknown, PT409 conflict, PT422 bad input (PostgREST answers with that HTTP status).
-- Locks: none.
create or replace function bindery_internal.unknown_book(book_id uuid) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select bindery_internal.error('PT404', 'unknown_book',
    format('There is no book %s.', coalesce(book_id::text, '(null)')),
    'Register it first with bindery.register_book, or check the id and who is asking.',
    jsonb_build_object('book_id', book_id));
$$;

create or replace function bindery_internal.bad_input(argument text, problem text, hint text) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select bindery_internal.error('PT422', 'bad_input', format('%s %s.', argument, problem), hint,
    jsonb_build_object('argument', argument));
$$;

create or replace function bindery_internal.stale_revision(book_id uuid, revision bigint, expected_revision bigint) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select bindery_internal.error('PT409', 'stale_revision',
    format('Book %s is at revision %s, not %s.', book_id, revision, expected_revision),
    'Read its status again, and decide anew.',
    jsonb_build_object('book_id', book_id, 'revision', revision, 'expected_revision', expected_revision));
$$;

create or replace function bindery_internal.illegal_transition(
  from_status text, to_status text, reason text, allowed text[]
) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select bindery_internal.error('PT409', 'illegal_transition', reason,
    case when cardinality(allowed) = 0 then 'Nothing leads on from here; register a new book to start over.'
         else format('Allowed from %s: %s.', from_status, array_to_string(allowed, ', ')) end,
    jsonb_build_object('from', from_status, 'to', to_status, 'allowed', to_jsonb(allowed)));
$$;

create or replace function bindery_internal.refused_report(
  verdict text, book_id uuid, stage text, substep text, attempt integer
) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select case verdict
    when 'unknown_book' then bindery_internal.unknown_book(book_id)
    when 'unknown_stage' then bindery_internal.error('PT404', verdict,
      format('The pipeline of book %s has no stage %s.', book_id, stage),
      'bindery.get_book_status lists the stages of a book.', where_it_was)
    when 'stage_not_reached' then bindery_internal.error('PT409', verdict,
      format('Book %s has not reached the stage %s yet.', book_id, stage),
      'Make the transition first, then report; or let the pipeline say auto_advance.', where_it_was)
    when 'unknown_substep' then bindery_internal.error('PT422', verdict,
      format('The stage %s of book %s has no substep %s.', coalesce(stage, '(current)'), book_id, coalesce(substep, 'all')),
      'Report a declared substep, plan this one with bindery.plan_substeps, or give the stage open_substeps.', where_it_was)
    when 'attempt_ahead' then bindery_internal.error('PT409', verdict,
      format('Book %s has not come to attempt %s.', book_id, attempt),
      'Use the attempt that bindery.get_resume_point gives.', where_it_was)
    when 'stale' then '{"stale": true}'
  end
  from (select jsonb_build_object('book_id', book_id, 'stage', stage, 'substep', substep, 'attempt', attempt)) as w(where_it_was);
$$;

comment on function bindery_internal.refused_report(text, uuid, text, text, integer) is
  'The error for a verdict of bindery_core.report_verdict; null for accept, {"stale": true} for stale.';
comment on function bindery_internal.unknown_book(uuid) is 'The error PT404 unknown_book.';
comment on function bindery_internal.bad_input(text, text, text) is 'The error PT422 bad_input: an argument, what is wrong with it, and what to give.';
comment on function bindery_internal.stale_revision(uuid, bigint, bigint) is 'The error PT409 stale_revision.';
comment on function bindery_internal.illegal_transition(text, text, text, text[]) is
  'The error PT409 illegal_transition: the kernel''s reason, and what is allowed instead.';

-- What no text and no JSON of a caller may hold: the one place that says it, for calls and, by constraints, for whoever writes.
-- Invariants: a text is plain (no control characters but tab and line ends, nothing that turns the direction of what follows);
-- JSON is small and not deep, and its strings are its owner's own affair. core/src/event has the same for events. Locks: none.
create or replace function bindery_internal.refused_text(argument text, value text, longest integer) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  if value is null then
    return null;
  elsif length(value) > longest then
    return bindery_internal.bad_input(argument, format('is longer than %s characters', to_char(longest, 'FM999,999')), 'Shorten it.');
  -- Marks and joiners (U+200C to U+200F) stay: scripts that need them are written with them. NUL never comes here: no text of
  -- Postgres can hold it. The constraints ..._is_plain_text have the same expression.
  elsif value ~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]' then
    return bindery_internal.bad_input(argument, 'holds a control character, or one that overrides the direction of text',
      'Leave it out; tabs and line ends may stay.');
  end if;
  return null;
end
$$;

create or replace function bindery_internal.refused_json(argument text, value jsonb) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  if value is null then
    return null;
  elsif octet_length(value::text) > 131072 then
    return bindery_internal.bad_input(argument, 'is larger than 128 KiB', 'Keep large things elsewhere and store a reference.');
  -- What is too deep for Postgres itself to read (54001) never comes here; neither does half of a surrogate pair (22P02).
  elsif jsonb_path_exists(value, '$.**{65}') then
    return bindery_internal.bad_input(argument, 'is nested deeper than 64 levels', 'Make it flatter, or store it as text.');
  end if;
  return null;
end
$$;

create or replace function bindery_internal.refused_attempt() returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select bindery_internal.bad_input('attempt', 'is less than 1', 'Attempts count from 1; bindery.get_resume_point gives the current one.');
$$;

comment on function bindery_internal.refused_attempt() is 'The error for an attempt below 1.';
comment on function bindery_internal.refused_text(text, text, integer) is
  'The error for a text that is longer than so many characters, or holds control or direction-changing characters; null for any other, and for null.';
comment on function bindery_internal.refused_json(text, jsonb) is
  'The error for JSON that is larger than 128 KiB or nested deeper than 64 levels; null for any other, and for null.';

-- Who is asking: the user of the token (for policies) and the name that goes into the history.
-- Invariant: works with and without PostgREST, and inside definer functions (the setting role outlives them).
-- Locks: none.
create or replace function bindery_internal.user_id() returns uuid
language sql stable parallel safe
set search_path = ''
as $$
  select case when c.sub ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then c.sub::uuid end
  from (select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub') as c(sub);
$$;

create or replace function bindery_internal.actor() returns text
language plpgsql stable parallel safe
set search_path = ''
as $$
begin
  return coalesce(
    nullif(current_setting('bindery.actor', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub',
    nullif(current_setting('role', true), 'none'),
    session_user);
end
$$;

comment on function bindery_internal.user_id() is 'The sub of the request''s JWT where it is a uuid, else null.';
comment on function bindery_internal.actor() is
  'Who the history names: the setting bindery.actor, the token''s sub, the role, or the session''s user; the first there is.';

-- pipelines: named, versioned state machines.
-- Invariants: a row is never changed; one that books use is not deleted (their foreign key); machine is what the kernel compiled.
-- Locks: define_pipeline takes an advisory lock on the name, before anything else.
create table bindery.pipelines (
  name text not null,
  version integer not null,
  definition jsonb not null,
  machine jsonb not null,
  created_at timestamptz not null default bindery_internal.now(),
  constraint pipelines_pkey primary key (name, version),
  constraint name_is_lower_snake_case check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  constraint version_counts_from_one check (version >= 1)
-- A machine of up to 8 KB stays in its row: each change of a book reads it.
) with (toast_tuple_target = 8160);

-- Every report reads the machine: uncompressed it is read without unpacking.
alter table bindery.pipelines alter column machine set storage external;
alter table bindery.pipelines enable row level security;

comment on table bindery.pipelines is
  'The pipelines a book may follow, by name and version. Rows are never changed: define the next version instead.';
comment on column bindery.pipelines.name is 'The pipeline''s name, lower snake case, up to 63 characters.';
comment on column bindery.pipelines.version is 'Counts from 1; a book stays on the version it began with.';
comment on column bindery.pipelines.definition is 'What was given to define_pipeline.';
comment on column bindery.pipelines.machine is 'The definition compiled by the kernel.';
comment on column bindery.pipelines.created_at is 'When this version was defined.';

-- book_status: one row a book, what a reader sees.
-- Invariants: status only moves as the book's machine allows (trigger guard_transition); overall_progress, stage_progress and
-- substeps are worked out from book_progress (trigger roll_up), never set by hand; revision grows with every visible change.
-- Locks: a writer takes the row FOR NO KEY UPDATE before it touches book_progress; several rows in order of book_id.
create table bindery.book_status (
  book_id uuid not null,
  owner_id uuid,
  title text,
  pipeline text not null default 'comic',
  pipeline_version integer not null,
  status text not null,
  current_stage text not null,
  overall_progress double precision not null default 0,
  stage_progress double precision not null default 0,
  substeps jsonb not null default '[]',
  message text,
  error jsonb,
  attempt integer not null default 1,
  revision bigint not null default 1,
  heartbeat_at timestamptz not null,
  stage_started_at timestamptz not null,
  resume_at timestamptz,
  estimated_completion_at timestamptz,
  metadata jsonb not null default '{}',
  created_at timestamptz not null,
  updated_at timestamptz not null,
  completed_at timestamptz,
  constraint book_status_pkey primary key (book_id),
  constraint book_follows_a_pipeline foreign key (pipeline, pipeline_version) references bindery.pipelines (name, version),
  constraint overall_progress_is_percent check (overall_progress between 0 and 100),
  constraint stage_progress_is_percent check (stage_progress between 0 and 100),
  constraint attempt_counts_from_one check (attempt >= 1),
  constraint title_is_short check (length(title) <= 1024),
  constraint message_is_short check (length(message) <= 8192),
  constraint title_is_plain_text check (title !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]'),
  constraint message_is_plain_text check (message !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]'),
  constraint error_is_an_object check (jsonb_typeof(error) = 'object'),
  constraint error_while_failed_only check ((error is not null) = (status = 'FAILED')),
  constraint metadata_is_an_object check (jsonb_typeof(metadata) = 'object'),
  constraint error_is_small check (pg_column_size(error) <= 1048576),
  constraint metadata_is_small check (pg_column_size(metadata) <= 1048576)
-- Room on each page, so that progress updates stay heap-only.
) with (fillfactor = 70);

create index book_status_owner on bindery.book_status (owner_id, created_at desc);
create index book_status_pipeline on bindery.book_status (pipeline, pipeline_version);
create index book_status_created on bindery.book_status (created_at desc);
-- For sweep: the books at work, and those to be resumed. Neither holds what a report changes, so reports stay heap-only.
create index book_status_at_work on bindery.book_status (book_id) where completed_at is null and status not in ('FAILED', 'CANCELLED');
-- For lists with failed books first. By error and not by status, which every transition changes: this one is touched by failures only.
create index book_status_failed on bindery.book_status (created_at desc) where error is not null;
create index book_status_to_resume on bindery.book_status (resume_at) where resume_at is not null;

alter table bindery.book_status enable row level security;

comment on table bindery.book_status is
  'One row a book: where it stands.
Read it, filter it, subscribe to it. Change it with the functions of this schema; a plain UPDATE of status passes the same rules.';
comment on column bindery.book_status.book_id is 'The book''s own id, given by whoever registers it.';
comment on column bindery.book_status.owner_id is 'The user who may read it (the sub of the token); null: nobody but the service.';
comment on column bindery.book_status.title is 'A name for people, up to 1,024 characters.';
comment on column bindery.book_status.pipeline is 'The pipeline it follows.';
comment on column bindery.book_status.pipeline_version is 'The version it began with, and keeps.';
comment on column bindery.book_status.status is 'A state of its pipeline, or FAILED or CANCELLED.';
comment on column bindery.book_status.current_stage is 'The state it is in; once FAILED, CANCELLED or completed, the last one it was in.';
comment on column bindery.book_status.overall_progress is 'Percent of the whole pipeline, 0 to 100, two decimals; 100 only when completed.';
comment on column bindery.book_status.stage_progress is 'Percent of the current stage, 0 to 100, two decimals.';
comment on column bindery.book_status.substeps is
  'The current stage''s substeps: [{name, label, weight, state: done|active|pending, progress, done?, total?, unit?, message?}].';
comment on column bindery.book_status.message is 'What the last change of status said, up to 8,192 characters.';
comment on column bindery.book_status.error is 'Why it FAILED: an object with at least code; null otherwise.';
comment on column bindery.book_status.attempt is 'Which try at the current stage this is: 1, and one more at each resume and each time the book comes back to the stage.';
comment on column bindery.book_status.revision is 'Grows by one with every visible change; drop what is older than what you have.';
comment on column bindery.book_status.heartbeat_at is 'When a service was last heard of about this book.';
comment on column bindery.book_status.stage_started_at is 'When the current attempt at the current stage began.';
comment on column bindery.book_status.resume_at is 'When sweep is to resume a FAILED book; null: it waits for a person.';
comment on column bindery.book_status.estimated_completion_at is 'When it is expected to be complete; null while there is no ground for an estimate.';
comment on column bindery.book_status.metadata is 'The registrar''s own JSON object; Bindery does not read it.';
comment on column bindery.book_status.created_at is 'When it was registered.';
comment on column bindery.book_status.updated_at is 'When revision last grew.';
comment on column bindery.book_status.completed_at is 'When it reached its final state.';

-- book_progress: one row a substep that was reported or planned.
-- Invariants: progress never falls within an attempt (apply_reports keeps the higher value).
-- Locks: its book's row in book_status is locked first.
create table bindery.book_progress (
  book_id uuid not null,
  stage text not null,
  substep text not null,
  weight double precision,
  progress double precision not null default 0,
  done double precision,
  total double precision,
  unit text,
  message text,
  checkpoint jsonb,
  attempt integer not null,
  started_at timestamptz,
  updated_at timestamptz not null,
  constraint book_progress_pkey primary key (book_id, stage, substep),
  constraint progress_belongs_to_a_book foreign key (book_id) references bindery.book_status (book_id) on delete cascade,
  constraint substep_is_lower_snake_case check (substep ~ '^[a-z][a-z0-9_]{0,62}$'),
  constraint weight_is_positive check (weight > 0 and weight < 'infinity'),
  constraint progress_is_percent check (progress between 0 and 100),
  constraint done_is_part_of_total check (done between 0 and total and total > 0 and total <= 1e15),
  constraint unit_is_short check (length(unit) <= 63),
  constraint message_is_short check (length(message) <= 8192),
  constraint unit_is_plain_text check (unit !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]'),
  constraint message_is_plain_text check (message !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]'),
  constraint checkpoint_is_not_deep check (not jsonb_path_exists(checkpoint, '$.**{65}')),
  constraint checkpoint_is_small check (pg_column_size(checkpoint) <= 1048576)
) with (fillfactor = 70);

alter table bindery.book_progress enable row level security;

comment on table bindery.book_progress is
  'One row a substep of a book that was reported or planned; report with bindery.report_progress.';
comment on column bindery.book_progress.book_id is 'The book.';
comment on column bindery.book_progress.stage is 'The stage the substep is part of.';
comment on column bindery.book_progress.substep is 'The substep''s name, lower snake case; `all` in a stage that has none.';
comment on column bindery.book_progress.weight is 'Planned for this book; null: as the pipeline declares it (1 where it is open).';
comment on column bindery.book_progress.progress is 'Percent, 0 to 100; the highest of this attempt.';
comment on column bindery.book_progress.done is 'Units done, where the report counted them.';
comment on column bindery.book_progress.total is 'Units in all, where the report counted them.';
comment on column bindery.book_progress.unit is 'What is counted: page, panel, word.';
comment on column bindery.book_progress.message is 'The latest message, up to 8,192 characters.';
comment on column bindery.book_progress.checkpoint is 'The worker''s own JSON: where to go on after a failure.';
comment on column bindery.book_progress.attempt is 'The attempt that last reported.';
comment on column bindery.book_progress.started_at is 'When it was first reported in this attempt.';
comment on column bindery.book_progress.updated_at is 'When it was last reported.';

-- book_events: the append-only history of every change of status.
-- Invariants: rows are written by the trigger record_transition only, in the change's own transaction, and never updated.
-- Locks: appended to last.
create table bindery.book_events (
  id bigint generated always as identity,
  book_id uuid not null,
  revision bigint not null,
  kind text not null,
  from_status text,
  to_status text not null,
  stage text not null,
  attempt integer not null,
  actor text not null,
  message text,
  data jsonb,
  at timestamptz not null,
  constraint book_events_pkey primary key (id),
  constraint event_belongs_to_a_book foreign key (book_id) references bindery.book_status (book_id) on delete cascade,
  constraint one_event_a_revision unique (book_id, revision),
  constraint kind_is_known check (kind in ('register', 'transition', 'fail', 'resume', 'cancel', 'complete', 'rewind'))
);

-- What prune_events looks through: all but how books ended, which is kept, so that old books cost a call nothing.
create index book_events_prunable on bindery.book_events (at) where kind not in ('complete', 'cancel');

alter table bindery.book_events enable row level security;

comment on table bindery.book_events is 'The history: one row for every change of a book''s status, never updated.';
comment on column bindery.book_events.id is 'Grows with time; not without gaps.';
comment on column bindery.book_events.book_id is 'The book.';
comment on column bindery.book_events.revision is 'The book''s revision after this change.';
comment on column bindery.book_events.kind is 'register, transition, fail, resume, rewind, cancel or complete.';
comment on column bindery.book_events.from_status is 'The status before; null at registration.';
comment on column bindery.book_events.to_status is 'The status after.';
comment on column bindery.book_events.stage is 'The stage the book was in after the change.';
comment on column bindery.book_events.attempt is 'The attempt after the change.';
comment on column bindery.book_events.actor is 'Who made it: a user''s id, a role, relay:<stream>, or sweep.';
comment on column bindery.book_events.message is 'What was said with it.';
comment on column bindery.book_events.data is 'For fail: the error.';
comment on column bindery.book_events.at is 'When.';

-- outbox: what workers and other systems must hear of, written in the change's own transaction.
-- Invariants: written by the trigger record_transition; the daemon publishes rows in order of id and deletes them (take_outbox).
-- Locks: appended to last.
create table bindery.outbox (
  id bigint generated always as identity,
  book_id uuid not null,
  revision bigint not null,
  kind text not null,
  payload jsonb not null,
  created_at timestamptz not null,
  constraint outbox_pkey primary key (id),
  constraint kind_is_known check (kind in ('transition', 'resume'))
);

alter table bindery.outbox enable row level security;

comment on table bindery.outbox is
  'Messages on their way to the stream bindery:changes: transitions, and resume commands (after a resume or a rewind) with the resume point.';
comment on column bindery.outbox.id is 'The order of publication.';
comment on column bindery.outbox.book_id is 'The book; no foreign key, a message outlives its book.';
comment on column bindery.outbox.revision is 'The book''s revision; readers drop what they have seen.';
comment on column bindery.outbox.kind is 'transition or resume.';
comment on column bindery.outbox.payload is 'The message.';
comment on column bindery.outbox.created_at is 'When it was written.';

-- relay_cursors: one row a stream, how far it is applied and who holds it.
-- Invariants: position moves with the events it covers, in one transaction, or by note_stream where the stream is not what it was; epoch and caught_up_at only grow; one holder at a time.
-- Locks: taken before any book's row.
create table bindery.relay_cursors (
  stream text not null,
  position text not null default '0-0',
  epoch bigint not null default 0,
  holder text,
  lease_ttl interval not null default '10 seconds',
  lease_expires_at timestamptz,
  applied bigint not null default 0,
  stale bigint not null default 0,
  dead bigint not null default 0,
  applied_at timestamptz,
  created_at timestamptz not null default bindery_internal.now(),
  caught_up_at timestamptz,
  losses bigint not null default 0,
  lost bigint not null default 0,
  last_loss text,
  lost_at timestamptz,
  entries_ahead bigint,
  constraint relay_cursors_pkey primary key (stream),
  constraint stream_has_a_name check (length(stream) between 1 and 512),
  constraint position_is_a_stream_id check (position ~ '^[0-9]{1,20}-[0-9]{1,20}$'),
  constraint loss_is_known check (last_loss in ('trimmed', 'deleted', 'recreated', 'rewound'))
) with (fillfactor = 50);

alter table bindery.relay_cursors enable row level security;

comment on table bindery.relay_cursors is 'One row a Redis stream: the position applied, the lease, and what was counted.';
comment on column bindery.relay_cursors.stream is 'The stream''s key in Redis.';
comment on column bindery.relay_cursors.position is 'The id of the last entry whose effect is in this database.';
comment on column bindery.relay_cursors.epoch is 'The fencing token: one higher at each acquire; an older one can apply nothing.';
comment on column bindery.relay_cursors.holder is 'Which relay reads it; null: none.';
comment on column bindery.relay_cursors.lease_ttl is 'How long the lease lasts after each sign of the holder.';
comment on column bindery.relay_cursors.lease_expires_at is 'When another relay may take over, by this database''s clock.';
comment on column bindery.relay_cursors.applied is 'Events that took effect.';
comment on column bindery.relay_cursors.stale is 'Events from an earlier attempt or for a stage left: counted, without effect.';
comment on column bindery.relay_cursors.dead is 'Events that went to dead_letters.';
comment on column bindery.relay_cursors.applied_at is 'When a batch was last applied.';
comment on column bindery.relay_cursors.created_at is 'When the stream was first acquired.';
comment on column bindery.relay_cursors.caught_up_at is
  'Everything that was in the stream at this moment (of this database''s clock) has been applied; null: not proven yet. It lags the clock by
seconds while the relay keeps up, and stands still while it is behind, gone, or cut off from Redis.';
comment on column bindery.relay_cursors.losses is 'How often the relay found the stream not to be what it had been: entries gone unread, or another stream in its place.';
comment on column bindery.relay_cursors.lost is 'Entries that were gone before they were read, as far as they could be counted.';
comment on column bindery.relay_cursors.last_loss is
  'What was found last: trimmed (entries gone unread), deleted, recreated (another stream of that name) or rewound (a stream that ends before the position).';
comment on column bindery.relay_cursors.lost_at is 'When that was found.';
comment on column bindery.relay_cursors.entries_ahead is
  'How many entries Redis had counted at the position (entries-added) beyond applied, stale and dead; by it the relay sees what goes missing. Null: not known yet.';

-- forgotten_streams: streams that were forgotten, each with its last epoch. One that is acquired again goes on above it.
-- Invariant: a relay that slept through all of that does not find its own epoch in force again.
-- Locks: as relay_cursors; taken before any book's row.
create table bindery_internal.forgotten_streams (
  stream text not null,
  epoch bigint not null,
  constraint forgotten_streams_pkey primary key (stream)
);

alter table bindery_internal.forgotten_streams enable row level security;

comment on table bindery_internal.forgotten_streams is 'Streams that bindery.forget_stream deleted and nobody has acquired since.';
comment on column bindery_internal.forgotten_streams.stream is 'The stream''s key in Redis.';
comment on column bindery_internal.forgotten_streams.epoch is 'The last epoch it had.';

-- relays: which relays live, and which streams each would read, so that they can share them out.
-- Invariants: a relay that has not announced itself within its ttl counts no more; handing_over is one of its streams, or null.
-- Locks: the whole table, by announce_relay, before everything else; no row of relay_cursors is locked besides.
create table bindery_internal.relays (
  holder text not null,
  streams text[] not null,
  handing_over text,
  expires_at timestamptz not null,
  constraint relays_pkey primary key (holder)
);

alter table bindery_internal.relays enable row level security;

comment on table bindery_internal.relays is 'Relays that live, as bindery.announce_relay was told.';
comment on column bindery_internal.relays.holder is 'The name by which it acquires streams.';
comment on column bindery_internal.relays.streams is 'The streams that it would read.';
comment on column bindery_internal.relays.handing_over is 'The stream that it was last told to give up; null: none.';
comment on column bindery_internal.relays.expires_at is 'When it counts no more, by this database''s clock.';

-- dead_letters: events that could not take effect, each with its reason.
-- Invariants: written in the transaction that moves the position past the event, so none is lost or listed twice.
-- Locks: appended to last.
create table bindery.dead_letters (
  id bigint generated always as identity,
  stream text not null,
  event_id text,
  first_event_id text,
  count bigint not null default 1,
  book_id uuid,
  reason text not null,
  message text not null,
  payload jsonb not null,
  truncated boolean not null default false,
  at timestamptz not null,
  replayed_at timestamptz,
  constraint dead_letters_pkey primary key (id),
  constraint count_is_positive check (count >= 1)
);

create index dead_letters_stream on bindery.dead_letters (stream, id);
create index dead_letters_at on bindery.dead_letters (at);

alter table bindery.dead_letters enable row level security;

comment on table bindery.dead_letters is 'Events that could not take effect, each with its reason; nothing else was held up by them. See bindery.replay_dead_letters.';
comment on column bindery.dead_letters.id is 'Grows with time.';
comment on column bindery.dead_letters.stream is 'Where it came from.';
comment on column bindery.dead_letters.event_id is 'Its id in the stream; of merged events the last.';
comment on column bindery.dead_letters.first_event_id is 'Of merged events the first.';
comment on column bindery.dead_letters.count is 'How many events of the stream this row stands for.';
comment on column bindery.dead_letters.book_id is 'The book it names, where it names one.';
comment on column bindery.dead_letters.reason is 'A code: bad_uuid, unknown_book, illegal_transition, …; of a replay the newest.';
comment on column bindery.dead_letters.message is 'The reason for people.';
comment on column bindery.dead_letters.payload is
  'The event as the relay read it, with its count; or, where it could not read it, the entry as it came.';
comment on column bindery.dead_letters.truncated is 'Whether payload was cut because the event was too large to keep.';
comment on column bindery.dead_letters.at is 'When it was refused first.';
comment on column bindery.dead_letters.replayed_at is 'When it was last replayed, and refused again; null: never.';

-- stage_visits: how long the newest visits of books to each state took; what the medians in stage_pace are worked out from.
-- Invariants: written by refresh_pace only, the newest 50 of each state; a visit is counted once, by the event that ended it.
-- Locks: written under the advisory lock of refresh_pace; readers take none.
create table bindery_internal.stage_visits (
  pipeline text not null,
  pipeline_version integer not null,
  stage text not null,
  event_id bigint not null,
  seconds double precision not null,
  constraint stage_visits_pkey primary key (pipeline, pipeline_version, stage, event_id),
  constraint visit_follows_a_pipeline foreign key (pipeline, pipeline_version)
    references bindery.pipelines (name, version) on delete cascade,
  constraint visit_takes_no_negative_time check (seconds >= 0)
);

alter table bindery_internal.stage_visits enable row level security;

comment on table bindery_internal.stage_visits is
  'How long the newest visits to each state took, up to 50 a state; kept here so that no look back into the history is needed.';
comment on column bindery_internal.stage_visits.pipeline is 'The pipeline of the book that was there.';
comment on column bindery_internal.stage_visits.pipeline_version is 'The version of that pipeline.';
comment on column bindery_internal.stage_visits.stage is 'The state that was visited.';
comment on column bindery_internal.stage_visits.event_id is 'The event of book_events that ended the visit; no foreign key, a visit outlives pruned history.';
comment on column bindery_internal.stage_visits.seconds is 'From entering the state to leaving it forward, halts in between included.';

-- stage_pace: how long a state of a pipeline takes, and what comes after it, by the median of its newest visits.
-- Invariants: written by refresh_pace only; a row for every state but the final one, once any state of the pipeline was visited.
-- Locks: written under the advisory lock of refresh_pace; triggers read it without one.
create table bindery_internal.stage_pace (
  pipeline text not null,
  pipeline_version integer not null,
  stage text not null,
  median_seconds double precision,
  later_seconds double precision,
  samples integer not null,
  refreshed_at timestamptz not null,
  constraint stage_pace_pkey primary key (pipeline, pipeline_version, stage),
  constraint pace_belongs_to_a_pipeline foreign key (pipeline, pipeline_version)
    references bindery.pipelines (name, version) on delete cascade,
  constraint pace_is_not_negative check (median_seconds >= 0 and later_seconds >= 0),
  constraint samples_are_not_negative check (samples >= 0)
);

alter table bindery_internal.stage_pace enable row level security;

comment on table bindery_internal.stage_pace is
  'How long each state of a pipeline takes, by the median of its newest visits: the ground of estimated_completion_at.';
comment on column bindery_internal.stage_pace.pipeline is 'The pipeline.';
comment on column bindery_internal.stage_pace.pipeline_version is 'Its version; each has a pace of its own.';
comment on column bindery_internal.stage_pace.stage is 'The state.';
comment on column bindery_internal.stage_pace.median_seconds is
  'The median of its visits; without any, 0 for a state of no weight (no work is done there) and null for a stage.';
comment on column bindery_internal.stage_pace.later_seconds is
  'The sum of the medians of the states after it on the heaviest path to the end; null where one of them is null.';
comment on column bindery_internal.stage_pace.samples is 'How many visits the median is of, up to 50.';
comment on column bindery_internal.stage_pace.refreshed_at is 'When this row was worked out.';

-- pace_refresh: one row, how far refresh_pace has read the history and when.
-- Invariants: at most one row, made by the first refresh.
-- Locks: written under the advisory lock of refresh_pace.
create table bindery_internal.pace_refresh (
  only_row boolean not null default true,
  through_event bigint not null default 0,
  refreshed_at timestamptz,
  constraint pace_refresh_pkey primary key (only_row),
  constraint there_is_one_row check (only_row)
);

alter table bindery_internal.pace_refresh enable row level security;

comment on table bindery_internal.pace_refresh is 'One row: how far the history has been read for stage_visits, and when.';
comment on column bindery_internal.pace_refresh.only_row is 'Always true: there is one row.';
comment on column bindery_internal.pace_refresh.through_event is 'The newest event of book_events that was read.';
comment on column bindery_internal.pace_refresh.refreshed_at is 'When; null: never.';

-- settings: one row, what an operator may switch. Here since a setting of the server's, such as bindery.broadcast, can be stored by
-- superusers only (ALTER DATABASE … SET), and hosted projects have none. Invariants: there is one row; read by definer functions.
-- Locks: none.
create table bindery.settings (
  only_row boolean not null default true,
  broadcast boolean not null default true,
  constraint settings_pkey primary key (only_row),
  constraint there_is_one_row check (only_row)
);

insert into bindery.settings default values;

alter table bindery.settings enable row level security;

comment on table bindery.settings is
  'One row: what an operator may switch.
UPDATE it as service_role; it holds from the next transaction on.';
comment on column bindery.settings.only_row is 'Always true: there is one row.';
comment on column bindery.settings.broadcast is
  'Whether changed books are broadcast by Supabase Realtime; the setting bindery.broadcast, on or off, says otherwise for a session.';

-- The compiled machine of a pipeline's version: what every rule asks.
-- Invariant: readers get it without a right to read the table; a version never changes, so the answer is the same for good.
-- Locks: reads only.
create or replace function bindery_internal.machine(pipeline text, pipeline_version integer) returns jsonb
language plpgsql stable parallel safe security definer
set search_path = ''
as $$
begin
  return (select p.machine from bindery.pipelines p where p.name = pipeline and p.version = pipeline_version);
end
$$;

comment on function bindery_internal.machine(text, integer) is 'The compiled machine of this version of the pipeline; null where there is none.';

-- refuse_pipeline_change: BEFORE UPDATE on pipelines, whoever updates.
-- Invariant: what a version says stays as it was defined; books were promised that.
-- Locks: none of ours.
create or replace function bindery_internal.refuse_pipeline_change() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  perform bindery_internal.raise_error(bindery_internal.error('PT409', 'pipeline_is_immutable',
    format('Version %s of the pipeline %s is fixed.', old.version, old.name),
    'Define the next version with bindery.define_pipeline; books keep the version they began with.',
    jsonb_build_object('pipeline', old.name, 'version', old.version)));
  return null;
end
$$;

create or replace trigger pipeline_is_immutable before update on bindery.pipelines
for each row execute function bindery_internal.refuse_pipeline_change();

comment on function bindery_internal.refuse_pipeline_change() is 'Raises PT409 pipeline_is_immutable: a version of a pipeline is fixed.';

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

-- What SQL needs to know of a state: its entry in the compiled machine, the attempts a book has had there, when to try again.
-- Invariants: the machine is what the kernel compiled; attempts are counted by the history, whoever made them.
-- Locks: none.
create or replace function bindery_internal.state_of(machine jsonb, name text) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return (select s.state from jsonb_array_elements(machine -> 'states') as s(state) where s.state ->> 'name' = state_of.name);
end
$$;

create or replace view bindery_internal.last_attempts as
select e.book_id, e.stage, max(e.attempt) as attempt from bindery.book_events e group by e.book_id, e.stage;

create or replace function bindery_internal.last_attempt(book_id uuid, stage text) returns integer
language plpgsql stable parallel safe security definer
set search_path = ''
as $$
begin
  return coalesce(
    (select a.attempt from bindery_internal.last_attempts a where a.book_id = last_attempt.book_id and a.stage = last_attempt.stage), 0);
end
$$;

create or replace function bindery_internal.attempts_left(state jsonb, attempt integer) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return coalesce(attempt < (state ->> 'max_attempts')::integer, true);
end
$$;

create or replace function bindery_internal.resume_at(state jsonb, attempt integer, error jsonb, moment timestamptz) returns timestamptz
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  seconds constant double precision := (state ->> 'retry_after')::double precision;
begin
  if seconds is null or not bindery_internal.attempts_left(state, attempt) or error -> 'retry' = 'false' then
    return null;
  end if;
  -- The bound on the exponent keeps the power finite; the day is long reached then.
  return moment + greatest(seconds, least(seconds * 2 ^ least(attempt - 1, 40), 86400)) * interval '1 second';
end
$$;

comment on function bindery_internal.state_of(jsonb, text) is 'A state of a compiled machine by its name; null where it has none such.';
comment on view bindery_internal.last_attempts is
  'The highest attempt that each book has had at each stage, as far as its history goes back; ask it for one book and stage.';
comment on column bindery_internal.last_attempts.book_id is 'The book.';
comment on column bindery_internal.last_attempts.stage is 'The stage.';
comment on column bindery_internal.last_attempts.attempt is 'The highest attempt there, from 1.';
comment on function bindery_internal.last_attempt(uuid, text) is
  'The highest attempt a book has had at a stage, as far as its history goes back; 0: it was never there.';
comment on function bindery_internal.attempts_left(jsonb, integer) is 'Whether an attempt at a state is not yet its last by max_attempts.';
comment on function bindery_internal.resume_at(jsonb, integer, jsonb, timestamptz) is
  'When a book that fails now in this attempt is to be resumed: after retry_after, doubled for each attempt before, at most a day (or retry_after, where that is longer).
Null: not by itself, since the stage says no retry_after, has no attempts left, or the error says {"retry": false}.';

-- estimate: when a book is expected to be complete. The arithmetic for all who set estimated_completion_at.
-- Invariants: null without a pace to go by; never before the moment it is made.
-- Locks: none. (In PL/pgSQL: with its search_path pinned a function in SQL is never inlined, and planned anew at each call.)
create or replace function bindery_internal.estimate(
  moment timestamptz, stage_started_at timestamptz, stage_progress double precision, attempt integer,
  median_seconds double precision, later_seconds double precision
) returns timestamptz
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  part constant double precision := stage_progress / 100;
  whole double precision := median_seconds;
begin
  -- The stage's own pace is elapsed / part. It weighs part squared: at the beginning it says little, in the end nearly all.
  -- Of a resumed attempt it says nothing, which began with what the one before had done.
  if attempt = 1 then
    whole := (1 - part * part) * median_seconds
      + part * greatest(extract(epoch from moment - stage_started_at)::double precision, 0);
  end if;
  return moment + ((1 - part) * whole + later_seconds) * interval '1 second';
end
$$;

comment on function bindery_internal.estimate(timestamptz, timestamptz, double precision, integer, double precision, double precision) is
  'When a book is expected to be complete that has come to stage_progress percent, at moment.
(1 - p) * ((1 - p^2) * median_seconds + p * elapsed) + later_seconds from now, where p = stage_progress / 100; null where a pace is null.';

-- start_book: BEFORE INSERT on book_status, whoever inserts.
-- Invariants: a book begins in its pipeline's first state, at revision 1 and 0 percent, on a version that exists.
-- Locks: none beyond the new row.
create or replace function bindery_internal.start_book() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  machine jsonb;
  initial text;
  summary jsonb;
  moment constant timestamptz := bindery_internal.now();
begin
  new.pipeline := coalesce(new.pipeline, 'comic');
  new.pipeline_version := coalesce(new.pipeline_version,
    (select max(p.version) from bindery.pipelines p where p.name = new.pipeline));
  machine := bindery_internal.machine(new.pipeline, new.pipeline_version);
  if machine is null then
    perform bindery_internal.raise_error(bindery_internal.unknown_pipeline(new.pipeline, new.pipeline_version));
  end if;
  initial := machine #>> '{states,0,name}';
  if new.status is distinct from initial and new.status is not null then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'illegal_transition',
      format('A new book of the pipeline %s begins in %s, not in %s.', new.pipeline, initial, new.status),
      format('Insert it without a status, or with %s; then make its transitions one by one.', initial),
      jsonb_build_object('from', null, 'to', new.status, 'allowed', jsonb_build_array(initial))));
  end if;
  summary := bindery_core.summarize(machine, initial, initial, '[]');
  new.status := initial;
  new.current_stage := initial;
  new.overall_progress := (summary ->> 'overall')::double precision;
  new.stage_progress := (summary ->> 'stage_progress')::double precision;
  new.substeps := summary -> 'substeps';
  new.error := null;
  new.attempt := 1;
  new.revision := 1;
  new.heartbeat_at := moment;
  new.stage_started_at := moment;
  new.resume_at := null;
  new.estimated_completion_at := (
    select bindery_internal.estimate(moment, moment, new.stage_progress, 1, p.median_seconds, p.later_seconds)
    from bindery_internal.stage_pace p
    where p.pipeline = new.pipeline and p.pipeline_version = new.pipeline_version and p.stage = initial);
  new.created_at := moment;
  new.updated_at := moment;
  new.completed_at := null;
  return new;
end
$$;

create or replace function bindery_internal.unknown_pipeline(pipeline text, pipeline_version integer) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select bindery_internal.error('PT404', 'unknown_pipeline',
    format('There is no pipeline %s%s.', pipeline, ' version ' || pipeline_version),
    'Define it with bindery.define_pipeline, or name one that is there.',
    jsonb_build_object('pipeline', pipeline, 'version', pipeline_version));
$$;

create or replace trigger start_book before insert on bindery.book_status
for each row execute function bindery_internal.start_book();

comment on function bindery_internal.start_book() is
  'Puts a new book at its pipeline''s first state, on a version that exists, whoever inserts it.';
comment on function bindery_internal.unknown_pipeline(text, integer) is
  'The error PT404 unknown_pipeline.';

-- Guards that are SQL functions: (book bindery.book_status) returns boolean, found by name, asked as a role that has no rights.
-- Invariants: a guard runs as bindery_guard, so it can do no more than anybody may, whoever asks; one that is missing, raises, or
-- answers null does not hold; what it did is undone. Locks: none of ours.
create or replace function bindery_internal.guard_function(guard text) returns regproc
language plpgsql stable
set search_path = ''
as $$
declare
  parts constant text[] := string_to_array(case when guard ~ '[.]' then guard else 'public.' || guard end, '.');
begin
  return (
    select p.oid::regproc from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = parts[1] and p.proname = parts[2] and p.prokind = 'f' and p.pronargs = 1
      and p.proargtypes[0] = 'bindery.book_status'::regtype and p.prorettype = 'boolean'::regtype);
end
$$;

create or replace function bindery_internal.ask_guard(guard regproc, book bindery.book_status) returns boolean
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  answer boolean;
begin
  -- A dump restored without owners leaves it to whoever restored, with all of that role's rights.
  if current_user <> 'bindery_guard' then
    raise exception using errcode = '55000', message = 'bindery_internal.ask_guard belongs to ' || current_user || ', not to bindery_guard.',
      hint = 'Run binderyd migrate as the schema''s owner; it gives it back.';
  end if;
  begin
    execute format('select %s($1)', guard) into answer using book;
    -- A guard is a question. Whatever it did is undone: settings it left, and what it put off to a moment when others' rights count.
    raise exception using errcode = 'BD000';
  exception
    when sqlstate 'BD000' then
      return answer;
    when assert_failure or others then
      -- What will pass (a deadlock, a lock not got, a full disk, a shutdown) is no answer: whoever asked tries again.
      if sqlstate in ('40P01', '55P03') or left(sqlstate, 2) in ('53', '57', '58') then
        raise;
      end if;
      raise warning 'The guard % failed for book %: % (SQLSTATE %).', guard, book.book_id, sqlerrm, sqlstate;
      return null;
  end;
end
$$;

-- Only the owner's rights count in a definer function, so its owner is the one who has none. Done anew at each migrate.
do $$
begin
  if not (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) then
    execute format('grant bindery_guard to %I', current_user);
  end if;
  grant create on schema bindery_internal to bindery_guard;
  alter function bindery_internal.ask_guard(regproc, bindery.book_status) owner to bindery_guard;
  revoke create on schema bindery_internal from bindery_guard;
  if not (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) then
    execute format('grant execute on function bindery_internal.ask_guard(regproc, bindery.book_status) to %I', current_user);
  end if;
exception when insufficient_privilege then
  raise exception using errcode = '42501', message = sqlerrm,
    hint = format('Guards run as the role bindery_guard, which must belong to whoever installs. As its maker or a superuser: grant bindery_guard to %I with admin option', current_user);
end
$$;

-- The guards of a definition that are SQL functions and could not be asked. What is no definition at all the kernel says.
create or replace function bindery_internal.guard_faults(definition jsonb) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('path', format('$.states[%s].next[%s].guard', s.ord - 1, e.ord - 1), 'problem', p.problem)
      order by s.ord, e.ord), '[]')
    from jsonb_array_elements(jsonb_path_query_array(definition, 'strict $.states[*]', silent => true)) with ordinality as s(state, ord)
    cross join jsonb_array_elements(jsonb_path_query_array(s.state, 'strict $.next[*]', silent => true)) with ordinality as e(edge, ord)
    cross join lateral (select case when jsonb_typeof(e.edge) = 'object' then e.edge ->> 'guard' end as guard) as g
    cross join lateral (select bindery_internal.guard_function(g.guard) as called) as f
    cross join lateral (select case
        when f.called is null then format('there is no function %s(bindery.book_status) returns boolean; create it first', g.guard)
        when not has_function_privilege('bindery_guard', f.called::oid, 'execute')
          or not has_schema_privilege('bindery_guard', (select c.pronamespace from pg_catalog.pg_proc c where c.oid = f.called::oid), 'usage')
          then format('the role bindery_guard, as which guards are asked, may not call %s; grant it usage on the schema and execute on the function',
            g.guard) end as problem) as p
    -- What cannot name a function is the kernel's to refuse.
    where g.guard ~ '^([a-z_][a-z0-9_]{0,62}[.])?[a-z_][a-z0-9_]{0,62}$' and g.guard not in ('substeps_complete', 'attempts_left')
      and p.problem is not null);
end
$$;

comment on function bindery_internal.guard_function(text) is
  'The function a guard names, schema.function or a function of schema public; null where there is none with this argument and result.';
comment on function bindery_internal.ask_guard(regproc, bindery.book_status) is
  'What a guard says of a book, asked as bindery_guard; null where it raises (a warning says why). Nothing it did stays.';
comment on function bindery_internal.guard_faults(jsonb) is
  'The guards of a definition that are no SQL functions bindery_guard may call: [{path, problem}].';

-- guard_transition: BEFORE UPDATE on book_status where status changes, whoever changes it.
-- Invariants: nothing the kernel refuses is stored; what follows from the change (stage, attempt, percent, revision) is worked out here.
-- Locks: the row being updated; reads book_progress.
create or replace function bindery_internal.facts(book bindery.book_status, machine jsonb, to_status text) returns jsonb
language plpgsql volatile
set search_path = ''
as $$
declare
  state constant jsonb := bindery_internal.state_of(machine, book.current_stage);
  -- Of the state's edges only the one to be taken is asked about.
  guard constant text := (select e.edge ->> 'guard' from jsonb_array_elements(state -> 'next') as e(edge)
    where e.edge ->> 'to' = to_status and book.status = book.current_stage);
  facts constant jsonb := jsonb_build_object(
    'substeps_complete', jsonb_array_length(book.substeps) > 0
      and not exists (select from jsonb_array_elements(book.substeps) as s(substep) where s.substep ->> 'state' <> 'done'),
    'attempts_left', bindery_internal.attempts_left(state, book.attempt));
  called regproc;
  answer boolean;
begin
  if guard is null or guard in ('substeps_complete', 'attempts_left') then
    return facts;
  end if;
  called := bindery_internal.guard_function(guard);
  if called is not null then
    answer := bindery_internal.ask_guard(called, book);
  end if;
  -- No answer is no fact; then the guard does not hold.
  return facts || jsonb_strip_nulls(jsonb_build_object('guards', jsonb_build_object(guard, answer)));
end
$$;

create or replace function bindery_internal.refused_transition(
  book bindery.book_status, to_status text, rewinding boolean, machine jsonb
) returns jsonb
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  -- Facts can only allow more: what is allowed without any need not have them worked out.
  reason text := bindery_core.transition_error(machine, book.status, book.current_stage, to_status,
    case when rewinding then '{"rewind": true}' else '{}' end::jsonb);
  allowed text[];
begin
  if reason is not null and not rewinding then
    reason := bindery_core.transition_error(machine, book.status, book.current_stage, to_status,
      bindery_internal.facts(book, machine, to_status));
  end if;
  if reason is null then
    return null;
  elsif rewinding then
    allowed := bindery_core.rewind_targets(machine, book.status, book.current_stage);
  else
    allowed := bindery_core.next_statuses(machine, book.status, book.current_stage);
  end if;
  return bindery_internal.illegal_transition(book.status, to_status, reason, coalesce(allowed, '{}'));
end
$$;

-- A rewind asks for what no edge allows, so whoever makes it says so, in a setting that names the book and only lives as long as its
-- UPDATE: what triggers of others do to other books meanwhile is no rewind.
create or replace function bindery_internal.is_rewinding(book_id uuid) returns boolean
language plpgsql stable parallel safe
set search_path = ''
as $$
begin
  return coalesce(current_setting('bindery.changing', true), '') = is_rewinding.book_id || ' rewinding';
end
$$;

create or replace function bindery_internal.guard_transition() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  moment constant timestamptz := bindery_internal.now();
  -- What do_transition says of the change it makes: it has looked at the texts, and whether it is a rewind.
  change constant text := coalesce(current_setting('bindery.changing', true), '');
  by_call constant boolean := starts_with(change, old.book_id::text);
  rewinding constant boolean := change like '% rewinding' and bindery_internal.is_rewinding(old.book_id);
  resuming constant boolean := old.status = 'FAILED' and not rewinding;
  machine jsonb;
  final text;
  attempts integer;
  has_rows boolean;
  median_seconds double precision;
  later_seconds double precision;
  refusal jsonb;
  summary jsonb;
begin
  if new.status is null then
    perform bindery_internal.raise_error(bindery_internal.bad_input('status', 'is null', 'Name the state to go to.'));
  elsif not by_call then
    perform bindery_internal.refuse_texts(new);
  end if;
  -- All that is looked up, in one statement. The halted stay in their stage, and no state is named like them.
  select p.machine, p.machine #>> '{states,-1,name}', t.median_seconds, t.later_seconds,
    (select a.attempt from bindery_internal.last_attempts a where a.book_id = old.book_id and a.stage = new.status),
    exists (select from bindery.book_progress g where g.book_id = old.book_id and g.stage = new.status)
  into machine, final, median_seconds, later_seconds, attempts, has_rows
  from bindery.pipelines p
  left join bindery_internal.stage_pace t on t.pipeline = p.name and t.pipeline_version = p.version and t.stage = new.status
  where p.name = old.pipeline and p.version = old.pipeline_version;

  -- What needs no facts is allowed by the kernel's first word; only where it is not are they worked out, and the refusal with them.
  if rewinding or bindery_core.transition_error(machine, old.status, old.current_stage, new.status, '{}') is not null then
    refusal := bindery_internal.refused_transition(old, new.status, rewinding, machine);
    if refusal is not null then
      perform bindery_internal.raise_error(refusal);
    end if;
  end if;

  new.revision := old.revision + 1;
  new.updated_at := moment;
  new.heartbeat_at := moment;
  new.resume_at := null;
  new.estimated_completion_at := null;
  new.current_stage := old.current_stage;
  new.attempt := old.attempt;
  new.overall_progress := old.overall_progress;
  new.stage_progress := old.stage_progress;
  new.substeps := old.substeps;
  new.completed_at := null;
  -- A message or an error belongs to the change that brought it; a plain UPDATE that names none leaves the old one in new.
  if new.message is not distinct from old.message and not by_call then
    new.message := null;
  end if;
  if new.status <> 'FAILED' then
    new.error := null;
  elsif new.error is null or not new.error ? 'code' then
    new.error := coalesce(new.error, '{}') || '{"code": "failed"}';
  end if;
  if new.status = 'FAILED' then
    new.resume_at := bindery_internal.resume_at(bindery_internal.state_of(machine, old.current_stage), old.attempt, new.error, moment);
  end if;
  -- The halted keep the values they halted at.
  if new.status in ('FAILED', 'CANCELLED') then
    return new;
  end if;

  if new.status = final then
    new.completed_at := moment;
  else
    new.current_stage := new.status;
    -- Who comes back to a stage goes on counting: words from the visit before are stale then, not about this one.
    new.attempt := case when resuming then old.attempt else coalesce(attempts, 0) end + 1;
    new.stage_started_at := moment;
  end if;
  summary := bindery_core.summarize(machine, new.status, new.current_stage, case
    when new.status = final then bindery_internal.substep_rows(new.book_id, new.current_stage)
    when has_rows then bindery_internal.substep_rows(new.book_id, new.current_stage, resuming)
    else '[]' end);
  new.overall_progress := (summary ->> 'overall')::double precision;
  new.stage_progress := (summary ->> 'stage_progress')::double precision;
  new.substeps := summary -> 'substeps';
  new.estimated_completion_at := case when new.status <> final and median_seconds is not null
    then bindery_internal.estimate(moment, moment, new.stage_progress, new.attempt, median_seconds, later_seconds) end;
  return new;
end
$$;

create or replace trigger guard_transition before update on bindery.book_status
for each row when (old.status is distinct from new.status)
execute function bindery_internal.guard_transition();

comment on function bindery_internal.facts(bindery.book_status, jsonb, text) is
  'What the kernel needs to know of a book to judge a change to this status: {substeps_complete, attempts_left, guards?}.';
comment on function bindery_internal.refused_transition(bindery.book_status, text, boolean, jsonb) is
  'The error that forbids this book this status (as a rewind: this step back); null where it is allowed.';
comment on function bindery_internal.is_rewinding(uuid) is 'Whether the change of this book''s status that is being made is an operator''s step back (do_transition).';
comment on function bindery_internal.guard_transition() is
  'Asks the kernel whether the change is allowed, and works out what follows from it: stage, attempt, percent, revision, times.';

-- guard_columns: BEFORE UPDATE on book_status where something that only follows from other things is set by hand.
-- touch: the same for what may be changed by hand; it counts as a visible change.
-- Invariants: identity and pipeline never change; stage, attempt and percentages only follow; revision never falls. Locks: the row being updated.
create or replace function bindery_internal.guard_columns() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  perform bindery_internal.raise_error(bindery_internal.error('PT422', 'column_is_derived',
    format('Of book %s only owner_id, title, message, metadata, status and error are set by hand.', old.book_id),
    'Change the status, or report progress; these columns follow.', jsonb_build_object('book_id', old.book_id)));
  return null;
end
$$;

-- Naming the columns spares the other statements the reading of this condition, which is most of what it costs.
create or replace trigger guard_columns before update of
  book_id, pipeline, pipeline_version, created_at, revision, current_stage, attempt, overall_progress, stage_progress, substeps, completed_at
on bindery.book_status
for each row when (
  old.book_id <> new.book_id or old.pipeline <> new.pipeline or old.pipeline_version <> new.pipeline_version
  or old.created_at <> new.created_at or new.revision < old.revision
  or (old.status = new.status and (old.current_stage <> new.current_stage or old.attempt <> new.attempt))
  -- Depth 0 is a statement of somebody's own; roll_up's stands inside a trigger.
  or (pg_trigger_depth() = 0 and old.status = new.status
    and (old.overall_progress, old.stage_progress, old.substeps, old.completed_at, old.revision)
      is distinct from (new.overall_progress, new.stage_progress, new.substeps, new.completed_at, new.revision)))
execute function bindery_internal.guard_columns();

create or replace function bindery_internal.touch() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  if (old.title, old.message, old.error, old.metadata) is distinct from (new.title, new.message, new.error, new.metadata) then
    perform bindery_internal.refuse_texts(new);
  end if;
  if old.revision = new.revision
    and (old.owner_id, old.title, old.message, old.error, old.metadata, old.resume_at, old.estimated_completion_at)
      is distinct from (new.owner_id, new.title, new.message, new.error, new.metadata, new.resume_at, new.estimated_completion_at)
  then
    new.revision := old.revision + 1;
    new.updated_at := bindery_internal.now();
  end if;
  return new;
end
$$;

-- A condition is read anew by each statement, which costs more the longer it is: a transition, which names message and error, reads
-- a short one, and a roll-up, which touches many rows, one of its own that spares it the call.
create or replace trigger touch before update of owner_id, title, message, error, metadata, resume_at on bindery.book_status
for each row when (old.status = new.status) execute function bindery_internal.touch();

create or replace trigger touch_estimate before update of estimated_completion_at on bindery.book_status
for each row when (old.status = new.status and old.revision = new.revision
  and old.estimated_completion_at is distinct from new.estimated_completion_at)
execute function bindery_internal.touch();

comment on function bindery_internal.guard_columns() is
  'Refuses to have columns set by hand that only follow from others (PT422 column_is_derived).';
comment on function bindery_internal.touch() is
  'Counts a change by hand of title, owner, message, error, metadata or a time as a revision; refuses texts that calls refuse (PT422 bad_input).';

-- guard_texts: BEFORE INSERT, and asked by guard_transition and touch where somebody's own UPDATE sets title, message, error or metadata.
-- Invariants: a plain INSERT or UPDATE is refused what a call is refused, with the same error (041, 042); the constraints of the
-- table stand behind it. Locks: the row being written.
create or replace function bindery_internal.refuse_texts(book bindery.book_status) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  if jsonb_typeof(book.metadata) is distinct from 'object' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('metadata', 'is not a JSON object', 'Give an object such as {"pages": 320}.'));
  elsif jsonb_typeof(book.error) <> 'object' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('error', 'is not a JSON object', 'Give an object such as {"code": "out_of_memory"}.'));
  end if;
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_text('status', book.status, 63),
    bindery_internal.refused_text('title', book.title, 1024),
    bindery_internal.refused_text('message', book.message, 8192),
    bindery_internal.refused_json('error', book.error),
    bindery_internal.refused_json('metadata', book.metadata)));
end
$$;

create or replace function bindery_internal.guard_texts() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  new.metadata := coalesce(new.metadata, '{}');
  perform bindery_internal.refuse_texts(new);
  return new;
end
$$;

create or replace trigger guard_texts_of_new before insert on bindery.book_status
for each row execute function bindery_internal.guard_texts();

comment on function bindery_internal.refuse_texts(bindery.book_status) is
  'Raises for a row the texts and JSON that calls refuse (PT422 bad_input).';
comment on function bindery_internal.guard_texts() is 'Refuses by a plain INSERT the texts and JSON that calls refuse (PT422 bad_input).';

-- record_transition: AFTER INSERT, and AFTER UPDATE where status changed, whoever made the change.
-- Invariants: history, outbox and the restarted progress rows stand in the change's transaction, under its revision.
-- Locks: the book's row is held; then book_progress, then the append-only tables.
create or replace function bindery_internal.record_transition() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  from_status constant text := case when tg_op = 'UPDATE' then old.status end;
  rewinding constant boolean := coalesce(current_setting('bindery.changing', true), '') like '% rewinding'
    and bindery_internal.is_rewinding(new.book_id);
  resuming constant boolean := from_status is not distinct from 'FAILED' and new.status not in ('FAILED', 'CANCELLED') and not rewinding;
  payload jsonb;
begin
  -- Where there is nothing to start over, not even the statement's own triggers run.
  if tg_op = 'UPDATE' and new.status = new.current_stage
    and exists (select from bindery.book_progress g where g.book_id = new.book_id and g.stage = new.current_stage)
  then
    -- The stage is entered: guard_transition has already counted these rows as they will be,
    -- so roll_up finds nothing to change.
    update bindery.book_progress g
    set progress = 0, done = null, total = null, unit = null, message = null, checkpoint = null, started_at = null,
        attempt = new.attempt, updated_at = new.updated_at
    where g.book_id = new.book_id and g.stage = new.current_stage and not bindery_internal.kept(resuming, g);
  end if;

  payload := jsonb_build_object('book_id', new.book_id, 'revision', new.revision, 'from', from_status, 'to', new.status,
    'stage', new.current_stage, 'attempt', new.attempt);
  if resuming or rewinding then
    payload := payload || jsonb_build_object('resume_point', bindery.get_resume_point(new.book_id));
  end if;
  with event as (
    insert into bindery.book_events (book_id, revision, kind, from_status, to_status, stage, attempt, actor, message, data, at)
    values (new.book_id, new.revision,
      case when tg_op = 'INSERT' then 'register' when rewinding then 'rewind' when resuming then 'resume' when new.status = 'FAILED' then 'fail'
           when new.status = 'CANCELLED' then 'cancel' when new.completed_at is not null then 'complete' else 'transition' end,
      from_status, new.status, new.current_stage, new.attempt, bindery_internal.actor(), new.message,
      case when new.status = 'FAILED' then new.error end, new.updated_at)
  )
  insert into bindery.outbox (book_id, revision, kind, payload, created_at)
  values (new.book_id, new.revision, case when resuming or rewinding then 'resume' else 'transition' end,
    payload, new.updated_at);
  return null;
end
$$;

create or replace trigger record_start after insert on bindery.book_status
for each row execute function bindery_internal.record_transition();

create or replace trigger record_transition after update on bindery.book_status
for each row when (old.status is distinct from new.status)
execute function bindery_internal.record_transition();

comment on function bindery_internal.record_transition() is
  'Starts the stage''s progress rows over where it is entered, and writes the history and the outbox.';

-- refuse_history_change: BEFORE UPDATE on book_events, whoever updates.
-- Invariant: the history is appended to and pruned by age, never rewritten.
-- Locks: none of ours.
create or replace function bindery_internal.refuse_history_change() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  perform bindery_internal.raise_error(bindery_internal.error('PT409', 'history_is_append_only',
    'The history of a book is never rewritten.', 'Make the change itself; it will be recorded.'));
  return null;
end
$$;

create or replace trigger history_is_append_only before update on bindery.book_events
for each row execute function bindery_internal.refuse_history_change();

comment on function bindery_internal.refuse_history_change() is 'Raises PT409 history_is_append_only: recorded changes stay as they were.';

-- roll_up: statement trigger on book_progress that turns its rows into the book's percent, substeps and revision.
-- Invariants: set-based, once a statement; a book whose visible values stay the same keeps its revision; every report is a heartbeat.
-- Locks: the books' rows in order of book_id (callers of ours hold them already).
create or replace function bindery_internal.roll_up() returns trigger
language plpgsql security definer
set search_path = ''
-- Found by index and planned once, however small the tables were when that was.
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  moment constant timestamptz := bindery_internal.now();
  anew constant boolean := tg_op = 'DELETE' or coalesce(current_setting('bindery.planning', true), '') = 'yes';
begin
  -- Fires for statements that touched no row, too.
  if not exists (select from changed) then
    return null;
  end if;
  -- In a statement of its own: the next one then sees what a writer we waited for has committed.
  perform from bindery.book_status b
  where b.book_id in (select c.book_id from changed c)
  order by b.book_id for no key update;

  with summed as materialized (
    select b.book_id, b.overall_progress, b.stage_progress, t.median_seconds, t.later_seconds,
      bindery_core.summarize(p.machine, b.status, b.current_stage, coalesce(g.substeps, '[]')) as summary
    from (select distinct c.book_id from changed c) c
    join bindery.book_status b on b.book_id = c.book_id and b.status = b.current_stage
    join bindery.pipelines p on p.name = b.pipeline and p.version = b.pipeline_version
    left join bindery_internal.stage_pace t
      on t.pipeline = b.pipeline and t.pipeline_version = b.pipeline_version and t.stage = b.current_stage
    -- Book by book: a sort of all rows would carry the machine along, and spill onto the disk.
    cross join lateral (
      select jsonb_agg(jsonb_build_object('substep', g.substep, 'weight', g.weight, 'progress', g.progress,
        'done', g.done, 'total', g.total, 'unit', g.unit, 'message', g.message)) as substeps
      from bindery.book_progress g where g.book_id = b.book_id and g.stage = b.current_stage) g
  ), valued as (
    -- A substep that nobody declared makes the stage longer when it is first heard of; the percentage waits then, it does not
    -- go back. Only a plan, a deletion, or entering a stage (guard_transition) works it out anew.
    select s.book_id,
      greatest((s.summary ->> 'overall')::double precision, case when not anew then s.overall_progress end) as overall,
      greatest((s.summary ->> 'stage_progress')::double precision, case when not anew then s.stage_progress end) as stage_progress,
      s.summary -> 'substeps' as substeps, s.median_seconds, s.later_seconds
    from summed s
  )
  update bindery.book_status b
  set overall_progress = v.overall,
      stage_progress = v.stage_progress,
      substeps = v.substeps,
      -- Each value is rounded by itself: a percent may move where no substep seems to.
      revision = b.revision + case when
        (v.overall, v.stage_progress, v.substeps) = (b.overall_progress, b.stage_progress, b.substeps) then 0 else 1 end,
      updated_at = case when
        (v.overall, v.stage_progress, v.substeps) = (b.overall_progress, b.stage_progress, b.substeps) then b.updated_at else moment end,
      -- It moves with what is seen, never by itself.
      estimated_completion_at = case when
        (v.overall, v.stage_progress, v.substeps) = (b.overall_progress, b.stage_progress, b.substeps) then b.estimated_completion_at
        else bindery_internal.estimate(moment, b.stage_started_at, v.stage_progress, b.attempt, v.median_seconds, v.later_seconds) end,
      heartbeat_at = moment
  from valued v
  where v.book_id = b.book_id;
  return null;
end
$$;

create or replace trigger roll_up_inserted after insert on bindery.book_progress
referencing new table as changed for each statement execute function bindery_internal.roll_up();

create or replace trigger roll_up_updated after update on bindery.book_progress
referencing new table as changed for each statement execute function bindery_internal.roll_up();

create or replace trigger roll_up_deleted after delete on bindery.book_progress
referencing old table as changed for each statement execute function bindery_internal.roll_up();

comment on function bindery_internal.roll_up() is
  'Turns changed progress rows into their books'' percentages, substeps, estimate and revision; once a statement.';

-- broadcast: books as messages of Supabase Realtime, to the private topics book:<book_id> and owner:<owner_id>.
-- Invariants: nothing of it can fail the change it tells of; a payload stays below 32 KiB, and says what was left out.
-- Locks: none of ours; waits at most 100 ms for somebody else's.
create or replace function bindery_internal.broadcast_payload(book bindery.book_status) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  payload jsonb := to_jsonb(book);
  left_out text[] := '{}';
  part text;
begin
  -- The largest things first, and of least use on a screen first.
  foreach part in array array['metadata', 'error', 'substeps', 'message', 'title'] loop
    exit when octet_length(payload::text) <= 30000;
    if octet_length((payload -> part)::text) > 1000 then
      payload := payload - part;
      left_out := left_out || part;
    end if;
  end loop;
  return payload || case when left_out = '{}' then '{}' else jsonb_build_object('partial', true, 'left_out', left_out) end;
end
$$;

create or replace function bindery_internal.broadcast(book_ids uuid[]) returns void
language plpgsql security definer
set search_path = ''
set lock_timeout = '100ms'
as $$
declare
  -- By name: neither need be there.
  messages text;
  send text;
  message record;
begin
  -- One block, one subtransaction, however many books: more than 64 of them slow down every other session.
  begin
    -- The table that realtime.send writes to, in one statement for the whole batch.
    messages := to_regclass('realtime.messages');
    execute format('insert into %s (payload, event, topic, private, extension)
      select t.payload, ''book_status'', t.topic, true, ''broadcast'' from bindery_internal.broadcast_messages($1) t', messages)
    using book_ids;
    return;
  exception
    when lock_not_available then
      -- realtime.send would wait for the same lock, once a message.
      raise warning 'Realtime was not told of % changed books: % (SQLSTATE %).', cardinality(book_ids), sqlerrm, sqlstate;
      return;
    when others then
      null;
  end;
  -- Another version of Realtime may keep its messages elsewhere; its function is what it promises.
  begin
    send := to_regproc('realtime.send');
    for message in select t.topic, t.payload from bindery_internal.broadcast_messages(book_ids) t loop
      execute format('select %s($1, $2, $3, $4)', send) using message.payload, 'book_status', message.topic, true;
    end loop;
  exception when others then
    raise warning 'Realtime was not told of % changed books: % (SQLSTATE %).', cardinality(book_ids), sqlerrm, sqlstate;
  end;
end
$$;

create or replace function bindery_internal.broadcast_messages(book_ids uuid[])
returns table (topic text, payload jsonb)
language plpgsql stable security definer
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  select t.topic, p.payload
  from bindery.book_status b
  cross join lateral (select bindery_internal.broadcast_payload(b) as payload) p
  cross join lateral (values ('book:' || b.book_id), ('owner:' || b.owner_id)) t(topic)
  where b.book_id = any (book_ids) and t.topic is not null
  order by b.book_id, t.topic;
end
$$;

create or replace function bindery_internal.broadcasts() returns boolean
language sql stable
set search_path = ''
as $$
  select case current_setting('bindery.broadcast', true) when 'off' then false when 'on' then true
    else coalesce((select s.broadcast from bindery.settings s), true) end;
$$;

comment on function bindery_internal.broadcasts() is
  'Whether books are broadcast: as the session''s bindery.broadcast says, on or off, else as bindery.settings does.';
comment on function bindery_internal.broadcast_payload(bindery.book_status) is
  'A book''s row as JSON, below 32 KiB: what is too large is left out, and named in left_out, with partial true.';
comment on function bindery_internal.broadcast(uuid[]) is
  'Sends these books to Realtime''s topics. A fault of it is a warning, never an error.';
comment on function bindery_internal.broadcast_messages(uuid[]) is
  'The messages of these books: one to book:<book_id>, and one to owner:<owner_id> where it has an owner.';

-- announce: tells the world which books changed: by Supabase Realtime's broadcast where that is there, else by NOTIFY.
-- Invariants: a hint only, rows and revisions are the truth; nothing that goes wrong here fails the change; a batch of events is
-- announced once a book, at its end (apply_events), and a change of status by whoever makes it (do_transition). Locks: none of ours; waits at most 100 ms for somebody else's.
create or replace function bindery_internal.announce_books(book_ids uuid[], revisions bigint[]) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  nothing text;
begin
  if book_ids is null then
    return;
  end if;
  -- The schema first: it is the quicker look-up, and on plain Postgres the only one. Whoever may not look into it is as without it;
  -- to_regprocedure would raise.
  if has_schema_privilege(to_regnamespace('realtime'), 'usage') and to_regprocedure('realtime.send(jsonb,text,text,boolean)') is not null then
    if bindery_internal.broadcasts() then
      perform bindery_internal.broadcast(book_ids);
    end if;
  else
    -- Not both: NOTIFY makes the commits of a whole cluster queue up behind each other.
    for i in 1 .. cardinality(book_ids) loop
      -- An assignment, which costs a single book less than a query.
      nothing := pg_notify('bindery', json_build_object('book_id', book_ids[i], 'revision', revisions[i])::text);
    end loop;
  end if;
end
$$;

create or replace function bindery_internal.announce() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  changed uuid[];
  revisions bigint[];
begin
  -- do_transition's UPDATE, too, is of one book that is known, and announced, without these tables; but not what others' triggers do
  -- in the midst of it.
  if coalesce(current_setting('bindery.batching', true), '') = 'yes'
    or (pg_trigger_depth() = 1 and coalesce(current_setting('bindery.changing', true), '') <> '')
  then
    return null;
  elsif tg_op = 'INSERT' then
    select array_agg(n.book_id), array_agg(n.revision) into changed, revisions from new_books n;
  else
    -- No join: transition tables have no index and no statistics, and a nested loop over 1,000 books looks at a million pairs.
    select array_agg(c.book_id), array_agg(c.revision) into changed, revisions
    from (select n.book_id, n.revision from new_books n except select o.book_id, o.revision from old_books o) as c;
  end if;
  perform bindery_internal.announce_books(changed, revisions);
  return null;
end
$$;

create or replace trigger announce_start after insert on bindery.book_status
referencing new table as new_books for each statement execute function bindery_internal.announce();

create or replace trigger announce_change after update on bindery.book_status
referencing old table as old_books new table as new_books for each statement execute function bindery_internal.announce();

comment on function bindery_internal.announce_books(uuid[], bigint[]) is
  'Tells listeners that these books have these revisions: broadcasts where realtime.send is there and not switched off, else NOTIFY bindery.';
comment on function bindery_internal.announce() is 'Announces the books a statement changed, unless a batch does so at its end.';

-- judge: what becomes of a word about a book as a whole, from a service in this stage and attempt (null: the current ones).
-- Invariants: gives unknown_book, or a verdict of bindery_core.report_verdict; changes nothing.
-- Locks: the book's row.
create or replace function bindery_internal.judge(book_id uuid, stage text, attempt integer) returns text
language plpgsql security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  select b.* into book from bindery.book_status b where b.book_id = judge.book_id for no key update;
  if not found then
    return 'unknown_book';
  end if;
  return bindery_core.report_verdict(bindery_internal.machine(book.pipeline, book.pipeline_version),
    book.status, book.current_stage, book.attempt, judge.stage, 'all', judge.attempt, true,
    case when judge.stage <> book.current_stage then bindery_internal.last_attempt(book.book_id, judge.stage) end);
end
$$;

comment on function bindery_internal.judge(uuid, text, integer) is
  'The verdict on a word about a book as a whole from this stage and attempt (null: the current ones): unknown_book, or one of bindery_core.report_verdict.';

-- do_register: puts a book at the start of a pipeline; the same call again finds it there.
-- Invariants: returns null when the book stands as asked, else the error; changes nothing then.
-- Locks: the new row.
create or replace function bindery_internal.do_register(
  book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb
) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  refusal jsonb;
begin
  if do_register.book_id is null then
    return bindery_internal.bad_input('book_id', 'is missing', 'Give the book''s uuid.');
  elsif jsonb_typeof(do_register.metadata) <> 'object' then
    return bindery_internal.bad_input('metadata', 'is not a JSON object', 'Give an object such as {"pages": 320}.');
  end if;
  refusal := coalesce(
    bindery_internal.refused_text('title', do_register.title, 1024),
    bindery_internal.refused_text('pipeline', do_register.pipeline, 63),
    bindery_internal.refused_json('metadata', do_register.metadata));
  if refusal is not null then
    return refusal;
  elsif not exists (select from bindery.pipelines p where p.name = coalesce(do_register.pipeline, 'comic')) then
    return bindery_internal.unknown_pipeline(do_register.pipeline, null);
  end if;

  insert into bindery.book_status (book_id, owner_id, pipeline, title, metadata)
  values (do_register.book_id, do_register.owner_id, coalesce(do_register.pipeline, 'comic'), do_register.title,
    coalesce(do_register.metadata, '{}'))
  on conflict (book_id) do nothing;
  if found then
    return null;
  end if;

  select b.* into book from bindery.book_status b where b.book_id = do_register.book_id;
  if book.pipeline <> do_register.pipeline or book.owner_id is distinct from coalesce(do_register.owner_id, book.owner_id) then
    return bindery_internal.error('PT409', 'conflicting_registration',
      format('Book %s is registered already, with another pipeline or owner.', book.book_id),
      'Use a new id for another book; a registration is not changed by registering again.',
      jsonb_build_object('book_id', book.book_id, 'pipeline', book.pipeline));
  end if;
  return null;
end
$$;

comment on function bindery_internal.do_register(uuid, uuid, text, text, jsonb) is
  'Puts a book at the start of a pipeline. Null: it stands as asked; else the error.';

-- do_transition: one change of status. bindery.changing says to the triggers whose, for as long as the UPDATE lives.
-- Invariants: returns null when done, {"stale": true} for a word from an earlier attempt, else the error; changes nothing then.
-- Locks: the book's row.
create or replace function bindery_internal.do_transition(
  book_id uuid, to_status text, message text default null, expected_revision bigint default null,
  attempt integer default null, error jsonb default null, rewinding boolean default false,
  asking_first boolean default true
) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  refusal jsonb;
  revision bigint;
  -- An assignment of a function's result costs less than a query that throws it away.
  nothing text;
  outer_change constant text := coalesce(current_setting('bindery.changing', true), '');
begin
  if do_transition.to_status is null then
    return bindery_internal.bad_input('to_status', 'is missing', 'Name the state to go to.');
  elsif jsonb_typeof(do_transition.error) <> 'object' then
    return bindery_internal.bad_input('error', 'is not a JSON object', 'Give an object such as {"code": "out_of_memory"}.');
  elsif do_transition.attempt < 1 then
    return bindery_internal.refused_attempt();
  end if;
  refusal := coalesce(
    -- A plain name has nothing to be refused; looking first is quicker.
    case when do_transition.to_status !~ '^[A-Z_]{1,63}$' then bindery_internal.refused_text('to_status', do_transition.to_status, 63) end,
    case when do_transition.message is not null then bindery_internal.refused_text('message', do_transition.message, 8192) end,
    case when do_transition.error is not null then bindery_internal.refused_json('error', do_transition.error) end);
  if refusal is not null then
    return refusal;
  end if;

  if do_transition.asking_first then
    select b.* into book from bindery.book_status b where b.book_id = do_transition.book_id for no key update;
    if not found then
      return bindery_internal.unknown_book(do_transition.book_id);
    elsif book.revision <> do_transition.expected_revision then
      return bindery_internal.stale_revision(book.book_id, book.revision, do_transition.expected_revision);
    elsif do_transition.attempt < book.attempt then
      return '{"stale": true}';
    elsif do_transition.attempt > book.attempt then
      return bindery_internal.refused_report('attempt_ahead', book.book_id, book.current_stage, null, do_transition.attempt);
    end if;
    refusal := bindery_internal.refused_transition(book, do_transition.to_status, do_transition.rewinding,
      bindery_internal.machine(book.pipeline, book.pipeline_version));
    if refusal is not null then
      return refusal;
    end if;
  end if;

  nothing := set_config('bindery.changing', do_transition.book_id || case when do_transition.rewinding then ' rewinding' else '' end, true);
  update bindery.book_status b
  set status = do_transition.to_status, message = do_transition.message, error = do_transition.error
  where b.book_id = do_transition.book_id and b.status <> do_transition.to_status
    and b.revision = coalesce(do_transition.expected_revision, b.revision)
    and b.attempt = coalesce(do_transition.attempt, b.attempt)
  returning b.revision into revision;
  if not found then
    -- Untouched, and not asked before: the same again says why.
    refusal := bindery_internal.do_transition(do_transition.book_id, do_transition.to_status, do_transition.message,
      do_transition.expected_revision, do_transition.attempt, do_transition.error, do_transition.rewinding);
  end if;
  -- A trigger of somebody's may have called us in the midst of another book's change; and a plain UPDATE after this one is no call.
  nothing := set_config('bindery.changing', outer_change, true);
  if revision is not null and pg_trigger_depth() = 0 and coalesce(current_setting('bindery.batching', true), '') <> 'yes' then
    nothing := bindery_internal.announce_books(array[do_transition.book_id], array[revision]);
  end if;
  return refusal;
end
$$;

comment on function bindery_internal.do_transition(uuid, text, text, bigint, integer, jsonb, boolean, boolean) is
  'One change of status, or (rewinding) an operator''s step back. Null: done; {"stale": true}: from an earlier attempt; else the error (with asking_first false, an illegal transition is raised instead).';

-- do_resume: a FAILED book goes on at the stage it failed in.
-- Invariants: returns null when done, else the error; changes nothing then. Which progress is kept: bindery_internal.kept.
-- Locks: the book's row.
create or replace function bindery_internal.do_resume(
  book_id uuid, expected_revision bigint default null, message text default null
) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  select b.* into book from bindery.book_status b where b.book_id = do_resume.book_id for no key update;
  if not found then
    return bindery_internal.unknown_book(do_resume.book_id);
  elsif book.status <> 'FAILED' then
    return bindery_internal.error('PT409', 'not_failed',
      format('Book %s is in %s; only a FAILED book is resumed.', book.book_id, book.status),
      'Nothing has to be done: read its status again.',
      jsonb_build_object('book_id', book.book_id, 'status', book.status));
  end if;
  return bindery_internal.do_transition(do_resume.book_id, book.current_stage, do_resume.message, do_resume.expected_revision);
end
$$;

comment on function bindery_internal.do_resume(uuid, bigint, text) is 'Resumes a FAILED book. Null: done; else the error.';

-- do_rewind: an operator's step back to an earlier stage, or of a FAILED book to the start of the one it failed in.
-- Invariants: returns null when done, else the error; changes nothing then. Nothing is kept of the stage that is entered.
-- Locks: the book's row.
create or replace function bindery_internal.do_rewind(
  book_id uuid, to_stage text, message text default null, expected_revision bigint default null
) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  if do_rewind.to_stage is null then
    return bindery_internal.bad_input('to_stage', 'is missing', 'Name the stage to go back to.');
  elsif bindery_internal.refused_text('to_stage', do_rewind.to_stage, 63) is not null then
    return bindery_internal.refused_text('to_stage', do_rewind.to_stage, 63);
  end if;
  select b.* into book from bindery.book_status b where b.book_id = do_rewind.book_id for no key update;
  if not found then
    return bindery_internal.unknown_book(do_rewind.book_id);
  elsif bindery_internal.state_of(bindery_internal.machine(book.pipeline, book.pipeline_version), do_rewind.to_stage) is null then
    return bindery_internal.refused_report('unknown_stage', book.book_id, do_rewind.to_stage, null, null);
  end if;
  return bindery_internal.do_transition(
    do_rewind.book_id, do_rewind.to_stage, do_rewind.message, do_rewind.expected_revision, rewinding => true);
end
$$;

comment on function bindery_internal.do_rewind(uuid, text, text, bigint) is 'Takes a book a step back. Null: done; else the error.';

-- do_heartbeats: "still alive" for many books at once; one statement, no new revision.
-- Invariants: gives each heartbeat's verdict; a halted book or an earlier attempt is stale.
-- Locks: the books' rows in order of book_id.
create or replace function bindery_internal.do_heartbeats(heartbeats jsonb)
returns table (ord bigint, verdict text)
language plpgsql security definer
set search_path = ''
-- Found by index and planned once, however small the tables were when that was.
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  moment constant timestamptz := bindery_internal.now();
begin
  perform from bindery.book_status b
  where b.book_id in (select h.book_id from jsonb_to_recordset(heartbeats) as h(book_id uuid))
  order by b.book_id for no key update;

  return query
  with judged as materialized (
    select h.ord, h.book_id,
      case when b.status is null then 'unknown_book'
        else replace(bindery_core.report_verdict(b.machine, b.status, b.current_stage, b.attempt, h.stage, 'all', h.attempt, true,
            case when h.stage <> b.current_stage then bindery_internal.last_attempt(h.book_id, h.stage) end),
          -- A sign of life from a stage moves no book there.
          'advance', 'stage_not_reached') end as verdict
    from rows from (jsonb_to_recordset(heartbeats) as (book_id uuid, stage text, attempt integer)) with ordinality
      as h(book_id, stage, attempt, ord)
    left join lateral (
      select s.status, s.current_stage, s.attempt, p.machine
      from bindery.book_status s join bindery.pipelines p on p.name = s.pipeline and p.version = s.pipeline_version
      where s.book_id = h.book_id limit 1) b on true
  ), beaten as (
    update bindery.book_status b set heartbeat_at = moment
    where b.book_id in (select j.book_id from judged j where j.verdict = 'accept')
  )
  select j.ord, j.verdict from judged j order by j.ord;
end
$$;

comment on function bindery_internal.do_heartbeats(jsonb) is
  'Takes [{book_id, stage?, attempt?}, …] as signs of life; gives each one''s verdict.';

-- do_plan: a book's own substeps of a stage and their weights.
-- Invariants: returns null when done, else the error; changes nothing then. Planning again changes weights, never progress.
-- Locks: the book's row, then its progress rows.
create or replace function bindery_internal.do_plan(
  book_id uuid, stage text, substeps jsonb, expected_revision bigint default null
) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  fault text;
  revision bigint;
  verdict text;
begin
  if bindery_internal.refused_text('stage', do_plan.stage, 63) is not null then
    return bindery_internal.refused_text('stage', do_plan.stage, 63);
  elsif jsonb_typeof(do_plan.substeps) is distinct from 'array' or jsonb_array_length(do_plan.substeps) > 10000 then
    return bindery_internal.bad_input('substeps', 'is not an array of at most 10,000 substeps', 'Give [{"name": "chapter_1", "weight": 2}, …].');
  end if;
  select p.problem
  into fault
  from jsonb_array_elements(do_plan.substeps) with ordinality as s(item, ord)
  cross join lateral (select case
      when jsonb_typeof(s.item) <> 'object' then 'is not an object'
      when coalesce(s.item ->> 'name', '') !~ '^[a-z][a-z0-9_]{0,62}$' or jsonb_typeof(s.item -> 'name') <> 'string'
        then 'has no name in lower snake case of up to 63 characters'
      when jsonb_typeof(s.item -> 'weight') <> 'number' or (s.item ->> 'weight')::numeric not between 0.000000001 and 1000000000
        then 'has a weight that is not a number from 1e-9 to 1e9' end) as p(problem)
  where p.problem is not null
  order by s.ord limit 1;
  if fault is not null then
    return bindery_internal.bad_input('substeps: one', fault, 'Give [{"name": "chapter_1", "weight": 2}, …].');
  elsif (select count(distinct s.item ->> 'name') <> count(*) from jsonb_array_elements(do_plan.substeps) as s(item)) then
    return bindery_internal.bad_input('substeps', 'names a substep twice', 'Name each once.');
  end if;

  -- A plan is for the stage a book is in or will come to, whatever its substeps.
  verdict := bindery_internal.judge(do_plan.book_id, coalesce(do_plan.stage, ''), null);
  if verdict = 'stale' then
    -- A FAILED book may go on: what is planned for where it stands, or for later, is for then.
    select bindery_core.report_verdict(bindery_internal.machine(b.pipeline, b.pipeline_version), b.current_stage, b.current_stage,
      b.attempt, do_plan.stage, null, null, true) into verdict
    from bindery.book_status b where b.book_id = do_plan.book_id and b.status = 'FAILED';
    verdict := coalesce(verdict, 'stale');
  end if;
  if verdict not in ('accept', 'advance', 'stage_not_reached') then
    return bindery_internal.refused_report(verdict, do_plan.book_id, do_plan.stage, null, null);
  end if;

  select b.revision into revision from bindery.book_status b where b.book_id = do_plan.book_id;
  if revision <> do_plan.expected_revision then
    return bindery_internal.stale_revision(do_plan.book_id, revision, do_plan.expected_revision);
  end if;

  -- A plan says anew how long the current stage is, so the percentage may fall (roll_up).
  perform set_config('bindery.planning', case when b.current_stage = do_plan.stage then 'yes' else '' end, true)
  from bindery.book_status b where b.book_id = do_plan.book_id;
  insert into bindery.book_progress as g (book_id, stage, substep, weight, attempt, updated_at)
  select b.book_id, do_plan.stage, s.item ->> 'name', (s.item ->> 'weight')::double precision,
    b.attempt, bindery_internal.now()
  from bindery.book_status b, jsonb_array_elements(do_plan.substeps) as s(item)
  where b.book_id = do_plan.book_id
  on conflict (book_id, stage, substep) do update set weight = coalesce(excluded.weight, g.weight), updated_at = excluded.updated_at;
  perform set_config('bindery.planning', '', true);
  return null;
end
$$;

comment on function bindery_internal.do_plan(uuid, text, jsonb, bigint) is 'Declares a book''s own substeps of a stage. Null: done; else the error.';

-- apply_reports: progress reports, one or ten thousand, in one set-based statement; the only writer of progress.
-- Invariants: gives each report's verdict (bindery_core.report_verdict, or unknown_book) and writes the accepted ones; within an
-- attempt the higher progress stays, with its own done and total. Locks: the books' rows in order of book_id, then progress rows.
create or replace function bindery_internal.apply_reports(reports jsonb)
returns table (ord bigint, verdict text)
language plpgsql security definer
set search_path = ''
-- Found by index and planned once, however small the tables were when that was.
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  moment constant timestamptz := bindery_internal.now();
begin
  -- In a statement of its own: the next one then sees what a writer we waited for has committed.
  perform from bindery.book_status b
  where b.book_id in (select r.book_id from jsonb_to_recordset(reports) as r(book_id uuid))
  order by b.book_id for no key update;

  return query
  -- Book by book and row by row through the primary keys: on tables that were never analyzed, joins would be planned otherwise.
  with placed as materialized (
    select r.*, b.status, b.current_stage, b.attempt as current_attempt, b.machine,
      coalesce(r.stage, b.current_stage) as at_stage, coalesce(r.substep, 'all') as at_substep
    from rows from (jsonb_to_recordset(reports) as (
        book_id uuid, stage text, substep text, progress double precision, done double precision, total double precision,
        unit text, message text, checkpoint jsonb, attempt integer)) with ordinality
      as r(book_id, stage, substep, progress, done, total, unit, message, checkpoint, attempt, ord)
    left join lateral (
      select s.status, s.current_stage, s.attempt, p.machine
      from bindery.book_status s join bindery.pipelines p on p.name = s.pipeline and p.version = s.pipeline_version
      where s.book_id = r.book_id limit 1) b on true
  ), judged as materialized (
    select q.*,
      case when q.status is null then 'unknown_book'
        -- A substep that has a row was planned, or accepted before.
        else bindery_core.report_verdict(q.machine, q.status, q.current_stage, q.current_attempt, q.stage, q.substep, q.attempt,
          g.there is not null,
          case when q.stage <> q.current_stage then bindery_internal.last_attempt(q.book_id, q.stage) end) end as verdict
    from placed q
    left join lateral (
      select true as there from bindery.book_progress g
      where g.book_id = q.book_id and g.stage = q.at_stage and g.substep = q.at_substep limit 1) g on true
  ), written as (
    insert into bindery.book_progress as g
      (book_id, stage, substep, progress, done, total, unit, message, checkpoint, attempt, started_at, updated_at)
    select j.book_id, j.at_stage, j.at_substep, j.progress, j.done, j.total, j.unit, j.message, j.checkpoint, j.current_attempt, moment, moment
    from judged j where j.verdict = 'accept'
    on conflict (book_id, stage, substep) do update set
      progress = greatest(g.progress, excluded.progress),
      done = case when excluded.progress >= g.progress then excluded.done else g.done end,
      total = case when excluded.progress >= g.progress then excluded.total else g.total end,
      unit = case when excluded.progress >= g.progress then excluded.unit else g.unit end,
      message = coalesce(excluded.message, g.message),
      checkpoint = coalesce(excluded.checkpoint, g.checkpoint),
      attempt = excluded.attempt,
      started_at = coalesce(g.started_at, excluded.started_at),
      updated_at = excluded.updated_at
  )
  select j.ord, j.verdict from judged j order by j.ord;
end
$$;

comment on function bindery_internal.apply_reports(jsonb) is
  'Applies [{book_id, stage?, substep?, progress, done?, total?, unit?, message?, checkpoint?, attempt?}, …], each key once; gives each one''s verdict.';

-- do_report: one progress report, checked; makes the transition first where the pipeline says auto_advance.
-- Invariants: returns null when done, {"stale": true}, or the error; changes nothing then.
-- Locks: as apply_reports.
create or replace function bindery_internal.do_report(report jsonb) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  book_id constant uuid := (report ->> 'book_id')::uuid;
  progress constant double precision := (report ->> 'progress')::double precision;
  done constant double precision := (report ->> 'done')::double precision;
  total constant double precision := (report ->> 'total')::double precision;
  percent double precision;
  judgement text;
  refusal jsonb;
begin
  if progress is null and (done is null or total is null) or progress is not null and (done is not null or total is not null) then
    return bindery_internal.bad_input('progress', 'or done and total is wanted, one of the two',
      'Give progress (0 to 100), or done and total.');
  elsif progress is not null and not progress between 0 and 100 then
    return bindery_internal.bad_input('progress', 'is not between 0 and 100', 'Give a percentage.');
  elsif done is not null and not (total > 0 and total <= 1e15 and done between 0 and total) then
    return bindery_internal.bad_input('done', 'and total do not fit', 'Give 0 <= done <= total and 0 < total <= 1e15.');
  elsif (report ->> 'attempt')::integer < 1 then
    return bindery_internal.refused_attempt();
  elsif report ->> 'substep' !~ '^[a-z][a-z0-9_]{0,62}$' then
    return bindery_internal.bad_input('substep', 'is not in lower snake case of up to 63 characters', 'Name it such as extract_text.');
  end if;
  refusal := coalesce(
    bindery_internal.refused_text('message', report ->> 'message', 8192),
    bindery_internal.refused_text('unit', report ->> 'unit', 63),
    bindery_internal.refused_text('stage', report ->> 'stage', 63),
    bindery_internal.refused_json('checkpoint', report -> 'checkpoint'));
  if refusal is not null then
    return refusal;
  end if;

  -- In floating numbers 100 * x / x is not always 100, nor is what is less always less.
  percent := coalesce(progress, case when done = total then 100 else least(100 * done / total, 99.99999999999999) end);
  for try in 1..2 loop
    select r.verdict into judgement
    from bindery_internal.apply_reports(jsonb_build_array(report || jsonb_build_object('progress', percent))) r;
    exit when judgement <> 'advance';
    refusal := bindery_internal.do_transition(book_id, report ->> 'stage');
    exit when refusal is not null;
  end loop;
  if judgement = 'accept' then
    return null;
  end if;
  return coalesce(refusal, bindery_internal.refused_report(
    judgement, book_id, report ->> 'stage', report ->> 'substep', (report ->> 'attempt')::integer));
end
$$;

comment on function bindery_internal.do_report(jsonb) is
  'One progress report, {book_id, substep?, progress | done + total, …}. Null: done; {"stale": true}: too late; else the error.';

-- bury: writes events to dead_letters; transient: which errors are not the event's fault.
-- Invariants: an event is buried in the transaction that moves the position past it.
-- Locks: appends only.
create or replace function bindery_internal.bury(stream text, items jsonb) returns bigint
language sql volatile security definer
set search_path = ''
as $$
  with buried as (
    insert into bindery.dead_letters (stream, event_id, first_event_id, count, book_id, reason, message, payload, truncated, at)
    select bury.stream, i.item ->> 'id', coalesce(i.item ->> 'first_id', i.item ->> 'id'), c.count,
      case when n.book_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then n.book_id::uuid end,
      coalesce(i.item ->> 'reason', 'unknown'), coalesce(i.item ->> 'refusal', i.item ->> 'message', 'no reason given'),
      -- By its count, a number, replay_dead_letters knows what the relay could read.
      coalesce(i.item -> 'payload', i.item - array['reason', 'refusal', 'segment', 'truncated'] || jsonb_build_object('count', c.count)),
      coalesce(i.item -> 'truncated' = 'true', false), bindery_internal.now()
    from jsonb_array_elements(items) with ordinality as i(item, ord)
    -- Burying must not fail, or the batch would never pass: what is no number or boolean counts as left out.
    cross join lateral (
      select case when i.item ->> 'count' ~ '^[1-9][0-9]{0,8}$' then (i.item ->> 'count')::bigint else 1 end) as c(count)
    cross join lateral (select coalesce(i.item ->> 'book_id', i.item #>> '{payload,book_id}')) as n(book_id)
    order by i.ord
    returning count
  )
  select coalesce(sum(b.count), 0)::bigint from buried b;
$$;

create or replace function bindery_internal.is_transient(sqlstate text) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  -- Only these can be an event's fault: bad data, a constraint, a limit, somebody's own RAISE, and a panic in the kernel. A missing
  -- function, a lost grant, a full disk, a deadlock is the server's, and will be mended there.
  select not (left(sqlstate, 2) in ('21', '22', '23', '27', '2F', '38', '39', '44', '54', 'P0', 'PT') or sqlstate = 'XX000');
$$;

comment on function bindery_internal.bury(text, jsonb) is
  'Writes items to dead_letters, [{id, first_id?, count?, book_id?, reason, refusal or message, payload?, …}]; gives how many events they stand for.';
comment on function bindery_internal.is_transient(text) is
  'Whether the fault is the server''s rather than the event''s: then the whole batch is tried again, and nothing is buried.';

-- apply_item: one lifecycle event of a batch, handed to the function that does it.
-- Invariants: returns null when done, {"stale": true}, or the error; changes nothing then.
-- Locks: the book's row.
create or replace function bindery_internal.apply_item(item jsonb) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  book_id constant uuid := (item ->> 'book_id')::uuid;
  attempt constant integer := (item ->> 'attempt')::integer;
  verdict text;
begin
  -- Who failed in an attempt or a stage that is over has nothing to say about the one that is on.
  if item ->> 'type' = 'fail' then
    verdict := replace(bindery_internal.judge(book_id, item ->> 'stage', attempt), 'advance', 'stage_not_reached');
    if verdict <> 'accept' then
      return bindery_internal.refused_report(verdict, book_id, item ->> 'stage', null, attempt);
    end if;
  end if;
  return case item ->> 'type'
    when 'transition' then bindery_internal.do_transition(
      book_id, item ->> 'to', item ->> 'message', attempt => attempt)
    when 'fail' then bindery_internal.do_transition(
      book_id, 'FAILED', item ->> 'message', error => coalesce(item -> 'error', '{}'))
    when 'register' then bindery_internal.do_register(
      book_id, (item ->> 'owner_id')::uuid, item ->> 'pipeline', item ->> 'title', item -> 'metadata')
    when 'plan' then bindery_internal.do_plan(book_id, item ->> 'stage', item -> 'substeps')
    when 'progress' then bindery_internal.do_report(item - case when item ? 'done' then 'progress' else '' end)
    when 'heartbeat' then (
      select bindery_internal.refused_report(h.verdict, book_id, item ->> 'stage', null, attempt)
      from bindery_internal.do_heartbeats(jsonb_build_array(item)) h)
    else bindery_internal.bad_input('type', 'is not an event''s', 'See docs/events.md for the types.')
  end;
end
$$;

comment on function bindery_internal.apply_item(jsonb) is
  'Applies one event. Null: done; {"stale": true}: too late; else the error.';

-- apply_segment: the items of one segment of a batch: reports and heartbeats set-based, lifecycle events one by one.
-- Invariants: every item ends applied, stale or buried; whatever raises here is not an ordinary refusal (see apply_events).
-- Locks: the batch's books are locked already, in order of book_id.
create or replace function bindery_internal.apply_segment(
  stream text, items jsonb, out applied bigint, out stale bigint, out dead bigint
)
language plpgsql security definer
set search_path = ''
as $$
declare
  reports jsonb;
  heartbeats jsonb;
  bad jsonb;
  lifecycle jsonb;
  refused jsonb;
  item jsonb;
  outcome jsonb;
  count bigint;
begin
  if exists (select from jsonb_array_elements(items) as i(item) where i.item ->> 'type' is distinct from 'progress') then
    select jsonb_agg(i.item order by i.ord) filter (where i.item ->> 'type' = 'progress'),
      jsonb_agg(i.item order by i.ord) filter (where i.item ->> 'type' = 'heartbeat'),
      coalesce(jsonb_agg(i.item order by i.ord) filter (where i.item ->> 'type' = 'dead'), '[]'),
      coalesce(jsonb_agg(i.item order by i.ord)
        filter (where coalesce(i.item ->> 'type', '') not in ('progress', 'heartbeat', 'dead')), '[]')
    into reports, heartbeats, bad, lifecycle
    from jsonb_array_elements(items) with ordinality as i(item, ord);
  else
    reports := items;
    bad := '[]';
    lifecycle := '[]';
  end if;

  with judged as (
    select reports -> (r.ord - 1)::integer as item, r.verdict from bindery_internal.apply_reports(reports) r where reports is not null
    union all
    select heartbeats -> (h.ord - 1)::integer, h.verdict from bindery_internal.do_heartbeats(heartbeats) h where heartbeats is not null
  ), counted as (
    select j.item, j.verdict, coalesce((j.item ->> 'count')::integer, 1) as count from judged j
  )
  select coalesce(sum(c.count) filter (where c.verdict = 'accept'), 0),
    coalesce(sum(c.count) filter (where c.verdict = 'stale'), 0),
    coalesce(jsonb_agg(c.item || jsonb_build_object('reason', c.verdict, 'refusal', bindery_internal.refused_report(
      c.verdict, (c.item ->> 'book_id')::uuid, c.item ->> 'stage', c.item ->> 'substep', (c.item ->> 'attempt')::integer) -> 'message'))
      filter (where c.verdict not in ('accept', 'stale', 'advance')), '[]'),
    -- A report that makes its book advance is a lifecycle event and a report.
    lifecycle || coalesce(jsonb_agg(c.item) filter (where c.verdict = 'advance'), '[]')
  into applied, stale, refused, lifecycle
  from counted c;
  dead := bindery_internal.bury(stream, bad || refused);

  for item in select i.item from jsonb_array_elements(lifecycle) as i(item) loop
    count := coalesce((item ->> 'count')::integer, 1);
    outcome := bindery_internal.apply_item(item);
    if outcome is null then
      applied := applied + count;
    elsif outcome ? 'stale' then
      stale := stale + count;
    else
      dead := dead + bindery_internal.bury(stream, jsonb_build_array(
        item || jsonb_build_object('reason', outcome -> 'code', 'refusal', outcome -> 'message')));
    end if;
  end loop;
end
$$;

comment on function bindery_internal.apply_segment(text, jsonb) is
  'Applies items of which no two have the same book, stage, substep and attempt; counts the events they stand for.';

-- apply_events: a batch of events takes effect and the position moves, in one transaction.
-- Invariants: only the newest epoch applies anything; no position is passed twice; an item that raises is buried alone, and a
-- failure that may pass (is_transient) undoes the whole call. Locks: relay_cursors, then all books of the batch in order of book_id.
create or replace function bindery_internal.is_after(a text, b text) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  -- Both halves of a stream id are unsigned 64-bit numbers.
  select (split_part(a, '-', 1)::numeric, split_part(a, '-', 2)::numeric) > (split_part(b, '-', 1)::numeric, split_part(b, '-', 2)::numeric);
$$;

create or replace function bindery_internal.is_position("position" text) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  -- A position beyond what Redis can count to would be passed by no entry ever.
  return case when "position" ~ '^[0-9]{1,20}-[0-9]{1,20}$' then
    greatest(split_part("position", '-', 1)::numeric, split_part("position", '-', 2)::numeric) <= 18446744073709551615 end;
end
$$;

comment on function bindery_internal.is_position(text) is 'Whether this is the id of a stream''s entry: two unsigned 64-bit numbers; null where it is not even of the form.';

create or replace function bindery_internal.fenced(stream text, epoch bigint) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select bindery_internal.error('PT409', 'fenced',
    format('Epoch %s of the stream %s is over; the newest is %s.', fenced.epoch, fenced.stream, c.newest),
    'Another relay has taken the stream over. Apply nothing more; acquire it again.',
    jsonb_build_object('stream', fenced.stream, 'epoch', fenced.epoch, 'newest', c.newest))
  from (select max(r.epoch) from bindery.relay_cursors r where r.stream = fenced.stream) as c(newest);
$$;

create or replace function bindery_internal.apply_events(
  stream text, epoch bigint, "position" text, events jsonb, out applied bigint, out stale bigint, out dead bigint
)
language plpgsql security definer
set search_path = ''
-- A book's row that somebody holds for long is told (55P03, and the relay tries again) rather than waited for in silence.
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  cursor_row bindery.relay_cursors;
  segment jsonb;
  item jsonb;
  counts record;
  named uuid[];
  whole boolean;
  segments jsonb[];
  revisions jsonb;
begin
  applied := 0;
  stale := 0;
  dead := 0;
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream', apply_events.stream, 512));
  select c.* into cursor_row from bindery.relay_cursors c where c.stream = apply_events.stream for no key update;
  if not found or cursor_row.epoch is distinct from apply_events.epoch or cursor_row.holder is null then
    perform bindery_internal.raise_error(bindery_internal.fenced(apply_events.stream, apply_events.epoch));
  elsif bindery_internal.is_position(apply_events."position") is not true then
    perform bindery_internal.raise_error(bindery_internal.bad_input('position', 'is not a stream id', 'Give the last entry''s id, such as 1700000000000-0.'));
  elsif jsonb_typeof(apply_events.events) is distinct from 'array' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('events', 'is not a JSON array', 'Give an array, empty if need be.'));
  -- An item's own JSON may be 64 levels deep. What is far deeper can be read, and then neither taken apart nor buried.
  elsif jsonb_path_exists(apply_events.events, '$.**{68}') then
    perform bindery_internal.raise_error(bindery_internal.bad_input('events', 'is nested deeper than 67 levels', 'Make the JSON in the events flatter.'));
  elsif not bindery_internal.is_after(apply_events."position", cursor_row.position) then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'position_passed',
      format('The stream %s is applied up to %s; %s is not after that.', apply_events.stream, cursor_row.position, apply_events."position"),
      'Read on from the position in relay_cursors; this batch has taken effect already.',
      jsonb_build_object('stream', apply_events.stream, 'position', cursor_row.position)));
  end if;
  -- announce waits for the end of the batch.
  perform set_config('bindery.actor', 'relay:' || apply_events.stream, true), set_config('bindery.batching', 'yes', true);
  -- A segment that is no whole number counts as none. Most batches are one segment, which need not be put together again.
  select array_agg(distinct (e.item ->> 'book_id')::uuid)
      filter (where e.item ->> 'book_id' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'),
    bool_and((jsonb_typeof(e.item) = 'object' and e.item ->> 'segment' ~ '^[0-9]{1,18}$') is true)
      and count(distinct e.item ->> 'segment') = 1
  into named, whole
  from jsonb_array_elements(apply_events.events) as e(item);

  with locked as (
    select b.book_id, b.revision from bindery.book_status b where b.book_id = any (named) order by b.book_id for no key update
  )
  select coalesce(jsonb_object_agg(l.book_id, l.revision), '{}') into revisions from locked l;

  segments := case when whole then array[apply_events.events] else array(
    select jsonb_agg(
      case when jsonb_typeof(e.item) = 'object' then e.item
           else jsonb_build_object('type', 'dead', 'reason', 'not_an_object', 'message', 'The event is not a JSON object.', 'payload', e.item)
      end order by e.ord)
    from jsonb_array_elements(apply_events.events) with ordinality as e(item, ord)
    group by case when e.item ->> 'segment' ~ '^[0-9]{1,18}$' then (e.item ->> 'segment')::bigint else e.ord end
    order by case when e.item ->> 'segment' ~ '^[0-9]{1,18}$' then (e.item ->> 'segment')::bigint else e.ord end) end;
  foreach segment in array segments loop
    begin
      select s.* into counts from bindery_internal.apply_segment(apply_events.stream, segment) s;
      applied := applied + counts.applied;
      stale := stale + counts.stale;
      dead := dead + counts.dead;
    exception when assert_failure or others then
      if bindery_internal.is_transient(sqlstate) then
        raise;
      end if;
      -- Something in the segment is poison: find it, one by one.
      for item in select i.item from jsonb_array_elements(segment) as i(item) loop
        begin
          select s.* into counts from bindery_internal.apply_segment(apply_events.stream, jsonb_build_array(item)) s;
          applied := applied + counts.applied;
          stale := stale + counts.stale;
          dead := dead + counts.dead;
        exception when assert_failure or others then
          if bindery_internal.is_transient(sqlstate) then
            raise;
          end if;
          dead := dead + bindery_internal.bury(apply_events.stream, jsonb_build_array(
            item || jsonb_build_object('reason', 'refused_by_database', 'refusal', format('%s (SQLSTATE %s)', sqlerrm, sqlstate))));
        end;
      end loop;
    end;
  end loop;

  perform set_config('bindery.batching', '', true);
  perform bindery_internal.announce_books(array_agg(b.book_id), array_agg(b.revision))
  from bindery.book_status b
  where b.book_id = any (named) and b.revision is distinct from (revisions ->> b.book_id::text)::bigint;

  update bindery.relay_cursors c
  set position = apply_events."position", applied = c.applied + apply_events.applied, stale = c.stale + apply_events.stale,
      dead = c.dead + apply_events.dead, applied_at = bindery_internal.now(),
      lease_expires_at = bindery_internal.now() + c.lease_ttl
  where c.stream = apply_events.stream;
end
$$;

comment on function bindery_internal.apply_events(text, bigint, text, jsonb) is 'See bindery.apply_events.';
comment on function bindery_internal.is_after(text, text) is
  'Whether a stream id comes after another.';
comment on function bindery_internal.fenced(text, bigint) is
  'The error PT409 fenced: this epoch of the stream is not the newest.';

-- The lease on a stream: acquired with a new epoch, renewed by it, released by it; all by this database's clock.
-- Invariants: two holders never have the same epoch, also where the stream was forgotten between them; an unexpired lease of another
-- holder is not taken; caught_up_at never goes back, nor past the clock.
-- Locks: the stream's row in relay_cursors.
create or replace function bindery_internal.acquire_stream(stream text, holder text, ttl interval)
returns table (epoch bigint, "position" text, lease_expires_at timestamptz, entries bigint)
language plpgsql security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  cursor_row bindery.relay_cursors;
  moment timestamptz;
  -- In seconds alone: a month and minus 30 days compare as nothing, and added to a date are something.
  length_of interval;
begin
  if acquire_stream.stream is null or length(acquire_stream.stream) not between 1 and 512 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('stream', 'is not a name of 1 to 512 characters', 'Give the key of the Redis stream.'));
  elsif acquire_stream.holder is null or length(acquire_stream.holder) not between 1 and 512 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('holder', 'is not a name of 1 to 512 characters', 'Give a name that no other relay has.'));
  end if;
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_text('stream', acquire_stream.stream, 512),
    bindery_internal.refused_text('holder', acquire_stream.holder, 512)));
  if acquire_stream.ttl is null or acquire_stream.ttl not between '100 milliseconds' and '1 hour' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('ttl', 'is not between 100 milliseconds and 1 hour', 'Give an interval such as 10 seconds.'));
  end if;

  length_of := make_interval(secs => extract(epoch from acquire_stream.ttl)::double precision);
  loop
    insert into bindery.relay_cursors (stream) values (acquire_stream.stream) on conflict (stream) do nothing;
    select c.* into cursor_row from bindery.relay_cursors c where c.stream = acquire_stream.stream for no key update;
    -- Not there: it was forgotten while this waited for its lock.
    exit when found;
  end loop;
  -- After the lock: it may have been waited for.
  moment := bindery_internal.now();
  if cursor_row.holder <> acquire_stream.holder and cursor_row.lease_expires_at > moment then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'lease_held',
      format('The stream %s is held by %s.', acquire_stream.stream, cursor_row.holder),
      'Stand by and try again when the lease runs out.',
      jsonb_build_object('stream', acquire_stream.stream, 'holder', cursor_row.holder, 'lease_expires_at', cursor_row.lease_expires_at)));
  end if;
  if cursor_row.epoch = 0 then
    -- Its epochs go on where it was forgotten; which the insert above may have waited for.
    with remembered as (delete from bindery_internal.forgotten_streams f where f.stream = acquire_stream.stream returning f.epoch)
    update bindery.relay_cursors c set epoch = r.epoch from remembered r where c.stream = acquire_stream.stream;
  end if;
  return query
  update bindery.relay_cursors c
  set epoch = c.epoch + 1, holder = acquire_stream.holder, lease_ttl = length_of, lease_expires_at = moment + length_of
  where c.stream = acquire_stream.stream
  returning c.epoch, c.position, c.lease_expires_at, c.applied + c.stale + c.dead + c.entries_ahead;
end
$$;

create or replace function bindery_internal.renew_stream(stream text, epoch bigint, caught_up_at timestamptz) returns timestamptz
language plpgsql security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  expires timestamptz;
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream', renew_stream.stream, 512));
  if not isfinite(renew_stream.caught_up_at) then
    perform bindery_internal.raise_error(bindery_internal.bad_input('caught_up_at', 'is no moment', 'Give a time, or leave it out.'));
  end if;
  update bindery.relay_cursors c
  set lease_expires_at = bindery_internal.now() + c.lease_ttl,
      -- Of nulls greatest and least make nothing, so least(null, now) would be now.
      caught_up_at = case when renew_stream.caught_up_at is null then c.caught_up_at
                          else greatest(c.caught_up_at, least(renew_stream.caught_up_at, bindery_internal.now())) end
  where c.stream = renew_stream.stream and c.epoch = renew_stream.epoch and c.holder is not null
  returning c.lease_expires_at into expires;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.fenced(renew_stream.stream, renew_stream.epoch));
  end if;
  return expires;
end
$$;

create or replace function bindery_internal.release_stream(stream text, epoch bigint) returns void
language plpgsql security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream', release_stream.stream, 512));
  -- The epoch grows, so that nothing sent before the release can still be applied after it.
  update bindery.relay_cursors c set epoch = c.epoch + 1, holder = null, lease_expires_at = null
  where c.stream = release_stream.stream and c.epoch = release_stream.epoch;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.fenced(release_stream.stream, release_stream.epoch));
  end if;
end
$$;

create or replace function bindery_internal.forget_stream(stream text) returns void
language plpgsql security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  cursor_row bindery.relay_cursors;
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream', forget_stream.stream, 512));
  select c.* into cursor_row from bindery.relay_cursors c where c.stream = forget_stream.stream for update;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.error('PT404', 'unknown_stream',
      format('There is no stream %s.', coalesce(forget_stream.stream, '(null)')),
      'bindery.relay_cursors lists the streams that were ever read.',
      jsonb_build_object('stream', forget_stream.stream)));
  elsif cursor_row.lease_expires_at > bindery_internal.now() then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'lease_held',
      format('The stream %s is held by %s.', cursor_row.stream, cursor_row.holder),
      'Stop the relay that reads it first, or wait until its lease runs out.',
      jsonb_build_object('stream', cursor_row.stream, 'holder', cursor_row.holder, 'lease_expires_at', cursor_row.lease_expires_at)));
  end if;
  insert into bindery_internal.forgotten_streams (stream, epoch) values (cursor_row.stream, cursor_row.epoch)
  on conflict (stream) do update set epoch = greatest(forgotten_streams.epoch, excluded.epoch);
  delete from bindery.relay_cursors c where c.stream = forget_stream.stream;
end
$$;

comment on function bindery_internal.acquire_stream(text, text, interval) is 'See bindery.acquire_stream.';
comment on function bindery_internal.renew_stream(text, bigint, timestamptz) is 'See bindery.renew_stream.';
comment on function bindery_internal.release_stream(text, bigint) is 'See bindery.release_stream.';
comment on function bindery_internal.forget_stream(text) is 'See bindery.forget_stream.';

-- announce_relay: a relay says that it lives, and hears which streams are better read by another.
-- Invariants: a stream is given up only for a living relay that would read it and has two fewer, one at a time over all relays that
-- share streams; so the numbers come to differ by one at most, and then nothing moves. It is advice: safety is the epochs' alone.
-- Locks: relays, whole, so that two relays are advised one after the other.
create or replace function bindery_internal.announce_relay(
  holder text, streams text[], ttl interval, out relays integer, out give_up text, out leave text[]
)
language plpgsql security definer
set search_path = ''
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  moment timestamptz;
begin
  if announce_relay.holder is null or length(announce_relay.holder) not between 1 and 512 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('holder', 'is not a name of 1 to 512 characters', 'Give a name that no other relay has.'));
  elsif announce_relay.streams is null or cardinality(announce_relay.streams) > 1000 or array_ndims(announce_relay.streams) > 1
    or exists (select from unnest(announce_relay.streams) s(name) where s.name is null or length(s.name) not between 1 and 512) then
    perform bindery_internal.raise_error(bindery_internal.bad_input('streams', 'is not a list of up to 1000 names of 1 to 512 characters', 'Give the keys of the Redis streams; an empty list says goodbye.'));
  elsif announce_relay.ttl is null or announce_relay.ttl not between '100 milliseconds' and '1 hour' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('ttl', 'is not between 100 milliseconds and 1 hour', 'Give the interval of the leases, such as 10 seconds.'));
  end if;
  perform bindery_internal.raise_error(bindery_internal.refused_text('holder', announce_relay.holder, 512));
  perform bindery_internal.raise_error(bindery_internal.refused_text('streams', s.name, 512)) from unnest(announce_relay.streams) s(name);

  lock table bindery_internal.relays in share row exclusive mode;
  moment := bindery_internal.now();
  delete from bindery_internal.relays r where r.expires_at <= moment or (r.holder = announce_relay.holder and announce_relay.streams = '{}');
  if announce_relay.streams <> '{}' then
    insert into bindery_internal.relays (holder, streams, expires_at)
    values (announce_relay.holder, announce_relay.streams, moment + make_interval(secs => extract(epoch from announce_relay.ttl)::double precision))
    on conflict (holder) do update set streams = excluded.streams, expires_at = excluded.expires_at;
  end if;
  -- What was handed over has been given up, or taken by another.
  update bindery_internal.relays r set handing_over = null
  where r.handing_over is not null and not exists (
    select from bindery.relay_cursors c where c.stream = r.handing_over and c.holder = r.holder and c.lease_expires_at > moment);
  select count(*)::integer into relays from bindery_internal.relays r where r.streams && announce_relay.streams;

  with held as (
    select c.stream, c.holder from bindery.relay_cursors c where c.holder is not null and c.lease_expires_at > moment
  ), others as (
    select r.streams, (select count(*) from held h where h.holder = r.holder) as has
    from bindery_internal.relays r where r.holder <> announce_relay.holder
  ), me as (
    select count(*) as has from held h where h.holder = announce_relay.holder
  )
  select
    -- Free, and somebody else who would read it has fewer.
    array(select distinct s.name from unnest(announce_relay.streams) s(name)
      where not exists (select from held h where h.stream = s.name)
        and exists (select from others o where s.name = any (o.streams) and o.has < me.has) order by 1),
    (select h.stream from held h join others o on h.stream = any (o.streams)
      where h.holder = announce_relay.holder and h.stream = any (announce_relay.streams) and o.has + 2 <= me.has
      order by o.has, h.stream limit 1)
  into leave, give_up
  from me;

  -- One at a time: as long as one is on its way to another relay, the numbers are not what they will be.
  if give_up is not null and (
    exists (select from bindery_internal.relays r where r.handing_over is not null and r.holder <> announce_relay.holder and r.streams && announce_relay.streams)
    or exists (select from unnest(announce_relay.streams) s(name)
      where not exists (select from bindery.relay_cursors c where c.stream = s.name and c.holder is not null and c.lease_expires_at > moment))) then
    give_up := null;
  end if;
  if give_up is not null then
    update bindery_internal.relays r set handing_over = announce_relay.give_up where r.holder = announce_relay.holder;
  end if;
end
$$;

comment on function bindery_internal.announce_relay(text, text[], interval) is 'See bindery.announce_relay.';

-- note_stream: what the relay found its stream in Redis to be, and where it goes on when that is not what it was.
-- Invariants: only the newest epoch notes anything; the counts of events never change here.
-- Locks: the stream's row in relay_cursors.
create or replace function bindery_internal.note_stream(
  stream text, epoch bigint, entries bigint, loss text, lost bigint, "position" text
) returns void
language plpgsql security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream', note_stream.stream, 512));
  if note_stream.loss not in ('trimmed', 'deleted', 'recreated', 'rewound') then
    perform bindery_internal.raise_error(bindery_internal.bad_input('loss', 'is none', 'Give trimmed, deleted, recreated or rewound, or leave it out.'));
  elsif (note_stream.lost between 0 and 1000000000000000) is not true then
    perform bindery_internal.raise_error(bindery_internal.bad_input('lost', 'is no number of entries', 'Give how many are known to be lost, or 0.'));
  elsif (note_stream.entries between 0 and 1000000000000000000) is false then
    perform bindery_internal.raise_error(bindery_internal.bad_input('entries', 'is no number of entries', 'Give what XINFO STREAM says of entries-added, less what comes after the position.'));
  elsif note_stream.position is not null and bindery_internal.is_position(note_stream.position) is not true then
    perform bindery_internal.raise_error(bindery_internal.bad_input('position', 'is not a stream id', 'Give an entry''s id, such as 1700000000000-0, or 0-0.'));
  end if;
  update bindery.relay_cursors c
  set entries_ahead = note_stream.entries - c.applied - c.stale - c.dead,
      position = coalesce(note_stream.position, c.position),
      losses = c.losses + case when note_stream.loss is null then 0 else 1 end,
      lost = c.lost + note_stream.lost,
      last_loss = coalesce(note_stream.loss, c.last_loss),
      lost_at = case when note_stream.loss is null then c.lost_at else bindery_internal.now() end
  where c.stream = note_stream.stream and c.epoch = note_stream.epoch and c.holder is not null;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.fenced(note_stream.stream, note_stream.epoch));
  end if;
end
$$;

comment on function bindery_internal.note_stream(text, bigint, bigint, text, bigint, text) is 'See bindery.note_stream.';

-- define_pipeline: stores the next version of a pipeline, compiled.
-- Invariants: a definition with a fault is refused with all its faults; the same definition again is the version it was.
-- Locks: an advisory lock on the name.
create or replace function bindery_internal.define_pipeline(name text, definition jsonb) returns integer
language plpgsql security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  compiled jsonb;
  faults jsonb;
  latest bindery.pipelines;
begin
  if coalesce(define_pipeline.name, '') !~ '^[a-z][a-z0-9_]{0,62}$' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('name', 'is not in lower snake case of up to 63 characters', 'Name it such as comic.'));
  elsif define_pipeline.definition is null then
    perform bindery_internal.raise_error(bindery_internal.bad_input('definition', 'is missing', 'Give {"states": […]}.'));
  end if;
  perform bindery_internal.raise_error(bindery_internal.refused_json('definition', define_pipeline.definition));
  compiled := bindery_core.compile_pipeline(define_pipeline.definition);
  faults := coalesce(compiled -> 'faults', '[]') || bindery_internal.guard_faults(define_pipeline.definition);
  if faults <> '[]' then
    perform bindery_internal.raise_error(bindery_internal.error('PT422', 'bad_definition',
      format('The definition of %s has %s: %s', define_pipeline.name,
        case jsonb_array_length(faults) when 1 then 'a fault' else jsonb_array_length(faults) || ' faults' end,
        (select string_agg(format('%s %s', f.fault ->> 'path', f.fault ->> 'problem'), '; ') from jsonb_array_elements(faults) as f(fault))),
      'Mend what the detail lists by path; docs/pipelines.md shows how to write one.',
      jsonb_build_object('faults', faults)));
  end if;

  perform pg_advisory_xact_lock(hashtextextended('bindery.pipelines ' || define_pipeline.name, 0));
  select p.* into latest from bindery.pipelines p where p.name = define_pipeline.name order by p.version desc limit 1;
  if latest.definition = define_pipeline.definition then
    return latest.version;
  end if;
  insert into bindery.pipelines (name, version, definition, machine)
  values (define_pipeline.name, coalesce(latest.version, 0) + 1, define_pipeline.definition, compiled -> 'machine');
  return coalesce(latest.version, 0) + 1;
end
$$;

create or replace function bindery.define_pipeline(name text, definition jsonb) returns integer
language sql volatile
set search_path = ''
as $$
  select bindery_internal.define_pipeline(name, definition);
$$;

comment on function bindery.define_pipeline(text, jsonb) is
  'Stores the next version of a pipeline and gives its number.
The same definition as the latest version gives that one. PT422 bad_definition lists every fault by JSON path.';
comment on function bindery_internal.define_pipeline(text, jsonb) is 'See bindery.define_pipeline.';

-- The functions that change a book. Each hands over to its definer in bindery_internal, raises its error, and gives the row.
-- Invariants: SECURITY INVOKER; a call that fails changes nothing; the row given is what the caller may read.
-- Locks: as the definer behind it.
create or replace function bindery.register_book(
  book_id uuid, owner_id uuid default null, pipeline text default null, title text default null, metadata jsonb default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_register(
    register_book.book_id, register_book.owner_id, register_book.pipeline, register_book.title, register_book.metadata));
  return query select b.* from bindery.book_status b where b.book_id = register_book.book_id;
end
$$;

create or replace function bindery.transition_book(
  book_id uuid, to_status text, message text default null, expected_revision bigint default null, attempt integer default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
declare
  refusal constant jsonb := bindery_internal.do_transition(
    transition_book.book_id, transition_book.to_status, transition_book.message, transition_book.expected_revision,
    transition_book.attempt, asking_first => false);
begin
  if refusal is not null then
    perform bindery_internal.raise_error(refusal);
  end if;
  return query select b.* from bindery.book_status b where b.book_id = transition_book.book_id;
end
$$;

create or replace function bindery.report_progress(
  book_id uuid, substep text default null, progress double precision default null,
  done double precision default null, total double precision default null, unit text default null, message text default null,
  checkpoint jsonb default null, stage text default null, attempt integer default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_report(jsonb_build_object(
    'book_id', report_progress.book_id, 'substep', report_progress.substep, 'progress', report_progress.progress,
    'done', report_progress.done, 'total', report_progress.total, 'unit', report_progress.unit,
    'message', report_progress.message, 'checkpoint', report_progress.checkpoint,
    'stage', report_progress.stage, 'attempt', report_progress.attempt)));
  return query select b.* from bindery.book_status b where b.book_id = report_progress.book_id;
end
$$;

create or replace function bindery.plan_substeps(
  book_id uuid, stage text, substeps jsonb, expected_revision bigint default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_plan(
    plan_substeps.book_id, plan_substeps.stage, plan_substeps.substeps, plan_substeps.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = plan_substeps.book_id;
end
$$;

create or replace function bindery.heartbeat(book_id uuid, attempt integer default null) returns void
language plpgsql
set search_path = ''
as $$
begin
  if heartbeat.attempt < 1 then
    perform bindery_internal.raise_error(bindery_internal.refused_attempt());
  end if;
  perform bindery_internal.raise_error(bindery_internal.refused_report(h.verdict, heartbeat.book_id, null, null, heartbeat.attempt))
  from bindery_internal.do_heartbeats(jsonb_build_array(
    jsonb_build_object('book_id', heartbeat.book_id, 'attempt', heartbeat.attempt))) h;
end
$$;

create or replace function bindery.fail_book(
  book_id uuid, error jsonb default null, message text default null, expected_revision bigint default null, attempt integer default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_transition(
    fail_book.book_id, 'FAILED', fail_book.message, fail_book.expected_revision, fail_book.attempt,
    coalesce(fail_book.error, '{}'), asking_first => false));
  return query select b.* from bindery.book_status b where b.book_id = fail_book.book_id;
end
$$;

create or replace function bindery.resume_book(book_id uuid, expected_revision bigint default null)
returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_resume(resume_book.book_id, resume_book.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = resume_book.book_id;
end
$$;

comment on function bindery.register_book(uuid, uuid, text, text, jsonb) is
  'Puts a book at the start of a pipeline (comic unless named), and gives its row.
Idempotent: the same call again gives the row as it stands. PT404 unknown_pipeline, PT409 conflicting_registration (another pipeline or owner), PT422 bad_input.';
comment on function bindery.transition_book(uuid, text, text, bigint, integer) is
  'Changes a book''s status where its pipeline allows it, and gives its row.
To the stage a FAILED book failed in, it is a resume. A worker gives its attempt: from an earlier one than the book''s the call has no effect. PT404 unknown_book, PT409 illegal_transition (the detail lists what is allowed), stale_revision or attempt_ahead, PT422 bad_input.';
comment on function bindery.report_progress(uuid, text, double precision, double precision, double precision, text, text, jsonb, text, integer) is
  'Reports a substep''s progress: percent (0 to 100), or done of total; gives the book''s row.
A lower value than before leaves progress as it is; a report of an earlier attempt or a stage left has no effect. The checkpoint is the worker''s own JSON to go on from. PT404 unknown_book or unknown_stage, PT409 stage_not_reached or attempt_ahead, PT422 unknown_substep or bad_input.';
comment on function bindery.plan_substeps(uuid, text, jsonb, bigint) is
  'Declares a book''s own substeps of a stage, [{"name", "weight"}], up to 10,000; gives its row.
Planning again changes weights, never progress. PT404 unknown_book or unknown_stage, PT409 stale_revision, PT422 bad_input.';
comment on function bindery.heartbeat(uuid, integer) is
  'Says that a book''s service is alive.
PT404 unknown_book, PT409 attempt_ahead.';
comment on function bindery.fail_book(uuid, jsonb, text, bigint, integer) is
  'Halts a book as FAILED with an error object and a message; gives its row.
The error has a code of yours ({"code": "out_of_memory", …}); with "retry": false the book waits for a person, else sweep resumes it where its stage says retry_after and attempts are left. A worker gives its attempt: from an earlier one than the book''s the call has no effect. PT404 unknown_book, PT409 illegal_transition, stale_revision or attempt_ahead, PT422 bad_input.';
comment on function bindery.resume_book(uuid, bigint) is
  'A FAILED book goes on at the stage it failed in, as the next attempt; gives its row.
Substeps that are finished or have a checkpoint are kept, the others start over. PT404 unknown_book, PT409 not_failed or stale_revision.';

-- cancel_book: stops a book for good.
-- Invariants: SECURITY INVOKER; CANCELLED is final and keeps its percentage.
-- Locks: as bindery_internal.do_transition.
create or replace function bindery.cancel_book(book_id uuid, message text default null, expected_revision bigint default null)
returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_transition(
    cancel_book.book_id, 'CANCELLED', cancel_book.message, cancel_book.expected_revision, asking_first => false));
  return query select b.* from bindery.book_status b where b.book_id = cancel_book.book_id;
end
$$;

comment on function bindery.cancel_book(uuid, text, bigint) is
  'Stops a book for good, where it is; gives its row.
PT404 unknown_book, PT409 illegal_transition (it is at its end already) or stale_revision, PT422 bad_input.';

-- rewind_book: an operator's step back.
-- Invariants: SECURITY INVOKER; the stage that is entered starts over, as its next attempt.
-- Locks: as bindery_internal.do_rewind.
create or replace function bindery.rewind_book(
  book_id uuid, to_stage text, message text default null, expected_revision bigint default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_rewind(
    rewind_book.book_id, rewind_book.to_stage, rewind_book.message, rewind_book.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = rewind_book.book_id;
end
$$;

comment on function bindery.rewind_book(uuid, text, text, bigint) is
  'Takes a book back to an earlier stage, or a FAILED one to the start of the stage it failed in; gives its row.
The stage starts over with nothing kept, as its next attempt, and workers hear of it as of a resume. A book that is complete or CANCELLED is not rewound. PT404 unknown_book or unknown_stage, PT409 illegal_transition (the detail lists where it may go) or stale_revision, PT422 bad_input.';

-- The functions that read a book. SECURITY INVOKER and STABLE: row-level security decides what the caller sees.
-- Invariants: a book that the caller may not read is unknown to it.
-- Locks: none.
create or replace function bindery_internal.health(book bindery.book_status, machine jsonb, moment timestamptz) returns text
language sql immutable parallel safe
set search_path = ''
as $$
  select case
    when book.status = 'FAILED' and book.error ->> 'code' = 'stalled' then 'stalled'
    when book.status <> book.current_stage then null
    when s.stall_after is null then 'live'
    when moment - book.heartbeat_at > s.stall_after then 'stalled'
    when moment - book.heartbeat_at > s.stall_after / 2 then 'quiet'
    else 'live' end
  from (
    select (bindery_internal.state_of(machine, book.current_stage) ->> 'stall_after')::double precision * interval '1 second'
  ) as s(stall_after);
$$;

create or replace function bindery.get_book_status(book_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  machine jsonb;
begin
  select b.* into book from bindery.book_status b where b.book_id = get_book_status.book_id;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(get_book_status.book_id));
  end if;
  machine := bindery_internal.machine(book.pipeline, book.pipeline_version);
  return to_jsonb(book) || jsonb_build_object(
    'stages', (
      select jsonb_agg(case when s.stage ->> 'name' = book.current_stage and book.completed_at is null
        then s.stage || jsonb_build_object('progress', book.stage_progress) else s.stage end order by s.ord)
      from jsonb_array_elements(bindery_core.summarize(machine, book.status, book.current_stage, '[]') -> 'stages')
        with ordinality as s(stage, ord)),
    'health', bindery_internal.health(book, machine, bindery_internal.now()));
end
$$;

create or replace function bindery.get_resume_point(book_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  select b.* into book from bindery.book_status b where b.book_id = get_resume_point.book_id;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(get_resume_point.book_id));
  end if;
  return (
    select jsonb_build_object(
      'book_id', book.book_id, 'status', book.status, 'stage', book.current_stage, 'attempt', book.attempt, 'revision', book.revision,
      'done', coalesce(jsonb_agg(s.substep -> 'name' order by s.ord) filter (where s.substep ->> 'state' = 'done'), '[]'),
      'left', coalesce(jsonb_agg(s.substep - array['state', 'name', 'label']
          || jsonb_build_object('substep', s.substep -> 'name', 'checkpoint', g.checkpoint)
        order by s.ord) filter (where s.substep ->> 'state' <> 'done'), '[]'))
    from jsonb_array_elements(book.substeps) with ordinality as s(substep, ord)
    left join bindery.book_progress g
      on g.book_id = book.book_id and g.stage = book.current_stage and g.substep = s.substep ->> 'name');
end
$$;

create or replace function bindery.list_books(max_books integer default 100) returns setof bindery.book_status
language sql stable
set search_path = ''
as $$
  select b.* from bindery.book_status b order by b.created_at desc, b.book_id limit least(greatest(max_books, 0), 1000);
$$;

comment on function bindery.get_book_status(uuid) is
  'Where a book stands, as one JSON object.
All columns of book_status, and stages ([{name, label, state: done|active|pending|failed|cancelled, progress}]) and health (live, quiet or stalled; null once halted or completed). PT404 unknown_book.';
comment on function bindery.get_resume_point(uuid) is
  'All a worker needs to go on with a book, as one JSON object.
{book_id, status, stage, attempt, revision, done: [substep], left: [{substep, weight, progress, done?, total?, unit?, message?, checkpoint}]}. PT404 unknown_book.';
comment on function bindery.list_books(integer) is
  'The newest books the caller may read, up to 1,000 (100 unless told). For filters and paging read the table book_status.';
comment on function bindery_internal.health(bindery.book_status, jsonb, timestamptz) is
  'live, quiet (past half of stall_after without a sign), stalled (past it, or FAILED because of it); null once halted or complete.';

-- status_at: the status as the history has it at a moment.
-- Invariants: SECURITY INVOKER and STABLE; null before the book was registered.
-- Locks: none.
create or replace function bindery.status_at(book_id uuid, at timestamptz) returns jsonb
language plpgsql stable
set search_path = ''
as $$
#variable_conflict use_column
begin
  if status_at.at is null then
    perform bindery_internal.raise_error(bindery_internal.bad_input('at', 'is missing', 'Give the moment to look back to.'));
  elsif not exists (select from bindery.book_status b where b.book_id = status_at.book_id) then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(status_at.book_id));
  end if;
  return (
    select jsonb_build_object('book_id', e.book_id, 'status', e.to_status, 'stage', e.stage, 'attempt', e.attempt,
      'revision', e.revision, 'since', e.at, 'actor', e.actor, 'message', e.message, 'data', e.data)
    from bindery.book_events e
    -- Where the next row goes on from somewhere else, what lay between was pruned, and nobody can tell.
    left join lateral (
      select n.from_status from bindery.book_events n
      where n.book_id = e.book_id and n.revision > e.revision order by n.revision limit 1) n on true
    where e.book_id = status_at.book_id and e.revision = (
        select max(l.revision) from bindery.book_events l where l.book_id = status_at.book_id and l.at <= status_at.at)
      and coalesce(n.from_status, e.to_status) = e.to_status);
end
$$;

comment on function bindery.status_at(uuid, timestamptz) is
  'What a book''s status was at a moment, from its history, as one JSON object; null before it was registered, or where that history was pruned.
{book_id, status, stage, attempt, revision, since, actor, message, data}. PT404 unknown_book, PT422 bad_input.';

-- pipeline_xstate: a pipeline as an XState v5 config, made of its compiled machine.
-- Invariants: SECURITY INVOKER and STABLE; an event's type is the status it asks for; FAILED has a child a stage, so that it
-- knows where it resumes to without context or code. Locks: none.
create or replace function bindery_internal.latest_version(pipeline text) returns integer
language plpgsql stable parallel safe security definer
set search_path = ''
as $$
begin
  return (select max(p.version) from bindery.pipelines p where p.name = pipeline);
end
$$;

create or replace function bindery_internal.xstate_edge(kind text, target text, guard text default null) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select jsonb_strip_nulls(jsonb_build_object('target', target, 'guard', guard, 'meta', jsonb_build_object('kind', kind)));
$$;

create or replace function bindery_internal.xstate_node(state jsonb) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select jsonb_build_object('meta', jsonb_strip_nulls(state - array['name', 'final', 'next', 'rework']))
    || case when (state ->> 'final')::boolean then '{"type": "final"}'
       else jsonb_build_object('on',
         (select jsonb_object_agg(n.edge ->> 'to', bindery_internal.xstate_edge('forward', n.edge ->> 'to', n.edge ->> 'guard'))
          from jsonb_array_elements(state -> 'next') as n(edge))
         || coalesce((select jsonb_object_agg(r.target, bindery_internal.xstate_edge('rework', r.target))
          from jsonb_array_elements_text(state -> 'rework') as r(target)), '{}')
         || jsonb_build_object(
           'FAILED', bindery_internal.xstate_edge('fail', 'FAILED.' || (state ->> 'name')),
           'CANCELLED', bindery_internal.xstate_edge('cancel', 'CANCELLED'))) end;
$$;

create or replace function bindery.pipeline_xstate(name text, version integer default null) returns jsonb
language plpgsql stable
set search_path = ''
as $$
#variable_conflict use_column
declare
  which constant integer := coalesce(pipeline_xstate.version, bindery_internal.latest_version(pipeline_xstate.name));
  machine constant jsonb := bindery_internal.machine(pipeline_xstate.name, which);
  id constant text := pipeline_xstate.name;
  initial constant text := machine #>> '{states,0,name}';
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('name', pipeline_xstate.name, 63));
  if machine is null then
    perform bindery_internal.raise_error(bindery_internal.unknown_pipeline(coalesce(id, '(null)'), pipeline_xstate.version));
  end if;
  return (
    select jsonb_build_object(
      'id', id,
      'version', which::text,
      'initial', initial,
      'meta', jsonb_build_object('pipeline', id, 'version', which, 'total_weight', machine -> 'total_weight',
        'auto_advance', machine -> 'auto_advance',
        -- The keys of an object have no order in JSON.
        'order', jsonb_agg(s.state -> 'name' order by s.ord)),
      'states', jsonb_object_agg(s.state ->> 'name', bindery_internal.xstate_node(s.state))
        || jsonb_build_object(
          'CANCELLED', jsonb_build_object('type', 'final', 'meta', jsonb_build_object('label', 'Cancelled')),
          'FAILED', jsonb_build_object(
            'initial', initial,
            'meta', jsonb_build_object('label', 'Failed'),
            'on', jsonb_build_object('CANCELLED', bindery_internal.xstate_edge('cancel', 'CANCELLED')),
            'states', jsonb_object_agg(s.state ->> 'name', jsonb_build_object('on', jsonb_build_object(
              s.state ->> 'name', bindery_internal.xstate_edge('resume', format('#%s.%s', id, s.state ->> 'name')))))
              filter (where not (s.state ->> 'final')::boolean))))
    from jsonb_array_elements(machine -> 'states') with ordinality as s(state, ord));
end
$$;

comment on function bindery_internal.latest_version(text) is 'The newest version of a pipeline; null where there is none of that name.';
comment on function bindery_internal.xstate_edge(text, text, text) is
  'A transition of an XState config. Its meta.kind is forward, rework, fail, cancel or resume.';
comment on function bindery_internal.xstate_node(jsonb) is 'A state of an XState config, from a state of a compiled machine.';
comment on function bindery.pipeline_xstate(text, integer) is
  'A pipeline as a config for XState v5''s createMachine; the latest version unless told.
An event''s type is the status it asks for ({"type": "ANALYZING"}). FAILED has a child for each state it can resume to: a book that failed in ANALYZING is {"FAILED": "ANALYZING"}. Guards are given by name, weights, labels and limits (seconds) in meta. PT404 unknown_pipeline.';

-- The functions of the relay, and forget_stream for the operator. Of these the role bindery_relay may call all but that one.
-- Invariants: SECURITY INVOKER over definers in bindery_internal, since the relay has no right to any table.
-- Locks: relay_cursors first, then books in order of book_id.
create or replace function bindery.acquire_stream(stream text, holder text, ttl interval default '10 seconds')
returns table (epoch bigint, "position" text, lease_expires_at timestamptz, entries bigint)
language sql volatile
set search_path = ''
as $$
  select a.epoch, a.position, a.lease_expires_at, a.entries from bindery_internal.acquire_stream(stream, holder, ttl) a;
$$;

create or replace function bindery.renew_stream(stream text, epoch bigint, caught_up_at timestamptz default null) returns timestamptz
language sql volatile
set search_path = ''
as $$
  select bindery_internal.renew_stream(stream, epoch, caught_up_at);
$$;

create or replace function bindery.note_stream(
  stream text, epoch bigint, entries bigint default null, loss text default null, lost bigint default 0, "position" text default null
) returns void
language sql volatile
set search_path = ''
as $$
  select bindery_internal.note_stream(stream, epoch, entries, loss, lost, "position");
$$;

create or replace function bindery.release_stream(stream text, epoch bigint) returns void
language sql volatile
set search_path = ''
as $$
  select bindery_internal.release_stream(stream, epoch);
$$;

create or replace function bindery.forget_stream(stream text) returns void
language sql volatile
set search_path = ''
as $$
  select bindery_internal.forget_stream(stream);
$$;

create or replace function bindery.announce_relay(
  holder text, streams text[], ttl interval default '10 seconds', out relays integer, out give_up text, out leave text[]
)
language sql volatile
set search_path = ''
as $$
  select a.relays, a.give_up, a.leave from bindery_internal.announce_relay(holder, streams, ttl) a;
$$;

create or replace function bindery.apply_events(stream text, epoch bigint, "position" text, events jsonb)
returns table (applied bigint, stale bigint, dead bigint)
language sql volatile
set search_path = ''
as $$
  select a.applied, a.stale, a.dead from bindery_internal.apply_events(stream, epoch, "position", events) a;
$$;

comment on function bindery.acquire_stream(text, text, interval) is
  'Takes the lease on a stream: gives a new epoch, and the position applied so far.
Also when the lease ends unless renewed, and how many entries Redis had counted at the position (null: not known). The present holder may take it again at once. PT409 lease_held while another''s lease lasts, PT422 bad_input.';
comment on function bindery.renew_stream(text, bigint, timestamptz) is
  'Prolongs the lease by its ttl and gives its new end.
PT409 fenced where the epoch is not the newest. caught_up_at says that everything that was in the stream at that moment of this database''s clock is applied; kept in relay_cursors where it is later than what is known, at most now, or PT422 bad_input. A relay may say it of a moment whose answer it had before it began a read that found no more than it has applied.';
comment on function bindery.note_stream(text, bigint, bigint, text, bigint, text) is
  'Notes what the relay found its stream to be: how many entries Redis had counted at the position, and what is lost.
Where something is missing: what happened (trimmed, deleted, recreated, rewound) and how many entries are known to be lost. With a position, the stream is read from there on, which may lie before: what comes after it is new. PT409 fenced where the epoch is not the newest, PT422 bad_input.';
comment on function bindery.release_stream(text, bigint) is
  'Gives the lease up, so that another relay need not wait for its end.
PT409 fenced where the epoch is not the newest.';
comment on function bindery.forget_stream(text) is
  'Deletes the row of a stream that is no longer read: its position, lease and counts. Its dead letters stay.
Without it a stream whose relay is gone for good would hold the detection of stalled books up for ever. Acquired again, the stream is read from its beginning. PT404 unknown_stream, PT409 lease_held while its lease lasts.';
comment on function bindery.announce_relay(text, text[], interval) is
  'Says that a relay lives, for as long as ttl, and which streams it would read, so that living relays share them evenly; an empty list says goodbye.
Gives how many relays share these streams, one that it holds and should release now for another that has fewer (or null), and those that are free and that another with fewer should take. PT422 bad_input.';
comment on function bindery.apply_events(text, bigint, text, jsonb) is
  'Applies a batch of events and moves the stream''s position, in one transaction; counts what was applied, stale, dead.
Items are events as docs/events.md has them, with id, count (how many events it stands for) and segment: items of a segment must have distinct keys, segments are applied in order; without a segment each item is one. PT409 fenced or position_passed, PT422 bad_input.';

-- take_outbox: the oldest messages of the outbox, deleted in the caller's transaction.
-- Invariants: the caller commits once it has published them, so each is published at least once; one publisher at a time, so a
-- book's messages keep their order. Locks: an advisory lock until the transaction ends; without it nothing is taken.
create or replace function bindery_internal.take_outbox(max_rows integer) returns setof bindery.outbox
language plpgsql security definer
set search_path = ''
as $$
begin
  if not pg_try_advisory_xact_lock(hashtextextended('bindery.outbox', 0)) then
    return;
  end if;
  return query
  with taken as (
    delete from bindery.outbox o
    where o.id in (select c.id from bindery.outbox c order by c.id limit least(greatest(max_rows, 0), 10000))
    returning o.*
  )
  select t.* from taken t order by t.id;
end
$$;

create or replace function bindery.take_outbox(max_rows integer default 500) returns setof bindery.outbox
language sql volatile
set search_path = ''
as $$
  select o.* from bindery_internal.take_outbox(max_rows) o;
$$;

comment on function bindery.take_outbox(integer) is
  'Takes the oldest messages of the outbox, up to 10,000, in order. Publish them, then commit; a rollback puts them back.
Gives none while another transaction has some taken.';
comment on function bindery_internal.take_outbox(integer) is
  'See bindery.take_outbox.';

-- outbox_backlog: how many messages wait to be published, and since when.
-- Invariants: reads only; counts no further than it is told, so that a neglected outbox costs no more to look at.
-- Locks: none.
create or replace function bindery_internal.outbox_backlog(max_messages integer, out messages bigint, out oldest_at timestamptz, out age interval)
language sql stable security definer
set search_path = ''
as $$
  select (select count(*) from (select from bindery.outbox limit least(greatest(outbox_backlog.max_messages, 0), 1000000)) o), f.created_at,
    greatest(coalesce(bindery_internal.now() - f.created_at, '0'), '0')
  from (values (0)) as one(row) left join lateral (
    select o.created_at from bindery.outbox o order by o.id limit 1) f on true;
$$;

create or replace function bindery.outbox_backlog(max_messages integer default 100000, out messages bigint, out oldest_at timestamptz, out age interval)
language sql stable
set search_path = ''
as $$
  select b.* from bindery_internal.outbox_backlog(outbox_backlog.max_messages) b;
$$;

comment on function bindery_internal.outbox_backlog(integer) is 'See bindery.outbox_backlog.';
comment on function bindery.outbox_backlog(integer) is
  'How many messages of the outbox wait to be published, counted up to max_messages (at most 1,000,000), and since when the oldest does.';

-- place_of_books: where books stand as a stage sees them; for events that say that work on the stage has begun.
-- Invariants: reads only; a book that is not there is not among the answers.
-- Locks: none.
create or replace function bindery_internal.place_of_books(stage text, book_ids uuid[])
returns table (book_id uuid, place text)
language plpgsql stable security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stage', place_of_books.stage, 63));
  return query
  select b.book_id, case
    when b.status = place_of_books.stage then 'at'
    when b.status = 'FAILED' and b.current_stage = place_of_books.stage then 'failed'
    when exists (
      select from jsonb_array_elements(
        bindery_internal.state_of(bindery_internal.machine(b.pipeline, b.pipeline_version), b.status) -> 'next') as n(edge)
      where n.edge ->> 'to' = place_of_books.stage) then 'before'
    else 'elsewhere' end
  from bindery.book_status b where b.book_id = any (place_of_books.book_ids);
end
$$;

create or replace function bindery.place_of_books(stage text, book_ids uuid[])
returns table (book_id uuid, place text)
language sql stable
set search_path = ''
as $$
  select p.* from bindery_internal.place_of_books(place_of_books.stage, place_of_books.book_ids) p;
$$;

comment on function bindery_internal.place_of_books(text, uuid[]) is 'See bindery.place_of_books.';
comment on function bindery.place_of_books(text, uuid[]) is
  'Where books stand as a stage sees them: at it; failed in it; before it, where the next transition may lead there; else elsewhere.
Unknown books are left out. PT422 bad_input.';

-- prune_events: deletes old history, in small batches that block nobody.
-- Invariants: each book keeps its newest row, and the one that says how it ended, so that where it stands can always be told from
-- the history; until it has ended also the newest of each stage, by which attempts are counted (last_attempt). Locks: skips rows that somebody else is deleting.
create or replace function bindery_internal.check_pruning(before timestamptz, batch integer) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  if before is null then
    return bindery_internal.bad_input('before', 'is missing', 'Give the moment; what is older goes.');
  elsif batch is null or batch not between 1 and 100000 then
    return bindery_internal.bad_input('batch', 'is not between 1 and 100,000', 'Give how many rows a call may delete.');
  end if;
  return null;
end
$$;

create or replace function bindery_internal.prune_events(before timestamptz, batch integer) returns integer
language plpgsql security definer
set search_path = ''
as $$
declare
  pruned integer;
begin
  perform bindery_internal.raise_error(bindery_internal.check_pruning(prune_events.before, prune_events.batch));
  delete from bindery.book_events e
  where e.id in (
    select c.id from bindery.book_events c
    where c.at < prune_events.before and c.kind not in ('complete', 'cancel')
      -- The newest row of a stage has its highest attempt, which is never given again while the book may come back there.
      and exists (
        select from bindery.book_events n
        where n.book_id = c.book_id and n.revision > c.revision and (n.stage = c.stage or n.kind in ('complete', 'cancel')))
    order by c.at limit prune_events.batch
    for update skip locked);
  get diagnostics pruned = row_count;
  return pruned;
end
$$;

create or replace function bindery.prune_events(before timestamptz, batch integer default 1000) returns integer
language plpgsql
set search_path = ''
as $$
begin
  return bindery_internal.prune_events(prune_events.before, prune_events.batch);
end
$$;

comment on function bindery_internal.check_pruning(timestamptz, integer) is
  'What is wrong with the arguments of a prune_ function, as an error; null where nothing is.';
comment on function bindery_internal.prune_events(timestamptz, integer) is 'See bindery.prune_events.';
comment on function bindery.prune_events(timestamptz, integer) is
  'Deletes up to batch (1 to 100,000) rows of history older than a moment, and gives how many; call it until it gives 0.
Each book keeps its newest row, and the one that says how it ended; until then also the newest of each stage. PT422 bad_input.';

-- prune_dead_letters: deletes old dead letters, in small batches that block nobody.
-- Invariants: by when a letter was refused first; replays do not keep it longer.
-- Locks: skips letters that somebody else is deleting or replaying.
create or replace function bindery_internal.prune_dead_letters(before timestamptz, batch integer) returns integer
language plpgsql security definer
set search_path = ''
as $$
declare
  pruned integer;
begin
  perform bindery_internal.raise_error(bindery_internal.check_pruning(prune_dead_letters.before, prune_dead_letters.batch));
  delete from bindery.dead_letters d
  where d.id in (
    select c.id from bindery.dead_letters c
    where c.at < prune_dead_letters.before
    order by c.at limit prune_dead_letters.batch
    for update skip locked);
  get diagnostics pruned = row_count;
  return pruned;
end
$$;

create or replace function bindery.prune_dead_letters(before timestamptz, batch integer default 1000) returns integer
language plpgsql
set search_path = ''
as $$
begin
  return bindery_internal.prune_dead_letters(prune_dead_letters.before, prune_dead_letters.batch);
end
$$;

comment on function bindery_internal.prune_dead_letters(timestamptz, integer) is 'See bindery.prune_dead_letters.';
comment on function bindery.prune_dead_letters(timestamptz, integer) is
  'Deletes up to batch (1 to 100,000) dead letters refused before a moment, and gives how many; call it until it gives 0.
PT422 bad_input.';

-- prune_outbox: deletes old messages that nobody has published, in small batches that block nobody.
-- Invariants: from the front only, so that of a book's messages no later one goes before an earlier one; a call looks at no more
-- than a batch. Locks: the advisory lock of take_outbox, for which it waits; publishers do not wait, they take nothing meanwhile.
create or replace function bindery_internal.prune_outbox(before timestamptz, batch integer) returns integer
language plpgsql security definer
set search_path = ''
set lock_timeout = '5s'
as $$
declare
  pruned integer;
begin
  perform bindery_internal.raise_error(bindery_internal.check_pruning(prune_outbox.before, prune_outbox.batch));
  perform pg_advisory_xact_lock(hashtextextended('bindery.outbox', 0));
  delete from bindery.outbox o
  where o.created_at < prune_outbox.before
    and o.id in (select c.id from bindery.outbox c order by c.id limit prune_outbox.batch);
  get diagnostics pruned = row_count;
  return pruned;
end
$$;

create or replace function bindery.prune_outbox(before timestamptz, batch integer default 1000) returns integer
language plpgsql
set search_path = ''
as $$
begin
  return bindery_internal.prune_outbox(prune_outbox.before, prune_outbox.batch);
end
$$;

comment on function bindery_internal.prune_outbox(timestamptz, integer) is 'See bindery.prune_outbox.';
comment on function bindery.prune_outbox(timestamptz, integer) is
  'Deletes up to batch (1 to 100,000) messages of the outbox written before a moment, unpublished, and gives how many; call it until it gives 0.
For when nothing publishes them; what is lost is what workers were to hear of. PT422 bad_input.';

-- dead_letter_reasons: why a stream's newest dead letters are there, counted.
-- Invariants: reads only; looks at no more than max_letters.
-- Locks: none.
create or replace function bindery_internal.dead_letter_reasons(stream text, after text, max_letters integer)
returns table (reason text, letters bigint, events bigint)
language plpgsql stable security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream', dead_letter_reasons.stream, 512));
  if bindery_internal.is_position(dead_letter_reasons.after) is not true then
    perform bindery_internal.raise_error(bindery_internal.bad_input('after', 'is not a stream id', 'Give an entry''s id, such as 1700000000000-0.'));
  end if;
  return query
  select d.reason, count(*), sum(d.count)::bigint
  from (
    select c.reason, c.count, c.event_id from bindery.dead_letters c
    where c.stream = dead_letter_reasons.stream
    order by c.id desc limit least(greatest(max_letters, 0), 100000)) d
  -- A letter without an id that is one was handed to apply_events by somebody else than binderyd.
  where case when bindery_internal.is_position(d.event_id) is true then bindery_internal.is_after(d.event_id, dead_letter_reasons.after) else true end
  group by d.reason
  order by 3 desc, 1;
end
$$;

create or replace function bindery.dead_letter_reasons(stream text, after text default '0-0', max_letters integer default 10000)
returns table (reason text, letters bigint, events bigint)
language sql stable
set search_path = ''
as $$
  select r.* from bindery_internal.dead_letter_reasons(dead_letter_reasons.stream, dead_letter_reasons.after, dead_letter_reasons.max_letters) r;
$$;

comment on function bindery_internal.dead_letter_reasons(text, text, integer) is 'See bindery.dead_letter_reasons.';
comment on function bindery.dead_letter_reasons(text, text, integer) is
  'Why events of a stream went to dead_letters, most frequent first: of the newest max_letters letters (at most 100,000) those whose event comes after an id.
PT422 bad_input.';

-- replay_dead_letters: dead letters applied once more, by what the relay would do with them today.
-- Invariants: letter by letter in order of id, so a book's keep their order; each ends deleted (applied or stale) or kept with its
-- newest reason, and harms no other. Locks: an advisory lock (one replay at a time), the letters (skipping what is being pruned),
-- then their books in order of book_id.
create or replace function bindery_internal.replay_letter(letter bindery.dead_letters) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
begin
  -- What was cut, or what the relay could not read in the first place, is no event: nothing can be made of it here that the
  -- relay would not have made of it.
  if letter.truncated or jsonb_typeof(letter.payload -> 'count') is distinct from 'number' then
    return jsonb_build_object('code', letter.reason, 'message', letter.message);
  end if;
  return bindery_internal.apply_item(letter.payload);
exception when assert_failure or others then
  if bindery_internal.is_transient(sqlstate) then
    raise;
  end if;
  return jsonb_build_object('code', 'refused_by_database', 'message', format('%s (SQLSTATE %s)', sqlerrm, sqlstate));
end
$$;

create or replace function bindery_internal.replay_dead_letters(
  stream text, reason text, book_id uuid, max_letters integer, ids bigint[],
  out applied bigint, out stale bigint, out dead bigint
)
language plpgsql security definer
set search_path = ''
-- A book's row that somebody holds for long is told (55P03) rather than waited for in silence.
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  actor constant text := coalesce(current_setting('bindery.actor', true), '');
  chosen bigint[];
  letter bindery.dead_letters;
  outcome jsonb;
begin
  applied := 0;
  stale := 0;
  dead := 0;
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_text('stream', replay_dead_letters.stream, 512),
    bindery_internal.refused_text('reason', replay_dead_letters.reason, 63)));
  if replay_dead_letters.max_letters is null or replay_dead_letters.max_letters not between 1 and 10000 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('max_letters', 'is not between 1 and 10,000', 'Give how many letters a call may replay.'));
  elsif not pg_try_advisory_xact_lock(hashtextextended('bindery.dead_letters', 0)) then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'replay_running', 'Dead letters are being replayed already.',
      'Try again when that is done: two at a time could apply a book''s events out of order.'));
  end if;

  chosen := array(
    select d.id from bindery.dead_letters d
    where (replay_dead_letters.stream is null or d.stream = replay_dead_letters.stream)
      and (replay_dead_letters.reason is null or d.reason = replay_dead_letters.reason)
      and (replay_dead_letters.book_id is null or d.book_id = replay_dead_letters.book_id)
      and (replay_dead_letters.ids is null or d.id = any (replay_dead_letters.ids))
      -- What can never be replayed is not in the way of what can; who names it is told that it is dead.
      and (replay_dead_letters.ids is not null or not d.truncated and jsonb_typeof(d.payload -> 'count') = 'number')
    order by d.id limit replay_dead_letters.max_letters
    for update skip locked);
  perform from bindery.book_status b
  where b.book_id in (select d.book_id from bindery.dead_letters d where d.id = any (chosen))
  order by b.book_id for no key update;

  perform set_config('bindery.actor', 'replay', true);
  for letter in select d.* from bindery.dead_letters d where d.id = any (chosen) order by d.id loop
    outcome := bindery_internal.replay_letter(letter);
    if outcome is null or outcome ? 'stale' then
      delete from bindery.dead_letters d where d.id = letter.id;
      applied := applied + case when outcome is null then letter.count else 0 end;
      stale := stale + case when outcome is null then 0 else letter.count end;
    else
      update bindery.dead_letters d
      set reason = outcome ->> 'code', message = outcome ->> 'message', replayed_at = bindery_internal.now()
      where d.id = letter.id;
      dead := dead + letter.count;
    end if;
  end loop;
  perform set_config('bindery.actor', actor, true);
end
$$;

create or replace function bindery.replay_dead_letters(
  stream text default null, reason text default null, book_id uuid default null, max_letters integer default 100,
  ids bigint[] default null
)
returns table (applied bigint, stale bigint, dead bigint)
language sql volatile
set search_path = ''
as $$
  select r.applied, r.stale, r.dead from bindery_internal.replay_dead_letters(stream, reason, book_id, max_letters, ids) r;
$$;

comment on function bindery_internal.replay_letter(bindery.dead_letters) is
  'Applies a dead letter: null when done, {"stale": true}, or why not as {code, message}; changes nothing then.';
comment on function bindery_internal.replay_dead_letters(text, text, uuid, integer, bigint[]) is 'See bindery.replay_dead_letters.';
comment on function bindery.replay_dead_letters(text, text, uuid, integer, bigint[]) is
  'Applies dead letters once more, the oldest first, up to max_letters (1 to 10,000), and counts the events: applied, stale, dead.
All filters given must fit: the stream, the reason, the book, the letters'' ids. What took effect or came too late is deleted; the rest stays with its newest reason. The history names replay as the actor. Truncated letters and entries that the relay could not read stay as they are: send those again. PT409 replay_running, PT422 bad_input.';

-- refresh_pace: keeps stage_pace up with the history, once a minute at most.
-- Invariants: reads only events newer than the last time (and 1,000 before those: transactions commit out of order), never more
-- than 50,000, by the primary key. Locks: an advisory lock until the transaction ends; who finds it taken leaves.
create or replace function bindery_internal.pace_of(machine jsonb, medians jsonb)
returns table (stage text, median_seconds double precision, later_seconds double precision)
language plpgsql immutable parallel safe
set search_path = ''
as $$
#variable_conflict use_column
declare
  n constant integer := jsonb_array_length(machine -> 'states');
  names text[] := '{}';
  weights double precision[] := '{}';
  paces double precision[] := '{}';
  -- The most weight that can lie between a state and the end, and the state after it on that path.
  heaviest double precision[] := array_fill(null::double precision, array[n - 1]) || 0::double precision;
  following integer[] := '{}';
  most double precision;
  settled boolean := false;
  here integer;
begin
  for i in 1 .. n loop
    names := names || (machine #>> array['states', (i - 1)::text, 'name']);
    weights := weights || (machine #>> array['states', (i - 1)::text, 'weight'])::double precision;
    paces := paces || coalesce((medians ->> names[i])::double precision, case when weights[i] = 0 then 0 end);
  end loop;
  -- States may stand in any order. Their forward edges have no cycle, so this comes to rest.
  while not settled loop
    settled := true;
    for i in reverse n - 1 .. 1 loop
      select max(weights[t.target] + heaviest[t.target]) into most
      from jsonb_array_elements(machine #> array['states', (i - 1)::text, 'next']) as e(edge)
      cross join lateral (select array_position(names, e.edge ->> 'to')) as t(target);
      if most is distinct from heaviest[i] then
        heaviest[i] := most;
        settled := false;
      end if;
    end loop;
  end loop;
  for i in 1 .. n - 1 loop
    following := following || (
      select t.target
      from jsonb_array_elements(machine #> array['states', (i - 1)::text, 'next']) with ordinality as e(edge, ord)
      cross join lateral (select array_position(names, e.edge ->> 'to')) as t(target)
      order by weights[t.target] + heaviest[t.target] desc, e.ord limit 1);
  end loop;
  for i in 1 .. n - 1 loop
    stage := names[i];
    median_seconds := paces[i];
    later_seconds := 0;
    here := following[i];
    while here < n loop
      later_seconds := later_seconds + paces[here];
      here := following[here];
    end loop;
    return next;
  end loop;
end
$$;

create or replace function bindery_internal.refresh_pace() returns boolean
language plpgsql security definer
set search_path = ''
as $$
declare
  -- The newest visits of a state that its median is of.
  newest constant integer := 50;
  moment constant timestamptz := bindery_internal.now();
  reading bindery_internal.pace_refresh;
  through bigint;
  moved record;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('bindery.stage_pace', 0)) then
    return false;
  end if;
  insert into bindery_internal.pace_refresh default values on conflict (only_row) do nothing;
  select r.* into reading from bindery_internal.pace_refresh r;
  if moment >= reading.refreshed_at and moment < reading.refreshed_at + interval '1 minute' then
    return false;
  end if;
  select max(e.id) into through from bindery.book_events e;

  for moved in
    with left_behind as materialized (
      select e.id, e.book_id, e.revision, e.from_status, e.to_status, e.at, b.pipeline, b.pipeline_version
      from bindery.book_events e join bindery.book_status b on b.book_id = e.book_id
      where e.id > greatest(reading.through_event - 1000, through - 50000) and e.id <= through
        and e.kind in ('transition', 'complete')
    ), edges as materialized (
      select p.name, p.version, s.state ->> 'name' as from_status, n.edge ->> 'to' as to_status
      from bindery.pipelines p, jsonb_array_elements(p.machine -> 'states') as s(state), jsonb_array_elements(s.state -> 'next') as n(edge)
      where exists (select from left_behind l where l.pipeline = p.name and l.pipeline_version = p.version)
    ), ranked as (
      select l.*, row_number() over (partition by l.pipeline, l.pipeline_version, l.from_status order by l.id desc) as place
      from left_behind l join edges e
        on (e.name, e.version, e.from_status, e.to_status) = (l.pipeline, l.pipeline_version, l.from_status, l.to_status)
    ), added as (
      insert into bindery_internal.stage_visits (pipeline, pipeline_version, stage, event_id, seconds)
      select r.pipeline, r.pipeline_version, r.from_status, r.id, greatest(extract(epoch from r.at - entered.at)::double precision, 0)
      from ranked r
      cross join lateral (
        select e.at from bindery.book_events e
        where e.book_id = r.book_id and e.revision < r.revision and e.to_status = r.from_status and e.kind <> 'resume'
        order by e.revision desc limit 1) as entered
      where r.place <= newest
      on conflict do nothing
      returning stage_visits.pipeline, stage_visits.pipeline_version
    )
    select a.pipeline, a.pipeline_version, p.machine
    from (select distinct d.pipeline, d.pipeline_version from added d) a
    join bindery.pipelines p on p.name = a.pipeline and p.version = a.pipeline_version
    order by a.pipeline, a.pipeline_version
  loop
    delete from bindery_internal.stage_visits v
    using (
      select o.stage, o.event_id, row_number() over (partition by o.stage order by o.event_id desc) as place
      from bindery_internal.stage_visits o
      where o.pipeline = moved.pipeline and o.pipeline_version = moved.pipeline_version) as old
    where v.pipeline = moved.pipeline and v.pipeline_version = moved.pipeline_version
      and v.stage = old.stage and v.event_id = old.event_id and old.place > newest;

    insert into bindery_internal.stage_pace as p
      (pipeline, pipeline_version, stage, median_seconds, later_seconds, samples, refreshed_at)
    with seen as (
      select v.stage, percentile_cont(0.5) within group (order by v.seconds) as median, count(*)::integer as samples
      from bindery_internal.stage_visits v
      where v.pipeline = moved.pipeline and v.pipeline_version = moved.pipeline_version
      group by v.stage)
    select moved.pipeline, moved.pipeline_version, o.stage, o.median_seconds, o.later_seconds, coalesce(s.samples, 0), moment
    from bindery_internal.pace_of(moved.machine, (select jsonb_object_agg(m.stage, m.median) from seen m)) o
    left join seen s on s.stage = o.stage
    on conflict (pipeline, pipeline_version, stage) do update
    set median_seconds = excluded.median_seconds, later_seconds = excluded.later_seconds, samples = excluded.samples,
        refreshed_at = excluded.refreshed_at;
  end loop;

  update bindery_internal.pace_refresh r
  set through_event = coalesce(greatest(through, reading.through_event), 0), refreshed_at = moment;
  return true;
end
$$;

comment on function bindery_internal.pace_of(jsonb, jsonb) is
  'For every state of a machine but the final one: its median, and the sum of those after it on the heaviest path; from {state: seconds}.
Of paths of the same weight the one listed first. A state of no weight without a median takes no time; a stage without one makes null.';
comment on function bindery_internal.refresh_pace() is
  'Reads the visits that ended since the last time, and works out the medians of their pipelines anew: true.
False where that was done within a minute, or is being done by another. Books take the new pace up at their next change.';

-- drop_dead_letters: deletes dead letters for good, by their ids; an operator's decision, where prune_dead_letters goes by age.
-- Invariants: only letters that are named go. Locks: skips letters that somebody else is deleting or replaying.
create or replace function bindery_internal.drop_dead_letters(ids bigint[]) returns integer
language plpgsql security definer
set search_path = ''
as $$
declare
  dropped integer;
begin
  if coalesce(cardinality(drop_dead_letters.ids), 0) not between 1 and 10000 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('ids', 'are not between 1 and 10,000', 'Name the letters to drop by their ids.'));
  end if;
  delete from bindery.dead_letters d
  where d.id in (select c.id from bindery.dead_letters c where c.id = any (drop_dead_letters.ids) order by c.id for update skip locked);
  get diagnostics dropped = row_count;
  return dropped;
end
$$;

create or replace function bindery.drop_dead_letters(ids bigint[]) returns integer
language plpgsql
set search_path = ''
as $$
begin
  return bindery_internal.drop_dead_letters(drop_dead_letters.ids);
end
$$;

comment on function bindery_internal.drop_dead_letters(bigint[]) is 'See bindery.drop_dead_letters.';
comment on function bindery.drop_dead_letters(bigint[]) is
  'Deletes these dead letters (1 to 10,000 ids) for good, and gives how many there were.
PT422 bad_input.';

-- sweep: what nobody else will do: a silent book is FAILED, and a FAILED book whose time has come goes on.
-- Invariants: one sweep at a time; silence counts only up to where every relay is known to have applied all that was sent; each act
-- stands in the history with who (sweep) and why. Locks: an advisory lock; then books one by one, skipping those somebody else has.
create or replace function bindery_internal.sweep(given timestamptz) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  clock constant timestamptz := bindery_internal.now();
  -- A moment that has not come would fail books for silence to be.
  moment constant timestamptz := case when bindery_internal.may_set_clock() then coalesce(given, clock) else least(given, clock) end;
  waiting_for jsonb;
  heard_until timestamptz;
  stalled integer := 0;
  resumed integer := 0;
  book record;
  refusal jsonb;
begin
  if not isfinite(moment) then
    perform bindery_internal.raise_error(bindery_internal.bad_input('now', 'is no moment', 'Give a time, or leave it out.'));
  elsif not pg_try_advisory_xact_lock(hashtextextended('bindery.sweep', 0)) then
    return jsonb_build_object('stalled', 0, 'resumed', 0, 'waiting_for', '[]'::jsonb);
  end if;
  perform set_config('bindery.actor', 'sweep', true);
  perform bindery_internal.refresh_pace();

  -- An event that waits in a stream is a sign of life that has not got here yet.
  select least(moment, min(c.caught_up_at)),
    coalesce(jsonb_agg(c.stream order by c.stream) filter (
      where c.holder is null or c.lease_expires_at <= clock or c.caught_up_at is null), '[]')
  into heard_until, waiting_for
  from bindery.relay_cursors c;

  for book in
    select b.book_id, b.status, b.heartbeat_at, s.stall_after
    from bindery.book_status b
    join bindery.pipelines p on p.name = b.pipeline and p.version = b.pipeline_version
    cross join lateral (
      select (bindery_internal.state_of(p.machine, b.status) ->> 'stall_after')::double precision as stall_after) s
    where b.completed_at is null and b.status not in ('FAILED', 'CANCELLED')
      and heard_until - b.heartbeat_at > s.stall_after * interval '1 second' and waiting_for = '[]'
    order by b.book_id
    for no key update of b skip locked
  loop
    -- What could not be failed does not count: it would keep the others out for ever.
    exit when stalled >= 500;
    -- One that raises (a trigger of somebody's own, say) holds up no other.
    begin
      refusal := bindery_internal.do_transition(book.book_id, 'FAILED',
        format('Nothing was heard of %s for more than %s.', book.status, book.stall_after * interval '1 second'),
        error => jsonb_build_object(
          'code', 'stalled', 'stage', book.status, 'stall_after', book.stall_after, 'heartbeat_at', book.heartbeat_at));
      stalled := stalled + case when refusal is null then 1 else 0 end;
    exception when assert_failure or others then
      raise warning 'Book % is silent, but could not be failed: % (SQLSTATE %).', book.book_id, sqlerrm, sqlstate;
    end;
  end loop;

  for book in
    select b.book_id, b.attempt, b.current_stage
    from bindery.book_status b
    where b.resume_at <= moment and b.status = 'FAILED'
    order by b.resume_at, b.book_id
    for no key update skip locked
  loop
    exit when resumed >= 500;
    begin
      refusal := bindery_internal.do_resume(book.book_id,
        message => format('Attempt %s at %s failed; its retry_after is over.', book.attempt, book.current_stage));
      resumed := resumed + case when refusal is null then 1 else 0 end;
    exception when assert_failure or others then
      raise warning 'Book % is due, but could not be resumed: % (SQLSTATE %).', book.book_id, sqlerrm, sqlstate;
    end;
  end loop;
  perform set_config('bindery.actor', '', true);
  return jsonb_build_object('stalled', stalled, 'resumed', resumed, 'waiting_for', waiting_for);
end
$$;

create or replace function bindery.sweep(now timestamptz default null) returns jsonb
language plpgsql
set search_path = ''
as $$
begin
  return bindery_internal.sweep(sweep.now);
end
$$;

comment on function bindery_internal.sweep(timestamptz) is 'See bindery.sweep.';
comment on function bindery.sweep(timestamptz) is
  'Fails books that have been silent for longer than their stage''s stall_after, and resumes FAILED ones that are due; up to 500 of each.
{stalled, resumed, waiting_for}. No book is called stalled while waiting_for names streams: their relay has no lease, or has never caught up; and silence counts only up to the moment to which every relay has caught up. Call it every few seconds (binderyd does); two at once: the second does nothing. now: the moment to judge by, the clock''s unless given (only the schema''s owner may name one that has not come). PT422 bad_input.';

-- Row-level security: a user reads the books it owns; the service reads all; the relay and anon no table.
-- Invariants: one permissive policy a role and action; the user's id is looked up once a statement.
-- Locks: none of ours.
drop policy if exists owner_reads_book on bindery.book_status;
create policy owner_reads_book on bindery.book_status for select to authenticated
  using (owner_id = (select bindery_internal.user_id()));
drop policy if exists owner_reads_progress on bindery.book_progress;
create policy owner_reads_progress on bindery.book_progress for select to authenticated
  using (exists (select from bindery.book_status b
    where b.book_id = book_progress.book_id and b.owner_id = (select bindery_internal.user_id())));
drop policy if exists owner_reads_history on bindery.book_events;
create policy owner_reads_history on bindery.book_events for select to authenticated
  using (exists (select from bindery.book_status b
    where b.book_id = book_events.book_id and b.owner_id = (select bindery_internal.user_id())));

drop policy if exists service_reads_pipelines on bindery.pipelines;
create policy service_reads_pipelines on bindery.pipelines for select to service_role using (true);
drop policy if exists service_reads_books on bindery.book_status;
create policy service_reads_books on bindery.book_status for select to service_role using (true);
drop policy if exists service_inserts_books on bindery.book_status;
create policy service_inserts_books on bindery.book_status for insert to service_role with check (true);
drop policy if exists service_updates_books on bindery.book_status;
create policy service_updates_books on bindery.book_status for update to service_role using (true) with check (true);
drop policy if exists service_reads_progress on bindery.book_progress;
create policy service_reads_progress on bindery.book_progress for select to service_role using (true);
drop policy if exists service_reads_history on bindery.book_events;
create policy service_reads_history on bindery.book_events for select to service_role using (true);
drop policy if exists service_reads_outbox on bindery.outbox;
create policy service_reads_outbox on bindery.outbox for select to service_role using (true);
drop policy if exists service_reads_cursors on bindery.relay_cursors;
create policy service_reads_cursors on bindery.relay_cursors for select to service_role using (true);
drop policy if exists service_reads_dead_letters on bindery.dead_letters;
create policy service_reads_dead_letters on bindery.dead_letters for select to service_role using (true);
drop policy if exists service_reads_settings on bindery.settings;
create policy service_reads_settings on bindery.settings for select to service_role using (true);
drop policy if exists service_updates_settings on bindery.settings;
create policy service_updates_settings on bindery.settings for update to service_role using (true) with check (true);

-- What only definer functions read: no row for anybody else, said aloud.
drop policy if exists nobody on bindery_internal.relays;
create policy nobody on bindery_internal.relays using (false);
drop policy if exists nobody on bindery_internal.forgotten_streams;
create policy nobody on bindery_internal.forgotten_streams using (false);
drop policy if exists nobody on bindery_internal.stage_visits;
create policy nobody on bindery_internal.stage_visits using (false);
drop policy if exists nobody on bindery_internal.stage_pace;
create policy nobody on bindery_internal.stage_pace using (false);
drop policy if exists nobody on bindery_internal.pace_refresh;
create policy nobody on bindery_internal.pace_refresh using (false);

-- Who may do what. Nothing is left to PUBLIC.
-- Invariants: writes go through functions; of plain writes the service has those that the triggers check.
-- Locks: none of ours.
revoke all on all tables in schema bindery from public, anon, authenticated, service_role, bindery_relay;
revoke all on all functions in schema bindery, bindery_internal from public, anon, authenticated, service_role, bindery_relay;

grant usage on schema bindery, bindery_internal, bindery_core to authenticated, service_role;
grant usage on schema bindery, bindery_internal to bindery_relay;
grant usage on schema bindery to anon;

grant select on bindery.book_status, bindery.book_progress, bindery.book_events to authenticated;
grant select on all tables in schema bindery to service_role;
grant insert (book_id, owner_id, title, pipeline, pipeline_version, status, metadata) on bindery.book_status to service_role;
grant update (owner_id, title, status, message, error, metadata) on bindery.book_status to service_role;
grant update (broadcast) on bindery.settings to service_role;

-- Reading, and what reading stands on.
grant execute on function
  bindery.get_book_status(uuid), bindery.get_resume_point(uuid), bindery.list_books(integer),
  bindery.status_at(uuid, timestamptz),
  bindery_internal.user_id(), bindery_internal.now(), bindery_internal.may_set_clock(), bindery_internal.machine(text, integer),
  bindery_internal.health(bindery.book_status, jsonb, timestamptz), bindery_internal.state_of(jsonb, text), bindery_internal.substep_rows(uuid, text, boolean),
  bindery_internal.kept(boolean, bindery.book_progress), bindery_internal.unknown_book(uuid),
  bindery_internal.error(text, text, text, text, jsonb), bindery_internal.raise_error(jsonb)
to authenticated, service_role;

-- Writing.
grant execute on function
  bindery.define_pipeline(text, jsonb), bindery_internal.define_pipeline(text, jsonb),
  bindery.register_book(uuid, uuid, text, text, jsonb), bindery_internal.do_register(uuid, uuid, text, text, jsonb),
  bindery.transition_book(uuid, text, text, bigint, integer), bindery_internal.do_transition(uuid, text, text, bigint, integer, jsonb, boolean, boolean),
  bindery.report_progress(uuid, text, double precision, double precision, double precision, text, text, jsonb, text, integer),
  bindery_internal.do_report(jsonb),
  bindery.plan_substeps(uuid, text, jsonb, bigint), bindery_internal.do_plan(uuid, text, jsonb, bigint),
  bindery.heartbeat(uuid, integer), bindery_internal.do_heartbeats(jsonb),
  bindery_internal.refused_report(text, uuid, text, text, integer),
  bindery.fail_book(uuid, jsonb, text, bigint, integer), bindery.cancel_book(uuid, text, bigint),
  bindery.resume_book(uuid, bigint), bindery_internal.do_resume(uuid, bigint, text),
  bindery.rewind_book(uuid, text, text, bigint), bindery_internal.do_rewind(uuid, text, text, bigint),
  bindery.prune_events(timestamptz, integer), bindery_internal.prune_events(timestamptz, integer)
to service_role;

-- Relaying.
grant execute on function
  bindery.acquire_stream(text, text, interval), bindery_internal.acquire_stream(text, text, interval),
  bindery.renew_stream(text, bigint, timestamptz), bindery_internal.renew_stream(text, bigint, timestamptz),
  bindery.note_stream(text, bigint, bigint, text, bigint, text), bindery_internal.note_stream(text, bigint, bigint, text, bigint, text),
  bindery.release_stream(text, bigint), bindery_internal.release_stream(text, bigint),
  bindery.announce_relay(text, text[], interval), bindery_internal.announce_relay(text, text[], interval),
  bindery.apply_events(text, bigint, text, jsonb), bindery_internal.apply_events(text, bigint, text, jsonb),
  bindery.take_outbox(integer), bindery_internal.take_outbox(integer),
  bindery.outbox_backlog(integer), bindery_internal.outbox_backlog(integer),
  bindery.dead_letter_reasons(text, text, integer), bindery_internal.dead_letter_reasons(text, text, integer),
  bindery.place_of_books(text, uuid[]), bindery_internal.place_of_books(text, uuid[]),
  bindery.sweep(timestamptz), bindery_internal.sweep(timestamptz)
to service_role, bindery_relay;

-- A stream that is no longer read.
grant execute on function bindery.forget_stream(text), bindery_internal.forget_stream(text) to service_role;
-- Pipelines as XState configs.
grant execute on function
  bindery.pipeline_xstate(text, integer), bindery_internal.latest_version(text), bindery_internal.xstate_node(jsonb),
  bindery_internal.xstate_edge(text, text, text), bindery_internal.unknown_pipeline(text, integer)
to authenticated, service_role;
-- Dead letters and retention.
grant execute on function
  bindery.replay_dead_letters(text, text, uuid, integer, bigint[]),
  bindery_internal.replay_dead_letters(text, text, uuid, integer, bigint[]),
  bindery.prune_dead_letters(timestamptz, integer), bindery_internal.prune_dead_letters(timestamptz, integer),
  bindery.drop_dead_letters(bigint[]), bindery_internal.drop_dead_letters(bigint[]),
  bindery.prune_outbox(timestamptz, integer), bindery_internal.prune_outbox(timestamptz, integer)
to service_role;
-- What is refused before a book is looked at.
grant execute on function bindery_internal.refused_attempt() to service_role;
grant execute on function
  bindery_internal.bad_input(text, text, text), bindery_internal.refused_text(text, text, integer)
to authenticated, service_role;

-- Who may call the kernel: the readers what reading stands on. Run again when a database goes to the other kernel.
-- Invariant: both kernels are open to the same callers; what the portable summarize calls runs with its caller's rights.
-- Locks: none of ours.
revoke all on all functions in schema bindery_core from public, anon, authenticated, service_role, bindery_relay;
grant execute on function bindery_core.summarize(jsonb, text, text, jsonb) to authenticated, service_role;

do $$
declare
  helper regprocedure;
begin
  for helper in
    select p.oid from pg_catalog.pg_proc p
    where p.pronamespace = 'bindery_core'::regnamespace
      and p.proname = any (array['refuse_null', 'refuse', 'as_double', 'product', 'quotient', 'total', 'label_of', 'is_machine',
        'state_named', 'current_state', 'states_before', 'is_rows', 'shown', 'mean_of_giants'])
  loop
    execute format('grant execute on function %s to authenticated, service_role', helper);
  end loop;
end
$$;

-- Membership in Supabase Realtime's publication, where there is one.
-- Invariants: Postgres Changes sees book_status; everything else is reached through it.
-- Locks: none of ours.
do $$
begin
  if exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime' and not puballtables)
     and not exists (select from pg_catalog.pg_publication_tables
                     where pubname = 'supabase_realtime' and schemaname = 'bindery' and tablename = 'book_status') then
    alter publication supabase_realtime add table bindery.book_status;
  end if;
exception when insufficient_privilege then
  raise warning 'book_status is not in the publication supabase_realtime: %. Its owner adds it: alter publication supabase_realtime add table bindery.book_status;', sqlerrm;
end
$$;

-- Who may join the private topics book:<book_id> and owner:<owner_id>, where Supabase Realtime is there.
-- Invariants: only a book's owner; the user's id is looked up once a statement. Locks: none of ours.
do $$
begin
  if to_regclass('realtime.messages') is null or to_regprocedure('realtime.topic()') is null then
    return;
  end if;
  drop policy if exists bindery_owner_joins on realtime.messages;
  create policy bindery_owner_joins on realtime.messages for select to authenticated
    using (extension = 'broadcast' and (
      (select realtime.topic()) = 'owner:' || (select bindery_internal.user_id())
      or exists (
        select from bindery.book_status b
        where b.owner_id = (select bindery_internal.user_id()) and 'book:' || b.book_id = (select realtime.topic()))));
exception when insufficient_privilege then
  raise warning 'No policy could be made on realtime.messages: %. Until its owner makes it (docs/supabase.md), nobody can join the private topics.', sqlerrm;
end
$$;

-- The pipeline comic, version 1: from a novel to a comic.
-- Invariants: the one of README.md; a change to it is a new version.
-- Locks: as define_pipeline.
select bindery.define_pipeline('comic', '{
  "states": [
    {"name": "UPLOADED", "label": "Uploaded"},
    {"name": "ANALYZING", "label": "Reading the book", "weight": 20,
     "stall_after": "2 minutes", "max_attempts": 3, "retry_after": "30 seconds",
     "substeps": [{"name": "extract_text"}, {"name": "detect_chapters"}, {"name": "analyze_characters", "weight": 2}]},
    {"name": "GENERATING_SCENES", "label": "Cutting scenes", "weight": 30,
     "stall_after": "5 minutes", "max_attempts": 3, "retry_after": "30 seconds",
     "substeps": [{"name": "split_scenes"}, {"name": "write_prompts"}]},
    {"name": "CREATING_ARTWORK", "label": "Drawing", "weight": 50,
     "stall_after": "10 minutes", "max_attempts": 3, "retry_after": "1 minute", "open_substeps": true},
    {"name": "COMPLETED", "label": "Completed"}
  ]
}');
notify pgrst, 'reload schema';

-- The pipeline illustrated_edition, version 1: from a novel to an edition with plates. Shows branches, rework and guards.
-- Invariants: the one of docs/pipelines.md; a change to it is a new version.
-- Locks: as define_pipeline.
select bindery.define_pipeline('illustrated_edition', '{
  "states": [
    {"name": "RECEIVED", "label": "Received"},
    {"name": "READING", "label": "Reading the book", "weight": 10,
     "stall_after": "2 minutes", "max_attempts": 3, "retry_after": "30 seconds",
     "substeps": [{"name": "extract_text"}, {"name": "choose_plates"}, {"name": "describe_characters", "weight": 2}]},
    {"name": "SKETCHING", "label": "Sketching", "weight": 20,
     "stall_after": "5 minutes", "max_attempts": 3, "retry_after": "1 minute", "open_substeps": true,
     "next": [{"to": "PAINTING", "guard": "substeps_complete"}]},
    {"name": "PAINTING", "label": "Painting", "weight": 40,
     "stall_after": "10 minutes", "max_attempts": 3, "retry_after": "1 minute", "open_substeps": true,
     "next": [{"to": "ART_REVIEW", "guard": "substeps_complete"}]},
    {"name": "ART_REVIEW", "label": "Reviewing the plates", "weight": 5,
     "stall_after": "5 minutes", "max_attempts": 3, "retry_after": "1 minute",
     "substeps": [{"name": "likeness", "label": "Are they the same people on every plate?"}, {"name": "style"}],
     "next": [{"to": "LETTERING", "guard": "attempts_left"}, {"to": "LAYOUT", "guard": "attempts_left"}, "EDITOR_CHECK"],
     "rework": ["PAINTING", "SKETCHING"]},
    {"name": "EDITOR_CHECK", "label": "With the editor", "weight": 5,
     "next": ["LETTERING", "LAYOUT"], "rework": ["PAINTING", "SKETCHING"]},
    {"name": "LETTERING", "label": "Lettering the plates", "weight": 10,
     "stall_after": "5 minutes", "max_attempts": 3, "retry_after": "30 seconds",
     "substeps": [{"name": "captions"}, {"name": "proofread"}],
     "next": [{"to": "LAYOUT", "guard": "substeps_complete"}]},
    {"name": "LAYOUT", "label": "Laying out the pages", "weight": 10,
     "stall_after": "5 minutes", "max_attempts": 3, "retry_after": "30 seconds"},
    {"name": "PUBLISHED", "label": "Published"}
  ]
}');

-- Which versions these are, for `binderyd migrate`.
create table if not exists bindery_internal.schema_history (
  version int4 primary key,
  name varchar(255),
  applied_on varchar(255),
  checksum varchar(255)
);
alter table bindery_internal.schema_history enable row level security;
drop policy if exists nobody on bindery_internal.schema_history;
create policy nobody on bindery_internal.schema_history using (false);
insert into bindery_internal.schema_history (version, name, applied_on, checksum) values
  (1, 'bindery', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '4837658892674064429'),
  (2, 'rules', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '10686141039853274892')
on conflict (version) do nothing;
