-- What no text and no JSON of a caller may hold: the one place that says it, for calls and, by
-- triggers (books/guard_texts.sql), for plain writes.
-- Invariants: a text is plain (no control characters but tab and line ends, nothing that turns the
-- direction of what follows);
-- JSON is small and not deep, and its strings are its owner's own affair. core/src/event has the
-- same for events.
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
  -- Marks and joiners (U+200C to U+200F) stay: scripts that need them are written with them. NUL
  -- never comes here: no text of Postgres can hold it.
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
  -- What is too deep for Postgres itself to read (54001) never comes here; neither does half of a
  -- surrogate pair (22P02).
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
