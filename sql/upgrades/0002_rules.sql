-- From version 1 to 2: what cannot be laid over itself. After this file the tables' comments and all code files (those not
-- numbered 1xx) are laid over in the same transaction. Invariant: books keep every value they have.
-- Locks: all tables of version 1, in lock order, so that nobody works on a schema that is half the old one.
lock table bindery.relay_cursors, bindery.book_status, bindery.book_progress, bindery.book_events, bindery.outbox,
  bindery.dead_letters, bindery.pipelines in access exclusive mode;

-- Functions and triggers that are gone, or whose arguments or result changed.

-- Columns, constraints and indexes; a new column stands last in its table's file, too.

-- New tables, each by its file.
