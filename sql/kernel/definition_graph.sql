-- Builds a graph of the states: what each state leads to, whether the edges form a cycle, and
-- whether every path ends. Invariants: one bit a state, the first state's the lowest;
-- core/src/definition/graph.rs in SQL.
create or replace function bindery_core.closure(direct bigint[]) returns bigint[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  reach bigint[] := direct;
begin
  for via in 1 .. cardinality(reach) loop
    for here in 1 .. cardinality(reach) loop
      if reach[here] & (1::bigint << (via - 1)) <> 0 then
        reach[here] := reach[here] | reach[via];
      end if;
    end loop;
  end loop;
  return reach;
end
$$;

-- A shortest way along forward edges from a state back to itself, without the return.
create or replace function bindery_core.cycle_through(
  start integer, direct bigint[]
) returns integer[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  came_from integer[] := array_fill(start, array[cardinality(direct)]);
  seen bigint := 0;
  queue integer[] := array[start];
  at integer := 1;
  here integer;
  cycle integer[];
begin
  loop
    here := queue[at];
    if direct[here] & (1::bigint << (start - 1)) <> 0 then
      loop
        cycle := here || cycle;
        if here = start then
          return cycle;
        end if;
        here := came_from[here];
      end loop;
    end if;
    for ahead in 1 .. cardinality(direct) loop
      if direct[here] & (1::bigint << (ahead - 1)) <> 0
        and seen & (1::bigint << (ahead - 1)) = 0 then
        seen := seen | (1::bigint << (ahead - 1));
        came_from[ahead] := here;
        queue := queue || ahead;
      end if;
    end loop;
    at := at + 1;
  end loop;
end
$$;

create or replace function bindery_core.graph_faults(
  states jsonb[], direct bigint[], reach bigint[]
) returns jsonb[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  n constant integer := cardinality(states);
  names constant text[] := array(select s.state ->> 'name'
    from unnest(states) with ordinality as s(state, place) order by s.place);
  faults jsonb[] := '{}';
  path text;
  cycle integer[];
  in_a_known_cycle integer[] := '{}';
  target text;
begin
  for index in 1 .. n loop
    path := format('$.states[%s]', index - 1);
    if reach[index] & (1::bigint << (index - 1)) <> 0 and index <> all (in_a_known_cycle) then
      cycle := bindery_core.cycle_through(index, direct);
      in_a_known_cycle := in_a_known_cycle || cycle;
      faults := faults || bindery_core.fault(path || '.next', format(
        'forward edges lead in a circle: %s; a way back belongs into rework',
        (select string_agg(names[c.state], ' -> ' order by c.place)
          from unnest(cycle || index) with ordinality as c(state, place))));
    end if;
    if index > 1 and reach[1] & (1::bigint << (index - 1)) = 0 then
      faults := faults || bindery_core.fault(path, format(
        '%s cannot be reached from %s, where every book begins', names[index], names[1]));
    end if;
    if index < n and direct[index] = 0 then
      faults := faults || bindery_core.fault(path || '.next',
        'expected at least one state that may follow; only the last state is final');
    elsif index < n and reach[index] & (1::bigint << (n - 1)) = 0 then
      faults := faults || bindery_core.fault(path || '.next',
        format('%s, the final state, cannot be reached from here', names[n]));
    end if;
    for target in select jsonb_array_elements_text(states[index] -> 'rework') loop
      if reach[array_position(names, target)] & (1::bigint << (index - 1)) = 0 then
        faults := faults || bindery_core.fault(path || '.rework', format(
          'expected states from which %s is reached; %s is none', names[index], target));
      end if;
    end loop;
  end loop;
  return faults;
end
$$;

comment on function bindery_core.closure(bigint[]) is
  'From what each state leads to directly, what it leads to at all; one bit a state, one entry a '
  'state. No errors.';
comment on function bindery_core.cycle_through(integer, bigint[]) is
  'A shortest way along forward edges from a state back to itself, without the return; asked only '
  'where there is one. No errors.';
comment on function bindery_core.graph_faults(jsonb[], bigint[], bigint[]) is
  'The faults of the graph that these states make: circles, ends, what cannot be reached. direct, '
  'reach: as for closure. No errors.';
