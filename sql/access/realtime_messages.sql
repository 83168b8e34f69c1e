-- Who may join the private topics book:<book_id> and owner:<owner_id>, where Supabase Realtime is
-- there.
-- Invariants: only a book's owner; the user's id is looked up once a statement. Locks: none of
-- ours.
do $$
begin
  if to_regclass('realtime.messages') is null or to_regprocedure('realtime.topic()') is null then
    return;
  end if;
  drop policy if exists bindery_owner_joins on realtime.messages;
  create policy bindery_owner_joins on realtime.messages for select to authenticated
    using (extension = 'broadcast' and (
      (select realtime.topic()) = 'owner:' || (select bindery_internal.user_id())
      or exists (
        select from bindery.book_status b
        where b.owner_id = (select bindery_internal.user_id())
          and 'book:' || b.book_id = (select realtime.topic()))));
exception when insufficient_privilege then
  raise warning 'No policy could be made on realtime.messages: %. Until its owner makes it '
    '(docs/supabase.md), nobody can join the private topics.', sqlerrm;
end
$$;
