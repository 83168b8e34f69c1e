begin;
\ir helpers.psql
select plan(22);

select is(bindery.define_pipeline('one', '{"states": [{"name": "A", "weight": 1}, {"name": "Z"}]}'), 1, 'the first definition is version 1');
select is(bindery.define_pipeline('one', '{"states": [{"weight": 1, "name": "A"}, {"name": "Z"}]}'), 1,
  'the same definition again is the same version, whatever the order of its keys');
select is(bindery.define_pipeline('one', '{"states": [{"name": "A", "weight": 2}, {"name": "Z"}]}'), 2, 'another definition is the next version');
select is(bindery.define_pipeline('two', '{"states": [{"name": "A", "weight": 1}, {"name": "Z"}]}'), 1, 'each name counts for itself');
select is(bindery.define_pipeline('one', '{"states": [{"name": "A", "weight": 1}, {"name": "Z"}]}'), 3,
  'going back to an earlier definition is a new version');
select is((select count(*)::int from bindery.pipelines where name = 'one'), 3, 'every version is kept');
select is((select machine #>> '{states,0,weight}' from bindery.pipelines where (name, version) = ('one', 2))::numeric, 2.0, 'the compiled machine is stored with it');
select is((select definition from bindery.pipelines where (name, version) = ('one', 2)),
  '{"states": [{"name": "A", "weight": 2}, {"name": "Z"}]}', 'the definition is stored as it was given');

create temp table refused as select tap.error($$select bindery.define_pipeline('bad',
  '{"states": [{"name": "a", "weight": -1}, {"name": "FAILED"}, {"name": "B", "next": ["NOPE"], "colour": "red"}, {"name": "Z", "weight": 1}]}')$$) as e;
select is((select e ->> 'sqlstate' || ' ' || (e #>> '{detail,code}') from refused), 'PT422 bad_definition', 'a faulty definition is refused');
select set_has(
  $$select f ->> 'path' from refused, jsonb_array_elements(e #> '{detail,faults}') f$$,
  $$values ('$.states[0].name'), ('$.states[0].weight'), ('$.states[1].name'), ('$.states[2].colour'), ('$.states[3].weight')$$,
  'all its faults come at once, each with its JSON path');
select ok((select bool_and(length(f ->> 'problem') > 5) from refused, jsonb_array_elements(e #> '{detail,faults}') f), 'every fault says what is wrong');
select ok((select e ->> 'message' like '%$.states[0].weight%' from refused), 'the message for people names the faults too');
select is((select count(*)::int from bindery.pipelines where name = 'bad'), 0, 'nothing is stored of a refused definition');

select is(tap.outcome(format('select bindery.define_pipeline(%L, %L)', name, '{"states": [{"name": "A", "weight": 1}, {"name": "Z"}]}')), 'PT422 bad_input',
  format('%s is no name for a pipeline', coalesce(quote_literal(name), 'null')))
from (values ('Comic'), (''), (null), (repeat('a', 64))) as t(name);
select is(tap.outcome($$select bindery.define_pipeline('x', null)$$), 'PT422 bad_input', 'a definition that is null is refused');
select is(tap.outcome($$select bindery.define_pipeline('x', '[]')$$), 'PT422 bad_definition', 'a definition that is no object is refused');

select is(tap.outcome($$update bindery.pipelines set machine = '{}' where name = 'two'$$), 'PT409 pipeline_is_immutable', 'a version''s row cannot be changed');
select tap.book(1, '{}', 'two');
select is(tap.outcome($$delete from bindery.pipelines where name = 'two'$$), '23503', 'a version that a book follows cannot be deleted');
select is(tap.outcome($$delete from bindery.pipelines where (name, version) = ('one', 2)$$), 'ok', 'a version that no book follows can be deleted');

select * from finish();
rollback;
