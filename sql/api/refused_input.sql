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
