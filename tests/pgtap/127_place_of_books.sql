begin;
\ir helpers.psql
-- Where books stand as a stage sees them.
select tap.book(1);
select tap.book(2, '{ANALYZING}');
select tap.book(3, '{ANALYZING,FAILED}');
select tap.book(4, '{ANALYZING,CANCELLED}');
select plan(4);

select results_eq(
  $$select p.place from bindery.place_of_books('ANALYZING', array[tap.id(1), tap.id(2), tap.id(3), tap.id(4), tap.id(9)]) p order by p.book_id$$,
  $$values ('before'), ('at'), ('failed'), ('elsewhere')$$, 'each book by its own status; an unknown one is left out');
select results_eq(
  $$select p.place from bindery.place_of_books('CREATING_ARTWORK', array[tap.id(1), tap.id(2), tap.id(3)]) p$$,
  $$values ('elsewhere'), ('elsewhere'), ('elsewhere')$$, 'no transition leads over a stage');
select is((select count(*)::int from bindery.place_of_books('NOWHERE', array[tap.id(1)]) p where p.place = 'elsewhere'), 1,
  'a stage that no pipeline has is elsewhere');
select throws_ok($$select * from bindery.place_of_books(repeat('X', 64), '{}')$$, 'PT422', null, 'a stage''s name has 63 characters');

select * from finish();
rollback;
