-- define_pipeline: the definitions that it refuses, and its texts of the faults.
begin;
\ir ../helpers.psql
select plan(14);

create temp table refused as select tap.error($$select bindery.define_pipeline('bad', '{"states": [
  {"name": "a", "weight": -1},
  {"name": "FAILED"},
  {"name": "B", "next": ["NOPE"], "colour": "red",
    "substeps": [{"name": "ink"}, {"substep": "ink", "weight": 1e10}, {"substep": "Upper"}]},
  {"name": "Z", "weight": 1}]}')$$) as e;
select is(
  (select e ->> 'sqlstate' || ' ' || (e #>> '{detail,code}') from refused),
  'PT422 bad_definition', 'A definition with faults is refused.');
select set_has(
  $$select f ->> 'path' from refused, jsonb_array_elements(e #> '{detail,faults}') f$$,
  $$values ('$.states[0].name'), ('$.states[0].weight'), ('$.states[1].name'),
    ('$.states[2].colour'), ('$.states[2].substeps[0].name'), ('$.states[2].substeps[0].substep'),
    ('$.states[2].substeps[1].weight'), ('$.states[2].substeps[2].substep'),
    ('$.states[3].weight')$$,
  'The detail lists every fault with its JSON path.');
select ok(
  (select bool_and(length(f ->> 'problem') > 5)
    from refused, jsonb_array_elements(e #> '{detail,faults}') f),
  'Each fault in the detail has a problem.');
select ok(
  (select e ->> 'message' like '%$.states[0].weight%' from refused),
  'The message contains the paths of the faults.');
select is(
  (select count(*)::integer from bindery.pipelines where name = 'bad'),
  0, 'Nothing of a refused definition is stored.');

select is(
  tap.outcome($$select bindery.define_pipeline('x', null)$$),
  'PT422 bad_input', 'A definition that is null is refused.');
select is(
  tap.outcome($$select bindery.define_pipeline('x', '[]')$$),
  'PT422 bad_definition', 'A definition that is not an object is refused.');
select is(
  tap.outcome(format('select bindery.define_pipeline(%L, %L)', 'x', jsonb_build_object('states',
    jsonb_build_array(jsonb_build_object('name', 'A', 'weight', 1, 'substeps',
      jsonb_build_array('{"substep": "r"}'::jsonb,
        jsonb_build_object('substep', 's', 'weight', weight::jsonb))),
      jsonb_build_object('name', 'Z'))))),
  outcome, format('A substep of weight %s in a definition: %s.', weight, outcome))
from (values ('0', 'ok'), ('1e-9', 'ok'), ('1e9', 'ok'), ('1e-10', 'PT422 bad_definition'),
  ('1000000001', 'PT422 bad_definition'), ('-1', 'PT422 bad_definition')) v(weight, outcome);
select is(
  tap.error($$select bindery.define_pipeline('x', '{"states": [{"name": "A", "weight": 1,
    "substeps": [{"substep": "s", "weight": 0}]}, {"name": "Z"}]}')$$)
    #>> '{detail,faults,0,path}',
  '$.states[0].substeps', 'A stage whose substeps all weigh 0 is a fault of the definition.');

select * from finish();
rollback;
