-- apply_segment: the items of one segment of a batch: reports and heartbeats set-based, lifecycle events one by one.
-- Invariants: every item ends applied, stale or buried; whatever raises here is not an ordinary refusal (see apply_events).
-- Locks: the batch's books are locked already, in order of book_id.
create or replace function bindery_internal.apply_segment(
  stream text, items jsonb, out applied bigint, out stale bigint, out dead bigint
)
language plpgsql security definer
set search_path = ''
as $$
declare
  reports jsonb;
  heartbeats jsonb;
  bad jsonb;
  lifecycle jsonb;
  refused jsonb;
  item jsonb;
  outcome jsonb;
  count bigint;
begin
  if exists (select from jsonb_array_elements(items) as i(item) where i.item ->> 'type' is distinct from 'progress') then
    select jsonb_agg(i.item order by i.ord) filter (where i.item ->> 'type' = 'progress'),
      jsonb_agg(i.item order by i.ord) filter (where i.item ->> 'type' = 'heartbeat'),
      coalesce(jsonb_agg(i.item order by i.ord) filter (where i.item ->> 'type' = 'dead'), '[]'),
      coalesce(jsonb_agg(i.item order by i.ord)
        filter (where coalesce(i.item ->> 'type', '') not in ('progress', 'heartbeat', 'dead')), '[]')
    into reports, heartbeats, bad, lifecycle
    from jsonb_array_elements(items) with ordinality as i(item, ord);
  else
    reports := items;
    bad := '[]';
    lifecycle := '[]';
  end if;

  with judged as (
    select reports -> (r.ord - 1)::integer as item, r.verdict from bindery_internal.apply_reports(reports) r where reports is not null
    union all
    select heartbeats -> (h.ord - 1)::integer, h.verdict from bindery_internal.do_heartbeats(heartbeats) h where heartbeats is not null
  ), counted as (
    select j.item, j.verdict, coalesce((j.item ->> 'count')::integer, 1) as count from judged j
  )
  select coalesce(sum(c.count) filter (where c.verdict = 'accept'), 0),
    coalesce(sum(c.count) filter (where c.verdict = 'stale'), 0),
    coalesce(jsonb_agg(c.item || jsonb_build_object('reason', c.verdict, 'refusal', bindery_internal.refused_report(
      c.verdict, (c.item ->> 'book_id')::uuid, c.item ->> 'stage', c.item ->> 'substep', (c.item ->> 'attempt')::integer) -> 'message'))
      filter (where c.verdict not in ('accept', 'stale', 'advance')), '[]'),
    -- A report that makes its book advance is a lifecycle event and a report.
    lifecycle || coalesce(jsonb_agg(c.item) filter (where c.verdict = 'advance'), '[]')
  into applied, stale, refused, lifecycle
  from counted c;
  dead := bindery_internal.bury(stream, bad || refused);

  for item in select i.item from jsonb_array_elements(lifecycle) as i(item) loop
    count := coalesce((item ->> 'count')::integer, 1);
    outcome := bindery_internal.apply_item(item);
    if outcome is null then
      applied := applied + count;
    elsif outcome ? 'stale' then
      stale := stale + count;
    else
      dead := dead + bindery_internal.bury(stream, jsonb_build_array(
        item || jsonb_build_object('reason', outcome -> 'code', 'refusal', outcome -> 'message')));
    end if;
  end loop;
end
$$;

comment on function bindery_internal.apply_segment(text, jsonb) is
  'Applies items of which no two have the same book, stage, substep and attempt; counts the events they stand for.';
