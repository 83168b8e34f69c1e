-- drop_dead_letters: permanently deletes dead letters by their ids; prune_dead_letters deletes by
-- age.
-- Invariant: only the given dead letters are deleted.
-- Locks: skips dead letters that another session is deleting or replaying.
create or replace function bindery_internal.drop_dead_letters(ids bigint[]) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  dropped integer;
begin
  if coalesce(cardinality(drop_dead_letters.ids), 0) not between 1 and 10000 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('ids',
      'are not between 1 and 10,000', 'Name the letters to drop by their ids.'));
  end if;
  delete from bindery.dead_letters d
  where d.id = any (array(
    select c.id from bindery.dead_letters c where c.id = any (drop_dead_letters.ids)
    order by c.id for update skip locked));
  get diagnostics dropped = row_count;
  return dropped;
end
$$;

create or replace function bindery.drop_dead_letters(ids bigint[]) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return bindery_internal.drop_dead_letters(drop_dead_letters.ids);
end
$$;

comment on function bindery_internal.drop_dead_letters(bigint[]) is
  'See bindery.drop_dead_letters.';
comment on function bindery.drop_dead_letters(bigint[]) is
  'Deletes these dead letters (1 to 10,000 ids) permanently, and gives how many there were.
PT422 bad_input.';
