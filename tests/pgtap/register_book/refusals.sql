-- register_book: conflicts and bad input.
begin;
\ir ../helpers.psql
select plan(15);
select bindery.define_pipeline('other', '{"states": [{"name": "A", "weight": 1}, {"name": "Z"}]}');
select bindery.register_book(tap.id(1), tap.id(900)), bindery.register_book(tap.id(2));
create temp table before as select n, tap.snapshot(n) as s from generate_series(1, 2) n;

select is(
  tap.call('register_book', 1, quote_literal(tap.id(901))), 'PT409 conflicting_registration',
  'A registration with another owner is a conflict.');
select is(
  tap.call('register_book', 1, $$pipeline => 'other'$$), 'PT409 conflicting_registration',
  'A registration with another pipeline is a conflict.');
select is(
  tap.call('register_book', 2, quote_literal(tap.id(900))), 'PT409 conflicting_registration',
  'A registration with an owner does not take over a book without one.');
select is(
  (select count(*)::integer from before where s is distinct from tap.snapshot(n)), 0,
  'A conflicting registration changes nothing.');

select is(
  tap.call('register_book', 3, $$pipeline => 'nope'$$), 'PT404 unknown_pipeline',
  'A registration with an unknown pipeline is refused.');
select is(
  tap.refusal('register_book', 3, $$pipeline => 'nope'$$) #>> '{detail,pipeline}', 'nope',
  'The detail of unknown_pipeline contains the pipeline.');
select is(
  tap.outcome('select bindery.register_book(null)'), 'PT422 bad_input',
  'A registration without a book_id is refused.');
select is(
  tap.error('select bindery.register_book(null)') #>> '{detail,argument}', 'book_id',
  'The detail of bad_input names the argument.');
select is(
  tap.call('register_book', 3, $$title => repeat('x', 1025)$$), 'PT422 bad_input',
  'A title of 1,025 characters is refused.');
select is(
  tap.call('register_book', 3, format('metadata => %L', value)), 'PT422 bad_input',
  format('Metadata that is %s is refused.', value))
from (values ('[]'), ('"x"'), ('1'), ('null')) v(value);
select is(
  tap.call('register_book', 3, $$metadata => jsonb_build_object('k', repeat('x', 140000))$$),
  'PT422 bad_input', 'Metadata larger than 128 KiB is refused.');
select is(
  tap.snapshot(3) ->> 'book', null, 'A refused registration creates no book.');

select * from finish();
rollback;
