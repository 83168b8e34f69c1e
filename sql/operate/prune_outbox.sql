-- prune_outbox: deletes old unpublished messages in small batches that block no other session.
-- Invariants: deletes from the front only, so no message of a book is deleted before an earlier
-- one; a call reads at most one batch.
-- Locks: waits for the mutex of take_outbox; publishers do not wait, and take nothing meanwhile.
create or replace function bindery_internal.prune_outbox(before timestamptz,
  batch integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  pruned integer;
begin
  perform bindery_internal.raise_error(bindery_internal.check_pruning(prune_outbox.before,
    prune_outbox.batch));
  if not bindery_internal.take_mutex('outbox', 5000) then
    raise exception using errcode = '55P03', message = 'The outbox is being published.',
      hint = 'Try again in a moment.';
  end if;
  delete from bindery.outbox o
  where o.created_at < prune_outbox.before
    and o.id = any (array(
      select c.id from bindery.outbox c order by c.id limit prune_outbox.batch));
  get diagnostics pruned = row_count;
  return pruned;
end
$$;

create or replace function bindery.prune_outbox(before timestamptz,
  batch integer default 1000) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return bindery_internal.prune_outbox(prune_outbox.before, prune_outbox.batch);
end
$$;

comment on function bindery_internal.prune_outbox(timestamptz, integer) is
  'See bindery.prune_outbox.';
comment on function bindery.prune_outbox(timestamptz, integer) is
  'Deletes up to batch (1 to 100,000) messages of the outbox written before a moment, '
  'unpublished, and gives how many; call it until it gives 0.
For when nothing publishes them: workers never receive the deleted messages. PT422 bad_input.';
