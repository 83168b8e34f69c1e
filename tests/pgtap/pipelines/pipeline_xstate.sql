-- pipeline_xstate: its shape, errors and rights. tests/xstate runs it in XState itself.
begin;
\ir ../helpers.psql
select plan(36);
create function public.is_trusted(book bindery.book_status) returns boolean
language sql as 'select true';
select bindery.define_pipeline('proofs', '{"auto_advance": true, "states": [
  {"name": "IN", "label": "Arrived \"today\""},
  {"name": "DRAFT", "weight": 1.5, "substeps": [{"substep": "a"},
      {"substep": "b", "label": "The b", "weight": 2}],
    "next": [{"to": "PROOF", "guard": "substeps_complete"},
      {"to": "OUT", "guard": "public.is_trusted"}]},
  {"name": "PROOF", "weight": 2, "open_substeps": true, "rework": ["DRAFT", "IN"],
    "stall_after": "2 minutes", "max_attempts": 3, "retry_after": "1.5 seconds"},
  {"name": "OUT"}]}');
create temp table x as select bindery.pipeline_xstate('proofs') as c;

-- The machine.
select is(
  (select c - array['states', 'meta'] from x),
  '{"id": "proofs", "version": "1", "initial": "IN"}',
  'A config has the name, the version and the initial state of the pipeline.');
select is(
  (select c -> 'meta' from x),
  '{"pipeline": "proofs", "version": 1, "auto_advance": true, "total_weight": 3.5,
    "order": ["IN", "DRAFT", "PROOF", "OUT"]}',
  'The meta of a config has the order of the states.');
select set_eq(
  $$select jsonb_object_keys(c -> 'states') from x$$,
  array['IN', 'DRAFT', 'PROOF', 'OUT', 'FAILED', 'CANCELLED'],
  'The states of a config are those of the pipeline, FAILED and CANCELLED.');
select is(
  (select array_agg(s.key order by s.key) from x, jsonb_each(c -> 'states') s
    where s.value ->> 'type' = 'final'),
  '{CANCELLED,OUT}', 'The last state and CANCELLED are final.');
select is(
  (select c #> '{states,OUT}' from x),
  '{"type": "final", "meta": {"label": "Out", "weight": 0, "start": 3.5, "substeps": [],
    "open_substeps": false}}',
  'A final state has no transitions.');

-- The edges.
create temp table edges as
  select s.key as state, e.key as event, e.value as edge, e.value ->> 'target' as target,
    e.value ->> 'guard' as guard, e.value #>> '{meta,kind}' as kind
  from x, jsonb_each(c -> 'states') s, jsonb_each(s.value -> 'on') e;
select set_eq(
  'select state, event, target, guard, kind from edges',
  $$values
    ('IN', 'DRAFT', 'DRAFT', null, 'forward'),
    ('IN', 'FAILED', 'FAILED.IN', null, 'fail'),
    ('IN', 'CANCELLED', 'CANCELLED', null, 'cancel'),
    ('DRAFT', 'PROOF', 'PROOF', 'substeps_complete', 'forward'),
    ('DRAFT', 'OUT', 'OUT', 'public.is_trusted', 'forward'),
    ('DRAFT', 'FAILED', 'FAILED.DRAFT', null, 'fail'),
    ('DRAFT', 'CANCELLED', 'CANCELLED', null, 'cancel'),
    ('PROOF', 'OUT', 'OUT', null, 'forward'),
    ('PROOF', 'DRAFT', 'DRAFT', null, 'rework'),
    ('PROOF', 'IN', 'IN', null, 'rework'),
    ('PROOF', 'FAILED', 'FAILED.PROOF', null, 'fail'),
    ('PROOF', 'CANCELLED', 'CANCELLED', null, 'cancel'),
    ('FAILED', 'CANCELLED', 'CANCELLED', null, 'cancel')$$,
  'The type of an event is the status it asks for; each edge has its kind and its guard.');
select is(
  (select count(*)::integer from edges where edge ? 'guard'), 2,
  'An edge without a guard has no key guard.');
select is(
  (select c #> '{states,FAILED,states}' from x),
  '{"IN": {"on": {"IN": {"target": "#proofs.IN", "meta": {"kind": "resume"}}}},
    "DRAFT": {"on": {"DRAFT": {"target": "#proofs.DRAFT", "meta": {"kind": "resume"}}}},
    "PROOF": {"on": {"PROOF": {"target": "#proofs.PROOF", "meta": {"kind": "resume"}}}}}',
  'FAILED has a child for each state to which a book may resume.');
select is(
  (select c #>> '{states,FAILED,initial}' from x), 'IN',
  'The initial child of FAILED is that of the initial state, as in the kernel.');

-- The kernel's answers.
select set_eq(
  $$select p.name || ' ' || s.state, e.event
    from bindery.pipelines p
    cross join lateral bindery.pipeline_xstate(p.name, p.version) c
    cross join lateral jsonb_object_keys(c -> 'states') s(state)
    cross join lateral jsonb_object_keys(
      coalesce(c #> array['states', s.state, 'on'], '{}')) e(event)
    where s.state <> 'FAILED'$$,
  $$select p.name || ' ' || s.state, n.status
    from bindery.pipelines p,
      unnest(array(select x ->> 'name' from jsonb_array_elements(p.machine -> 'states') x)
        || 'CANCELLED'::text) s(state),
      unnest(bindery_core.next_statuses(p.machine, s.state, s.state)) n(status)$$,
  'In every state of every pipeline the events are the statuses that the kernel allows.');
select set_eq(
  $$select p.name || ' ' || s.state, e.event
    from bindery.pipelines p
    cross join lateral bindery.pipeline_xstate(p.name, p.version) c
    cross join lateral jsonb_each(c #> '{states,FAILED,states}') s(state, node),
      jsonb_object_keys((s.node -> 'on') || (c #> '{states,FAILED,on}')) e(event)$$,
  $$select p.name || ' ' || (s.state ->> 'name'), n.status
    from bindery.pipelines p, jsonb_array_elements(p.machine -> 'states') s(state),
      unnest(bindery_core.next_statuses(p.machine, 'FAILED', s.state ->> 'name')) n(status)
    where not (s.state ->> 'final')::boolean$$,
  'In every state in which a book FAILED the events are the statuses that the kernel allows.');

-- Meta.
select is(
  (select c #> '{states,PROOF,meta}' from x),
  '{"label": "Proof", "weight": 2, "start": 1.5, "substeps": [], "open_substeps": true,
    "stall_after": 120, "max_attempts": 3, "retry_after": 1.5}',
  'The meta of a state has its label, weight and limits, durations in seconds.');
select is(
  (select c #> '{states,DRAFT,meta}' from x),
  '{"label": "Draft", "weight": 1.5, "start": 0, "open_substeps": false,
    "substeps": [{"substep": "a", "label": "A", "weight": 1},
      {"substep": "b", "label": "The b", "weight": 2}]}',
  'The meta of a state has its substeps, and no key for a limit that it does not have.');
select is(
  (select c #>> '{states,IN,meta,label}' from x), 'Arrived "today"',
  'A label is as it was defined.');
select is(
  (select c #> '{states,FAILED,meta}' from x), '{"label": "Failed"}', 'FAILED has a label.');
select is(
  (select c #> '{states,CANCELLED,meta}' from x), '{"label": "Cancelled"}',
  'CANCELLED has a label.');

-- Versions.
select bindery.define_pipeline('proofs',
  '{"states": [{"name": "A", "weight": 1}, {"name": "Z"}]}');
select is(
  bindery.pipeline_xstate('proofs') ->> 'initial', 'A',
  'Without a version the config is that of the latest one.');
select is(
  bindery.pipeline_xstate('proofs', 2), bindery.pipeline_xstate('proofs'),
  'The latest version may be named.');
select is(
  bindery.pipeline_xstate('proofs', 1), (select c from x),
  'The config of an earlier version is as it was.');
select is(
  bindery.pipeline_xstate(version => 1, name => 'proofs') ->> 'version', '1',
  'The arguments may be given by name.');

-- Errors.
select is(
  tap.outcome(format('select bindery.pipeline_xstate(%L, %L)', n, v)), 'PT404 unknown_pipeline',
  format('The pipeline %L version %L is unknown.', left(n, 8), v))
from (values ('nope', null), ('nope', 1), ('proofs', 3), ('proofs', 0), ('proofs', -1),
  (null, null), ('', null), ('Proofs', null), (repeat('x', 63), null)) t(n, v);
select is(
  tap.error($$select bindery.pipeline_xstate('nope', 7)$$) -> 'detail',
  '{"code": "unknown_pipeline", "pipeline": "nope", "version": 7}',
  'The detail of unknown_pipeline has the name and the version.');

-- Rights.
select is(
  tap.as_role(role, $$select bindery.pipeline_xstate('comic') ->> 'initial'$$, sub), 'UPLOADED',
  format('%s %s may call pipeline_xstate.', role, case when sub is null then 'without a sub'
    else 'with a sub' end))
from (values ('authenticated', tap.id(900)::text), ('authenticated', null),
  ('service_role', null)) t(role, sub);
select is(
  tap.as_role('authenticated', $$select bindery.pipeline_xstate('nope')$$),
  'PT404 unknown_pipeline', 'authenticated gets the errors of pipeline_xstate.');
select is(
  tap.as_role(role, $$select bindery.pipeline_xstate('comic')$$), '42501',
  format('%s may not call pipeline_xstate.', role))
from unnest(array['anon', 'bindery_relay']) role;

select * from finish();
rollback;
