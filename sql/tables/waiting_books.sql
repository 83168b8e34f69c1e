-- waiting_books: which books have a job that waits in a BullMQ queue. Such a book is not silent.
-- Invariants: written by note_waiting only, for the holder of the stream's newest epoch; a row is
-- deleted when the queue no longer has such a job, and the book's heartbeat is then renewed.
-- Locks: the stream's row in relay_cursors first, then the book's row.
create table bindery_internal.waiting_books (
  book_id uuid not null,
  stream text not null,
  since timestamptz not null,
  constraint waiting_books_pkey primary key (book_id, stream),
  constraint waiting_book_is_a_book
    foreign key (book_id) references bindery.book_status (book_id) on delete cascade
);

create index waiting_books_stream on bindery_internal.waiting_books (stream, book_id);

alter table bindery_internal.waiting_books enable row level security;

comment on table bindery_internal.waiting_books is
  'Books with a job that waits in a BullMQ queue, as bindery.note_waiting recorded them.';
comment on column bindery_internal.waiting_books.book_id is 'The book.';
comment on column bindery_internal.waiting_books.stream is 'The queue''s stream of events.';
comment on column bindery_internal.waiting_books.since is 'When its job was first found to wait.';
