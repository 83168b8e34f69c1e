-- stage_visits: the stages that a book has left, and in which attempt. With it a transition never
-- reads the history.
-- Invariants: one row a stage that the book has left; attempt only grows. Written by
-- record_transition only. Locks: the book's row is held.
create table bindery.stage_visits (
  book_id uuid not null,
  stage text collate "C" not null,
  attempt integer not null,
  entered_at timestamptz not null,
  left_at timestamptz not null,
  seconds double precision,
  constraint stage_visits_pkey primary key (book_id, stage),
  constraint visit_belongs_to_a_book
    foreign key (book_id) references bindery.book_status (book_id) on delete cascade
);

-- For refresh_pace: the visits that ended since it last ran.
create index stage_visits_left on bindery.stage_visits (left_at) where seconds is not null;

alter table bindery.stage_visits enable row level security;

comment on table bindery.stage_visits is
  'The stages that a book has left: its last attempt there, and how long the last visit took.';
comment on column bindery.stage_visits.book_id is 'The book.';
comment on column bindery.stage_visits.stage is 'The stage it left.';
comment on column bindery.stage_visits.attempt is
  'The highest attempt it had there; the next entry is one more.';
comment on column bindery.stage_visits.entered_at is 'When it came there last.';
comment on column bindery.stage_visits.left_at is 'When it left.';
comment on column bindery.stage_visits.seconds is
  'How long the last visit took, halts included; null where it did not end by going forward.';
