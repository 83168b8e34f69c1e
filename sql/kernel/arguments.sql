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
