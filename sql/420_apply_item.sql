-- apply_item: one lifecycle event of a batch, handed to the function that does it.
-- Invariants: returns null when done, {"stale": true}, or the error; changes nothing then.
-- Locks: the book's row.
create or replace function bindery_internal.apply_item(item jsonb) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  book_id constant uuid := (item ->> 'book_id')::uuid;
  attempt constant integer := (item ->> 'attempt')::integer;
  verdict text;
begin
  -- Who failed in an attempt or a stage that is over has nothing to say about the one that is on.
  if item ->> 'type' = 'fail' then
    verdict := replace(bindery_internal.judge(book_id, item ->> 'stage', attempt), 'advance', 'stage_not_reached');
    if verdict <> 'accept' then
      return bindery_internal.refused_report(verdict, book_id, item ->> 'stage', null, attempt);
    end if;
  end if;
  return case item ->> 'type'
    when 'transition' then bindery_internal.do_transition(
      book_id, item ->> 'to', item ->> 'message', attempt => attempt)
    when 'fail' then bindery_internal.do_transition(
      book_id, 'FAILED', item ->> 'message', error => coalesce(item -> 'error', '{}'))
    when 'register' then bindery_internal.do_register(
      book_id, (item ->> 'owner_id')::uuid, item ->> 'pipeline', item ->> 'title', item -> 'metadata')
    when 'plan' then bindery_internal.do_plan(book_id, item ->> 'stage', item -> 'substeps')
    when 'progress' then bindery_internal.do_report(item - case when item ? 'done' then 'progress' else '' end)
    when 'heartbeat' then (
      select bindery_internal.refused_report(h.verdict, book_id, item ->> 'stage', null, attempt)
      from bindery_internal.do_heartbeats(jsonb_build_array(item)) h)
    else bindery_internal.bad_input('type', 'is not an event''s', 'See docs/events.md for the types.')
  end;
end
$$;

comment on function bindery_internal.apply_item(jsonb) is
  'Applies one event. Null: done; {"stale": true}: too late; else the error.';
