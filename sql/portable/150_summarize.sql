-- How far a book has come: percent of the whole and of its stage, its substeps and stages.
-- Invariants: core/src/progress.rs in SQL, the same doubles in the same order; what is not complete shows 99.99 at most.
-- Locks: none.
create function bindery_core.is_rows(substeps jsonb) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  -- The limit is where rounding to a double gives infinity.
  return jsonb_typeof(substeps) = 'array'
    and not jsonb_path_exists(substeps, '$[*].type() ? (@ != "object")')
    and not jsonb_path_exists(substeps, '$[*] ? (!(@.substep.type() == "string")
      || exists(@.weight.type() ? (@ != "number" && @ != "null")) || exists(@.progress.type() ? (@ != "number" && @ != "null"))
      || exists(@.done.type() ? (@ != "number" && @ != "null")) || exists(@.total.type() ? (@ != "number" && @ != "null"))
      || exists(@.unit.type() ? (@ != "string" && @ != "null")) || exists(@.message.type() ? (@ != "string" && @ != "null")))')
    and not jsonb_path_exists(substeps, '$[*].keyvalue() ? (@.key == "weight" || @.key == "progress" || @.key == "done" || @.key == "total").value
      ? (@ >= 1.7976931348623158079372897140530341507993e308 || @ <= -1.7976931348623158079372897140530341507993e308)');
end
$$;

-- Two decimals, halves up.
create function bindery_core.shown(percent double precision) returns double precision
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return case when percent >= 100 then 100 else least(floor(percent * 100 + 0.5) / 100, 99.99) end;
end
$$;

-- The weighted mean where weights are so big that sums may overflow; what is infinite counts as 0.
create function bindery_core.mean_of_giants(weights double precision[], percents double precision[]) returns double precision
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  sum double precision := 0;
  whole double precision := 0;
begin
  for index in 1 .. cardinality(weights) loop
    sum := bindery_core.total(sum, bindery_core.product(weights[index], percents[index]));
    whole := bindery_core.total(whole, weights[index]);
  end loop;
  return case when sum = 'Infinity' or whole = 'Infinity' then 0 else bindery_core.quotient(sum, whole) end;
end
$$;

create function bindery_core.summarize(machine jsonb, status text, stage text, substeps jsonb) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
set extra_float_digits = 1
as $$
declare
  complete boolean;
  current jsonb;
  shown_substeps jsonb := '[]';
  shown_stages jsonb;
  weights double precision[];
  percents double precision[];
  sum double precision;
  whole double precision;
  all_done boolean;
  -- The stage's percent before it is rounded.
  exact double precision := 100;
  stage_progress double precision := 100;
  overall double precision := 100;
  before jsonb;
begin
  if machine is null then
    perform bindery_core.refuse_null('machine');
  elsif not bindery_core.is_machine(machine) then
    perform bindery_core.refuse('machine', 'this is not a compiled pipeline');
  elsif substeps is null then
    perform bindery_core.refuse_null('substeps');
  elsif not bindery_core.is_rows(substeps) then
    perform bindery_core.refuse('substeps', 'expected an array of progress rows');
  elsif status is null then
    perform bindery_core.refuse_null('status');
  end if;
  complete := status = machine #>> '{states,-1,name}';
  if status not in ('FAILED', 'CANCELLED') and not complete and bindery_core.state_named(machine, status) is null then
    perform bindery_core.refuse('stage', 'this pipeline has no state ' || status);
  end if;
  current := bindery_core.current_state(machine, status, stage);
  if current is null and not complete then
    perform bindery_core.refuse('stage', 'this pipeline has no stage ' || coalesce(stage, status));
  end if;

  -- The declared ones in their order, then the others by name; of two rows of one substep the first counts.
  if current is not null and (current -> 'substeps' <> '[]' or substeps <> '[]') then
    select
      jsonb_agg(jsonb_strip_nulls(jsonb_build_object('name', s.name, 'label', s.label, 'weight', s.weight,
        'state', case when s.percent >= 100 then 'done' when s.percent > 0 then 'active' else 'pending' end,
        'progress', case when s.percent = 0 then 0 else bindery_core.shown(s.percent) end,
        'done', s.done, 'total', s.total, 'unit', s.unit, 'message', s.message))),
      array_agg(s.weight) filter (where s.weight > 0),
      array_agg(s.percent) filter (where s.weight > 0),
      bool_and(s.percent >= 100) filter (where s.weight > 0),
      sum(s.weight) filter (where s.weight > 0 and s.weight <= 1e290),
      sum(case when s.percent = 0 then 0 when s.weight >= 1e-100 and s.percent >= 1e-100 then s.weight * s.percent
        else bindery_core.product(s.weight, s.percent) end) filter (where s.weight > 0 and s.weight <= 1e290)
    into shown_substeps, weights, percents, all_done, whole, sum
    from (
      select coalesce(d.name, r.name) as name,
        coalesce(d.label, bindery_core.label_of(r.name)) as label,
        coalesce(r.weight, d.weight, 1) as weight,
        coalesce(least(greatest(r.progress, 0), 100), 0) as percent,
        r.done, r.total, r.unit, r.message
      from (
        select declared.substep ->> 'name' as name, declared.substep ->> 'label' as label,
          bindery_core.as_double(declared.substep -> 'weight') as weight, declared.place
        from jsonb_array_elements(current -> 'substeps') with ordinality as declared(substep, place)
      ) as d
      full join (
        select distinct on (given.substep ->> 'substep' collate "C")
          given.substep ->> 'substep' as name, bindery_core.as_double(given.substep -> 'weight') as weight,
          bindery_core.as_double(given.substep -> 'progress') as progress, bindery_core.as_double(given.substep -> 'done') as done,
          bindery_core.as_double(given.substep -> 'total') as total, given.substep ->> 'unit' as unit, given.substep ->> 'message' as message
        from jsonb_array_elements(substeps) with ordinality as given(substep, place)
        order by given.substep ->> 'substep' collate "C", given.place
      ) as r on r.name = d.name
      order by d.place, r.name collate "C"
    ) as s;
  end if;

  if not complete then
    exact := case
      when weights is null then 0
      when all_done then 100
      when 1e290 < any (weights) then bindery_core.mean_of_giants(weights, percents)
      else bindery_core.quotient(sum, whole)
    end;
    if not all_done then
      exact := case when exact = 'Infinity' then 0 else least(exact, 99.99999999999999) end;
    end if;
    stage_progress := bindery_core.shown(exact);
    -- 100 belongs to the final state alone.
    overall := least(99.99, bindery_core.shown(least(100, bindery_core.quotient(bindery_core.product(100, bindery_core.total(
      bindery_core.as_double(current -> 'start'),
      bindery_core.quotient(bindery_core.product(bindery_core.as_double(current -> 'weight'), exact), 100))),
      bindery_core.as_double(machine -> 'total_weight')))));
    before := bindery_core.states_before(machine, current ->> 'name');
  end if;

  select coalesce(jsonb_agg(jsonb_build_object('name', s.name, 'label', s.label, 'state', s.stands, 'progress',
    case s.stands when 'done' then 100 when 'pending' then 0 else stage_progress end)), '[]')
  into shown_stages
  from (
    select listed.state ->> 'name' as name, listed.state -> 'label' as label,
      case
        when complete then 'done'
        when listed.state -> 'name' = current -> 'name' then
          case status when 'FAILED' then 'failed' when 'CANCELLED' then 'cancelled' else 'active' end
        when before ? (listed.state ->> 'name') then 'done'
        else 'pending'
      end as stands
    from jsonb_array_elements(machine -> 'states') with ordinality as listed(state, place)
    where listed.state -> 'weight' <> '0'
    order by listed.place
  ) as s;
  return jsonb_build_object('overall', overall, 'stage_progress', stage_progress, 'substeps', shown_substeps, 'stages', shown_stages);
end
$$;

comment on function bindery_core.is_rows(jsonb) is
  'Whether these are progress rows as summarize takes them. No errors.';
comment on function bindery_core.shown(double precision) is
  'A percent as it is shown: two decimals, halves up, below 100 unless it is 100. No errors.';
comment on function bindery_core.mean_of_giants(double precision[], double precision[]) is
  'The weighted mean of percents where weights are so big that sums may overflow; 0 where they do. No errors.';
comment on function bindery_core.summarize(jsonb, text, text, jsonb) is
  'How far a book is: {"overall", "stage_progress"} in percent, two decimals, "substeps" of its stage and "stages" of its pipeline. machine, status, stage: as for transition_error; substeps: the book''s progress rows of that stage, [{"substep", "weight"?, "progress"?, "done"?, "total"?, "unit"?, "message"?}]. Errors: 22004 for a null machine, status or substeps, 22023 for a machine or rows of another form, or a status or stage that the pipeline does not have.';
