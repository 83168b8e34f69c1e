-- prune_dead_letters: deletes old dead letters in small batches that block no other session.
-- Invariant: age counts from the first rejection; a replay does not extend it.
-- Locks: skips dead letters that another session is deleting or replaying.
create or replace function bindery_internal.prune_dead_letters(before timestamptz,
  batch integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  pruned integer;
begin
  perform bindery_internal.raise_error(bindery_internal.check_pruning(prune_dead_letters.before,
    prune_dead_letters.batch));
  delete from bindery.dead_letters d
  where d.id = any (array(
    select c.id from bindery.dead_letters c
    where c.at < prune_dead_letters.before
    order by c.at limit prune_dead_letters.batch
    for update skip locked));
  get diagnostics pruned = row_count;
  return pruned;
end
$$;

create or replace function bindery.prune_dead_letters(before timestamptz,
  batch integer default 1000) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return bindery_internal.prune_dead_letters(prune_dead_letters.before, prune_dead_letters.batch);
end
$$;

comment on function bindery_internal.prune_dead_letters(timestamptz, integer) is
  'See bindery.prune_dead_letters.';
comment on function bindery.prune_dead_letters(timestamptz, integer) is
  'Deletes up to batch (1 to 100,000) dead letters refused before a moment, and gives how many; '
  'call it until it gives 0.
PT422 bad_input.';
