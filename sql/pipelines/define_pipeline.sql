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
