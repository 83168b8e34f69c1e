-- book_progress: one row a substep: the declared and planned ones of each stage that the book has
-- entered or planned, and the open ones that were reported.
-- Invariants: progress never falls within an attempt. points is what the row adds to
-- book_status.substeps_points: weight in units of 1e-9 times progress in millionths of a percent,
-- both whole numbers, so sums are exact in any order (bindery_internal.points; not a generated
-- column, whose expression each statement would plan anew).
-- Locks: the book's row in book_status is locked first.
create table bindery.book_progress (
  book_id uuid not null,
  stage text collate "C" not null,
  substep text collate "C" not null,
  weight double precision not null default 1,
  progress double precision not null default 0,
  points numeric not null default 0,
  done double precision,
  total double precision,
  unit text,
  message text,
  checkpoint jsonb,
  attempt integer not null default 1,
  revision bigint not null default 1,
  started_at timestamptz,
  updated_at timestamptz not null,
  constraint book_progress_pkey primary key (book_id, stage, substep),
  constraint progress_belongs_to_a_book
    foreign key (book_id) references bindery.book_status (book_id) on delete cascade,
  -- Short, because every statement parses it; prepare_progress checks the rest.
  constraint numbers_are_in_range check (
    weight between 0 and 1e9 and progress between 0 and 100)
-- As for book_status: a batch that updates every row of a page finds room on it.
) with (fillfactor = 50);

alter table bindery.book_progress enable row level security;

comment on table bindery.book_progress is
  'One row a substep of a book; report with bindery.report_progress.';
comment on column bindery.book_progress.book_id is 'The book.';
comment on column bindery.book_progress.stage is 'The stage the substep is part of.';
comment on column bindery.book_progress.substep is
  'The substep''s key, lower snake case; `all` in a stage that has none.';
comment on column bindery.book_progress.weight is
  'Its share of the stage''s work: as planned for this book, else as declared, else 1.';
comment on column bindery.book_progress.progress is
  'Percent, 0 to 100; the highest of this attempt.';
comment on column bindery.book_progress.points is
  'Internal: weight in units of 1e-9 times progress in units of 1e-6 percent.';
comment on column bindery.book_progress.done is 'Units done, where the report counted them.';
comment on column bindery.book_progress.total is 'Units in all, where the report counted them.';
comment on column bindery.book_progress.unit is 'What is counted: page, panel, word.';
comment on column bindery.book_progress.message is 'The latest message, up to 8,192 characters.';
comment on column bindery.book_progress.checkpoint is
  'The worker''s own JSON: where to continue after a failure.';
comment on column bindery.book_progress.attempt is 'The attempt that last reported.';
comment on column bindery.book_progress.revision is
  'The book''s revision at which the row last changed visibly.';
comment on column bindery.book_progress.started_at is
  'When it was first reported in this attempt; null: not reported in it.';
comment on column bindery.book_progress.updated_at is 'When it was last written.';
