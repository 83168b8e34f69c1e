-- mutexes: rows that are locked so that only one session at a time does a task.
-- registration_slots: rows that both a registration and an event about an unknown book lock.
-- Invariant: only the schema's owner can lock a row here, unlike an advisory lock, which any login
-- can hold. Locks: a mutex before everything else; slots after relay_cursors, in order.
create table bindery_internal.mutexes (
  task text not null,
  constraint mutexes_pkey primary key (task)
);

create table bindery_internal.registration_slots (
  slot integer not null,
  constraint registration_slots_pkey primary key (slot)
);

insert into bindery_internal.mutexes (task)
values ('sweep'), ('pace'), ('outbox'), ('dead_letters'), ('pipelines'), ('notify')
on conflict do nothing;
insert into bindery_internal.registration_slots (slot)
select s from generate_series(0, 255) s on conflict do nothing;

alter table bindery_internal.mutexes enable row level security;
alter table bindery_internal.registration_slots enable row level security;

comment on table bindery_internal.mutexes is
  'One row a task that only one session at a time may do; the session locks the row.';
comment on column bindery_internal.mutexes.task is 'The task.';
comment on table bindery_internal.registration_slots is
  'Rows that order a registration and the arrival of an early event about the same book.';
comment on column bindery_internal.registration_slots.slot is 'The hash of a book_id, 0 to 255.';
