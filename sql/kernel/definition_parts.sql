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
