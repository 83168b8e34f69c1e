-- Adds book_status to Supabase Realtime's publication, if it exists.
-- Invariant: Postgres Changes delivers book_status; clients query everything else.
do $$
begin
  if exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime'
    and not puballtables)
     and not exists (select from pg_catalog.pg_publication_tables
                     where pubname = 'supabase_realtime' and schemaname = 'bindery'
                       and tablename = 'book_status') then
    alter publication supabase_realtime add table bindery.book_status;
  end if;
exception when insufficient_privilege then
  raise warning 'book_status is not in the publication supabase_realtime: %. Its owner adds it: '
    'alter publication supabase_realtime add table bindery.book_status;', sqlerrm;
end
$$;
