-- The tables of the hand-written relay. A run starts with empty ones.
drop schema if exists peer cascade;
create schema peer;

create table peer.book_status (
  book_id uuid primary key,
  status text not null,
  current_stage text not null,
  overall_progress numeric(5, 2) not null default 0,
  updated_at timestamptz not null default now()
);

create table peer.book_progress (
  book_id uuid not null references peer.book_status,
  stage text not null,
  substep text not null,
  progress numeric(5, 2) not null,
  message text,
  updated_at timestamptz not null default now(),
  primary key (book_id, stage, substep)
);
