-- settings: one row of settings for operators. A table, because only superusers can store a server
-- setting such as bindery.broadcast, and hosted projects have none.
-- Invariant: there is one row. Read by definer functions.
create table bindery.settings (
  only_row boolean not null default true,
  broadcast boolean not null default true,
  broadcast_every interval not null default '1 second',
  broadcasts_per_second integer not null default 60,
  notify boolean not null default true,
  patience interval not null default '15 minutes',
  early_events_per_book integer not null default 10000,
  early_events_total integer not null default 1000000,
  dead_letters_total integer not null default 1000000,
  constraint settings_pkey primary key (only_row),
  constraint there_is_one_row check (only_row),
  constraint broadcast_every_is_in_range check (broadcast_every between '0' and '1 minute'),
  constraint broadcasts_are_bounded check (broadcasts_per_second between 1 and 1000000),
  constraint patience_is_in_range check (patience between '0' and '30 days'),
  constraint early_events_are_bounded check (
    early_events_per_book between 0 and 100000 and early_events_total between 0 and 100000000),
  constraint dead_letters_are_bounded check (dead_letters_total between 0 and 100000000)
);

insert into bindery.settings default values on conflict do nothing;

alter table bindery.settings enable row level security;

comment on table bindery.settings is
  'One row: what an operator may set.
UPDATE it as service_role; the next transaction uses it.';
comment on column bindery.settings.only_row is 'Always true: there is one row.';
comment on column bindery.settings.broadcast is
  'Whether changed books are broadcast by Supabase Realtime; the session setting '
  'bindery.broadcast, on or off, overrides it.';
comment on column bindery.settings.broadcast_every is
  'Changes of a book other than those of status and owner are broadcast at most once in this time, '
  '0 to 1 minute; the newest state of what was held back follows.';
comment on column bindery.settings.broadcasts_per_second is
  'About how many messages of held-back changes are sent a second in all, 1 to 1,000,000: where '
  'more books change at once, each is broadcast less often than broadcast_every.';
comment on column bindery.settings.notify is
  'Whether changed books are announced by NOTIFY bindery where Realtime is not installed. Without '
  'it event streams look for changes every 2 seconds; a daemon notices the change within 30.';
comment on column bindery.settings.patience is
  'How long an early event waits, 0 to 30 days; then it becomes a dead letter.';
comment on column bindery.settings.early_events_per_book is
  'How many early events a book may have, 0 to 100,000; one more becomes a dead letter.';
comment on column bindery.settings.early_events_total is
  'How many early events there may be in all, 0 to 100,000,000; one more becomes a dead letter.';
comment on column bindery.settings.dead_letters_total is
  'How many dead letters there may be, 0 to 100,000,000. Events beyond it are only counted: one '
  'letter a stream and reason, without a payload, which cannot be replayed.';
