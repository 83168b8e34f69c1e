-- The files of the schema in the order of installation. `binderyd migrate` installs them; where the
-- kernel is installed, `psql -f sql/install.sql` does so, without a record of the version.
-- A table comes before the functions whose arguments or results have its type, and a function
-- before the files that call it at once, such as the shipped pipelines.

-- Roles, schemas, and what the tables use
\ir access/roles.sql
\ir access/schemas.sql
\ir api/now.sql
\ir api/error.sql
\ir api/errors.sql
\ir api/refused_input.sql
\ir access/caller.sql

-- Tables
\ir tables/pipelines.sql
\ir tables/book_status.sql
\ir tables/book_progress.sql
\ir tables/book_events.sql
\ir tables/stage_visits.sql
\ir tables/outbox.sql
\ir tables/relay_cursors.sql
\ir tables/forgotten_streams.sql
\ir tables/relays.sql
\ir tables/waiting_books.sql
\ir tables/dead_letters.sql
\ir tables/early_events.sql
\ir tables/stage_samples.sql
\ir tables/stage_pace.sql
\ir tables/pace_refresh.sql
\ir tables/settings.sql
\ir tables/broadcast_windows.sql
\ir tables/mutexes.sql
\ir tables/unannounced.sql
\ir tables/stored_answers.sql
\ir access/worker.sql

-- Pipelines
\ir pipelines/machine.sql
\ir pipelines/states.sql
\ir pipelines/refuse_pipeline_change.sql
\ir pipelines/guards.sql
\ir operate/take_mutex.sql
\ir pipelines/define_pipeline.sql
\ir pipelines/pipeline_xstate.sql

-- Books: what triggers and functions share, the triggers, the functions
\ir books/writer.sql
\ir books/substeps.sql
\ir books/estimate.sql
\ir relay/note_waiting.sql
\ir api/stages.sql
\ir api/queued_among.sql
\ir api/get_book_status.sql
\ir api/status_at.sql
\ir books/broadcast.sql
\ir books/broadcast_windows.sql
\ir books/announce.sql
\ir books/announce_departures.sql
\ir books/start_book.sql
\ir books/guard_texts.sql
\ir books/guard_columns.sql
\ir books/guard_transition.sql
\ir books/record_transition.sql
\ir books/refuse_history_change.sql
\ir books/follow_progress.sql
\ir books/apply_reports.sql
\ir books/register_book.sql
\ir books/begin_stage.sql
\ir books/transition_book.sql
\ir books/report_progress.sql
\ir books/plan_substeps.sql
\ir books/heartbeat.sql
\ir books/fail_book.sql
\ir books/resume_book.sql
\ir books/rewind_book.sql
\ir books/cancel_book.sql
\ir books/act_on_books.sql

-- The relay
\ir relay/lease.sql
\ir relay/note_stream.sql
\ir relay/announce_relay.sql
\ir relay/reject.sql
\ir relay/apply_item.sql
\ir relay/early_events.sql
\ir relay/apply_events.sql
\ir books/report_events.sql
\ir relay/take_outbox.sql
\ir relay/outbox_backlog.sql
\ir relay/dead_letter_reasons.sql

-- Operation
\ir operate/refresh_pace.sql
\ir operate/send_held_broadcasts.sql
\ir operate/sweep.sql
\ir operate/replay_dead_letters.sql
\ir operate/drop_dead_letters.sql
\ir operate/prune_events.sql
\ir operate/prune_dead_letters.sql
\ir operate/prune_outbox.sql
\ir operate/list_relays.sql
\ir operate/stage_durations.sql
\ir operate/schema_version.sql

-- Policies, grants, Supabase Realtime
\ir access/make_realtime_policy.sql
\ir access/policies.sql
\ir access/grants.sql
\ir access/kernel_grants.sql
\ir access/realtime_publication.sql
\ir access/realtime_messages.sql

-- The shipped pipelines
\ir pipelines/comic.sql
\ir pipelines/illustrated_edition.sql
