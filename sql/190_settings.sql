-- settings: one row, what an operator may switch. Here since a setting of the server's, such as bindery.broadcast, can be stored by
-- superusers only (ALTER DATABASE … SET), and hosted projects have none. Invariants: there is one row; read by definer functions.
-- Locks: none.
create table bindery.settings (
  only_row boolean not null default true,
  broadcast boolean not null default true,
  constraint settings_pkey primary key (only_row),
  constraint there_is_one_row check (only_row)
);

insert into bindery.settings default values;

alter table bindery.settings enable row level security;

comment on table bindery.settings is
  'One row: what an operator may switch.
UPDATE it as service_role; it holds from the next transaction on.';
comment on column bindery.settings.only_row is 'Always true: there is one row.';
comment on column bindery.settings.broadcast is
  'Whether changed books are broadcast by Supabase Realtime; the setting bindery.broadcast, on or off, says otherwise for a session.';
