-- plan_substeps: refusals, and plans that have no effect.
begin;
\ir ../helpers.psql
select plan(36);
select tap.book(1, '{ANALYZING}');
select bindery.plan_substeps(tap.id(1), 'ANALYZING', '[{"substep": "index_names", "weight": 4}]');
create function tap.plan_it(n integer, stage text, substeps text) returns text
language sql volatile as $$
  select tap.call('plan_substeps', n, format('%L, %L', stage, substeps));
$$;
create temp table before as select tap.snapshot(1) as s;

select is(
  tap.plan_it(1, 'UPLOADED', '[{"substep": "a"}]'), 'ok',
  'A plan for a stage that the book has left is not an error.');
select is(
  tap.plan_it(1, 'NOPE', '[{"substep": "a"}]'), 'PT404 unknown_stage',
  'A plan for an unknown stage is refused.');
select is(
  tap.plan_it(1, 'COMPLETED', '[{"substep": "a"}]'), 'PT404 unknown_stage',
  'A plan for the final state is refused.');
select is(
  tap.plan_it(1, null, '[{"substep": "a"}]'), 'PT404 unknown_stage',
  'A plan without a stage is refused.');
select is(
  tap.plan_it(1, repeat('A', 64), '[{"substep": "a"}]'), 'PT422 bad_input',
  'A plan for a stage of 64 characters is refused.');
select is(
  tap.plan_it(99, 'ANALYZING', '[{"substep": "a"}]'), 'PT404 unknown_book',
  'A plan for an unknown book is refused.');
select is(
  tap.call('plan_substeps', 1, '''ANALYZING'', ''[{"substep": "a"}]'', 1'), 'PT409 stale_revision',
  'A plan with an earlier expected_revision is refused.');
select is(
  tap.plan_it(1, 'ANALYZING', substeps), 'PT422 bad_input',
  format('The plan %s is refused.', coalesce(left(substeps, 50), 'null')))
from (values (null), ('{}'), ('"a"'), ('[1]'), ('[null]'), ('[["a"]]'), ('[{"weight": 1}]'),
  ('[{"substep": 5}]'), ('[{"substep": null}]'), ('[{"substep": "Upper"}]'), ('[{"name": "a"}]'),
  ('[{"substep": "a", "weight": 0}]'), ('[{"substep": "a", "weight": -1}]'),
  ('[{"substep": "a", "weight": "2"}]'), ('[{"substep": "a", "weight": 1e300}]'),
  ('[{"substep": "a", "weight": 1e-10}]'), ('[{"substep": "a", "weight": 1000000001}]'),
  ('[{"substep": "a"}, {"substep": "a"}]')) v(substeps);
select is(
  tap.refusal('plan_substeps', 1, '''ANALYZING'', ''[1]''') #>> '{detail,code}', 'bad_input',
  'The detail of a refused plan has a code.');
select is(
  tap.snapshot(1), (select s from before), 'A plan that is stale or refused changes nothing.');
select is(tap.plan_it(1, 'ANALYZING', '[]'), 'ok', 'An empty plan is accepted.');
select is(
  tap.snapshot(1) -> 'progress', (select s -> 'progress' from before),
  'An empty plan changes no substep.');
select is(
  tap.plan_it(1, 'ANALYZING', format('[{"substep": "a", "weight": %s}]', weight)), 'ok',
  format('A planned weight of %s is accepted.', weight))
from unnest(array['1e-9', '0.1', '1e9']) weight;

-- Books that are complete or CANCELLED.
select tap.book(2, '{ANALYZING,CANCELLED}');
select tap.book(3, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}');
create temp table ended as select n, tap.snapshot(n) as s from generate_series(2, 3) n;
select is(
  tap.plan_it(n, 'CREATING_ARTWORK', '[{"substep": "a"}]'), 'ok',
  format('A plan for a %s book is not an error.', (tap.row(n)).status))
from ended;
select is(
  tap.snapshot(n), s, format('A plan for a %s book has no effect.', (tap.row(n)).status))
from ended;

select * from finish();
rollback;
