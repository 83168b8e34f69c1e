-- take_outbox: returns the oldest messages of the outbox and deletes them in the caller's
-- transaction.
-- Invariants: the caller commits after it has published them, so each is published at least once;
-- there is one publisher at a time, so a book's messages keep their order. A call takes at most
-- about a megabyte, or one message.
-- Locks: the mutex outbox until the transaction ends; without the mutex nothing is taken.
create or replace function bindery_internal.take_outbox(max_rows integer)
returns setof bindery.outbox
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Locking a row writes to it; an idle publisher writes nothing.
  if (select o.id from bindery.outbox o order by o.id limit 1) is null
    or not bindery_internal.take_mutex('outbox', 0)
  then
    return;
  end if;
  return query
  with taken as (
    delete from bindery.outbox o
    where o.id = any (array(
      select s.id
      from (
        select c.id, sum(octet_length(c.payload::text)) over (order by c.id) as bytes,
          row_number() over (order by c.id) as place
        from (
          select w.id, w.payload from bindery.outbox w order by w.id
          limit least(greatest(max_rows, 0), 10000)) c) s
      where s.bytes <= 1048576 or s.place = 1))
    returning o.*
  )
  select t.* from taken t order by t.id;
end
$$;

create or replace function bindery.take_outbox(max_rows integer default 500)
returns setof bindery.outbox
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select o.* from bindery_internal.take_outbox(max_rows) o;
$$;

comment on function bindery.take_outbox(integer) is
  'Takes the oldest messages of the outbox, up to max_rows (at most 10,000) and about a megabyte, '
  'in order. Publish them, then commit; a rollback puts them back.
Gives none while another transaction has some taken.';
comment on function bindery_internal.take_outbox(integer) is
  'See bindery.take_outbox.';
