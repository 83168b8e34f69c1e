-- pipeline_xstate: its shape, errors and rights. tests/xstate walks it with XState itself.
begin;
\ir helpers.psql
select plan(36);
create function public.is_trusted(book bindery.book_status) returns boolean language sql as 'select true';
select bindery.define_pipeline('proofs', '{"auto_advance": true, "states": [
  {"name": "IN", "label": "Arrived \"today\""},
  {"name": "DRAFT", "weight": 1.5, "next": [{"to": "PROOF", "guard": "substeps_complete"}, {"to": "OUT", "guard": "public.is_trusted"}],
   "substeps": [{"name": "a"}, {"name": "b", "label": "The b", "weight": 2}]},
  {"name": "PROOF", "weight": 2, "open_substeps": true, "rework": ["DRAFT", "IN"], "stall_after": "2 minutes", "max_attempts": 3, "retry_after": "1.5 seconds"},
  {"name": "OUT"}]}');
create temp table x as select bindery.pipeline_xstate('proofs') as c;

-- The machine.
select is((select c - array['states', 'meta'] from x), '{"id": "proofs", "version": "1", "initial": "IN"}', 'a config has the pipeline''s name, version and initial state');
select is((select c -> 'meta' from x), '{"pipeline": "proofs", "version": 1, "auto_advance": true, "total_weight": 3.5, "order": ["IN", "DRAFT", "PROOF", "OUT"]}',
  'its meta says in what order the states stand');
select set_eq($$select jsonb_object_keys(c -> 'states') from x$$, array['IN', 'DRAFT', 'PROOF', 'OUT', 'FAILED', 'CANCELLED'], 'its states are the pipeline''s and the two that all have');
select is((select array_agg(s.key order by s.key) from x, jsonb_each(c -> 'states') s where s.value ->> 'type' = 'final'), '{CANCELLED,OUT}', 'the last state and CANCELLED are final');
select is((select c #> '{states,OUT}' from x), '{"type": "final", "meta": {"label": "Out", "weight": 0, "start": 3.5, "substeps": [], "open_substeps": false}}', 'nothing follows a final state');

-- The edges.
create temp table edges as
  select s.key as state, e.key as event, e.value as edge, e.value ->> 'target' as target, e.value ->> 'guard' as guard, e.value #>> '{meta,kind}' as kind
  from x, jsonb_each(c -> 'states') s, jsonb_each(s.value -> 'on') e;
select set_eq('select state, event, target, guard, kind from edges', $$values
  ('IN', 'DRAFT', 'DRAFT', null, 'forward'), ('IN', 'FAILED', 'FAILED.IN', null, 'fail'), ('IN', 'CANCELLED', 'CANCELLED', null, 'cancel'),
  ('DRAFT', 'PROOF', 'PROOF', 'substeps_complete', 'forward'), ('DRAFT', 'OUT', 'OUT', 'public.is_trusted', 'forward'),
  ('DRAFT', 'FAILED', 'FAILED.DRAFT', null, 'fail'), ('DRAFT', 'CANCELLED', 'CANCELLED', null, 'cancel'),
  ('PROOF', 'OUT', 'OUT', null, 'forward'), ('PROOF', 'DRAFT', 'DRAFT', null, 'rework'), ('PROOF', 'IN', 'IN', null, 'rework'),
  ('PROOF', 'FAILED', 'FAILED.PROOF', null, 'fail'), ('PROOF', 'CANCELLED', 'CANCELLED', null, 'cancel'),
  ('FAILED', 'CANCELLED', 'CANCELLED', null, 'cancel')$$, 'an event is named as the status it asks for; each edge says what it is and what guards it');
select is((select count(*)::int from edges where edge ? 'guard'), 2, 'an edge without a guard has no such key');
select is((select c #> '{states,FAILED,states}' from x), '{
  "IN": {"on": {"IN": {"target": "#proofs.IN", "meta": {"kind": "resume"}}}},
  "DRAFT": {"on": {"DRAFT": {"target": "#proofs.DRAFT", "meta": {"kind": "resume"}}}},
  "PROOF": {"on": {"PROOF": {"target": "#proofs.PROOF", "meta": {"kind": "resume"}}}}}', 'FAILED has a child for each state that it may resume to, and that state alone');
select is((select c #>> '{states,FAILED,initial}' from x), 'IN', 'a FAILED book of which no more is known resumes to the initial state, as the kernel has it');

-- What the kernel says may follow.
select set_eq(
  $$select p.name || ' ' || s.state, e.event from bindery.pipelines p cross join lateral bindery.pipeline_xstate(p.name, p.version) c
    cross join lateral jsonb_object_keys(c -> 'states') s(state) cross join lateral jsonb_object_keys(coalesce(c #> array['states', s.state, 'on'], '{}')) e(event) where s.state <> 'FAILED'$$,
  $$select p.name || ' ' || s.state, n.status from bindery.pipelines p, unnest(array(select x ->> 'name' from jsonb_array_elements(p.machine -> 'states') x) || 'CANCELLED'::text) s(state),
    unnest(bindery_core.next_statuses(p.machine, s.state, s.state)) n(status)$$,
  'for every pipeline and state the events are what the kernel allows');
select set_eq(
  $$select p.name || ' ' || s.state, e.event from bindery.pipelines p cross join lateral bindery.pipeline_xstate(p.name, p.version) c
    cross join lateral jsonb_each(c #> '{states,FAILED,states}') s(state, node), jsonb_object_keys((s.node -> 'on') || (c #> '{states,FAILED,on}')) e(event)$$,
  $$select p.name || ' ' || (s.state ->> 'name'), n.status from bindery.pipelines p, jsonb_array_elements(p.machine -> 'states') s(state),
    unnest(bindery_core.next_statuses(p.machine, 'FAILED', s.state ->> 'name')) n(status) where not (s.state ->> 'final')::boolean$$,
  'and so they are for every state that a book failed in');

-- Meta.
select is((select c #> '{states,PROOF,meta}' from x), '{"label": "Proof", "weight": 2, "start": 1.5, "substeps": [], "open_substeps": true, "stall_after": 120, "max_attempts": 3, "retry_after": 1.5}',
  'a state''s meta has its label, weight and limits, durations in seconds');
select is((select c #> '{states,DRAFT,meta}' from x), '{"label": "Draft", "weight": 1.5, "start": 0, "open_substeps": false,
  "substeps": [{"name": "a", "label": "A", "weight": 1}, {"name": "b", "label": "The b", "weight": 2}]}', 'and its substeps; what is not limited is not there');
select is((select c #>> '{states,IN,meta,label}' from x), 'Arrived "today"', 'labels come as they were given');
select is((select c #> '{states,FAILED,meta}' from x), '{"label": "Failed"}', 'FAILED has a label');
select is((select c #> '{states,CANCELLED,meta}' from x), '{"label": "Cancelled"}', 'and so has CANCELLED');

-- Versions.
select bindery.define_pipeline('proofs', '{"states": [{"name": "A", "weight": 1}, {"name": "Z"}]}');
select is(bindery.pipeline_xstate('proofs') ->> 'initial', 'A', 'without a version it is the latest');
select is(bindery.pipeline_xstate('proofs', 2), bindery.pipeline_xstate('proofs'), 'which may be named');
select is(bindery.pipeline_xstate('proofs', 1), (select c from x), 'an earlier version is as it was');
select is(bindery.pipeline_xstate(version => 1, name => 'proofs') ->> 'version', '1', 'arguments go by name');

-- Errors.
select is(tap.outcome(format('select bindery.pipeline_xstate(%L, %L)', n, v)), 'PT404 unknown_pipeline', format('there is no pipeline %L, version %L', n, v))
from (values ('nope', null), ('nope', 1), ('proofs', 3), ('proofs', 0), ('proofs', -1), (null, null), ('', null), ('Proofs', null), (repeat('x', 63), null)) t(n, v);
select is(tap.error($$select bindery.pipeline_xstate('nope', 7)$$) -> 'detail', '{"code": "unknown_pipeline", "pipeline": "nope", "version": 7}', 'the error says which was wanted');

-- Rights.
select is(tap.as_role(role, $$select bindery.pipeline_xstate('comic') ->> 'initial'$$, sub), 'UPLOADED', format('%s may have a pipeline drawn', role))
from (values ('authenticated', tap.id(900)::text), ('authenticated', null), ('service_role', null)) t(role, sub);
select is(tap.as_role('authenticated', $$select bindery.pipeline_xstate('nope')$$), 'PT404 unknown_pipeline', 'a user gets its errors');
select is(tap.as_role(role, $$select bindery.pipeline_xstate('comic')$$), '42501', format('%s may not', role)) from unnest(array['anon', 'bindery_relay']) role;

select * from finish();
rollback;
