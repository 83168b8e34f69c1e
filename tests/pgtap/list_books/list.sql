-- bindery.list_books: the newest books that the caller may read.
begin;
\ir ../helpers.psql
select plan(11);
select tap.clock(format('2030-01-01 12:%s+00', lpad(n::text, 2, '0'))), tap.book(n)
from generate_series(1, 5) n;

select is(array(select book_id from bindery.list_books()),
  array(select tap.id(n) from unnest(array[5, 4, 3, 2, 1]) n),
  'list_books gives the newest books first.');
select is((select count(*)::int from bindery.list_books(n)), expected,
  format('list_books(%s) gives %s of 5 books.', coalesce(n::text, 'null'), expected))
from (values (2, 2), (0, 0), (-1, 0), (2147483647, 5), (null, 0)) v(n, expected);
select is((select to_jsonb(l) from bindery.list_books(1) l), to_jsonb(tap.row(5)),
  'list_books gives whole rows.');
select is((select provolatile::text from pg_proc where oid = 'bindery.list_books'::regproc), 's',
  'list_books is STABLE, so that PostgREST answers it to a GET.');
insert into bindery.book_status (book_id, owner_id)
select gen_random_uuid(), tap.id(900) from generate_series(1, 1100);
select is((select count(*)::int from bindery.list_books()), 100,
  'list_books gives 100 books by default.');
select is((select count(*)::int from bindery.list_books(5000)), 1000,
  'list_books gives at most 1,000 books.');
select is(tap.as_role('authenticated', 'select count(*) from bindery.list_books()',
    tap.id(901)::text), '0',
  'list_books gives a user no book of another owner.');

select * from finish();
rollback;
