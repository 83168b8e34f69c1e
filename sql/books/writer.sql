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
