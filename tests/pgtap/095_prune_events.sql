-- prune_events: old history goes, in batches; each book keeps its newest row.
begin;
\ir helpers.psql
select plan(8);

select tap.clock('2030-01-01 12:00+00');
select tap.book(n, array['ANALYZING', 'GENERATING_SCENES']) from generate_series(1, 3) n;
select tap.clock('2030-02-01 12:00+00');
select from bindery.transition_book(tap.id(1), 'CREATING_ARTWORK');

select is(bindery.prune_events('2030-01-01 12:00+00'), 0, 'what is not older stays');
select is(bindery.prune_events('2030-01-15', 4), 4, 'a call deletes a batch');
select is(bindery.prune_events('2030-01-15', 4), 3, 'the next one the rest');
select is(bindery.prune_events('2030-01-15', 4), 0, 'and then there is nothing left to do');
select is((select array_agg(to_status order by book_id) from bindery.book_events), array['CREATING_ARTWORK', 'GENERATING_SCENES', 'GENERATING_SCENES'],
  'each book keeps its newest row, however old');
select is(tap.outcome('select bindery.prune_events(null)'), 'PT422 bad_input', 'without a moment nothing goes');
select is(tap.outcome('select bindery.prune_events(now(), 0)'), 'PT422 bad_input', 'a batch of none is refused');
select is((select count(*) from bindery.book_events), 3::bigint, 'and deletes nothing');

select * from finish();
rollback;
