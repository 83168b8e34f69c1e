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
