-- outbox_backlog: the number of messages that wait to be published, and since when.
-- Invariants: read-only; counts at most max_messages, so that a large backlog costs no more.
create or replace function bindery_internal.outbox_backlog(max_messages integer,
  out messages bigint, out oldest_at timestamptz, out age interval)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select (select count(*) from (select from bindery.outbox
    limit least(greatest(outbox_backlog.max_messages, 0), 1000000)) o), f.created_at,
    greatest(coalesce(bindery_internal.now() - f.created_at, '0'), '0')
  from (values (0)) as one(row) left join lateral (
    select o.created_at from bindery.outbox o order by o.id limit 1) f on true;
$$;

create or replace function bindery.outbox_backlog(max_messages integer default 100000,
  out messages bigint, out oldest_at timestamptz, out age interval)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select b.* from bindery_internal.outbox_backlog(outbox_backlog.max_messages) b;
$$;

comment on function bindery_internal.outbox_backlog(integer) is 'See bindery.outbox_backlog.';
comment on function bindery.outbox_backlog(integer) is
  'How many messages of the outbox wait to be published, counted up to max_messages (at most '
  '1,000,000), and since when the oldest does.';
