-- Plain writes are announced: each book once a statement, as a whole.
begin;
\ir ../helpers.psql
\ir ../realtime/standin.psql
select plan(9);
update bindery.settings set broadcast_every = '0' where true;
select tap.book(n, '{ANALYZING}') from generate_series(1, 3) n;
-- What a statement broadcasts: 'book revision partial substeps'.
create function tap.broadcast_by(statement text) returns text language plpgsql as $$
begin
  delete from realtime.messages;
  execute statement;
  return (
    select string_agg(format('%s %s %s %s', right(m.topic, 1), m.payload ->> 'revision',
      m.payload ->> 'substeps_partial', jsonb_array_length(m.payload -> 'substeps')), ', '
      order by m.topic)
    from realtime.messages m where m.topic like 'book:%');
end
$$;

select is(
  tap.broadcast_by(format($$update bindery.book_progress set progress = 50
    where book_id in (%L, %L)$$, tap.id(1), tap.id(2))),
  '1 3 false 3, 2 3 false 3',
  'An UPDATE of several rows of two books is broadcast once for each book.');
select is(
  tap.broadcast_by(format($$delete from bindery.book_progress
    where book_id = %L and substep = 'extract_text'$$, tap.id(1))),
  '1 4 false 2', 'A DELETE of a substep is broadcast with the list of the others.');
select is(
  tap.broadcast_by(format($$insert into bindery.book_progress
    (book_id, stage, substep, updated_at) values (%L, 'ANALYZING', 'more', now())$$, tap.id(1))),
  '1 5 false 3', 'An INSERT of a substep is broadcast.');
select is(
  tap.broadcast_by(format($$insert into bindery.book_progress
    (book_id, stage, substep, updated_at) values (%L, 'CREATING_ARTWORK', 'ink', now())$$,
    tap.id(1))),
  null, 'An INSERT of a substep of another stage is not broadcast.');
select is(
  tap.broadcast_by(format($$update bindery.book_status set title = 'x'
    where book_id in (%L, %L)$$, tap.id(1), tap.id(3))),
  '1 6 false 3, 3 3 false 3', 'A plain UPDATE of a title is broadcast once for each book.');
select is(
  tap.broadcast_by(format($$update bindery.book_status set status = 'GENERATING_SCENES'
    where book_id in (%L, %L)$$, tap.id(1), tap.id(3))),
  '1 7 false 2, 3 4 false 2', 'A plain UPDATE of a status is broadcast once for each book.');
select is(
  tap.broadcast_by(format($$update bindery.book_status set title = 'x'
    where book_id = %L$$, tap.id(1))),
  null, 'A plain UPDATE that changes nothing is not broadcast.');
select is(
  tap.broadcast_by(format($$insert into bindery.book_status (book_id) values (%L), (%L)$$,
    tap.id(4), tap.id(5))),
  '4 1 false 0, 5 1 false 0', 'A plain INSERT is broadcast once for each book.');

-- Very many books are announced in parts.
insert into bindery.book_status (book_id)
select tap.id(n) from generate_series(1001, 3500) n;
delete from realtime.messages;
update bindery.book_status set title = 'x' where book_id between tap.id(1001) and tap.id(3500);
select results_eq(
  'select m.payload ->> ''revision'', count(*), count(distinct m.topic) from realtime.messages m
   where m.topic like ''book:%'' group by 1',
  $$values ('2'::text, 2500::bigint, 2500::bigint)$$,
  'A plain UPDATE of 2,500 books is broadcast once for each book, with its new revision.');

select * from finish();
rollback;
