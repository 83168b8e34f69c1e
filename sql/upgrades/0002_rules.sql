-- From version 1 to 2: what cannot be laid over itself. After this file the tables' comments and all code files (those not
-- numbered 1xx) are laid over in the same transaction. Invariant: books keep every value, but for texts that would be refused now.
-- Locks: all tables of version 1, in lock order, so that nobody works on a schema that is half the old one.
lock table bindery.relay_cursors, bindery.book_status, bindery.book_progress, bindery.book_events, bindery.outbox,
  bindery.dead_letters, bindery.pipelines in access exclusive mode;

-- Values that a new constraint refuses would hold up their book's every change. Control characters become U+FFFD, a checkpoint
-- that is nested too deep goes; no trigger sees it, so no revision or heartbeat moves.
alter table bindery.book_status disable trigger user;
alter table bindery.book_progress disable trigger user;
update bindery.book_status set title = regexp_replace(title, '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]', U&'\FFFD', 'g') where title ~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]';
update bindery.book_status set message = regexp_replace(message, '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]', U&'\FFFD', 'g') where message ~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]';
update bindery.book_progress set unit = regexp_replace(unit, '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]', U&'\FFFD', 'g') where unit ~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]';
update bindery.book_progress set message = regexp_replace(message, '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]', U&'\FFFD', 'g') where message ~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]';
update bindery.book_progress set checkpoint = null where jsonb_path_exists(checkpoint, '$.**{65}');
alter table bindery.book_status enable trigger user;
alter table bindery.book_progress enable trigger user;

-- Functions and triggers that are gone, or whose arguments or result changed.
drop function bindery.transition_book(uuid, text, text, bigint);
drop function bindery.renew_stream(text, bigint);
drop function bindery_internal.renew_stream(text, bigint);
drop function bindery.acquire_stream(text, text, interval);
drop function bindery_internal.acquire_stream(text, text, interval);
drop function bindery.plan_substeps(uuid, text, jsonb);
drop function bindery.fail_book(uuid, jsonb, text);
drop function bindery_internal.do_transition(uuid, text, text, bigint, integer, jsonb);
drop function bindery_internal.do_plan(uuid, text, jsonb);
drop function bindery_internal.do_resume(uuid, bigint);
drop function bindery_internal.facts(bindery.book_status, jsonb);
drop function bindery_internal.illegal_transition(jsonb, text, text, text, text);
drop function bindery_internal.refused_transition(bindery.book_status, text);

-- Columns, constraints and indexes; a new column stands last in its table's file, too.
alter table bindery.book_status
  add constraint title_is_plain_text check (title !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]'),
  add constraint message_is_plain_text check (message !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]');
create index book_status_at_work on bindery.book_status (book_id) where completed_at is null and status not in ('FAILED', 'CANCELLED');
create index book_status_failed on bindery.book_status (created_at desc) where error is not null;
create index book_status_to_resume on bindery.book_status (resume_at) where resume_at is not null;
alter table bindery.book_progress
  add constraint unit_is_plain_text check (unit !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]'),
  add constraint message_is_plain_text check (message !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]'),
  add constraint checkpoint_is_not_deep check (not jsonb_path_exists(checkpoint, '$.**{65}'));
alter table bindery.book_events
  drop constraint kind_is_known,
  add constraint kind_is_known check (kind in ('register', 'transition', 'fail', 'resume', 'cancel', 'complete', 'rewind'));
create index book_events_prunable on bindery.book_events (at) where kind not in ('complete', 'cancel');
alter table bindery.relay_cursors
  add column caught_up_at timestamptz,
  add column losses bigint not null default 0,
  add column lost bigint not null default 0,
  add column last_loss text,
  add column lost_at timestamptz,
  add column entries_ahead bigint,
  add constraint loss_is_known check (last_loss in ('trimmed', 'deleted', 'recreated', 'rewound'));
alter table bindery.dead_letters add column replayed_at timestamptz;
create index dead_letters_at on bindery.dead_letters (at);

-- A compiled machine stays in its row, uncompressed, up to 8 KB: read at each change of a book, it was fetched piece by piece.
alter table bindery.pipelines set (toast_tuple_target = 8160);
alter table bindery.pipelines disable trigger user;
update bindery.pipelines set machine = machine || '{}';
alter table bindery.pipelines enable trigger user;

-- New tables, each by its file.
\ir ../165_forgotten_streams.sql
\ir ../166_relays.sql
\ir ../180_stage_visits.sql
\ir ../181_stage_pace.sql
\ir ../182_pace_refresh.sql
\ir ../190_settings.sql
