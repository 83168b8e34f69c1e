-- Recreates the policy on realtime.messages at every `binderyd migrate`.
do $$
declare
  made record;
begin
  made := bindery_internal.make_realtime_policy(anew => true);
  if made.problem is not null then
    raise warning 'There is no policy bindery_owner_joins on realtime.messages: %. Without it '
      'no user can join the private topics. binderyd makes it as soon as it can; docs/supabase.md '
      'has the SQL.', made.problem;
  end if;
end
$$;
