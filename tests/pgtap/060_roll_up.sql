begin;
\ir helpers.psql
select plan(24);
-- Plain statements on book_progress, as a person at psql makes them: the book follows.
select tap.clock('2030-01-01 12:00+00');
select tap.book(n, '{ANALYZING}') from generate_series(1, 3) n;
select tap.clock('2030-01-01 12:01+00');
create function tap.seen(n integer) returns text language sql volatile as $$
  select format('%s %s %s', (tap.row(n)).stage_progress, (tap.row(n)).overall_progress, (tap.row(n)).revision);
$$;

insert into bindery.book_progress (book_id, stage, substep, progress, attempt, updated_at)
select tap.id(n), 'ANALYZING', s, 50, 1, bindery_internal.now() from generate_series(1, 2) n, unnest(array['extract_text', 'detect_chapters']) s;
select is(tap.seen(1), '25 5 3', 'an INSERT of several rows is rolled up into one revision a book');
select is(tap.seen(2), '25 5 3', 'for every book of the statement');
select is(tap.seen(3), '0 0 2', 'and no other');
select is((tap.row(1)).updated_at, '2030-01-01 12:01+00', 'the book is updated');
select is((tap.row(1)).heartbeat_at, '2030-01-01 12:01+00', 'and heard of');
update bindery.book_progress set progress = 100 where book_id = tap.id(1);
select is(tap.seen(1), '50 10 4', 'an UPDATE is rolled up');
update bindery.book_progress set progress = 100 where book_id = tap.id(1);
select is(tap.seen(1), '50 10 4', 'an UPDATE that changes nothing that shows is no revision');
update bindery.book_progress set checkpoint = '{"page": 1}' where book_id = tap.id(1);
select is(tap.seen(1), '50 10 4', 'a checkpoint does not show');
update bindery.book_progress set weight = 5 where (book_id, substep) = (tap.id(1), 'extract_text');
select is(tap.seen(1), '75 15 5', 'a weight does: (5*100 + 100) / 8');
update bindery.book_progress set message = 'hm' where (book_id, substep) = (tap.id(1), 'extract_text');
select is(tap.seen(1), '75 15 6', 'so does a message');
delete from bindery.book_progress where (book_id, substep) = (tap.id(1), 'extract_text');
select is(tap.seen(1), '25 5 7', 'a DELETE is rolled up');
delete from bindery.book_progress where book_id = tap.id(1);
select is(tap.seen(1), '0 0 8', 'down to nothing');
delete from bindery.book_progress where book_id = tap.id(1);
update bindery.book_progress set progress = 1 where book_id = tap.id(1);
select is(tap.seen(1), '0 0 8', 'a statement that finds no row does nothing');
insert into bindery.book_progress (book_id, stage, substep, progress, attempt, updated_at) values (tap.id(1), 'CREATING_ARTWORK', 'ink', 50, 1, now());
select is(tap.seen(1), '0 0 8', 'rows of another stage do not show');

-- What a row may hold.
select is(tap.outcome(format('update bindery.book_progress set %s where book_id = %L', change, tap.id(2))), '23514', format('%s breaks a constraint', change))
from unnest(array['progress = 101', 'progress = ''NaN''', 'weight = 0', 'weight = ''Infinity''', 'done = 2, total = 1', 'total = 0', 'substep = ''Bad''']) change;
select is(tap.outcome(format('insert into bindery.book_progress (book_id, stage, substep, attempt, updated_at) values (%L, %L, %L, 1, now())', tap.id(99), 'ANALYZING', 'a')), '23503',
  'progress belongs to a book');

-- Halted books keep their values whatever happens to their rows.
select bindery.fail_book(tap.id(2));
update bindery.book_progress set progress = 100 where book_id = tap.id(2);
select is(tap.seen(2), '25 5 4', 'a halted book keeps the values it halted at');
delete from bindery.book_status where book_id = tap.id(2);
select is((select count(*)::int from bindery.book_progress where book_id = tap.id(2)), 0, 'a book that is deleted takes its progress along');

select * from finish();
rollback;
