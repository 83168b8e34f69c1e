-- Bindery's schema, printed by `binderyd migration`. Do not edit it: print it again.

-- The portable kernel: the extension's functions in PL/pgSQL, for hosts that load no native code.
-- This file has the errors that they raise. Invariants: texts and numbers as in core/src, compared
-- by tests/tests/e2e/kernels.rs. No function here catches an exception: that takes a
-- subtransaction, which parallel workers refuse.
create schema if not exists bindery_core;

-- Every function checks its arguments itself: a STRICT one would return null, which means
-- "allowed". Stable, although all else is immutable, so that the planner does not evaluate it
-- early.
create or replace function bindery_core.refuse_null(argument text) returns void
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using errcode = '22004', message = argument || ' must not be null',
    hint = 'Pass the value; null does not stand for a default here.';
end
$$;

create or replace function bindery_core.refuse(argument text, problem text) returns void
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using errcode = '22023', message = argument || ': ' || problem,
    hint = 'Pass a machine as bindery_core.compile_pipeline returns it, '
      'and a status and stage of that pipeline.';
end
$$;

comment on function bindery_core.refuse_null(text) is
  'Raises 22004 for an argument that must not be null. argument: its name. Gives nothing.';
comment on function bindery_core.refuse(text, text) is
  'Raises 22023 for an argument of another form. argument: its name; problem: what is wrong with '
  'it. Gives nothing.';

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

-- Texts of faults and labels. Invariant: a value is described as core describes it: texts quoted as
-- in JSON, numbers as Rust writes a double.
create or replace function bindery_core.quoted(value text) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  quoted text := to_json(value)::text;
  hidden text;
begin
  -- Invisible characters: further controls, direction marks, joiners.
  for hidden in
    select distinct m.match[1]
    from regexp_matches(quoted, '[\u007F-\u009F\u200B-\u200F\u2028-\u202E\u2060-\u2069\uFEFF]',
      'g') as m(match)
  loop
    quoted := replace(quoted, hidden, '\u' || lpad(to_hex(ascii(hidden)), 4, '0'));
  end loop;
  return quoted;
end
$$;

create or replace function bindery_core.number_text(value jsonb) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
set extra_float_digits = 1
as $$
declare
  written constant text := value #>> '{}';
  number double precision;
  shortest text;
  digits text;
  -- How many digits are before the decimal point.
  point integer;
begin
  if strpos(written, '.') = 0
    and value::numeric between -9223372036854775808 and 18446744073709551615
  then
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

create or replace function bindery_core.describe(value jsonb) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
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
      return bindery_core.quoted(left(words, 40))
        || case when length(words) > 40 then ' and more' else '' end;
    else return value::text;
  end case;
end
$$;

-- GENERATING_SCENES gives "Generating scenes", extract_text "Extract text".
create or replace function bindery_core.label_of(name text) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if name is null then
    perform bindery_core.refuse_null('name');
  end if;
  return replace(upper(left(name, 1) collate "C") || lower(substr(name, 2) collate "C"), '_', ' ');
end
$$;

-- A, B or C.
create or replace function bindery_core.listed(names text[], conjunction text) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return concat_ws(' ' || conjunction || ' ',
    nullif(array_to_string(trim_array(names, 1), ', '), ''), names[cardinality(names)]);
end
$$;

comment on function bindery_core.quoted(text) is
  'A text as JSON writes it, with invisible characters escaped as well. No errors.';
comment on function bindery_core.number_text(jsonb) is
  'A JSON number as Rust writes it: whole ones as they are, others as the shortest double. '
  'Errors: 22003 beyond the range of doubles, which callers rule out.';
comment on function bindery_core.describe(jsonb) is
  'A JSON value in a few words, for the text of a fault. No errors.';
comment on function bindery_core.label_of(text) is
  'Returns the label that is made of a name: extract_text gives Extract text. Errors: 22004 for a '
  'null name.';
comment on function bindery_core.listed(text[], text) is
  'The names as a list: A, B or C. conjunction: the word before the last. No errors.';

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

-- The lists of a state: next, rework and substeps, each as far as it is valid, with its faults.
-- Invariant: faults are in the order of the text; core/src/definition/parse.rs in SQL.
create or replace function bindery_core.read_next(
  keys jsonb, path text, out next jsonb, out faults jsonb[]
)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
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
  faults := bindery_core.value_faults(jsonb_typeof(listed) = 'array', path || '.next',
    'an array of the states that may follow', listed);
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
          'expected the name of a state, or an object with to and guard, found '
            || bindery_core.describe(value));
    end case;
    if next @> jsonb_build_array(jsonb_build_object('to', target)) then
      faults := faults || bindery_core.fault(here, (target #>> '{}')
        || ' is listed already; a state has one edge to another');
    elsif target is not null then
      next := next || jsonb_build_object('to', target, 'guard', guard);
    end if;
  end loop;
end
$$;

create or replace function bindery_core.read_rework(
  keys jsonb, path text, out rework jsonb, out faults jsonb[]
)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  listed constant jsonb := keys -> 'rework';
  value jsonb;
  here text;
  found jsonb[];
begin
  rework := '[]';
  faults := bindery_core.value_faults(jsonb_typeof(listed) = 'array', path || '.rework',
    'an array of the names of earlier states', listed);
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

create or replace function bindery_core.read_substeps(
  keys jsonb, path text, out substeps jsonb, out faults jsonb[]
)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
set extra_float_digits = 1
as $$
declare
  listed constant jsonb := keys -> 'substeps';
  value jsonb;
  here text;
  found jsonb[];
  substep text;
  known text[] := '{}';
  weight double precision;
  sum double precision := 0;
  weights_known boolean := true;
begin
  substeps := '[]';
  faults := bindery_core.value_faults(jsonb_typeof(listed) = 'array', path || '.substeps',
    'an array of substeps', listed);
  if jsonb_typeof(listed) is distinct from 'array' then
    return;
  end if;
  if jsonb_array_length(listed) > 256 then
    faults := faults || bindery_core.fault(path || '.substeps',
      'expected up to 256 substeps, found ' || jsonb_array_length(listed));
  end if;
  for index in 0 .. jsonb_array_length(listed) - 1 loop
    value := listed -> index;
    here := format('%s.substeps[%s]', path, index);
    if jsonb_typeof(value) <> 'object' then
      faults := faults || bindery_core.fault(here, 'expected an object with the key substep, found '
        || bindery_core.describe(value));
      weights_known := false;
      continue;
    end if;
    faults := faults || bindery_core.unknown_key_faults(value, '{substep,label,weight}', here);
    found := bindery_core.name_faults(value -> 'substep', 'substep', here || '.substep');
    faults := faults || found;
    substep := case when found = '{}' then value ->> 'substep' else '' end;
    if substep = any (known) then
      faults := faults || bindery_core.fault(here || '.substep', substep
        || ' is the key of an earlier substep; keys are unique in a state');
    elsif substep <> '' then
      known := known || substep;
    end if;
    weight := case when coalesce(value -> 'weight', 'null') = 'null' then 1
      else bindery_core.weight_value(value -> 'weight') end;
    weights_known := weights_known and weight is not null;
    sum := sum + coalesce(weight, 0);
    faults := faults
      || bindery_core.value_faults(bindery_core.label_value(value -> 'label') is not null,
        here || '.label', 'a text of 1 to 200 characters', value -> 'label')
      || bindery_core.value_faults(weight is not null, here || '.weight',
        '0, or a number from 0.000000001 to 1000000000', value -> 'weight');
    substeps := substeps || jsonb_build_object('substep', substep, 'weight', weight,
      'label', coalesce(bindery_core.label_value(value -> 'label'),
        bindery_core.label_of(substep)));
  end loop;
  if listed <> '[]' and weights_known and sum <= 0 then
    faults := faults || bindery_core.fault(path || '.substeps',
      'expected at least one substep of a weight above 0');
  end if;
end
$$;

comment on function bindery_core.read_next(jsonb, text) is
  'Of a states keys, where it leads to: the edges that are fit for use, and the faults of the '
  'others. No errors.';
comment on function bindery_core.read_rework(jsonb, text) is
  'Of a states keys, where it leads back to: the names that are fit for use, and the faults of '
  'the others. No errors.';
comment on function bindery_core.read_substeps(jsonb, text) is
  'Of a states keys, its substeps: those that are fit for use, and the faults of the others. No '
  'errors.';

-- Builds a graph of the states: what each state leads to, whether the edges form a cycle, and
-- whether every path ends. Invariants: one bit a state, the first state's the lowest;
-- core/src/definition/graph.rs in SQL.
create or replace function bindery_core.closure(direct bigint[]) returns bigint[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
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
create or replace function bindery_core.cycle_through(
  start integer, direct bigint[]
) returns integer[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
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
      if direct[here] & (1::bigint << (ahead - 1)) <> 0
        and seen & (1::bigint << (ahead - 1)) = 0 then
        seen := seen | (1::bigint << (ahead - 1));
        came_from[ahead] := here;
        queue := queue || ahead;
      end if;
    end loop;
    at := at + 1;
  end loop;
end
$$;

create or replace function bindery_core.graph_faults(
  states jsonb[], direct bigint[], reach bigint[]
) returns jsonb[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  n constant integer := cardinality(states);
  names constant text[] := array(select s.state ->> 'name'
    from unnest(states) with ordinality as s(state, place) order by s.place);
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
        (select string_agg(names[c.state], ' -> ' order by c.place)
          from unnest(cycle || index) with ordinality as c(state, place))));
    end if;
    if index > 1 and reach[1] & (1::bigint << (index - 1)) = 0 then
      faults := faults || bindery_core.fault(path, format(
        '%s cannot be reached from %s, where every book begins', names[index], names[1]));
    end if;
    if index < n and direct[index] = 0 then
      faults := faults || bindery_core.fault(path || '.next',
        'expected at least one state that may follow; only the last state is final');
    elsif index < n and reach[index] & (1::bigint << (n - 1)) = 0 then
      faults := faults || bindery_core.fault(path || '.next',
        format('%s, the final state, cannot be reached from here', names[n]));
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
  'From what each state leads to directly, what it leads to at all; one bit a state, one entry a '
  'state. No errors.';
comment on function bindery_core.cycle_through(integer, bigint[]) is
  'A shortest way along forward edges from a state back to itself, without the return; asked only '
  'where there is one. No errors.';
comment on function bindery_core.graph_faults(jsonb[], bigint[], bigint[]) is
  'The faults of the graph that these states make: circles, ends, what cannot be reached. direct, '
  'reach: as for closure. No errors.';

-- Compiles a definition to a machine, or returns all of its faults: first those of single values in
-- the order of the text, then those of the graph. Invariants: core/src/definition in SQL; a faulty
-- value causes no further faults.

-- Reads one state of a definition. known: the parts that are valid for use by the graph, in the
-- keys named, weight_known, edges_known and has_next.
create or replace function bindery_core.read_state(
  value jsonb, path text, is_final boolean, earlier text[],
  out state jsonb, out known jsonb, out faults jsonb[]
)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
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
    'a number above 0 and a unit (seconds, minutes, hours or days), such as "30 seconds", '
    'up to 3650 days';
  name text := '';
  named boolean := false;
  next record;
  rework record;
  substeps record;
begin
  if is_object then
    faults := bindery_core.unknown_key_faults(keys,
      '{name,label,weight,next,rework,substeps,open_substeps,stall_after,max_attempts,retry_after}',
      path)
      || bindery_core.name_faults(keys -> 'name', 'state', path || '.name');
  else
    -- A value that is not a state is reported as such, without its missing parts.
    faults := array[bindery_core.fault(path, 'expected a state, an object with a name, found '
      || bindery_core.describe(value))];
  end if;
  if bindery_core.is_name(keys -> 'name', 'state') then
    name := keys ->> 'name';
    if name in ('FAILED', 'CANCELLED') then
      faults := faults || bindery_core.fault(path || '.name', name
        || ' is a state that every pipeline has; choose another name');
    elsif name = any (earlier) then
      faults := faults || bindery_core.fault(path || '.name', name
        || ' is the name of an earlier state; names are unique');
    else
      named := true;
    end if;
  end if;
  next := bindery_core.read_next(keys, path);
  rework := bindery_core.read_rework(keys, path);
  substeps := bindery_core.read_substeps(keys, path);
  faults := faults
    || bindery_core.value_faults(label is not null, path || '.label',
      'a text of 1 to 200 characters', keys -> 'label')
    || bindery_core.value_faults(weight is not null, path || '.weight',
      '0, or a number from 0.000000001 to 1000000000', keys -> 'weight')
    || next.faults || rework.faults || substeps.faults
    || bindery_core.value_faults(jsonb_typeof(keys -> 'open_substeps') = 'boolean',
      path || '.open_substeps', 'true or false', keys -> 'open_substeps')
    || bindery_core.value_faults(stall_after is not null, path || '.stall_after', duration,
      keys -> 'stall_after')
    || bindery_core.value_faults(max_attempts is not null, path || '.max_attempts',
      'a whole number from 1', keys -> 'max_attempts')
    || bindery_core.value_faults(retry_after is not null, path || '.retry_after', duration,
      keys -> 'retry_after');
  -- A book ends in the last state: it has no work and no next state.
  if is_final and weight > 0 then
    faults := faults || bindery_core.fault(path || '.weight',
      'the last state is final, no work is done in it: its weight is 0, or left out');
  end if;
  if is_final and substeps.substeps <> '[]' then
    faults := faults || bindery_core.fault(path || '.substeps',
      'the last state is final, no work is done in it: it has no substeps');
  end if;
  if is_final and keys -> 'open_substeps' = 'true' then
    faults := faults || bindery_core.fault(path || '.open_substeps',
      'the last state is final, no work is done in it: it has no substeps');
  end if;
  if is_final and next.next <> '[]' then
    faults := faults || bindery_core.fault(path || '.next',
      'the last state is final: nothing follows it');
  end if;
  if is_final and rework.rework <> '[]' then
    faults := faults || bindery_core.fault(path || '.rework',
      'the last state is final: nothing follows it');
  end if;
  known := jsonb_build_object('named', named,
    'weight_known', weight is not null or coalesce(keys -> 'weight', 'null') = 'null',
    'edges_known', is_object and next.faults = '{}' and rework.faults = '{}',
    'has_next', coalesce(keys -> 'next', 'null') <> 'null');
  state := jsonb_build_object('name', name, 'label', coalesce(label, bindery_core.label_of(name)),
    'weight', coalesce(weight, 0),
    'start', 0, 'final', is_final, 'next', next.next, 'rework', rework.rework,
    'substeps', substeps.substeps,
    'open_substeps', coalesce(keys -> 'open_substeps' = 'true', false),
    'stall_after', stall_after, 'max_attempts', max_attempts, 'retry_after', retry_after);
end
$$;

create or replace function bindery_core.compile_pipeline(definition jsonb) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
set extra_float_digits = 1
as $$
declare
  faults jsonb[];
  n integer;
  written record;
  states jsonb[] := '{}';
  -- The names by position; null for a name that cannot be referred to.
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
    or jsonb_path_exists(definition,
      'strict $.** ? (@.type() == "number" && (@ >= 1.7976931348623158079372897140530341507993e308
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
    || bindery_core.value_faults(jsonb_typeof(definition -> 'auto_advance') = 'boolean',
      '$.auto_advance', 'true or false', definition -> 'auto_advance');
  if jsonb_typeof(definition -> 'states') is distinct from 'array' then
    return jsonb_build_object('faults', faults || bindery_core.fault('$.states',
      coalesce('expected an array of states, found '
        || bindery_core.describe(definition -> 'states'),
        'is missing; expected an array of states')));
  end if;
  n := jsonb_array_length(definition -> 'states');
  fits := n between 2 and 64;
  if not fits then
    faults := faults || bindery_core.fault('$.states', 'expected 2 to 64 states, found ' || n);
  end if;

  for index in 1 .. n loop
    written := bindery_core.read_state(definition -> 'states' -> (index - 1),
      format('$.states[%s]', index - 1), index = n, earlier);
    faults := faults || written.faults;
    states := states || written.state;
    known := known || written.known;
    names := names || case when (written.known ->> 'named')::boolean
      then written.state ->> 'name' end;
    earlier := earlier || (written.state ->> 'name');
    all_weights_known := all_weights_known and (written.known ->> 'weight_known')::boolean;
    sum := sum + (written.state ->> 'weight')::double precision;
    fits := fits and (written.known ->> 'named')::boolean
      and (written.known ->> 'edges_known')::boolean;
  end loop;
  -- A state without next leads to the one below it.
  for index in 1 .. n - 1 loop
    if not (known[index] ->> 'has_next')::boolean and names[index + 1] is not null then
      states[index] := jsonb_set(states[index], '{next}',
        jsonb_build_array(jsonb_build_object('to', names[index + 1], 'guard', null)));
    end if;
  end loop;
  for edge in
    select s.place, leads.key, leads.target
    from unnest(states) with ordinality as s(state, place)
    cross join lateral (
      select 'next' as key, e.value ->> 'to' as target, e.at
      from jsonb_array_elements(s.state -> 'next') with ordinality as e(value, at)
      union all
      select 'rework', r.value, r.at
      from jsonb_array_elements_text(s.state -> 'rework') with ordinality as r(value, at)
    ) as leads
    where (leads.target = any (names)) is not true
    order by s.place, leads.key, leads.at
  loop
    dangling := dangling || bindery_core.fault(format('$.states[%s].%s', edge.place - 1, edge.key),
      edge.target || ' is no state of this pipeline');
  end loop;
  faults := faults || dangling;
  if n > 0 and all_weights_known and sum <= 0 then
    faults := faults || bindery_core.fault('$.states',
      'expected at least one state of a weight above 0');
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

  -- The heaviest weight that can lie before each state. A state has more states ahead of it than
  -- any state ahead of it has.
  starts := array_fill(0::double precision, array[n]);
  weights := array(select (s.state ->> 'weight')::double precision
    from unnest(states) with ordinality as s(state, place) order by s.place);
  for here in
    select r.place from unnest(reach) with ordinality as r(bits, place)
    order by bit_count(r.bits::bit(64)) desc, r.place
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
  return jsonb_build_object('machine',
    jsonb_build_object('states', states, 'total_weight', starts[n],
    'auto_advance', coalesce(definition -> 'auto_advance' = 'true', false)));
end
$$;

comment on function bindery_core.read_state(jsonb, text, boolean, text[]) is
  'A state as it was written: what of it is fit for use, what of that the graph may rely on, and '
  'its faults. earlier: the names above it. No errors.';
comment on function bindery_core.compile_pipeline(jsonb) is
  'Compiles the definition of a pipeline. Returns {"machine": ...}, or {"faults": [{"path", '
  '"problem"}]} with every fault of the definition and its JSON path. Errors: 22004 for a null '
  'definition.';

-- Reads a compiled machine: its form, its states, and their edges. Invariant: accepts the same
-- machines as core/src/machine.rs, which reads and writes the JSON.
create or replace function bindery_core.is_machine(machine jsonb) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  names jsonb;
  targets jsonb;
  settled jsonb := '[]';
  found jsonb;
begin
  -- Beyond these bounds, rounding to a double gives infinity or 0. A path also looks into arrays,
  -- so each type is checked separately.
  if jsonb_typeof(machine) <> 'object'
    or machine @@ '$.total_weight.type() == "number" && $.total_weight > 2.4703282292062327e-324
      && $.total_weight < 1.7976931348623158079372897140530341507993e308
      && $.auto_advance.type() == "boolean"
      && $.states.type() == "array" && $.states.size() >= 2 && $.states.size() <= 64
      && !exists($.states[*].type() ? (@ != "object"))
      && !exists($.states[*] ? (!(@.name.type() == "string" && @.label.type() == "string"
        && @.weight.type() == "number" && @.weight >= -2.4703282292062327e-324
        && @.weight < 1.7976931348623158079372897140530341507993e308
        && @.start.type() == "number" && @.start >= -2.4703282292062327e-324
        && @.start < 1.7976931348623158079372897140530341507993e308
        && @.final.type() == "boolean" && @.open_substeps.type() == "boolean"
        && @.next.type() == "array" && @.rework.type() == "array" && @.substeps.type() == "array"
        && !exists(@.stall_after.type() ? (@ != "number" && @ != "null"))
        && !exists(@.retry_after.type() ? (@ != "number" && @ != "null"))
        && !exists(@.max_attempts.type() ? (@ != "number" && @ != "null")))
        || @.max_attempts < -2147483648 || @.max_attempts > 2147483647
        || exists(@.max_attempts ? (@ != null && @.floor() != @
          && (@ > 2.4703282292062327e-324 || @ <= -2.4703282292062327e-324)))
        || @.stall_after >= 1.7976931348623158079372897140530341507993e308
        || @.stall_after <= -1.7976931348623158079372897140530341507993e308
        || @.retry_after >= 1.7976931348623158079372897140530341507993e308
        || @.retry_after <= -1.7976931348623158079372897140530341507993e308))
      && !exists($.states[*].rework[*].type() ? (@ != "string"))
      && !exists($.states[*].next[*].type() ? (@ != "object"))
      && !exists($.states[*].next[*] ? (!(@.to.type() == "string")))
      && !exists($.states[*].next[*].guard.type() ? (@ != "string" && @ != "null"))
      && !exists($.states[*].substeps[*].type() ? (@ != "object"))
      && !exists($.states[*].substeps[*] ? (!(@.substep.type() == "string"
        && @.label.type() == "string" && @.weight.type() == "number"
        && @.weight >= -2.4703282292062327e-324
        && @.weight < 1.7976931348623158079372897140530341507993e308)))
      && $.states[last].final == true && !exists($.states[last].next[*])
      && !exists($.states[0 to last - 1] ? (@.final == true || !exists(@.next[*])))' is not true
  then
    return false;
  end if;
  names := jsonb_path_query_array(machine, '$.states[*].name');
  targets := jsonb_path_query_array(machine, '$.states[*].next[*].to');
  if not (jsonb_path_query_array(machine, '$.states[*].rework[*]') || targets) <@ names
    or (select count(distinct t.name)
      from jsonb_array_elements_text(names) as t(name) where t.name not in ('FAILED', 'CANCELLED'))
      <> jsonb_array_length(names)
  then
    return false;
  end if;
  -- Most pipelines are linear. In others a state is settled once all its next states are; a state
  -- in a cycle never is.
  while targets <> names - 0 and settled <> names loop
    found := jsonb_path_query_array(machine,
      '$.states[*] ? (!exists(@.next[*] ? (!(@.to == $settled[*])))).name',
      jsonb_build_object('settled', settled));
    if found = settled then
      return false;
    end if;
    settled := found;
  end loop;
  return true;
end
$$;

create or replace function bindery_core.state_named(machine jsonb, name text) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_path_query_first(machine, '$.states[*] ? (@.name == $name)',
    jsonb_build_object('name', name));
end
$$;

-- The state a book is in or, once halted, was last in; null if the state is final or not in the
-- machine.
create or replace function bindery_core.current_state(
  machine jsonb, status text, stage text
) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
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

-- The state that a book which is neither complete nor CANCELLED is in or, once FAILED, was last in.
create or replace function bindery_core.state_at_work(
  machine jsonb, status text, stage text
) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  state constant jsonb := case
    when status = 'FAILED' then bindery_core.current_state(machine, status, stage)
    else bindery_core.state_named(machine, status)
  end;
begin
  return case when state ->> 'final' = 'false' then state end;
end
$$;

create or replace function bindery_core.reaches(
  machine jsonb, from_state text, to_state text
) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  names jsonb := jsonb_build_array(from_state);
begin
  for step in 1 .. 64 loop
    names := jsonb_path_query_array(machine, '$.states[*] ? (@.name == $names[*]).next[*].to',
      jsonb_build_object('names', names));
    if names ? to_state or names = '[]' then
      return names <> '[]';
    end if;
  end loop;
  return false;
end
$$;

-- The states from which a state can be reached, in the machine's order.
create or replace function bindery_core.states_before(machine jsonb, name text) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
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
  'Whether this is a compiled pipeline: its form, its names, where its edges lead, and that they '
  'form no circle. No errors.';
comment on function bindery_core.state_named(jsonb, text) is
  'The state of this name in a machine; null where there is none. No errors.';
comment on function bindery_core.current_state(jsonb, text, text) is
  'The state of a machine that a book of this status is in or, once halted or complete, was last '
  'in (stage; null: see status); null where that is none that work is done in. No errors.';
comment on function bindery_core.state_at_work(jsonb, text, text) is
  'Returns the state in which work on a book of this status continues; null for a complete or '
  'CANCELLED book. No errors.';
comment on function bindery_core.reaches(jsonb, text, text) is
  'Whether forward edges of a machine lead from one state to the other. No errors.';
comment on function bindery_core.states_before(jsonb, text) is
  'The names of the states of a machine from which this one is reached, in its order, as a JSON '
  'array. No errors.';

-- The statuses that may follow a status, without guards; and the targets of a rewind. Invariant:
-- the order is forward, back, then FAILED and CANCELLED; for a rewind the states before, then the
-- one it failed in; core/src/transition.rs in SQL.
create or replace function bindery_core.following(
  machine jsonb, status text, stage text
) returns text[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  state jsonb;
begin
  if status = 'FAILED' then
    -- If the stage is not a state of this pipeline, there is no state to resume to.
    return array_remove(array[bindery_core.current_state(machine, status, stage) ->> 'name',
      'CANCELLED'], null);
  end if;
  state := bindery_core.state_named(machine, status);
  if (state ->> 'final')::boolean is not false then
    return '{}';
  end if;
  return array(select jsonb_array_elements_text(jsonb_path_query_array(state, '$.next[*].to')
    || (state -> 'rework')))
    || array['FAILED', 'CANCELLED'];
end
$$;

create or replace function bindery_core.next_statuses(
  machine jsonb, status text, stage text
) returns text[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
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

create or replace function bindery_core.earlier(
  machine jsonb, status text, stage text
) returns text[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  state constant text := bindery_core.state_at_work(machine, status, stage) ->> 'name';
begin
  if state is null then
    return '{}';
  end if;
  return array(select jsonb_array_elements_text(bindery_core.states_before(machine, state)))
    || case when status = 'FAILED' then array[state] end;
end
$$;

create or replace function bindery_core.rewind_targets(
  machine jsonb, status text, stage text
) returns text[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
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
  'Returns the statuses that may follow, guards aside: forward, back by rework, then FAILED and '
  'CANCELLED; none for a complete or CANCELLED book. machine: as compile_pipeline gives it. '
  'status, stage: the book''s; stage is the state that a halted book was last in, null for the '
  'initial one. Errors: 22004 for a null machine or status, 22023 for a machine of another form.';
comment on function bindery_core.earlier(jsonb, text, text) is
  'rewind_targets, of arguments that were looked at. No errors.';
comment on function bindery_core.rewind_targets(jsonb, text, text) is
  'Returns the states that an operator may take a book back to: those before its own, in the '
  'order of the pipeline, then for a FAILED book the one it failed in; none for a complete or '
  'CANCELLED book. machine: as compile_pipeline gives it. status, stage: the book''s; stage is '
  'the state that a halted book was last in, null for the initial one. Errors: 22004 for a null '
  'machine or status, 22023 for a machine of another form.';

-- Why a book may not change to a status, for people; null if it may. Invariant: a missing fact
-- counts as false; core/src/transition.rs in SQL.
create or replace function bindery_core.unmet_guard(
  status text, edge jsonb, facts jsonb
) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  guard constant text := edge ->> 'guard';
  holds constant text := case when guard in ('substeps_complete', 'attempts_left') then facts
    else facts -> 'guards' end ->> guard;
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

create or replace function bindery_core.is_facts(facts jsonb) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The paths below would also look into an array of facts.
  return jsonb_typeof(facts) = 'object'
    and not facts @@ 'exists($.substeps_complete.type() ? (@ != "boolean" && @ != "null"))
    || exists($.attempts_left.type() ? (@ != "boolean" && @ != "null"))
    || exists($.rewind.type() ? (@ != "boolean" && @ != "null"))
    || exists($.guards.type() ? (@ != "object" && @ != "null"))
    || exists($.guards.*.type() ? (@ != "boolean"))';
end
$$;

-- The error of a rewind, if the book is in a state of its pipeline that is not final.
create or replace function bindery_core.rewind_error(
  status text, target text, states text[], allowed text[]
) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
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

-- Stable, like the functions that it calls, so that the planner does not evaluate it early.
create or replace function bindery_core.check_transition(
  machine jsonb, status text, target text, facts jsonb
) returns void
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if not bindery_core.is_facts(facts) then
    perform bindery_core.refuse('facts',
      'expected an object of booleans, with guards as another one');
  elsif machine is null then
    perform bindery_core.refuse_null('machine');
  elsif not bindery_core.is_machine(machine) then
    perform bindery_core.refuse('machine', 'this is not a compiled pipeline');
  elsif status is null then
    perform bindery_core.refuse_null('status');
  elsif target is null then
    perform bindery_core.refuse_null('target');
  end if;
end
$$;

create or replace function bindery_core.transition_problem(
  machine jsonb, status text, stage text, target text, facts jsonb
) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  states text[];
  allowed text[];
begin
  if (facts ->> 'rewind')::boolean is not true then
    allowed := bindery_core.following(machine, status, stage);
    if target = any (allowed) then
      return bindery_core.unmet_guard(status,
        jsonb_path_query_first(bindery_core.state_named(machine, status),
        '$.next[*] ? (@.to == $target)', jsonb_build_object('target', target)), facts);
    end if;
  end if;
  states := array(select jsonb_path_query(machine, '$.states[*].name') #>> '{}')
    || array['FAILED', 'CANCELLED'];
  if status <> all (states) then
    return format('This pipeline has no state %s; its states are %s.', status,
      bindery_core.listed(states, 'and'));
  elsif status in ('CANCELLED', machine #>> '{states,-1,name}') then
    return format('%s is final; nothing follows it.', status);
  elsif allowed is null then
    return bindery_core.rewind_error(status, target, states,
      bindery_core.earlier(machine, status, stage));
  end if;
  return format(case
      when target = status then 'A book in %1$s is already in %1$s'
      when target = any (states) then 'A book in %1$s cannot go to %2$s'
      else 'This pipeline has no state %2$s'
    end || '; from %1$s it may go to %3$s.', status, target, bindery_core.listed(allowed, 'or'));
end
$$;

create or replace function bindery_core.transition_error(
  machine jsonb, status text, stage text, target text, facts jsonb
) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  perform bindery_core.check_transition(machine, status, target, facts);
  return bindery_core.transition_problem(machine, status, stage, target, facts);
end
$$;

comment on function bindery_core.unmet_guard(text, jsonb, jsonb) is
  'Why the guard of an edge from this status does not hold, by these facts; null where it does, '
  'or there is none. No errors.';
comment on function bindery_core.is_facts(jsonb) is
  'Whether this is what transition_error takes as facts; null for null. No errors.';
comment on function bindery_core.check_transition(jsonb, text, text, jsonb) is
  'Checks the arguments of transition_error and the verdicts. Errors: as for transition_error.';
comment on function bindery_core.transition_problem(jsonb, text, text, text, jsonb) is
  'Returns what transition_error returns, of arguments that were checked. No errors.';
comment on function bindery_core.rewind_error(text, text, text[], text[]) is
  'Why a book of this status may not be rewound to target; null where it may. states: all of the '
  'pipeline; allowed: as rewind_targets gives them. No errors.';
comment on function bindery_core.transition_error(jsonb, text, text, text, jsonb) is
  'Returns why a book may not change its status, in a sentence that names what is allowed; null '
  'where it may. machine: as compile_pipeline gives it. status, stage: the book''s; stage is the '
  'state that a halted book was last in, null for the initial one. target: the new status. facts: '
  '{"substeps_complete", "attempts_left", "guards": {NAME: boolean}}, where a missing fact does '
  'not hold; "rewind": true for an operator''s step back, which follows rewind_targets and asks '
  'no guard; null for no facts. Errors: 22004 for a null machine, status or target, 22023 for a '
  'machine or facts of another form.';

-- The verdict on an event that requests another status: none, accept, early, stale or illegal.
-- Invariant: core/src/transition.rs in SQL, question by question.
create or replace function bindery_core.edge_to(machine jsonb, status text, target text)
returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_path_query_first(bindery_core.state_named(machine, status),
    '$.next[*] ? (@.to == $target)', jsonb_build_object('target', target));
end
$$;

-- The verdict on a target that is not allowed now, by its position relative to the book's stage.
create or replace function bindery_core.verdict_by_place(
  machine jsonb, status text, stage text, target text
) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  current text;
begin
  if status in ('CANCELLED', machine #>> '{states,-1,name}') then
    return case
      when target in ('FAILED', 'CANCELLED')
        or bindery_core.state_named(machine, target) is not null then 'stale'
      else 'illegal'
    end;
  end if;
  current := bindery_core.state_at_work(machine, status, stage) ->> 'name';
  return case
    when current is null then 'illegal'
    when bindery_core.reaches(machine, current, target) then 'early'
    when bindery_core.reaches(machine, target, current) then 'stale'
    else 'illegal'
  end;
end
$$;

create or replace function bindery_core.transition_verdict(
  machine jsonb, status text, stage text, target text, facts jsonb
) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  edge jsonb;
begin
  perform bindery_core.check_transition(machine, status, target, facts);
  if status = target then
    return 'none';
  elsif bindery_core.transition_problem(machine, status, stage, target, facts) is null then
    return 'accept';
  end if;
  edge := bindery_core.edge_to(machine, status, target);
  return case
    when edge is not null and edge ->> 'guard' is distinct from 'substeps_complete' then 'illegal'
    else bindery_core.verdict_by_place(machine, status, stage, target)
  end;
end
$$;

create or replace function bindery_core.begin_verdict(
  machine jsonb, status text, stage text, target text, facts jsonb
) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  edge jsonb;
begin
  perform bindery_core.check_transition(machine, status, target, facts);
  if bindery_core.state_named(machine, target) ->> 'final' is distinct from 'false' then
    return 'illegal';
  elsif status = target then
    return 'none';
  end if;
  edge := bindery_core.edge_to(machine, status, target);
  return case
    when status = 'FAILED'
      and bindery_core.current_state(machine, status, stage) ->> 'name' = target then 'accept'
    when edge is not null
      and bindery_core.unmet_guard(status, edge, facts) is null then 'accept'
    else bindery_core.verdict_by_place(machine, status, stage, target)
  end;
end
$$;

comment on function bindery_core.edge_to(jsonb, text, text) is
  'Returns the forward edge from one state of a machine to another; null where there is none. '
  'No errors.';
comment on function bindery_core.verdict_by_place(jsonb, text, text, text) is
  'Returns the verdict on a target that is not allowed now: early, stale or illegal. No errors.';
comment on function bindery_core.transition_verdict(jsonb, text, text, text, jsonb) is
  'Returns what becomes of a transition event: none (the book has that status already), accept '
  '(transition_error allows it), early (forward edges lead to target from the book''s stage, so a '
  'later change can make it applicable), stale (target lies before the book''s stage, or the book '
  'is complete or CANCELLED) or illegal. A direct edge whose guard does not hold is early only if '
  'the guard is substeps_complete. Arguments and errors: as for transition_error.';
comment on function bindery_core.begin_verdict(jsonb, text, text, text, jsonb) is
  'Returns what becomes of an event by which a worker begins the state target: none (the book is '
  'in it), accept (the book FAILED in it, or a forward edge whose guard holds leads to it), early '
  '(forward edges lead to it from the book''s stage), stale (it lies before the book''s stage, or '
  'the book is complete or CANCELLED) or illegal (it is no state of the pipeline, the final one, '
  'or not connected). Arguments and errors: as for transition_error.';

-- The verdict on a progress report: accept, stale, advance, or the code of the error.
-- Invariant: core/src/report.rs in SQL, question by question.
create or replace function bindery_core.takes_substep(state jsonb, substep text) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return (state ->> 'open_substeps')::boolean
    or state -> 'substeps' = '[]' and substep = 'all'
    or jsonb_path_exists(state, '$.substeps[*] ? (@.substep == $substep)',
      jsonb_build_object('substep', substep));
end
$$;

create or replace function bindery_core.report_verdict(
  machine jsonb, status text, stage text, attempt integer, report_stage text, substep text,
  report_attempt integer, planned boolean,
  last_attempt integer default null)
returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  is_over boolean;
  may_come boolean;
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
    -- A complete book without a given last stage may have ended in any of them; the report is stale
    -- in every case.
    current := machine #> '{states,0}';
  end if;
  reported := case when report_stage is null then current
    else bindery_core.state_named(machine, report_stage) end;
  if current is null or reported is null
    or (reported ->> 'final')::boolean and report_stage is not null
  then
    return 'unknown_stage';
  end if;

  -- A FAILED book may still reach later stages; every other halt is final.
  may_come := status = 'FAILED' and reported -> 'name' <> current -> 'name'
    and bindery_core.reaches(machine, current ->> 'name', reported ->> 'name');
  if reported -> 'name' = current -> 'name' or (is_over and not may_come) then
    if report_attempt > attempt then
      return 'attempt_ahead';
    elsif is_over or report_attempt < attempt then
      return 'stale';
    end if;
  elsif bindery_core.reaches(machine, reported ->> 'name', current ->> 'name') then
    return 'stale';
  elsif report_attempt <= coalesce(last_attempt, 0) then
    -- A late report of an earlier attempt: the book's next attempt there is its last plus one.
    return 'stale';
  elsif may_come or not (machine ->> 'auto_advance')::boolean or not jsonb_path_exists(current,
      '$.next[*] ? (@.to == $to && (!exists(@.guard) || @.guard == null))',
      jsonb_build_object('to', reported -> 'name')) then
    return 'stage_not_reached';
  elsif report_attempt > coalesce(last_attempt, 0)::bigint + 1 then
    return 'attempt_ahead';
  else
    verdict := 'advance';
  end if;
  return case when planned or bindery_core.takes_substep(reported, coalesce(substep, 'all'))
    then verdict else 'unknown_substep' end;
end
$$;

comment on function bindery_core.takes_substep(jsonb, text) is
  'Whether a state takes reports on this substep without a book having planned it. No errors.';
comment on function bindery_core.report_verdict(
  jsonb, text, text,
  integer, text, text, integer, boolean, integer) is
  'Returns what becomes of a progress report: accept, stale (from an earlier attempt or a stage '
  'already left: no effect), advance (it takes the book to its stage first), or the code of the '
  'refusal: unknown_stage, stage_not_reached, unknown_substep, attempt_ahead. machine: as '
  'compile_pipeline gives it. status, stage: the book''s; stage is the state that a halted book '
  'was last in, null for the initial one. attempt: the book''s. report_stage, substep, '
  'report_attempt: the report''s, null where it names none. planned: whether the book itself has '
  'the substep. last_attempt: the highest attempt that the book ever had at report_stage, null '
  'where it never was there or is there now. Errors: 22004 for a null machine, status, attempt or '
  'planned, 22023 for a machine of another form.';

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

-- The stages of a pipeline and a book's place among them.
-- Invariant: core/src/progress.rs in SQL. States of weight 0 are not stages.
create or replace function bindery_core.stage_list(
  machine jsonb, status text, stage text, stage_progress double precision
) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
set extra_float_digits = 1
as $$
declare
  complete boolean;
  current text;
  before jsonb;
begin
  if machine is null then
    perform bindery_core.refuse_null('machine');
  elsif not bindery_core.is_machine(machine) then
    perform bindery_core.refuse('machine', 'this is not a compiled pipeline');
  elsif status is null then
    perform bindery_core.refuse_null('status');
  elsif stage_progress is null then
    perform bindery_core.refuse_null('stage_progress');
  end if;
  complete := status = machine #>> '{states,-1,name}';
  if not complete and status not in ('FAILED', 'CANCELLED')
    and bindery_core.state_named(machine, status) is null
  then
    perform bindery_core.refuse('stage', 'this pipeline has no state ' || status);
  end if;
  current := bindery_core.current_state(machine, status, stage) ->> 'name';
  if current is null and not complete then
    perform bindery_core.refuse('stage', 'this pipeline has no stage ' || coalesce(stage, status));
  end if;
  before := case when not complete then bindery_core.states_before(machine, current) end;
  return (
    select coalesce(jsonb_agg(jsonb_build_object('name', s.name, 'label', s.label,
      'weight', s.weight, 'state', s.stands, 'progress', case s.stands
        when 'done' then 100
        when 'pending' then 0
        else greatest(least(stage_progress, 100), 0)
      end) order by s.place), '[]')
    from (
      select listed.state ->> 'name' as name, listed.state -> 'label' as label,
        bindery_core.as_double(listed.state -> 'weight') as weight, listed.place, case
          when complete then 'done'
          when listed.state ->> 'name' = current then
            case status when 'FAILED' then 'failed' when 'CANCELLED' then 'cancelled'
              else 'active' end
          when before ? (listed.state ->> 'name') then 'done'
          else 'pending'
        end as stands
      from jsonb_array_elements(machine -> 'states') with ordinality as listed(state, place)
      where listed.state -> 'weight' <> '0'
    ) as s);
end
$$;

comment on function bindery_core.stage_list(jsonb, text, text, double precision) is
  'Returns the stages of the pipeline in its order: [{"name", "label", "weight", "state": done | '
  'active | pending | failed | cancelled, "progress"}]. machine: as compile_pipeline gives it. '
  'status, stage: the book''s; stage is the state that a halted book was last in, null for the '
  'initial one. stage_progress: the percent of the current stage. Errors: 22004 for a null '
  'machine, status or stage_progress, 22023 for a machine of another form, or a status or stage '
  'that the pipeline does not have.';

comment on schema bindery_core is 'Bindery''s rules: the portable kernel 17407171246102714444.';

-- The schema version 1 begins.
-- The roles that Supabase has (anon, authenticated, service_role), bindery_relay, bindery_worker
-- (the role of workers' tokens), and bindery_guard (the role as which guards that are SQL functions
-- run), each created if it is missing.
-- Invariant: no role made here can log in; an operator grants bindery_relay to the daemon's own
-- login role. PostgREST's login, if it is Supabase's, may act as bindery_worker.
do $$
declare
  wanted text;
begin
  foreach wanted in array array['anon', 'authenticated', 'service_role', 'bindery_relay',
    'bindery_worker', 'bindery_guard'] loop
    if to_regrole(wanted) is null then
      begin
        execute format('create role %I nologin noinherit', wanted);
      exception when duplicate_object or unique_violation then
        -- Roles belong to the server: a migration of another of its databases created it just now.
        null;
      end;
    end if;
  end loop;
  if to_regrole('authenticator') is not null
    and not pg_has_role('authenticator', 'bindery_worker', 'member')
  then
    begin
      grant bindery_worker to authenticator;
    exception when insufficient_privilege then
      raise warning 'bindery_worker is not granted to authenticator: PostgREST takes no token of '
        'workers.';
    end;
  end if;
end
$$;

-- bindery is the exposed API; bindery_internal is its implementation (triggers, definers, helpers).
-- Invariant: bindery_core (the kernel) is created by the extension or by sql/kernel, never here.
create schema if not exists bindery;
create schema if not exists bindery_internal;

comment on schema bindery is
  'Bindery: the status and progress of books in the making. Tables to read, functions to call.';
comment on schema bindery_internal is
  'What schema bindery stands on: triggers, definer functions, helpers. Not an API.';

-- The only clock: wall time, or the value that the schema's owner set in bindery.now, so that tests
-- need no sleep.
-- Invariant: all code in bindery takes the time from here; no other role's setting moves a lease or
-- a heartbeat.
create or replace function bindery_internal.may_set_clock() returns boolean
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Checks the session's own user; SET ROLE and definer functions do not change it.
  return pg_has_role(session_user, (select n.nspowner from pg_catalog.pg_namespace n
    where n.nspname = 'bindery_internal'), 'member');
end
$$;

create or replace function bindery_internal.now() returns timestamptz
language plpgsql volatile parallel safe
set search_path = pg_catalog, pg_temp
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

comment on function bindery_internal.may_set_clock() is
  'Whether the session belongs to the schema''s owner, or to a superuser: who may set its '
  'clock.';
comment on function bindery_internal.now() is
  'Wall time (not the transaction''s start: a call may have waited for a lock), or the setting '
  'bindery.now where the schema''s owner has set it.';

-- Errors are values until they are raised: the relay stores as a dead letter the same value that an
-- API call raises.
-- Invariant: every error of this schema has a SQLSTATE, a message for people, a JSON detail with a
-- code, and a hint.
create or replace function bindery_internal.error(
  sqlstate text, code text, message text, hint text, detail jsonb default '{}'
) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'sqlstate', sqlstate, 'code', code, 'message', message, 'hint', hint,
    'detail', jsonb_build_object('code', code) || detail);
$$;

create or replace function bindery_internal.raise_error(error jsonb) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Raises nothing for null (no error) and for stale, which is an outcome, not an error.
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

-- The errors that more than one function gives, each defined once.
-- Invariant: PT404 unknown, PT409 conflict, PT422 bad input (PostgREST answers with that HTTP
-- status).
create or replace function bindery_internal.unknown_book(book_id uuid) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.error('PT404', 'unknown_book',
    format('There is no book %s.', coalesce(book_id::text, '(null)')),
    'Register it first with bindery.register_book, or check the id and who is asking.',
    jsonb_build_object('book_id', book_id));
$$;

create or replace function bindery_internal.bad_input(argument text, problem text,
  hint text) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.error('PT422', 'bad_input', format('%s %s.', argument, problem), hint,
    jsonb_build_object('argument', argument));
$$;

create or replace function bindery_internal.missing_pipeline(
  book_id uuid, pipeline text, version integer
) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.error('PT409', 'missing_pipeline',
    format('The book %s follows version %s of the pipeline %s, which is missing.', book_id, version,
      pipeline),
    'Restore the row of bindery.pipelines from the dump that the book came from.',
    jsonb_build_object('book_id', book_id, 'pipeline', pipeline, 'version', version));
$$;

-- Converts an exception that is not transient to the reason and message of a dead letter.
create or replace function bindery_internal.raised(sqlstate text, message text, detail text)
returns jsonb
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select case
    when sqlstate = 'PT409' and starts_with(detail, '{"code": "missing_pipeline"')
      then jsonb_build_object('code', 'missing_pipeline', 'message', message)
    else jsonb_build_object('code', 'refused_by_database',
      'message', format('%s (SQLSTATE %s)', message, sqlstate)) end;
$$;

create or replace function bindery_internal.stale_revision(book_id uuid, revision bigint,
  expected_revision bigint) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.error('PT409', 'stale_revision',
    format('Book %s is at revision %s, not %s.', book_id, revision, expected_revision),
    'Read its status again, and decide anew.',
    jsonb_build_object('book_id', book_id, 'revision', revision, 'expected_revision',
      expected_revision));
$$;

create or replace function bindery_internal.illegal_transition(
  from_status text, to_status text, reason text, allowed text[]
) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.error('PT409', 'illegal_transition', reason,
    case when cardinality(allowed) = 0
      then 'Nothing leads on from here; register a new book to start over.'
         else format('Allowed from %s: %s.', from_status, array_to_string(allowed, ', ')) end,
    jsonb_build_object('from_status', from_status, 'to_status', to_status, 'allowed',
      to_jsonb(allowed)));
$$;

create or replace function bindery_internal.refused_report(
  verdict text, book_id uuid, stage text, substep text, attempt integer
) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select case verdict
    when 'unknown_book' then bindery_internal.unknown_book(book_id)
    when 'unknown_stage' then bindery_internal.error('PT404', verdict,
      format('The pipeline of book %s has no stage %s.', book_id, stage),
      'bindery.get_book_status lists the stages of a book.', where_it_was)
    when 'stage_not_reached' then bindery_internal.error('PT409', verdict,
      format('Book %s has not reached the stage %s yet.', book_id, stage),
      'Make the transition first, then report; or set auto_advance in the pipeline.', where_it_was)
    when 'unknown_substep' then bindery_internal.error('PT422', verdict,
      format('The stage %s of book %s has no substep %s.', coalesce(stage, '(current)'), book_id,
        coalesce(substep, 'all')),
      'Report a declared substep, plan this one with bindery.plan_substeps, or give the stage '
        'open_substeps.', where_it_was)
    when 'attempt_ahead' then bindery_internal.error('PT409', verdict,
      format('Book %s has not come to attempt %s.', book_id, attempt),
      'Use the attempt that bindery.get_resume_point gives.', where_it_was)
    when 'bad_input' then bindery_internal.bad_input('substep or progress',
      'is not a name in lower snake case, or not a number',
      'Name a substep such as extract_text, and give a percentage.')
    when 'too_many_substeps' then bindery_internal.error('PT422', verdict,
      format('The stage %s of book %s has 10,000 substeps already.', coalesce(stage, '(current)'),
        book_id),
      'Report on fewer, larger substeps; done and total count the units in one.', where_it_was)
    when 'stale' then '{"stale": true}'
  end
  from (select jsonb_build_object('book_id', book_id, 'stage', stage, 'substep', substep,
    'attempt', attempt)) as w(where_it_was);
$$;

comment on function bindery_internal.refused_report(text, uuid, text, text, integer) is
  'The error for a verdict of bindery_core.report_verdict; null for accept, {"stale": true} for '
  'stale.';
comment on function bindery_internal.missing_pipeline(uuid, text, integer) is
  'The error PT409 missing_pipeline.';
comment on function bindery_internal.raised(text, text, text) is
  'The code and message of a dead letter whose event raised this error.';
comment on function bindery_internal.unknown_book(uuid) is 'The error PT404 unknown_book.';
comment on function bindery_internal.bad_input(text, text, text) is
  'The error PT422 bad_input: an argument, what is wrong with it, and what to give.';
comment on function bindery_internal.stale_revision(uuid, bigint, bigint) is
  'The error PT409 stale_revision.';
comment on function bindery_internal.illegal_transition(text, text, text, text[]) is
  'The error PT409 illegal_transition: the kernel''s reason, and what is allowed instead.';

-- The limits on the texts and JSON of callers: checked here for calls and, by triggers
-- (books/guard_texts.sql), for plain writes.
-- Invariants: a text is plain (no control characters except tab and line ends, no characters that
-- change the text direction); JSON is limited in size and depth, and string contents are not
-- checked. core/src/event has the same rules for events.
create or replace function bindery_internal.refused_text(argument text, value text,
  longest integer) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if value is null then
    return null;
  elsif length(value) > longest then
    return bindery_internal.bad_input(argument, format('is longer than %s characters',
      to_char(longest, 'FM999,999')), 'Shorten it.');
  -- Marks and joiners (U+200C to U+200F) are allowed, because some scripts need them. NUL cannot
  -- occur in a Postgres text.
  elsif value ~ ('[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F'
    '\u202A-\u202E\u2066-\u2069]') then
    return bindery_internal.bad_input(argument,
      'holds a control character, or one that overrides the direction of text',
      'Leave it out; tabs and line ends may stay.');
  end if;
  return null;
end
$$;

create or replace function bindery_internal.refused_json(argument text, value jsonb) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if value is null then
    return null;
  elsif octet_length(value::text) > 131072 then
    return bindery_internal.bad_input(argument, 'is larger than 128 KiB',
      'Keep large things elsewhere and store a reference.');
  -- Postgres itself refuses JSON that is too deep to parse (54001) and half of a surrogate pair
  -- (22P02).
  elsif jsonb_path_exists(value, '$.**{65}') then
    return bindery_internal.bad_input(argument, 'is nested deeper than 64 levels',
      'Make it flatter, or store it as text.');
  end if;
  return null;
end
$$;

create or replace function bindery_internal.refused_attempt() returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.bad_input('attempt', 'is less than 1',
    'Attempts count from 1; bindery.get_resume_point gives the current one.');
$$;

comment on function bindery_internal.refused_attempt() is 'The error for an attempt below 1.';
comment on function bindery_internal.refused_text(text, text, integer) is
  'The error for a text that is longer than so many characters, or holds control or '
  'direction-changing characters; null for any other, and for null.';
comment on function bindery_internal.refused_json(text, jsonb) is
  'The error for JSON that is larger than 128 KiB or nested deeper than 64 levels; null for any '
  'other, and for null.';

-- The caller: the user of the token (for policies) and the name that goes into the history.
-- Invariant: works with and without PostgREST, and inside definer functions (which do not change
-- the setting role).
create or replace function bindery_internal.user_id() returns uuid
language sql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select case when c.sub ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then c.sub::uuid end
  from (select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub') as c(sub);
$$;

create or replace function bindery_internal.actor() returns text
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(
    nullif(current_setting('bindery.actor', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub',
    nullif(current_setting('role', true), 'none'),
    session_user);
end
$$;

comment on function bindery_internal.user_id() is
  'The sub of the request''s JWT where it is a uuid, else null.';
comment on function bindery_internal.actor() is
  'Who the history names: the setting bindery.actor, the token''s sub, the role, or the '
  'session''s user; the first there is.';

-- pipelines: named, versioned state machines.
-- Invariants: a row is never changed; a row that books use cannot be deleted (their foreign key);
-- the kernel compiles machine.
-- Locks: define_pipeline takes the mutex pipelines.
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

-- Every report reads the machine; uncompressed, it needs no decompression.
alter table bindery.pipelines alter column machine set storage external;
alter table bindery.pipelines enable row level security;

comment on table bindery.pipelines is
  'The pipelines a book may follow, by name and version. Rows are never changed: define the next '
  'version instead.';
comment on column bindery.pipelines.name is
  'The pipeline''s name, lower snake case, up to 63 characters.';
comment on column bindery.pipelines.version is
  'Counts from 1; a book stays on the version it began with.';
comment on column bindery.pipelines.definition is 'What was given to define_pipeline.';
comment on column bindery.pipelines.machine is 'The definition compiled by the kernel.';
comment on column bindery.pipelines.created_at is 'When this version was defined.';

-- book_status: one row a book; the row that readers see.
-- Invariants: status changes only as the book's pipeline allows (trigger guard_transition). The
-- percentages and the substeps_ columns are derived from the current stage's rows in book_progress;
-- a plain UPDATE cannot set them. revision grows by one with every visible change.
-- Locks: a writer takes this row FOR NO KEY UPDATE before it touches book_progress; several rows
-- are locked in order of book_id.
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
  substeps_total integer not null default 0,
  substeps_done integer not null default 0,
  substeps_weight numeric not null default 0,
  substeps_points numeric not null default 0,
  stage_base double precision not null default 0,
  stage_share double precision not null default 0,
  message text,
  error jsonb,
  attempt integer not null default 1,
  revision bigint not null default 1,
  heartbeat_at timestamptz not null,
  stage_entered_at timestamptz not null,
  stage_started_at timestamptz not null,
  resume_at timestamptz,
  estimated_completion_at timestamptz,
  metadata jsonb not null default '{}',
  created_at timestamptz not null,
  updated_at timestamptz not null,
  completed_at timestamptz,
  constraint book_status_pkey primary key (book_id),
  constraint book_follows_a_pipeline
    foreign key (pipeline, pipeline_version) references bindery.pipelines (name, version),
  -- Short, because every statement parses it. refuse_texts checks texts, guard_columns columns.
  constraint numbers_are_in_range check (
    overall_progress between 0 and 100 and stage_progress between 0 and 100
    and substeps_total <= 10000),
  constraint error_while_failed_only check ((error is not null) = (status = 'FAILED'))
-- Room on each page, so that a report's new row version stays on the page and needs no index entry.
) with (fillfactor = 50);

create index book_status_owner on bindery.book_status (owner_id, created_at desc);
create index book_status_pipeline on bindery.book_status (pipeline, pipeline_version);
create index book_status_created on bindery.book_status (created_at desc);
-- For sweep. No index, its condition included, has a column that a report or a transition from one
-- stage to the next changes: such an update needs no new index entry.
create index book_status_at_work on bindery.book_status (book_id)
  where completed_at is null and error is null;
-- For lists with failed books first: on error, which only a failure and its resume change.
create index book_status_failed on bindery.book_status (created_at desc) where error is not null;
create index book_status_to_resume on bindery.book_status (resume_at) where resume_at is not null;

alter table bindery.book_status enable row level security;

comment on table bindery.book_status is
  'One row a book: where it stands.
Read, filter and subscribe to it. Change it with the functions of this schema; a plain UPDATE of '
  'status passes the same rules. The substeps are in book_progress.';
comment on column bindery.book_status.book_id is 'The id that the registering service chose.';
comment on column bindery.book_status.owner_id is
  'The user who may read it (the sub of the token); null: only the service.';
comment on column bindery.book_status.title is 'A title for people, up to 1,024 characters.';
comment on column bindery.book_status.pipeline is 'The pipeline it follows.';
comment on column bindery.book_status.pipeline_version is 'The version it began with and keeps.';
comment on column bindery.book_status.status is 'A state of its pipeline, or FAILED or CANCELLED.';
comment on column bindery.book_status.current_stage is
  'The state it is in; once FAILED, CANCELLED or completed, the last one it was in.';
comment on column bindery.book_status.overall_progress is
  'Percent of the whole pipeline, 0 to 100, two decimals; 100 only when completed.';
comment on column bindery.book_status.stage_progress is
  'Percent of the current stage, 0 to 100, two decimals; 100 only when all substeps are done.';
comment on column bindery.book_status.substeps_total is
  'How many substeps the current stage has, 0 to 10,000.';
comment on column bindery.book_status.substeps_done is 'How many of them are at 100 percent.';
comment on column bindery.book_status.substeps_weight is
  'Internal: the sum of their weights, in units of 1e-9; exact.';
comment on column bindery.book_status.substeps_points is
  'Internal: the sum of book_progress.points of the current stage; exact.';
comment on column bindery.book_status.stage_base is
  'Internal: the percent of the whole at which the current stage begins.';
comment on column bindery.book_status.stage_share is
  'Internal: the percent of the whole that the current stage makes up.';
comment on column bindery.book_status.message is
  'The message of the last change of status, up to 8,192 characters.';
comment on column bindery.book_status.error is
  'Why it FAILED: an object with at least code; null otherwise.';
comment on column bindery.book_status.attempt is
  'Which attempt at the current stage this is: 1, and one more at each resume or re-entry.';
comment on column bindery.book_status.revision is
  'Grows by one with every visible change; drop what is older than what you have.';
comment on column bindery.book_status.heartbeat_at is
  'When the last accepted event or call of a service about this book took effect.';
comment on column bindery.book_status.stage_entered_at is
  'When the book came to the current stage; resumes do not change it.';
comment on column bindery.book_status.stage_started_at is
  'When the current attempt at the current stage began.';
comment on column bindery.book_status.resume_at is
  'When sweep resumes a FAILED book; null: an operator has to.';
comment on column bindery.book_status.estimated_completion_at is
  'When it is expected to be complete; null without a basis for an estimate.';
comment on column bindery.book_status.metadata is
  'The registering service''s own JSON object; Bindery does not read it.';
comment on column bindery.book_status.created_at is 'When it was registered.';
comment on column bindery.book_status.updated_at is 'When revision last grew.';
comment on column bindery.book_status.completed_at is 'When it reached its final state.';

-- book_progress: one row a substep: the declared and planned ones of each stage that the book has
-- entered or planned, and the open ones that were reported.
-- Invariants: progress never falls within an attempt. points is what the row adds to
-- book_status.substeps_points: weight in units of 1e-9 times progress in millionths of a percent,
-- both whole numbers, so sums are exact in any order (bindery_internal.points; not a generated
-- column, whose expression each statement would plan anew).
-- Locks: the book's row in book_status is locked first.
create table bindery.book_progress (
  book_id uuid not null,
  stage text collate "C" not null,
  substep text collate "C" not null,
  weight double precision not null default 1,
  progress double precision not null default 0,
  points numeric not null default 0,
  done double precision,
  total double precision,
  unit text,
  message text,
  checkpoint jsonb,
  attempt integer not null default 1,
  revision bigint not null default 1,
  started_at timestamptz,
  updated_at timestamptz not null,
  constraint book_progress_pkey primary key (book_id, stage, substep),
  constraint progress_belongs_to_a_book
    foreign key (book_id) references bindery.book_status (book_id) on delete cascade,
  -- Short, because every statement parses it; prepare_progress checks the rest.
  constraint numbers_are_in_range check (
    weight between 0 and 1e9 and progress between 0 and 100)
-- As for book_status: a batch that updates every row of a page finds room on it.
) with (fillfactor = 50);

alter table bindery.book_progress enable row level security;

comment on table bindery.book_progress is
  'One row a substep of a book; report with bindery.report_progress.';
comment on column bindery.book_progress.book_id is 'The book.';
comment on column bindery.book_progress.stage is 'The stage the substep is part of.';
comment on column bindery.book_progress.substep is
  'The substep''s key, lower snake case; `all` in a stage that has none.';
comment on column bindery.book_progress.weight is
  'Its share of the stage''s work: as planned for this book, else as declared, else 1.';
comment on column bindery.book_progress.progress is
  'Percent, 0 to 100; the highest of this attempt.';
comment on column bindery.book_progress.points is
  'Internal: weight in units of 1e-9 times progress in units of 1e-6 percent.';
comment on column bindery.book_progress.done is 'Units done, where the report counted them.';
comment on column bindery.book_progress.total is 'Units in all, where the report counted them.';
comment on column bindery.book_progress.unit is 'What is counted: page, panel, word.';
comment on column bindery.book_progress.message is 'The latest message, up to 8,192 characters.';
comment on column bindery.book_progress.checkpoint is
  'The worker''s own JSON: where to continue after a failure.';
comment on column bindery.book_progress.attempt is 'The attempt that last reported.';
comment on column bindery.book_progress.revision is
  'The book''s revision at which the row last changed visibly.';
comment on column bindery.book_progress.started_at is
  'When it was first reported in this attempt; null: not reported in it.';
comment on column bindery.book_progress.updated_at is 'When it was last written.';

-- book_events: the append-only history of every change of status.
-- Invariants: rows are written only by the trigger record_transition, in the change's own
-- transaction, and never updated. The key has no global sequence, so that the table can be
-- partitioned. Locks: appended to last.
create table bindery.book_events (
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
  constraint book_events_pkey primary key (book_id, revision),
  constraint event_belongs_to_a_book
    foreign key (book_id) references bindery.book_status (book_id) on delete cascade
);

-- For prune_events, which keeps the row of each book's end.
create index book_events_prunable on bindery.book_events (at)
  where kind not in ('complete', 'cancel');
-- For operators: the failures of each stage over time, from the index alone.
create index book_events_failures on bindery.book_events (at, book_id, stage)
  where kind = 'fail';

alter table bindery.book_events enable row level security;

comment on table bindery.book_events is
  'The history: one row for every change of a book''s status, never updated.';
comment on column bindery.book_events.book_id is 'The book.';
comment on column bindery.book_events.revision is 'The book''s revision after this change.';
comment on column bindery.book_events.kind is
  'register, transition, fail, resume, rewind, cancel or complete.';
comment on column bindery.book_events.from_status is 'The status before; null at registration.';
comment on column bindery.book_events.to_status is 'The status after.';
comment on column bindery.book_events.stage is 'The stage the book was in after the change.';
comment on column bindery.book_events.attempt is 'The attempt after the change.';
comment on column bindery.book_events.actor is
  'Who made it: a user''s id, a role, a worker, relay:<stream>, or sweep.';
comment on column bindery.book_events.message is 'The message given with it.';
comment on column bindery.book_events.data is 'For fail: the error.';
comment on column bindery.book_events.at is 'When.';

-- stage_visits: the stages that a book has left, and in which attempt. With it a transition never
-- reads the history.
-- Invariants: one row a stage that the book has left; attempt only grows. Written by
-- record_transition only. Locks: the book's row is held.
create table bindery.stage_visits (
  book_id uuid not null,
  stage text collate "C" not null,
  attempt integer not null,
  entered_at timestamptz not null,
  left_at timestamptz not null,
  seconds double precision,
  constraint stage_visits_pkey primary key (book_id, stage),
  constraint visit_belongs_to_a_book
    foreign key (book_id) references bindery.book_status (book_id) on delete cascade
);

-- For refresh_pace: the visits that ended since it last ran.
create index stage_visits_left on bindery.stage_visits (left_at) where seconds is not null;

alter table bindery.stage_visits enable row level security;

comment on table bindery.stage_visits is
  'The stages that a book has left: its last attempt there, and how long the last visit took.';
comment on column bindery.stage_visits.book_id is 'The book.';
comment on column bindery.stage_visits.stage is 'The stage it left.';
comment on column bindery.stage_visits.attempt is
  'The highest attempt it had there; the next entry is one more.';
comment on column bindery.stage_visits.entered_at is 'When it came there last.';
comment on column bindery.stage_visits.left_at is 'When it left.';
comment on column bindery.stage_visits.seconds is
  'How long the last visit took, halts included; null where it did not end by going forward.';

-- outbox: messages to workers and other systems, written in the change's own transaction.
-- Invariants: written by the trigger record_transition; the daemon publishes rows in order of id
-- and deletes them (take_outbox).
-- Locks: appended to last.
create table bindery.outbox (
  id bigint generated always as identity,
  message_id uuid not null default gen_random_uuid(),
  book_id uuid not null,
  revision bigint not null,
  kind text not null,
  payload jsonb not null,
  created_at timestamptz not null,
  constraint outbox_pkey primary key (id)
);

alter table bindery.outbox enable row level security;

comment on table bindery.outbox is
  'Messages on their way to the stream bindery:changes: transitions, and resume commands (after a '
  'resume or a rewind) with the resume point, without its lists where it is large.';
comment on column bindery.outbox.id is 'The order of publication.';
comment on column bindery.outbox.message_id is
  'By this readers know what they have seen. Random, so that a failover to a server that lacks the '
  'latest commits cannot give it again; it may give id and revision again.';
comment on column bindery.outbox.book_id is
  'The book; no foreign key, a message outlives its book.';
comment on column bindery.outbox.revision is 'The book''s revision after the change.';
comment on column bindery.outbox.kind is 'transition or resume.';
comment on column bindery.outbox.payload is 'The message.';
comment on column bindery.outbox.created_at is 'When it was written.';

-- relay_cursors: one row a stream: its position and its holder.
-- Invariants: position moves with the events it covers, in one transaction, or by note_stream after
-- a loss in the stream; epoch and caught_up_at only grow; one holder at a time.
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
  early bigint not null default 0,
  rejected bigint not null default 0,
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

comment on table bindery.relay_cursors is
  'One row a Redis stream: the position applied, the lease, and what was counted.';
comment on column bindery.relay_cursors.stream is 'The stream''s key in Redis.';
comment on column bindery.relay_cursors.position is
  'The id of the last entry whose effect is in this database.';
comment on column bindery.relay_cursors.epoch is
  'The fencing token: one higher at each acquire; an older one can apply nothing.';
comment on column bindery.relay_cursors.holder is 'Which relay reads it; null: none.';
comment on column bindery.relay_cursors.lease_ttl is
  'How long the lease lasts after each sign of the holder.';
comment on column bindery.relay_cursors.lease_expires_at is
  'When another relay may take over, by this database''s clock.';
comment on column bindery.relay_cursors.applied is 'Events that took effect.';
comment on column bindery.relay_cursors.stale is
  'Events from an earlier attempt or for a stage left: counted, without effect.';
comment on column bindery.relay_cursors.early is
  'Events that arrived early and were kept in early_events; what became of them later is not '
  'counted here.';
comment on column bindery.relay_cursors.rejected is 'Events that went to dead_letters.';
comment on column bindery.relay_cursors.applied_at is 'When a batch was last applied.';
comment on column bindery.relay_cursors.created_at is 'When the stream was first acquired.';
comment on column bindery.relay_cursors.caught_up_at is
  'Everything that was in the stream at this moment (of this database''s clock) has been applied; '
  'null: not proven yet. It lags the clock by
seconds while the relay keeps up, and stands still while it is behind, gone, or cut off from '
  'Redis.';
comment on column bindery.relay_cursors.losses is
  'How often the relay found the stream not to be what it had been: entries gone unread, or '
  'another stream in its place.';
comment on column bindery.relay_cursors.lost is
  'Entries that were gone before they were read, as far as they could be counted.';
comment on column bindery.relay_cursors.last_loss is
  'What was found last: trimmed (entries gone unread), deleted, recreated (another stream of that '
  'name) or rewound (a stream that ends before the position).';
comment on column bindery.relay_cursors.lost_at is 'When that was found.';
comment on column bindery.relay_cursors.entries_ahead is
  'How many entries Redis had counted at the position (entries-added) beyond applied, stale, '
  'early and rejected; by it the relay sees what goes missing. Null: not known yet.';

-- forgotten_streams: streams that were forgotten, each with its last epoch. If one is acquired
-- again, its epochs continue above it.
-- Invariant: a relay that was paused meanwhile never finds its own epoch in force again.
-- Locks: like relay_cursors; taken before any book's row.
create table bindery_internal.forgotten_streams (
  stream text not null,
  epoch bigint not null,
  constraint forgotten_streams_pkey primary key (stream)
);

alter table bindery_internal.forgotten_streams enable row level security;

comment on table bindery_internal.forgotten_streams is
  'Streams that bindery.forget_stream deleted and no relay has acquired since.';
comment on column bindery_internal.forgotten_streams.stream is 'The stream''s key in Redis.';
comment on column bindery_internal.forgotten_streams.epoch is 'The last epoch it had.';

-- relays: the live relays and the streams that each would read, from which they share the streams.
-- Invariants: a relay that has not announced itself within its ttl does not count; handing_over is
-- one of its streams, or null.
-- Locks: the whole table, by announce_relay, before everything else; announce_relay locks no row of
-- relay_cursors.
create table bindery_internal.relays (
  holder text not null,
  streams text[] not null,
  handing_over text,
  expires_at timestamptz not null,
  constraint relays_pkey primary key (holder)
);

alter table bindery_internal.relays enable row level security;

comment on table bindery_internal.relays is
  'Relays that live, as bindery.announce_relay received them.';
comment on column bindery_internal.relays.holder is 'The name by which it acquires streams.';
comment on column bindery_internal.relays.streams is 'The streams that it would read.';
comment on column bindery_internal.relays.handing_over is
  'The stream that it was last advised to release; null: none.';
comment on column bindery_internal.relays.expires_at is
  'When it counts no more, by this database''s clock.';

-- waiting_books: which books have a job that waits in a BullMQ queue. Such a book is not silent.
-- Invariants: written by note_waiting only, for the holder of the stream's newest epoch; a row is
-- deleted when the queue no longer has such a job, and the book's heartbeat is then renewed.
-- Locks: the stream's row in relay_cursors first, then the book's row.
create table bindery_internal.waiting_books (
  book_id uuid not null,
  stream text not null,
  since timestamptz not null,
  constraint waiting_books_pkey primary key (book_id, stream),
  constraint waiting_book_is_a_book
    foreign key (book_id) references bindery.book_status (book_id) on delete cascade
);

create index waiting_books_stream on bindery_internal.waiting_books (stream, book_id);

alter table bindery_internal.waiting_books enable row level security;

comment on table bindery_internal.waiting_books is
  'Books with a job that waits in a BullMQ queue, as bindery.note_waiting recorded them.';
comment on column bindery_internal.waiting_books.book_id is 'The book.';
comment on column bindery_internal.waiting_books.stream is 'The queue''s stream of events.';
comment on column bindery_internal.waiting_books.since is 'When its job was first found to wait.';

-- dead_letters: rejected events, each with its rejection reason.
-- Invariants: written in the transaction that moves the position past the event, so none is lost or
-- listed twice.
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
-- For operators: the newest of a reason, and the counts by reason from the index alone.
create index dead_letters_reason on bindery.dead_letters (reason, id);

alter table bindery.dead_letters enable row level security;

comment on table bindery.dead_letters is
  'Events that could not take effect, each with its reason; nothing else was held up by them. See '
  'bindery.replay_dead_letters.';
comment on column bindery.dead_letters.id is 'Grows with time.';
comment on column bindery.dead_letters.stream is 'Where it came from.';
comment on column bindery.dead_letters.event_id is
  'Its id in the stream; of merged events the last.';
comment on column bindery.dead_letters.first_event_id is 'Of merged events the first.';
comment on column bindery.dead_letters.count is
  'How many events of the stream this row stands for.';
comment on column bindery.dead_letters.book_id is 'The book it names, where it names one.';
comment on column bindery.dead_letters.reason is
  'A code: bad_uuid, unknown_book, illegal_transition, …; of a replay the newest.';
comment on column bindery.dead_letters.message is 'The reason for people.';
comment on column bindery.dead_letters.payload is
  'The event as the relay read it, with its count; or, where it could not read it, the entry as '
  'it came.';
comment on column bindery.dead_letters.truncated is
  'Whether payload was cut because the event was too large to keep, or left out because there were '
  'too many (the setting dead_letters_total).';
comment on column bindery.dead_letters.at is 'When it was refused first.';
comment on column bindery.dead_letters.replayed_at is
  'When it was last replayed, and refused again; null: never.';

-- early_events: events that a later change of their book can make applicable.
-- Invariants: written in the transaction that moves the stream's position past the event; deleted
-- in the transaction in which it takes effect, proves stale or becomes a dead letter. The events of
-- one book and stream keep their order (id). Locks: the book's row first (see settle_early), for an
-- unknown book its slot in registration_slots.
create table bindery.early_events (
  id bigint generated always as identity,
  stream text not null,
  event_id text,
  first_event_id text,
  count bigint not null default 1,
  book_id uuid not null,
  reason text not null,
  message text not null,
  payload jsonb not null,
  at timestamptz not null,
  constraint early_events_pkey primary key (id),
  constraint count_is_positive check (count >= 1)
);

create index early_events_book on bindery.early_events (book_id, id);
create index early_events_at on bindery.early_events (at);

alter table bindery.early_events enable row level security;

comment on table bindery.early_events is
  'Events that arrived before the change that makes them applicable; each waits for it.
After the setting patience an event becomes a dead letter with the reason it has here.';
comment on column bindery.early_events.id is 'Grows with the order of arrival.';
comment on column bindery.early_events.stream is 'The stream it came from.';
comment on column bindery.early_events.event_id is
  'Its id in the stream; of merged events the last.';
comment on column bindery.early_events.first_event_id is 'Of merged events the first.';
comment on column bindery.early_events.count is 'How many events of the stream it stands for.';
comment on column bindery.early_events.book_id is 'The book; it need not be registered yet.';
comment on column bindery.early_events.reason is
  'Why it waits: unknown_book, stage_not_reached, attempt_ahead, transition_ahead or '
  'queued_behind.';
comment on column bindery.early_events.message is 'The reason for people.';
comment on column bindery.early_events.payload is 'The event as the relay read it.';
comment on column bindery.early_events.at is 'When it arrived.';

-- stage_samples: how long the newest visits of books to each state took; the medians in stage_pace
-- are computed from them.
-- Invariants: written by refresh_pace only; the newest 50 of each state, one a book.
-- Locks: written while refresh_pace holds its mutex.
create table bindery_internal.stage_samples (
  pipeline text not null,
  pipeline_version integer not null,
  stage text not null,
  book_id uuid not null,
  left_at timestamptz not null,
  seconds double precision not null,
  constraint stage_samples_pkey primary key (pipeline, pipeline_version, stage, book_id),
  constraint sample_follows_a_pipeline foreign key (pipeline, pipeline_version)
    references bindery.pipelines (name, version) on delete cascade,
  constraint seconds_are_not_negative check (seconds >= 0)
);

alter table bindery_internal.stage_samples enable row level security;

comment on table bindery_internal.stage_samples is
  'How long the newest visits to each state took, up to 50 a state.';
comment on column bindery_internal.stage_samples.pipeline is 'The pipeline of the book.';
comment on column bindery_internal.stage_samples.pipeline_version is
  'The version of that pipeline.';
comment on column bindery_internal.stage_samples.stage is 'The state that was visited.';
comment on column bindery_internal.stage_samples.book_id is
  'The book; no foreign key, a sample outlives its book.';
comment on column bindery_internal.stage_samples.left_at is 'When the visit ended.';
comment on column bindery_internal.stage_samples.seconds is
  'From entering the state to leaving it forward, halts included.';

-- stage_pace: the median duration of each state of a pipeline and of the states after it, from the
-- newest visits.
-- Invariants: written by refresh_pace only; a row for every state but the final one, once any state
-- of the pipeline was visited.
-- Locks: written while refresh_pace holds its mutex; triggers read it without one.
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
  'How long each state of a pipeline takes, by the median of its newest visits: the ground of '
  'estimated_completion_at.';
comment on column bindery_internal.stage_pace.pipeline is 'The pipeline.';
comment on column bindery_internal.stage_pace.pipeline_version is
  'Its version; each has a pace of its own.';
comment on column bindery_internal.stage_pace.stage is 'The state.';
comment on column bindery_internal.stage_pace.median_seconds is
  'The median of its visits; with fewer than 3, 0 for a state of no weight (no work is done there) '
  'and null for a stage.';
comment on column bindery_internal.stage_pace.later_seconds is
  'The sum of the medians of the states after it on the heaviest path to the end; null where one '
  'of them is null.';
comment on column bindery_internal.stage_pace.samples is
  'How many visits the median is of, up to 50.';
comment on column bindery_internal.stage_pace.refreshed_at is 'When this row was worked out.';

-- pace_refresh: one row: the time up to which refresh_pace has read stage_visits, and when it ran.
-- Invariant: at most one row, inserted by the first refresh.
-- Locks: written while refresh_pace holds its mutex.
create table bindery_internal.pace_refresh (
  only_row boolean not null default true,
  read_until timestamptz,
  refreshed_at timestamptz,
  constraint pace_refresh_pkey primary key (only_row),
  constraint there_is_one_row check (only_row)
);

alter table bindery_internal.pace_refresh enable row level security;

comment on table bindery_internal.pace_refresh is
  'One row: up to when stage_visits has been read for stage_samples, and when.';
comment on column bindery_internal.pace_refresh.only_row is 'Always true: there is one row.';
comment on column bindery_internal.pace_refresh.read_until is
  'The latest left_at that was read; null: none.';
comment on column bindery_internal.pace_refresh.refreshed_at is 'When it ran; null: never.';

-- settings: one row of settings for operators. A table, because only superusers can store a server
-- setting such as bindery.broadcast, and hosted projects have none.
-- Invariant: there is one row. Read by definer functions.
create table bindery.settings (
  only_row boolean not null default true,
  broadcast boolean not null default true,
  broadcast_every interval not null default '1 second',
  broadcasts_per_second integer not null default 60,
  notify boolean not null default true,
  patience interval not null default '15 minutes',
  early_events_per_book integer not null default 10000,
  early_events_total integer not null default 1000000,
  dead_letters_total integer not null default 1000000,
  constraint settings_pkey primary key (only_row),
  constraint there_is_one_row check (only_row),
  constraint broadcast_every_is_in_range check (broadcast_every between '0' and '1 minute'),
  constraint broadcasts_are_bounded check (broadcasts_per_second between 1 and 1000000),
  constraint patience_is_in_range check (patience between '0' and '30 days'),
  constraint early_events_are_bounded check (
    early_events_per_book between 0 and 100000 and early_events_total between 0 and 100000000),
  constraint dead_letters_are_bounded check (dead_letters_total between 0 and 100000000)
);

insert into bindery.settings default values on conflict do nothing;

alter table bindery.settings enable row level security;

comment on table bindery.settings is
  'One row: what an operator may set.
UPDATE it as service_role; the next transaction uses it.';
comment on column bindery.settings.only_row is 'Always true: there is one row.';
comment on column bindery.settings.broadcast is
  'Whether changed books are broadcast by Supabase Realtime; the session setting '
  'bindery.broadcast, on or off, overrides it.';
comment on column bindery.settings.broadcast_every is
  'Changes of a book other than those of status and owner are broadcast at most once in this time, '
  '0 to 1 minute; the newest state of what was held back follows.';
comment on column bindery.settings.broadcasts_per_second is
  'About how many messages of held-back changes are sent a second in all, 1 to 1,000,000: where '
  'more books change at once, each is broadcast less often than broadcast_every.';
comment on column bindery.settings.notify is
  'Whether changed books are announced by NOTIFY bindery where Realtime is not installed. Without '
  'it event streams look for changes every 2 seconds; a daemon notices the change within 30.';
comment on column bindery.settings.patience is
  'How long an early event waits, 0 to 30 days; then it becomes a dead letter.';
comment on column bindery.settings.early_events_per_book is
  'How many early events a book may have, 0 to 100,000; one more becomes a dead letter.';
comment on column bindery.settings.early_events_total is
  'How many early events there may be in all, 0 to 100,000,000; one more becomes a dead letter.';
comment on column bindery.settings.dead_letters_total is
  'How many dead letters there may be, 0 to 100,000,000. Events beyond it are only counted: one '
  'letter a stream and reason, without a payload, which cannot be replayed.';

-- broadcast_windows: the books that were broadcast to Supabase Realtime a moment ago; until due_at,
-- their further progress is held back.
-- Invariant: a held-back change writes nothing here: the book's revision is then above the revision
-- in the row. A row is written only by a session that has locked the book.
-- Locks: after the book's row.
create table bindery_internal.broadcast_windows (
  book_id uuid not null,
  opened_at timestamptz not null,
  due_at timestamptz not null,
  revision bigint not null,
  status text not null,
  attempt integer not null,
  owner_id uuid,
  held_back bigint not null default 0,
  constraint broadcast_windows_pkey primary key (book_id)
-- Updated once a window; no index holds what an update changes.
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

alter table bindery_internal.broadcast_windows enable row level security;

comment on table bindery_internal.broadcast_windows is
  'One row a book that was broadcast a moment ago: what was sent, and until when more is held '
  'back.';
comment on column bindery_internal.broadcast_windows.book_id is 'The book.';
comment on column bindery_internal.broadcast_windows.opened_at is 'When it was broadcast.';
comment on column bindery_internal.broadcast_windows.due_at is
  'Until when changes other than those of status and owner are held back.';
comment on column bindery_internal.broadcast_windows.revision is 'The revision that was sent last.';
comment on column bindery_internal.broadcast_windows.status is 'The status that was sent last.';
comment on column bindery_internal.broadcast_windows.attempt is 'The attempt that was sent last.';
comment on column bindery_internal.broadcast_windows.owner_id is
  'The owner to whom it was sent; null: none.';
comment on column bindery_internal.broadcast_windows.held_back is
  'How many changes were held back and are not counted yet by send_held_broadcasts.';

-- mutexes: rows that are locked so that only one session at a time does a task.
-- registration_slots: rows that both a registration and an event about an unknown book lock.
-- Invariant: only the schema's owner can lock a row here, unlike an advisory lock, which any login
-- can hold. Locks: a mutex before everything else; slots after relay_cursors, in order.
create table bindery_internal.mutexes (
  task text not null,
  constraint mutexes_pkey primary key (task)
);

create table bindery_internal.registration_slots (
  slot integer not null,
  constraint registration_slots_pkey primary key (slot)
);

insert into bindery_internal.mutexes (task)
values ('sweep'), ('pace'), ('outbox'), ('dead_letters'), ('pipelines'), ('notify')
on conflict do nothing;
insert into bindery_internal.registration_slots (slot)
select s from generate_series(0, 255) s on conflict do nothing;

alter table bindery_internal.mutexes enable row level security;
alter table bindery_internal.registration_slots enable row level security;

comment on table bindery_internal.mutexes is
  'One row a task that only one session at a time may do; the session locks the row.';
comment on column bindery_internal.mutexes.task is 'The task.';
comment on table bindery_internal.registration_slots is
  'Rows that order a registration and the arrival of an early event about the same book.';
comment on column bindery_internal.registration_slots.slot is 'The hash of a book_id, 0 to 255.';

-- unannounced: books whose change was not announced by NOTIFY, because another session was
-- notifying.
-- Invariant: hints only; a crash of the server empties the table. Rows are deleted as they are
-- announced (announce_left). Locks: appended to last.
create unlogged table bindery_internal.unannounced (
  id bigint generated always as identity,
  book_id uuid not null,
  revision bigint not null,
  constraint unannounced_pkey primary key (id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

alter table bindery_internal.unannounced enable row level security;

comment on table bindery_internal.unannounced is
  'Changes that are still to be announced by NOTIFY, by the next send_held_broadcasts or sweep.';
comment on column bindery_internal.unannounced.id is 'For tools that want a key.';
comment on column bindery_internal.unannounced.book_id is 'The book.';
comment on column bindery_internal.unannounced.revision is 'Its revision after the change.';

-- stored_answers: the answers of report_events to batches with a key.
-- Invariants: a row is written in the transaction that applies its batch; it is kept for a day.
create table bindery_internal.stored_answers (
  caller text not null,
  key text not null,
  digest bytea not null,
  answer jsonb,
  at timestamptz not null,
  constraint stored_answers_pkey primary key (caller, key)
);

create index stored_answers_at on bindery_internal.stored_answers (at);

alter table bindery_internal.stored_answers enable row level security;

comment on table bindery_internal.stored_answers is
  'The answers of bindery.report_events to batches with an idempotency key, for a day.';
comment on column bindery_internal.stored_answers.caller is
  'A hash of the role and the claims that identify whose key it is.';
comment on column bindery_internal.stored_answers.key is 'The caller''s key.';
comment on column bindery_internal.stored_answers.digest is 'The hash of the batch.';
comment on column bindery_internal.stored_answers.answer is
  'The outcomes; null only within the transaction that applies the batch.';
comment on column bindery_internal.stored_answers.at is 'When the batch was applied.';

-- The rights of a token of the role bindery_worker: it may report, on the books and the stage that
-- its claims pipeline, stage and book_id name, and nothing else.
-- Invariants: a claim that is not a text admits nothing; if a report names no stage, the claim
-- stage is its stage; every function that a worker may call checks refused_worker first.
create or replace function bindery_internal.is_worker() returns boolean
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Definer functions do not change the setting role.
  return coalesce(nullif(current_setting('role', true), 'none'), session_user) = 'bindery_worker';
end
$$;

create or replace function bindery_internal.worker_claims() returns jsonb
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return case when bindery_internal.is_worker()
    then coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb, '{}') end;
end
$$;

create or replace function bindery_internal.claimed_stage() returns text
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return bindery_internal.worker_claims() ->> 'stage';
end
$$;

create or replace function bindery_internal.refused_worker(act text, book_id uuid, stage text)
returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  claims constant jsonb := bindery_internal.worker_claims();
  claim text;
  claimed text;
  given text;
  pipeline text;
begin
  if claims is null then
    return null;
  elsif coalesce(refused_worker.act, '')
    not in ('begin', 'progress', 'heartbeat', 'fail', 'plan', 'resume_point')
  then
    return bindery_internal.error('42501', 'not_allowed',
      format('A worker may not %s.', refused_worker.act),
      'A worker''s token may begin, report progress, send heartbeats, fail and plan.',
      jsonb_build_object('act', refused_worker.act, 'claim', null));
  end if;
  if claims ? 'pipeline' then
    select b.pipeline into pipeline from bindery.book_status b
    where b.book_id = refused_worker.book_id;
  end if;
  foreach claim in array array['book_id', 'pipeline', 'stage'] loop
    -- An unknown book gives unknown_book, whatever pipeline the claims name.
    continue when not claims ? claim or claim = 'pipeline' and pipeline is null;
    given := case claim when 'book_id' then refused_worker.book_id::text
      when 'pipeline' then pipeline else refused_worker.stage end;
    claimed := case when jsonb_typeof(claims -> claim) = 'string'
      then nullif(claims ->> claim, '') end;
    if (claim = 'book_id' and lower(claimed) = given or claimed = given) is not true then
      return bindery_internal.error('42501', 'not_allowed',
        format('The token is for the %s %s, not for %s.', replace(claim, '_id', ''),
          claims ->> claim, coalesce(given, '(null)')),
        format('Use a token whose claim %s admits it, or none.', claim),
        jsonb_build_object('act', refused_worker.act, 'claim', claim));
    end if;
  end loop;
  return null;
end
$$;

-- Returns a book's row to a worker whose claims admit it, because a worker may read no table.
create or replace function bindery_internal.worker_book(book_id uuid)
returns setof bindery.book_status rows 1
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.refused_worker('progress',
    worker_book.book_id, bindery_internal.claimed_stage()));
  return query select b.* from bindery.book_status b where b.book_id = worker_book.book_id;
end
$$;

create or replace function bindery_internal.worker_resume_point(book_id uuid, after text)
returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  select b.* into book from bindery.book_status b
  where b.book_id = worker_resume_point.book_id;
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_worker('resume_point', worker_resume_point.book_id,
      case when book.book_id is null then bindery_internal.claimed_stage()
        else book.current_stage end),
    case when book.book_id is null
      then bindery_internal.unknown_book(worker_resume_point.book_id) end,
    bindery_internal.refused_text('after', worker_resume_point.after, 63)));
  return bindery_internal.resume_point(book, worker_resume_point.after, 1048576, true);
end
$$;

comment on function bindery_internal.is_worker() is
  'Whether the caller has the role bindery_worker.';
comment on function bindery_internal.worker_claims() is
  'The claims of a worker''s token; null for any other caller.';
comment on function bindery_internal.claimed_stage() is
  'The stage that a worker''s token names; null where it names none, and for any other caller.';
comment on function bindery_internal.refused_worker(text, uuid, text) is
  'The error 42501 not_allowed where a worker''s token does not admit this act (begin, progress, '
  'heartbeat, fail, plan, resume_point, or one that no worker may do) on this book and stage; null '
  'where it does, and for any other caller.';
comment on function bindery_internal.worker_book(uuid) is
  'The row of a book that a worker''s token admits.';
comment on function bindery_internal.worker_resume_point(uuid, text) is
  'As bindery.get_resume_point, for a worker: of a book in the stage that its token admits.';

-- The compiled machine of a pipeline's version, which every rule reads.
-- Invariant: readers get it without a right to read the table; a version never changes, so neither
-- does the answer.
create or replace function bindery_internal.machine(pipeline text,
  pipeline_version integer) returns jsonb
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select p.machine from bindery.pipelines p where p.name = pipeline
    and p.version = pipeline_version);
end
$$;

-- The same for a book, whose pipeline may be missing after a restore of data.
create or replace function bindery_internal.book_machine(book bindery.book_status) returns jsonb
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  machine constant jsonb := (select p.machine from bindery.pipelines p
    where p.name = book.pipeline and p.version = book.pipeline_version);
begin
  if machine is null and book.book_id is not null then
    perform bindery_internal.raise_error(bindery_internal.missing_pipeline(
      book.book_id, book.pipeline, book.pipeline_version));
  end if;
  return machine;
end
$$;

comment on function bindery_internal.book_machine(bindery.book_status) is
  'The compiled machine of a book''s pipeline; raises PT409 missing_pipeline where there is none.';
comment on function bindery_internal.machine(text, integer) is
  'The compiled machine of this version of the pipeline; null where there is none.';

-- Facts about a state for SQL: its entry in the compiled machine, whether attempts are left, and
-- when a failed attempt is retried.
-- Invariant: the machine is what the kernel compiled.
create or replace function bindery_internal.state_of(machine jsonb, name text) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select s.state from jsonb_array_elements(machine -> 'states') as s(state)
    where s.state ->> 'name' = state_of.name);
end
$$;

create or replace function bindery_internal.attempts_left(state jsonb, attempt integer)
returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(attempt < (state ->> 'max_attempts')::integer, true);
end
$$;

create or replace function bindery_internal.resume_at(
  state jsonb, attempt integer, error jsonb, moment timestamptz
) returns timestamptz
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  seconds constant double precision := (state ->> 'retry_after')::double precision;
begin
  if seconds is null or not bindery_internal.attempts_left(state, attempt)
    or error -> 'retry' = 'false'
  then
    return null;
  end if;
  -- The bound on the exponent keeps the power finite; the delay has long reached a day then.
  return moment
    + greatest(seconds, least(seconds * 2 ^ least(attempt - 1, 40), 86400)) * interval '1 second';
end
$$;

comment on function bindery_internal.state_of(jsonb, text) is
  'A state of a compiled machine by its name; null where it has none of that name.';
comment on function bindery_internal.attempts_left(jsonb, integer) is
  'Whether an attempt at a state is not its last by max_attempts.';
comment on function bindery_internal.resume_at(jsonb, integer, jsonb, timestamptz) is
  'When a book that fails now in this attempt is to be resumed: after retry_after, doubled for '
  'each '
  'attempt before, at most a day (or retry_after, where that is longer).
Null: not automatically, since the stage has no retry_after or no attempts left, or the error has '
  '{"retry": false}.';

-- refuse_pipeline_change: BEFORE UPDATE on pipelines, for every role.
-- Invariant: a version never changes after it was defined, because books rely on it.
create or replace function bindery_internal.refuse_pipeline_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
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

comment on function bindery_internal.refuse_pipeline_change() is
  'Raises PT409 pipeline_is_immutable: a version of a pipeline is fixed.';

-- Guards that are SQL functions: (book bindery.book_status) returns boolean, found by name, called
-- as a role that has no rights.
-- Invariants: a guard runs as bindery_guard, so it has the rights of PUBLIC only, whichever role
-- makes the change; a guard that is missing, raises, or returns null does not hold; what it did in
-- the transaction is undone.
create or replace function bindery_internal.guard_function(guard text) returns regproc
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  parts constant text[] := string_to_array(case when guard ~ '[.]'
    then guard else 'public.' || guard end, '.');
begin
  return (
    select p.oid::regproc from pg_catalog.pg_proc p
      join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = parts[1] and p.proname = parts[2] and p.prokind = 'f' and p.pronargs = 1
      and p.proargtypes[0] = 'bindery.book_status'::regtype and p.prorettype = 'boolean'::regtype);
end
$$;

create or replace function bindery_internal.ask_guard(guard regproc,
  book bindery.book_status) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  answer boolean;
begin
  -- After a dump is restored without owners, the restoring role owns it, with all its rights.
  if current_user <> 'bindery_guard' then
    raise exception using errcode = '55000',
      message = format('bindery_internal.ask_guard belongs to %I, not to bindery_guard.',
        current_user),
      hint = 'Run binderyd migrate as the schema''s owner; it gives it back.';
  end if;
  begin
    execute format('select %s($1)', guard) into answer using book;
    -- A guard only answers. What it did in the transaction is undone: settings it left, and work it
    -- deferred to a moment when others' rights count. A rollback does not undo session locks,
    -- prepared statements and sequence values.
    raise exception using errcode = 'BD000';
  exception
    when sqlstate 'BD000' then
      return answer;
    when assert_failure or others then
      -- A transient fault (a deadlock, a lock timeout, a full disk, a shutdown) is not an answer:
      -- the caller retries.
      if sqlstate in ('40P01', '55P03') or left(sqlstate, 2) in ('53', '57', '58') then
        raise;
      end if;
      raise warning 'The guard % failed for book %: % (SQLSTATE %).', guard, book.book_id, sqlerrm,
        sqlstate;
      return null;
  end;
end
$$;

-- A definer function runs with its owner's rights, so its owner is a role without any. Set again at
-- each migrate.
do $$
begin
  if not (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) then
    execute format('grant bindery_guard to %I', current_user);
  end if;
  grant create on schema bindery_internal to bindery_guard;
  alter function bindery_internal.ask_guard(regproc, bindery.book_status) owner to bindery_guard;
  revoke create on schema bindery_internal from bindery_guard;
  if not (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) then
    execute format('grant execute on function '
      'bindery_internal.ask_guard(regproc, bindery.book_status) to %I', current_user);
  end if;
exception when insufficient_privilege then
  raise exception using errcode = '42501', message = sqlerrm,
    hint = format('Guards run as the role bindery_guard, which the installing role must own. '
      'As its maker or a superuser: grant bindery_guard to %I with admin option', current_user);
end
$$;

-- The guards of a definition that are SQL functions and cannot be called. The kernel reports values
-- that are no definition at all.
create or replace function bindery_internal.guard_faults(definition jsonb) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('path', format('$.states[%s].next[%s].guard',
      s.ord - 1, e.ord - 1), 'problem', p.problem)
      order by s.ord, e.ord), '[]')
    from jsonb_array_elements(jsonb_path_query_array(definition, 'strict $.states[*]',
      silent => true)) with ordinality as s(state, ord)
    cross join jsonb_array_elements(jsonb_path_query_array(s.state, 'strict $.next[*]',
      silent => true)) with ordinality as e(edge, ord)
    cross join lateral (select case when jsonb_typeof(e.edge) = 'object'
      then e.edge ->> 'guard' end as guard) as g
    cross join lateral (select bindery_internal.guard_function(g.guard) as called) as f
    cross join lateral (select case
        when f.called is null
          then format('there is no function %s(bindery.book_status) returns boolean; '
            'create it first', g.guard)
        when not has_function_privilege('bindery_guard', f.called::oid, 'execute')
          or not has_schema_privilege('bindery_guard', (select c.pronamespace
            from pg_catalog.pg_proc c where c.oid = f.called::oid), 'usage')
          then format('the role bindery_guard, as which guards are asked, may not call %s; '
            'grant it usage on the schema and execute on the function',
            g.guard) end as problem) as p
    -- The kernel refuses texts that cannot name a function.
    where g.guard ~ '^([a-z_][a-z0-9_]{0,62}[.])?[a-z_][a-z0-9_]{0,62}$'
      and g.guard not in ('substeps_complete', 'attempts_left')
      and p.problem is not null);
end
$$;

comment on function bindery_internal.guard_function(text) is
  'The function a guard names, schema.function or a function of schema public; null where there '
  'is none with this argument and result.';
comment on function bindery_internal.ask_guard(regproc, bindery.book_status) is
  'What a guard returns for a book, called as bindery_guard; null where it raises (a warning has '
  'why). Nothing it did stays.';
comment on function bindery_internal.guard_faults(jsonb) is
  'The guards of a definition that are no SQL functions bindery_guard may call: [{path, problem}].';

-- take_mutex: lets one session at a time do a task.
-- Invariant: the lock is on a row that only this schema's owner can lock, and ends with the
-- transaction. Locks: the row, for which it waits a bounded time.
create or replace function bindery_internal.take_mutex(task text, most_ms integer)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  outer_timeout constant text := current_setting('lock_timeout');
begin
  perform from bindery_internal.mutexes m
  where m.task = take_mutex.task for no key update skip locked;
  if found then
    return true;
  elsif most_ms = 0 then
    return false;
  end if;
  perform set_config('lock_timeout', most_ms::text, true);
  begin
    perform from bindery_internal.mutexes m
    where m.task = take_mutex.task for no key update;
  exception when lock_not_available then
    perform set_config('lock_timeout', outer_timeout, true);
    return false;
  end;
  perform set_config('lock_timeout', outer_timeout, true);
  return true;
end
$$;

comment on function bindery_internal.take_mutex(text, integer) is
  'Locks the mutex of a task until the transaction ends; false where another session has it for '
  'longer than so many milliseconds (0: does not wait).';

-- define_pipeline: stores the next version of a pipeline, compiled.
-- Invariants: a definition with a fault is refused with all its faults; an identical definition
-- returns the existing version.
-- Locks: the mutex pipelines, waited for at most 5 s.
create or replace function bindery_internal.define_pipeline(name text,
  definition jsonb) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  compiled jsonb;
  faults jsonb;
  latest bindery.pipelines;
begin
  if coalesce(define_pipeline.name, '') !~ '^[a-z][a-z0-9_]{0,62}$' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('name',
      'is not in lower snake case of up to 63 characters', 'Name it such as comic.'));
  elsif define_pipeline.definition is null then
    perform bindery_internal.raise_error(bindery_internal.bad_input('definition', 'is missing',
      'Give {"states": […]}.'));
  end if;
  perform bindery_internal.raise_error(bindery_internal.refused_json('definition',
    define_pipeline.definition));
  compiled := bindery_core.compile_pipeline(define_pipeline.definition);
  faults := coalesce(compiled -> 'faults',
    '[]') || bindery_internal.guard_faults(define_pipeline.definition);
  if faults <> '[]' then
    perform bindery_internal.raise_error(bindery_internal.error('PT422', 'bad_definition',
      format('The definition of %s has %s: %s', define_pipeline.name,
        case jsonb_array_length(faults) when 1
          then 'a fault' else jsonb_array_length(faults) || ' faults' end,
        (select string_agg(format('%s %s', f.fault ->> 'path', f.fault ->> 'problem'), '; ')
          from jsonb_array_elements(faults) as f(fault))),
      'Correct what the detail lists by path; docs/pipelines.md shows how to write one.',
      jsonb_build_object('faults', faults)));
  end if;

  if not bindery_internal.take_mutex('pipelines', 5000) then
    raise exception using errcode = '55P03',
      message = 'Another session is defining a pipeline.',
      hint = 'Try again when its transaction has ended.';
  end if;
  select p.* into latest from bindery.pipelines p where p.name = define_pipeline.name
    order by p.version desc limit 1;
  if latest.definition = define_pipeline.definition then
    return latest.version;
  end if;
  insert into bindery.pipelines (name, version, definition, machine)
  values (define_pipeline.name, coalesce(latest.version, 0) + 1, define_pipeline.definition,
    compiled -> 'machine');
  return coalesce(latest.version, 0) + 1;
end
$$;

create or replace function bindery.define_pipeline(name text, definition jsonb) returns integer
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.define_pipeline(name, definition);
$$;

comment on function bindery.define_pipeline(text, jsonb) is
  'Stores the next version of a pipeline and gives its number.
The same definition as the latest version gives that one. PT422 bad_definition lists every fault '
  'by JSON path.';
comment on function bindery_internal.define_pipeline(text, jsonb) is 'See bindery.define_pipeline.';

-- pipeline_xstate: a pipeline as an XState v5 config, made of its compiled machine.
-- Invariants: SECURITY INVOKER and STABLE; an event's type is the status that it requests; FAILED
-- has a child for each stage, so the machine resumes correctly without context or code.
create or replace function bindery_internal.latest_version(pipeline text) returns integer
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select max(p.version) from bindery.pipelines p where p.name = pipeline);
end
$$;

create or replace function bindery_internal.xstate_edge(kind text, target text,
  guard text default null) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_strip_nulls(jsonb_build_object('target', target, 'guard', guard, 'meta',
    jsonb_build_object('kind', kind)));
$$;

create or replace function bindery_internal.xstate_node(state jsonb) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_build_object('meta', jsonb_strip_nulls(state - array['name', 'final', 'next',
    'rework']))
    || case when (state ->> 'final')::boolean then '{"type": "final"}'
       else jsonb_build_object('on',
         (select jsonb_object_agg(n.edge ->> 'to', bindery_internal.xstate_edge('forward',
           n.edge ->> 'to', n.edge ->> 'guard'))
          from jsonb_array_elements(state -> 'next') as n(edge))
         || coalesce((select jsonb_object_agg(r.target, bindery_internal.xstate_edge('rework',
           r.target))
          from jsonb_array_elements_text(state -> 'rework') as r(target)), '{}')
         || jsonb_build_object(
           'FAILED', bindery_internal.xstate_edge('fail', 'FAILED.' || (state ->> 'name')),
           'CANCELLED', bindery_internal.xstate_edge('cancel', 'CANCELLED'))) end;
$$;

create or replace function bindery.pipeline_xstate(name text,
  version integer default null) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  which constant integer := coalesce(pipeline_xstate.version,
    bindery_internal.latest_version(pipeline_xstate.name));
  machine constant jsonb := bindery_internal.machine(pipeline_xstate.name, which);
  id constant text := pipeline_xstate.name;
  initial constant text := machine #>> '{states,0,name}';
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('name', pipeline_xstate.name,
    63));
  if machine is null then
    perform bindery_internal.raise_error(bindery_internal.unknown_pipeline(coalesce(id, '(null)'),
      pipeline_xstate.version));
  end if;
  return (
    select jsonb_build_object(
      'id', id,
      'version', which::text,
      'initial', initial,
      'meta', jsonb_build_object('pipeline', id, 'version', which, 'total_weight',
        machine -> 'total_weight',
        'auto_advance', machine -> 'auto_advance',
        -- The keys of an object have no order in JSON.
        'order', jsonb_agg(s.state -> 'name' order by s.ord)),
      'states', jsonb_object_agg(s.state ->> 'name', bindery_internal.xstate_node(s.state))
        || jsonb_build_object(
          'CANCELLED', jsonb_build_object('type', 'final', 'meta',
            jsonb_build_object('label', 'Cancelled')),
          'FAILED', jsonb_build_object(
            'initial', initial,
            'meta', jsonb_build_object('label', 'Failed'),
            'on', jsonb_build_object('CANCELLED', bindery_internal.xstate_edge('cancel',
              'CANCELLED')),
            'states', jsonb_object_agg(s.state ->> 'name',
              jsonb_build_object('on', jsonb_build_object(
              s.state ->> 'name', bindery_internal.xstate_edge('resume',
                format('#%s.%s', id, s.state ->> 'name')))))
              filter (where not (s.state ->> 'final')::boolean))))
    from jsonb_array_elements(machine -> 'states') with ordinality as s(state, ord));
end
$$;

comment on function bindery_internal.latest_version(text) is
  'The newest version of a pipeline; null where there is none of that name.';
comment on function bindery_internal.xstate_edge(text, text, text) is
  'A transition of an XState config. Its meta.kind is forward, rework, fail, cancel or resume.';
comment on function bindery_internal.xstate_node(jsonb) is
  'A state of an XState config, from a state of a compiled machine.';
comment on function bindery.pipeline_xstate(text, integer) is
  'A pipeline as a config for XState v5''s createMachine; the latest version by default.
An event''s type is the status it asks for ({"type": "ANALYZING"}). FAILED has a child for each '
  'state it can resume to: a book that failed in ANALYZING is {"FAILED": "ANALYZING"}. Guards are '
  'given by name, weights, labels and limits (seconds) in meta. PT404 unknown_pipeline.';

-- Distinguishes writers: a function of this schema, which computes the derived columns itself, from
-- any other statement, for which triggers compute them.
-- Invariant: the setting bindery.writer has the trigger depth at which a function of this schema is
-- writing. Statements of users' triggers run at another depth and count as other statements.
-- Conditions of triggers compare it with pg_trigger_depth()::text themselves.
create or replace function bindery_internal.begin_writing() returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  outer_writer constant text := coalesce(current_setting('bindery.writer', true), '');
  nothing text;
begin
  nothing := set_config('bindery.writer', pg_trigger_depth()::text, true);
  return outer_writer;
end
$$;

create or replace function bindery_internal.end_writing(outer_writer text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  nothing text;
begin
  nothing := set_config('bindery.writer', outer_writer, true);
end
$$;

comment on function bindery_internal.begin_writing() is
  'Marks the statements that follow as this schema''s own; gives what end_writing takes.';
comment on function bindery_internal.end_writing(text) is
  'Ends what begin_writing began. outer_writer: what that gave.';

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

-- note_waiting: records which books have a job that waits in a BullMQ queue, as found by the
-- queue's relay.
-- Invariants: only the newest epoch may write; within a range of book ids, the given rows replace
-- the stream's rows, so a removed job ends its book's waiting; silence counts from the end of the
-- waiting.
-- Locks: the stream's row in relay_cursors, then the books' rows in order of book_id. A book's row
-- that another session holds is left for the next call.
create or replace function bindery_internal.brief_silence(stall_after double precision)
returns interval
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(least(stall_after / 4, 5), 5) * interval '1 second';
$$;

create or replace function bindery_internal.is_waiting(book_id uuid) returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from bindery_internal.waiting_books w where w.book_id = is_waiting.book_id);
$$;

create or replace function bindery_internal.note_waiting(
  stream text, epoch bigint, stage text, first_id uuid, last_id uuid, book_ids uuid[],
  attempts integer[]
) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  moment timestamptz;
  ended uuid[];
  began uuid[];
  noted integer;
begin
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_text('stream', note_waiting.stream, 512),
    bindery_internal.refused_text('stage', note_waiting.stage, 63)));
  if note_waiting.stage is null or note_waiting.first_id is null or note_waiting.last_id is null
  then
    perform bindery_internal.raise_error(bindery_internal.bad_input('stage, first_id or last_id',
      'is null', 'Give the queue''s stage, and the range of book ids that this call is about.'));
  elsif note_waiting.book_ids is null or array_ndims(note_waiting.book_ids) > 1
    or cardinality(note_waiting.book_ids) > 10000
    or cardinality(note_waiting.attempts) is distinct from cardinality(note_waiting.book_ids)
  then
    perform bindery_internal.raise_error(bindery_internal.bad_input('book_ids',
      'is not a list of up to 10,000 ids with as many attempts',
      'Give the books in ranges; null for a job that names no attempt.'));
  elsif exists (
    select from unnest(note_waiting.book_ids) as u(book_id)
    where (u.book_id between note_waiting.first_id and note_waiting.last_id) is not true)
  then
    perform bindery_internal.raise_error(bindery_internal.bad_input('book_ids',
      'has an id outside of first_id to last_id', 'Give the ids of the range only.'));
  end if;
  perform from bindery.relay_cursors c
  where c.stream = note_waiting.stream and c.epoch = note_waiting.epoch and c.holder is not null
  for no key update;
  if not found then
    perform bindery_internal.raise_error(
      bindery_internal.fenced(note_waiting.stream, note_waiting.epoch));
  end if;
  moment := bindery_internal.now();

  with given as (
    select u.book_id, u.attempt
    from unnest(note_waiting.book_ids, note_waiting.attempts) as u(book_id, attempt)
  ), noted as (
    select w.book_id from bindery_internal.waiting_books w
    where w.stream = note_waiting.stream
      and w.book_id between note_waiting.first_id and note_waiting.last_id
  ), known as materialized (
    select b.book_id, b.pipeline, b.pipeline_version, b.current_stage,
      b.completed_at is not null or b.status <> b.current_stage as is_over,
      b.attempt as book_attempt, moment - b.heartbeat_at as silence,
      g.attempt, g.book_id is not null as is_given, n.book_id is not null as is_noted
    from given g full join noted n on n.book_id = g.book_id
    join bindery.book_status b on b.book_id = coalesce(g.book_id, n.book_id)
  ), places as materialized (
    -- There are few pipelines: each machine is read once, not once a book.
    select p.pipeline, p.pipeline_version, p.current_stage,
      bindery_internal.brief_silence((s.here ->> 'stall_after')::double precision) as brief,
      p.current_stage = note_waiting.stage as is_here,
      coalesce((s.there ->> 'start')::double precision >= (s.here ->> 'start')::double precision,
        false) as is_ahead
    from (select distinct k.pipeline, k.pipeline_version, k.current_stage from known k) p
    cross join lateral (
      select bindery_internal.machine(p.pipeline, p.pipeline_version) as machine) m
    cross join lateral (
      select bindery_internal.state_of(m.machine, p.current_stage) as here,
        bindery_internal.state_of(m.machine, note_waiting.stage) as there) s
  ), judged as (
    select k.book_id, k.is_noted, k.silence > p.brief as is_silent,
      k.is_given and not k.is_over and case when p.is_here
        then coalesce(k.attempt >= k.book_attempt, true) else p.is_ahead end as is_waiting
    from known k
    join places p using (pipeline, pipeline_version, current_stage)
  )
  select coalesce(array_agg(j.book_id) filter (where j.is_noted and not j.is_waiting), '{}'),
    coalesce(array_agg(j.book_id) filter (
      where not j.is_noted and j.is_waiting and j.is_silent), '{}')
  into ended, began
  from judged j;

  with free as materialized (
    select b.book_id from bindery.book_status b
    where b.book_id = any (ended) order by b.book_id for no key update skip locked
  ), gone as (
    delete from bindery_internal.waiting_books w using free f
    where w.stream = note_waiting.stream and w.book_id = f.book_id
    returning w.book_id
  )
  update bindery.book_status b set heartbeat_at = moment
  from gone g
  where b.book_id = g.book_id and b.status = b.current_stage and b.completed_at is null;

  insert into bindery_internal.waiting_books (book_id, stream, since)
  select b.book_id, note_waiting.stream, moment
  from bindery.book_status b
  where b.book_id = any (began) order by b.book_id for key share skip locked
  on conflict on constraint waiting_books_pkey do nothing;
  get diagnostics noted = row_count;
  return noted;
end
$$;

create or replace function bindery.note_waiting(
  stream text, epoch bigint, stage text, first_id uuid, last_id uuid, book_ids uuid[],
  attempts integer[]
) returns integer
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.note_waiting(stream, epoch, stage, first_id, last_id, book_ids, attempts);
$$;

comment on function bindery_internal.brief_silence(double precision) is
  'How long a book may be silent before it counts as waiting: a quarter of stall_after (in '
  'seconds), at most 5 s.';
comment on function bindery_internal.is_waiting(uuid) is
  'Whether a job of the book waits in a BullMQ queue.';
comment on function bindery_internal.note_waiting(text, bigint, text, uuid, uuid, uuid[], integer[])
is 'See bindery.note_waiting.';
comment on function bindery.note_waiting(text, bigint, text, uuid, uuid, uuid[], integer[]) is
  'Records which books have a job that waits in a BullMQ queue; sweep fails none of them.
book_ids: of the books from first_id to last_id all that have such a job, with the attempt that '
  'the job names (null: none); stage: the queue''s. A book that is no longer among them no longer '
  'waits, and its heartbeat is renewed. Jobs of earlier stages and attempts do not count. Gives '
  'how many books began to wait. PT409 fenced where the epoch is not the newest, PT422 bad_input.';

-- What a status and a list show of the stages of a book, and a book as a row of a list.
-- Invariants: SECURITY INVOKER, so that row-level security decides which visits are read;
-- stage_medians alone runs with its owner's rights and reads no book.
create or replace function bindery_internal.stage_medians(
  pipeline text, pipeline_version integer
) returns jsonb
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select jsonb_object_agg(p.stage, p.median_seconds)
    from bindery_internal.stage_pace p
    where p.pipeline = stage_medians.pipeline
      and p.pipeline_version = stage_medians.pipeline_version
      -- Of fewer visits refresh_pace makes no median; it is 0 for a state of no weight.
      and p.median_seconds is not null and p.samples >= 3);
end
$$;

create or replace function bindery_internal.stages_json(
  book bindery.book_status, machine jsonb
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  stages constant jsonb := bindery_core.stage_list(
    machine, book.status, book.current_stage, book.stage_progress);
  -- The states of weight 0 are no stages; the others are in the same order in both lists.
  states constant jsonb := jsonb_path_query_array(machine, '$.states[*] ? (@.weight > 0)');
  medians constant jsonb := bindery_internal.stage_medians(book.pipeline, book.pipeline_version);
  at_work constant text := case when book.completed_at is null then book.current_stage end;
begin
  return (
    select coalesce(jsonb_agg(s.stage || case
        when s.stage ->> 'name' = at_work then jsonb_build_object(
          'attempt', book.attempt, 'started_at', book.stage_entered_at, 'seconds', null,
          'median_seconds', medians -> (s.stage ->> 'name'),
          'max_attempts', s.state -> 'max_attempts')
        else jsonb_build_object(
          'attempt', v.attempt, 'started_at', v.entered_at, 'seconds', v.seconds,
          'median_seconds', medians -> (s.stage ->> 'name'),
          'max_attempts', s.state -> 'max_attempts')
        end order by s.place), '[]')
    from rows from (jsonb_array_elements(stages), jsonb_array_elements(states))
      with ordinality as s(stage, state, place)
    left join bindery.stage_visits v
      on v.book_id = book.book_id and v.stage = s.stage ->> 'name');
end
$$;

-- About a kilobyte a book, so that a page can read 10,000 of them.
create or replace function bindery_internal.listed_row(book bindery.book_status) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  machine constant jsonb := bindery_internal.machine(book.pipeline, book.pipeline_version);
  health text;
  phase text := case when book.completed_at is not null then 'completed'
    when book.status = 'FAILED' then 'failed' when book.status = 'CANCELLED' then 'cancelled'
    else 'working' end;
  tags constant jsonb := book.metadata -> 'tags';
  row_of constant jsonb := jsonb_build_object(
    'book_id', book.book_id, 'owner_id', book.owner_id, 'title', book.title,
    'pipeline', book.pipeline, 'pipeline_version', book.pipeline_version,
    'status', book.status, 'current_stage', book.current_stage,
    'overall_progress', book.overall_progress, 'stage_progress', book.stage_progress,
    'substeps_total', book.substeps_total, 'substeps_done', book.substeps_done,
    'message', left(book.message, 500), 'attempt', book.attempt, 'revision', book.revision,
    'error', case when book.error is not null then jsonb_build_object(
      'code', left(book.error ->> 'code', 100), 'message', left(book.error ->> 'message', 500))
      end,
    'heartbeat_at', book.heartbeat_at, 'stage_entered_at', book.stage_entered_at,
    'stage_started_at', book.stage_started_at, 'resume_at', book.resume_at,
    'estimated_completion_at', book.estimated_completion_at, 'created_at', book.created_at,
    'updated_at', book.updated_at, 'completed_at', book.completed_at,
    'tags', case when jsonb_typeof(tags) = 'array' and octet_length(tags::text) <= 2000
      then tags else '[]' end);
begin
  if machine is null then
    return row_of || jsonb_build_object('phase', phase, 'max_attempts', null,
      'stages', jsonb_build_array(), 'health', null,
      'missing_pipeline', bindery_internal.missing_pipeline(
        book.book_id, book.pipeline, book.pipeline_version) - array['sqlstate', 'detail']);
  end if;
  health := bindery_internal.health(
    book, machine, bindery_internal.now(), bindery_internal.is_waiting(book.book_id));
  if phase = 'working' and bindery_internal.is_queued(book, machine, health) then
    phase := 'queued';
  end if;
  return row_of || jsonb_build_object(
    'phase', phase, 'health', health,
    'max_attempts', bindery_internal.state_of(machine, book.current_stage) -> 'max_attempts',
    'stages', bindery_core.stage_list(
      machine, book.status, book.current_stage, book.stage_progress));
end
$$;

comment on function bindery_internal.stage_medians(text, integer) is
  'The median duration in seconds of each state of a pipeline, {state: seconds}, of states with at '
  'least 3 visits; null without any.';
comment on function bindery_internal.stages_json(bindery.book_status, jsonb) is
  'The stages of a book with its visits and their median durations, as get_book_status lists them.';
comment on function bindery_internal.listed_row(bindery.book_status) is
  'A book as a row of a list, about a kilobyte: no substeps and no metadata but its tags (up to '
  '2 kB), of the error the code and the first 500 characters of the message, the stages without '
  'visits.';

-- queued_among: which of these books have not begun, or wait for a worker: the phase "queued" of
-- lists, worked out for many books at once.
-- Invariants: the condition is that of bindery_internal.is_queued. Callers give the ids that
-- row-level security lets them read.
create or replace function bindery_internal.is_queued(
  book bindery.book_status, machine jsonb, health text
) returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(health = 'waiting', false)
    or book.overall_progress = 0 and book.status = machine #>> '{states,0,name}';
$$;

create or replace function bindery_internal.queued_among(book_ids uuid[]) returns setof uuid
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  moment constant timestamptz := bindery_internal.now();
begin
  return query
  with known as materialized (
    select b.book_id, b.pipeline, b.pipeline_version, b.current_stage, b.overall_progress,
      moment - b.heartbeat_at as silence, exists (
        select from bindery_internal.waiting_books w where w.book_id = b.book_id) as has_job
    from unnest(queued_among.book_ids) as u(book_id)
    join bindery.book_status b on b.book_id = u.book_id
    where b.status = b.current_stage and b.completed_at is null
  ), places as materialized (
    -- There are few pipelines: each machine is read once, not once a book.
    select p.pipeline, p.pipeline_version, p.current_stage,
      p.current_stage = m.machine #>> '{states,0,name}' as is_first,
      bindery_internal.brief_silence((bindery_internal.state_of(m.machine, p.current_stage)
        ->> 'stall_after')::double precision) as brief
    from (select distinct k.pipeline, k.pipeline_version, k.current_stage from known k) p
    cross join lateral (
      select bindery_internal.machine(p.pipeline, p.pipeline_version) as machine offset 0) m
    where m.machine is not null
  )
  select k.book_id from known k join places p using (pipeline, pipeline_version, current_stage)
  where (k.overall_progress = 0 and p.is_first) or (k.has_job and k.silence > p.brief);
end
$$;

comment on function bindery_internal.is_queued(bindery.book_status, jsonb, text) is
  'Whether a book has not begun (it has no progress and is in the first state of its pipeline), or '
  'its health is waiting.';
comment on function bindery_internal.queued_among(uuid[]) is
  'The books among these that are queued, as bindery_internal.is_queued has it.';

-- The functions that read a book. SECURITY INVOKER and STABLE: row-level security decides what the
-- caller sees.
-- Invariants: a book that the caller may not read is unknown to it; an answer is at most 256 KiB,
-- whatever the book: stages and substeps 160 (stages below 96), error 24, metadata 32, the rest
-- below 40 kB.
create or replace function bindery_internal.health(
  book bindery.book_status, machine jsonb, moment timestamptz, is_waiting boolean
) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select case
    when book.status = 'FAILED' and book.error ->> 'code' = 'stalled' then 'stalled'
    when book.status <> book.current_stage then null
    when is_waiting and silence > bindery_internal.brief_silence(s.stall_after) then 'waiting'
    when s.stall_after is null then 'live'
    when silence > s.stall_after * interval '1 second' then 'stalled'
    when silence > s.stall_after / 2 * interval '1 second' then 'quiet'
    else 'live' end
  from (
    select moment - book.heartbeat_at,
      (bindery_internal.state_of(machine, book.current_stage) ->> 'stall_after')::double precision
  ) as s(silence, stall_after);
$$;

-- A caller's JSON, cut to fit: the members of an object, the smallest first.
create or replace function bindery_internal.cut_json(value jsonb, most_bytes integer) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if value is null or octet_length(value::text) <= most_bytes then
    return value;
  end if;
  return (
    select coalesce(jsonb_object_agg(m.key, m.value) filter (where m.used <= most_bytes - 100),
      '{}')
      || '{"cut": true}'
    from (
      select e.key, e.value, sum(octet_length(e.value::text) + octet_length(to_json(e.key)::text)
        + 4) over (order by octet_length(e.value::text), e.key) as used
      from jsonb_each(case when jsonb_typeof(value) = 'object' then value else '{}' end) e) m);
end
$$;

create or replace function bindery_internal.book_json(book bindery.book_status) returns jsonb
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return to_jsonb(book)
    - array['substeps_weight', 'substeps_points', 'stage_base', 'stage_share']
    || jsonb_build_object('error', bindery_internal.cut_json(book.error, 24000),
      'metadata', bindery_internal.cut_json(book.metadata, 32000));
end
$$;

-- The current stage's substeps as a status shows them, as many as fit, at most 200: those in
-- progress first, then pending ones, then those that are done; within each group the declared ones
-- in their order, then by key. since: only those that changed after this revision.
create or replace function bindery_internal.shown_substeps(
  book bindery.book_status, since bigint, most_bytes integer
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  declared constant jsonb := bindery_internal.state_of(
    bindery_internal.book_machine(book), book.current_stage)
    -> 'substeps';
begin
  return (
    select coalesce(jsonb_agg(f.shown order by f.rank, f.place, f.substep), '[]')
    from (
      select s.*, sum(octet_length(s.shown::text) + 2)
        over (order by s.rank, s.place, s.substep) as used
      from (
        select bindery_internal.substep_json(c.g, declared) as shown, c.rank, c.place, c.substep
        from (
          select g, g.substep, d.place,
            case when g.progress >= 100 then 3 when g.progress > 0 then 1 else 2 end as rank
          from bindery.book_progress g
          left join (
            select e.value ->> 'substep' as substep, e.place
            from jsonb_array_elements(declared) with ordinality as e(value, place)) d
            on d.substep = g.substep
          where g.book_id = book.book_id and g.stage = book.current_stage
            and (since is null or g.revision > since)
          order by rank, d.place, g.substep limit 200) c) s) f
    where f.used <= most_bytes);
end
$$;

create or replace function bindery_internal.status_json(
  book bindery.book_status, machine jsonb, stages jsonb, substeps jsonb
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return bindery_internal.book_json(book) || jsonb_build_object(
    'substeps', substeps, 'stages', stages,
    'health', bindery_internal.health(
      book, machine, bindery_internal.now(), bindery_internal.is_waiting(book.book_id)));
end
$$;

-- How many bytes of a status are for substeps, beside these stages.
create or replace function bindery_internal.substeps_bytes(stages jsonb) returns integer
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return least(96000, 160000 - octet_length(stages::text));
end
$$;

-- A book in a list. If its pipeline is missing, the list does not fail: the book has no stages and
-- the error under missing_pipeline.
create or replace function bindery_internal.listed_status(
  book bindery.book_status, since_revision bigint default null
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if bindery_internal.machine(book.pipeline, book.pipeline_version) is null then
    return bindery_internal.book_json(book) || jsonb_build_object('substeps', jsonb_build_array(),
        'stages', jsonb_build_array(), 'health', null,
        'missing_pipeline', bindery_internal.missing_pipeline(
          book.book_id, book.pipeline, book.pipeline_version) - array['sqlstate', 'detail'])
      || case when since_revision is null then '{}' else '{"substeps_partial": false}' end::jsonb;
  end if;
  return case when since_revision is null then bindery.get_book_status(book.book_id)
    else bindery.get_book_changes(book.book_id, since_revision) end;
end
$$;

create or replace function bindery.get_book_status(book_id uuid) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  machine jsonb;
  stages jsonb;
begin
  select b.* into book from bindery.book_status b where b.book_id = get_book_status.book_id;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(get_book_status.book_id));
  end if;
  machine := bindery_internal.book_machine(book);
  stages := bindery_internal.stages_json(book, machine);
  return bindery_internal.status_json(book, machine, stages,
    bindery_internal.shown_substeps(book, null, bindery_internal.substeps_bytes(stages)));
end
$$;

create or replace function bindery.get_book_changes(book_id uuid, since_revision bigint)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  changed bigint;
  machine jsonb;
  stages jsonb;
  substeps jsonb;
  most_bytes integer;
begin
  select b.* into book from bindery.book_status b where b.book_id = get_book_changes.book_id;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(get_book_changes.book_id));
  end if;
  machine := bindery_internal.book_machine(book);
  stages := bindery_internal.stages_json(book, machine);
  most_bytes := bindery_internal.substeps_bytes(stages);
  -- The whole list if the stage was entered or left since then, if not all changes fit, or if no
  -- substep is unchanged (one may have been deleted: follow_progress).
  if since_revision <= book.revision and not exists (
    select from bindery.book_events e
    where e.book_id = book.book_id and e.revision > since_revision)
  then
    select count(*) into changed from (
      select from bindery.book_progress g
      where g.book_id = book.book_id and g.stage = book.current_stage
        and g.revision > since_revision
      limit 201) c;
    substeps := bindery_internal.shown_substeps(book, since_revision, most_bytes);
    if jsonb_array_length(substeps) = changed and exists (
      select from bindery.book_progress g
      where g.book_id = book.book_id and g.stage = book.current_stage
        and g.revision <= since_revision)
    then
      return bindery_internal.status_json(book, machine, stages, substeps)
        || '{"substeps_partial": true}';
    end if;
  end if;
  return bindery_internal.status_json(book, machine, stages,
      bindery_internal.shown_substeps(book, null, most_bytes))
    || '{"substeps_partial": false}';
end
$$;

create or replace function bindery.list_substeps(
  book_id uuid, stage text default null, after text default null,
  max_substeps integer default 200
) returns table (
  substep text, label text, weight double precision, state text, progress double precision,
  done double precision, total double precision, unit text, message text, checkpoint jsonb,
  attempt integer, revision bigint, started_at timestamptz, updated_at timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  declared jsonb;
  at_stage text;
begin
  select b.* into book from bindery.book_status b where b.book_id = list_substeps.book_id;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(list_substeps.book_id));
  elsif max_substeps is null or max_substeps not between 1 and 1000 then
    perform bindery_internal.raise_error(bindery_internal.bad_input(
      'max_substeps', 'is not between 1 and 1,000', 'Give how many substeps a page may have.'));
  end if;
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_text('stage', list_substeps.stage, 63),
    bindery_internal.refused_text('after', list_substeps.after, 63)));
  at_stage := coalesce(list_substeps.stage, book.current_stage);
  declared := bindery_internal.state_of(
    bindery_internal.book_machine(book), at_stage) -> 'substeps';
  if declared is null then
    perform bindery_internal.raise_error(bindery_internal.refused_report(
      'unknown_stage', book.book_id, at_stage, null, null));
  end if;
  return query
  select g.substep::text, j.shown ->> 'label', g.weight, j.shown ->> 'state', g.progress,
    g.done, g.total, g.unit, g.message, g.checkpoint, g.attempt, g.revision, g.started_at,
    g.updated_at
  from bindery.book_progress g
  cross join lateral (select bindery_internal.substep_json(g, declared) as shown) j
  where g.book_id = book.book_id and g.stage = at_stage
    and (list_substeps.after is null or g.substep > list_substeps.after)
  order by g.substep limit max_substeps;
end
$$;

-- A book's resume point. after: the last substep of the previous page. Of the remaining substeps,
-- returns as many as fit into max_bytes, at least one if at_least_one is set; the loop reads no
-- further, since checkpoints may be large.
create or replace function bindery_internal.resume_point(
  book bindery.book_status, after text, max_bytes integer, at_least_one boolean
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  declared constant jsonb := bindery_internal.state_of(
    bindery_internal.book_machine(book), book.current_stage)
    -> 'substeps';
  order_of constant text[] := array(
    select e.value ->> 'substep' from jsonb_array_elements(declared) as e(value));
  point jsonb := jsonb_build_object('book_id', book.book_id, 'status', book.status,
    'stage', book.current_stage, 'attempt', book.attempt, 'revision', book.revision);
  done jsonb;
  rest jsonb[] := '{}';
  part bindery.book_progress;
  item jsonb;
  bytes bigint;
begin
  select coalesce(jsonb_agg(g.substep
    order by array_position(order_of, g.substep), g.substep), '[]')
  into done
  from bindery.book_progress g
  where g.book_id = book.book_id and g.stage = book.current_stage and g.progress >= 100;
  bytes := octet_length(done::text);
  if bytes > max_bytes and not at_least_one then
    return point || '{"done": [], "left": [], "cut": true}';
  end if;
  for part in
    select g.* from bindery.book_progress g
    where g.book_id = book.book_id and g.stage = book.current_stage and g.progress < 100
      and (after is null
        or (coalesce(array_position(order_of, g.substep), 2147483647), g.substep)
          > (coalesce(array_position(order_of, after), 2147483647), after collate "C"))
    order by array_position(order_of, g.substep), g.substep
  loop
    item := bindery_internal.substep_json(part, declared) - array['state', 'label']
      || jsonb_build_object('checkpoint', part.checkpoint);
    bytes := bytes + octet_length(item::text);
    if bytes > max_bytes and not (at_least_one and rest = '{}') then
      -- Leave all of them out, so that no client takes a part for the whole.
      return point || case when at_least_one
        then jsonb_build_object('done', done, 'left', to_jsonb(rest), 'cut', true)
        else '{"done": [], "left": [], "cut": true}' end;
    end if;
    rest := rest || item;
  end loop;
  return point || jsonb_build_object('done', done, 'left', to_jsonb(rest));
end
$$;

create or replace function bindery.get_resume_point(book_id uuid, after text default null)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  if bindery_internal.is_worker() then
    return bindery_internal.worker_resume_point(get_resume_point.book_id, get_resume_point.after);
  end if;
  select b.* into book from bindery.book_status b where b.book_id = get_resume_point.book_id;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(get_resume_point.book_id));
  end if;
  perform bindery_internal.raise_error(
    bindery_internal.refused_text('after', get_resume_point.after, 63));
  return bindery_internal.resume_point(book, get_resume_point.after, 1048576, true);
end
$$;

create or replace function bindery.list_books(max_books integer default 100)
returns setof bindery.book_status
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select b.* from bindery.book_status b
  order by b.created_at desc, b.book_id limit least(greatest(max_books, 0), 1000);
$$;

comment on function bindery.get_book_status(uuid) is
  'Where a book stands, as one JSON object of at most 256 KiB.
The columns of book_status; substeps: at most 200 of the current stage, unfinished first '
  '([{substep, label, weight, state: active|pending|done, progress, done?, total?, unit?, '
  'message?}], messages cut to 500 characters; bindery.list_substeps gives all); stages '
  '([{name, label, weight, state: done|active|pending|failed|cancelled, progress, attempt, '
  'started_at, seconds, median_seconds, max_attempts}]: attempts so far, when the last visit '
  'began, how long it took once it ended forward, the median of at least 3 visits of books); '
  'health (live, waiting, quiet or stalled; null once halted or completed). An error or metadata '
  'that is too large is cut and has "cut": true. PT404 unknown_book, PT409 missing_pipeline.';
comment on function bindery.get_book_changes(uuid, bigint) is
  'As get_book_status, with only the substeps that changed after a revision.
substeps_partial: true: merge them by substep into what you have; false: they are the whole list, '
  'since the stage was entered or left after that revision, or since the changes do not fit. PT404 '
  'unknown_book.';
comment on function bindery.list_substeps(uuid, text, text, integer) is
  'The substeps of a stage (the current one unless named), a page at a time, in order of substep.
after: the last substep of the page before; max_substeps: 1 to 1,000. PT404 unknown_book or '
  'unknown_stage, PT422 bad_input.';
comment on function bindery_internal.resume_point(
  bindery.book_status, text, integer, boolean) is
  'What bindery.get_resume_point gives, of at most so many bytes. at_least_one: also a first '
  'substep that is larger, and the part that fits; else no list at all where one is cut.';
comment on function bindery.get_resume_point(uuid, text) is
  'What a worker needs to continue a book, as one JSON object of about a megabyte at most.
{book_id, status, stage, attempt, revision, done: [substep], left: [{substep, weight, progress, '
  'done?, total?, unit?, message?, checkpoint}], cut?}. cut is true where left has not all of '
  'them: ask again with after, the last substep of left. PT404 unknown_book, PT422 bad_input.';
comment on function bindery.list_books(integer) is
  'The newest books the caller may read, up to 1,000 (100 by default).
For filters and paging read the table book_status.';
comment on function bindery_internal.health(bindery.book_status, jsonb, timestamptz, boolean) is
  'live, waiting (its job waits in a BullMQ queue, and it was silent briefly), quiet (no heartbeat '
  'for half of stall_after), stalled (none for all of it, or FAILED because of it); null once '
  'halted or complete.';
comment on function bindery_internal.cut_json(jsonb, integer) is
  'JSON of at most so many bytes: as it is, or the small members of an object with "cut": true.';
comment on function bindery_internal.book_json(bindery.book_status) is
  'A book''s row as JSON, without the internal columns; a large error or metadata is cut.';
comment on function bindery_internal.shown_substeps(bindery.book_status, bigint, integer) is
  'The substeps of the current stage as statuses show them, at most 200 and so many bytes; since: '
  'only those that changed after this revision.';
comment on function bindery_internal.listed_status(bindery.book_status, bigint) is
  'A book of a list, as get_book_status or get_book_changes gives it; one whose pipeline is '
  'missing has no stages, and missing_pipeline: {code, message, hint}.';
comment on function bindery_internal.status_json(bindery.book_status, jsonb, jsonb, jsonb) is
  'A book with these stages and substeps, and its health, as get_book_status gives it.';
comment on function bindery_internal.substeps_bytes(jsonb) is
  'How many bytes of a status are for substeps, beside these stages: together 160 kB at most.';

-- status_at: a book's status at a moment, from its history.
-- Invariants: SECURITY INVOKER and STABLE; null before the book was registered.
create or replace function bindery.status_at(book_id uuid, at timestamptz) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if status_at.at is null then
    perform bindery_internal.raise_error(bindery_internal.bad_input('at', 'is missing',
      'Give the moment to look back to.'));
  elsif not exists (select from bindery.book_status b where b.book_id = status_at.book_id) then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(status_at.book_id));
  end if;
  return (
    select jsonb_build_object('book_id', e.book_id, 'status', e.to_status, 'stage', e.stage,
      'attempt', e.attempt,
      'revision', e.revision, 'since', e.at, 'actor', e.actor, 'message', e.message, 'data', e.data)
    from bindery.book_events e
    -- If the next row begins at another status, the rows between were pruned: the status is
    -- unknown.
    left join lateral (
      select n.from_status from bindery.book_events n
      where n.book_id = e.book_id and n.revision > e.revision order by n.revision limit 1) n on true
    where e.book_id = status_at.book_id and e.revision = (
        select max(l.revision) from bindery.book_events l where l.book_id = status_at.book_id
          and l.at <= status_at.at)
      and coalesce(n.from_status, e.to_status) = e.to_status);
end
$$;

comment on function bindery.status_at(uuid, timestamptz) is
  'What a book''s status was at a moment, from its history, as one JSON object; null before it '
  'was registered, or where that history was pruned.
{book_id, status, stage, attempt, revision, since, actor, message, data}. PT404 unknown_book, '
  'PT422 bad_input.';

-- broadcast: books as messages of Supabase Realtime, to the private topics
-- book:<book_id>:<owner_id>, or book:<book_id> for a book without an owner, and owner:<owner_id>.
-- Invariants: an error here never fails the announced change; a payload stays below 32 KiB and
-- names the parts that were left out. The owner is part of the topic, so that a former owner's
-- channel receives nothing more, although Realtime checks rights only when a channel is joined.
-- Locks: waits at most 100 ms for a lock of another session.
create or replace function bindery_internal.book_topic(book_id uuid, owner_id uuid) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select concat_ws(':', 'book', book_id, owner_id);
$$;

create or replace function bindery_internal.broadcast_payload(
  book bindery.book_status, substeps jsonb
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  payload jsonb := bindery_internal.book_json(book) || case
    when substeps is null then jsonb_build_object('substeps_partial', false,
      'substeps', bindery_internal.shown_substeps(book, null, 16000))
    when substeps = 'null' then '{"substeps_partial": true}'
    when jsonb_typeof(substeps) = 'object' then '{"substeps_partial": true}' || substeps
    else jsonb_build_object('substeps_partial', true, 'substeps', substeps) end;
  left_out text[] := case when substeps = 'null' then '{substeps}' else '{}' end;
  part text;
begin
  -- Remove the largest parts first, and among them those that a screen needs least.
  foreach part in array array['metadata', 'error', 'substeps', 'message', 'title'] loop
    exit when octet_length(payload::text) <= 30000;
    if octet_length((payload -> part)::text) > 1000 then
      payload := payload - part;
      left_out := left_out || part;
    end if;
  end loop;
  return payload || case when left_out = '{}' then '{}'
    else jsonb_build_object('partial', true, 'left_out', left_out) end;
end
$$;

-- Broadcasts the books that are not held back.
create or replace function bindery_internal.broadcast(book_ids uuid[], substeps jsonb[])
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  due record;
  problem text;
begin
  -- A subtransaction, so that a window is opened only for a broadcast that was sent: one for all
  -- books (more than 64 slow down every other session), and none if everything is held back.
  begin
    due := bindery_internal.open_windows(book_ids, substeps);
    if due.book_ids is null then
      return;
    end if;
    problem := bindery_internal.send_messages(due.book_ids, due.substeps, null);
    if problem is null then
      return;
    end if;
    raise exception sqlstate 'BD000';
  exception
    when sqlstate 'BD000' then
      null;
    when others then
      problem := format('%s (SQLSTATE %s)', sqlerrm, sqlstate);
  end;
  perform bindery_internal.warn_not_broadcast(cardinality(book_ids), problem);
end
$$;

-- One warning a transaction.
create or replace function bindery_internal.warn_not_broadcast(books integer, problem text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if coalesce(current_setting('bindery.not_broadcast', true), '') <> 'warned' then
    perform set_config('bindery.not_broadcast', 'warned', true);
    raise warning '% changed books were not broadcast: %.', books, problem;
  end if;
end
$$;

-- Returns the error, or null.
create or replace function bindery_internal.send_messages(
  book_ids uuid[], substeps jsonb[], departures jsonb
) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
as $$
declare
  -- By name, because neither has to exist.
  messages text;
  send regprocedure;
  message record;
  problem text;
begin
  begin
    -- The table that realtime.send writes to, in one statement for the whole batch.
    messages := to_regclass('realtime.messages');
    if messages is not null then
      execute format('insert into %s (payload, event, topic, private, extension)
        select t.payload, t.event, t.topic, true, ''broadcast''
        from bindery_internal.broadcast_messages($1, $2, $3) t', messages)
      using book_ids, substeps, departures;
      return null;
    end if;
    problem := 'there is no table realtime.messages (SQLSTATE 42P01)';
  exception
    -- The table of another version of Realtime has other columns.
    when undefined_column or undefined_table or not_null_violation or datatype_mismatch then
      problem := format('%s (SQLSTATE %s)', sqlerrm, sqlstate);
    -- realtime.send would fail the same way, with a warning a message: no partition for today, no
    -- right to write, a lock.
    when others then
      return format('%s (SQLSTATE %s)', sqlerrm, sqlstate);
  end;
  -- Another version of Realtime may store its messages elsewhere, but has this function. If its
  -- table is missing, the function turns every error into a warning.
  begin
    send := to_regprocedure('realtime.send(jsonb,text,text,boolean)');
    if messages is null and (
      select strpos(p.prosrc, 'realtime.messages') > 0 from pg_catalog.pg_proc p
      where p.oid = send)
    then
      return problem;
    end if;
    for message in
      select t.topic, t.event, t.payload
      from bindery_internal.broadcast_messages(book_ids, substeps, departures) t
    loop
      execute format('select %s($1, $2, $3, $4)', send::regproc)
      using message.payload, message.event, message.topic, true;
    end loop;
    return null;
  exception when others then
    return format('%s (SQLSTATE %s)', sqlerrm, sqlstate);
  end;
end
$$;

create or replace function bindery_internal.broadcast_messages(
  book_ids uuid[], substeps jsonb[], departures jsonb
) returns table (topic text, event text, payload jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_indexscan = off
set plan_cache_mode = force_generic_plan
-- Some rows can only be reached by a disabled plan node; the cost of such a plan is so high that
-- Postgres would JIT-compile it, which takes longer than the query.
set jit = off
as $$
begin
  return query
  select t.topic, 'book_status', p.payload
  from unnest(book_ids, substeps) as c(book_id, substeps)
  join bindery.book_status b on b.book_id = c.book_id
  cross join lateral (select bindery_internal.broadcast_payload(b, c.substeps) as payload) p
  cross join lateral (values
    (bindery_internal.book_topic(b.book_id, b.owner_id)), ('owner:' || b.owner_id)) t(topic)
  where t.topic is not null
  order by b.book_id, t.topic;
  if departures is not null then
    return query
    select t.topic, 'gone',
      jsonb_build_object('book_id', d.book_id, 'revision', d.revision, 'gone', true)
    from jsonb_to_recordset(departures) as d(book_id uuid, owner_id uuid, revision bigint)
    cross join lateral (values
      (bindery_internal.book_topic(d.book_id, d.owner_id)), ('owner:' || d.owner_id)) t(topic)
    where t.topic is not null;
  end if;
end
$$;

create or replace function bindery_internal.broadcasts() returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select case current_setting('bindery.broadcast', true)
    when 'off' then false
    when 'on' then true
    else coalesce((select s.broadcast from bindery.settings s), true) end;
$$;

comment on function bindery_internal.broadcasts() is
  'Whether books are broadcast: as the session''s bindery.broadcast sets it, on or off, else as '
  'bindery.settings does.';
comment on function bindery_internal.book_topic(uuid, uuid) is
  'The topic of a book that has this owner: book:<book_id>:<owner_id>, or book:<book_id>.';
comment on function bindery_internal.broadcast_payload(bindery.book_status, jsonb) is
  'A book as a broadcast''s payload, below 32 KiB: its row, and the changed substeps '
  '(substeps_partial true; with since_revision where it covers more than one revision) or, for '
  'null, its list of substeps. What is too large, and substeps '
  'that are JSON''s null, are left out and named in left_out, with partial true.';
comment on function bindery_internal.broadcast(uuid[], jsonb[]) is
  'Sends these books to Realtime''s topics, except those that are held back. A failure is a '
  'warning, one a transaction, never an error.';
comment on function bindery_internal.warn_not_broadcast(integer, text) is
  'Warns that so many books were not broadcast, once a transaction.';
comment on function bindery_internal.send_messages(uuid[], jsonb[], jsonb) is
  'Sends the messages of broadcast_messages. Null: sent; else what went wrong, and nothing was '
  'sent.';
comment on function bindery_internal.broadcast_messages(uuid[], jsonb[], jsonb) is
  'The messages of these books: one to the book''s topic, and one to owner:<owner_id> where it has '
  'an owner; and of these departures ([{book_id, owner_id, revision}]), to the topics they had.';

-- open_windows: decides which changed books are broadcast at once, and which are held back.
-- Invariants: a change of status, attempt or owner is never held back. Any other change is held
-- back for as long as the book's window is open; the window's row stays until send_held_broadcasts
-- has sent the newest state. A window is as long as broadcast_every, and longer if so many books
-- change that there would be more messages than broadcasts_per_second. The first broadcast after a
-- held-back change has every substep that changed since the last broadcast.
-- A change is held back only before due_at, by a session that has locked the book, and a row is
-- removed only after due_at, by a session that has locked the book: no change falls in between,
-- whatever the isolation level.
-- Locks: the caller has locked the books.
create or replace function bindery_internal.window_length() returns interval
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select case when s.broadcast_every = interval '0' then interval '0'
      else greatest(s.broadcast_every, least(interval '1 minute', (
        -- Two topics a book.
        select count(*) * 2.0 / s.broadcasts_per_second * interval '1 second'
        from (select from bindery_internal.broadcast_windows limit 10000) w))) end
    from bindery.settings s where s.only_row);
end
$$;

create or replace function bindery_internal.open_windows(
  inout book_ids uuid[], inout substeps jsonb[]
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- Book by book through the primary keys, independent of the tables' statistics; planned once.
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
-- The cost of a plan with a disabled node is so high that Postgres would JIT-compile it.
set jit = off
as $$
declare
  every constant interval := bindery_internal.window_length();
  moment constant timestamptz := bindery_internal.now();
  -- For books with a held-back change, the revision that was sent last.
  since bigint[];
begin
  with due as materialized (
    select c.book_id, c.substeps, b.revision, b.status, b.attempt, b.owner_id,
      case when c.substeps is not null and b.revision > w.revision + 1 then w.revision end as since,
      w.book_id is not null as known,
      -- A window is for progress. A change of status opens none, so that the next report is
      -- broadcast at once.
      case when w.book_id is null
        then c.substeps is null and exists (
          select from bindery.book_events e
          where e.book_id = b.book_id and e.revision = b.revision)
        else (w.status, w.attempt, w.owner_id) is distinct from (b.status, b.attempt, b.owner_id)
      end as moved
    from unnest(open_windows.book_ids, open_windows.substeps) as c(book_id, substeps)
    join bindery.book_status b on b.book_id = c.book_id
    left join lateral (
      select v.* from bindery_internal.broadcast_windows v
      where v.book_id = c.book_id limit 1) w on true
    where w.book_id is null
      or (w.status, w.attempt, w.owner_id) is distinct from (b.status, b.attempt, b.owner_id)
      -- If the clock is set back, hold back no longer than one window.
      or moment >= w.due_at or moment < w.due_at - interval '1 minute'
  ), opened as (
    insert into bindery_internal.broadcast_windows as w
      (book_id, opened_at, due_at, revision, status, attempt, owner_id)
    select d.book_id, moment, moment + every, d.revision, d.status, d.attempt, d.owner_id
    from due d
    where d.known or (every > interval '0' and not d.moved)
    on conflict on constraint broadcast_windows_pkey do update
    set opened_at = case when (w.status, w.attempt, w.owner_id)
            is distinct from (excluded.status, excluded.attempt, excluded.owner_id)
          then w.opened_at else excluded.opened_at end,
        due_at = case when (w.status, w.attempt, w.owner_id)
            is distinct from (excluded.status, excluded.attempt, excluded.owner_id)
          then w.due_at else excluded.due_at end,
        revision = excluded.revision, status = excluded.status, attempt = excluded.attempt,
        owner_id = excluded.owner_id,
        held_back = w.held_back + greatest(excluded.revision - w.revision - 1, 0)
  )
  -- After a change of status, send the whole list.
  select array_agg(d.book_id),
    array_agg(case when d.moved and d.since is not null then null else d.substeps end),
    array_agg(case when not d.moved then d.since end)
  into book_ids, substeps, since from due d;
  substeps := bindery_internal.substeps_since(book_ids, substeps, since);
end
$$;

-- Adds the substeps of held-back changes. In a stage of many substeps, and in a batch with very
-- many such books, they are left out: finding the changes would cost more than the reports.
create or replace function bindery_internal.substeps_since(
  book_ids uuid[], substeps jsonb[], since bigint[]
) returns jsonb[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
set jit = off
as $$
declare
  held constant integer := cardinality(array_remove(since, null));
begin
  if coalesce(held, 0) = 0 then
    return substeps;
  end if;
  return (
    select array_agg(case when c.since is null then c.substeps
      when b.substeps_total > 200 or held > 500 then 'null'
      when l.changed is not null then jsonb_build_object(
        'since_revision', c.since, 'substeps', l.changed) end order by c.place)
    from unnest(book_ids, substeps_since.substeps, since) with ordinality
      as c(book_id, substeps, since, place)
    join bindery.book_status b on b.book_id = c.book_id
    cross join lateral (
      select bindery_internal.state_of(m.machine, b.current_stage) -> 'substeps' as declared
      from bindery.pipelines m
      where m.name = b.pipeline and m.version = b.pipeline_version offset 0) d
    cross join lateral (
      -- The whole list if no substep is unchanged: one may have been deleted (follow_progress).
      select case when count(*) > count(*) filter (where g.revision > c.since) then coalesce(
        jsonb_agg(bindery_internal.substep_json(g, d.declared)
          order by g.substep) filter (where g.revision > c.since), '[]') end as changed
      from bindery.book_progress g
      where g.book_id = b.book_id and g.stage = b.current_stage
        and c.since is not null and b.substeps_total <= 200 and held <= 500) l);
end
$$;

comment on function bindery_internal.window_length() is
  'How long a window is that is opened now: broadcast_every, or as much longer as '
  'broadcasts_per_second needs, up to 1 minute; 0: none is opened.';
comment on function bindery_internal.open_windows(uuid[], jsonb[]) is
  'Of these changed books and their changed substeps (null: the whole list) those that are to be '
  'broadcast now; notes in broadcast_windows what is sent. Null: all are held back.';
comment on function bindery_internal.substeps_since(uuid[], jsonb[], bigint[]) is
  'The changed substeps of these books: as given, or, where since is given, {since_revision, '
  'substeps}: those that changed after this revision; null: the whole list; JSON''s null: more '
  'than can be looked for.';

-- announce: announces changed books, by Supabase Realtime's broadcast if it is installed, else by
-- NOTIFY.
-- Invariants: a hint only, rows and revisions are the truth; an error here never fails the change.
-- A function announces a book once, at its end; a plain statement's books are collected row by row
-- in the setting bindery.changed and announced after the statement. NOTIFY holds a lock of the
-- whole cluster until its commit is on disk, so only one session at a time notifies: any other
-- session leaves its books in unannounced.
-- Locks: the mutex notify, if it is free; never waits for it. Waits at most 100 ms for a lock of
-- another session.
create or replace function bindery_internal.announce_books(
  book_ids uuid[], revisions bigint[], substeps jsonb[]
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  nothing text;
begin
  if book_ids is null or book_ids = '{}' then
    return;
  -- Check the schema first: this is faster, and to_regprocedure raises an error without USAGE.
  elsif has_schema_privilege(to_regnamespace('realtime'), 'usage')
    and to_regprocedure('realtime.send(jsonb,text,text,boolean)') is not null
  then
    if bindery_internal.broadcasts() then
      perform bindery_internal.broadcast(book_ids, substeps);
    end if;
    return;
  end if;
  perform from bindery.settings s, bindery_internal.mutexes m
  where s.notify and m.task = 'notify' for no key update of m skip locked;
  if found then
    nothing := bindery_internal.notify_books(book_ids, revisions);
  elsif bindery_internal.notifies() then
    -- Bounded, in case no session announces these rows.
    if pg_relation_size('bindery_internal.unannounced') < 16777216 then
      insert into bindery_internal.unannounced (book_id, revision)
      select u.book_id, u.revision from unnest(book_ids, revisions) as u(book_id, revision);
    end if;
  end if;
end
$$;

create or replace function bindery_internal.notify_books(book_ids uuid[], revisions bigint[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  nothing text;
begin
  for i in 1 .. cardinality(book_ids) loop
    -- Joined as text, which is much faster than building JSON; neither value needs quoting.
    nothing := pg_notify('bindery',
      '{"book_id": "' || book_ids[i] || '", "revision": ' || revisions[i] || '}');
  end loop;
end
$$;

create or replace function bindery_internal.notifies() returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return not bindery_internal.has_realtime() and (select s.notify from bindery.settings s);
end
$$;

-- Announces the books in unannounced. Rows that another session is inserting or announcing are left
-- for the next call.
create or replace function bindery_internal.announce_left() returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  book_ids uuid[];
  revisions bigint[];
begin
  with taken as (
    delete from bindery_internal.unannounced u
    where u.ctid = any (array(
      select l.ctid from bindery_internal.unannounced l limit 10000 for update skip locked))
    returning u.book_id, u.revision
  )
  select array_agg(t.book_id), array_agg(t.revision) into book_ids, revisions
  from (select n.book_id, max(n.revision) as revision from taken n group by n.book_id) t;
  if book_ids is null then
    return 0;
  elsif bindery_internal.notifies() then
    perform bindery_internal.notify_books(book_ids, revisions);
  end if;
  return cardinality(book_ids);
end
$$;

create or replace function bindery_internal.has_realtime() returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(has_schema_privilege(to_regnamespace('realtime'), 'usage'), false)
    and to_regprocedure('realtime.send(jsonb,text,text,boolean)') is not null;
end
$$;

-- Announces one book in its present state or, in a batch, collects it for the batch's end.
create or replace function bindery_internal.announce_book(book_id uuid, substeps jsonb)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  nothing text;
begin
  if coalesce(current_setting('bindery.batching', true), '') = 'yes' then
    nothing := bindery_internal.collect_change(announce_book.book_id);
    return;
  end if;
  perform bindery_internal.announce_books(array[b.book_id], array[b.revision], array[substeps])
  from bindery.book_status b where b.book_id = announce_book.book_id;
end
$$;

-- For the triggers that follow a plain statement row by row, and for batches.
create or replace function bindery_internal.collect_change(book_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  collected text := coalesce(current_setting('bindery.changed', true), '');
begin
  -- Each row copies the collected ids, so a statement on very many books announces them in parts.
  if length(collected) >= 37 * 1000
    and coalesce(current_setting('bindery.batching', true), '') <> 'yes'
  then
    perform bindery_internal.announce_those(collected);
    collected := '';
  end if;
  collected := set_config('bindery.changed', collected || collect_change.book_id || ' ', true);
end
$$;

-- Announces these books in their present state. collected: their ids, each followed by a blank.
create or replace function bindery_internal.announce_those(collected text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform bindery_internal.announce_books(array_agg(b.book_id), array_agg(b.revision), null)
  from bindery.book_status b
  where b.book_id = any (string_to_array(rtrim(collected), ' ')::uuid[]);
end
$$;

create or replace function bindery_internal.announce_collected() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  collected constant text := coalesce(current_setting('bindery.changed', true), '');
  nothing text;
begin
  if collected <> '' then
    nothing := set_config('bindery.changed', '', true);
    perform bindery_internal.announce_those(collected);
  end if;
  return null;
end
$$;

create or replace trigger zz_announce after insert or update on bindery.book_status
for each statement
when (current_setting('bindery.writer', true) is distinct from pg_trigger_depth()::text)
execute function bindery_internal.announce_collected();

comment on function bindery_internal.announce_books(uuid[], bigint[], jsonb[]) is
  'Announces that these books have these revisions: broadcasts where realtime.send exists and is '
  'not switched off, else NOTIFY bindery. substeps: for each book its changed substeps, null for '
  'the whole list.';
comment on function bindery_internal.notify_books(uuid[], bigint[]) is
  'NOTIFY bindery, once a book, that these books have these revisions.';
comment on function bindery_internal.notifies() is
  'Whether changed books are announced by NOTIFY.';
comment on function bindery_internal.announce_left() is
  'Announces by NOTIFY up to 10,000 changes that were left in unannounced; gives how many books.';
comment on function bindery_internal.has_realtime() is
  'Whether Supabase Realtime''s function send exists here.';
comment on function bindery_internal.announce_book(uuid, jsonb) is
  'Announces one book; in a batch at its end. substeps: its changed ones; null: the whole list.';
comment on function bindery_internal.collect_change(uuid) is
  'Collects a book that is to be announced at the end of the statement or the batch.';
comment on function bindery_internal.announce_those(text) is
  'Announces the collected books as they stand now.';
comment on function bindery_internal.announce_collected() is
  'Announces the books that a plain statement changed.';

-- announce_departures: announces a book that changes its owner or is deleted to its former topics,
-- with the event gone.
-- Invariants: one statement, one set of messages; without Realtime, does nothing.
-- The owners of an UPDATE are collected row by row in the setting bindery.departed: a transition
-- table would copy the rows of every report.
-- Locks: waits at most 100 ms for a lock of another session.
create or replace function bindery_internal.send_departures(departures jsonb) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  problem text;
begin
  if bindery_internal.has_realtime() and bindery_internal.broadcasts() then
    problem := bindery_internal.send_messages(null, null, departures);
    if problem is not null then
      perform bindery_internal.warn_not_broadcast(jsonb_array_length(departures), problem);
    end if;
  end if;
end
$$;

create or replace function bindery_internal.announce_deletion() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  -- A client ignores revisions that are not newer than its own.
  departures jsonb;
begin
  if not bindery_internal.has_realtime() then
    return null;
  end if;
  select jsonb_agg(jsonb_build_object(
    'book_id', d.book_id, 'owner_id', d.owner_id, 'revision', d.revision + 1))
  into departures from deleted d;
  if departures is not null then
    delete from bindery_internal.broadcast_windows w
    using jsonb_to_recordset(departures) as d(book_id uuid) where w.book_id = d.book_id;
    perform bindery_internal.send_departures(departures);
  end if;
  return null;
end
$$;

create or replace trigger announce_deletion after delete on bindery.book_status
referencing old table as deleted
for each statement execute function bindery_internal.announce_deletion();

create or replace function bindery_internal.collect_departure() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  collected text := coalesce(current_setting('bindery.departed', true), '');
begin
  if not bindery_internal.has_realtime() then
    return null;
  end if;
  -- Each row copies the collected ids, so a statement on very many books announces them in parts.
  if length(collected) >= 100000 then
    perform bindery_internal.send_departures(('[' || rtrim(collected, ',') || ']')::jsonb);
    collected := '';
  end if;
  perform set_config('bindery.departed', collected || jsonb_build_object('book_id', old.book_id,
    'owner_id', old.owner_id, 'revision', new.revision) || ',', true);
  return null;
end
$$;

create or replace trigger collect_departure after update of owner_id on bindery.book_status
for each row when (old.owner_id is distinct from new.owner_id)
execute function bindery_internal.collect_departure();

create or replace function bindery_internal.announce_departed() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  collected constant text := coalesce(current_setting('bindery.departed', true), '');
begin
  if collected <> '' then
    perform set_config('bindery.departed', '', true);
    perform bindery_internal.send_departures(('[' || rtrim(collected, ',') || ']')::jsonb);
  end if;
  return null;
end
$$;

create or replace trigger zz_announce_departed after update of owner_id on bindery.book_status
for each statement execute function bindery_internal.announce_departed();

comment on function bindery_internal.send_departures(jsonb) is
  'Sends the event gone to the topics that these books had ([{book_id, owner_id, revision}]). A '
  'failure is a warning, never an error.';
comment on function bindery_internal.announce_deletion() is
  'Announces the books that a statement deleted to the topics that they had.';
comment on function bindery_internal.collect_departure() is
  'Collects a book whose owner changes, with the former owner, for the end of the statement.';
comment on function bindery_internal.announce_departed() is
  'Announces the books whose owner a statement changed to the topics that they had.';

-- start_book: BEFORE INSERT on book_status, for every writer.
-- Invariants: a book begins in its pipeline's first state, at revision 1 and 0 percent, on a
-- version that exists. Locks: the book's registration slot.
create or replace function bindery_internal.start_book() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  machine jsonb;
  state jsonb;
  initial text;
  sums record;
  moment constant timestamptz := bindery_internal.now();
begin
  perform bindery_internal.share_slot(new.book_id);
  new.pipeline := coalesce(new.pipeline, 'comic');
  new.pipeline_version := coalesce(new.pipeline_version,
    (select max(p.version) from bindery.pipelines p where p.name = new.pipeline));
  machine := bindery_internal.machine(new.pipeline, new.pipeline_version);
  if machine is null then
    perform bindery_internal.raise_error(
      bindery_internal.unknown_pipeline(new.pipeline, new.pipeline_version));
  end if;
  state := machine #> '{states,0}';
  initial := state ->> 'name';
  if new.status is distinct from initial and new.status is not null then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'illegal_transition',
      format('A new book of the pipeline %s begins in %s, not in %s.',
        new.pipeline, initial, new.status),
      format('Insert it without a status, or with %s; then make its transitions one by one.',
        initial),
      jsonb_build_object('from_status', null, 'to_status', new.status,
        'allowed', jsonb_build_array(initial))));
  end if;
  new.status := initial;
  new.current_stage := initial;
  new.overall_progress := 0;
  new.stage_progress := 0;
  new.substeps_total := 0;
  new.substeps_done := 0;
  new.substeps_weight := 0;
  new.substeps_points := 0;
  new.stage_base := 100 * (state ->> 'start')::double precision
    / (machine ->> 'total_weight')::double precision;
  new.stage_share := 100 * (state ->> 'weight')::double precision
    / (machine ->> 'total_weight')::double precision;
  if state -> 'substeps' <> '[]' then
    sums := bindery_internal.stage_sums(new.book_id, state, false, false);
    new.substeps_total := sums.substeps;
    new.substeps_weight := sums.weight;
  end if;
  new.error := null;
  new.attempt := 1;
  new.revision := 1;
  new.heartbeat_at := moment;
  new.stage_entered_at := moment;
  new.stage_started_at := moment;
  new.resume_at := null;
  new.estimated_completion_at := (
    select bindery_internal.estimate(moment, moment, 0, 1, p.median_seconds, p.later_seconds)
    from bindery_internal.stage_pace p
    where p.pipeline = new.pipeline and p.pipeline_version = new.pipeline_version
      and p.stage = initial);
  new.created_at := moment;
  new.updated_at := moment;
  new.completed_at := null;
  return new;
end
$$;

create or replace function bindery_internal.unknown_pipeline(
  pipeline text, pipeline_version integer
) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.error('PT404', 'unknown_pipeline',
    format('There is no pipeline %s%s.', pipeline, ' version ' || pipeline_version),
    'Define it with bindery.define_pipeline, or name one that exists.',
    jsonb_build_object('pipeline', pipeline, 'version', pipeline_version));
$$;

create or replace trigger start_book before insert on bindery.book_status
for each row execute function bindery_internal.start_book();

comment on function bindery_internal.start_book() is
  'Puts a new book at its pipeline''s first state, on a version that exists, '
  'whichever role inserts it.';
comment on function bindery_internal.unknown_pipeline(text, integer) is
  'The error PT404 unknown_pipeline.';

-- guard_texts: checks the form of a book's texts and JSON: BEFORE INSERT, and called by
-- guard_transition and touch if a plain UPDATE sets title, message, error or metadata.
-- Invariant: a plain write is refused with the same error as a call.
create or replace function bindery_internal.refuse_texts(book bindery.book_status) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if jsonb_typeof(book.metadata) is distinct from 'object' then
    perform bindery_internal.raise_error(bindery_internal.bad_input(
      'metadata', 'is not a JSON object', 'Give an object such as {"pages": 320}.'));
  elsif jsonb_typeof(book.error) <> 'object' then
    perform bindery_internal.raise_error(bindery_internal.bad_input(
      'error', 'is not a JSON object', 'Give an object such as {"code": "out_of_memory"}.'));
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
set search_path = pg_catalog, pg_temp
as $$
begin
  new.metadata := coalesce(new.metadata, '{}');
  -- For every writer: any role may set the settings that mark Bindery's own functions.
  perform bindery_internal.refuse_texts(new);
  return new;
end
$$;

create or replace trigger guard_texts before insert on bindery.book_status
for each row execute function bindery_internal.guard_texts();

comment on function bindery_internal.refuse_texts(bindery.book_status) is
  'Raises for a row the texts and JSON that calls refuse (PT422 bad_input).';
comment on function bindery_internal.guard_texts() is
  'Refuses in an INSERT the texts and JSON that calls refuse (PT422 bad_input).';

-- guard_columns: BEFORE UPDATE on book_status, if a plain UPDATE sets a derived column. touch: the
-- same for columns that a plain UPDATE may set; this counts as a visible change.
-- Invariants: identity and pipeline never change; stage, attempt, sums and percentages are only
-- derived; revision never falls. Locks: the row being updated.
create or replace function bindery_internal.guard_columns() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if (old.book_id, old.pipeline, old.pipeline_version, old.created_at)
      is distinct from (new.book_id, new.pipeline, new.pipeline_version, new.created_at)
    or (old.status = new.status
      and (old.current_stage, old.attempt, old.overall_progress, old.stage_progress,
          old.substeps_total, old.substeps_done, old.substeps_weight, old.substeps_points,
          old.stage_base, old.stage_share, old.completed_at, old.revision)
        is distinct from (new.current_stage, new.attempt, new.overall_progress,
          new.stage_progress, new.substeps_total, new.substeps_done, new.substeps_weight,
          new.substeps_points, new.stage_base, new.stage_share, new.completed_at, new.revision))
  then
    perform bindery_internal.raise_error(bindery_internal.error('PT422', 'column_is_derived',
      format(
        'Of book %s only owner_id, title, message, metadata, status and error are set by hand.',
        old.book_id),
      'Change the status, or report progress; the other columns follow.',
      jsonb_build_object('book_id', old.book_id)));
  end if;
  return new;
end
$$;

-- The condition is short, because every statement parses it.
create or replace trigger guard_columns before update of
  book_id, pipeline, pipeline_version, created_at, revision, current_stage, attempt,
  overall_progress, stage_progress, substeps_total, substeps_done, substeps_weight,
  substeps_points, stage_base, stage_share, completed_at
on bindery.book_status
for each row
when (current_setting('bindery.writer', true) is distinct from pg_trigger_depth()::text)
execute function bindery_internal.guard_columns();

create or replace function bindery_internal.touch() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if (old.title, old.message, old.error, old.metadata)
    is distinct from (new.title, new.message, new.error, new.metadata)
  then
    perform bindery_internal.refuse_texts(new);
  end if;
  if old.revision = new.revision
    and (old.owner_id, old.title, old.message, old.error, old.metadata, old.resume_at)
      is distinct from
        (new.owner_id, new.title, new.message, new.error, new.metadata, new.resume_at)
  then
    new.revision := old.revision + 1;
    new.updated_at := bindery_internal.now();
    perform bindery_internal.collect_change(new.book_id);
  end if;
  return new;
end
$$;

-- A report sets none of these columns.
create or replace trigger touch
before update of owner_id, title, message, error, metadata, resume_at on bindery.book_status
for each row when (old.status = new.status) execute function bindery_internal.touch();

comment on function bindery_internal.guard_columns() is
  'Refuses to have columns set by hand that follow from others (PT422 column_is_derived).';
comment on function bindery_internal.touch() is
  'Counts a change by hand of title, owner, message, error, metadata or resume_at as a revision; '
  'refuses texts that calls refuse (PT422 bad_input).';

-- guard_transition: BEFORE UPDATE on book_status if status changes, for every writer.
-- Invariants: no change that the kernel refuses is stored; the derived columns (stage, attempt,
-- sums, percentages, revision) are computed here. Locks: the row being updated.
create or replace function bindery_internal.facts(
  book bindery.book_status, machine jsonb, to_status text
) returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  state constant jsonb := bindery_internal.state_of(machine, book.current_stage);
  -- Only the guard of the requested edge is called.
  guard constant text := (
    select e.edge ->> 'guard' from jsonb_array_elements(state -> 'next') as e(edge)
    where e.edge ->> 'to' = to_status and book.status = book.current_stage);
  facts constant jsonb := jsonb_build_object(
    'substeps_complete', book.substeps_total > 0 and book.substeps_done = book.substeps_total,
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
  -- A guard that returns null does not hold.
  return facts
    || jsonb_strip_nulls(jsonb_build_object('guards', jsonb_build_object(guard, answer)));
end
$$;

create or replace function bindery_internal.refused_transition(
  book bindery.book_status, to_status text, rewinding boolean, machine jsonb
) returns jsonb
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Facts can only allow more: compute them only if the change is refused without them.
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
  return bindery_internal.illegal_transition(
    book.status, to_status, reason, coalesce(allowed, '{}'));
end
$$;

-- No edge allows a rewind, so transition_book marks it in a setting that names the book and lasts
-- as long as its UPDATE: changes that users' triggers make to other books meanwhile are not
-- rewinds.
create or replace function bindery_internal.is_rewinding(book_id uuid) returns boolean
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(current_setting('bindery.changing', true), '')
    = is_rewinding.book_id || ' rewinding';
end
$$;

create or replace function bindery_internal.guard_transition() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  moment constant timestamptz := bindery_internal.now();
  -- Set by transition_book, also to mark a rewind. Any role may set it, so it does not prove that
  -- the texts were checked.
  change constant text := coalesce(current_setting('bindery.changing', true), '');
  by_call constant boolean := starts_with(change, old.book_id::text);
  rewinding constant boolean := change like '% rewinding'
    and bindery_internal.is_rewinding(old.book_id);
  resuming constant boolean := old.status = 'FAILED' and not rewinding;
  machine jsonb;
  state jsonb;
  final text;
  visited integer;
  has_rows boolean;
  median_seconds double precision;
  later_seconds double precision;
  refusal jsonb;
  sums record;
  percentages double precision[];
begin
  if new.status is null then
    perform bindery_internal.raise_error(
      bindery_internal.bad_input('status', 'is null', 'Name the state to go to.'));
  elsif not by_call or (old.title, old.error, old.metadata)
    is distinct from (new.title, new.error, new.metadata)
  then
    perform bindery_internal.refuse_texts(new);
  elsif new.message is not null then
    refusal := bindery_internal.refused_text('message', new.message, 8192);
    if refusal is not null then
      perform bindery_internal.raise_error(refusal);
    end if;
  end if;
  -- One statement for all look-ups. FAILED and CANCELLED match no state, so the joins give null.
  select p.machine, p.machine #>> '{states,-1,name}', (
      select s.state from jsonb_array_elements(p.machine -> 'states') as s(state)
      where s.state ->> 'name' = new.status),
    t.median_seconds, t.later_seconds, v.attempt,
    exists (select from bindery.book_progress g
      where g.book_id = old.book_id and g.stage = new.status)
  into machine, final, state, median_seconds, later_seconds, visited, has_rows
  from bindery.pipelines p
  left join bindery_internal.stage_pace t
    on t.pipeline = p.name and t.pipeline_version = p.version and t.stage = new.status
  left join bindery.stage_visits v on v.book_id = old.book_id and v.stage = new.status
  where p.name = old.pipeline and p.version = old.pipeline_version;
  if machine is null then
    perform bindery_internal.raise_error(
      bindery_internal.missing_pipeline(old.book_id, old.pipeline, old.pipeline_version));
  end if;

  if rewinding or bindery_core.transition_error(
    machine, old.status, old.current_stage, new.status, '{}') is not null
  then
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
  new.substeps_total := old.substeps_total;
  new.substeps_done := old.substeps_done;
  new.substeps_weight := old.substeps_weight;
  new.substeps_points := old.substeps_points;
  new.stage_base := old.stage_base;
  new.stage_share := old.stage_share;
  new.stage_entered_at := old.stage_entered_at;
  new.stage_started_at := old.stage_started_at;
  new.completed_at := null;
  -- A message or an error belongs to its own change; after a plain UPDATE that sets none, new still
  -- has the old one.
  if new.message is not distinct from old.message and not by_call then
    new.message := null;
  end if;
  if new.status <> 'FAILED' then
    new.error := null;
  elsif new.error is null or not new.error ? 'code' then
    new.error := coalesce(new.error, '{}') || '{"code": "failed"}';
  end if;
  if new.status = 'FAILED' then
    new.resume_at := bindery_internal.resume_at(
      bindery_internal.state_of(machine, old.current_stage), old.attempt, new.error, moment);
  end if;
  -- A halted book keeps its values.
  if new.status in ('FAILED', 'CANCELLED') then
    return new;
  end if;
  if new.status = final then
    new.completed_at := moment;
    new.overall_progress := 100;
    new.stage_progress := 100;
    return new;
  end if;

  -- Attempts continue to count when a book re-enters a stage, so that events of an earlier visit
  -- are stale.
  new.attempt := case when new.status = old.current_stage then old.attempt
                      else coalesce(visited, 0) end + 1;
  new.current_stage := new.status;
  new.stage_started_at := moment;
  new.stage_entered_at := case when resuming then old.stage_entered_at else moment end;
  new.stage_base := 100 * (state ->> 'start')::double precision
    / (machine ->> 'total_weight')::double precision;
  new.stage_share := 100 * (state ->> 'weight')::double precision
    / (machine ->> 'total_weight')::double precision;
  if has_rows or state -> 'substeps' <> '[]' then
    sums := bindery_internal.stage_sums(new.book_id, state, resuming, has_rows);
    new.substeps_total := sums.substeps;
    new.substeps_done := sums.done;
    new.substeps_weight := sums.weight;
    new.substeps_points := sums.points;
  else
    new.substeps_total := 0;
    new.substeps_done := 0;
    new.substeps_weight := 0;
    new.substeps_points := 0;
  end if;
  percentages := bindery_core.progress_percentages(new.substeps_total, new.substeps_done,
    new.substeps_points::double precision, new.substeps_weight::double precision, new.stage_base,
    new.stage_share);
  new.stage_progress := percentages[1];
  new.overall_progress := percentages[2];
  if median_seconds is not null then
    new.estimated_completion_at := bindery_internal.estimate(
      moment, moment, new.stage_progress, new.attempt, median_seconds, later_seconds);
  end if;
  return new;
end
$$;

create or replace trigger guard_transition before update on bindery.book_status
for each row when (old.status is distinct from new.status)
execute function bindery_internal.guard_transition();

comment on function bindery_internal.facts(bindery.book_status, jsonb, text) is
  'What the kernel needs to know of a book to judge a change to this status: '
  '{substeps_complete, attempts_left, guards?}.';
comment on function bindery_internal.refused_transition(bindery.book_status, text, boolean, jsonb)
is 'The error that forbids this book this status (as a rewind: this step back); null where it is '
  'allowed.';
comment on function bindery_internal.is_rewinding(uuid) is
  'Whether the change of this book''s status that is being made is a rewind.';
comment on function bindery_internal.guard_transition() is
  'Asks the kernel whether the change is allowed, and computes what follows from it: stage, '
  'attempt, sums, percent, revision, times.';

-- record_transition: AFTER INSERT, and AFTER UPDATE if status changed, for every writer.
-- Invariants: history, visit, outbox and the rows of the entered stage are written in the change's
-- transaction, under its revision. Locks: the book's row is held; then book_progress, then
-- stage_visits, then the append-only tables.
create or replace function bindery_internal.record_transition() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  change constant text := coalesce(current_setting('bindery.changing', true), '');
  by_call constant boolean := starts_with(change, new.book_id::text);
  rewinding constant boolean := by_call and change like '% rewinding';
  from_status constant text := case when tg_op = 'UPDATE' then old.status end;
  resuming constant boolean := from_status is not distinct from 'FAILED'
    and new.status not in ('FAILED', 'CANCELLED') and not rewinding;
  entering constant boolean := new.status = new.current_stage;
  leaving constant boolean := tg_op = 'UPDATE'
    and (new.current_stage <> old.current_stage or new.completed_at is not null);
  -- Further along, or complete. A state without weight begins where the next one does.
  forward constant boolean := leaving and not rewinding and (new.completed_at is not null
    or new.stage_base > old.stage_base
    or (new.stage_base = old.stage_base and old.stage_share = 0));
  payload jsonb;
  nothing text;
begin
  if entering and new.substeps_total > 0 then
    nothing := bindery_internal.enter_stage(new, resuming);
  end if;
  if leaving then
    insert into bindery.stage_visits as v (book_id, stage, attempt, entered_at, left_at, seconds)
    values (new.book_id, old.current_stage, old.attempt, old.stage_entered_at, new.updated_at,
      case when forward
        then greatest(extract(epoch from new.updated_at - old.stage_entered_at), 0) end)
    on conflict on constraint stage_visits_pkey do update
    set attempt = excluded.attempt, entered_at = excluded.entered_at, left_at = excluded.left_at,
        seconds = excluded.seconds;
  end if;

  payload := jsonb_build_object('book_id', new.book_id, 'revision', new.revision,
    'from_status', from_status, 'to_status', new.status, 'stage', new.current_stage,
    'attempt', new.attempt);
  if resuming or rewinding then
    payload := payload || jsonb_build_object('resume_point',
      bindery_internal.resume_point(new, null, 32768, false));
  end if;
  with event as (
    insert into bindery.book_events
      (book_id, revision, kind, from_status, to_status, stage, attempt, actor, message, data, at)
    values (new.book_id, new.revision,
      case when tg_op = 'INSERT' then 'register' when rewinding then 'rewind'
           when resuming then 'resume' when new.status = 'FAILED' then 'fail'
           when new.status = 'CANCELLED' then 'cancel'
           when new.completed_at is not null then 'complete' else 'transition' end,
      from_status, new.status, new.current_stage, new.attempt, bindery_internal.actor(),
      new.message, case when new.status = 'FAILED' then new.error end, new.updated_at)
  )
  insert into bindery.outbox (book_id, revision, kind, payload, created_at)
  values (new.book_id, new.revision,
    case when resuming or rewinding then 'resume' else 'transition' end, payload, new.updated_at);

  -- Bindery's functions settle early events and announce the book after their statement.
  if not by_call then
    perform bindery_internal.settle_early(new.book_id);
    perform bindery_internal.collect_change(new.book_id);
  end if;
  return null;
end
$$;

create or replace trigger record_start after insert on bindery.book_status
for each row execute function bindery_internal.record_transition();

create or replace trigger record_transition after update on bindery.book_status
for each row when (old.status is distinct from new.status)
execute function bindery_internal.record_transition();

comment on function bindery_internal.record_transition() is
  'Prepares the rows of the stage that is entered, writes the visit that ended, the history and '
  'the '
  'outbox, and applies early events where the change is no function''s.';

-- refuse_history_change: BEFORE UPDATE on book_events, for every role.
-- Invariant: the history is appended to and pruned by age, never rewritten.
create or replace function bindery_internal.refuse_history_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform bindery_internal.raise_error(bindery_internal.error('PT409', 'history_is_append_only',
    'The history of a book is never rewritten.', 'Make the change itself; it will be recorded.'));
  return null;
end
$$;

create or replace trigger history_is_append_only before update on bindery.book_events
for each row execute function bindery_internal.refuse_history_change();

comment on function bindery_internal.refuse_history_change() is
  'Raises PT409 history_is_append_only: recorded changes stay as they were.';

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

-- apply_reports: applies progress reports, one or ten thousand, in one set-based statement; the
-- only writer of reported progress.
-- Invariants: each report has a verdict (bindery_core.report_verdict, or bad_input, unknown_book,
-- queued_behind or too_many_substeps), and the accepted ones are written; within an attempt the
-- higher progress stays, with its own done and total; the books' sums change by what the rows
-- changed by.
-- Locks: the caller has locked the books' rows, in order of book_id; then progress rows.
create or replace function bindery_internal.apply_reports(
  book_ids uuid[], stages text[], substeps text[], attempts integer[],
  progress double precision[], done double precision[], totals double precision[],
  units text[], messages text[], checkpoints text[], with_substeps boolean, held uuid[],
  out others integer[], out verdicts text[], out changed uuid[], out revisions bigint[],
  out shown jsonb[]
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- Row by row: each row is found once through its primary key and updated by its ctid, independent
-- of the tables' statistics; planned once. The caller's lock keeps the ctids valid.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_hashagg = off
set plan_cache_mode = force_generic_plan
as $$
declare
  outer_writer constant text := bindery_internal.begin_writing();
  moment constant timestamptz := bindery_internal.now();
  written bigint;
  accepted bigint;
begin
  perform bindery_internal.check_reports(units, messages, checkpoints);
  with judged as materialized (
    select g.ord, g.book_id, g.progress, g.done, g.total, g.unit, g.message,
      -- JSON's null is not a checkpoint; stored, it would make a resume keep the substep.
      nullif(g.checkpoint::jsonb, 'null') as checkpoint, coalesce(g.substep, 'all') as substep,
      b.ctid as book_row, b.current_stage, b.attempt, b.revision, b.substeps_total,
      case when with_substeps then (
        select bindery_internal.state_of(m.machine, b.current_stage) -> 'substeps'
        from bindery.pipelines m where m.name = b.pipeline and m.version = b.pipeline_version)
      end as declared,
      p.ctid as substep_row, p.substep is not null as there, p.progress as old_progress,
      p.points as old_points,
      -- As bindery_internal.points.
      round(coalesce(p.weight, 1) * 1e9)::bigint::numeric
        * case when greatest(p.progress, g.progress) >= 100 then 100000000
          else least(round(greatest(p.progress, g.progress) * 1e6)::bigint, 99999999)
        end as points,
      -- The common case; the kernel decides the others.
      case
        when not (p.substep is not null and g.message is null and g.unit is null
            and g.checkpoint is null and g.done is null and g.total is null
            and coalesce(g.progress between 0 and 100, false))
          and bindery_internal.bad_report(g.substep, g.progress, g.done, g.total, g.unit,
            g.message, g.checkpoint::jsonb, g.attempt) is not null then 'bad_input'
        when b.current_stage is null then 'unknown_book'
        when g.stage is null and g.book_id = any (held) then 'queued_behind'
        when p.substep is not null and b.status = b.current_stage
          and (g.stage is null or g.stage = b.current_stage)
          and (g.attempt is null or g.attempt = b.attempt) then 'accept'
        when g.substep !~ '^[a-z][a-z0-9_]{0,62}$' then 'bad_input'
        else bindery_internal.report_verdict(g.book_id, g.stage, g.substep, g.attempt)
      end as verdict
    from unnest(book_ids, stages, substeps, attempts, apply_reports.progress, apply_reports.done,
        totals, units, messages, checkpoints) with ordinality
      as g(book_id, stage, substep, attempt, progress, done, total, unit, message, checkpoint, ord)
    left join lateral (
      select s.ctid, s.status, s.current_stage, s.attempt, s.revision, s.substeps_total, s.pipeline,
        s.pipeline_version
      from bindery.book_status s where s.book_id = g.book_id limit 1) b on true
    left join lateral (
      select r.ctid, r.substep, r.progress, r.points, r.weight from bindery.book_progress r
      where r.book_id = g.book_id and r.stage = b.current_stage
        and r.substep = coalesce(g.substep, 'all') limit 1) p on true
  ), fresh as materialized (
    select j.*, j.substeps_total + row_number() over (partition by j.book_id order by j.ord)
      as place
    from judged j where j.verdict = 'accept' and not j.there
  ), updated as (
    update bindery.book_progress p
    set progress = greatest(p.progress, j.progress),
        points = j.points,
        done = case when j.progress >= p.progress then j.done else p.done end,
        total = case when j.progress >= p.progress then j.total else p.total end,
        unit = case when j.progress >= p.progress then j.unit else p.unit end,
        message = coalesce(j.message, p.message),
        checkpoint = coalesce(j.checkpoint, p.checkpoint),
        attempt = j.attempt,
        revision = case
          when j.progress > p.progress
            or (j.progress = p.progress
              and (j.done, j.total, j.unit) is distinct from (p.done, p.total, p.unit))
            or (j.message is not null and j.message is distinct from p.message)
          then j.revision + 1 else p.revision end,
        started_at = coalesce(p.started_at, moment),
        updated_at = moment
    from judged j
    where j.verdict = 'accept' and j.there and p.ctid = j.substep_row
    returning j.book_row, 0 as added, p.points - j.old_points as points, 0::bigint as weight,
      case when p.progress >= 100 and j.old_progress < 100 then 1 else 0 end as done,
      p.revision > j.revision as visible,
      case when with_substeps and p.revision > j.revision
        then bindery_internal.substep_json(p, j.declared) end as shown
  ), inserted as (
    insert into bindery.book_progress as p (book_id, stage, substep, progress, points, done, total,
      unit,
      message, checkpoint, attempt, revision, started_at, updated_at)
    select f.book_id, f.current_stage, f.substep, f.progress, f.points, f.done, f.total, f.unit,
      f.message, f.checkpoint, f.attempt, f.revision + 1, moment, moment
    from fresh f where f.place <= 10000
    returning (
      select b.ctid from bindery.book_status b where b.book_id = p.book_id) as book_row,
      1 as added, p.points, 1000000000::bigint as weight,
      case when p.progress >= 100 then 1 else 0 end as done, true as visible,
      case when with_substeps then bindery_internal.substep_json(p, null) end as shown
  ), sums as materialized (
    select c.book_row, sum(c.added)::integer as added, sum(c.points) as points,
      sum(c.weight) as weight, sum(c.done)::integer as done, bool_or(c.visible) as visible,
      jsonb_agg(c.shown) filter (where with_substeps and c.visible) as shown,
      count(*) as written
    from (select * from updated union all select * from inserted) c
    group by c.book_row
  ), books as (
    update bindery.book_status b
    set substeps_total = b.substeps_total + s.added,
        substeps_done = b.substeps_done + s.done,
        substeps_weight = b.substeps_weight + s.weight,
        substeps_points = b.substeps_points + s.points,
        revision = b.revision + case when s.visible then 1 else 0 end,
        updated_at = case when s.visible then moment else b.updated_at end,
        heartbeat_at = moment,
        (stage_progress, overall_progress, estimated_completion_at) = (
          select v.p[1], v.p[2],
            case when not s.visible then b.estimated_completion_at
              when t.median_seconds is not null then bindery_internal.estimate(
                moment, b.stage_started_at, v.p[1], b.attempt, t.median_seconds, t.later_seconds)
            end
          from (select bindery_core.progress_percentages(b.substeps_total + s.added,
              b.substeps_done + s.done, (b.substeps_points + s.points)::double precision,
              (b.substeps_weight + s.weight)::double precision, b.stage_base, b.stage_share)
            offset 0) as v(p)
          left join bindery_internal.stage_pace t on t.pipeline = b.pipeline
            and t.pipeline_version = b.pipeline_version and t.stage = b.current_stage)
    from sums s where b.ctid = s.book_row
    returning b.book_id, b.revision, s.visible, s.shown
  )
  select o.ords, o.verdicts, c.book_ids, c.revisions, c.shown,
    (select sum(s.written) from sums s),
    (select count(*) from judged j) - coalesce(cardinality(o.ords), 0)
  from (
    select array_agg(r.ord::integer order by r.ord) as ords,
      array_agg(r.verdict order by r.ord) as verdicts
    from (
      select j.ord, j.verdict from judged j where j.verdict <> 'accept'
      union all select f.ord, 'too_many_substeps' from fresh f where f.place > 10000) r) o,
    (
    select array_agg(v.book_id) as book_ids, array_agg(v.revision) as revisions,
      array_agg(coalesce(v.shown, '[]')) as shown
    from books v where v.visible) c
  into others, verdicts, changed, revisions, shown, written, accepted;
  -- If one call has two reports of one substep, the UPDATE would apply only one of them.
  if coalesce(written, 0) <> accepted then
    raise exception using errcode = '21000',
      message = 'Two of these reports are about the same substep of one book.',
      hint = 'Merge them, or put them into different segments.';
  end if;
  perform bindery_internal.end_writing(outer_writer);
end
$$;

-- Checks the form of a report (numbers, key, texts) and returns an error or null.
create or replace function bindery_internal.bad_report(
  substep text, progress double precision, done double precision, total double precision,
  unit text, message text, checkpoint jsonb, attempt integer
) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if (done is not null or total is not null) and not coalesce(total > 0 and total <= 1e15, false)
  then
    return bindery_internal.bad_input('total', 'is not above 0 and at most 1e15',
      'Give how many units there are.');
  elsif total is not null and not coalesce(done between 0 and total, false) then
    return bindery_internal.bad_input('done', 'is not between 0 and total',
      'Give 0 <= done <= total.');
  elsif not coalesce(progress between 0 and 100, false) then
    return bindery_internal.bad_input('progress', 'is not between 0 and 100',
      'Give a percentage.');
  elsif attempt < 1 then
    return bindery_internal.refused_attempt();
  elsif substep !~ '^[a-z][a-z0-9_]{0,62}$' then
    return bindery_internal.bad_input('substep',
      'is not in lower snake case of up to 63 characters', 'Name it such as extract_text.');
  end if;
  return coalesce(
    case when message is not null
      then bindery_internal.refused_text('message', message, 8192) end,
    case when unit is not null then bindery_internal.refused_text('unit', unit, 63) end,
    case when checkpoint is not null
      then bindery_internal.refused_json('checkpoint', checkpoint) end);
end
$$;

-- Checks the form of texts and JSON once a call instead of once a row; if it raises an error,
-- apply_events finds the faulty item one by one.
create or replace function bindery_internal.check_reports(
  units text[], messages text[], checkpoints text[]
) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform bindery_internal.raise_error(coalesce(
    case when units is not null then coalesce(
      bindery_internal.refused_text('unit', array_to_string(units, ''), 100000000),
      (select bindery_internal.refused_text('unit', u, 63) from unnest(units) as u
        where length(u) > 63 limit 1)) end,
    case when messages is not null then coalesce(
      bindery_internal.refused_text('message', array_to_string(messages, ''), 100000000),
      (select bindery_internal.refused_text('message', m, 8192) from unnest(messages) as m
        where length(m) > 8192 limit 1)) end,
    case when checkpoints is not null then (
      select bindery_internal.refused_json('checkpoint', c::jsonb) from unnest(checkpoints) as c
      where c is not null and bindery_internal.refused_json('checkpoint', c::jsonb) is not null
      limit 1) end));
end
$$;

-- The kernel's verdict, for all but the common case.
create or replace function bindery_internal.report_verdict(
  book_id uuid, stage text, substep text, attempt integer
) returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  book bindery.book_status;
  at_stage text;
begin
  select b.* into book from bindery.book_status b where b.book_id = report_verdict.book_id;
  if not found then
    return 'unknown_book';
  end if;
  at_stage := coalesce(report_verdict.stage, book.current_stage);
  return bindery_core.report_verdict(
    bindery_internal.book_machine(book),
    book.status, book.current_stage, book.attempt, report_verdict.stage,
    coalesce(report_verdict.substep, 'all'), report_verdict.attempt,
    exists (select from bindery.book_progress g
      where g.book_id = book.book_id and g.stage = at_stage
        and g.substep = coalesce(report_verdict.substep, 'all')),
    case when at_stage <> book.current_stage then (
      select v.attempt from bindery.stage_visits v
      where v.book_id = book.book_id and v.stage = at_stage) end);
end
$$;

comment on function bindery_internal.bad_report(text, double precision, double precision,
  double precision, text, text, jsonb, integer) is
  'The error PT422 bad_input for a report whose form is wrong; null where it is right.';
comment on function bindery_internal.apply_reports(uuid[], text[], text[], integer[],
  double precision[], double precision[], double precision[], text[], text[], text[], boolean,
  uuid[]) is
  'Applies reports, one an element; each substep of a book once, their books locked.
held: books of which an earlier event of the same stream waits; a report without a stage waits '
  'behind it. others, verdicts: the reports that were not accepted, by ordinal, and why. changed, '
  'revisions: the '
  'books that changed visibly. shown: their changed substeps (with_substeps), for a broadcast.';
comment on function bindery_internal.check_reports(text[], text[], text[]) is
  'Raises PT422 bad_input for units, messages or checkpoints that calls refuse.';
comment on function bindery_internal.report_verdict(uuid, text, text, integer) is
  'The verdict on a report: unknown_book, or one of bindery_core.report_verdict.';

-- register_book: registers a book in the first state of a pipeline; a repeated call has no effect.
-- Invariants: do_register returns null when the book exists as requested, else the error, and then
-- changes nothing. Locks: its registration slot, then the new row.
create or replace function bindery_internal.do_register(
  book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb
) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  refusal jsonb;
  nothing text;
  outer_change constant text := coalesce(current_setting('bindery.changing', true), '');
  outer_writer constant text := coalesce(current_setting('bindery.writer', true), '');
  done boolean;
begin
  if do_register.book_id is null then
    return bindery_internal.bad_input('book_id', 'is missing', 'Give the book''s uuid.');
  elsif jsonb_typeof(do_register.metadata) <> 'object' then
    return bindery_internal.bad_input('metadata', 'is not a JSON object',
      'Give an object such as {"pages": 320}.');
  end if;
  refusal := coalesce(
    bindery_internal.refused_text('title', do_register.title, 1024),
    bindery_internal.refused_text('pipeline', do_register.pipeline, 63),
    bindery_internal.refused_json('metadata', do_register.metadata));
  if refusal is not null then
    return refusal;
  elsif not exists (
    select from bindery.pipelines p where p.name = coalesce(do_register.pipeline, 'comic'))
  then
    return bindery_internal.unknown_pipeline(do_register.pipeline, null);
  end if;

  nothing := set_config('bindery.changing', do_register.book_id::text, true);
  nothing := set_config('bindery.writer', pg_trigger_depth()::text, true);
  insert into bindery.book_status (book_id, owner_id, pipeline, title, metadata)
  values (do_register.book_id, do_register.owner_id, coalesce(do_register.pipeline, 'comic'),
    do_register.title, coalesce(do_register.metadata, '{}'))
  on conflict on constraint book_status_pkey do nothing;
  done := found;
  nothing := set_config('bindery.writer', outer_writer, true);
  nothing := set_config('bindery.changing', outer_change, true);
  if done then
    nothing := bindery_internal.settle_and_announce(do_register.book_id, 1);
    return null;
  end if;

  select b.* into book from bindery.book_status b where b.book_id = do_register.book_id;
  if book.pipeline <> do_register.pipeline
    or book.owner_id is distinct from coalesce(do_register.owner_id, book.owner_id)
  then
    return bindery_internal.error('PT409', 'conflicting_registration',
      format('Book %s is registered already, with another pipeline or owner.', book.book_id),
      'Use a new id for another book; registering again does not change a registration.',
      jsonb_build_object('book_id', book.book_id, 'pipeline', book.pipeline));
  end if;
  return null;
end
$$;

create or replace function bindery.register_book(
  book_id uuid, owner_id uuid default null, pipeline text default null, title text default null,
  metadata jsonb default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_register(
    register_book.book_id, register_book.owner_id, register_book.pipeline, register_book.title,
    register_book.metadata));
  return query select b.* from bindery.book_status b where b.book_id = register_book.book_id;
end
$$;

comment on function bindery_internal.do_register(uuid, uuid, text, text, jsonb) is
  'Puts a book at the start of a pipeline. Null: it stands as asked; else the error.';
comment on function bindery.register_book(uuid, uuid, text, text, jsonb) is
  'Puts a book at the start of a pipeline (comic unless named), and gives its row.
Idempotent: the same call again gives the row as it stands. PT404 unknown_pipeline, PT409 '
  'conflicting_registration (another pipeline or owner), PT422 bad_input.';

-- begin_stage: a worker's first call: the book enters the stage, resumes in it, or is already
-- there.
-- Invariants: do_begin returns null when the book is in the stage, {"stale": true, …}, or the error
-- (with "early": true if a later change can make it applicable), and then changes nothing.
-- Locks: the book's row.
create or replace function bindery_internal.do_begin(
  book_id uuid, to_status text, worker text default null, attempt integer default null,
  resuming boolean default true
) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  machine jsonb;
  verdict text;
  coming integer;
  refusal jsonb;
  actor constant text := coalesce(current_setting('bindery.actor', true), '');
  nothing text;
begin
  if do_begin.to_status is null then
    return bindery_internal.bad_input('to_status', 'is missing', 'Name the stage to begin.');
  elsif do_begin.attempt < 1 then
    return bindery_internal.refused_attempt();
  end if;
  refusal := coalesce(
    bindery_internal.refused_text('to_status', do_begin.to_status, 63),
    bindery_internal.refused_text('worker', do_begin.worker, 512));
  if refusal is not null then
    return refusal;
  end if;
  select b.* into book from bindery.book_status b
  where b.book_id = do_begin.book_id for no key update;
  if not found then
    return bindery_internal.unknown_book(do_begin.book_id);
  end if;
  machine := bindery_internal.book_machine(book);
  verdict := bindery_core.begin_verdict(machine, book.status, book.current_stage,
    do_begin.to_status, bindery_internal.facts(book, machine, do_begin.to_status));
  if do_begin.attempt is not null then
    -- The attempt at the book's present or later stage; null: the book has left the stage.
    coming := case
      when verdict = 'none' then book.attempt
      when verdict not in ('accept', 'early') then null
      when book.current_stage = do_begin.to_status then book.attempt + 1
      else 1 + coalesce((
        select v.attempt from bindery.stage_visits v
        where v.book_id = book.book_id and v.stage = do_begin.to_status), 0) end;
    if do_begin.attempt > coming and verdict <> 'early' then
      return bindery_internal.refused_report('attempt_ahead', book.book_id, book.current_stage,
        null, do_begin.attempt);
    end if;
  end if;
  if verdict = 'stale' or do_begin.attempt < coming
    or (verdict = 'accept' and book.status = 'FAILED' and not do_begin.resuming)
  then
    return jsonb_build_object('stale', true, 'status', book.status, 'attempt', book.attempt,
      'passed', verdict = 'stale' and book.status <> 'CANCELLED');
  elsif verdict = 'none' then
    update bindery.book_status b set heartbeat_at = bindery_internal.now()
    where b.book_id = do_begin.book_id;
    return null;
  elsif verdict = 'early' then
    return bindery_internal.error('PT409', 'stage_not_reached',
      format('Book %s is in %s; %s cannot begin yet.',
        book.book_id, book.status, do_begin.to_status),
      'Begin it when the stages before it are done.',
      jsonb_build_object('book_id', book.book_id, 'status', book.status,
        'to_status', do_begin.to_status)) || '{"early": true}';
  elsif verdict = 'illegal' then
    return bindery_internal.illegal_transition(book.status, do_begin.to_status,
      coalesce(bindery_core.transition_error(machine, book.status, book.current_stage,
        do_begin.to_status, '{}'), format('%s is not a stage to begin.', do_begin.to_status)),
      bindery_core.next_statuses(machine, book.status, book.current_stage));
  end if;
  if do_begin.worker is not null then
    nothing := set_config('bindery.actor', do_begin.worker, true);
  end if;
  refusal := bindery_internal.do_transition(do_begin.book_id, do_begin.to_status);
  nothing := set_config('bindery.actor', actor, true);
  return refusal;
end
$$;

create or replace function bindery.begin_stage(
  book_id uuid, to_status text, worker text default null, attempt integer default null,
  resume boolean default true
) returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  refusal constant jsonb := coalesce(
    bindery_internal.refused_worker('begin', begin_stage.book_id, begin_stage.to_status),
    bindery_internal.do_begin(begin_stage.book_id, begin_stage.to_status, begin_stage.worker,
      begin_stage.attempt, coalesce(begin_stage.resume, true)));
begin
  if refusal ? 'stale' then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'stage_left',
      format('Book %s has left the stage %s.', begin_stage.book_id, begin_stage.to_status),
      'Do no more work on this stage; bindery.get_resume_point shows where the book is.',
      refusal - 'stale' || jsonb_build_object('book_id', begin_stage.book_id,
        'to_status', begin_stage.to_status)));
  end if;
  perform bindery_internal.raise_error(refusal);
  return bindery.get_resume_point(begin_stage.book_id);
end
$$;

comment on function bindery_internal.do_begin(uuid, text, text, integer, boolean) is
  'Begins a stage. Null: the book is in it; {"stale": true, status, attempt, passed}: it has left '
  'it, or FAILED in it and resuming is false; else the error, with "early": true where a later '
  'change can make it applicable.';
comment on function bindery.begin_stage(uuid, text, text, integer, boolean) is
  'What a worker calls first: takes a book into a stage and gives bindery.get_resume_point.
Enters the stage where a forward edge leads there, resumes where the book FAILED in it, and '
  'changes nothing where the book is in it. worker: a name for the history. attempt: the one that '
  'the caller is to work on; an earlier one than the book comes to is stage_left, a later one '
  'attempt_ahead. resume: whether a FAILED book resumes; if not, it is stage_left. The detail of '
  'stage_left has the book''s status and attempt, and passed: true if the book is complete or in a '
  'later stage. PT404 unknown_book, PT409 stage_not_reached, stage_left, attempt_ahead or '
  'illegal_transition, PT422 bad_input.';

-- transition_book: one change of status.
-- Invariants: do_transition returns null when done (also if the book already has that status),
-- {"stale": true} for an earlier attempt, else the error, and then changes nothing. The setting
-- bindery.changing names the book to the triggers while the UPDATE lasts.
-- Locks: the book's row.
create or replace function bindery_internal.do_transition(
  book_id uuid, to_status text, message text default null, expected_revision bigint default null,
  attempt integer default null, error jsonb default null, rewinding boolean default false,
  asking_first boolean default true
) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  refusal jsonb;
  revision bigint;
  -- An assignment of a function's result costs less than a query that discards it.
  nothing text;
  outer_change constant text := coalesce(current_setting('bindery.changing', true), '');
  outer_writer constant text := coalesce(current_setting('bindery.writer', true), '');
begin
  if do_transition.to_status is null then
    return bindery_internal.bad_input('to_status', 'is missing', 'Name the state to go to.');
  elsif jsonb_typeof(do_transition.error) <> 'object' then
    return bindery_internal.bad_input('error', 'is not a JSON object',
      'Give an object such as {"code": "out_of_memory"}.');
  elsif do_transition.attempt < 1 then
    return bindery_internal.refused_attempt();
  elsif do_transition.to_status !~ '^[A-Z_]{1,63}$' then
    refusal := bindery_internal.refused_text('to_status', do_transition.to_status, 63);
    if refusal is not null then
      return refusal;
    end if;
  end if;

  if do_transition.asking_first then
    -- Otherwise guard_transition raises these errors.
    refusal := coalesce(
      bindery_internal.refused_text('message', do_transition.message, 8192),
      bindery_internal.refused_json('error', do_transition.error));
    if refusal is not null then
      return refusal;
    end if;
    select b.* into book from bindery.book_status b
    where b.book_id = do_transition.book_id for no key update;
    if not found then
      return bindery_internal.unknown_book(do_transition.book_id);
    elsif book.revision <> do_transition.expected_revision then
      return bindery_internal.stale_revision(
        book.book_id, book.revision, do_transition.expected_revision);
    elsif do_transition.attempt < book.attempt then
      return '{"stale": true}';
    elsif do_transition.attempt > book.attempt then
      return bindery_internal.refused_report('attempt_ahead', book.book_id, book.current_stage,
        null, do_transition.attempt);
    elsif book.status = do_transition.to_status and not do_transition.rewinding then
      return null;
    end if;
    refusal := bindery_internal.refused_transition(book, do_transition.to_status,
      do_transition.rewinding, bindery_internal.book_machine(book));
    if refusal is not null then
      return refusal;
    end if;
  end if;

  nothing := set_config('bindery.changing', do_transition.book_id
    || case when do_transition.rewinding then ' rewinding' else '' end, true);
  nothing := set_config('bindery.writer', pg_trigger_depth()::text, true);
  update bindery.book_status b
  set status = do_transition.to_status, message = do_transition.message,
      error = do_transition.error
  where b.book_id = do_transition.book_id and b.status <> do_transition.to_status
    and b.revision = coalesce(do_transition.expected_revision, b.revision)
    and b.attempt = coalesce(do_transition.attempt, b.attempt)
  returning b.revision into revision;
  nothing := set_config('bindery.writer', outer_writer, true);
  nothing := set_config('bindery.changing', outer_change, true);
  if revision is null then
    if do_transition.asking_first then
      return null;
    end if;
    -- The UPDATE matched no row and nothing was checked before: call again with all checks, which
    -- return the error.
    return bindery_internal.do_transition(do_transition.book_id, do_transition.to_status,
      do_transition.message, do_transition.expected_revision, do_transition.attempt,
      do_transition.error, do_transition.rewinding);
  end if;
  nothing := bindery_internal.settle_and_announce(do_transition.book_id, revision);
  return null;
end
$$;

-- Called at the end of a function that changed a book's status: settles its early events and
-- announces it. revision: the revision that the change made.
create or replace function bindery_internal.settle_and_announce(book_id uuid, revision bigint)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  nothing text;
begin
  if exists (select from bindery.early_events e where e.book_id = settle_and_announce.book_id) then
    nothing := bindery_internal.settle_early(book_id);
    nothing := bindery_internal.announce_book(book_id, null);
  elsif coalesce(current_setting('bindery.batching', true), '') = 'yes' then
    nothing := bindery_internal.collect_change(book_id);
  else
    nothing := bindery_internal.announce_books(array[book_id], array[revision], array[null::jsonb]);
  end if;
end
$$;

create or replace function bindery.transition_book(
  book_id uuid, to_status text, message text default null, expected_revision bigint default null,
  attempt integer default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  refusal constant jsonb := bindery_internal.do_transition(
    transition_book.book_id, transition_book.to_status, transition_book.message,
    transition_book.expected_revision, transition_book.attempt, asking_first => false);
begin
  if refusal is not null then
    perform bindery_internal.raise_error(refusal);
  end if;
  return query select b.* from bindery.book_status b where b.book_id = transition_book.book_id;
end
$$;

comment on function bindery_internal.do_transition(
  uuid, text, text, bigint, integer, jsonb, boolean, boolean) is
  'One change of status, or (rewinding) an operator''s step back. Null: done; {"stale": true}: '
  'from '
  'an earlier attempt; else the error (with asking_first false, an illegal transition is raised).';
comment on function bindery_internal.settle_and_announce(uuid, bigint) is
  'Applies the early events of a book whose status has just changed, and announces it. revision: '
  'the one that the change made.';
comment on function bindery.transition_book(uuid, text, text, bigint, integer) is
  'Changes a book''s status where its pipeline allows it, and gives its row.
To the status that the book has already it has no effect. To the stage that a FAILED book failed '
  'in '
  'it is a resume. A worker gives its attempt: from an earlier one than the book''s the call has '
  'no '
  'effect. PT404 unknown_book, PT409 illegal_transition (the detail lists what is allowed), '
  'stale_revision or attempt_ahead, PT422 bad_input.';

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

-- plan_substeps: a book's own substeps of a stage and their weights.
-- Invariants: do_plan returns null when done, else the error, and then changes nothing. Planning
-- again changes weights, never progress. Locks: the book's row, then its progress rows.
create or replace function bindery_internal.do_plan(
  book_id uuid, stage text, substeps jsonb, expected_revision bigint default null
) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  example constant text := 'Give [{"substep": "chapter_1", "weight": 2}, …].';
  book bindery.book_status;
  state jsonb;
  fault text;
  verdict text;
  added integer;
  moment constant timestamptz := bindery_internal.now();
  outer_writer text;
  sums record;
begin
  if bindery_internal.refused_text('stage', do_plan.stage, 63) is not null then
    return bindery_internal.refused_text('stage', do_plan.stage, 63);
  elsif jsonb_typeof(do_plan.substeps) is distinct from 'array'
    or jsonb_array_length(do_plan.substeps) > 10000
  then
    return bindery_internal.bad_input('substeps', 'is not an array of at most 10,000 substeps',
      example);
  end if;
  select p.problem into fault
  from jsonb_array_elements(do_plan.substeps) with ordinality as s(item, ord)
  cross join lateral (select case
      when jsonb_typeof(s.item) <> 'object' then 'is not an object'
      when coalesce(s.item ->> 'substep', '') !~ '^[a-z][a-z0-9_]{0,62}$'
        or jsonb_typeof(s.item -> 'substep') <> 'string'
        then 'has no substep in lower snake case of up to 63 characters'
      when jsonb_typeof(s.item -> 'weight') not in ('number', 'null')
        or (s.item ->> 'weight')::numeric not between 0.000000001 and 1000000000
        then 'has a weight that is not a number from 1e-9 to 1e9' end) as p(problem)
  where p.problem is not null
  order by s.ord limit 1;
  if fault is not null then
    return bindery_internal.bad_input('substeps: one', fault, example);
  elsif (
    select count(distinct s.item ->> 'substep') <> count(*)
    from jsonb_array_elements(do_plan.substeps) as s(item))
  then
    return bindery_internal.bad_input('substeps', 'names a substep twice', 'Name each once.');
  end if;

  select b.* into book from bindery.book_status b
  where b.book_id = do_plan.book_id for no key update;
  if not found then
    return bindery_internal.unknown_book(do_plan.book_id);
  end if;
  -- A plan is for the book's present or a later stage, whatever its substeps; a FAILED book may
  -- resume.
  verdict := case when book.status = 'FAILED' then bindery_core.report_verdict(
      bindery_internal.book_machine(book), book.current_stage,
      book.current_stage, book.attempt, coalesce(do_plan.stage, ''), null, null, true)
    else bindery_internal.whole_book_verdict(book.book_id, coalesce(do_plan.stage, ''), null) end;
  if verdict not in ('accept', 'advance', 'stage_not_reached') then
    return bindery_internal.refused_report(verdict, do_plan.book_id, do_plan.stage, null, null);
  elsif book.revision <> do_plan.expected_revision then
    return bindery_internal.stale_revision(
      do_plan.book_id, book.revision, do_plan.expected_revision);
  end if;
  state := bindery_internal.state_of(
    bindery_internal.book_machine(book), do_plan.stage);
  select count(*)::integer into added
  from jsonb_array_elements(do_plan.substeps || case when book.current_stage = do_plan.stage
    then '[]' else state -> 'substeps' end) as s(item)
  where not exists (
    select from bindery.book_progress g where g.book_id = book.book_id
      and g.stage = do_plan.stage and g.substep = s.item ->> 'substep');
  if added + (
    select count(*) from bindery.book_progress g
    where g.book_id = book.book_id and g.stage = do_plan.stage) > 10000
  then
    return bindery_internal.refused_report(
      'too_many_substeps', book.book_id, do_plan.stage, null, null);
  end if;

  outer_writer := bindery_internal.begin_writing();
  insert into bindery.book_progress
    (book_id, stage, substep, weight, attempt, revision, updated_at)
  select book.book_id, do_plan.stage, s.item ->> 'substep',
    coalesce((s.item ->> 'weight')::double precision, g.weight, d.weight, 1),
    book.attempt, book.revision + 1, moment
  from jsonb_array_elements(do_plan.substeps) as s(item)
  left join bindery.book_progress g
    on g.book_id = book.book_id and g.stage = do_plan.stage and g.substep = s.item ->> 'substep'
  left join (
    select e.value ->> 'substep' as substep, (e.value ->> 'weight')::double precision as weight
    from jsonb_array_elements(state -> 'substeps') as e(value)) d
    on d.substep = s.item ->> 'substep'
  on conflict on constraint book_progress_pkey do update
  set weight = excluded.weight, revision = excluded.revision, updated_at = excluded.updated_at,
      points = bindery_internal.points(excluded.weight, book_progress.progress);
  if book.status = book.current_stage and book.current_stage = do_plan.stage then
    sums := bindery_internal.stage_sums(book.book_id, state, null, true);
    update bindery.book_status b
    set substeps_total = sums.substeps, substeps_done = sums.done, substeps_weight = sums.weight,
        substeps_points = sums.points, heartbeat_at = moment
    where b.book_id = book.book_id;
    perform bindery_internal.show_progress(book.book_id, moment);
    perform bindery_internal.announce_book(book.book_id, null);
  end if;
  perform bindery_internal.end_writing(outer_writer);
  return null;
end
$$;

create or replace function bindery.plan_substeps(
  book_id uuid, stage text, substeps jsonb, expected_revision bigint default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_worker('plan', plan_substeps.book_id, plan_substeps.stage),
    bindery_internal.do_plan(plan_substeps.book_id, plan_substeps.stage, plan_substeps.substeps,
      plan_substeps.expected_revision)));
  if bindery_internal.is_worker() then
    return query select w.* from bindery_internal.worker_book(plan_substeps.book_id) w;
    return;
  end if;
  return query select b.* from bindery.book_status b where b.book_id = plan_substeps.book_id;
end
$$;

comment on function bindery_internal.do_plan(uuid, text, jsonb, bigint) is
  'Declares a book''s own substeps of a stage. Null: done; else the error.';
comment on function bindery.plan_substeps(uuid, text, jsonb, bigint) is
  'Declares a book''s own substeps of a stage, [{"substep", "weight"}]; gives its row.
A stage has at most 10,000 substeps. Planning again changes weights, never progress. PT404 '
  'unknown_book or unknown_stage, PT409 stale_revision, PT422 bad_input or too_many_substeps.';

-- heartbeat: renews the heartbeat of one book or many; one statement, no new revision. A call
-- returns the book's row, in which a worker sees that its heartbeat had no effect.
-- Invariant: a halted book or an earlier attempt is stale.
-- Locks: the books' rows in order of book_id.
create or replace function bindery_internal.do_heartbeats(heartbeats jsonb)
returns table (ord bigint, verdict text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  moment constant timestamptz := bindery_internal.now();
begin
  perform from bindery.book_status b
  where b.book_id = any (array(
    select h.book_id from jsonb_to_recordset(heartbeats) as h(book_id uuid)))
  order by b.book_id for no key update;

  return query
  with judged as materialized (
    select h.ord, h.book_id,
      case
        when b.status is null then 'unknown_book'
        when b.status = b.current_stage and (h.stage is null or h.stage = b.current_stage)
          and (h.attempt is null or h.attempt = b.attempt) then 'accept'
        else bindery_internal.whole_book_verdict(h.book_id, h.stage, h.attempt)
      end as verdict
    from rows from (
        jsonb_to_recordset(heartbeats) as (book_id uuid, stage text, attempt integer))
      with ordinality as h(book_id, stage, attempt, ord)
    left join lateral (
      select s.status, s.current_stage, s.attempt
      from bindery.book_status s where s.book_id = h.book_id limit 1) b on true
  ), beaten as (
    update bindery.book_status b set heartbeat_at = moment
    where b.book_id = any (array(select j.book_id from judged j where j.verdict = 'accept'))
  )
  select j.ord, j.verdict from judged j order by j.ord;
end
$$;

-- The verdict on an event about a book as a whole, which never moves the book to another stage.
create or replace function bindery_internal.whole_book_verdict(
  book_id uuid, stage text, attempt integer
) returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  select b.* into book from bindery.book_status b
  where b.book_id = whole_book_verdict.book_id;
  if not found then
    return 'unknown_book';
  end if;
  return replace(bindery_core.report_verdict(
    bindery_internal.book_machine(book), book.status,
    book.current_stage, book.attempt, whole_book_verdict.stage, 'all', whole_book_verdict.attempt,
    true,
    case when whole_book_verdict.stage <> book.current_stage then (
      select v.attempt from bindery.stage_visits v
      where v.book_id = book.book_id and v.stage = whole_book_verdict.stage) end),
    'advance', 'stage_not_reached');
end
$$;

create or replace function bindery.heartbeat(
  book_id uuid, attempt integer default null, stage text default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  stage constant text := coalesce(heartbeat.stage, bindery_internal.claimed_stage());
begin
  perform bindery_internal.raise_error(coalesce(
    case when heartbeat.attempt < 1 then bindery_internal.refused_attempt() end,
    bindery_internal.refused_text('stage', stage, 63),
    bindery_internal.refused_worker('heartbeat', heartbeat.book_id, stage)));
  perform bindery_internal.raise_error(bindery_internal.refused_report(
    h.verdict, heartbeat.book_id, stage, null, heartbeat.attempt))
  from bindery_internal.do_heartbeats(jsonb_build_array(jsonb_build_object(
    'book_id', heartbeat.book_id, 'stage', stage, 'attempt', heartbeat.attempt))) h;
  if bindery_internal.is_worker() then
    return query select w.* from bindery_internal.worker_book(heartbeat.book_id) w;
    return;
  end if;
  return query select b.* from bindery.book_status b where b.book_id = heartbeat.book_id;
end
$$;

comment on function bindery_internal.do_heartbeats(jsonb) is
  'Applies [{book_id, stage?, attempt?}, …] as heartbeats; gives each one''s verdict.';
comment on function bindery_internal.whole_book_verdict(uuid, text, integer) is
  'The verdict on an event about a book as a whole from this stage and attempt (null: the current '
  'ones): unknown_book, or one of bindery_core.report_verdict but advance.';
comment on function bindery.heartbeat(uuid, integer, text) is
  'Records that a book''s service is alive; gives the book''s row.
A worker gives its attempt and stage: from an earlier attempt, or a stage that the book has left, '
  'the call has no effect, as the row shows. PT404 unknown_book or unknown_stage, PT409 '
  'attempt_ahead or stage_not_reached, PT422 bad_input.';

-- fail_book: halts a book as FAILED.
-- Invariants: do_fail returns null when done, {"stale": true}, or the error, and changes nothing
-- then; the book keeps its values.
-- Locks: as bindery_internal.do_transition.
create or replace function bindery_internal.do_fail(
  book_id uuid, error jsonb, message text, expected_revision bigint, attempt integer, stage text
) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  refusal jsonb;
  verdict text;
begin
  if do_fail.stage is not null then
    refusal := coalesce(bindery_internal.refused_text('stage', do_fail.stage, 63),
      case when do_fail.attempt < 1 then bindery_internal.refused_attempt() end);
    if refusal is not null then
      return refusal;
    end if;
    perform from bindery.book_status b where b.book_id = do_fail.book_id for no key update;
    verdict := bindery_internal.whole_book_verdict(
      do_fail.book_id, do_fail.stage, do_fail.attempt);
    if verdict <> 'accept' then
      return bindery_internal.refused_report(
        verdict, do_fail.book_id, do_fail.stage, null, do_fail.attempt);
    end if;
  end if;
  return bindery_internal.do_transition(do_fail.book_id, 'FAILED', do_fail.message,
    do_fail.expected_revision, do_fail.attempt, coalesce(do_fail.error, '{}'),
    asking_first => false);
end
$$;

create or replace function bindery.fail_book(
  book_id uuid, error jsonb default null, message text default null,
  expected_revision bigint default null, attempt integer default null,
  stage text default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  stage constant text := coalesce(fail_book.stage, bindery_internal.claimed_stage());
begin
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_worker('fail', fail_book.book_id, stage),
    bindery_internal.do_fail(fail_book.book_id, fail_book.error, fail_book.message,
      fail_book.expected_revision, fail_book.attempt, stage)));
  if bindery_internal.is_worker() then
    return query select w.* from bindery_internal.worker_book(fail_book.book_id) w;
    return;
  end if;
  return query select b.* from bindery.book_status b where b.book_id = fail_book.book_id;
end
$$;

comment on function bindery_internal.do_fail(uuid, jsonb, text, bigint, integer, text) is
  'Halts a book as FAILED. Null: done; {"stale": true}: it has left this stage or attempt; else '
  'the error.';
comment on function bindery.fail_book(uuid, jsonb, text, bigint, integer, text) is
  'Halts a book as FAILED with an error object and a message; gives its row.
The error has a code of yours ({"code": "out_of_memory", …}). With "retry": false the book waits '
  'for an operator, else sweep resumes it where its stage has retry_after and attempts are left. '
  'A '
  'worker gives its attempt and stage: from an earlier attempt, or a stage that the book has left, '
  'the call has no effect, and so has a call for a book that is FAILED already. PT404 unknown_book '
  'or unknown_stage, PT409 illegal_transition, stale_revision, attempt_ahead or '
  'stage_not_reached, PT422 bad_input.';

-- resume_book: resumes a FAILED book at the stage it failed in.
-- Invariants: do_resume returns null when done, else the error, and then changes nothing.
-- bindery_internal.kept decides which progress is kept. Locks: the book's row.
create or replace function bindery_internal.not_failed(book bindery.book_status) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.error('PT409', 'not_failed',
    format('Book %s is in %s; only a FAILED book is resumed.', book.book_id, book.status),
    'Nothing has to be done: read its status again.',
    jsonb_build_object('book_id', book.book_id, 'status', book.status));
$$;

create or replace function bindery_internal.do_resume(
  book_id uuid, expected_revision bigint default null, message text default null
) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  select b.* into book from bindery.book_status b
  where b.book_id = do_resume.book_id for no key update;
  if not found then
    return bindery_internal.unknown_book(do_resume.book_id);
  elsif book.status <> 'FAILED' then
    return bindery_internal.not_failed(book);
  end if;
  return bindery_internal.do_transition(do_resume.book_id, book.current_stage, do_resume.message,
    do_resume.expected_revision);
end
$$;

create or replace function bindery.resume_book(
  book_id uuid, expected_revision bigint default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_resume(
    resume_book.book_id, resume_book.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = resume_book.book_id;
end
$$;

comment on function bindery_internal.not_failed(bindery.book_status) is
  'The error of a resume of a book that is not FAILED.';
comment on function bindery_internal.do_resume(uuid, bigint, text) is
  'Resumes a FAILED book. Null: done; else the error.';
comment on function bindery.resume_book(uuid, bigint) is
  'A FAILED book continues at the stage it failed in, as the next attempt; gives its row.
Substeps that are finished or have a checkpoint are kept, the others start over. PT404 '
  'unknown_book, PT409 not_failed or stale_revision.';

-- rewind_book: moves a book back to an earlier stage, or a FAILED book to the start of the stage it
-- failed in.
-- Invariants: do_rewind returns null when done, else the error, and then changes nothing. No
-- progress of the entered stage is kept. Locks: the book's row.
create or replace function bindery_internal.do_rewind(
  book_id uuid, to_stage text, message text default null, expected_revision bigint default null
) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
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
  select b.* into book from bindery.book_status b
  where b.book_id = do_rewind.book_id for no key update;
  if not found then
    return bindery_internal.unknown_book(do_rewind.book_id);
  elsif bindery_internal.state_of(
    bindery_internal.book_machine(book), do_rewind.to_stage) is null
  then
    return bindery_internal.refused_report(
      'unknown_stage', book.book_id, do_rewind.to_stage, null, null);
  end if;
  return bindery_internal.do_transition(do_rewind.book_id, do_rewind.to_stage, do_rewind.message,
    do_rewind.expected_revision, rewinding => true);
end
$$;

create or replace function bindery.rewind_book(
  book_id uuid, to_stage text, message text default null, expected_revision bigint default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_rewind(
    rewind_book.book_id, rewind_book.to_stage, rewind_book.message,
    rewind_book.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = rewind_book.book_id;
end
$$;

comment on function bindery_internal.do_rewind(uuid, text, text, bigint) is
  'Takes a book a step back. Null: done; else the error.';
comment on function bindery.rewind_book(uuid, text, text, bigint) is
  'Takes a book back to an earlier stage, or a FAILED one to the start of the stage it failed in; '
  'gives its row.
The stage starts over with nothing kept, as its next attempt; workers are notified as of a resume. '
  'A book that is complete or CANCELLED is not rewound. PT404 unknown_book or unknown_stage, PT409 '
  'illegal_transition (the detail lists where it may go) or stale_revision, PT422 bad_input.';

-- cancel_book: stops a book permanently.
-- Invariants: SECURITY INVOKER; CANCELLED is final and keeps its percentage.
-- Locks: as bindery_internal.do_transition.
create or replace function bindery.cancel_book(
  book_id uuid, message text default null, expected_revision bigint default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_transition(
    cancel_book.book_id, 'CANCELLED', cancel_book.message, cancel_book.expected_revision,
    asking_first => false));
  return query select b.* from bindery.book_status b where b.book_id = cancel_book.book_id;
end
$$;

comment on function bindery.cancel_book(uuid, text, bigint) is
  'Stops a book permanently, where it is; gives its row.
A CANCELLED book stays as it is. PT404 unknown_book, PT409 illegal_transition (it is complete) or '
  'stale_revision, PT422 bad_input.';

-- resume_books, cancel_books: an operator's act on many books, one batch a call.
-- Invariants: a book that is refused changes nothing and leaves the others as they are; with
-- dry_run nothing changes, and the outcomes are those of the call without it, as far as locks and
-- later changes do not matter.
-- Locks: the books' rows in order of book_id, all before the first change; waits 2 seconds for a
-- row at most, and then refuses the books whose rows another session holds.
create or replace function bindery_internal.act_on_books(
  book_ids uuid[], to_status text, message text, dry_run boolean
) returns table (book_id uuid, outcome text, code text, reason text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s'
as $$
#variable_conflict use_column
declare
  ids constant uuid[] := array(
    select distinct u.book_id from unnest(act_on_books.book_ids) as u(book_id)
    order by u.book_id);
  -- The books whose rows another session holds.
  unheld uuid[] := '{}';
  book bindery.book_status;
  refusal jsonb;
  detail text;
begin
  if coalesce(cardinality(ids), 0) not between 1 and 10000 or array_position(ids, null) > 0 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('book_ids',
      'are not between 1 and 10,000 ids', 'Name the books by their ids.'));
  elsif act_on_books.dry_run is null then
    perform bindery_internal.raise_error(bindery_internal.bad_input('dry_run', 'is null',
      'Give false to act, true to see what would become of it.'));
  end if;
  perform bindery_internal.raise_error(
    bindery_internal.refused_text('message', act_on_books.message, 8192));
  if not act_on_books.dry_run then
    begin
      perform from bindery.book_status b where b.book_id = any (ids)
      order by b.book_id for no key update;
    exception when lock_not_available or deadlock_detected then
      unheld := array(
        with locked as materialized (
          select b.book_id from bindery.book_status b where b.book_id = any (ids)
          order by b.book_id for no key update skip locked)
        select b.book_id from bindery.book_status b
        where b.book_id = any (ids) and b.book_id not in (select l.book_id from locked l));
    end;
  end if;

  foreach book_id in array ids loop
    refusal := null;
    select b.* into book from bindery.book_status b where b.book_id = act_on_books.book_id;
    if not found then
      refusal := bindery_internal.unknown_book(book_id);
    elsif to_status is null and book.status <> 'FAILED' then
      refusal := bindery_internal.not_failed(book);
    elsif act_on_books.dry_run then
      if book.status is distinct from to_status then
        begin
          refusal := bindery_internal.refused_transition(
            book, coalesce(to_status, book.current_stage), false,
            bindery_internal.book_machine(book));
        exception when others then
          get stacked diagnostics detail = pg_exception_detail;
          refusal := bindery_internal.caught(sqlstate, sqlerrm, detail);
        end;
      end if;
    elsif book_id = any (unheld) then
      refusal := bindery_internal.caught('55P03',
        format('Another session holds the lock on book %s.', book_id), null);
    else
      begin
        refusal := bindery_internal.do_transition(
          book_id, coalesce(to_status, book.current_stage), act_on_books.message);
      exception when others then
        get stacked diagnostics detail = pg_exception_detail;
        refusal := bindery_internal.caught(sqlstate, sqlerrm, detail);
      end;
    end if;
    outcome := case when refusal is not null then 'refused' when act_on_books.dry_run
      then 'allowed' else 'done' end;
    code := refusal ->> 'code';
    reason := refusal ->> 'message';
    return next;
  end loop;
end
$$;

-- An error that was raised, as a value of bindery_internal.error.
create or replace function bindery_internal.caught(sqlstate text, message text, detail text)
returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The detail of an error of Bindery is JSON; of another it can be any text.
  return bindery_internal.error(sqlstate, coalesce(
    case when sqlstate like 'PT%' and detail like '{%' then detail::jsonb ->> 'code' end,
    sqlstate), message, 'Read the book''s status.');
end
$$;

create or replace function bindery.resume_books(book_ids uuid[], dry_run boolean default false)
returns table (book_id uuid, outcome text, code text, reason text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query select a.* from bindery_internal.act_on_books(
    resume_books.book_ids, null, null, resume_books.dry_run) a;
end
$$;

create or replace function bindery.cancel_books(
  book_ids uuid[], message text default null, dry_run boolean default false
) returns table (book_id uuid, outcome text, code text, reason text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query select a.* from bindery_internal.act_on_books(
    cancel_books.book_ids, 'CANCELLED', cancel_books.message, cancel_books.dry_run) a;
end
$$;

comment on function bindery_internal.act_on_books(uuid[], text, text, boolean) is
  'Resumes these books (to_status null) or moves them to a status; see bindery.resume_books.';
comment on function bindery_internal.caught(text, text, text) is
  'An error that was raised, as a value; its code is that of its detail, or the SQLSTATE.';
comment on function bindery.resume_books(uuid[], boolean) is
  'Resumes these books (1 to 10,000 ids) and gives a row a book, in order of book_id.
outcome: done, or refused with the code and the reason; a refused book does not affect the others. '
  'dry_run: nothing changes, and the outcome is allowed in place of done. Give a few hundred ids a '
  'call, since their rows stay locked until the transaction ends. PT422 bad_input.';
comment on function bindery.cancel_books(uuid[], text, boolean) is
  'Stops these books (1 to 10,000 ids) permanently and gives a row a book, as resume_books does.
A CANCELLED book stays as it is: done. PT422 bad_input.';

-- The lease on a stream: acquired with a new epoch, renewed by it, released by it; all by this
-- database's clock.
-- Invariants: two holders never have the same epoch, even if the stream was forgotten between them;
-- an unexpired lease of another holder is never taken over; caught_up_at never decreases, and never
-- exceeds the clock.
-- Locks: the stream's row in relay_cursors.
create or replace function bindery_internal.acquire_stream(stream text, holder text, ttl interval)
returns table (
  epoch bigint, "position" text, lease_expires_at timestamptz, entries bigint,
  caught_up_at timestamptz
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  cursor_row bindery.relay_cursors;
  moment timestamptz;
  -- Converted to seconds: as intervals, one month and 30 days compare as equal, but added to a date
  -- they differ.
  length_of interval;
begin
  if acquire_stream.stream is null or length(acquire_stream.stream) not between 1 and 512 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('stream',
      'is not a name of 1 to 512 characters', 'Give the key of the Redis stream.'));
  elsif acquire_stream.holder is null or length(acquire_stream.holder) not between 1 and 512 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('holder',
      'is not a name of 1 to 512 characters', 'Give a name that no other relay has.'));
  end if;
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_text('stream', acquire_stream.stream, 512),
    bindery_internal.refused_text('holder', acquire_stream.holder, 512)));
  if acquire_stream.ttl is null or acquire_stream.ttl not between '100 milliseconds'
    and '1 hour' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('ttl',
      'is not between 100 milliseconds and 1 hour', 'Give an interval such as 10 seconds.'));
  end if;

  length_of := make_interval(secs => extract(epoch from acquire_stream.ttl)::double precision);
  loop
    insert into bindery.relay_cursors (stream) values (acquire_stream.stream)
    on conflict (stream) do nothing;
    select c.* into cursor_row from bindery.relay_cursors c
      where c.stream = acquire_stream.stream for no key update;
    -- No row: forget_stream deleted it while this statement waited for the lock.
    exit when found;
  end loop;
  -- Read the clock after the lock, which may have taken time.
  moment := bindery_internal.now();
  if cursor_row.holder <> acquire_stream.holder and cursor_row.lease_expires_at > moment then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'lease_held',
      format('The stream %s is held by %s.', acquire_stream.stream, cursor_row.holder),
      'Stand by and try again when the lease runs out.',
      jsonb_build_object('stream', acquire_stream.stream, 'holder', cursor_row.holder,
        'lease_expires_at', cursor_row.lease_expires_at)));
  end if;
  if cursor_row.epoch = 0 then
    -- Continue the epochs of a forgotten stream; the insert above may have waited for that.
    with remembered as (delete from bindery_internal.forgotten_streams f
      where f.stream = acquire_stream.stream returning f.epoch)
    update bindery.relay_cursors c set epoch = r.epoch from remembered r
      where c.stream = acquire_stream.stream;
  end if;
  return query
  update bindery.relay_cursors c
  set epoch = c.epoch + 1, holder = acquire_stream.holder, lease_ttl = length_of,
    lease_expires_at = moment + length_of
  where c.stream = acquire_stream.stream
  returning c.epoch, c.position, c.lease_expires_at,
    c.applied + c.stale + c.early + c.rejected + c.entries_ahead, c.caught_up_at;
end
$$;

create or replace function bindery_internal.renew_stream(stream text, epoch bigint,
  caught_up_at timestamptz) returns timestamptz
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  expires timestamptz;
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream', renew_stream.stream,
    512));
  if not isfinite(renew_stream.caught_up_at) then
    perform bindery_internal.raise_error(bindery_internal.bad_input('caught_up_at', 'is no moment',
      'Give a time, or leave it out.'));
  end if;
  update bindery.relay_cursors c
  set lease_expires_at = bindery_internal.now() + c.lease_ttl,
      -- GREATEST and LEAST ignore NULLs: least(null, now) would be now.
      caught_up_at = case when renew_stream.caught_up_at is null then c.caught_up_at
                          else greatest(c.caught_up_at, least(renew_stream.caught_up_at,
                            bindery_internal.now())) end
  where c.stream = renew_stream.stream and c.epoch = renew_stream.epoch and c.holder is not null
  returning c.lease_expires_at into expires;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.fenced(renew_stream.stream,
      renew_stream.epoch));
  end if;
  return expires;
end
$$;

create or replace function bindery_internal.release_stream(stream text, epoch bigint) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream',
    release_stream.stream, 512));
  -- The epoch grows, so that nothing sent before the release can be applied after it.
  update bindery.relay_cursors c set epoch = c.epoch + 1, holder = null, lease_expires_at = null
  where c.stream = release_stream.stream and c.epoch = release_stream.epoch;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.fenced(release_stream.stream,
      release_stream.epoch));
  end if;
end
$$;

create or replace function bindery_internal.forget_stream(stream text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  cursor_row bindery.relay_cursors;
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream',
    forget_stream.stream, 512));
  select c.* into cursor_row from bindery.relay_cursors c
    where c.stream = forget_stream.stream for update;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.error('PT404', 'unknown_stream',
      format('There is no stream %s.', coalesce(forget_stream.stream, '(null)')),
      'bindery.relay_cursors lists the streams that were ever read.',
      jsonb_build_object('stream', forget_stream.stream)));
  elsif cursor_row.lease_expires_at > bindery_internal.now() then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'lease_held',
      format('The stream %s is held by %s.', cursor_row.stream, cursor_row.holder),
      'Stop the relay that reads it first, or wait until its lease runs out.',
      jsonb_build_object('stream', cursor_row.stream, 'holder', cursor_row.holder,
        'lease_expires_at', cursor_row.lease_expires_at)));
  end if;
  insert into bindery_internal.forgotten_streams (stream, epoch) values (cursor_row.stream,
    cursor_row.epoch)
  on conflict (stream) do update set epoch = greatest(forgotten_streams.epoch, excluded.epoch);
  delete from bindery_internal.waiting_books w where w.stream = forget_stream.stream;
  delete from bindery.relay_cursors c where c.stream = forget_stream.stream;
end
$$;

create or replace function bindery.acquire_stream(stream text, holder text,
  ttl interval default '10 seconds')
returns table (
  epoch bigint, "position" text, lease_expires_at timestamptz, entries bigint,
  caught_up_at timestamptz
)
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select a.epoch, a.position, a.lease_expires_at, a.entries, a.caught_up_at
    from bindery_internal.acquire_stream(stream, holder, ttl) a;
$$;

create or replace function bindery.renew_stream(stream text, epoch bigint,
  caught_up_at timestamptz default null) returns timestamptz
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.renew_stream(stream, epoch, caught_up_at);
$$;

create or replace function bindery.release_stream(stream text, epoch bigint) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.release_stream(stream, epoch);
$$;

create or replace function bindery.forget_stream(stream text) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.forget_stream(stream);
$$;

comment on function bindery_internal.acquire_stream(text, text, interval) is
  'See bindery.acquire_stream.';
comment on function bindery_internal.renew_stream(text, bigint, timestamptz) is
  'See bindery.renew_stream.';
comment on function bindery_internal.release_stream(text, bigint) is 'See bindery.release_stream.';
comment on function bindery_internal.forget_stream(text) is 'See bindery.forget_stream.';
comment on function bindery.acquire_stream(text, text, interval) is
  'Takes the lease on a stream: gives a new epoch, and the position applied so far.
Also when the lease ends unless renewed, how many entries Redis had counted at the position (null: '
  'not known), and the latest moment at which everything in the stream is known to have been '
  'applied (null: never). The present holder may take it again at once. PT409 lease_held while '
  'another''s lease lasts, PT422 bad_input.';
comment on function bindery.renew_stream(text, bigint, timestamptz) is
  'Prolongs the lease by its ttl and gives its new end.
PT409 fenced where the epoch is not the newest. caught_up_at means that everything that was in the '
  'stream at that moment of this database''s clock is applied; kept in relay_cursors where it is '
  'later than what is known, at most now, or PT422 bad_input. A relay may report a moment '
  'whose answer it had before it began a read that found no more than it has applied.';
comment on function bindery.release_stream(text, bigint) is
  'Gives the lease up, so that another relay need not wait for its end.
PT409 fenced where the epoch is not the newest.';
comment on function bindery.forget_stream(text) is
  'Deletes the row of a stream that is no longer read: its position, lease and counts. Its dead '
  'letters stay.
Without it a stream whose relay is gone permanently would hold up the detection of stalled books '
  'without end. Acquired again, the stream is read from its beginning. PT404 unknown_stream, PT409 '
  'lease_held while its lease lasts.';

-- note_stream: records what the relay found when it probed its stream in Redis and, after a loss,
-- the position to continue from.
-- Invariants: only the newest epoch may write; the counts of events never change here.
-- Locks: the stream's row in relay_cursors.
create or replace function bindery_internal.note_stream(
  stream text, epoch bigint, entries bigint, loss text, lost bigint, "position" text
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream', note_stream.stream,
    512));
  if note_stream.loss not in ('trimmed', 'deleted', 'recreated', 'rewound') then
    perform bindery_internal.raise_error(bindery_internal.bad_input('loss', 'is none',
      'Give trimmed, deleted, recreated or rewound, or leave it out.'));
  elsif (note_stream.lost between 0 and 1000000000000000) is not true then
    perform bindery_internal.raise_error(bindery_internal.bad_input('lost',
      'is no number of entries', 'Give how many are known to be lost, or 0.'));
  elsif (note_stream.entries between 0 and 1000000000000000000) is false then
    perform bindery_internal.raise_error(bindery_internal.bad_input('entries',
      'is no number of entries',
      'Give entries-added of XINFO STREAM, less what comes after the position.'));
  elsif note_stream.position is not null
    and bindery_internal.is_position(note_stream.position) is not true then
    perform bindery_internal.raise_error(bindery_internal.bad_input('position',
      'is not a stream id', 'Give an entry''s id, such as 1700000000000-0, or 0-0.'));
  end if;
  update bindery.relay_cursors c
  set entries_ahead = note_stream.entries - c.applied - c.stale - c.early - c.rejected,
      position = coalesce(note_stream.position, c.position),
      losses = c.losses + case when note_stream.loss is null then 0 else 1 end,
      lost = c.lost + note_stream.lost,
      last_loss = coalesce(note_stream.loss, c.last_loss),
      lost_at = case when note_stream.loss is null then c.lost_at else bindery_internal.now() end
  where c.stream = note_stream.stream and c.epoch = note_stream.epoch and c.holder is not null;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.fenced(note_stream.stream,
      note_stream.epoch));
  end if;
end
$$;

create or replace function bindery.note_stream(
  stream text, epoch bigint, entries bigint default null, loss text default null,
    lost bigint default 0, "position" text default null
) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.note_stream(stream, epoch, entries, loss, lost, "position");
$$;

comment on function bindery_internal.note_stream(text, bigint, bigint, text, bigint, text) is
  'See bindery.note_stream.';
comment on function bindery.note_stream(text, bigint, bigint, text, bigint, text) is
  'Notes what the relay found its stream to be: how many entries Redis had counted at the '
  'position, and what is lost.
Where something is missing: what happened (trimmed, deleted, recreated, rewound) and how many '
  'entries are known to be lost. With a position, the stream is read from there on, which may lie '
  'before: what comes after it is new. PT409 fenced where the epoch is not the newest, PT422 '
  'bad_input.';

-- announce_relay: records that a relay is live, and returns which streams it should release or
-- leave to other relays.
-- Invariants: a stream is given up only for a live relay that would read it and has at least two
-- fewer, one at a time over all relays that share streams; so the numbers come to differ by one at
-- most, and then nothing moves. This is advice: safety rests on the epochs alone.
-- Locks: relays, whole, so that two relays are advised one after the other.
create or replace function bindery_internal.announce_relay(
  holder text, streams text[], ttl interval, out relays integer, out give_up text, out leave text[]
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  moment timestamptz;
begin
  if announce_relay.holder is null or length(announce_relay.holder) not between 1 and 512 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('holder',
      'is not a name of 1 to 512 characters', 'Give a name that no other relay has.'));
  elsif announce_relay.streams is null or cardinality(announce_relay.streams) > 1000
    or array_ndims(announce_relay.streams) > 1
    or exists (select from unnest(announce_relay.streams) s(name) where s.name is null
      or length(s.name) not between 1 and 512) then
    perform bindery_internal.raise_error(bindery_internal.bad_input('streams',
      'is not a list of up to 1000 names of 1 to 512 characters',
      'Give the keys of the Redis streams; an empty list ends the announcement.'));
  elsif announce_relay.ttl is null or announce_relay.ttl not between '100 milliseconds'
    and '1 hour' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('ttl',
      'is not between 100 milliseconds and 1 hour',
      'Give the interval of the leases, such as 10 seconds.'));
  end if;
  perform bindery_internal.raise_error(bindery_internal.refused_text('holder',
    announce_relay.holder, 512));
  perform bindery_internal.raise_error(bindery_internal.refused_text('streams', s.name, 512))
    from unnest(announce_relay.streams) s(name);

  lock table bindery_internal.relays in share row exclusive mode;
  moment := bindery_internal.now();
  delete from bindery_internal.relays r where r.expires_at <= moment
    or (r.holder = announce_relay.holder and announce_relay.streams = '{}');
  if announce_relay.streams <> '{}' then
    insert into bindery_internal.relays (holder, streams, expires_at)
    values (announce_relay.holder, announce_relay.streams,
      moment + make_interval(secs => extract(epoch from announce_relay.ttl)::double precision))
    on conflict (holder) do update set streams = excluded.streams, expires_at = excluded.expires_at;
  end if;
  -- The handover is over once the stream was released or acquired by another relay.
  update bindery_internal.relays r set handing_over = null
  where r.handing_over is not null and not exists (
    select from bindery.relay_cursors c where c.stream = r.handing_over and c.holder = r.holder
      and c.lease_expires_at > moment);
  select count(*)::integer into relays from bindery_internal.relays r
    where r.streams && announce_relay.streams;

  with held as (
    select c.stream, c.holder from bindery.relay_cursors c where c.holder is not null
      and c.lease_expires_at > moment
  ), others as (
    select r.streams, (select count(*) from held h where h.holder = r.holder) as has
    from bindery_internal.relays r where r.holder <> announce_relay.holder
  ), me as (
    select count(*) as has from held h where h.holder = announce_relay.holder
  )
  select
    -- Free streams that another relay with fewer streams would read.
    array(select distinct s.name from unnest(announce_relay.streams) s(name)
      where not exists (select from held h where h.stream = s.name)
        and exists (select from others o where s.name = any (o.streams) and o.has < me.has)
          order by 1),
    (select h.stream from held h join others o on h.stream = any (o.streams)
      where h.holder = announce_relay.holder and h.stream = any (announce_relay.streams)
        and o.has + 2 <= me.has
      order by o.has, h.stream limit 1)
  into leave, give_up
  from me;

  -- One at a time: while a stream is being handed over, the counts are about to change.
  if give_up is not null and (
    exists (select from bindery_internal.relays r where r.handing_over is not null
      and r.holder <> announce_relay.holder and r.streams && announce_relay.streams)
    or exists (select from unnest(announce_relay.streams) s(name)
      where not exists (select from bindery.relay_cursors c where c.stream = s.name
        and c.holder is not null and c.lease_expires_at > moment))) then
    give_up := null;
  end if;
  if give_up is not null then
    update bindery_internal.relays r set handing_over = announce_relay.give_up
      where r.holder = announce_relay.holder;
  end if;
end
$$;

create or replace function bindery.announce_relay(
  holder text, streams text[], ttl interval default '10 seconds', out relays integer,
    out give_up text, out leave text[]
)
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select a.relays, a.give_up, a.leave from bindery_internal.announce_relay(holder, streams, ttl) a;
$$;

comment on function bindery_internal.announce_relay(text, text[], interval) is
  'See bindery.announce_relay.';
comment on function bindery.announce_relay(text, text[], interval) is
  'Announces that a relay lives, for as long as ttl, and which streams it would read, so that '
  'living relays share them evenly; an empty list ends the announcement.
Gives how many relays share these streams, one that it holds and should release now for another '
  'that has fewer (or null), and those that are free and that another with fewer should take. '
  'PT422 bad_input.';

-- reject: writes events to dead_letters; is_transient: which errors are not the event's fault.
-- Invariants: an event is rejected in the transaction that moves the position past it, or in which
-- it stops waiting. Above the setting dead_letters_total, events are only counted: one dead letter
-- a stream and reason, without a payload.
-- Locks: appends. If events are only counted, that dead letter's row; if another session has locked
-- it, one more is appended.
create or replace function bindery_internal.event_count(item jsonb) returns bigint
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Rejecting must not fail, or the batch would never pass: an invalid count counts as 1.
  return case when item ->> 'count' ~ '^[1-9][0-9]{0,8}$' then (item ->> 'count')::bigint
    else 1 end;
end
$$;

create or replace function bindery_internal.reject(stream text, items jsonb) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  most constant integer := (select s.dead_letters_total from bindery.settings s);
  letters bigint;
  events bigint;
begin
  -- Ids have gaps, so there are at most as many letters as the ids span.
  select coalesce(max(d.id) - min(d.id) + 1, 0) into letters from bindery.dead_letters d;
  if letters + jsonb_array_length(items) > most then
    select count(*) into letters from bindery.dead_letters d;
    if letters + jsonb_array_length(items) > most then
      return bindery_internal.count_rejected(stream, items);
    end if;
  end if;
  with rejected as (
    insert into bindery.dead_letters (stream, event_id, first_event_id, count, book_id, reason,
      message, payload, truncated, at)
    select reject.stream, i.item ->> 'id', coalesce(i.item ->> 'first_id', i.item ->> 'id'),
      c.count, bindery_internal.as_uuid(n.book_id), coalesce(i.item ->> 'reason', 'unknown'),
      coalesce(i.item ->> 'refusal', i.item ->> 'message', 'no reason given'),
      -- replay_dead_letters recognizes by a numeric count that the relay could read the event.
      coalesce(i.item -> 'payload', i.item - array['reason', 'refusal', 'segment', 'truncated']
        || jsonb_build_object('count', c.count)),
      coalesce(i.item -> 'truncated' = 'true', false), bindery_internal.now()
    from jsonb_array_elements(items) with ordinality as i(item, ord)
    cross join lateral (select bindery_internal.event_count(i.item) as count) c
    cross join lateral (
      select coalesce(i.item ->> 'book_id', i.item #>> '{payload,book_id}')) as n(book_id)
    order by i.ord
    returning count
  )
  select coalesce(sum(r.count), 0)::bigint into events from rejected r;
  return events;
end
$$;

create or replace function bindery_internal.count_rejected(stream text, items jsonb)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  rejected record;
  events bigint := 0;
begin
  for rejected in
    select coalesce(i.item ->> 'reason', 'unknown') as reason,
      sum(bindery_internal.event_count(i.item)) as count,
      (array_agg(coalesce(i.item ->> 'first_id', i.item ->> 'id') order by i.ord))[1] as first_id,
      (array_agg(i.item ->> 'id' order by i.ord desc))[1] as id
    from jsonb_array_elements(items) with ordinality as i(item, ord)
    group by 1 order by 1
  loop
    events := events + rejected.count;
    update bindery.dead_letters d
    set count = d.count + rejected.count, event_id = coalesce(rejected.id, d.event_id)
    where d.id = (
      select c.id from bindery.dead_letters c
      where c.reason = rejected.reason and c.payload = '{}' and c.id = any (array(
        -- One of the newest: few dead letters were added since events are only counted.
        select n.id from bindery.dead_letters n
        where n.stream = count_rejected.stream order by n.id desc limit 100))
      order by c.id desc limit 1
      for update skip locked);
    if not found then
      insert into bindery.dead_letters
        (stream, event_id, first_event_id, count, reason, message, payload, truncated, at)
      values (count_rejected.stream, rejected.id, rejected.first_id, rejected.count,
        rejected.reason, 'Only counted: there are as many dead letters as the setting '
          || 'dead_letters_total allows. Replay, drop or prune some.',
        '{}', true, bindery_internal.now());
    end if;
  end loop;
  return events;
end
$$;

-- Any form of a uuid that Postgres reads; null for anything else.
create or replace function bindery_internal.as_uuid(value text) returns uuid
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    when value ~* '^\{?[0-9a-f]{4}(-?[0-9a-f]{4}){7}\}?$'
      and (left(value, 1) = '{') = (right(value, 1) = '}') then value::uuid end;
end
$$;

create or replace function bindery_internal.is_transient(sqlstate text) returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- Only these can be an event's fault: bad data, a constraint, a limit, a RAISE in a trigger, and
  -- a panic in the kernel. A missing function, a lost grant, a full disk or a deadlock is a fault
  -- of the server.
  select not (
    left(sqlstate, 2) in ('21', '22', '23', '27', '2F', '38', '39', '44', '54', 'P0', 'PT')
    or sqlstate = 'XX000');
$$;

comment on function bindery_internal.event_count(jsonb) is
  'How many events of the stream an item stands for.';
comment on function bindery_internal.reject(text, jsonb) is
  'Writes items to dead_letters, [{id, first_id?, count?, book_id?, reason, refusal or message, '
  'payload?, …}]; gives how many events they stand for.';
comment on function bindery_internal.count_rejected(text, jsonb) is
  'Counts items in one dead letter a stream and reason, which has no payload; gives how many '
  'events they stand for.';
comment on function bindery_internal.as_uuid(text) is
  'A uuid in any form that Postgres reads (dashed or not, in braces or not); null for other texts.';
comment on function bindery_internal.is_transient(text) is
  'Whether the fault is the server''s rather than the event''s: then the whole batch is tried '
  'again, '
  'and nothing is rejected.';

-- apply_item: passes one event to the function that applies it.
-- Invariants: returns null when applied, {"stale": true}, or the error (is_early is true for the
-- error of an early event), and then changes nothing. Locks: the book's row.
create or replace function bindery_internal.apply_item(item jsonb) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  book_id constant uuid := (item ->> 'book_id')::uuid;
  attempt constant integer := (item ->> 'attempt')::integer;
  outcome jsonb;
begin
  return case item ->> 'type'
    when 'transition' then bindery_internal.apply_transition(
      book_id, coalesce(item ->> 'to_status', item ->> 'to'), item ->> 'message', attempt)
    when 'begin' then bindery_internal.apply_begin(book_id, item)
    when 'fail' then bindery_internal.apply_fail(book_id, item)
    when 'register' then bindery_internal.do_register(book_id, (item ->> 'owner_id')::uuid,
      item ->> 'pipeline', item ->> 'title', nullif(item -> 'metadata', 'null'))
    when 'plan' then bindery_internal.do_plan(book_id, item ->> 'stage', item -> 'substeps')
    when 'progress' then bindery_internal.do_report(
      book_id, item ->> 'substep',
      case when not item ? 'done' then (item ->> 'progress')::double precision end,
      (item ->> 'done')::double precision, (item ->> 'total')::double precision,
      item ->> 'unit', item ->> 'message', item -> 'checkpoint', item ->> 'stage', attempt)
    when 'heartbeat' then (
      select bindery_internal.refused_report(
        h.verdict, book_id, item ->> 'stage', null, attempt)
      from bindery_internal.do_heartbeats(jsonb_build_array(item)) h)
    else bindery_internal.bad_input('type', 'is not an event''s',
      'docs/events.md lists the types.')
  end;
end
$$;

-- The transition of an event: its target may be the book's present, a past or a future status.
create or replace function bindery_internal.apply_transition(
  book_id uuid, to_status text, message text, attempt integer
) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  machine jsonb;
  refusal jsonb;
  verdict text;
begin
  if apply_transition.to_status is null then
    return bindery_internal.bad_input('to_status', 'is missing', 'Name the state to go to.');
  end if;
  select b.* into book from bindery.book_status b
  where b.book_id = apply_transition.book_id for no key update;
  if not found then
    return bindery_internal.unknown_book(apply_transition.book_id);
  elsif apply_transition.attempt < book.attempt
    and book.status <> apply_transition.to_status
  then
    return '{"stale": true}';
  end if;
  machine := bindery_internal.book_machine(book);
  verdict := bindery_core.transition_verdict(machine, book.status, book.current_stage,
    apply_transition.to_status, bindery_internal.facts(book, machine, apply_transition.to_status));
  if verdict = 'none' then
    return null;
  elsif verdict = 'stale' then
    return '{"stale": true}';
  elsif apply_transition.attempt > book.attempt then
    return bindery_internal.refused_report('attempt_ahead', book.book_id, book.current_stage, null,
      apply_transition.attempt);
  end if;
  if verdict = 'accept' then
    return bindery_internal.do_transition(apply_transition.book_id, apply_transition.to_status,
      apply_transition.message, asking_first => false);
  end if;
  refusal := coalesce(
    bindery_internal.refused_text('to_status', apply_transition.to_status, 63),
    bindery_internal.refused_transition(book, apply_transition.to_status, false, machine));
  return case when verdict = 'early'
    then refusal || '{"early": true, "code": "transition_ahead"}' else refusal end;
end
$$;

-- A begin that names a pipeline registers an unknown book.
create or replace function bindery_internal.apply_begin(book_id uuid, item jsonb) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  registers constant boolean := item ->> 'pipeline' is not null and not exists (
    select from bindery.book_status b where b.book_id = apply_begin.book_id);
  refusal jsonb;
begin
  if registers then
    refusal := bindery_internal.do_register(apply_begin.book_id, (item ->> 'owner_id')::uuid,
      item ->> 'pipeline', item ->> 'title', nullif(item -> 'metadata', 'null'));
    if refusal is not null then
      return refusal;
    end if;
  end if;
  refusal := bindery_internal.do_begin(apply_begin.book_id, item ->> 'to_status',
    item ->> 'worker', (item ->> 'attempt')::integer,
    coalesce((item ->> 'resume')::boolean, true));
  -- Early events may have moved the book on already; the registration still counts as an effect.
  return case when not registers or not refusal ? 'stale' then refusal end;
end
$$;

-- A fail for an attempt or a stage that is over is stale.
create or replace function bindery_internal.apply_fail(book_id uuid, item jsonb) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  attempt constant integer := (item ->> 'attempt')::integer;
  verdict text;
begin
  perform from bindery.book_status b
  where b.book_id = apply_fail.book_id for no key update;
  verdict := bindery_internal.whole_book_verdict(
    apply_fail.book_id, item ->> 'stage', attempt);
  if verdict <> 'accept' then
    return bindery_internal.refused_report(
      verdict, apply_fail.book_id, item ->> 'stage', null, attempt);
  end if;
  return bindery_internal.do_transition(apply_fail.book_id, 'FAILED', item ->> 'message',
    error => coalesce(nullif(item -> 'error', 'null'), '{}'));
end
$$;

comment on function bindery_internal.apply_item(jsonb) is
  'Applies one event. Null: done; {"stale": true}: too late; else the error.';
comment on function bindery_internal.apply_transition(uuid, text, text, integer) is
  'Applies a transition event; an early one''s error has "early": true.';
comment on function bindery_internal.apply_begin(uuid, jsonb) is
  'Applies a begin event; registers an unknown book where the event names a pipeline.';
comment on function bindery_internal.apply_fail(uuid, jsonb) is
  'Applies a fail event.';

-- early_events: defer keeps early events; settle_early applies a book's early events
-- after a change of the book; expire_early turns those that waited too long into dead letters.
-- Invariants: an event is kept in the transaction that moves the position past it, and takes effect
-- in the transaction of the change that makes it applicable, each exactly once. Events of one book
-- and stream keep their order; one that names no stage waits behind those before it.
-- Locks: the book's row. An unknown book has no row: its registration locks the book's slot FOR KEY
-- SHARE before it inserts the book; a batch that keeps an early event locks the slot FOR UPDATE and
-- then queries the book again. So at least one of the two sees the other's change.
create or replace function bindery_internal.slot_of(book_id uuid) returns integer
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return uuid_hash(book_id) & 255;
end
$$;

-- True if an outcome of apply_item means that the event is early.
create or replace function bindery_internal.is_early(outcome jsonb) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return outcome is not null and (outcome ? 'early'
    or outcome ->> 'code' in ('unknown_book', 'stage_not_reached', 'attempt_ahead'));
end
$$;

create or replace function bindery_internal.defer(
  stream text, items jsonb, out early bigint, out rejected bigint
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  bounds bindery.settings;
  kept jsonb;
  refused jsonb;
  span bigint;
begin
  early := 0;
  rejected := 0;
  if items is null or items = '[]' then
    return;
  end if;
  select s.* into bounds from bindery.settings s;
  -- Ids have gaps, so there are at most as many events as the ids span.
  select coalesce(max(e.id) - min(e.id) + 1, 0) into span from bindery.early_events e;
  if span + jsonb_array_length(items) > bounds.early_events_total then
    select count(*) into span from bindery.early_events e;
  end if;
  -- An event without a book can never apply. Of the others, keep as many as the limit allows.
  select jsonb_agg(j.item order by j.ord) filter (where j.fits),
    jsonb_agg(j.item || case when j.book_id is null then '{}'
        else jsonb_build_object('reason', 'too_many_early_events', 'refusal', format(
          '%s Too many events wait already (bindery.settings).', j.item ->> 'refusal')) end
      order by j.ord) filter (where not j.fits)
  into kept, refused
  from (
    select i.item, i.ord, i.book_id, i.book_id is not null
      and span + i.ord <= bounds.early_events_total
      and w.waiting + row_number() over (partition by i.book_id order by i.ord)
        <= bounds.early_events_per_book as fits
    from (
      select n.item, n.ord, bindery_internal.as_uuid(n.item ->> 'book_id') as book_id
      from jsonb_array_elements(items) with ordinality as n(item, ord)) i
    left join (
      -- Like the total: a batch keeps some items one by one, and each would count all again.
      select b.book_id, case
        when s.span + jsonb_array_length(items) <= bounds.early_events_per_book then s.span
        else (
          select count(*) from (
            select from bindery.early_events e where e.book_id = b.book_id
            limit bounds.early_events_per_book) c) end as waiting
      from (
        select distinct bindery_internal.as_uuid(n.item ->> 'book_id') as book_id
        from jsonb_array_elements(items) as n(item)) b
      cross join lateral (
        select coalesce(max(e.id) - min(e.id) + 1, 0) as span from bindery.early_events e
        where e.book_id = b.book_id) s
    ) w on w.book_id = i.book_id) j;
  insert into bindery.early_events
    (stream, event_id, first_event_id, count, book_id, reason, message, payload, at)
  select defer.stream, i.item ->> 'id', coalesce(i.item ->> 'first_id', i.item ->> 'id'), c.count,
    (i.item ->> 'book_id')::uuid, i.item ->> 'reason', i.item ->> 'refusal',
    i.item - array['reason', 'refusal', 'segment'] || jsonb_build_object('count', c.count),
    bindery_internal.now()
  from jsonb_array_elements(kept) with ordinality as i(item, ord)
  cross join lateral (select bindery_internal.event_count(i.item) as count) c
  order by i.ord;
  select coalesce(sum(bindery_internal.event_count(i.item)), 0) into early
  from jsonb_array_elements(kept) as i(item);
  if refused is not null then
    rejected := bindery_internal.reject(stream, refused);
  end if;
end
$$;

-- Not after the INSERT: a batch that has the slot and then registers the book itself would wait for
-- this registration, which waits for the slot. Not for a registered book: the batch that has the
-- slot may wait for a row that this transaction has locked.
create or replace function bindery_internal.share_slot(book_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (
    select from bindery.book_status b where b.book_id = share_slot.book_id)
  then
    perform from bindery_internal.registration_slots s
    where s.slot = bindery_internal.slot_of(share_slot.book_id) for key share;
  end if;
end
$$;

create or replace function bindery_internal.settle_early(book_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  settling constant text := coalesce(current_setting('bindery.settling', true), '');
  actor constant text := coalesce(current_setting('bindery.actor', true), '');
  nothing text;
  event bindery.early_events;
  outcome jsonb;
  blocked text[];
  -- A report's stage and attempt decide whether it is early: of many that wait for the same state,
  -- one is tried until the book changes.
  report text;
  tried text[];
  stood text;
  stands text;
  again boolean;
  by_itself boolean;
begin
  -- The outermost call repeats until nothing more applies.
  if strpos(settling, settle_early.book_id::text) > 0
    or not exists (
      select from bindery.early_events e where e.book_id = settle_early.book_id)
  then
    return;
  end if;
  -- Other people's triggers can call this function for other books, and again for this one.
  nothing := set_config('bindery.settling', settling || settle_early.book_id || ' ', true);
  -- All in one subtransaction: one for each would slow down every other session. If an event raises
  -- an error, all are retried, each in its own.
  foreach by_itself in array array[false, true] loop
    begin
      again := true;
      while again loop
        again := false;
        blocked := '{}';
        tried := '{}';
        for event in
          select e.* from bindery.early_events e
          where e.book_id = settle_early.book_id order by e.id
        loop
          continue when event.stream = any (blocked)
            and bindery_internal.depends_on_order(event.payload);
          report := case when event.payload ->> 'type' in ('progress', 'heartbeat')
            and event.payload ? 'stage' then concat_ws(' ', event.payload ->> 'type',
              event.payload ->> 'stage', event.payload ->> 'attempt') end;
          if report = any (tried) then
            if bindery_internal.may_lead_on(event.payload) then
              blocked := blocked || event.stream;
            end if;
            continue;
          end if;
          nothing := set_config('bindery.actor', 'relay:' || event.stream, true);
          outcome := case when by_itself then bindery_internal.try_item(event.payload)
            else bindery_internal.apply_item(event.payload) end;
          if bindery_internal.is_early(outcome) then
            if bindery_internal.may_lead_on(event.payload) then
              blocked := blocked || event.stream;
            end if;
            tried := tried || report;
            continue;
          end if;
          select concat_ws(' ', b.status, b.current_stage, b.attempt) into stands
          from bindery.book_status b where b.book_id = settle_early.book_id;
          if stands is distinct from stood then
            tried := '{}';
            stood := stands;
          end if;
          delete from bindery.early_events e where e.id = event.id;
          if outcome is not null and not outcome ? 'stale' then
            nothing := bindery_internal.reject(event.stream, jsonb_build_array(event.payload
              || jsonb_build_object('reason', outcome -> 'code',
                'refusal', outcome -> 'message')));
          end if;
          again := true;
        end loop;
      end loop;
      exit;
    exception when assert_failure or others then
      if by_itself or bindery_internal.is_transient(sqlstate) then
        raise;
      end if;
    end;
  end loop;
  nothing := set_config('bindery.actor', actor, true);
  nothing := set_config('bindery.settling', settling, true);
end
$$;

-- Called after a report that completes a stage: a guard substeps_complete then holds.
create or replace function bindery_internal.settle_complete(book_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (
      select from bindery.early_events e where e.book_id = settle_complete.book_id)
    and exists (
      select from bindery.book_status b
      where b.book_id = settle_complete.book_id and b.substeps_done = b.substeps_total)
  then
    perform bindery_internal.settle_early(settle_complete.book_id);
  end if;
end
$$;

-- An event without a stage is about the stage that the events before it lead to.
create or replace function bindery_internal.depends_on_order(item jsonb) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return item ->> 'type' in ('progress', 'fail') and item ->> 'stage' is null;
end
$$;

-- A heartbeat or a plan changes no stage, so no event waits behind it.
create or replace function bindery_internal.may_lead_on(item jsonb) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return item ->> 'type' not in ('heartbeat', 'plan');
end
$$;

create or replace function bindery_internal.try_item(item jsonb) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  raised_detail text;
begin
  return bindery_internal.apply_item(item);
exception when assert_failure or others then
  if bindery_internal.is_transient(sqlstate) then
    raise;
  end if;
  get stacked diagnostics raised_detail = pg_exception_detail;
  return bindery_internal.raised(sqlstate, sqlerrm, raised_detail);
end
$$;

-- Skips a book that another session has locked, and an unknown book that is being registered; the
-- next sweep retries them.
create or replace function bindery_internal.expire_early(moment timestamptz, most integer)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  patience constant interval := coalesce(
    (select s.patience from bindery.settings s), interval '15 minutes');
  book record;
  event bindery.early_events;
  expired integer := 0;
begin
  for book in
    select e.book_id, exists (
        select from bindery.book_status b where b.book_id = e.book_id) as is_known
    from bindery.early_events e where e.at < moment - patience
    group by e.book_id order by min(e.id) limit most
  loop
    if book.is_known then
      perform from bindery.book_status b
      where b.book_id = book.book_id for no key update skip locked;
    else
      perform from bindery_internal.registration_slots s
      where s.slot = bindery_internal.slot_of(book.book_id) for update skip locked;
    end if;
    continue when not found or not book.is_known and exists (
      select from bindery.book_status b where b.book_id = book.book_id);
    -- A change in REPEATABLE READ may not have seen the events deferred since its snapshot.
    if book.is_known then
      perform bindery_internal.settle_early(book.book_id);
    end if;
    for event in
      select e.* from bindery.early_events e
      where e.book_id = book.book_id and e.at < moment - patience
      order by e.id limit most - expired
    loop
      perform bindery_internal.reject(event.stream, jsonb_build_array(event.payload
        || jsonb_build_object('reason', event.reason, 'refusal',
          format('%s It waited for %s.', event.message, patience))));
      delete from bindery.early_events e where e.id = event.id;
      expired := expired + 1;
    end loop;
    -- The events that waited behind it.
    if book.is_known then
      perform bindery_internal.settle_early(book.book_id);
    end if;
    exit when expired >= most;
  end loop;
  return expired;
end
$$;

create or replace function bindery_internal.early_backlog(
  out events bigint, out books bigint, out oldest_at timestamptz, out age interval
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(sum(e.count), 0)::bigint, count(distinct e.book_id), min(e.at),
    coalesce(greatest(bindery_internal.now() - min(e.at), '0'), '0')
  from (select c.count, c.book_id, c.at from bindery.early_events c order by c.id limit 100000) e;
$$;

create or replace function bindery.early_backlog(
  out events bigint, out books bigint, out oldest_at timestamptz, out age interval
)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select b.* from bindery_internal.early_backlog() b;
$$;

comment on function bindery_internal.slot_of(uuid) is
  'The registration slot of a book, 0 to 255.';
comment on function bindery_internal.is_early(jsonb) is
  'Whether an outcome of apply_item is that of an early event.';
comment on function bindery_internal.defer(text, jsonb) is
  'Keeps items in early_events, [{book_id, id, first_id?, count?, reason, refusal, …}]; those '
  'beyond '
  'the bounds in bindery.settings become dead letters. Gives how many events of each.';
comment on function bindery_internal.share_slot(uuid) is
  'Before a book is inserted: waits for batches that keep early events of it, and keeps others '
  'out.';
comment on function bindery_internal.settle_early(uuid) is
  'Applies the early events of a book that have become applicable, in order.';
comment on function bindery_internal.settle_complete(uuid) is
  'Calls settle_early where all substeps of the book''s stage are done.';
comment on function bindery_internal.depends_on_order(jsonb) is
  'Whether the meaning of an event depends on those before it: progress or fail without a stage.';
comment on function bindery_internal.may_lead_on(jsonb) is
  'Whether an early event can lead to another stage, so that events that depend on order wait '
  'behind '
  'it: all but heartbeat and plan.';
comment on function bindery_internal.try_item(jsonb) is
  'As apply_item; an error that is the event''s fault is a result and changes nothing.';
comment on function bindery_internal.expire_early(timestamptz, integer) is
  'Turns early events that have waited longer than patience into dead letters, and applies those '
  'that waited behind them; gives how many became dead letters.';
comment on function bindery_internal.early_backlog() is 'See bindery.early_backlog.';
comment on function bindery.early_backlog() is
  'How many early events wait, of how many books, and since when the oldest does.
Counted up to 100,000 items.';

-- apply_events: a batch of events takes effect and the position moves, in one transaction.
-- Invariants: only the newest epoch applies anything; no position is passed twice; every item ends
-- applied, stale, early (kept) or rejected; an item that raises is rejected alone, and a failure
-- that may pass (is_transient) undoes the whole call.
-- Locks: relay_cursors, then all books of the batch in order of book_id, then the registration
-- slots of those that are unknown.
create or replace function bindery_internal.is_after(a text, b text) returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- Both halves of a stream id are unsigned 64-bit numbers.
  select (split_part(a, '-', 1)::numeric, split_part(a, '-', 2)::numeric)
    > (split_part(b, '-', 1)::numeric, split_part(b, '-', 2)::numeric);
$$;

create or replace function bindery_internal.is_position("position" text) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- A position above Redis's largest id could never be passed.
  return case when "position" ~ '^[0-9]{1,20}-[0-9]{1,20}$' then
    greatest(split_part("position", '-', 1)::numeric, split_part("position", '-', 2)::numeric)
      <= 18446744073709551615 end;
end
$$;

create or replace function bindery_internal.fenced(stream text, epoch bigint) returns jsonb
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.error('PT409', 'fenced',
    format('Epoch %s of the stream %s is over; the newest is %s.', fenced.epoch, fenced.stream,
      c.newest),
    'Another relay has taken the stream over. Apply nothing more; acquire it again.',
    jsonb_build_object('stream', fenced.stream, 'epoch', fenced.epoch, 'newest', c.newest))
  from (
    select max(r.epoch) from bindery.relay_cursors r where r.stream = fenced.stream) as c(newest);
$$;

-- Locks the stream's row for its holder, or raises an error.
create or replace function bindery_internal.lock_cursor(stream text, epoch bigint, "position" text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  cursor_row bindery.relay_cursors;
begin
  perform bindery_internal.raise_error(
    bindery_internal.refused_text('stream', lock_cursor.stream, 512));
  select c.* into cursor_row from bindery.relay_cursors c
  where c.stream = lock_cursor.stream for no key update;
  if not found or cursor_row.epoch is distinct from lock_cursor.epoch
    or cursor_row.holder is null
  then
    perform bindery_internal.raise_error(
      bindery_internal.fenced(lock_cursor.stream, lock_cursor.epoch));
  elsif bindery_internal.is_position(lock_cursor."position") is not true then
    perform bindery_internal.raise_error(bindery_internal.bad_input('position',
      'is not a stream id', 'Give the last entry''s id, such as 1700000000000-0.'));
  elsif not bindery_internal.is_after(lock_cursor."position", cursor_row.position) then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'position_passed',
      format('The stream %s is applied up to %s; %s is not after that.',
        lock_cursor.stream, cursor_row.position, lock_cursor."position"),
      'Read on from the position in relay_cursors; this batch has taken effect already.',
      jsonb_build_object('stream', lock_cursor.stream, 'position', cursor_row.position)));
  end if;
end
$$;

create or replace function bindery_internal.lock_books(book_ids uuid[]) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  known bigint;
begin
  select count(*) into known from (
    select from bindery.book_status b
    where b.book_id = any (book_ids) order by b.book_id for no key update) l;
  if known < cardinality(book_ids) then
    -- Wait for concurrent registrations, and lock the books that they have inserted.
    perform from bindery_internal.registration_slots s
    where s.slot in (
      select bindery_internal.slot_of(u.book_id) from unnest(book_ids) as u(book_id)
      where not exists (select from bindery.book_status b where b.book_id = u.book_id))
    order by s.slot for update;
    perform from bindery.book_status b
    where b.book_id = any (book_ids) order by b.book_id for no key update;
  end if;
end
$$;

create or replace function bindery_internal.apply_events(
  stream text, epoch bigint, "position" text, events jsonb, segments integer[], book_ids uuid[],
  stages text[], substeps text[], attempts integer[], progress double precision[],
  done double precision[], totals double precision[], units text[], messages text[],
  checkpoints text[], counts bigint[], first_ids text[], ids text[],
  out applied bigint, out stale bigint, out early bigint, out rejected bigint
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- If another session holds a book's row for long, the call fails with 55P03 and the relay retries.
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  reports constant integer := coalesce(cardinality(apply_events.book_ids), 0);
  with_substeps constant boolean := bindery_internal.has_realtime();
  actor constant text := coalesce(current_setting('bindery.actor', true), '');
  nothing text;
  named uuid[];
  segment record;
  slice int4range;
  slices int4range[];
  a integer;
  z integer;
  held uuid[] := '{}';
  result record;
  outcome record;
  item jsonb;
  queue jsonb[];
  some_early boolean := false;
  here record;
  raised_detail text;
  raised jsonb;
  changed uuid[] := '{}';
  revisions bigint[] := '{}';
  shown jsonb[] := '{}';
begin
  applied := 0;
  stale := 0;
  early := 0;
  rejected := 0;
  perform bindery_internal.lock_cursor(
    apply_events.stream, apply_events.epoch, apply_events."position");
  perform bindery_internal.check_batch(apply_events.events, apply_events.segments,
    apply_events.counts, reports, array[bindery_internal.list_length(apply_events.segments),
      bindery_internal.list_length(apply_events.book_ids),
      bindery_internal.list_length(apply_events.stages),
      bindery_internal.list_length(apply_events.substeps),
      bindery_internal.list_length(apply_events.attempts),
      coalesce(bindery_internal.list_length(apply_events.progress), 0),
      bindery_internal.list_length(apply_events.done),
      bindery_internal.list_length(apply_events.totals),
      bindery_internal.list_length(apply_events.units),
      bindery_internal.list_length(apply_events.messages),
      bindery_internal.list_length(apply_events.checkpoints),
      bindery_internal.list_length(apply_events.counts),
      bindery_internal.list_length(apply_events.first_ids),
      bindery_internal.list_length(apply_events.ids)]);
  nothing := set_config('bindery.actor', 'relay:' || apply_events.stream, true);
  nothing := set_config('bindery.batching', 'yes', true);
  nothing := set_config('bindery.changed', '', true);

  select array_agg(n.book_id) into named from (
    select u.book_id from unnest(apply_events.book_ids) as u(book_id)
    union
    select bindery_internal.as_uuid(e.item ->> 'book_id')
    from jsonb_array_elements(apply_events.events) as e(item)) n
  where n.book_id is not null;
  if named is not null then
    perform bindery_internal.lock_books(named);
  end if;

  for segment in
    select coalesce(r.number, e.number) as number, r.a, r.z, e.items
    from (
      select coalesce(s.number, 0) as number, min(s.ord)::integer as a, max(s.ord)::integer as z
      from unnest(coalesce(apply_events.segments, array_fill(0, array[reports])))
        with ordinality as s(number, ord)
      group by 1) r
    full join (
      -- An item without a segment is a segment of its own, in the order of the array.
      select case when i.item ->> 'segment' ~ '^[0-9]{1,9}$' then (i.item ->> 'segment')::integer
        else i.ord::integer end as number, jsonb_agg(i.item order by i.ord) as items
      from jsonb_array_elements(apply_events.events) with ordinality as i(item, ord)
      group by 1) e on e.number = r.number
    order by 1
  loop
    -- By the index, which is fast also before the first vacuum.
    some_early := (
      select e.id from bindery.early_events e order by e.id limit 1) is not null;
    held := '{}';
    -- Only the books of this segment's reports, and the first such event of each.
    if some_early and segment.a is not null then
      select coalesce(array_agg(u.book_id), '{}') into held
      from (
        select distinct r.book_id
        from unnest(apply_events.book_ids[segment.a:segment.z]) as r(book_id)) u
      where exists (
        select from bindery.early_events e
        where e.book_id = u.book_id and e.stream = apply_events.stream
          and bindery_internal.may_lead_on(e.payload));
    end if;
    -- Apply all reports at once; on an error, apply each half separately.
    slices := case when segment.a is not null then array[int4range(segment.a, segment.z, '[]')]
      else '{}' end;
    while cardinality(slices) > 0 loop
      slice := slices[1];
      slices := slices[2:];
      a := lower(slice);
      z := upper(slice) - 1;
      begin
        -- Count in variables: an exception undoes changes of the database, not of variables.
        select 0::bigint as applied, 0::bigint as stale, 0::bigint as early, 0::bigint as rejected
        into here;
        if a = 1 and z = reports then
          result := bindery_internal.apply_reports(apply_events.book_ids, apply_events.stages,
            apply_events.substeps, apply_events.attempts, apply_events.progress,
            apply_events.done, apply_events.totals, apply_events.units, apply_events.messages,
            apply_events.checkpoints, with_substeps, held);
        else
          result := bindery_internal.apply_reports(apply_events.book_ids[a:z],
            apply_events.stages[a:z], apply_events.substeps[a:z], apply_events.attempts[a:z],
            apply_events.progress[a:z], apply_events.done[a:z], apply_events.totals[a:z],
            apply_events.units[a:z], apply_events.messages[a:z], apply_events.checkpoints[a:z],
            with_substeps, held);
        end if;
        queue := '{}';
        if result.verdicts is null then
          here.applied := coalesce(
            (select sum(coalesce(c, 1)) from unnest(apply_events.counts[a:z]) as c), z - a + 1);
        else
          for outcome in
            select o.verdict, sum(r.count)::bigint as count, jsonb_agg(
              case when o.verdict not in ('accept', 'stale') then
              jsonb_strip_nulls(jsonb_build_object('type', 'progress', 'id', r.id,
                'first_id', r.first_id, 'count', r.count, 'book_id', r.book_id, 'stage', r.stage,
                'substep', r.substep, 'attempt', r.attempt, 'progress', r.progress, 'done', r.done,
                'total', r.total, 'unit', r.unit, 'message', r.message))
              || case when r.checkpoint is null then '{}'
                 else jsonb_build_object('checkpoint', r.checkpoint::jsonb) end
              || jsonb_build_object('reason', o.verdict, 'refusal', case o.verdict
                when 'queued_behind' then 'An earlier event of this book waits.'
                when 'bad_input' then bindery_internal.bad_report(r.substep, r.progress, r.done,
                  r.total, r.unit, r.message, r.checkpoint::jsonb, r.attempt) ->> 'message'
                else bindery_internal.refused_report(
                  o.verdict, r.book_id, r.stage, r.substep, r.attempt) ->> 'message' end) end
              order by r.ord) as items
            from (
              select u.ord, u.book_id, u.stage, u.substep, u.attempt, u.progress, u.done, u.total,
                u.unit, u.message, u.checkpoint, coalesce(u.count, 1) as count, u.first_id, u.id
              from unnest(apply_events.book_ids[a:z], apply_events.stages[a:z],
                apply_events.substeps[a:z], apply_events.attempts[a:z],
                apply_events.progress[a:z], apply_events.done[a:z], apply_events.totals[a:z],
                apply_events.units[a:z], apply_events.messages[a:z],
                apply_events.checkpoints[a:z], apply_events.counts[a:z],
                apply_events.first_ids[a:z], apply_events.ids[a:z])
                with ordinality as u(book_id, stage, substep, attempt, progress, done, total, unit,
                  message, checkpoint, count, first_id, id, ord)) r
            left join unnest(result.others, result.verdicts) as v(ord, verdict) on v.ord = r.ord
            cross join lateral (select coalesce(v.verdict, 'accept')) as o(verdict)
            group by o.verdict
          loop
            case
              when outcome.verdict = 'accept' then
                here.applied := outcome.count;
              when outcome.verdict = 'stale' then
                here.stale := outcome.count;
              when outcome.verdict = 'advance' then
                select queue || array_agg(i.item) into queue
                from jsonb_array_elements(outcome.items) as i(item);
              when outcome.verdict in
                ('unknown_book', 'stage_not_reached', 'attempt_ahead', 'queued_behind')
              then
                select here.early + d.early, here.rejected + d.rejected
                into here.early, here.rejected from bindery_internal.defer(apply_events.stream,
                  outcome.items) d;
              else
                here.rejected := here.rejected
                  + bindery_internal.reject(apply_events.stream, outcome.items);
            end case;
          end loop;
        end if;
        if some_early and result.changed is not null then
          perform bindery_internal.settle_complete(e.book_id)
          from (
            select distinct w.book_id from bindery.early_events w
            where w.book_id = any (result.changed)) e;
        end if;
        segment.items := coalesce(to_jsonb(nullif(queue, '{}')), '[]')
          || coalesce(segment.items, '[]');
        applied := applied + here.applied;
        stale := stale + here.stale;
        early := early + here.early;
        rejected := rejected + here.rejected;
        changed := changed || result.changed;
        revisions := revisions || result.revisions;
        shown := shown || result.shown;
      exception when assert_failure or others then
        if bindery_internal.is_transient(sqlstate) then
          raise;
        elsif a < z then
          slices := array[int4range(a, (a + z) / 2, '[]'),
            int4range((a + z) / 2 + 1, z, '[]')] || slices;
        else
          get stacked diagnostics raised_detail = pg_exception_detail;
          raised := bindery_internal.raised(sqlstate, sqlerrm, raised_detail);
          rejected := rejected + bindery_internal.reject(apply_events.stream,
            jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('type', 'progress',
              'id', apply_events.ids[a], 'first_id', apply_events.first_ids[a],
              'count', apply_events.counts[a], 'book_id', apply_events.book_ids[a],
              'stage', apply_events.stages[a], 'substep', apply_events.substeps[a],
              'attempt', apply_events.attempts[a], 'progress', apply_events.progress[a],
              'done', apply_events.done[a], 'total', apply_events.totals[a],
              'unit', apply_events.units[a], 'message', apply_events.messages[a],
              -- PT422 is raised by check_reports.
              'reason', case when sqlstate = 'PT422' then 'bad_input'
                else raised ->> 'code' end,
              'refusal', case when sqlstate = 'PT422' then sqlerrm
                else raised ->> 'message' end))
            || case when apply_events.checkpoints[a] is null then '{}' else jsonb_build_object(
              'checkpoint', bindery_internal.as_json(apply_events.checkpoints[a])) end));
        end if;
      end;
    end loop;

    -- Apply the other items one by one, in one subtransaction: one for each would slow down every
    -- other session. On an error, retry each in its own.
    begin
      select 0::bigint as applied, 0::bigint as stale, 0::bigint as early, 0::bigint as rejected
      into here;
      for item in select i.item from jsonb_array_elements(segment.items) as i(item) loop
        outcome := bindery_internal.apply_one(apply_events.stream, item, false);
        here.applied := here.applied + outcome.applied;
        here.stale := here.stale + outcome.stale;
        here.early := here.early + outcome.early;
        here.rejected := here.rejected + outcome.rejected;
      end loop;
      applied := applied + here.applied;
      stale := stale + here.stale;
      early := early + here.early;
      rejected := rejected + here.rejected;
    exception when assert_failure or others then
      if bindery_internal.is_transient(sqlstate) then
        raise;
      end if;
      for item in select i.item from jsonb_array_elements(segment.items) as i(item) loop
        outcome := bindery_internal.apply_one(apply_events.stream, item, true);
        applied := applied + outcome.applied;
        stale := stale + outcome.stale;
        early := early + outcome.early;
        rejected := rejected + outcome.rejected;
      end loop;
    end;
  end loop;

  nothing := set_config('bindery.batching', '', true);
  nothing := set_config('bindery.actor', actor, true);
  perform bindery_internal.announce_batch(changed, revisions, shown);
  update bindery.relay_cursors c
  set position = apply_events."position", applied = c.applied + apply_events.applied,
      stale = c.stale + apply_events.stale, early = c.early + apply_events.early,
      rejected = c.rejected + apply_events.rejected, applied_at = bindery_internal.now(),
      lease_expires_at = bindery_internal.now() + c.lease_ttl
  where c.stream = apply_events.stream;
end
$$;

-- Parses a text as JSON; a text that is not JSON becomes a JSON string.
create or replace function bindery_internal.as_json(value text) returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return value::jsonb;
exception when others then
  return to_jsonb(value);
end
$$;

-- Applies, defers or rejects one item of a batch that is not a report.
create or replace function bindery_internal.apply_one(
  stream text, item jsonb, by_itself boolean, out applied bigint, out stale bigint,
  out early bigint, out rejected bigint
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  count constant bigint := bindery_internal.event_count(item);
  outcome jsonb;
begin
  applied := 0;
  stale := 0;
  early := 0;
  rejected := 0;
  if jsonb_typeof(item) is distinct from 'object' then
    rejected := bindery_internal.reject(stream, jsonb_build_array(jsonb_build_object(
      'reason', 'not_an_object', 'message', 'The event is not a JSON object.', 'payload', item)));
    return;
  elsif item ->> 'type' = 'rejected' then
    rejected := bindery_internal.reject(stream, jsonb_build_array(item));
    return;
  elsif bindery_internal.depends_on_order(item) and exists (
    select from bindery.early_events e
    where e.stream = apply_one.stream
      and e.book_id = bindery_internal.as_uuid(item ->> 'book_id')
      and bindery_internal.may_lead_on(e.payload))
  then
    outcome := jsonb_build_object('code', 'queued_behind', 'early', true,
      'message', 'An earlier event of this book waits.');
  else
    outcome := case when by_itself then bindery_internal.try_item(item)
      else bindery_internal.apply_item(item) end;
  end if;
  if outcome is null then
    applied := count;
  elsif outcome ? 'stale' then
    stale := count;
  elsif bindery_internal.is_early(outcome) then
    select d.early, d.rejected into early, rejected
    from bindery_internal.defer(stream, jsonb_build_array(item
      || jsonb_build_object('reason', outcome -> 'code', 'refusal', outcome -> 'message'))) d;
  else
    rejected := bindery_internal.reject(stream, jsonb_build_array(item
      || jsonb_build_object('reason', outcome -> 'code', 'refusal', outcome -> 'message')));
  end if;
end
$$;

-- Slices count from 1, so a list must count from 1 too.
create or replace function bindery_internal.list_length(list anyarray) returns integer
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return case when array_ndims(list) > 1 or array_lower(list, 1) <> 1 then -1
    else cardinality(list) end;
end
$$;

create or replace function bindery_internal.check_batch(
  events jsonb, segments integer[], counts bigint[], reports integer, lengths integer[]
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if jsonb_typeof(events) is distinct from 'array' then
    perform bindery_internal.raise_error(bindery_internal.bad_input(
      'events', 'is not a JSON array', 'Give an array, empty if there are none.'));
  -- An item's own JSON may be 64 levels deep. JSON that is much deeper can be parsed, but can then
  -- neither be split nor rejected.
  elsif jsonb_path_exists(events, '$.**{68}') then
    perform bindery_internal.raise_error(bindery_internal.bad_input(
      'events', 'is nested deeper than 67 levels', 'Make the JSON in the events flatter.'));
  elsif exists (select from unnest(lengths) as l(length) where l.length <> reports) then
    perform bindery_internal.raise_error(bindery_internal.bad_input('the arrays of reports',
      'are not lists of one length', 'Give one element a report; leave out what no report has.'));
  -- The limit of event_count: a larger value could overflow the totals in relay_cursors.
  elsif exists (select from unnest(counts) as c(count) where c.count not between 1 and 999999999)
  then
    perform bindery_internal.raise_error(bindery_internal.bad_input('counts',
      'has an element that is not between 1 and 999,999,999',
      'Give how many events each report stands for.'));
  elsif exists (
    select from (
      select s.number, lag(s.number) over (order by s.ord) as before
      from unnest(segments) with ordinality as s(number, ord)) o
    where o.number is null or o.number < 0 or o.number < o.before)
  then
    perform bindery_internal.raise_error(bindery_internal.bad_input('segments',
      'are not sorted', 'Give the reports in order of their segments.'));
  end if;
end
$$;

-- Announces the books that a batch changed: those with reports with their changed substeps, and
-- those whose status changed (collected in bindery.changed) as a whole.
create or replace function bindery_internal.announce_batch(
  changed uuid[], revisions bigint[], shown jsonb[]
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
  whole constant uuid[] := string_to_array(
    nullif(rtrim(coalesce(current_setting('bindery.changed', true), '')), ''), ' ')::uuid[];
  nothing text;
begin
  nothing := set_config('bindery.changed', '', true);
  if whole is null and (
    select count(distinct c) = count(*) from unnest(changed) as c)
  then
    perform bindery_internal.announce_books(changed, revisions, shown);
    return;
  end if;
  perform bindery_internal.announce_books(array_agg(c.book_id), array_agg(b.revision),
    array_agg(case when c.whole then null else c.shown end))
  from (
    -- If several segments changed a substep, its last state counts.
    select u.book_id, bool_or(u.whole) as whole, coalesce(jsonb_path_query_array(
      jsonb_object_agg(s.substep ->> 'substep', s.substep order by u.place)
        filter (where s.substep is not null), '$.*'), '[]') as shown
    from (
      select w as book_id, true as whole, null::jsonb as shown, 0 as place from unnest(whole) as w
      union all
      select r.book_id, false, r.shown, r.place
      from unnest(changed, shown) with ordinality as r(book_id, shown, place)) u
    left join lateral jsonb_array_elements(u.shown) as s(substep) on true
    group by u.book_id) c
  cross join lateral (
    select s.revision from bindery.book_status s where s.book_id = c.book_id limit 1) b;
end
$$;

create or replace function bindery.apply_events(
  stream text, epoch bigint, "position" text, events jsonb default '[]',
  segments integer[] default null, book_ids uuid[] default null, stages text[] default null,
  substeps text[] default null, attempts integer[] default null,
  progress double precision[] default null, done double precision[] default null,
  totals double precision[] default null, units text[] default null,
  messages text[] default null, checkpoints text[] default null, counts bigint[] default null,
  first_ids text[] default null, ids text[] default null
)
returns table (applied bigint, stale bigint, early bigint, rejected bigint)
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select a.applied, a.stale, a.early, a.rejected
  from bindery_internal.apply_events(stream, epoch, "position", events, segments, book_ids, stages,
    substeps, attempts, progress, done, totals, units, messages, checkpoints, counts, first_ids,
    ids) a;
$$;

comment on function bindery_internal.is_after(text, text) is
  'Whether a stream id comes after another.';
comment on function bindery_internal.is_position(text) is
  'Whether this is the id of a stream''s entry: two unsigned 64-bit numbers; null where it is not '
  'even of the form.';
comment on function bindery_internal.fenced(text, bigint) is
  'The error PT409 fenced: this epoch of the stream is not the newest.';
comment on function bindery_internal.lock_cursor(text, bigint, text) is
  'Locks the row of a stream for the holder of this epoch; raises where it is another''s, or where '
  'the position is not after the stream''s.';
comment on function bindery_internal.lock_books(uuid[]) is
  'Locks the rows of these books, in order; of those that are unknown the registration slots.';
comment on function bindery_internal.apply_events(text, bigint, text, jsonb, integer[], uuid[],
  text[], text[], integer[], double precision[], double precision[], double precision[], text[],
  text[], text[], bigint[], text[], text[]) is 'See bindery.apply_events.';
comment on function bindery_internal.as_json(text) is
  'A text read as JSON; one that is no JSON as a JSON string.';
comment on function bindery_internal.apply_one(text, jsonb, boolean) is
  'Applies one item, or keeps it as early, or rejects it; counts the events it stands for. '
  'by_itself: what it raises is a reason to reject it, and undoes nothing else.';
comment on function bindery_internal.list_length(anyarray) is
  'The length of an array of one dimension that counts from 1, -1 for other arrays, null for null.';
comment on function bindery_internal.check_batch(jsonb, integer[], bigint[], integer, integer[]) is
  'Raises PT422 bad_input for a batch that cannot be read.';
comment on function bindery_internal.announce_batch(uuid[], bigint[], jsonb[]) is
  'Announces the books that a batch changed, each once.';
comment on function bindery.apply_events(text, bigint, text, jsonb, integer[], uuid[], text[],
  text[], integer[], double precision[], double precision[], double precision[], text[], text[],
  text[], bigint[], text[], text[]) is
  'Applies a batch of events and moves the stream''s position, in one transaction.
Counts the events that were applied, stale, early (kept in early_events) and rejected (dead '
  'letters).
Progress reports are arrays of one element a report, sorted by segment; an array that no report '
  'needs is left out. checkpoints hold JSON as text, counts how many events a report stands for. '
  'events holds all other items as docs/events.md has them, with id, count and segment. Segments '
  'are '
  'applied in order; in one segment the reports must be about different substeps. An item without '
  'a '
  'segment is a segment of its own. PT409 fenced or position_passed, PT422 bad_input.';

-- report_events: applies a batch of events over HTTP, each with its own outcome; with a key, once.
-- Invariants: an event takes effect as in a stream, those of one book in the batch's order; a
-- rejected event affects no other and becomes no dead letter, since the caller receives the reason;
-- a transient failure (is_transient) undoes the whole call. A repeated key returns the stored
-- answer.
-- Locks: the row of the key, then all books of the batch in order of book_id, then the
-- registration slots of those that are unknown.
create or replace function bindery_internal.report_events(events jsonb, idempotency_key text)
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- If another session holds a book's row for long, the call fails with 55P03.
set lock_timeout = '5s'
as $$
declare
  claims constant jsonb := coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}');
  asking constant text := encode(sha256(convert_to(jsonb_build_array(
    coalesce(nullif(current_setting('role', true), 'none'), session_user), claims -> 'sub',
    claims -> 'pipeline', claims -> 'stage', claims -> 'book_id')::text, 'UTF8')), 'hex');
  hash constant bytea := sha256(convert_to(report_events.events::text, 'UTF8'));
  stored bindery_internal.stored_answers;
  named uuid[];
  item jsonb;
  outcomes jsonb[] := '{}';
  nothing text;
begin
  if jsonb_typeof(report_events.events) is distinct from 'array'
    or jsonb_array_length(report_events.events) > 1000
  then
    perform bindery_internal.raise_error(bindery_internal.bad_input('events',
      'is not a JSON array of at most 1,000 events', 'Send an array, or several batches.'));
  -- The same checks as in check_batch of apply_events.
  elsif jsonb_path_exists(report_events.events, '$.**{68}') then
    perform bindery_internal.raise_error(bindery_internal.bad_input('events',
      'is nested deeper than 67 levels', 'Make the JSON in the events flatter.'));
  elsif report_events.idempotency_key = '' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('idempotency_key',
      'is empty', 'Give a key of 1 to 255 characters, or none.'));
  end if;
  perform bindery_internal.raise_error(bindery_internal.refused_text(
    'idempotency_key', report_events.idempotency_key, 255));
  if report_events.idempotency_key is not null then
    loop
      -- Waits for another call with this key.
      insert into bindery_internal.stored_answers (caller, key, digest, at)
      values (asking, report_events.idempotency_key, hash, bindery_internal.now())
      on conflict on constraint stored_answers_pkey do nothing;
      exit when found;
      select a.* into stored from bindery_internal.stored_answers a
      where a.caller = asking and a.key = report_events.idempotency_key;
      -- No row: it was deleted meanwhile.
      continue when not found;
      if stored.digest <> hash then
        perform bindery_internal.raise_error(bindery_internal.error('PT422', 'key_reused',
          format('The idempotency key %s was sent with another batch.',
            report_events.idempotency_key),
          'Use a new key for each batch.'));
      end if;
      return stored.answer || '{"replayed": true}';
    end loop;
  end if;

  select array_agg(n.book_id) into named from (
    select distinct bindery_internal.as_uuid(e.item ->> 'book_id') as book_id
    from jsonb_array_elements(report_events.events) as e(item)) n
  where n.book_id is not null;
  if named is not null then
    perform bindery_internal.lock_books(named);
  end if;
  nothing := set_config('bindery.batching', 'yes', true);
  nothing := set_config('bindery.changed', '', true);
  -- First in one subtransaction: one for each event would slow down every other session.
  begin
    for item in select e.item from jsonb_array_elements(report_events.events) as e(item) loop
      outcomes := outcomes || bindery_internal.report_event(item, false);
    end loop;
  exception when assert_failure or others then
    if bindery_internal.is_transient(sqlstate) then
      raise;
    end if;
    outcomes := '{}';
    for item in select e.item from jsonb_array_elements(report_events.events) as e(item) loop
      outcomes := outcomes || bindery_internal.report_event(item, true);
    end loop;
  end;
  nothing := set_config('bindery.batching', '', true);
  perform bindery_internal.announce_batch('{}', '{}', '{}');
  stored.answer := jsonb_build_object('replayed', false, 'outcomes', to_jsonb(outcomes));
  update bindery_internal.stored_answers a set answer = stored.answer
  where a.caller = asking and a.key = report_events.idempotency_key;
  return stored.answer;
end
$$;

-- One event of a batch: {outcome: applied, stale, early or rejected, code?, message?, hint?}.
create or replace function bindery_internal.report_event(item jsonb, by_itself boolean)
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  claims constant jsonb := bindery_internal.worker_claims();
  book uuid;
  outcome jsonb;
  kept record;
begin
  if jsonb_typeof(item) is distinct from 'object' then
    return '{"outcome": "rejected", "code": "not_an_object",
      "message": "The event is not a JSON object."}';
  elsif item ->> 'type' = 'rejected' then
    return jsonb_build_object('outcome', 'rejected', 'code', item -> 'reason',
      'message', item -> 'message');
  end if;
  book := bindery_internal.as_uuid(item ->> 'book_id');
  if book is null then
    return '{"outcome": "rejected", "code": "bad_uuid", "message": "book_id is not a uuid"}';
  end if;
  if claims is not null then
    -- A worker registers no book; a report without a stage is about the stage of its token.
    item := item - 'pipeline';
    if claims ? 'stage' and item ->> 'stage' is null
      and item ->> 'type' in ('progress', 'heartbeat', 'fail')
    then
      item := item || jsonb_build_object('stage', claims -> 'stage');
    end if;
  end if;
  outcome := bindery_internal.refused_worker(item ->> 'type', book,
    case item ->> 'type' when 'begin' then item ->> 'to_status' else item ->> 'stage' end);
  if outcome is not null then
    null;
  elsif bindery_internal.depends_on_order(item) and exists (
    select from bindery.early_events e
    where e.stream = 'http' and e.book_id = book
      and bindery_internal.may_lead_on(e.payload))
  then
    outcome := '{"code": "queued_behind", "early": true,
      "message": "An earlier event of this book waits."}';
  elsif by_itself then
    outcome := bindery_internal.try_item(item);
  else
    outcome := bindery_internal.apply_item(item);
  end if;
  if outcome is null then
    return '{"outcome": "applied"}';
  elsif outcome ? 'stale' then
    return '{"outcome": "stale"}';
  -- It is not known yet whether a worker's claims will admit a book that is not registered.
  elsif bindery_internal.is_early(outcome)
    and not (coalesce(claims ? 'pipeline', false) and outcome ->> 'code' = 'unknown_book')
  then
    select d.early, d.rejected into kept from bindery_internal.defer('http',
      jsonb_build_array(item || jsonb_build_object('reason', outcome -> 'code',
        'refusal', outcome -> 'message'))) d;
    if kept.rejected > 0 then
      return jsonb_build_object('outcome', 'rejected', 'code', 'too_many_early_events',
        'message', (outcome ->> 'message') || ' Too many events wait already.');
    end if;
    return jsonb_build_object('outcome', 'early', 'code', outcome -> 'code',
      'message', outcome -> 'message');
  end if;
  return jsonb_strip_nulls(jsonb_build_object('outcome', 'rejected', 'code', outcome -> 'code',
    'message', outcome -> 'message', 'hint', outcome -> 'hint'));
end
$$;

create or replace function bindery.report_events(
  events jsonb, idempotency_key text default null
) returns jsonb
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.report_events(events, idempotency_key);
$$;

comment on function bindery_internal.report_events(jsonb, text) is
  'See bindery.report_events.';
comment on function bindery_internal.report_event(jsonb, boolean) is
  'Applies one event of a batch, or keeps it as early; gives its outcome. by_itself: what it '
  'raises is its outcome, and undoes nothing else.';
comment on function bindery.report_events(jsonb, text) is
  'Applies up to 1,000 events, as docs/events.md has them, and gives the outcome of each.
{replayed, outcomes: [{outcome: applied, stale, early or rejected, code?, message?, hint?}]}, in '
  'the order of the events. Early events wait as those of a stream do. The same caller''s same key '
  'within a day gives the stored answer with replayed true, and applies nothing. PT422 '
  'key_reused or bad_input.';

-- take_outbox: returns the oldest messages of the outbox and deletes them in the caller's
-- transaction.
-- Invariants: the caller commits after it has published them, so each is published at least once;
-- there is one publisher at a time, so a book's messages keep their order. A call takes at most
-- about a megabyte, or one message.
-- Locks: the mutex outbox until the transaction ends; without the mutex nothing is taken.
create or replace function bindery_internal.take_outbox(max_rows integer)
returns setof bindery.outbox
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Locking a row writes to it; an idle publisher writes nothing.
  if (select o.id from bindery.outbox o order by o.id limit 1) is null
    or not bindery_internal.take_mutex('outbox', 0)
  then
    return;
  end if;
  return query
  with taken as (
    delete from bindery.outbox o
    where o.id = any (array(
      select s.id
      from (
        select c.id, sum(octet_length(c.payload::text)) over (order by c.id) as bytes,
          row_number() over (order by c.id) as place
        from (
          select w.id, w.payload from bindery.outbox w order by w.id
          limit least(greatest(max_rows, 0), 10000)) c) s
      where s.bytes <= 1048576 or s.place = 1))
    returning o.*
  )
  select t.* from taken t order by t.id;
end
$$;

create or replace function bindery.take_outbox(max_rows integer default 500)
returns setof bindery.outbox
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select o.* from bindery_internal.take_outbox(max_rows) o;
$$;

comment on function bindery.take_outbox(integer) is
  'Takes the oldest messages of the outbox, up to max_rows (at most 10,000) and about a megabyte, '
  'in order. Publish them, then commit; a rollback puts them back.
Gives none while another transaction has some taken.';
comment on function bindery_internal.take_outbox(integer) is
  'See bindery.take_outbox.';

-- outbox_backlog: the number of messages that wait to be published, and since when.
-- Invariants: read-only; counts at most max_messages, so that a large backlog costs no more.
create or replace function bindery_internal.outbox_backlog(max_messages integer,
  out messages bigint, out oldest_at timestamptz, out age interval)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select (select count(*) from (select from bindery.outbox
    limit least(greatest(outbox_backlog.max_messages, 0), 1000000)) o), f.created_at,
    greatest(coalesce(bindery_internal.now() - f.created_at, '0'), '0')
  from (values (0)) as one(row) left join lateral (
    select o.created_at from bindery.outbox o order by o.id limit 1) f on true;
$$;

create or replace function bindery.outbox_backlog(max_messages integer default 100000,
  out messages bigint, out oldest_at timestamptz, out age interval)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select b.* from bindery_internal.outbox_backlog(outbox_backlog.max_messages) b;
$$;

comment on function bindery_internal.outbox_backlog(integer) is 'See bindery.outbox_backlog.';
comment on function bindery.outbox_backlog(integer) is
  'How many messages of the outbox wait to be published, counted up to max_messages (at most '
  '1,000,000), and since when the oldest does.';

-- dead_letter_reasons: counts a stream's newest dead letters by rejection reason.
-- Invariants: read-only; reads at most max_letters.
create or replace function bindery_internal.dead_letter_reasons(stream text, after text,
  max_letters integer)
returns table (reason text, letters bigint, events bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream',
    dead_letter_reasons.stream, 512));
  if bindery_internal.is_position(dead_letter_reasons.after) is not true then
    perform bindery_internal.raise_error(bindery_internal.bad_input('after', 'is not a stream id',
      'Give an entry''s id, such as 1700000000000-0.'));
  end if;
  return query
  select d.reason, count(*), sum(d.count)::bigint
  from (
    select c.reason, c.count, c.event_id from bindery.dead_letters c
    where c.stream = dead_letter_reasons.stream
    order by c.id desc limit least(greatest(max_letters, 0), 100000)) d
  -- A dead letter without a valid id comes from a caller of apply_events other than binderyd.
  where case when bindery_internal.is_position(d.event_id) is true
    then bindery_internal.is_after(d.event_id, dead_letter_reasons.after) else true end
  group by d.reason
  order by 3 desc, 1;
end
$$;

create or replace function bindery.dead_letter_reasons(stream text, after text default '0-0',
  max_letters integer default 10000)
returns table (reason text, letters bigint, events bigint)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select r.* from bindery_internal.dead_letter_reasons(dead_letter_reasons.stream,
    dead_letter_reasons.after, dead_letter_reasons.max_letters) r;
$$;

comment on function bindery_internal.dead_letter_reasons(text, text, integer) is
  'See bindery.dead_letter_reasons.';
comment on function bindery.dead_letter_reasons(text, text, integer) is
  'Why events of a stream went to dead_letters, most frequent first: of the newest max_letters '
  'letters (at most 100,000) those whose event comes after an id.
PT422 bad_input.';

-- refresh_pace: keeps stage_pace current with stage_visits, once a minute at most.
-- Invariants: reads only the visits that ended since the last time (and in the minute before), at
-- most 50,000 a call, by the index on left_at.
-- Locks: the mutex pace until the transaction ends; if another session has it, nothing is done.
create or replace function bindery_internal.pace_of(machine jsonb, medians jsonb)
returns table (stage text, median_seconds double precision, later_seconds double precision)
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  n constant integer := jsonb_array_length(machine -> 'states');
  names text[] := '{}';
  weights double precision[] := '{}';
  paces double precision[] := '{}';
  -- The most weight that can lie between a state and the end, and the state after it on that path.
  heaviest double precision[] := array_fill(null::double precision,
    array[n - 1]) || 0::double precision;
  following integer[] := '{}';
  most double precision;
  settled boolean := false;
  here integer;
begin
  for i in 1 .. n loop
    names := names || (machine #>> array['states', (i - 1)::text, 'name']);
    weights := weights || (machine #>> array['states', (i - 1)::text, 'weight'])::double precision;
    paces := paces || coalesce((medians ->> names[i])::double precision, case when weights[i] = 0
      then 0 end);
  end loop;
  -- States may be in any order. Their forward edges have no cycle, so the loop ends.
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
      from jsonb_array_elements(machine #> array['states', (i - 1)::text,
        'next']) with ordinality as e(edge, ord)
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
set search_path = pg_catalog, pg_temp
as $$
declare
  -- The newest visits of a state, from which its median is computed.
  newest constant integer := 50;
  -- A median of fewer visits is no basis for an estimate. Also in bindery_internal.stage_medians.
  fewest constant integer := 3;
  moment constant timestamptz := bindery_internal.now();
  reading bindery_internal.pace_refresh;
  through timestamptz;
  moved record;
begin
  select r.* into reading from bindery_internal.pace_refresh r;
  if moment >= reading.refreshed_at and moment < reading.refreshed_at + interval '1 minute' then
    return false;
  elsif not bindery_internal.take_mutex('pace', 100) then
    return false;
  end if;
  insert into bindery_internal.pace_refresh default values on conflict (only_row) do nothing;

  select max(n.left_at) into through from (
    select v.left_at from bindery.stage_visits v
    where v.seconds is not null
      and (reading.read_until is null or v.left_at > reading.read_until - interval '1 minute')
    order by v.left_at limit 50000) n;
  for moved in
    with ended as materialized (
      select b.pipeline, b.pipeline_version, v.stage, v.book_id, v.left_at, v.seconds,
        row_number() over (partition by b.pipeline, b.pipeline_version, v.stage
          order by v.left_at desc) as place
      from bindery.stage_visits v join bindery.book_status b on b.book_id = v.book_id
      -- A restore of data can bring books without their pipeline.
      join bindery.pipelines d on d.name = b.pipeline and d.version = b.pipeline_version
      where v.seconds is not null and v.left_at <= through
        -- Transactions commit out of order; a visit that is read again changes nothing.
        and (reading.read_until is null or v.left_at > reading.read_until - interval '1 minute')
    ), added as (
      insert into bindery_internal.stage_samples as t
        (pipeline, pipeline_version, stage, book_id, left_at, seconds)
      select e.pipeline, e.pipeline_version, e.stage, e.book_id, e.left_at, e.seconds
      from ended e where e.place <= newest
      on conflict on constraint stage_samples_pkey do update
      set left_at = excluded.left_at, seconds = excluded.seconds
      where t.left_at < excluded.left_at
      returning t.pipeline, t.pipeline_version
    )
    select a.pipeline, a.pipeline_version, p.machine
    from (select distinct d.pipeline, d.pipeline_version from added d) a
    join bindery.pipelines p on p.name = a.pipeline and p.version = a.pipeline_version
    order by a.pipeline, a.pipeline_version
  loop
    delete from bindery_internal.stage_samples v
    using (
      select o.stage, o.book_id,
        row_number() over (partition by o.stage order by o.left_at desc, o.book_id) as place
      from bindery_internal.stage_samples o
      where o.pipeline = moved.pipeline and o.pipeline_version = moved.pipeline_version) as old
    where v.pipeline = moved.pipeline and v.pipeline_version = moved.pipeline_version
      and v.stage = old.stage and v.book_id = old.book_id and old.place > newest;

    insert into bindery_internal.stage_pace as p
      (pipeline, pipeline_version, stage, median_seconds, later_seconds, samples, refreshed_at)
    with seen as (
      select v.stage, percentile_cont(0.5) within group (order by v.seconds) as median,
        count(*)::integer as samples
      from bindery_internal.stage_samples v
      where v.pipeline = moved.pipeline and v.pipeline_version = moved.pipeline_version
      group by v.stage)
    select moved.pipeline, moved.pipeline_version, o.stage, o.median_seconds, o.later_seconds,
      coalesce(s.samples, 0), moment
    from bindery_internal.pace_of(
      moved.machine,
      (select jsonb_object_agg(m.stage, m.median) from seen m where m.samples >= fewest)) o
    left join seen s on s.stage = o.stage
    on conflict (pipeline, pipeline_version, stage) do update
    set median_seconds = excluded.median_seconds, later_seconds = excluded.later_seconds,
        samples = excluded.samples, refreshed_at = excluded.refreshed_at;
  end loop;

  update bindery_internal.pace_refresh r
  set read_until = greatest(through, r.read_until), refreshed_at = moment
  where r.only_row;
  return true;
end
$$;

comment on function bindery_internal.pace_of(jsonb, jsonb) is
  'For every state of a machine but the final one: its median, and the sum of those after it on '
  'the heaviest path; from {state: seconds}.
Of paths of the same weight the one listed first. A state of no weight without a median takes no '
  'time; a stage without one makes null.';
comment on function bindery_internal.refresh_pace() is
  'Reads the visits that ended since the last time, and works out the medians of their pipelines '
  'anew: true.
False where that was done within a minute, or is being done by another. Books take the new pace '
  'up at their next change.';

-- send_held_broadcasts: broadcasts the newest state of the books whose window is over, or that have
-- been quiet in a long one.
-- Without Realtime: announces the books in unannounced by NOTIFY.
-- Invariants: a window is removed if its book has nothing newer than what was sent; a failure keeps
-- the window, and it is due again after another period. If nothing is due, nothing is written.
-- Locks: the books, in order of book_id, skipping locked ones, which the next call finds; then
-- their windows.
create or replace function bindery_internal.send_held_broadcasts(
  overdue interval default '0', out realtime boolean, out sent bigint, out held_back bigint,
  out failed bigint, out problem text, out next_seconds double precision
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
as $$
declare
  every constant interval := (select s.broadcast_every from bindery.settings s);
  length constant interval := bindery_internal.window_length();
  moment constant timestamptz := bindery_internal.now();
  sending constant boolean := bindery_internal.has_realtime() and bindery_internal.broadcasts();
  due_ids uuid[];
  locked uuid[];
  due record;
begin
  realtime := bindery_internal.has_realtime();
  sent := 0;
  held_back := 0;
  failed := 0;
  if not realtime then
    next_seconds := case when bindery_internal.announce_left() > 0 then 0.03 else 0.1 end;
    return;
  end if;
  -- If a window is longer than broadcast_every and its book has been quiet for twice the usual
  -- period, broadcast before the window ends: that was the last change of the book for now.
  due_ids := array(
    select w.book_id from bindery_internal.broadcast_windows w
    where moment >= w.due_at + overdue or moment < w.due_at - interval '1 minute'
      or (w.due_at > w.opened_at + every and moment >= w.opened_at + every + overdue and exists (
        select from bindery.book_status b
        where b.book_id = w.book_id and b.revision > w.revision
          and moment >= b.updated_at + greatest(interval '300 milliseconds',
            2 * (b.updated_at - w.opened_at) / (b.revision - w.revision))))
    order by w.due_at limit 500);
  if due_ids <> '{}' then
    select array_agg(l.book_id) into locked from (
      select b.book_id
      from bindery.book_status b
      where b.book_id = any (due_ids)
      order by b.book_id
      for no key update skip locked) l;
    -- Statements from here on see the state that the locks protect.
    select array_agg(w.book_id order by w.book_id) as book_ids,
      -- A status could not be sent: send the whole list.
      array_agg(case when (w.status, w.attempt) is not distinct from (b.status, b.attempt)
        then w.revision end order by w.book_id) as since,
      sum(w.held_back + b.revision - w.revision) as held_back
    into due
    from bindery_internal.broadcast_windows w
    join bindery.book_status b on b.book_id = w.book_id
    where w.book_id = any (locked) and b.revision > w.revision and sending;
    if due.book_ids is not null then
      problem := bindery_internal.send_messages(due.book_ids,
        bindery_internal.substeps_since(
          due.book_ids, array_fill(null::jsonb, array[cardinality(due.book_ids)]), due.since),
        null);
    end if;
    with ended as (
      delete from bindery_internal.broadcast_windows w
      where w.book_id = any (locked) and (due.book_ids is null or w.book_id <> all (due.book_ids))
        and (moment >= w.due_at or moment < w.due_at - interval '1 minute')
      returning w.held_back
    ), followed as (
      update bindery_internal.broadcast_windows w
      set opened_at = moment, due_at = moment + length, revision = b.revision,
          status = b.status, attempt = b.attempt, owner_id = b.owner_id, held_back = 0
      from bindery.book_status b
      where problem is null and w.book_id = any (due.book_ids) and b.book_id = w.book_id
      returning 1
    ), waiting as (
      update bindery_internal.broadcast_windows w
      set opened_at = moment, due_at = moment + greatest(every, interval '1 second')
      where problem is not null and w.book_id = any (due.book_ids)
      returning 1
    )
    select (select count(*) from followed), (select count(*) from waiting),
      coalesce((select sum(e.held_back) from ended e), 0)
        + case when problem is null then coalesce(due.held_back, 0) else 0 end
    into sent, failed, held_back;
    -- Books that were removed without a trigger (TRUNCATE).
    delete from bindery_internal.broadcast_windows w
    where w.due_at < moment - interval '1 minute'
      and not exists (select from bindery.book_status b where b.book_id = w.book_id);
  end if;
  next_seconds := least(
    extract(epoch from greatest(every, interval '250 milliseconds')),
    (select extract(epoch from min(least(w.due_at, greatest(w.opened_at + every,
          bindery_internal.now() + interval '250 milliseconds'))) - bindery_internal.now())
      from bindery_internal.broadcast_windows w));
end
$$;

create or replace function bindery.send_held_broadcasts(
  out realtime boolean, out sent bigint, out held_back bigint, out failed bigint,
  out problem text, out next_seconds double precision
)
language sql
set search_path = pg_catalog, pg_temp
as $$
  select * from bindery_internal.send_held_broadcasts();
$$;

comment on function bindery_internal.send_held_broadcasts(interval) is
  'See bindery.send_held_broadcasts. overdue: only windows that ended so long ago.';
comment on function bindery.send_held_broadcasts() is
  'Broadcasts the newest state of the books whose changes were held back.
Where Realtime is not installed it announces by NOTIFY the changes that another session''s NOTIFY '
  'held back. binderyd calls it as soon as something is due, sweep for what is 2 s overdue. '
  'realtime: whether Supabase Realtime is installed; sent: books broadcast, up to 500 a call; '
  'held_back: changes that were held back since the last call; failed and problem: books that '
  'could not be broadcast, '
  'and why (they are tried again); next_seconds: when to call again.';

-- sweep: a book without a heartbeat for too long is FAILED, a FAILED book that is due is resumed,
-- an early event that waited too long becomes a dead letter.
-- Invariants: one sweep at a time; time without a heartbeat counts only up to the moment to which
-- every relay is known to have applied what was sent; a book whose job waits in a BullMQ queue is
-- not silent; the history has each act with the actor sweep and a reason.
-- Locks: the mutex sweep, waited for at most 2 s; then books one by one, skipping locked ones.
create or replace function bindery_internal.sweep(given timestamptz) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  clock constant timestamptz := bindery_internal.now();
  -- A moment in the future would fail books that are not silent yet.
  moment constant timestamptz := case when bindery_internal.may_set_clock()
    then coalesce(given, clock) else least(given, clock) end;
  waiting_for jsonb;
  caught_up_at timestamptz;
  stalled integer := 0;
  resumed integer := 0;
  expired integer := 0;
  book record;
  refusal jsonb;
begin
  if not isfinite(moment) then
    perform bindery_internal.raise_error(bindery_internal.bad_input(
      'now', 'is not a finite time', 'Give a time, or leave it out.'));
  elsif not bindery_internal.take_mutex('sweep', 2000) then
    return jsonb_build_object('ran', false, 'stalled', 0, 'resumed', 0, 'expired', 0,
      'waiting_for', '[]'::jsonb);
  end if;
  perform set_config('bindery.actor', 'sweep', true);
  perform bindery_internal.refresh_pace();
  expired := bindery_internal.expire_early(moment, 1000);
  delete from bindery_internal.stored_answers a
  where a.at < clock - interval '1 day';

  -- An event that is not applied yet is a heartbeat that has not arrived.
  select least(moment, min(c.caught_up_at)),
    coalesce(jsonb_agg(c.stream order by c.stream) filter (
      where c.holder is null or c.lease_expires_at <= clock or c.caught_up_at is null), '[]')
  into caught_up_at, waiting_for
  from bindery.relay_cursors c;

  for book in
    select b.book_id, b.status, b.heartbeat_at, s.stall_after
    from bindery.book_status b
    join bindery.pipelines p on p.name = b.pipeline and p.version = b.pipeline_version
    cross join lateral (
      select (bindery_internal.state_of(p.machine, b.status) ->> 'stall_after')
        ::double precision as stall_after) s
    where b.completed_at is null and b.error is null and b.status <> 'CANCELLED'
      and caught_up_at - b.heartbeat_at > s.stall_after * interval '1 second'
      and waiting_for = '[]'
      and not exists (
        select from bindery_internal.waiting_books w where w.book_id = b.book_id)
    order by b.book_id
    for no key update of b skip locked
  loop
    -- A book that cannot be failed does not count; otherwise it would block the others permanently.
    exit when stalled >= 500;
    -- An error for one book (raised by a user's trigger, for example) does not stop the others.
    begin
      refusal := bindery_internal.do_transition(book.book_id, 'FAILED',
        format('No heartbeat from %s for more than %s.',
          book.status, book.stall_after * interval '1 second'),
        error => jsonb_build_object('code', 'stalled', 'stage', book.status,
          'stall_after', book.stall_after, 'heartbeat_at', book.heartbeat_at));
      stalled := stalled + case when refusal is null then 1 else 0 end;
    exception when assert_failure or others then
      raise warning 'Book % has stalled, but could not be failed: % (SQLSTATE %).',
        book.book_id, sqlerrm, sqlstate;
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
        message => format('Attempt %s at %s failed; its retry_after is over.',
          book.attempt, book.current_stage));
      resumed := resumed + case when refusal is null then 1 else 0 end;
    exception when assert_failure or others then
      raise warning 'Book % is due, but could not be resumed: % (SQLSTATE %).',
        book.book_id, sqlerrm, sqlstate;
    end;
  end loop;
  perform set_config('bindery.actor', '', true);
  -- For installations without a daemon; a daemon sends them as soon as they are due.
  perform bindery_internal.send_held_broadcasts(interval '2 seconds');
  return jsonb_build_object('ran', true, 'stalled', stalled, 'resumed', resumed,
    'expired', expired, 'waiting_for', waiting_for);
end
$$;

create or replace function bindery.sweep(now timestamptz default null) returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return bindery_internal.sweep(sweep.now);
end
$$;

comment on function bindery_internal.sweep(timestamptz) is 'See bindery.sweep.';
comment on function bindery.sweep(timestamptz) is
  'Fails stalled books, resumes FAILED books that are due, and rejects early events that waited '
  'too '
  'long.
A book has stalled when it has had no heartbeat for its stage''s stall_after, an early event has '
  'waited too long after the setting patience. A call fails and resumes up to 500 books each.
Gives {ran, stalled, resumed, expired, waiting_for}. ran is false where another sweep is running: '
  'then '
  'nothing was done. No book is failed while waiting_for names streams: their relay has no lease, '
  'or has never caught up. No book is failed whose job waits in a BullMQ queue. Time counts only '
  'up to the moment to which every relay has caught up. '
  'Call it every few seconds (binderyd does). now: the moment to judge by, the clock''s by default '
  '(only the schema''s owner may name a later one). PT422 bad_input.';

-- replay_dead_letters: applies dead letters once more, by the rules of the present relay.
-- Invariants: one by one in order of id, so a book's dead letters keep their order; each is deleted
-- (applied or stale) or kept with its newest reason, and affects no other.
-- Locks: the mutex dead_letters (one replay at a time), the dead letters (skipping those that are
-- being pruned), then their books in order of book_id.
create or replace function bindery_internal.replay_letter(letter bindery.dead_letters) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  raised_detail text;
begin
  -- A truncated entry, or one that the relay could not read, is not an event and cannot be applied.
  if letter.truncated or jsonb_typeof(letter.payload -> 'count') is distinct from 'number' then
    return jsonb_build_object('code', letter.reason, 'message', letter.message);
  end if;
  return bindery_internal.apply_item(letter.payload);
exception when assert_failure or others then
  if bindery_internal.is_transient(sqlstate) then
    raise;
  end if;
  get stacked diagnostics raised_detail = pg_exception_detail;
  return bindery_internal.raised(sqlstate, sqlerrm, raised_detail);
end
$$;

create or replace function bindery_internal.replay_dead_letters(
  stream text, reason text, book_id uuid, max_letters integer, ids bigint[],
  out applied bigint, out stale bigint, out rejected bigint
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- If another session holds a book's row for long, the call fails with 55P03.
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
  rejected := 0;
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_text('stream', replay_dead_letters.stream, 512),
    bindery_internal.refused_text('reason', replay_dead_letters.reason, 63)));
  if replay_dead_letters.max_letters is null or replay_dead_letters.max_letters not between 1
    and 10000 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('max_letters',
      'is not between 1 and 10,000', 'Give how many letters a call may replay.'));
  elsif not bindery_internal.take_mutex('dead_letters', 100) then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'replay_running',
      'Dead letters are being replayed already.',
      'Try again when that is done: two at a time could apply a book''s events out of order.'));
  end if;

  chosen := array(
    select d.id from bindery.dead_letters d
    where (replay_dead_letters.stream is null or d.stream = replay_dead_letters.stream)
      and (replay_dead_letters.reason is null or d.reason = replay_dead_letters.reason)
      and (replay_dead_letters.book_id is null or d.book_id = replay_dead_letters.book_id)
      and (replay_dead_letters.ids is null or d.id = any (replay_dead_letters.ids))
      -- Skip dead letters that can never be replayed. If the caller gives their ids, include them,
      -- so that the result counts them as rejected.
      and (replay_dead_letters.ids is not null or not d.truncated
        and jsonb_typeof(d.payload -> 'count') = 'number')
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
      set reason = outcome ->> 'code', message = outcome ->> 'message',
        replayed_at = bindery_internal.now()
      where d.id = letter.id;
      rejected := rejected + letter.count;
    end if;
  end loop;
  perform set_config('bindery.actor', actor, true);
end
$$;

create or replace function bindery.replay_dead_letters(
  stream text default null, reason text default null, book_id uuid default null,
    max_letters integer default 100,
  ids bigint[] default null
)
returns table (applied bigint, stale bigint, rejected bigint)
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select r.applied, r.stale, r.rejected from bindery_internal.replay_dead_letters(stream, reason,
    book_id, max_letters, ids) r;
$$;

comment on function bindery_internal.replay_letter(bindery.dead_letters) is
  'Applies a dead letter: null when done, {"stale": true}, or why not as {code, message}; changes '
  'nothing then.';
comment on function bindery_internal.replay_dead_letters(text, text, uuid, integer, bigint[]) is
  'See bindery.replay_dead_letters.';
comment on function bindery.replay_dead_letters(text, text, uuid, integer, bigint[]) is
  'Applies dead letters once more, the oldest first, up to max_letters (1 to 10,000), and counts '
  'the events: applied, stale, rejected.
All filters given must fit: the stream, the reason, the book, the letters'' ids. What took effect '
  'or came too late is deleted; the rest stays with its newest reason. The history names replay '
  'as the actor. Truncated letters and entries that the relay could not read stay as they are: '
  'send those again. PT409 replay_running, PT422 bad_input.';

-- drop_dead_letters: permanently deletes dead letters by their ids; prune_dead_letters deletes by
-- age.
-- Invariant: only the given dead letters are deleted.
-- Locks: skips dead letters that another session is deleting or replaying.
create or replace function bindery_internal.drop_dead_letters(ids bigint[]) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  dropped integer;
begin
  if coalesce(cardinality(drop_dead_letters.ids), 0) not between 1 and 10000 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('ids',
      'are not between 1 and 10,000', 'Name the letters to drop by their ids.'));
  end if;
  delete from bindery.dead_letters d
  where d.id = any (array(
    select c.id from bindery.dead_letters c where c.id = any (drop_dead_letters.ids)
    order by c.id for update skip locked));
  get diagnostics dropped = row_count;
  return dropped;
end
$$;

create or replace function bindery.drop_dead_letters(ids bigint[]) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return bindery_internal.drop_dead_letters(drop_dead_letters.ids);
end
$$;

comment on function bindery_internal.drop_dead_letters(bigint[]) is
  'See bindery.drop_dead_letters.';
comment on function bindery.drop_dead_letters(bigint[]) is
  'Deletes these dead letters (1 to 10,000 ids) permanently, and gives how many there were.
PT422 bad_input.';

-- prune_events: deletes old history in small batches that block no other session.
-- Invariant: each book keeps its newest row and the row of its end, so that the history always
-- gives its status.
-- Locks: skips rows that another session is deleting.
create or replace function bindery_internal.check_pruning(before timestamptz,
  batch integer) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if before is null then
    return bindery_internal.bad_input('before', 'is missing',
      'Give the moment; what is older goes.');
  elsif batch is null or batch not between 1 and 100000 then
    return bindery_internal.bad_input('batch', 'is not between 1 and 100,000',
      'Give how many rows a call may delete.');
  end if;
  return null;
end
$$;

create or replace function bindery_internal.prune_events(before timestamptz,
  batch integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  pruned integer;
begin
  perform bindery_internal.raise_error(bindery_internal.check_pruning(prune_events.before,
    prune_events.batch));
  -- Selected once: a subquery of the DELETE may run again for each row.
  with chosen as materialized (
    select c.book_id, c.revision from bindery.book_events c
    where c.at < prune_events.before and c.kind not in ('complete', 'cancel')
      and exists (
        select from bindery.book_events n
        where n.book_id = c.book_id and n.revision > c.revision)
    order by c.at limit prune_events.batch
    for update skip locked
  )
  delete from bindery.book_events e using chosen c
  where e.book_id = c.book_id and e.revision = c.revision;
  get diagnostics pruned = row_count;
  return pruned;
end
$$;

create or replace function bindery.prune_events(before timestamptz,
  batch integer default 1000) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return bindery_internal.prune_events(prune_events.before, prune_events.batch);
end
$$;

comment on function bindery_internal.check_pruning(timestamptz, integer) is
  'What is wrong with the arguments of a prune_ function, as an error; null where nothing is.';
comment on function bindery_internal.prune_events(timestamptz, integer) is
  'See bindery.prune_events.';
comment on function bindery.prune_events(timestamptz, integer) is
  'Deletes up to batch (1 to 100,000) rows of history older than a moment, and gives how many; '
  'call it until it gives 0.
Each book keeps its newest row, and the one of how it ended. PT422 bad_input.';

-- prune_dead_letters: deletes old dead letters in small batches that block no other session.
-- Invariant: age counts from the first rejection; a replay does not extend it.
-- Locks: skips dead letters that another session is deleting or replaying.
create or replace function bindery_internal.prune_dead_letters(before timestamptz,
  batch integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  pruned integer;
begin
  perform bindery_internal.raise_error(bindery_internal.check_pruning(prune_dead_letters.before,
    prune_dead_letters.batch));
  delete from bindery.dead_letters d
  where d.id = any (array(
    select c.id from bindery.dead_letters c
    where c.at < prune_dead_letters.before
    order by c.at limit prune_dead_letters.batch
    for update skip locked));
  get diagnostics pruned = row_count;
  return pruned;
end
$$;

create or replace function bindery.prune_dead_letters(before timestamptz,
  batch integer default 1000) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return bindery_internal.prune_dead_letters(prune_dead_letters.before, prune_dead_letters.batch);
end
$$;

comment on function bindery_internal.prune_dead_letters(timestamptz, integer) is
  'See bindery.prune_dead_letters.';
comment on function bindery.prune_dead_letters(timestamptz, integer) is
  'Deletes up to batch (1 to 100,000) dead letters refused before a moment, and gives how many; '
  'call it until it gives 0.
PT422 bad_input.';

-- prune_outbox: deletes old unpublished messages in small batches that block no other session.
-- Invariants: deletes from the front only, so no message of a book is deleted before an earlier
-- one; a call reads at most one batch.
-- Locks: waits for the mutex of take_outbox; publishers do not wait, and take nothing meanwhile.
create or replace function bindery_internal.prune_outbox(before timestamptz,
  batch integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  pruned integer;
begin
  perform bindery_internal.raise_error(bindery_internal.check_pruning(prune_outbox.before,
    prune_outbox.batch));
  if not bindery_internal.take_mutex('outbox', 5000) then
    raise exception using errcode = '55P03', message = 'The outbox is being published.',
      hint = 'Try again in a moment.';
  end if;
  delete from bindery.outbox o
  where o.created_at < prune_outbox.before
    and o.id = any (array(
      select c.id from bindery.outbox c order by c.id limit prune_outbox.batch));
  get diagnostics pruned = row_count;
  return pruned;
end
$$;

create or replace function bindery.prune_outbox(before timestamptz,
  batch integer default 1000) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return bindery_internal.prune_outbox(prune_outbox.before, prune_outbox.batch);
end
$$;

comment on function bindery_internal.prune_outbox(timestamptz, integer) is
  'See bindery.prune_outbox.';
comment on function bindery.prune_outbox(timestamptz, integer) is
  'Deletes up to batch (1 to 100,000) messages of the outbox written before a moment, '
  'unpublished, and gives how many; call it until it gives 0.
For when nothing publishes them: workers never receive the deleted messages. PT422 bad_input.';

-- list_relays: the live relays, and the streams that each would read.
-- Invariants: read-only; a relay that has not announced itself within its ttl is left out.
create or replace function bindery_internal.list_relays()
returns table (holder text, streams text[], expires_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select r.holder, r.streams, r.expires_at
  from bindery_internal.relays r
  where r.expires_at > bindery_internal.now()
  order by r.holder;
$$;

create or replace function bindery.list_relays()
returns table (holder text, streams text[], expires_at timestamptz)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select r.* from bindery_internal.list_relays() r order by r.holder;
$$;

comment on function bindery_internal.list_relays() is 'See bindery.list_relays.';
comment on function bindery.list_relays() is
  'The live relays, by the name under which each acquires streams.
streams: those that it would read. expires_at: when it no longer counts, unless it announces '
  'itself again.';

-- stage_durations: the median and the 95th percentile of the duration of each state, from its
-- newest visits, for operators.
-- Invariants: read-only; reads stage_samples, which has at most 50 rows a state.
create or replace function bindery_internal.stage_durations()
returns table (pipeline text, pipeline_version integer, stage text,
  median_seconds double precision, p95_seconds double precision, samples integer)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select s.pipeline, s.pipeline_version, s.stage,
    percentile_cont(0.5) within group (order by s.seconds),
    percentile_cont(0.95) within group (order by s.seconds),
    count(*)::integer
  from bindery_internal.stage_samples s
  group by s.pipeline, s.pipeline_version, s.stage
  order by s.pipeline, s.pipeline_version, s.stage;
$$;

create or replace function bindery.stage_durations()
returns table (pipeline text, pipeline_version integer, stage text,
  median_seconds double precision, p95_seconds double precision, samples integer)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select d.* from bindery_internal.stage_durations() d
  order by d.pipeline, d.pipeline_version, d.stage;
$$;

comment on function bindery_internal.stage_durations() is 'See bindery.stage_durations.';
comment on function bindery.stage_durations() is
  'How long the newest visits to each state took, from entering it to leaving it forward.
The median and the 95th percentile in seconds, halts included, and of how many visits they are, '
  'up to 50. A state without a visit has no row. The sweep renews the visits once a minute.';

-- schema_version: the version of the schema that `binderyd migrate` or a migration recorded.
-- Invariants: read-only. The table of the record is made by the migration, before or after this
-- function, so the query is dynamic.
create or replace function bindery_internal.schema_version() returns integer
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  version integer;
begin
  if to_regclass('bindery_internal.schema_history') is not null then
    execute 'select max(h.version) from bindery_internal.schema_history h' into version;
  end if;
  return version;
end
$$;

create or replace function bindery.schema_version() returns integer
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.schema_version();
$$;

comment on function bindery_internal.schema_version() is 'See bindery.schema_version.';
comment on function bindery.schema_version() is
  'The version of the schema that this database records; null: it was installed without a record.';

-- make_realtime_policy: the policy by which a user joins the private topics
-- book:<book_id>:<owner_id> and owner:<owner_id>, if Supabase Realtime is installed.
-- Invariants: only a book's present owner; the user's id is looked up once a statement.
-- Locks: realtime.messages, for at most 1 s of waiting: broadcasts queue behind it.
create or replace function bindery_internal.make_realtime_policy(
  anew boolean default false, out state text, out problem text
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
begin
  if to_regnamespace('realtime') is null then
    state := 'none';
    return;
  elsif not has_schema_privilege(to_regnamespace('realtime'), 'usage') then
    state := 'refused';
    problem := format('%I has no USAGE on the schema realtime', current_user);
    return;
  elsif to_regclass('realtime.messages') is null or to_regprocedure('realtime.topic()') is null
  then
    state := 'no_table';
    problem := 'the schema realtime has no table messages or no function topic yet';
    return;
  elsif not make_realtime_policy.anew and exists (
    select from pg_catalog.pg_policy p
    where p.polrelid = to_regclass('realtime.messages') and p.polname = 'bindery_owner_joins')
  then
    state := 'there';
    return;
  end if;
  drop policy if exists bindery_owner_joins on realtime.messages;
  create policy bindery_owner_joins on realtime.messages for select to authenticated
    using (extension = 'broadcast' and (
      (select realtime.topic()) = 'owner:' || (select bindery_internal.user_id())
      or exists (
        select from bindery.book_status b
        where b.owner_id = (select bindery_internal.user_id())
          and 'book:' || b.book_id || ':' || b.owner_id = (select realtime.topic()))));
  state := 'made';
exception when insufficient_privilege or lock_not_available then
  state := 'refused';
  problem := format('%s (SQLSTATE %s)', sqlerrm, sqlstate);
end
$$;

create or replace function bindery.make_realtime_policy(out state text, out problem text)
language sql
set search_path = pg_catalog, pg_temp
as $$
  select * from bindery_internal.make_realtime_policy();
$$;

comment on function bindery_internal.make_realtime_policy(boolean) is
  'See bindery.make_realtime_policy. anew: also where there is such a policy.';
comment on function bindery.make_realtime_policy() is
  'Makes the policy bindery_owner_joins on realtime.messages where it is missing, as the schema''s '
  'owner.
state: none (Supabase Realtime is not installed), no_table (Realtime has not made its table yet), '
  'made, there, or refused; problem: why there is no policy. binderyd calls it every few seconds: '
  'Realtime makes its table when it first starts.';

-- Row-level security: a user reads the books it owns; the service reads all rows; the relay and
-- anon read no table.
-- Invariants: one permissive policy a role and action; the user's id is looked up once a statement.
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
drop policy if exists owner_reads_visits on bindery.stage_visits;
create policy owner_reads_visits on bindery.stage_visits for select to authenticated
  using (exists (select from bindery.book_status b
    where b.book_id = stage_visits.book_id and b.owner_id = (select bindery_internal.user_id())));

drop policy if exists service_reads_pipelines on bindery.pipelines;
create policy service_reads_pipelines on bindery.pipelines for select to service_role using (true);
drop policy if exists service_reads_books on bindery.book_status;
create policy service_reads_books on bindery.book_status for select to service_role using (true);
drop policy if exists service_inserts_books on bindery.book_status;
create policy service_inserts_books on bindery.book_status
  for insert to service_role with check (true);
drop policy if exists service_updates_books on bindery.book_status;
create policy service_updates_books on bindery.book_status
  for update to service_role using (true) with check (true);
drop policy if exists service_reads_progress on bindery.book_progress;
create policy service_reads_progress on bindery.book_progress
  for select to service_role using (true);
drop policy if exists service_reads_history on bindery.book_events;
create policy service_reads_history on bindery.book_events for select to service_role using (true);
drop policy if exists service_reads_outbox on bindery.outbox;
create policy service_reads_outbox on bindery.outbox for select to service_role using (true);
drop policy if exists service_reads_cursors on bindery.relay_cursors;
create policy service_reads_cursors on bindery.relay_cursors
  for select to service_role using (true);
drop policy if exists service_reads_dead_letters on bindery.dead_letters;
create policy service_reads_dead_letters on bindery.dead_letters
  for select to service_role using (true);
drop policy if exists service_reads_settings on bindery.settings;
create policy service_reads_settings on bindery.settings for select to service_role using (true);
drop policy if exists service_updates_settings on bindery.settings;
create policy service_updates_settings on bindery.settings
  for update to service_role using (true) with check (true);

-- Tables that only definer functions read: an explicit policy hides every row from other roles.
drop policy if exists nobody on bindery_internal.relays;
create policy nobody on bindery_internal.relays using (false);
drop policy if exists nobody on bindery_internal.waiting_books;
create policy nobody on bindery_internal.waiting_books using (false);
drop policy if exists nobody on bindery_internal.forgotten_streams;
create policy nobody on bindery_internal.forgotten_streams using (false);
drop policy if exists nobody on bindery_internal.stage_samples;
create policy nobody on bindery_internal.stage_samples using (false);
drop policy if exists nobody on bindery_internal.stage_pace;
create policy nobody on bindery_internal.stage_pace using (false);
drop policy if exists nobody on bindery_internal.pace_refresh;
create policy nobody on bindery_internal.pace_refresh using (false);
drop policy if exists nobody on bindery_internal.broadcast_windows;
create policy nobody on bindery_internal.broadcast_windows using (false);
drop policy if exists nobody on bindery_internal.unannounced;
create policy nobody on bindery_internal.unannounced using (false);
drop policy if exists nobody on bindery_internal.stored_answers;
create policy nobody on bindery_internal.stored_answers using (false);
drop policy if exists nobody on bindery_internal.mutexes;
create policy nobody on bindery_internal.mutexes using (false);
drop policy if exists nobody on bindery_internal.registration_slots;
create policy nobody on bindery_internal.registration_slots using (false);
drop policy if exists service_reads_visits on bindery.stage_visits;
create policy service_reads_visits on bindery.stage_visits for select to service_role using (true);
drop policy if exists service_reads_early_events on bindery.early_events;
create policy service_reads_early_events on bindery.early_events for select to service_role
  using (true);

-- Grants. PUBLIC has no right, and neither has a role that default privileges gave one.
-- Invariants: writes go through functions; the service has only those plain writes that triggers
-- check. A function is granted by its name: no name here has two functions.
do $$
declare
  thing record;
begin
  -- Every right of a role other than the owner, whichever role granted it.
  for thing in
    select distinct o.statement, case when a.grantee = 0 then 'public'
      else quote_ident(pg_get_userbyid(a.grantee)) end as grantee
    from (
      select format('schema %I', n.nspname) as statement, n.nspacl as acl, n.nspowner as owner
      from pg_namespace n where n.nspname in ('bindery', 'bindery_internal')
      union all
      select format(case c.relkind when 'S' then 'sequence %s' else 'table %s' end,
        c.oid::regclass), c.relacl, c.relowner
      from pg_class c
      where c.relnamespace in ('bindery'::regnamespace, 'bindery_internal'::regnamespace)
        and c.relkind in ('r', 'p', 'v', 'm', 'S')
      union all
      select format('function %s', p.oid::regprocedure),
        coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner
      from pg_proc p
      where p.pronamespace in ('bindery'::regnamespace, 'bindery_internal'::regnamespace)
    ) o
    cross join lateral aclexplode(o.acl) a
    where a.grantee <> o.owner
      -- ask_guard belongs to bindery_guard (pipelines/guards.sql); the schema's owner calls it.
      and a.grantee <> (
        select n.nspowner from pg_namespace n where n.nspname = 'bindery_internal')
  loop
    execute format('revoke all on %s from %s', thing.statement, thing.grantee);
  end loop;
end
$$;

grant usage on schema bindery, bindery_internal, bindery_core to authenticated, service_role;
grant usage on schema bindery, bindery_internal to bindery_relay, bindery_worker;
grant usage on schema bindery to anon;

grant select on bindery.book_status, bindery.book_progress, bindery.book_events,
  bindery.stage_visits
to authenticated;
grant select on all tables in schema bindery to service_role;
grant insert (book_id, owner_id, title, pipeline, pipeline_version, status, metadata)
on bindery.book_status to service_role;
grant update (owner_id, title, status, message, error, metadata)
on bindery.book_status to service_role;
grant update (broadcast, broadcast_every, broadcasts_per_second, notify, patience,
  early_events_per_book, early_events_total, dead_letters_total)
on bindery.settings to service_role;

do $$
declare
  granted record;
  called record;
begin
  for granted in
    select * from (values
      -- Reading, and the functions that reading calls.
      ('authenticated, service_role', array[
        'bindery.get_book_status', 'bindery.get_book_changes', 'bindery.list_substeps',
        'bindery.get_resume_point', 'bindery.list_books', 'bindery.status_at',
        'bindery.pipeline_xstate',
        'bindery_internal.user_id', 'bindery_internal.now', 'bindery_internal.may_set_clock',
        'bindery_internal.machine', 'bindery_internal.book_machine',
        'bindery_internal.missing_pipeline', 'bindery_internal.listed_status',
        'bindery_internal.stage_medians', 'bindery_internal.stages_json',
        'bindery_internal.substeps_bytes',
        'bindery_internal.listed_row', 'bindery_internal.is_queued',
        'bindery_internal.queued_among',
        'bindery_internal.health', 'bindery_internal.state_of',
        'bindery_internal.is_waiting', 'bindery_internal.brief_silence',
        'bindery_internal.substep_json', 'bindery_internal.shown_substeps',
        'bindery_internal.resume_point',
        'bindery_internal.book_json', 'bindery_internal.status_json', 'bindery_internal.cut_json',
        'bindery_internal.latest_version', 'bindery_internal.xstate_node',
        'bindery_internal.xstate_edge', 'bindery_internal.unknown_pipeline',
        'bindery_internal.unknown_book', 'bindery_internal.refused_report',
        'bindery_internal.error', 'bindery_internal.raise_error', 'bindery_internal.bad_input',
        'bindery_internal.refused_text', 'bindery_internal.is_worker']),
      -- Writing.
      ('service_role', array[
        'bindery.define_pipeline', 'bindery_internal.define_pipeline',
        'bindery.register_book', 'bindery_internal.do_register',
        'bindery.transition_book', 'bindery_internal.do_transition', 'bindery.cancel_book',
        'bindery.resume_book', 'bindery_internal.do_resume',
        'bindery.resume_books', 'bindery.cancel_books', 'bindery_internal.act_on_books',
        'bindery.rewind_book', 'bindery_internal.do_rewind']),
      -- Reporting, also for workers.
      ('service_role, bindery_worker', array[
        'bindery.begin_stage', 'bindery_internal.do_begin',
        'bindery.report_progress', 'bindery_internal.do_report',
        'bindery.plan_substeps', 'bindery_internal.do_plan',
        'bindery.heartbeat', 'bindery_internal.do_heartbeats',
        'bindery.fail_book', 'bindery_internal.do_fail',
        'bindery.report_events', 'bindery_internal.report_events',
        'bindery_internal.refused_attempt', 'bindery_internal.claimed_stage',
        'bindery_internal.worker_claims', 'bindery_internal.refused_worker']),
      -- Reads that workers need, and the functions that those call.
      ('bindery_worker', array[
        'bindery.get_resume_point', 'bindery_internal.worker_resume_point',
        'bindery_internal.worker_book', 'bindery_internal.is_worker',
        'bindery_internal.unknown_book',
        'bindery_internal.refused_report', 'bindery_internal.error',
        'bindery_internal.raise_error', 'bindery_internal.bad_input',
        'bindery_internal.refused_text']),
      -- Relaying.
      ('service_role, bindery_relay', array[
        'bindery.acquire_stream', 'bindery_internal.acquire_stream',
        'bindery.renew_stream', 'bindery_internal.renew_stream',
        'bindery.note_stream', 'bindery_internal.note_stream',
        'bindery.note_waiting', 'bindery_internal.note_waiting',
        'bindery.release_stream', 'bindery_internal.release_stream',
        'bindery.announce_relay', 'bindery_internal.announce_relay',
        'bindery.apply_events', 'bindery_internal.apply_events',
        'bindery.early_backlog', 'bindery_internal.early_backlog',
        'bindery.take_outbox', 'bindery_internal.take_outbox',
        'bindery.outbox_backlog', 'bindery_internal.outbox_backlog',
        'bindery.dead_letter_reasons', 'bindery_internal.dead_letter_reasons',
        'bindery.sweep', 'bindery_internal.sweep', 'bindery_internal.notifies',
        'bindery.send_held_broadcasts', 'bindery_internal.send_held_broadcasts',
        'bindery.make_realtime_policy', 'bindery_internal.make_realtime_policy']),
      -- Operation: unused streams, dead letters, retention, what the operator's page shows.
      ('service_role', array[
        'bindery.list_relays', 'bindery_internal.list_relays',
        'bindery.stage_durations', 'bindery_internal.stage_durations',
        'bindery.schema_version', 'bindery_internal.schema_version',
        'bindery.forget_stream', 'bindery_internal.forget_stream',
        'bindery.replay_dead_letters', 'bindery_internal.replay_dead_letters',
        'bindery.drop_dead_letters', 'bindery_internal.drop_dead_letters',
        'bindery.prune_events', 'bindery_internal.prune_events',
        'bindery.prune_dead_letters', 'bindery_internal.prune_dead_letters',
        'bindery.prune_outbox', 'bindery_internal.prune_outbox'])
    ) as g(roles, names)
  loop
    for called in
      select n.name, p.oid::regprocedure as signature
      from unnest(granted.names) as n(name)
      left join pg_proc p on p.proname = split_part(n.name, '.', 2)
        and p.pronamespace = to_regnamespace(split_part(n.name, '.', 1))
    loop
      if called.signature is null then
        raise exception 'There is no function %.', called.name;
      end if;
      execute format('grant execute on function %s to %s', called.signature, granted.roles);
    end loop;
  end loop;
end
$$;

-- Grants on the kernel: readers may call the functions that reading needs. Run again when a
-- database changes its kernel.
-- Invariant: both kernels have the same callers; the portable functions run with their caller's
-- rights.
revoke all on all functions in schema bindery_core from public, anon, authenticated, service_role,
  bindery_relay, bindery_worker;
grant execute on function bindery_core.stage_list(jsonb, text, text, double precision),
  bindery_core.label_of(text) to authenticated, service_role;

do $$
declare
  helper regprocedure;
begin
  for helper in
    select p.oid from pg_catalog.pg_proc p
    where p.pronamespace = 'bindery_core'::regnamespace
      and p.proname = any (array['refuse_null', 'refuse', 'as_double', 'product', 'quotient',
        'total', 'label_of', 'is_machine',
        'state_named', 'current_state', 'states_before'])
  loop
    execute format('grant execute on function %s to authenticated, service_role', helper);
  end loop;
end
$$;

-- Adds book_status to Supabase Realtime's publication, if it exists.
-- Invariant: Postgres Changes delivers book_status; clients query everything else.
do $$
begin
  if exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime'
    and not puballtables)
     and not exists (select from pg_catalog.pg_publication_tables
                     where pubname = 'supabase_realtime' and schemaname = 'bindery'
                       and tablename = 'book_status') then
    alter publication supabase_realtime add table bindery.book_status;
  end if;
exception when insufficient_privilege then
  raise warning 'book_status is not in the publication supabase_realtime: %. Its owner adds it: '
    'alter publication supabase_realtime add table bindery.book_status;', sqlerrm;
end
$$;

-- Recreates the policy on realtime.messages at every `binderyd migrate`.
do $$
declare
  made record;
begin
  made := bindery_internal.make_realtime_policy(anew => true);
  if made.problem is not null then
    raise warning 'There is no policy bindery_owner_joins on realtime.messages: %. Without it '
      'no user can join the private topics. binderyd makes it as soon as it can; docs/supabase.md '
      'has the SQL.', made.problem;
  end if;
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
     "substeps": [{"substep": "extract_text"}, {"substep": "detect_chapters"},
       {"substep": "analyze_characters", "weight": 2}]},
    {"name": "GENERATING_SCENES", "label": "Cutting scenes", "weight": 30,
     "stall_after": "5 minutes", "max_attempts": 3, "retry_after": "30 seconds",
     "substeps": [{"substep": "split_scenes"}, {"substep": "write_prompts"}]},
    {"name": "CREATING_ARTWORK", "label": "Drawing", "weight": 50,
     "stall_after": "10 minutes", "max_attempts": 3, "retry_after": "1 minute",
       "open_substeps": true},
    {"name": "COMPLETED", "label": "Completed"}
  ]
}');
notify pgrst, 'reload schema';

-- The pipeline illustrated_edition, version 1: from a novel to an edition with plates. Shows
-- branches, rework and guards.
-- Invariants: the one of docs/pipelines.md; a change to it is a new version.
-- Locks: as define_pipeline.
select bindery.define_pipeline('illustrated_edition', '{
  "states": [
    {"name": "RECEIVED", "label": "Received"},
    {"name": "READING", "label": "Reading the book", "weight": 10,
     "stall_after": "2 minutes", "max_attempts": 3, "retry_after": "30 seconds",
     "substeps": [{"substep": "extract_text"}, {"substep": "choose_plates"},
       {"substep": "describe_characters", "weight": 2}]},
    {"name": "SKETCHING", "label": "Sketching", "weight": 20,
     "stall_after": "5 minutes", "max_attempts": 3, "retry_after": "1 minute",
       "open_substeps": true,
     "next": [{"to": "PAINTING", "guard": "substeps_complete"}]},
    {"name": "PAINTING", "label": "Painting", "weight": 40,
     "stall_after": "10 minutes", "max_attempts": 3, "retry_after": "1 minute",
       "open_substeps": true,
     "next": [{"to": "ART_REVIEW", "guard": "substeps_complete"}]},
    {"name": "ART_REVIEW", "label": "Reviewing the plates", "weight": 5,
     "stall_after": "5 minutes", "max_attempts": 3, "retry_after": "1 minute",
     "substeps": [{"substep": "likeness", "label": "Are they the same people on every plate?"},
       {"substep": "style"}],
     "next": [{"to": "LETTERING", "guard": "attempts_left"},
       {"to": "LAYOUT", "guard": "attempts_left"}, "EDITOR_CHECK"],
     "rework": ["PAINTING", "SKETCHING"]},
    {"name": "EDITOR_CHECK", "label": "With the editor", "weight": 5,
     "next": ["LETTERING", "LAYOUT"], "rework": ["PAINTING", "SKETCHING"]},
    {"name": "LETTERING", "label": "Lettering the plates", "weight": 10,
     "stall_after": "5 minutes", "max_attempts": 3, "retry_after": "30 seconds",
     "substeps": [{"substep": "captions"}, {"substep": "proofread"}],
     "next": [{"to": "LAYOUT", "guard": "substeps_complete"}]},
    {"name": "LAYOUT", "label": "Laying out the pages", "weight": 10,
     "stall_after": "5 minutes", "max_attempts": 3, "retry_after": "30 seconds"},
    {"name": "PUBLISHED", "label": "Published"}
  ]
}');
-- The schema version 1 ends.

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
  (1, 'bindery', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '14626488582155809124')
on conflict (version) do nothing;
