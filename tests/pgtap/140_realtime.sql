begin;
\ir helpers.psql
select plan(7);
create function tap.published() returns text language sql volatile as $$
  select coalesce(string_agg(schemaname || '.' || tablename, ', ' order by 1), 'none') from pg_publication_tables where pubname = 'supabase_realtime';
$$;

drop publication if exists supabase_realtime;
\ir ../../sql/710_realtime.sql
select is((select count(*)::int from pg_publication where pubname = 'supabase_realtime'), 0, 'where there is no publication none is made');
create publication supabase_realtime;
\ir ../../sql/710_realtime.sql
select is(tap.published(), 'bindery.book_status', 'where there is one, book_status joins it');
\ir ../../sql/710_realtime.sql
select is(tap.published(), 'bindery.book_status', 'a second time changes nothing');
select ok((select pubinsert and pubupdate and pubdelete from pg_publication where pubname = 'supabase_realtime'), 'all changes are published');
select is((select relreplident::text from pg_class where oid = 'bindery.book_status'::regclass), 'd', 'the primary key tells the rows apart, as an UPDATE through a publication needs');
select is(tap.outcome(format('insert into bindery.book_status (book_id) values (%L)', tap.id(1))), 'ok', 'books are written as before');

drop publication supabase_realtime;
create publication supabase_realtime for all tables;
\ir ../../sql/710_realtime.sql
select ok(tap.published() like '%bindery.book_status%', 'a publication of all tables is left as it is');

select * from finish();
rollback;
