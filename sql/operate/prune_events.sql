-- prune_events: deletes old history in small batches that block no other session.
-- Invariant: each book keeps its newest row and the row of its end, so that the history always
-- gives its status.
-- Locks: skips rows that another session is deleting.
create or replace function bindery_internal.check_pruning(before timestamptz,
  batch integer) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if before is null then
    return bindery_internal.bad_input('before', 'is missing',
      'Give the moment; what is older goes.');
  elsif batch is null or batch not between 1 and 100000 then
    return bindery_internal.bad_input('batch', 'is not between 1 and 100,000',
      'Give how many rows a call may delete.');
  end if;
  return null;
end
$$;

create or replace function bindery_internal.prune_events(before timestamptz,
  batch integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  pruned integer;
begin
  perform bindery_internal.raise_error(bindery_internal.check_pruning(prune_events.before,
    prune_events.batch));
  -- Selected once: a subquery of the DELETE may run again for each row.
  with chosen as materialized (
    select c.book_id, c.revision from bindery.book_events c
    where c.at < prune_events.before and c.kind not in ('complete', 'cancel')
      and exists (
        select from bindery.book_events n
        where n.book_id = c.book_id and n.revision > c.revision)
    order by c.at limit prune_events.batch
    for update skip locked
  )
  delete from bindery.book_events e using chosen c
  where e.book_id = c.book_id and e.revision = c.revision;
  get diagnostics pruned = row_count;
  return pruned;
end
$$;

create or replace function bindery.prune_events(before timestamptz,
  batch integer default 1000) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return bindery_internal.prune_events(prune_events.before, prune_events.batch);
end
$$;

comment on function bindery_internal.check_pruning(timestamptz, integer) is
  'What is wrong with the arguments of a prune_ function, as an error; null where nothing is.';
comment on function bindery_internal.prune_events(timestamptz, integer) is
  'See bindery.prune_events.';
comment on function bindery.prune_events(timestamptz, integer) is
  'Deletes up to batch (1 to 100,000) rows of history older than a moment, and gives how many; '
  'call it until it gives 0.
Each book keeps its newest row, and the one of how it ended. PT422 bad_input.';
