-- make_realtime_policy: the policy by which a user joins the private topics
-- book:<book_id>:<owner_id> and owner:<owner_id>, if Supabase Realtime is installed.
-- Invariants: only a book's present owner; the user's id is looked up once a statement.
-- Locks: realtime.messages, for at most 1 s of waiting: broadcasts queue behind it.
create or replace function bindery_internal.make_realtime_policy(
  anew boolean default false, out state text, out problem text
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
begin
  if to_regnamespace('realtime') is null then
    state := 'none';
    return;
  elsif not has_schema_privilege(to_regnamespace('realtime'), 'usage') then
    state := 'refused';
    problem := format('%I has no USAGE on the schema realtime', current_user);
    return;
  elsif to_regclass('realtime.messages') is null or to_regprocedure('realtime.topic()') is null
  then
    state := 'no_table';
    problem := 'the schema realtime has no table messages or no function topic yet';
    return;
  elsif not make_realtime_policy.anew and exists (
    select from pg_catalog.pg_policy p
    where p.polrelid = to_regclass('realtime.messages') and p.polname = 'bindery_owner_joins')
  then
    state := 'there';
    return;
  end if;
  drop policy if exists bindery_owner_joins on realtime.messages;
  create policy bindery_owner_joins on realtime.messages for select to authenticated
    using (extension = 'broadcast' and (
      (select realtime.topic()) = 'owner:' || (select bindery_internal.user_id())
      or exists (
        select from bindery.book_status b
        where b.owner_id = (select bindery_internal.user_id())
          and 'book:' || b.book_id || ':' || b.owner_id = (select realtime.topic()))));
  state := 'made';
exception when insufficient_privilege or lock_not_available then
  state := 'refused';
  problem := format('%s (SQLSTATE %s)', sqlerrm, sqlstate);
end
$$;

create or replace function bindery.make_realtime_policy(out state text, out problem text)
language sql
set search_path = pg_catalog, pg_temp
as $$
  select * from bindery_internal.make_realtime_policy();
$$;

comment on function bindery_internal.make_realtime_policy(boolean) is
  'See bindery.make_realtime_policy. anew: also where there is such a policy.';
comment on function bindery.make_realtime_policy() is
  'Makes the policy bindery_owner_joins on realtime.messages where it is missing, as the schema''s '
  'owner.
state: none (Supabase Realtime is not installed), no_table (Realtime has not made its table yet), '
  'made, there, or refused; problem: why there is no policy. binderyd calls it every few seconds: '
  'Realtime makes its table when it first starts.';
