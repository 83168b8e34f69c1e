-- define_pipeline: versions, which never change.
begin;
\ir ../helpers.psql
select plan(17);

select is(
  bindery.define_pipeline('one', '{"states": [{"name": "A", "weight": 1}, {"name": "Z"}]}'),
  1, 'The first definition of a pipeline is version 1.');
select is(
  bindery.define_pipeline('one', '{"states": [{"weight": 1, "name": "A"}, {"name": "Z"}]}'),
  1, 'The same definition with its keys in another order is the same version.');
select is(
  bindery.define_pipeline('one', '{"states": [{"name": "A", "weight": 2}, {"name": "Z"}]}'),
  2, 'Another definition is the next version.');
select is(
  bindery.define_pipeline('two', '{"states": [{"name": "A", "weight": 1}, {"name": "Z"}]}'),
  1, 'Each pipeline counts its own versions.');
select is(
  bindery.define_pipeline('one', '{"states": [{"name": "A", "weight": 1}, {"name": "Z"}]}'),
  3, 'The definition of an earlier version, given again, is a new version.');
select is(
  (select count(*)::integer from bindery.pipelines where name = 'one'),
  3, 'Every version is kept.');
select is(
  (select (machine #>> '{states,0,weight}')::numeric
    from bindery.pipelines where (name, version) = ('one', 2)),
  2.0, 'The compiled machine is stored with its version.');
select is(
  (select definition from bindery.pipelines where (name, version) = ('one', 2)),
  '{"states": [{"name": "A", "weight": 2}, {"name": "Z"}]}',
  'The definition is stored as it was given.');
select is(
  tap.outcome(format('select bindery.define_pipeline(%L, %L)',
    name, '{"states": [{"name": "A", "weight": 1}, {"name": "Z"}]}')),
  'PT422 bad_input',
  format('A pipeline cannot be named %s.', coalesce(quote_literal(left(name, 8)), 'null')))
from (values ('Comic'), (''), (null), ('a-b'), (repeat('a', 64))) t(name);
select is(
  tap.outcome($$select bindery.define_pipeline(repeat('a', 63),
    '{"states": [{"name": "A", "weight": 1}, {"name": "Z"}]}')$$),
  'ok', 'The name of a pipeline may have 63 characters.');

select is(
  tap.outcome($$update bindery.pipelines set machine = '{}' where name = 'two'$$),
  'PT409 pipeline_is_immutable', 'A plain UPDATE of a version is refused.');
select tap.book(1, '{}', 'two');
select is(
  tap.outcome($$delete from bindery.pipelines where name = 'two'$$),
  '23503', 'A version that a book follows cannot be deleted.');
select is(
  tap.outcome($$delete from bindery.pipelines where (name, version) = ('one', 2)$$),
  'ok', 'A version that no book follows can be deleted.');

select * from finish();
rollback;
