-- pipeline_xstate: a pipeline as an XState v5 config, made of its compiled machine.
-- Invariants: SECURITY INVOKER and STABLE; an event's type is the status that it requests; FAILED
-- has a child for each stage, so the machine resumes correctly without context or code.
create or replace function bindery_internal.latest_version(pipeline text) returns integer
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select max(p.version) from bindery.pipelines p where p.name = pipeline);
end
$$;

create or replace function bindery_internal.xstate_edge(kind text, target text,
  guard text default null) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_strip_nulls(jsonb_build_object('target', target, 'guard', guard, 'meta',
    jsonb_build_object('kind', kind)));
$$;

create or replace function bindery_internal.xstate_node(state jsonb) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_build_object('meta', jsonb_strip_nulls(state - array['name', 'final', 'next',
    'rework']))
    || case when (state ->> 'final')::boolean then '{"type": "final"}'
       else jsonb_build_object('on',
         (select jsonb_object_agg(n.edge ->> 'to', bindery_internal.xstate_edge('forward',
           n.edge ->> 'to', n.edge ->> 'guard'))
          from jsonb_array_elements(state -> 'next') as n(edge))
         || coalesce((select jsonb_object_agg(r.target, bindery_internal.xstate_edge('rework',
           r.target))
          from jsonb_array_elements_text(state -> 'rework') as r(target)), '{}')
         || jsonb_build_object(
           'FAILED', bindery_internal.xstate_edge('fail', 'FAILED.' || (state ->> 'name')),
           'CANCELLED', bindery_internal.xstate_edge('cancel', 'CANCELLED'))) end;
$$;

create or replace function bindery.pipeline_xstate(name text,
  version integer default null) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  which constant integer := coalesce(pipeline_xstate.version,
    bindery_internal.latest_version(pipeline_xstate.name));
  machine constant jsonb := bindery_internal.machine(pipeline_xstate.name, which);
  id constant text := pipeline_xstate.name;
  initial constant text := machine #>> '{states,0,name}';
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('name', pipeline_xstate.name,
    63));
  if machine is null then
    perform bindery_internal.raise_error(bindery_internal.unknown_pipeline(coalesce(id, '(null)'),
      pipeline_xstate.version));
  end if;
  return (
    select jsonb_build_object(
      'id', id,
      'version', which::text,
      'initial', initial,
      'meta', jsonb_build_object('pipeline', id, 'version', which, 'total_weight',
        machine -> 'total_weight',
        'auto_advance', machine -> 'auto_advance',
        -- The keys of an object have no order in JSON.
        'order', jsonb_agg(s.state -> 'name' order by s.ord)),
      'states', jsonb_object_agg(s.state ->> 'name', bindery_internal.xstate_node(s.state))
        || jsonb_build_object(
          'CANCELLED', jsonb_build_object('type', 'final', 'meta',
            jsonb_build_object('label', 'Cancelled')),
          'FAILED', jsonb_build_object(
            'initial', initial,
            'meta', jsonb_build_object('label', 'Failed'),
            'on', jsonb_build_object('CANCELLED', bindery_internal.xstate_edge('cancel',
              'CANCELLED')),
            'states', jsonb_object_agg(s.state ->> 'name',
              jsonb_build_object('on', jsonb_build_object(
              s.state ->> 'name', bindery_internal.xstate_edge('resume',
                format('#%s.%s', id, s.state ->> 'name')))))
              filter (where not (s.state ->> 'final')::boolean))))
    from jsonb_array_elements(machine -> 'states') with ordinality as s(state, ord));
end
$$;

comment on function bindery_internal.latest_version(text) is
  'The newest version of a pipeline; null where there is none of that name.';
comment on function bindery_internal.xstate_edge(text, text, text) is
  'A transition of an XState config. Its meta.kind is forward, rework, fail, cancel or resume.';
comment on function bindery_internal.xstate_node(jsonb) is
  'A state of an XState config, from a state of a compiled machine.';
comment on function bindery.pipeline_xstate(text, integer) is
  'A pipeline as a config for XState v5''s createMachine; the latest version by default.
An event''s type is the status it asks for ({"type": "ANALYZING"}). FAILED has a child for each '
  'state it can resume to: a book that failed in ANALYZING is {"FAILED": "ANALYZING"}. Guards are '
  'given by name, weights, labels and limits (seconds) in meta. PT404 unknown_pipeline.';
