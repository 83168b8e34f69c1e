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
