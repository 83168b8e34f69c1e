-- bindery.prune_events: old history is deleted in batches; each book keeps its newest row.
begin;
\ir ../helpers.psql
select plan(17);

select tap.clock('2030-01-01 12:00+00');
select tap.book(n, array['ANALYZING', 'FAILED', 'ANALYZING']) from generate_series(1, 3) n;
select tap.clock('2030-02-01 12:00+00');
select from bindery.transition_book(tap.id(1), 'GENERATING_SCENES');

select is(bindery.prune_events('2030-01-01 12:00+00'), 0,
  'prune_events keeps a row that is exactly as old as the moment.');
select is(bindery.prune_events('2030-01-15', 4), 4,
  'prune_events deletes at most a batch of rows a call.');
select is(bindery.prune_events('2030-01-15', 100), 6,
  'prune_events deletes the rest when it is called again.');
select is(bindery.prune_events('2030-01-15', 100), 0,
  'prune_events gives 0 when nothing is left to delete.');
select is((select array_agg(kind || ' ' || stage order by book_id, revision)
    from bindery.book_events),
  array['transition GENERATING_SCENES', 'resume ANALYZING', 'resume ANALYZING'],
  'prune_events keeps the newest row of each book, however old it is.');
select is((select attempt from bindery.rewind_book(tap.id(1), 'ANALYZING')), 3,
  'An attempt''s number is not given again after the history of the stage was pruned.');
select is(bindery.prune_events('2030-03-01'), 1,
  'prune_events deletes a row once there is a newer one of its book, however young.');

select tap.book(4, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}');
select tap.book(5, '{ANALYZING,CANCELLED}');
select is(bindery.prune_events('2030-03-01'), 6,
  'prune_events deletes what led to the end of a book.');
select is((select array_agg(kind order by book_id, revision) from bindery.book_events
    where book_id in (tap.id(4), tap.id(5))),
  array['complete', 'cancel'],
  'prune_events keeps the row with the end of a book.');
select ok((select pg_get_expr(i.indpred, i.indrelid) ~ 'complete' from pg_index i
    where i.indexrelid = 'bindery.book_events_prunable'::regclass),
  'The index that prune_events reads leaves out how books ended.');

select is(tap.outcome('select bindery.prune_events(null)'), 'PT422 bad_input',
  'prune_events without a moment is refused.');
select is(tap.outcome(format('select bindery.prune_events(now(), %s)', batch)), 'PT422 bad_input',
  format('prune_events with a batch of %s is refused.', batch))
from unnest(array['0', '-1', '100001', 'null']) batch;
select is((select count(*) from bindery.book_events), 5::bigint,
  'A refused prune_events deletes nothing.');
select is(tap.as_role('authenticated', 'select bindery.prune_events(now())'), '42501',
  'A user may not call prune_events.');

select * from finish();
rollback;
