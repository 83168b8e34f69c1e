-- book_progress: one row a substep that was reported or planned.
-- Invariants: progress never falls within an attempt (apply_reports keeps the higher value).
-- Locks: its book's row in book_status is locked first.
create table bindery.book_progress (
  book_id uuid not null,
  stage text not null,
  substep text not null,
  weight double precision,
  progress double precision not null default 0,
  done double precision,
  total double precision,
  unit text,
  message text,
  checkpoint jsonb,
  attempt integer not null,
  started_at timestamptz,
  updated_at timestamptz not null,
  constraint book_progress_pkey primary key (book_id, stage, substep),
  constraint progress_belongs_to_a_book foreign key (book_id) references bindery.book_status (book_id) on delete cascade,
  constraint substep_is_lower_snake_case check (substep ~ '^[a-z][a-z0-9_]{0,62}$'),
  constraint weight_is_positive check (weight > 0 and weight < 'infinity'),
  constraint progress_is_percent check (progress between 0 and 100),
  constraint done_is_part_of_total check (done between 0 and total and total > 0 and total <= 1e15),
  constraint unit_is_short check (length(unit) <= 63),
  constraint message_is_short check (length(message) <= 8192),
  constraint unit_is_plain_text check (unit !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]'),
  constraint message_is_plain_text check (message !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]'),
  constraint checkpoint_is_not_deep check (not jsonb_path_exists(checkpoint, '$.**{65}')),
  constraint checkpoint_is_small check (pg_column_size(checkpoint) <= 1048576)
) with (fillfactor = 70);

alter table bindery.book_progress enable row level security;

comment on table bindery.book_progress is
  'One row a substep of a book that was reported or planned; report with bindery.report_progress.';
comment on column bindery.book_progress.book_id is 'The book.';
comment on column bindery.book_progress.stage is 'The stage the substep is part of.';
comment on column bindery.book_progress.substep is 'The substep''s name, lower snake case; `all` in a stage that has none.';
comment on column bindery.book_progress.weight is 'Planned for this book; null: as the pipeline declares it (1 where it is open).';
comment on column bindery.book_progress.progress is 'Percent, 0 to 100; the highest of this attempt.';
comment on column bindery.book_progress.done is 'Units done, where the report counted them.';
comment on column bindery.book_progress.total is 'Units in all, where the report counted them.';
comment on column bindery.book_progress.unit is 'What is counted: page, panel, word.';
comment on column bindery.book_progress.message is 'The latest message, up to 8,192 characters.';
comment on column bindery.book_progress.checkpoint is 'The worker''s own JSON: where to go on after a failure.';
comment on column bindery.book_progress.attempt is 'The attempt that last reported.';
comment on column bindery.book_progress.started_at is 'When it was first reported in this attempt.';
comment on column bindery.book_progress.updated_at is 'When it was last reported.';
