begin;
\ir helpers.psql
select plan(27);
-- What prune_events keeps, and the same for dead letters and the outbox.
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}');
select tap.book(2, '{ANALYZING,CANCELLED}');
select tap.book(3, '{ANALYZING,FAILED}');
select is(bindery.prune_events('2030-01-02'), 7, 'of ended books all goes, of a halted one what a newer row of its stage replaces');
select is((select array_agg(kind order by book_id, revision) from bindery.book_events), array['complete', 'cancel', 'register', 'fail'], 'but how they ended, or stand');
select tap.clock('2030-03-01 12:00+00');
select from bindery.resume_book(tap.id(3));
select is(bindery.prune_events('2030-01-02'), 1, 'a row that was kept as the newest goes once there is a newer one, however young');
select is(bindery.prune_events('2030-01-02'), 0, 'and then none');
select is((select array_agg(kind order by book_id, revision) from bindery.book_events), array['complete', 'cancel', 'register', 'resume'], 'each ended book has one row left, the other one a stage');
select ok(exists (select from pg_index i where i.indexrelid = 'bindery.book_events_prunable'::regclass and pg_get_expr(i.indpred, i.indrelid) ~ 'complete'), 'how books ended is in no index that pruning reads');

-- Dead letters.
select is(tap.outcome('select bindery.prune_dead_letters(null)'), 'PT422 bad_input', 'without a moment no letter goes');
select is(tap.outcome(format('select bindery.prune_dead_letters(now(), %s)', batch)), 'PT422 bad_input', format('nor with a batch of %s', batch)) from unnest(array['0', '100001', 'null']) batch;
create temp table moments as select n, '2030-01-01 00:00+00'::timestamptz + n * interval '1 day' as at from generate_series(1, 6) n;
select tap.clock(at::text), tap.apply(tap.event('progress', 90 + n, '{"progress": 1}')) from moments order by n;
select is(bindery.prune_dead_letters('2030-01-02 00:00+00'), 0, 'a letter that is as old as the moment stays');
select is(bindery.prune_dead_letters('2030-01-05 00:00+00', 2), 2, 'a call deletes a batch of letters');
select is((select array_agg(book_id order by id) from bindery.dead_letters), array[tap.id(93), tap.id(94), tap.id(95), tap.id(96)], 'the oldest');
select is(bindery.prune_dead_letters('2030-01-05 00:00+00', 2), 1, 'the next one the rest');
select is(bindery.prune_dead_letters('2030-01-05 00:00+00', 2), 0, 'and then there is nothing left to do');
select is((select min(at) from bindery.dead_letters), '2030-01-05 00:00+00', 'what is not older is there');

-- The outbox.
select is(tap.outcome('select bindery.prune_outbox(null)'), 'PT422 bad_input', 'without a moment no message goes');
select is(tap.outcome(format('select bindery.prune_outbox(now(), %s)', batch)), 'PT422 bad_input', format('nor with a batch of %s', batch)) from unnest(array['0', '100001', 'null']) batch;
delete from bindery.outbox;
select tap.clock(at::text), tap.book(10 + n, '{ANALYZING}') from moments order by n;
select is(bindery.prune_outbox('2030-01-02 00:00+00'), 0, 'a message that is as old as the moment stays');
select is(bindery.prune_outbox('2030-01-04 00:00+00', 3), 3, 'a call deletes a batch of messages, from the front');
select is(bindery.prune_outbox('2030-01-04 00:00+00', 3), 1, 'the next one the rest');
select is(bindery.prune_outbox('2030-01-04 00:00+00', 3), 0, 'and then there is nothing left to do');
select is((select array_agg(book_id order by id) from bindery.take_outbox()), array[tap.id(13), tap.id(13), tap.id(14), tap.id(14), tap.id(15), tap.id(15), tap.id(16), tap.id(16)],
  'what is left is taken in order');
select is(tap.as_role('authenticated', format('select bindery.%s(now())', f)), '42501', format('a user may not call %s', f)) from unnest(array['prune_dead_letters', 'prune_outbox']) f;

select * from finish();
rollback;
