-- prune_events: old history goes, in batches; of a book under way the newest row of each stage stays.
begin;
\ir helpers.psql
select plan(9);

select tap.clock('2030-01-01 12:00+00');
select tap.book(n, array['ANALYZING', 'FAILED', 'ANALYZING']) from generate_series(1, 3) n;
select tap.clock('2030-02-01 12:00+00');
select from bindery.transition_book(tap.id(1), 'GENERATING_SCENES');

select is(bindery.prune_events('2030-01-01 12:00+00'), 0, 'what is not older stays');
select is(bindery.prune_events('2030-01-15', 4), 4, 'a call deletes a batch');
select is(bindery.prune_events('2030-01-15', 4), 2, 'the next one the rest');
select is(bindery.prune_events('2030-01-15', 4), 0, 'and then there is nothing left to do');
select is((select array_agg(kind || ' ' || stage order by book_id, revision) from bindery.book_events),
  array['register UPLOADED', 'resume ANALYZING', 'transition GENERATING_SCENES', 'register UPLOADED', 'resume ANALYZING', 'register UPLOADED', 'resume ANALYZING'],
  'a book that is under way keeps the newest row of each stage, however old');
select is((select attempt from bindery.rewind_book(tap.id(1), 'ANALYZING')), 3, 'so that an attempt''s number is not given again');
select is(tap.outcome('select bindery.prune_events(null)'), 'PT422 bad_input', 'without a moment nothing goes');
select is(tap.outcome('select bindery.prune_events(now(), 0)'), 'PT422 bad_input', 'a batch of none is refused');
select is((select count(*) from bindery.book_events), 8::bigint, 'and deletes nothing');

select * from finish();
rollback;
