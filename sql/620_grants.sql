-- Who may do what. Nothing is left to PUBLIC.
-- Invariants: writes go through functions; of plain writes the service has those that the triggers check.
-- Locks: none of ours.
revoke all on all tables in schema bindery from public, anon, authenticated, service_role, bindery_relay;
revoke all on all functions in schema bindery, bindery_internal from public, anon, authenticated, service_role, bindery_relay;

grant usage on schema bindery, bindery_internal, bindery_core to authenticated, service_role;
grant usage on schema bindery, bindery_internal to bindery_relay;
grant usage on schema bindery to anon;

grant select on bindery.book_status, bindery.book_progress, bindery.book_events to authenticated;
grant select on all tables in schema bindery to service_role;
grant insert (book_id, owner_id, title, pipeline, pipeline_version, status, metadata) on bindery.book_status to service_role;
grant update (owner_id, title, status, message, error, metadata) on bindery.book_status to service_role;
grant update (broadcast) on bindery.settings to service_role;

-- Reading, and what reading stands on.
grant execute on function
  bindery.get_book_status(uuid), bindery.get_resume_point(uuid), bindery.list_books(integer),
  bindery.status_at(uuid, timestamptz),
  bindery_internal.user_id(), bindery_internal.now(), bindery_internal.may_set_clock(), bindery_internal.machine(text, integer),
  bindery_internal.health(bindery.book_status, jsonb, timestamptz), bindery_internal.state_of(jsonb, text), bindery_internal.substep_rows(uuid, text, boolean),
  bindery_internal.kept(boolean, bindery.book_progress), bindery_internal.unknown_book(uuid),
  bindery_internal.error(text, text, text, text, jsonb), bindery_internal.raise_error(jsonb)
to authenticated, service_role;

-- Writing.
grant execute on function
  bindery.define_pipeline(text, jsonb), bindery_internal.define_pipeline(text, jsonb),
  bindery.register_book(uuid, uuid, text, text, jsonb), bindery_internal.do_register(uuid, uuid, text, text, jsonb),
  bindery.transition_book(uuid, text, text, bigint, integer), bindery_internal.do_transition(uuid, text, text, bigint, integer, jsonb, boolean, boolean),
  bindery.report_progress(uuid, text, double precision, double precision, double precision, text, text, jsonb, text, integer),
  bindery_internal.do_report(jsonb),
  bindery.plan_substeps(uuid, text, jsonb, bigint), bindery_internal.do_plan(uuid, text, jsonb, bigint),
  bindery.heartbeat(uuid, integer), bindery_internal.do_heartbeats(jsonb),
  bindery_internal.refused_report(text, uuid, text, text, integer),
  bindery.fail_book(uuid, jsonb, text, bigint, integer), bindery.cancel_book(uuid, text, bigint),
  bindery.resume_book(uuid, bigint), bindery_internal.do_resume(uuid, bigint, text),
  bindery.rewind_book(uuid, text, text, bigint), bindery_internal.do_rewind(uuid, text, text, bigint),
  bindery.prune_events(timestamptz, integer), bindery_internal.prune_events(timestamptz, integer)
to service_role;

-- Relaying.
grant execute on function
  bindery.acquire_stream(text, text, interval), bindery_internal.acquire_stream(text, text, interval),
  bindery.renew_stream(text, bigint, timestamptz), bindery_internal.renew_stream(text, bigint, timestamptz),
  bindery.note_stream(text, bigint, bigint, text, bigint, text), bindery_internal.note_stream(text, bigint, bigint, text, bigint, text),
  bindery.release_stream(text, bigint), bindery_internal.release_stream(text, bigint),
  bindery.announce_relay(text, text[], interval), bindery_internal.announce_relay(text, text[], interval),
  bindery.apply_events(text, bigint, text, jsonb), bindery_internal.apply_events(text, bigint, text, jsonb),
  bindery.take_outbox(integer), bindery_internal.take_outbox(integer),
  bindery.outbox_backlog(integer), bindery_internal.outbox_backlog(integer),
  bindery.dead_letter_reasons(text, text, integer), bindery_internal.dead_letter_reasons(text, text, integer),
  bindery.place_of_books(text, uuid[]), bindery_internal.place_of_books(text, uuid[]),
  bindery.sweep(timestamptz), bindery_internal.sweep(timestamptz)
to service_role, bindery_relay;

-- A stream that is no longer read.
grant execute on function bindery.forget_stream(text), bindery_internal.forget_stream(text) to service_role;
-- Pipelines as XState configs.
grant execute on function
  bindery.pipeline_xstate(text, integer), bindery_internal.latest_version(text), bindery_internal.xstate_node(jsonb),
  bindery_internal.xstate_edge(text, text, text), bindery_internal.unknown_pipeline(text, integer)
to authenticated, service_role;
-- Dead letters and retention.
grant execute on function
  bindery.replay_dead_letters(text, text, uuid, integer, bigint[]),
  bindery_internal.replay_dead_letters(text, text, uuid, integer, bigint[]),
  bindery.prune_dead_letters(timestamptz, integer), bindery_internal.prune_dead_letters(timestamptz, integer),
  bindery.drop_dead_letters(bigint[]), bindery_internal.drop_dead_letters(bigint[]),
  bindery.prune_outbox(timestamptz, integer), bindery_internal.prune_outbox(timestamptz, integer)
to service_role;
-- What is refused before a book is looked at.
grant execute on function bindery_internal.refused_attempt() to service_role;
grant execute on function
  bindery_internal.bad_input(text, text, text), bindery_internal.refused_text(text, text, integer)
to authenticated, service_role;
