-- The publication supabase_realtime has book_status, where there is such a publication.
begin;
\ir ../helpers.psql
select plan(8);
create function pg_temp.published() returns text language sql volatile as $$
  select coalesce(string_agg(schemaname || '.' || tablename, ', ' order by 1), 'none')
  from pg_publication_tables where pubname = 'supabase_realtime';
$$;

drop publication if exists supabase_realtime;
\ir ../../../sql/access/realtime_publication.sql
select is(
  (select count(*) from pg_publication where pubname = 'supabase_realtime'), 0::bigint,
  'The installation does not create the publication.');
create publication supabase_realtime;
\ir ../../../sql/access/realtime_publication.sql
select is(
  pg_temp.published(), 'bindery.book_status',
  'The installation adds book_status to the publication.');
\ir ../../../sql/access/realtime_publication.sql
select is(
  pg_temp.published(), 'bindery.book_status',
  'A second installation leaves the publication as it is.');
select ok(
  (select pubinsert and pubupdate and pubdelete from pg_publication
    where pubname = 'supabase_realtime'),
  'The publication has inserts, updates and deletes.');
select is(
  (select relreplident::text from pg_class where oid = 'bindery.book_status'::regclass), 'd',
  'The replica identity of book_status is its primary key, which an UPDATE needs.');
select is(
  tap.outcome(format('insert into bindery.book_status (book_id) values (%L)', tap.id(1))), 'ok',
  'A published book is inserted.');
select is(
  tap.call('transition_book', 1, '''ANALYZING'''), 'ok', 'A published book is updated.');

drop publication supabase_realtime;
create publication supabase_realtime for all tables;
\ir ../../../sql/access/realtime_publication.sql
select alike(
  pg_temp.published(), '%bindery.book_status%',
  'The installation leaves a publication of all tables as it is.');

select * from finish();
rollback;
