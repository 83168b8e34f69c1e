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
