-- Plain statements on book_progress, as an operator makes them: the book's sums, percentages and
-- revision follow row by row.
begin;
\ir ../helpers.psql
select plan(50);
select tap.clock('2030-01-01 12:00+00');
select tap.book(n, '{ANALYZING}') from generate_series(1, 3) n;
select tap.clock('2030-01-01 12:01+00');
-- The sums that the book has, and those over its rows.
create function tap.sums(n integer) returns text language sql volatile as $$
  select format('%s %s %s %s', b.substeps_total, b.substeps_done, b.substeps_weight,
    b.substeps_points)
  from bindery.book_status b where b.book_id = tap.id(n);
$$;
create function tap.recomputed(n integer) returns text language sql volatile as $$
  select format('%s %s %s %s', count(*), count(*) filter (where g.progress >= 100),
    coalesce(sum(round(g.weight * 1e9)::bigint), 0),
    coalesce(sum(round(g.weight * 1e9)::bigint::numeric
      * case when g.progress >= 100 then 100000000
        else least(round(g.progress * 1e6)::bigint, 99999999) end), 0))
  from bindery.book_progress g join bindery.book_status b
    on b.book_id = g.book_id and b.current_stage = g.stage
  where b.book_id = tap.id(n);
$$;

update bindery.book_progress set progress = 50
where book_id in (tap.id(1), tap.id(2)) and substep in ('extract_text', 'detect_chapters');
select is(tap.percents(1), '25 5', 'An UPDATE of several rows of a book moves its percentages.');
select is(tap.percents(2), '25 5', 'An UPDATE moves the percentages of each of its books.');
select is(tap.percents(3), '0 0', 'An UPDATE leaves other books as they are.');
select is((tap.row(1)).revision, 3::bigint, 'An UPDATE of several rows is one revision.');
select is((tap.row(1)).updated_at, '2030-01-01 12:01+00', 'An UPDATE of progress sets updated_at.');
select is(
  (tap.row(1)).heartbeat_at, '2030-01-01 12:01+00', 'An UPDATE of progress is a heartbeat.');
select is(tap.sums(1), tap.recomputed(1), 'After an UPDATE the sums are those over all rows.');
select ok(
  (select bool_and(revision > 2) from bindery.book_progress
    where book_id = tap.id(1) and progress = 50),
  'The rows that an UPDATE wrote have a revision later than the one before.');
select is(
  (select string_agg(s ->> 'substep', ', ' order by s ->> 'substep')
    from jsonb_array_elements(bindery.get_book_changes(tap.id(1), 2) -> 'substeps') s),
  'detect_chapters, extract_text', 'get_book_changes has the substeps that an UPDATE wrote.');

update bindery.book_progress set progress = 100 where book_id = tap.id(1);
select is(tap.percents(1), '100 20', 'An UPDATE of all rows to 100 puts the stage at 100.');
select is((tap.row(1)).substeps_done, 3, 'Rows at 100 are counted as done.');
update bindery.book_progress set progress = 40
where book_id = tap.id(1) and substep = 'extract_text';
select is(tap.percents(1), '85 17', 'A plain UPDATE may lower the progress of a substep.');
select is((tap.row(1)).substeps_done, 2, 'A row that falls below 100 is done no longer.');
update bindery.book_progress set weight = 5
where book_id = tap.id(1) and substep = 'extract_text';
select is(tap.percents(1), '62.5 12.5', 'An UPDATE of a weight moves the percentages.');
update bindery.book_progress set weight = 0
where book_id = tap.id(1) and substep = 'extract_text';
select is(
  tap.percents(1), '99.99 20', 'An unfinished substep of weight 0 keeps its stage below 100.');
update bindery.book_progress set message = 'hm'
where book_id = tap.id(1) and substep = 'extract_text';
select is(
  tap.substeps(1) #>> '{0,message}', 'hm', 'An UPDATE of a message shows in the status.');
select is(
  tap.sums(1), tap.recomputed(1), 'After several UPDATEs the sums are those over all rows.');

delete from bindery.book_progress where book_id = tap.id(1) and substep = 'extract_text';
select is(
  tap.percents(1), '100 20', 'A DELETE of the only unfinished substep puts the stage at 100.');
select is((tap.row(1)).substeps_total, 2, 'A deleted row is counted no longer.');
delete from bindery.book_progress where book_id = tap.id(1);
select is(tap.percents(1), '0 0', 'A stage without any substep is at 0.');
select is(
  tap.sums(1), '0 0 0 0', 'A stage without any substep has no sums, after any number of writes.');
create temp table before as select tap.snapshot(1) as s;
delete from bindery.book_progress where book_id = tap.id(1);
update bindery.book_progress set progress = 1 where book_id = tap.id(1);
select is(
  tap.snapshot(1), (select s from before),
  'A statement that finds no row leaves the book as it is.');

insert into bindery.book_progress (book_id, stage, substep, progress, updated_at)
values (tap.id(1), 'CREATING_ARTWORK', 'ink', 50, now());
select is(
  tap.snapshot(1) -> 'book', (select s -> 'book' from before),
  'An INSERT of a row of another stage leaves the book as it is.');
insert into bindery.book_progress (book_id, stage, substep, weight, progress, updated_at)
values (tap.id(1), 'ANALYZING', 'a', 3, 50, now()), (tap.id(1), 'ANALYZING', 'b', 1, 100, now());
select is(tap.percents(1), '62.5 12.5', 'An INSERT of rows moves the percentages.');
select is(tap.sums(1), tap.recomputed(1), 'After an INSERT the sums are those over all rows.');
update bindery.book_progress set stage = 'GENERATING_SCENES'
where book_id = tap.id(1) and substep = 'a';
select is(tap.percents(1), '100 20', 'A row that is moved to another stage counts no longer.');
update bindery.book_progress set book_id = tap.id(3)
where book_id = tap.id(1) and substep = 'b';
select is(tap.percents(1), '0 0', 'A row that is moved to another book leaves its old book.');
select is(tap.percents(3), '20 4', 'A row that is moved to another book counts for that book.');
select is(tap.sums(3), tap.recomputed(3), 'A row that is moved is in the sums of its new book.');

-- What a row may hold.
select is(
  tap.outcome(format('update bindery.book_progress set %s where book_id = %L and substep = %L',
    change, tap.id(2), 'extract_text')),
  outcome, format('A plain UPDATE to %s is refused.', change))
from (values ('progress = 101', 'PT422 bad_input'), ('progress = -1', 'PT422 bad_input'),
  ('progress = ''NaN''', 'PT422 bad_input'), ('weight = -1', '23514'),
  ('weight = 1000000001', '23514'), ('weight = ''Infinity''', '22003'),
  ('weight = ''NaN''', '22003'), ('done = 2, total = 1', 'PT422 bad_input'),
  ('done = 0, total = 0', 'PT422 bad_input'), ('done = 1', 'PT422 bad_input'),
  ('substep = ''Bad''', 'PT422 bad_input'),
  ('message = repeat(''x'', 8193)', 'PT422 bad_input'),
  ('unit = E''\x07''', 'PT422 bad_input'),
  ('checkpoint = jsonb_build_object(''k'', repeat(''x'', 140000))', 'PT422 bad_input'))
  v(change, outcome);
select is(
  tap.outcome(format('insert into bindery.book_progress (book_id, stage, substep, updated_at)
    values (%L, %L, %L, now())', tap.id(99), 'ANALYZING', 'a')),
  '23503', 'A row of an unknown book is refused.');
select is(tap.percents(2), '25 5', 'A refused statement leaves the percentages.');

update bindery.book_progress set points = 1 where book_id = tap.id(2);
select is(
  tap.sums(2), tap.recomputed(2), 'A plain UPDATE of points stores the computed points.');

-- Halted books.
select bindery.fail_book(tap.id(2));
create temp table halted as select tap.snapshot(2) as s;
update bindery.book_progress set progress = 100 where book_id = tap.id(2);
select is(
  tap.snapshot(2) -> 'book', (select s -> 'book' from halted),
  'A halted book keeps its values when its rows change.');
select bindery.resume_book(tap.id(2));
select is(
  tap.percents(2), '100 20', 'A resume counts the rows as they were changed during the halt.');
select is(tap.sums(2), tap.recomputed(2), 'After a resume the sums are those over all rows.');
delete from bindery.book_status where book_id = tap.id(2);
select is(
  (select count(*)::integer from bindery.book_progress where book_id = tap.id(2)),
  0, 'A book that is deleted takes its rows of book_progress with it.');

select * from finish();
rollback;
