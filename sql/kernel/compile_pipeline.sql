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
