-- PostgreSQL database dump

-- Name: bindery; Type: SCHEMA; Schema: -; Owner: -

CREATE SCHEMA bindery;

-- Name: SCHEMA bindery; Type: COMMENT; Schema: -; Owner: -

COMMENT ON SCHEMA bindery IS 'Bindery: the status and progress of books in the making. Tables to read, functions to call.';

-- Name: bindery_internal; Type: SCHEMA; Schema: -; Owner: -

CREATE SCHEMA bindery_internal;

-- Name: SCHEMA bindery_internal; Type: COMMENT; Schema: -; Owner: -

COMMENT ON SCHEMA bindery_internal IS 'What schema bindery stands on: triggers, definer functions, helpers. Not an API.';

-- Name: acquire_stream(text, text, interval); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.acquire_stream(stream text, holder text, ttl interval DEFAULT '00:00:10'::interval) RETURNS TABLE(epoch bigint, "position" text, lease_expires_at timestamp with time zone)
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  select a.epoch, a.position, a.lease_expires_at from bindery_internal.acquire_stream(stream, holder, ttl) a;
$$;

-- Name: FUNCTION acquire_stream(stream text, holder text, ttl interval); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.acquire_stream(stream text, holder text, ttl interval) IS 'Takes the lease on a stream: gives a new epoch, the position applied so far, and when the lease ends unless renewed.
The present holder may take it again at once. PT409 lease_held while another''s lease lasts, PT422 bad_input.';

-- Name: apply_events(text, bigint, text, jsonb); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.apply_events(stream text, epoch bigint, "position" text, events jsonb) RETURNS TABLE(applied bigint, stale bigint, dead bigint)
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  select a.applied, a.stale, a.dead from bindery_internal.apply_events(stream, epoch, "position", events) a;
$$;

-- Name: FUNCTION apply_events(stream text, epoch bigint, "position" text, events jsonb); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.apply_events(stream text, epoch bigint, "position" text, events jsonb) IS 'Applies a batch of events and moves the stream''s position, in one transaction; counts what was applied, stale, dead.
Items are events as docs/events.md has them, with id, count (how many events it stands for) and segment: items of a segment must have distinct keys, segments are applied in order; without a segment each item is one. PT409 fenced or position_passed, PT422 bad_input.';

-- Name: book_status; Type: TABLE; Schema: bindery; Owner: -

CREATE TABLE bindery.book_status (
    book_id uuid NOT NULL,
    owner_id uuid,
    title text,
    pipeline text DEFAULT 'comic'::text NOT NULL,
    pipeline_version integer NOT NULL,
    status text NOT NULL,
    current_stage text NOT NULL,
    overall_progress double precision DEFAULT 0 NOT NULL,
    stage_progress double precision DEFAULT 0 NOT NULL,
    substeps jsonb DEFAULT '[]'::jsonb NOT NULL,
    message text,
    error jsonb,
    attempt integer DEFAULT 1 NOT NULL,
    revision bigint DEFAULT 1 NOT NULL,
    heartbeat_at timestamp with time zone NOT NULL,
    stage_started_at timestamp with time zone NOT NULL,
    resume_at timestamp with time zone,
    estimated_completion_at timestamp with time zone,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    completed_at timestamp with time zone,
    CONSTRAINT attempt_counts_from_one CHECK ((attempt >= 1)),
    CONSTRAINT error_is_an_object CHECK ((jsonb_typeof(error) = 'object'::text)),
    CONSTRAINT error_is_small CHECK ((pg_column_size(error) <= 1048576)),
    CONSTRAINT error_while_failed_only CHECK (((error IS NOT NULL) = (status = 'FAILED'::text))),
    CONSTRAINT message_is_short CHECK ((length(message) <= 8192)),
    CONSTRAINT metadata_is_an_object CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT metadata_is_small CHECK ((pg_column_size(metadata) <= 1048576)),
    CONSTRAINT overall_progress_is_percent CHECK (((overall_progress >= (0)::double precision) AND (overall_progress <= (100)::double precision))),
    CONSTRAINT stage_progress_is_percent CHECK (((stage_progress >= (0)::double precision) AND (stage_progress <= (100)::double precision))),
    CONSTRAINT title_is_short CHECK ((length(title) <= 1024))
)
WITH (fillfactor='70');

-- Name: TABLE book_status; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON TABLE bindery.book_status IS 'One row a book: where it stands.
Read it, filter it, subscribe to it. Change it with the functions of this schema; a plain UPDATE of status passes the same rules.';

-- Name: COLUMN book_status.book_id; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.book_id IS 'The book''s own id, given by whoever registers it.';

-- Name: COLUMN book_status.owner_id; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.owner_id IS 'The user who may read it (the sub of the token); null: nobody but the service.';

-- Name: COLUMN book_status.title; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.title IS 'A name for people, up to 1,024 characters.';

-- Name: COLUMN book_status.pipeline; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.pipeline IS 'The pipeline it follows.';

-- Name: COLUMN book_status.pipeline_version; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.pipeline_version IS 'The version it began with, and keeps.';

-- Name: COLUMN book_status.status; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.status IS 'A state of its pipeline, or FAILED or CANCELLED.';

-- Name: COLUMN book_status.current_stage; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.current_stage IS 'The state it is in; once FAILED, CANCELLED or completed, the last one it was in.';

-- Name: COLUMN book_status.overall_progress; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.overall_progress IS 'Percent of the whole pipeline, 0 to 100, two decimals; 100 only when completed.';

-- Name: COLUMN book_status.stage_progress; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.stage_progress IS 'Percent of the current stage, 0 to 100, two decimals.';

-- Name: COLUMN book_status.substeps; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.substeps IS 'The current stage''s substeps: [{name, label, weight, state: done|active|pending, progress, done?, total?, unit?, message?}].';

-- Name: COLUMN book_status.message; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.message IS 'What the last change of status said, up to 8,192 characters.';

-- Name: COLUMN book_status.error; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.error IS 'Why it FAILED: an object with at least code; null otherwise.';

-- Name: COLUMN book_status.attempt; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.attempt IS 'Which try at the current stage this is: 1, and one more at each resume.';

-- Name: COLUMN book_status.revision; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.revision IS 'Grows by one with every visible change; drop what is older than what you have.';

-- Name: COLUMN book_status.heartbeat_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.heartbeat_at IS 'When a service was last heard of about this book.';

-- Name: COLUMN book_status.stage_started_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.stage_started_at IS 'When the current attempt at the current stage began.';

-- Name: COLUMN book_status.resume_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.resume_at IS 'When a FAILED book is to be resumed by itself; null: not planned.';

-- Name: COLUMN book_status.estimated_completion_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.estimated_completion_at IS 'When it is expected to be complete; null while there is no ground for an estimate.';

-- Name: COLUMN book_status.metadata; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.metadata IS 'The registrar''s own JSON object; Bindery does not read it.';

-- Name: COLUMN book_status.created_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.created_at IS 'When it was registered.';

-- Name: COLUMN book_status.updated_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.updated_at IS 'When revision last grew.';

-- Name: COLUMN book_status.completed_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.completed_at IS 'When it reached its final state.';

-- Name: cancel_book(uuid, text, bigint); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.cancel_book(book_id uuid, message text DEFAULT NULL::text, expected_revision bigint DEFAULT NULL::bigint) RETURNS SETOF bindery.book_status
    LANGUAGE plpgsql ROWS 1
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_transition(
    cancel_book.book_id, 'CANCELLED', cancel_book.message, cancel_book.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = cancel_book.book_id;
end
$$;

-- Name: FUNCTION cancel_book(book_id uuid, message text, expected_revision bigint); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.cancel_book(book_id uuid, message text, expected_revision bigint) IS 'Stops a book for good, where it is; gives its row. PT404 unknown_book, PT409 illegal_transition (it is at its end already) or stale_revision, PT422 bad_input.';

-- Name: define_pipeline(text, jsonb); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.define_pipeline(name text, definition jsonb) RETURNS integer
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  select bindery_internal.define_pipeline(name, definition);
$$;

-- Name: FUNCTION define_pipeline(name text, definition jsonb); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.define_pipeline(name text, definition jsonb) IS 'Stores the next version of a pipeline and gives its number.
The same definition as the latest version gives that one. PT422 bad_definition lists every fault by JSON path.';

-- Name: fail_book(uuid, jsonb, text); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.fail_book(book_id uuid, error jsonb DEFAULT NULL::jsonb, message text DEFAULT NULL::text) RETURNS SETOF bindery.book_status
    LANGUAGE plpgsql ROWS 1
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_transition(
    fail_book.book_id, 'FAILED', fail_book.message, error => coalesce(fail_book.error, '{}')));
  return query select b.* from bindery.book_status b where b.book_id = fail_book.book_id;
end
$$;

-- Name: FUNCTION fail_book(book_id uuid, error jsonb, message text); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.fail_book(book_id uuid, error jsonb, message text) IS 'Halts a book as FAILED with an error object ({"code", …}) and a message; gives its row. PT404 unknown_book, PT409 illegal_transition, PT422 bad_input.';

-- Name: get_book_status(uuid); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.get_book_status(book_id uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
  book bindery.book_status;
  machine jsonb;
begin
  select b.* into book from bindery.book_status b where b.book_id = get_book_status.book_id;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(get_book_status.book_id));
  end if;
  machine := bindery_internal.machine(book.pipeline, book.pipeline_version);
  return to_jsonb(book) || jsonb_build_object(
    'stages', (
      select jsonb_agg(case when s.stage ->> 'name' = book.current_stage and book.completed_at is null
        then s.stage || jsonb_build_object('progress', book.stage_progress) else s.stage end order by s.ord)
      from jsonb_array_elements(bindery_core.summarize(machine, book.status, book.current_stage, '[]') -> 'stages')
        with ordinality as s(stage, ord)),
    'health', bindery_internal.health(book, machine, bindery_internal.now()));
end
$$;

-- Name: FUNCTION get_book_status(book_id uuid); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.get_book_status(book_id uuid) IS 'Where a book stands, as one JSON object.
All columns of book_status, and stages ([{name, label, state: done|active|pending|failed|cancelled, progress}]) and health (live, quiet or stalled; null once halted or completed). PT404 unknown_book.';

-- Name: get_resume_point(uuid); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.get_resume_point(book_id uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  select b.* into book from bindery.book_status b where b.book_id = get_resume_point.book_id;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(get_resume_point.book_id));
  end if;
  return (
    select jsonb_build_object(
      'book_id', book.book_id, 'status', book.status, 'stage', book.current_stage, 'attempt', book.attempt, 'revision', book.revision,
      'done', coalesce(jsonb_agg(s.substep -> 'name' order by s.ord) filter (where s.substep ->> 'state' = 'done'), '[]'),
      'left', coalesce(jsonb_agg(s.substep - array['state', 'name', 'label']
          || jsonb_build_object('substep', s.substep -> 'name', 'checkpoint', g.checkpoint)
        order by s.ord) filter (where s.substep ->> 'state' <> 'done'), '[]'))
    from jsonb_array_elements(book.substeps) with ordinality as s(substep, ord)
    left join bindery.book_progress g
      on g.book_id = book.book_id and g.stage = book.current_stage and g.substep = s.substep ->> 'name');
end
$$;

-- Name: FUNCTION get_resume_point(book_id uuid); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.get_resume_point(book_id uuid) IS 'All a worker needs to go on with a book, as one JSON object.
{book_id, status, stage, attempt, revision, done: [substep], left: [{substep, weight, progress, done?, total?, unit?, message?, checkpoint}]}. PT404 unknown_book.';

-- Name: heartbeat(uuid, integer); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.heartbeat(book_id uuid, attempt integer DEFAULT NULL::integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  perform bindery_internal.raise_error(bindery_internal.refused_report(h.verdict, heartbeat.book_id, null, null, heartbeat.attempt))
  from bindery_internal.do_heartbeats(jsonb_build_array(
    jsonb_build_object('book_id', heartbeat.book_id, 'attempt', heartbeat.attempt))) h;
end
$$;

-- Name: FUNCTION heartbeat(book_id uuid, attempt integer); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.heartbeat(book_id uuid, attempt integer) IS 'Says that a book''s service is alive. PT404 unknown_book, PT409 attempt_ahead.';

-- Name: list_books(integer); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.list_books(max_books integer DEFAULT 100) RETURNS SETOF bindery.book_status
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select b.* from bindery.book_status b order by b.created_at desc, b.book_id limit least(greatest(max_books, 0), 1000);
$$;

-- Name: FUNCTION list_books(max_books integer); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.list_books(max_books integer) IS 'The newest books the caller may read, up to 1,000 (100 unless told). For filters and paging read the table book_status.';

-- Name: plan_substeps(uuid, text, jsonb); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.plan_substeps(book_id uuid, stage text, substeps jsonb) RETURNS SETOF bindery.book_status
    LANGUAGE plpgsql ROWS 1
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_plan(plan_substeps.book_id, plan_substeps.stage, plan_substeps.substeps));
  return query select b.* from bindery.book_status b where b.book_id = plan_substeps.book_id;
end
$$;

-- Name: FUNCTION plan_substeps(book_id uuid, stage text, substeps jsonb); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.plan_substeps(book_id uuid, stage text, substeps jsonb) IS 'Declares a book''s own substeps of a stage, [{"name", "weight"}], up to 10,000; gives its row.
Planning again changes weights, never progress. PT404 unknown_book or unknown_stage, PT422 bad_input.';

-- Name: prune_events(timestamp with time zone, integer); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.prune_events(before timestamp with time zone, batch integer DEFAULT 1000) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  return bindery_internal.prune_events(prune_events.before, prune_events.batch);
end
$$;

-- Name: FUNCTION prune_events(before timestamp with time zone, batch integer); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.prune_events(before timestamp with time zone, batch integer) IS 'Deletes up to batch (1 to 100,000) rows of history older than a moment, and gives how many; call it until it gives 0.
Each book keeps its newest row. PT422 bad_input.';

-- Name: register_book(uuid, uuid, text, text, jsonb); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.register_book(book_id uuid, owner_id uuid DEFAULT NULL::uuid, pipeline text DEFAULT NULL::text, title text DEFAULT NULL::text, metadata jsonb DEFAULT NULL::jsonb) RETURNS SETOF bindery.book_status
    LANGUAGE plpgsql ROWS 1
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_register(
    register_book.book_id, register_book.owner_id, register_book.pipeline, register_book.title, register_book.metadata));
  return query select b.* from bindery.book_status b where b.book_id = register_book.book_id;
end
$$;

-- Name: FUNCTION register_book(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.register_book(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb) IS 'Puts a book at the start of a pipeline (comic unless named), and gives its row.
Idempotent: the same call again gives the row as it stands. PT404 unknown_pipeline, PT409 conflicting_registration (another pipeline or owner), PT422 bad_input.';

-- Name: release_stream(text, bigint); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.release_stream(stream text, epoch bigint) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  select bindery_internal.release_stream(stream, epoch);
$$;

-- Name: FUNCTION release_stream(stream text, epoch bigint); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.release_stream(stream text, epoch bigint) IS 'Gives the lease up, so that another relay need not wait for its end. PT409 fenced where the epoch is not the newest.';

-- Name: renew_stream(text, bigint); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.renew_stream(stream text, epoch bigint) RETURNS timestamp with time zone
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  select bindery_internal.renew_stream(stream, epoch);
$$;

-- Name: FUNCTION renew_stream(stream text, epoch bigint); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.renew_stream(stream text, epoch bigint) IS 'Prolongs the lease by its ttl and gives its new end. PT409 fenced where the epoch is not the newest.';

-- Name: report_progress(uuid, text, double precision, double precision, double precision, text, text, jsonb, text, integer); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.report_progress(book_id uuid, substep text DEFAULT NULL::text, progress double precision DEFAULT NULL::double precision, done double precision DEFAULT NULL::double precision, total double precision DEFAULT NULL::double precision, unit text DEFAULT NULL::text, message text DEFAULT NULL::text, checkpoint jsonb DEFAULT NULL::jsonb, stage text DEFAULT NULL::text, attempt integer DEFAULT NULL::integer) RETURNS SETOF bindery.book_status
    LANGUAGE plpgsql ROWS 1
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_report(jsonb_build_object(
    'book_id', report_progress.book_id, 'substep', report_progress.substep, 'progress', report_progress.progress,
    'done', report_progress.done, 'total', report_progress.total, 'unit', report_progress.unit,
    'message', report_progress.message, 'checkpoint', report_progress.checkpoint,
    'stage', report_progress.stage, 'attempt', report_progress.attempt)));
  return query select b.* from bindery.book_status b where b.book_id = report_progress.book_id;
end
$$;

-- Name: FUNCTION report_progress(book_id uuid, substep text, progress double precision, done double precision, total double precision, unit text, message text, checkpoint jsonb, stage text, attempt integer); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.report_progress(book_id uuid, substep text, progress double precision, done double precision, total double precision, unit text, message text, checkpoint jsonb, stage text, attempt integer) IS 'Reports a substep''s progress: percent (0 to 100), or done of total; gives the book''s row.
A lower value than before leaves progress as it is; a report of an earlier attempt or a stage left has no effect. The checkpoint is the worker''s own JSON to go on from. PT404 unknown_book or unknown_stage, PT409 stage_not_reached or attempt_ahead, PT422 unknown_substep or bad_input.';

-- Name: resume_book(uuid, bigint); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.resume_book(book_id uuid, expected_revision bigint DEFAULT NULL::bigint) RETURNS SETOF bindery.book_status
    LANGUAGE plpgsql ROWS 1
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_resume(resume_book.book_id, resume_book.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = resume_book.book_id;
end
$$;

-- Name: FUNCTION resume_book(book_id uuid, expected_revision bigint); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.resume_book(book_id uuid, expected_revision bigint) IS 'A FAILED book goes on at the stage it failed in, as the next attempt; gives its row.
Substeps that are finished or have a checkpoint are kept, the others start over. PT404 unknown_book, PT409 not_failed or stale_revision.';

-- Name: status_at(uuid, timestamp with time zone); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.status_at(book_id uuid, at timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
  if not exists (select from bindery.book_status b where b.book_id = status_at.book_id) then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(status_at.book_id));
  end if;
  return (
    select jsonb_build_object('book_id', e.book_id, 'status', e.to_status, 'stage', e.stage, 'attempt', e.attempt,
      'revision', e.revision, 'since', e.at, 'actor', e.actor, 'message', e.message, 'data', e.data)
    from bindery.book_events e
    where e.book_id = status_at.book_id and e.at <= status_at.at
    order by e.revision desc limit 1);
end
$$;

-- Name: FUNCTION status_at(book_id uuid, at timestamp with time zone); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.status_at(book_id uuid, at timestamp with time zone) IS 'What a book''s status was at a moment, from its history, as one JSON object; null before it was registered or pruned away.
{book_id, status, stage, attempt, revision, since, actor, message, data}. PT404 unknown_book.';

-- Name: outbox; Type: TABLE; Schema: bindery; Owner: -

CREATE TABLE bindery.outbox (
    id bigint NOT NULL,
    book_id uuid NOT NULL,
    revision bigint NOT NULL,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT kind_is_known CHECK ((kind = ANY (ARRAY['transition'::text, 'resume'::text])))
);

-- Name: TABLE outbox; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON TABLE bindery.outbox IS 'Messages on their way to the stream bindery:changes: transitions, and resume commands with the resume point.';

-- Name: COLUMN outbox.id; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.outbox.id IS 'The order of publication.';

-- Name: COLUMN outbox.book_id; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.outbox.book_id IS 'The book; no foreign key, a message outlives its book.';

-- Name: COLUMN outbox.revision; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.outbox.revision IS 'The book''s revision; readers drop what they have seen.';

-- Name: COLUMN outbox.kind; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.outbox.kind IS 'transition or resume.';

-- Name: COLUMN outbox.payload; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.outbox.payload IS 'The message.';

-- Name: COLUMN outbox.created_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.outbox.created_at IS 'When it was written.';

-- Name: take_outbox(integer); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.take_outbox(max_rows integer DEFAULT 500) RETURNS SETOF bindery.outbox
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  select o.* from bindery_internal.take_outbox(max_rows) o;
$$;

-- Name: FUNCTION take_outbox(max_rows integer); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.take_outbox(max_rows integer) IS 'Takes the oldest messages of the outbox, up to 10,000, in order. Publish them, then commit; a rollback puts them back.
Gives none while another transaction has some taken.';

-- Name: transition_book(uuid, text, text, bigint); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.transition_book(book_id uuid, to_status text, message text DEFAULT NULL::text, expected_revision bigint DEFAULT NULL::bigint) RETURNS SETOF bindery.book_status
    LANGUAGE plpgsql ROWS 1
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_transition(
    transition_book.book_id, transition_book.to_status, transition_book.message, transition_book.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = transition_book.book_id;
end
$$;

-- Name: FUNCTION transition_book(book_id uuid, to_status text, message text, expected_revision bigint); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.transition_book(book_id uuid, to_status text, message text, expected_revision bigint) IS 'Changes a book''s status where its pipeline allows it, and gives its row.
To the stage a FAILED book failed in, it is a resume. PT404 unknown_book, PT409 illegal_transition (the detail lists what is allowed) or stale_revision, PT422 bad_input.';

-- Name: acquire_stream(text, text, interval); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.acquire_stream(stream text, holder text, ttl interval) RETURNS TABLE(epoch bigint, "position" text, lease_expires_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
  cursor_row bindery.relay_cursors;
  moment timestamptz;
begin
  if acquire_stream.stream is null or length(acquire_stream.stream) not between 1 and 512 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('stream', 'is not a name of 1 to 512 characters', 'Give the key of the Redis stream.'));
  elsif acquire_stream.holder is null or length(acquire_stream.holder) not between 1 and 512 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('holder', 'is not a name of 1 to 512 characters', 'Give a name that no other relay has.'));
  elsif acquire_stream.ttl is null or acquire_stream.ttl not between '100 milliseconds' and '1 hour' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('ttl', 'is not between 100 milliseconds and 1 hour', 'Give an interval such as 10 seconds.'));
  end if;

  insert into bindery.relay_cursors (stream) values (acquire_stream.stream) on conflict (stream) do nothing;
  select c.* into cursor_row from bindery.relay_cursors c where c.stream = acquire_stream.stream for no key update;
  -- After the lock: it may have been waited for.
  moment := bindery_internal.now();
  if cursor_row.holder <> acquire_stream.holder and cursor_row.lease_expires_at > moment then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'lease_held',
      format('The stream %s is held by %s.', acquire_stream.stream, cursor_row.holder),
      'Stand by and try again when the lease runs out.',
      jsonb_build_object('stream', acquire_stream.stream, 'holder', cursor_row.holder, 'lease_expires_at', cursor_row.lease_expires_at)));
  end if;
  return query
  update bindery.relay_cursors c
  set epoch = c.epoch + 1, holder = acquire_stream.holder, lease_ttl = acquire_stream.ttl,
      lease_expires_at = moment + acquire_stream.ttl
  where c.stream = acquire_stream.stream
  returning c.epoch, c.position, c.lease_expires_at;
end
$$;

-- Name: FUNCTION acquire_stream(stream text, holder text, ttl interval); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.acquire_stream(stream text, holder text, ttl interval) IS 'See bindery.acquire_stream.';

-- Name: actor(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.actor() RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
begin
  return coalesce(
    nullif(current_setting('bindery.actor', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub',
    nullif(current_setting('role', true), 'none'),
    session_user);
end
$$;

-- Name: FUNCTION actor(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.actor() IS 'Who the history names: the setting bindery.actor, the token''s sub, the role, or the session''s user; the first there is.';

-- Name: announce(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.announce() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_nestloop TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
begin
  if to_regprocedure('realtime.send(jsonb,text,text,boolean)') is not null then
    return null;
  end if;
  if tg_op = 'INSERT' then
    perform pg_notify('bindery', json_build_object('book_id', n.book_id, 'revision', n.revision)::text) from new_books n;
  else
    perform pg_notify('bindery', json_build_object('book_id', n.book_id, 'revision', n.revision)::text)
    from new_books n join old_books o using (book_id) where n.revision <> o.revision;
  end if;
  return null;
end
$$;

-- Name: apply_events(text, bigint, text, jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.apply_events(stream text, epoch bigint, "position" text, events jsonb, OUT applied bigint, OUT stale bigint, OUT dead bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET lock_timeout TO '5s'
    AS $_$
#variable_conflict use_column
declare
  cursor_row bindery.relay_cursors;
  segment jsonb;
  item jsonb;
  counts record;
begin
  applied := 0;
  stale := 0;
  dead := 0;
  select c.* into cursor_row from bindery.relay_cursors c where c.stream = apply_events.stream for no key update;
  if not found or cursor_row.epoch is distinct from apply_events.epoch or cursor_row.holder is null then
    perform bindery_internal.raise_error(bindery_internal.fenced(apply_events.stream, apply_events.epoch));
  elsif coalesce(apply_events."position", '') !~ '^[0-9]{1,20}-[0-9]{1,20}$' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('position', 'is not a stream id', 'Give the last entry''s id, such as 1700000000000-0.'));
  elsif jsonb_typeof(apply_events.events) is distinct from 'array' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('events', 'is not a JSON array', 'Give an array, empty if need be.'));
  elsif not bindery_internal.is_after(apply_events."position", cursor_row.position) then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'position_passed',
      format('The stream %s is applied up to %s; %s is not after that.', apply_events.stream, cursor_row.position, apply_events."position"),
      'Read on from the position in relay_cursors; this batch has taken effect already.',
      jsonb_build_object('stream', apply_events.stream, 'position', cursor_row.position)));
  end if;
  perform set_config('bindery.actor', 'relay:' || apply_events.stream, true);

  perform from bindery.book_status b
  where b.book_id in (
    select (e.item ->> 'book_id')::uuid from jsonb_array_elements(apply_events.events) as e(item)
    where e.item ->> 'book_id' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')
  order by b.book_id for no key update;

  for segment in
    select jsonb_agg(
      case when jsonb_typeof(e.item) = 'object' then e.item
           else jsonb_build_object('type', 'dead', 'reason', 'not_an_object', 'message', 'The event is not a JSON object.', 'payload', e.item)
      end order by e.ord)
    from jsonb_array_elements(apply_events.events) with ordinality as e(item, ord)
    -- A segment that is no whole number counts as none.
    group by case when e.item ->> 'segment' ~ '^[0-9]{1,18}$' then (e.item ->> 'segment')::bigint else e.ord end
    order by case when e.item ->> 'segment' ~ '^[0-9]{1,18}$' then (e.item ->> 'segment')::bigint else e.ord end
  loop
    begin
      select s.* into counts from bindery_internal.apply_segment(apply_events.stream, segment) s;
      applied := applied + counts.applied;
      stale := stale + counts.stale;
      dead := dead + counts.dead;
    exception when others then
      if bindery_internal.is_transient(sqlstate) then
        raise;
      end if;
      -- Something in the segment is poison: find it, one by one.
      for item in select i.item from jsonb_array_elements(segment) as i(item) loop
        begin
          select s.* into counts from bindery_internal.apply_segment(apply_events.stream, jsonb_build_array(item)) s;
          applied := applied + counts.applied;
          stale := stale + counts.stale;
          dead := dead + counts.dead;
        exception when others then
          if bindery_internal.is_transient(sqlstate) then
            raise;
          end if;
          dead := dead + bindery_internal.bury(apply_events.stream, jsonb_build_array(
            item || jsonb_build_object('reason', 'refused_by_database', 'refusal', format('%s (SQLSTATE %s)', sqlerrm, sqlstate))));
        end;
      end loop;
    end;
  end loop;

  update bindery.relay_cursors c
  set position = apply_events."position", applied = c.applied + apply_events.applied, stale = c.stale + apply_events.stale,
      dead = c.dead + apply_events.dead, applied_at = bindery_internal.now(),
      lease_expires_at = bindery_internal.now() + c.lease_ttl
  where c.stream = apply_events.stream;
end
$_$;

-- Name: FUNCTION apply_events(stream text, epoch bigint, "position" text, events jsonb, OUT applied bigint, OUT stale bigint, OUT dead bigint); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.apply_events(stream text, epoch bigint, "position" text, events jsonb, OUT applied bigint, OUT stale bigint, OUT dead bigint) IS 'See bindery.apply_events.';

-- Name: apply_item(jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.apply_item(item jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  book_id constant uuid := (item ->> 'book_id')::uuid;
  attempt constant integer := (item ->> 'attempt')::integer;
  verdict text;
begin
  -- Who failed in an attempt or a stage that is over has nothing to say about the one that is on.
  if item ->> 'type' = 'fail' then
    verdict := replace(bindery_internal.judge(book_id, item ->> 'stage', attempt), 'advance', 'stage_not_reached');
    if verdict <> 'accept' then
      return bindery_internal.refused_report(verdict, book_id, item ->> 'stage', null, attempt);
    end if;
  end if;
  return case item ->> 'type'
    when 'transition' then bindery_internal.do_transition(
      book_id, item ->> 'to', item ->> 'message', attempt => attempt)
    when 'fail' then bindery_internal.do_transition(
      book_id, 'FAILED', item ->> 'message', error => coalesce(item -> 'error', '{}'))
    when 'register' then bindery_internal.do_register(
      book_id, (item ->> 'owner_id')::uuid, item ->> 'pipeline', item ->> 'title', item -> 'metadata')
    when 'plan' then bindery_internal.do_plan(book_id, item ->> 'stage', item -> 'substeps')
    when 'progress' then bindery_internal.do_report(item - case when item ? 'done' then 'progress' else '' end)
    when 'heartbeat' then (
      select bindery_internal.refused_report(h.verdict, book_id, item ->> 'stage', null, attempt)
      from bindery_internal.do_heartbeats(jsonb_build_array(item)) h)
    else bindery_internal.bad_input('type', 'is not an event''s', 'See docs/events.md for the types.')
  end;
end
$$;

-- Name: apply_reports(jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.apply_reports(reports jsonb) RETURNS TABLE(ord bigint, verdict text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
declare
  moment constant timestamptz := bindery_internal.now();
begin
  -- In a statement of its own: the next one then sees what a writer we waited for has committed.
  perform from bindery.book_status b
  where b.book_id in (select r.book_id from jsonb_to_recordset(reports) as r(book_id uuid))
  order by b.book_id for no key update;

  return query
  -- Book by book and row by row through the primary keys: on tables that were never analyzed, joins would be planned otherwise.
  with placed as materialized (
    select r.*, b.status, b.current_stage, b.attempt as current_attempt, b.machine,
      coalesce(r.stage, b.current_stage) as at_stage, coalesce(r.substep, 'all') as at_substep
    from rows from (jsonb_to_recordset(reports) as (
        book_id uuid, stage text, substep text, progress double precision, done double precision, total double precision,
        unit text, message text, checkpoint jsonb, attempt integer)) with ordinality
      as r(book_id, stage, substep, progress, done, total, unit, message, checkpoint, attempt, ord)
    left join lateral (
      select s.status, s.current_stage, s.attempt, p.machine
      from bindery.book_status s join bindery.pipelines p on p.name = s.pipeline and p.version = s.pipeline_version
      where s.book_id = r.book_id limit 1) b on true
  ), judged as materialized (
    select q.*,
      case when q.status is null then 'unknown_book'
        -- A substep that has a row was planned, or accepted before.
        else bindery_core.report_verdict(q.machine, q.status, q.current_stage, q.current_attempt, q.stage, q.substep, q.attempt,
          g.there is not null) end as verdict
    from placed q
    left join lateral (
      select true as there from bindery.book_progress g
      where g.book_id = q.book_id and g.stage = q.at_stage and g.substep = q.at_substep limit 1) g on true
  ), written as (
    insert into bindery.book_progress as g
      (book_id, stage, substep, progress, done, total, unit, message, checkpoint, attempt, started_at, updated_at)
    select j.book_id, j.at_stage, j.at_substep, j.progress, j.done, j.total, j.unit, j.message, j.checkpoint, j.current_attempt, moment, moment
    from judged j where j.verdict = 'accept'
    on conflict (book_id, stage, substep) do update set
      progress = greatest(g.progress, excluded.progress),
      done = case when excluded.progress >= g.progress then excluded.done else g.done end,
      total = case when excluded.progress >= g.progress then excluded.total else g.total end,
      unit = case when excluded.progress >= g.progress then excluded.unit else g.unit end,
      message = coalesce(excluded.message, g.message),
      checkpoint = coalesce(excluded.checkpoint, g.checkpoint),
      attempt = excluded.attempt,
      started_at = coalesce(g.started_at, excluded.started_at),
      updated_at = excluded.updated_at
  )
  select j.ord, j.verdict from judged j order by j.ord;
end
$$;

-- Name: FUNCTION apply_reports(reports jsonb); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.apply_reports(reports jsonb) IS 'Applies [{book_id, stage?, substep?, progress, done?, total?, unit?, message?, checkpoint?, attempt?}, …], each key once; gives each one''s verdict.';

-- Name: apply_segment(text, jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.apply_segment(stream text, items jsonb, OUT applied bigint, OUT stale bigint, OUT dead bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  reports jsonb;
  heartbeats jsonb;
  bad jsonb;
  lifecycle jsonb;
  refused jsonb;
  item jsonb;
  outcome jsonb;
  count bigint;
begin
  select jsonb_agg(i.item order by i.ord) filter (where i.item ->> 'type' = 'progress'),
    jsonb_agg(i.item order by i.ord) filter (where i.item ->> 'type' = 'heartbeat'),
    coalesce(jsonb_agg(i.item order by i.ord) filter (where i.item ->> 'type' = 'dead'), '[]'),
    coalesce(jsonb_agg(i.item order by i.ord)
      filter (where coalesce(i.item ->> 'type', '') not in ('progress', 'heartbeat', 'dead')), '[]')
  into reports, heartbeats, bad, lifecycle
  from jsonb_array_elements(items) with ordinality as i(item, ord);

  with judged as (
    select reports -> (r.ord - 1)::integer as item, r.verdict from bindery_internal.apply_reports(reports) r where reports is not null
    union all
    select heartbeats -> (h.ord - 1)::integer, h.verdict from bindery_internal.do_heartbeats(heartbeats) h where heartbeats is not null
  ), counted as (
    select j.item, j.verdict, coalesce((j.item ->> 'count')::integer, 1) as count from judged j
  )
  select coalesce(sum(c.count) filter (where c.verdict = 'accept'), 0),
    coalesce(sum(c.count) filter (where c.verdict = 'stale'), 0),
    coalesce(jsonb_agg(c.item || jsonb_build_object('reason', c.verdict, 'refusal', bindery_internal.refused_report(
      c.verdict, (c.item ->> 'book_id')::uuid, c.item ->> 'stage', c.item ->> 'substep', (c.item ->> 'attempt')::integer) -> 'message'))
      filter (where c.verdict not in ('accept', 'stale', 'advance')), '[]'),
    -- A report that makes its book advance is a lifecycle event and a report.
    lifecycle || coalesce(jsonb_agg(c.item) filter (where c.verdict = 'advance'), '[]')
  into applied, stale, refused, lifecycle
  from counted c;
  dead := bindery_internal.bury(stream, bad || refused);

  for item in select i.item from jsonb_array_elements(lifecycle) as i(item) loop
    count := coalesce((item ->> 'count')::integer, 1);
    outcome := bindery_internal.apply_item(item);
    if outcome is null then
      applied := applied + count;
    elsif outcome ? 'stale' then
      stale := stale + count;
    else
      dead := dead + bindery_internal.bury(stream, jsonb_build_array(
        item || jsonb_build_object('reason', outcome -> 'code', 'refusal', outcome -> 'message')));
    end if;
  end loop;
end
$$;

-- Name: FUNCTION apply_segment(stream text, items jsonb, OUT applied bigint, OUT stale bigint, OUT dead bigint); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.apply_segment(stream text, items jsonb, OUT applied bigint, OUT stale bigint, OUT dead bigint) IS 'Applies items of which no two have the same book, stage, substep and attempt; counts the events they stand for.';

-- Name: bad_input(text, text, text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.bad_input(argument text, problem text, hint text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
  select bindery_internal.error('PT422', 'bad_input', format('%s %s.', argument, problem), hint,
    jsonb_build_object('argument', argument));
$$;

-- Name: bury(text, jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.bury(stream text, items jsonb) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
  with buried as (
    insert into bindery.dead_letters (stream, event_id, first_event_id, count, book_id, reason, message, payload, truncated, at)
    select bury.stream, i.item ->> 'id', coalesce(i.item ->> 'first_id', i.item ->> 'id'),
      -- Burying must not fail, or the batch would never pass: what is no number or boolean counts as left out.
      case when i.item ->> 'count' ~ '^[1-9][0-9]{0,8}$' then (i.item ->> 'count')::bigint else 1 end,
      case when i.item ->> 'book_id' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then (i.item ->> 'book_id')::uuid end,
      coalesce(i.item ->> 'reason', 'unknown'), coalesce(i.item ->> 'refusal', i.item ->> 'message', 'no reason given'),
      coalesce(i.item -> 'payload', i.item - array['reason', 'refusal', 'segment', 'truncated']),
      coalesce(i.item -> 'truncated' = 'true', false), bindery_internal.now()
    from jsonb_array_elements(items) with ordinality as i(item, ord)
    order by i.ord
    returning count
  )
  select coalesce(sum(b.count), 0)::bigint from buried b;
$_$;

-- Name: FUNCTION bury(stream text, items jsonb); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.bury(stream text, items jsonb) IS 'Writes items to dead_letters, [{id, first_id?, count?, book_id?, reason, refusal or message, payload?, …}]; gives how many events they stand for.';

-- Name: define_pipeline(text, jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.define_pipeline(name text, definition jsonb) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
#variable_conflict use_column
declare
  compiled jsonb;
  latest bindery.pipelines;
begin
  if coalesce(define_pipeline.name, '') !~ '^[a-z][a-z0-9_]{0,62}$' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('name', 'is not in lower snake case of up to 63 characters', 'Name it such as comic.'));
  elsif define_pipeline.definition is null then
    perform bindery_internal.raise_error(bindery_internal.bad_input('definition', 'is missing', 'Give {"states": […]}.'));
  end if;
  compiled := bindery_core.compile_pipeline(define_pipeline.definition);
  if compiled ? 'faults' then
    perform bindery_internal.raise_error(bindery_internal.error('PT422', 'bad_definition',
      format('The definition of %s has %s: %s', define_pipeline.name,
        case jsonb_array_length(compiled -> 'faults') when 1 then 'a fault' else jsonb_array_length(compiled -> 'faults') || ' faults' end,
        (select string_agg(format('%s %s', f.fault ->> 'path', f.fault ->> 'problem'), '; ') from jsonb_array_elements(compiled -> 'faults') as f(fault))),
      'Mend what the detail lists by path; docs/api.md shows a definition.',
      jsonb_build_object('faults', compiled -> 'faults')));
  end if;

  perform pg_advisory_xact_lock(hashtextextended('bindery.pipelines ' || define_pipeline.name, 0));
  select p.* into latest from bindery.pipelines p where p.name = define_pipeline.name order by p.version desc limit 1;
  if latest.definition = define_pipeline.definition then
    return latest.version;
  end if;
  insert into bindery.pipelines (name, version, definition, machine)
  values (define_pipeline.name, coalesce(latest.version, 0) + 1, define_pipeline.definition, compiled -> 'machine');
  return coalesce(latest.version, 0) + 1;
end
$_$;

-- Name: do_heartbeats(jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.do_heartbeats(heartbeats jsonb) RETURNS TABLE(ord bigint, verdict text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
declare
  moment constant timestamptz := bindery_internal.now();
begin
  perform from bindery.book_status b
  where b.book_id in (select h.book_id from jsonb_to_recordset(heartbeats) as h(book_id uuid))
  order by b.book_id for no key update;

  return query
  with judged as materialized (
    select h.ord, h.book_id,
      case when b.status is null then 'unknown_book'
        else replace(bindery_core.report_verdict(b.machine, b.status, b.current_stage, b.attempt, h.stage, 'all', h.attempt, true),
          -- A sign of life from a stage moves no book there.
          'advance', 'stage_not_reached') end as verdict
    from rows from (jsonb_to_recordset(heartbeats) as (book_id uuid, stage text, attempt integer)) with ordinality
      as h(book_id, stage, attempt, ord)
    left join lateral (
      select s.status, s.current_stage, s.attempt, p.machine
      from bindery.book_status s join bindery.pipelines p on p.name = s.pipeline and p.version = s.pipeline_version
      where s.book_id = h.book_id limit 1) b on true
  ), beaten as (
    update bindery.book_status b set heartbeat_at = moment
    where b.book_id in (select j.book_id from judged j where j.verdict = 'accept')
  )
  select j.ord, j.verdict from judged j order by j.ord;
end
$$;

-- Name: do_plan(uuid, text, jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.do_plan(book_id uuid, stage text, substeps jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
#variable_conflict use_column
declare
  fault text;
  verdict text;
begin
  if jsonb_typeof(do_plan.substeps) is distinct from 'array' or jsonb_array_length(do_plan.substeps) > 10000 then
    return bindery_internal.bad_input('substeps', 'is not an array of at most 10,000 substeps', 'Give [{"name": "chapter_1", "weight": 2}, …].');
  end if;
  select p.problem
  into fault
  from jsonb_array_elements(do_plan.substeps) with ordinality as s(item, ord)
  cross join lateral (select case
      when jsonb_typeof(s.item) <> 'object' then 'is not an object'
      when coalesce(s.item ->> 'name', '') !~ '^[a-z][a-z0-9_]{0,62}$' or jsonb_typeof(s.item -> 'name') <> 'string'
        then 'has no name in lower snake case of up to 63 characters'
      when jsonb_typeof(s.item -> 'weight') <> 'number' or (s.item ->> 'weight')::numeric not between 0.000000001 and 1000000000
        then 'has a weight that is not a number from 1e-9 to 1e9' end) as p(problem)
  where p.problem is not null
  order by s.ord limit 1;
  if fault is not null then
    return bindery_internal.bad_input('substeps: one', fault, 'Give [{"name": "chapter_1", "weight": 2}, …].');
  elsif (select count(distinct s.item ->> 'name') <> count(*) from jsonb_array_elements(do_plan.substeps) as s(item)) then
    return bindery_internal.bad_input('substeps', 'names a substep twice', 'Name each once.');
  end if;

  -- A plan is for the stage a book is in or will come to, whatever its substeps.
  verdict := bindery_internal.judge(do_plan.book_id, coalesce(do_plan.stage, ''), null);
  if verdict not in ('accept', 'advance', 'stage_not_reached') then
    return bindery_internal.refused_report(verdict, do_plan.book_id, do_plan.stage, null, null);
  end if;

  -- A plan says anew how long the current stage is, so the percentage may fall (roll_up).
  perform set_config('bindery.planning', case when b.current_stage = do_plan.stage then 'yes' else '' end, true)
  from bindery.book_status b where b.book_id = do_plan.book_id;
  insert into bindery.book_progress as g (book_id, stage, substep, weight, attempt, updated_at)
  select b.book_id, do_plan.stage, s.item ->> 'name', (s.item ->> 'weight')::double precision,
    b.attempt, bindery_internal.now()
  from bindery.book_status b, jsonb_array_elements(do_plan.substeps) as s(item)
  where b.book_id = do_plan.book_id
  on conflict (book_id, stage, substep) do update set weight = coalesce(excluded.weight, g.weight), updated_at = excluded.updated_at;
  perform set_config('bindery.planning', '', true);
  return null;
end
$_$;

-- Name: do_register(uuid, uuid, text, text, jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.do_register(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  if do_register.book_id is null then
    return bindery_internal.bad_input('book_id', 'is missing', 'Give the book''s uuid.');
  elsif length(do_register.title) > 1024 then
    return bindery_internal.bad_input('title', 'is longer than 1,024 characters', 'Shorten it.');
  elsif jsonb_typeof(do_register.metadata) <> 'object' then
    return bindery_internal.bad_input('metadata', 'is not a JSON object', 'Give an object such as {"pages": 320}.');
  elsif octet_length(do_register.metadata::text) > 131072 then
    return bindery_internal.bad_input('metadata', 'is larger than 128 KiB', 'Keep large things elsewhere and store a reference.');
  elsif not exists (select from bindery.pipelines p where p.name = coalesce(do_register.pipeline, 'comic')) then
    return bindery_internal.unknown_pipeline(do_register.pipeline, null);
  end if;

  insert into bindery.book_status (book_id, owner_id, pipeline, title, metadata)
  values (do_register.book_id, do_register.owner_id, coalesce(do_register.pipeline, 'comic'), do_register.title,
    coalesce(do_register.metadata, '{}'))
  on conflict (book_id) do nothing;
  if found then
    return null;
  end if;

  select b.* into book from bindery.book_status b where b.book_id = do_register.book_id;
  if book.pipeline <> do_register.pipeline or book.owner_id is distinct from coalesce(do_register.owner_id, book.owner_id) then
    return bindery_internal.error('PT409', 'conflicting_registration',
      format('Book %s is registered already, with another pipeline or owner.', book.book_id),
      'Use a new id for another book; a registration is not changed by registering again.',
      jsonb_build_object('book_id', book.book_id, 'pipeline', book.pipeline));
  end if;
  return null;
end
$$;

-- Name: do_report(jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.do_report(report jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
  book_id constant uuid := (report ->> 'book_id')::uuid;
  progress constant double precision := (report ->> 'progress')::double precision;
  done constant double precision := (report ->> 'done')::double precision;
  total constant double precision := (report ->> 'total')::double precision;
  percent double precision;
  judgement text;
  refusal jsonb;
begin
  if progress is null and (done is null or total is null) or progress is not null and (done is not null or total is not null) then
    return bindery_internal.bad_input('progress', 'or done and total is wanted, one of the two',
      'Give progress (0 to 100), or done and total.');
  elsif progress is not null and not progress between 0 and 100 then
    return bindery_internal.bad_input('progress', 'is not between 0 and 100', 'Give a percentage.');
  elsif done is not null and not (total > 0 and total <= 1e15 and done between 0 and total) then
    return bindery_internal.bad_input('done', 'and total do not fit', 'Give 0 <= done <= total and 0 < total <= 1e15.');
  elsif length(report ->> 'message') > 8192 then
    return bindery_internal.bad_input('message', 'is longer than 8,192 characters', 'Shorten it.');
  elsif length(report ->> 'unit') > 63 then
    return bindery_internal.bad_input('unit', 'is longer than 63 characters', 'Name what is counted in a word.');
  elsif report ->> 'substep' !~ '^[a-z][a-z0-9_]{0,62}$' then
    return bindery_internal.bad_input('substep', 'is not in lower snake case of up to 63 characters', 'Name it such as extract_text.');
  elsif octet_length((report -> 'checkpoint')::text) > 131072 then
    return bindery_internal.bad_input('checkpoint', 'is larger than 128 KiB', 'Keep large things elsewhere and store a reference.');
  end if;

  -- In floating numbers 100 * x / x is not always 100, nor is what is less always less.
  percent := coalesce(progress, case when done = total then 100 else least(100 * done / total, 99.99999999999999) end);
  for try in 1..2 loop
    select r.verdict into judgement
    from bindery_internal.apply_reports(jsonb_build_array(report || jsonb_build_object('progress', percent))) r;
    exit when judgement <> 'advance';
    refusal := bindery_internal.do_transition(book_id, report ->> 'stage');
    exit when refusal is not null;
  end loop;
  if judgement = 'accept' then
    return null;
  end if;
  return coalesce(refusal, bindery_internal.refused_report(
    judgement, book_id, report ->> 'stage', report ->> 'substep', (report ->> 'attempt')::integer));
end
$_$;

-- Name: do_resume(uuid, bigint); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.do_resume(book_id uuid, expected_revision bigint DEFAULT NULL::bigint) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  select b.* into book from bindery.book_status b where b.book_id = do_resume.book_id for no key update;
  if not found then
    return bindery_internal.unknown_book(do_resume.book_id);
  elsif book.status <> 'FAILED' then
    return bindery_internal.error('PT409', 'not_failed',
      format('Book %s is in %s; only a FAILED book is resumed.', book.book_id, book.status),
      'Nothing has to be done: read its status again.',
      jsonb_build_object('book_id', book.book_id, 'status', book.status));
  end if;
  return bindery_internal.do_transition(do_resume.book_id, book.current_stage, null, do_resume.expected_revision);
end
$$;

-- Name: do_transition(uuid, text, text, bigint, integer, jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.do_transition(book_id uuid, to_status text, message text DEFAULT NULL::text, expected_revision bigint DEFAULT NULL::bigint, attempt integer DEFAULT NULL::integer, error jsonb DEFAULT NULL::jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
  book bindery.book_status;
  refusal jsonb;
begin
  if do_transition.to_status is null then
    return bindery_internal.bad_input('to_status', 'is missing', 'Name the state to go to.');
  elsif length(do_transition.message) > 8192 then
    return bindery_internal.bad_input('message', 'is longer than 8,192 characters', 'Shorten it.');
  elsif jsonb_typeof(do_transition.error) <> 'object' then
    return bindery_internal.bad_input('error', 'is not a JSON object', 'Give an object such as {"code": "out_of_memory"}.');
  elsif octet_length(do_transition.error::text) > 131072 then
    return bindery_internal.bad_input('error', 'is larger than 128 KiB', 'Keep long logs elsewhere and store a reference.');
  end if;

  select b.* into book from bindery.book_status b where b.book_id = do_transition.book_id for no key update;
  if not found then
    return bindery_internal.unknown_book(do_transition.book_id);
  elsif book.revision <> do_transition.expected_revision then
    return bindery_internal.error('PT409', 'stale_revision',
      format('Book %s is at revision %s, not %s.', book.book_id, book.revision, do_transition.expected_revision),
      'Read its status again, and decide anew.',
      jsonb_build_object('book_id', book.book_id, 'revision', book.revision, 'expected_revision', do_transition.expected_revision));
  elsif do_transition.attempt < book.attempt then
    return '{"stale": true}';
  elsif do_transition.attempt > book.attempt then
    return bindery_internal.refused_report('attempt_ahead', book.book_id, book.current_stage, null, do_transition.attempt);
  end if;

  refusal := bindery_internal.refused_transition(book, do_transition.to_status);
  if refusal is not null then
    return refusal;
  end if;
  -- Else guard_transition takes the same words as last time for none.
  perform set_config('bindery.message_is_new', 'yes', true);
  update bindery.book_status b
  set status = do_transition.to_status, message = do_transition.message, error = do_transition.error
  where b.book_id = do_transition.book_id;
  perform set_config('bindery.message_is_new', '', true);
  return null;
end
$$;

-- Name: error(text, text, text, text, jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.error(sqlstate text, code text, message text, hint text, detail jsonb DEFAULT '{}'::jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
  select jsonb_build_object(
    'sqlstate', sqlstate, 'code', code, 'message', message, 'hint', hint,
    'detail', jsonb_build_object('code', code) || detail);
$$;

-- Name: FUNCTION error(sqlstate text, code text, message text, hint text, detail jsonb); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.error(sqlstate text, code text, message text, hint text, detail jsonb) IS 'An error as a value: {sqlstate, code, message, hint, detail}.';

-- Name: facts(bindery.book_status, jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.facts(book bindery.book_status, machine jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
begin
  return jsonb_build_object(
    'substeps_complete', jsonb_array_length(book.substeps) > 0
      and not exists (select from jsonb_array_elements(book.substeps) as s(substep) where s.substep ->> 'state' <> 'done'),
    'attempts_left', coalesce(book.attempt < (
      select (s.state ->> 'max_attempts')::integer
      from jsonb_array_elements(machine -> 'states') as s(state) where s.state ->> 'name' = book.current_stage), true));
end
$$;

-- Name: fenced(text, bigint); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.fenced(stream text, epoch bigint) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
  select bindery_internal.error('PT409', 'fenced',
    format('Epoch %s of the stream %s is over; the newest is %s.', fenced.epoch, fenced.stream, c.newest),
    'Another relay has taken the stream over. Apply nothing more; acquire it again.',
    jsonb_build_object('stream', fenced.stream, 'epoch', fenced.epoch, 'newest', c.newest))
  from (select max(r.epoch) from bindery.relay_cursors r where r.stream = fenced.stream) as c(newest);
$$;

-- Name: guard_columns(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.guard_columns() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  perform bindery_internal.raise_error(bindery_internal.error('PT422', 'column_is_derived',
    format('Of book %s only owner_id, title, message, metadata, status and error are set by hand.', old.book_id),
    'Change the status, or report progress; these columns follow.', jsonb_build_object('book_id', old.book_id)));
  return null;
end
$$;

-- Name: guard_transition(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.guard_transition() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  machine constant jsonb := bindery_internal.machine(old.pipeline, old.pipeline_version);
  moment constant timestamptz := bindery_internal.now();
  final constant text := machine #>> '{states,-1,name}';
  resuming constant boolean := old.status = 'FAILED';
  summary jsonb;
begin
  if new.status is null then
    perform bindery_internal.raise_error(bindery_internal.bad_input('status', 'is null', 'Name the state to go to.'));
  end if;
  perform bindery_internal.raise_error(bindery_internal.refused_transition(old, new.status));

  new.revision := old.revision + 1;
  new.updated_at := moment;
  new.heartbeat_at := moment;
  new.resume_at := null;
  new.estimated_completion_at := null;
  new.current_stage := old.current_stage;
  new.attempt := old.attempt;
  new.overall_progress := old.overall_progress;
  new.stage_progress := old.stage_progress;
  new.substeps := old.substeps;
  new.completed_at := null;
  -- A message or an error belongs to the change that brought it; a plain UPDATE that names none leaves the old one in new.
  if new.message is not distinct from old.message and coalesce(current_setting('bindery.message_is_new', true), '') <> 'yes' then
    new.message := null;
  end if;
  if new.status <> 'FAILED' then
    new.error := null;
  elsif new.error is null or not new.error ? 'code' then
    new.error := coalesce(new.error, '{}') || '{"code": "failed"}';
  end if;
  -- The halted keep the values they halted at.
  if new.status in ('FAILED', 'CANCELLED') then
    return new;
  end if;

  if new.status = final then
    new.completed_at := moment;
  else
    new.current_stage := new.status;
    new.attempt := case when resuming then old.attempt + 1 else 1 end;
    new.stage_started_at := moment;
  end if;
  summary := bindery_core.summarize(machine, new.status, new.current_stage,
    bindery_internal.substep_rows(new.book_id, new.current_stage, case when new.status <> final then resuming end));
  new.overall_progress := (summary ->> 'overall')::double precision;
  new.stage_progress := (summary ->> 'stage_progress')::double precision;
  new.substeps := summary -> 'substeps';
  return new;
end
$$;

-- Name: health(bindery.book_status, jsonb, timestamp with time zone); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.health(book bindery.book_status, machine jsonb, moment timestamp with time zone) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
  select case
    when book.status = 'FAILED' and book.error ->> 'code' = 'stalled' then 'stalled'
    when book.status <> book.current_stage then null
    when s.stall_after is null then 'live'
    when moment - book.heartbeat_at > s.stall_after then 'stalled'
    when moment - book.heartbeat_at > s.stall_after / 2 then 'quiet'
    else 'live' end
  from (
    select (select (s.state ->> 'stall_after')::double precision * interval '1 second'
      from jsonb_array_elements(machine -> 'states') as s(state) where s.state ->> 'name' = book.current_stage)
  ) as s(stall_after);
$$;

-- Name: illegal_transition(jsonb, text, text, text, text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.illegal_transition(machine jsonb, from_status text, stage text, to_status text, reason text) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
  select bindery_internal.error('PT409', 'illegal_transition', reason,
    case when cardinality(a.allowed) = 0 then 'The book is at its end; register a new one to start over.'
         else format('Allowed from %s: %s.', from_status, array_to_string(a.allowed, ', ')) end,
    jsonb_build_object('from', from_status, 'to', to_status, 'allowed', to_jsonb(a.allowed)))
  from (select coalesce(bindery_core.next_statuses(machine, from_status, stage), '{}') as allowed) as a;
$$;

-- Name: is_after(text, text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.is_after(a text, b text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
  -- Both halves of a stream id are unsigned 64-bit numbers.
  select (split_part(a, '-', 1)::numeric, split_part(a, '-', 2)::numeric) > (split_part(b, '-', 1)::numeric, split_part(b, '-', 2)::numeric);
$$;

-- Name: is_transient(text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.is_transient(sqlstate text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
  -- Only these can be an event's fault: bad data, a constraint, a limit, somebody's own RAISE, and a panic in the kernel. A missing
  -- function, a lost grant, a full disk, a deadlock is the server's, and will be mended there.
  select not (left(sqlstate, 2) in ('21', '22', '23', '44', '54', 'P0', 'PT') or sqlstate = 'XX000');
$$;

-- Name: FUNCTION is_transient(sqlstate text); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.is_transient(sqlstate text) IS 'Whether the fault is the server''s rather than the event''s: then the whole batch is tried again, and nothing is buried.';

-- Name: judge(uuid, text, integer); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.judge(book_id uuid, stage text, attempt integer) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  select b.* into book from bindery.book_status b where b.book_id = judge.book_id for no key update;
  if not found then
    return 'unknown_book';
  end if;
  return bindery_core.report_verdict(bindery_internal.machine(book.pipeline, book.pipeline_version),
    book.status, book.current_stage, book.attempt, judge.stage, 'all', judge.attempt, true);
end
$$;

-- Name: book_progress; Type: TABLE; Schema: bindery; Owner: -

CREATE TABLE bindery.book_progress (
    book_id uuid NOT NULL,
    stage text NOT NULL,
    substep text NOT NULL,
    weight double precision,
    progress double precision DEFAULT 0 NOT NULL,
    done double precision,
    total double precision,
    unit text,
    message text,
    checkpoint jsonb,
    attempt integer NOT NULL,
    started_at timestamp with time zone,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT checkpoint_is_small CHECK ((pg_column_size(checkpoint) <= 1048576)),
    CONSTRAINT done_is_part_of_total CHECK ((((done >= (0)::double precision) AND (done <= total)) AND (total > (0)::double precision) AND (total <= ('1000000000000000'::numeric)::double precision))),
    CONSTRAINT message_is_short CHECK ((length(message) <= 8192)),
    CONSTRAINT progress_is_percent CHECK (((progress >= (0)::double precision) AND (progress <= (100)::double precision))),
    CONSTRAINT substep_is_lower_snake_case CHECK ((substep ~ '^[a-z][a-z0-9_]{0,62}$'::text)),
    CONSTRAINT unit_is_short CHECK ((length(unit) <= 63)),
    CONSTRAINT weight_is_positive CHECK (((weight > (0)::double precision) AND (weight < 'Infinity'::double precision)))
)
WITH (fillfactor='70');

-- Name: TABLE book_progress; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON TABLE bindery.book_progress IS 'One row a substep of a book that was reported or planned; report with bindery.report_progress.';

-- Name: COLUMN book_progress.book_id; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_progress.book_id IS 'The book.';

-- Name: COLUMN book_progress.stage; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_progress.stage IS 'The stage the substep is part of.';

-- Name: COLUMN book_progress.substep; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_progress.substep IS 'The substep''s name, lower snake case; `all` in a stage that has none.';

-- Name: COLUMN book_progress.weight; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_progress.weight IS 'Planned for this book; null: as the pipeline declares it (1 where it is open).';

-- Name: COLUMN book_progress.progress; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_progress.progress IS 'Percent, 0 to 100; the highest of this attempt.';

-- Name: COLUMN book_progress.done; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_progress.done IS 'Units done, where the report counted them.';

-- Name: COLUMN book_progress.total; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_progress.total IS 'Units in all, where the report counted them.';

-- Name: COLUMN book_progress.unit; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_progress.unit IS 'What is counted: page, panel, word.';

-- Name: COLUMN book_progress.message; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_progress.message IS 'The latest message, up to 8,192 characters.';

-- Name: COLUMN book_progress.checkpoint; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_progress.checkpoint IS 'The worker''s own JSON: where to go on after a failure.';

-- Name: COLUMN book_progress.attempt; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_progress.attempt IS 'The attempt that last reported.';

-- Name: COLUMN book_progress.started_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_progress.started_at IS 'When it was first reported in this attempt.';

-- Name: COLUMN book_progress.updated_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_progress.updated_at IS 'When it was last reported.';

-- Name: kept(boolean, bindery.book_progress); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.kept(resuming boolean, g bindery.book_progress) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
begin
  return resuming and (g.progress = 100 or g.checkpoint is not null);
end
$$;

-- Name: FUNCTION kept(resuming boolean, g bindery.book_progress); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.kept(resuming boolean, g bindery.book_progress) IS 'Whether a progress row survives entering its stage: a resume keeps what is finished or has a checkpoint; any other entry keeps nothing.';

-- Name: machine(text, integer); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.machine(pipeline text, pipeline_version integer) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
    SET search_path TO ''
    AS $$
begin
  return (select p.machine from bindery.pipelines p where p.name = pipeline and p.version = pipeline_version);
end
$$;

-- Name: FUNCTION machine(pipeline text, pipeline_version integer); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.machine(pipeline text, pipeline_version integer) IS 'The compiled machine of this version of the pipeline; null where there is none.';

-- Name: now(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.now() RETURNS timestamp with time zone
    LANGUAGE plpgsql PARALLEL SAFE
    SET search_path TO ''
    AS $$
begin
  return coalesce(nullif(current_setting('bindery.now', true), '')::timestamptz, clock_timestamp());
end
$$;

-- Name: FUNCTION now(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.now() IS 'Wall time (not the transaction''s start: a call may have waited for a lock), or the setting bindery.now where it is set.';

-- Name: prune_events(timestamp with time zone, integer); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.prune_events(before timestamp with time zone, batch integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  pruned integer;
begin
  if prune_events.before is null then
    perform bindery_internal.raise_error(bindery_internal.bad_input('before', 'is missing', 'Give the moment before which history goes.'));
  elsif prune_events.batch is null or prune_events.batch not between 1 and 100000 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('batch', 'is not between 1 and 100,000', 'Give how many rows a call may delete.'));
  end if;
  delete from bindery.book_events e
  where e.id in (
    select c.id from bindery.book_events c
    where c.at < prune_events.before
      and exists (select from bindery.book_events n where n.book_id = c.book_id and n.revision > c.revision)
    order by c.id limit prune_events.batch
    for update skip locked);
  get diagnostics pruned = row_count;
  return pruned;
end
$$;

-- Name: raise_error(jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.raise_error(error jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  -- Null is no error, and stale is an outcome, not a fault.
  if error is null or error ? 'stale' then
    return;
  end if;
  raise exception using
    errcode = error ->> 'sqlstate',
    message = error ->> 'message',
    detail = (error -> 'detail')::text,
    hint = error ->> 'hint';
end
$$;

-- Name: FUNCTION raise_error(error jsonb); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.raise_error(error jsonb) IS 'Raises a value of bindery_internal.error; null and {"stale": true} pass.';

-- Name: record_transition(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.record_transition() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  from_status constant text := case when tg_op = 'UPDATE' then old.status end;
  resuming constant boolean := from_status is not distinct from 'FAILED' and new.status not in ('FAILED', 'CANCELLED');
begin
  if tg_op = 'UPDATE' and new.status = new.current_stage then
    -- The stage is entered: guard_transition has already counted these rows as they will be,
    -- so roll_up finds nothing to change.
    update bindery.book_progress g
    set progress = 0, done = null, total = null, unit = null, message = null, checkpoint = null, started_at = null,
        attempt = new.attempt, updated_at = new.updated_at
    where g.book_id = new.book_id and g.stage = new.current_stage and not bindery_internal.kept(resuming, g);
  end if;

  insert into bindery.book_events (book_id, revision, kind, from_status, to_status, stage, attempt, actor, message, data, at)
  values (new.book_id, new.revision,
    case when tg_op = 'INSERT' then 'register' when resuming then 'resume' when new.status = 'FAILED' then 'fail'
         when new.status = 'CANCELLED' then 'cancel' when new.completed_at is not null then 'complete' else 'transition' end,
    from_status, new.status, new.current_stage, new.attempt, bindery_internal.actor(), new.message,
    case when new.status = 'FAILED' then new.error end, new.updated_at);

  insert into bindery.outbox (book_id, revision, kind, payload, created_at)
  values (new.book_id, new.revision, case when resuming then 'resume' else 'transition' end,
    jsonb_build_object('book_id', new.book_id, 'revision', new.revision, 'from', from_status, 'to', new.status,
      'stage', new.current_stage, 'attempt', new.attempt)
    || case when resuming then jsonb_build_object('resume_point', bindery.get_resume_point(new.book_id)) else '{}' end,
    new.updated_at);
  return null;
end
$$;

-- Name: refuse_history_change(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.refuse_history_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  perform bindery_internal.raise_error(bindery_internal.error('PT409', 'history_is_append_only',
    'The history of a book is never rewritten.', 'Make the change itself; it will be recorded.'));
  return null;
end
$$;

-- Name: FUNCTION refuse_history_change(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.refuse_history_change() IS 'Raises PT409 history_is_append_only: recorded changes stay as they were.';

-- Name: refuse_pipeline_change(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.refuse_pipeline_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  perform bindery_internal.raise_error(bindery_internal.error('PT409', 'pipeline_is_immutable',
    format('Version %s of the pipeline %s is fixed.', old.version, old.name),
    'Define the next version with bindery.define_pipeline; books keep the version they began with.',
    jsonb_build_object('pipeline', old.name, 'version', old.version)));
  return null;
end
$$;

-- Name: FUNCTION refuse_pipeline_change(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.refuse_pipeline_change() IS 'Raises PT409 pipeline_is_immutable: a version of a pipeline is fixed.';

-- Name: refused_report(text, uuid, text, text, integer); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.refused_report(verdict text, book_id uuid, stage text, substep text, attempt integer) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
  select case verdict
    when 'unknown_book' then bindery_internal.unknown_book(book_id)
    when 'unknown_stage' then bindery_internal.error('PT404', verdict,
      format('The pipeline of book %s has no stage %s.', book_id, stage),
      'bindery.get_book_status lists the stages of a book.', where_it_was)
    when 'stage_not_reached' then bindery_internal.error('PT409', verdict,
      format('Book %s has not reached the stage %s yet.', book_id, stage),
      'Make the transition first, then report; or let the pipeline say auto_advance.', where_it_was)
    when 'unknown_substep' then bindery_internal.error('PT422', verdict,
      format('The stage %s of book %s has no substep %s.', coalesce(stage, '(current)'), book_id, coalesce(substep, 'all')),
      'Report a declared substep, plan this one with bindery.plan_substeps, or give the stage open_substeps.', where_it_was)
    when 'attempt_ahead' then bindery_internal.error('PT409', verdict,
      format('Book %s has not come to attempt %s.', book_id, attempt),
      'Use the attempt that bindery.get_resume_point gives.', where_it_was)
    when 'stale' then '{"stale": true}'
  end
  from (select jsonb_build_object('book_id', book_id, 'stage', stage, 'substep', substep, 'attempt', attempt)) as w(where_it_was);
$$;

-- Name: FUNCTION refused_report(verdict text, book_id uuid, stage text, substep text, attempt integer); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.refused_report(verdict text, book_id uuid, stage text, substep text, attempt integer) IS 'The error for a verdict of bindery_core.report_verdict; null for accept, {"stale": true} for stale.';

-- Name: refused_transition(bindery.book_status, text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.refused_transition(book bindery.book_status, to_status text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  machine constant jsonb := bindery_internal.machine(book.pipeline, book.pipeline_version);
  reason constant text := bindery_core.transition_error(
    machine, book.status, book.current_stage, to_status, bindery_internal.facts(book, machine));
begin
  if reason is null then
    return null;
  end if;
  return bindery_internal.illegal_transition(machine, book.status, book.current_stage, to_status, reason);
end
$$;

-- Name: FUNCTION refused_transition(book bindery.book_status, to_status text); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.refused_transition(book bindery.book_status, to_status text) IS 'The error that forbids this book this status; null where it is allowed.';

-- Name: release_stream(text, bigint); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.release_stream(stream text, epoch bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
  -- The epoch grows, so that nothing sent before the release can still be applied after it.
  update bindery.relay_cursors c set epoch = c.epoch + 1, holder = null, lease_expires_at = null
  where c.stream = release_stream.stream and c.epoch = release_stream.epoch;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.fenced(release_stream.stream, release_stream.epoch));
  end if;
end
$$;

-- Name: FUNCTION release_stream(stream text, epoch bigint); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.release_stream(stream text, epoch bigint) IS 'See bindery.release_stream.';

-- Name: renew_stream(text, bigint); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.renew_stream(stream text, epoch bigint) RETURNS timestamp with time zone
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
  expires timestamptz;
begin
  update bindery.relay_cursors c set lease_expires_at = bindery_internal.now() + c.lease_ttl
  where c.stream = renew_stream.stream and c.epoch = renew_stream.epoch and c.holder is not null
  returning c.lease_expires_at into expires;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.fenced(renew_stream.stream, renew_stream.epoch));
  end if;
  return expires;
end
$$;

-- Name: FUNCTION renew_stream(stream text, epoch bigint); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.renew_stream(stream text, epoch bigint) IS 'See bindery.renew_stream.';

-- Name: roll_up(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.roll_up() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
declare
  moment constant timestamptz := bindery_internal.now();
  anew constant boolean := tg_op = 'DELETE' or coalesce(current_setting('bindery.planning', true), '') = 'yes';
begin
  -- Fires for statements that touched no row, too.
  if not exists (select from changed) then
    return null;
  end if;
  -- In a statement of its own: the next one then sees what a writer we waited for has committed.
  perform from bindery.book_status b
  where b.book_id in (select c.book_id from changed c)
  order by b.book_id for no key update;

  with summed as materialized (
    select b.book_id, bindery_core.summarize(p.machine, b.status, b.current_stage, coalesce(
        jsonb_agg(jsonb_build_object('substep', g.substep, 'weight', g.weight, 'progress', g.progress,
          'done', g.done, 'total', g.total, 'unit', g.unit, 'message', g.message)) filter (where g.substep is not null), '[]')) as summary
    from bindery.book_status b
    join bindery.pipelines p on p.name = b.pipeline and p.version = b.pipeline_version
    left join bindery.book_progress g on g.book_id = b.book_id and g.stage = b.current_stage
    where b.book_id in (select c.book_id from changed c) and b.status = b.current_stage
    group by b.book_id, p.name, p.version
  ), valued as (
    -- A substep that nobody declared makes the stage longer when it is first heard of; the percentage waits then, it does not
    -- go back. Only a plan, a deletion, or entering a stage (guard_transition) works it out anew.
    select s.book_id,
      greatest((s.summary ->> 'overall')::double precision, case when not anew then b.overall_progress end) as overall,
      greatest((s.summary ->> 'stage_progress')::double precision, case when not anew then b.stage_progress end) as stage_progress,
      s.summary -> 'substeps' as substeps
    from summed s join bindery.book_status b using (book_id)
  )
  update bindery.book_status b
  set overall_progress = v.overall,
      stage_progress = v.stage_progress,
      substeps = v.substeps,
      -- Each value is rounded by itself: a percent may move where no substep seems to.
      revision = b.revision + case when
        (v.overall, v.stage_progress, v.substeps) = (b.overall_progress, b.stage_progress, b.substeps) then 0 else 1 end,
      updated_at = case when
        (v.overall, v.stage_progress, v.substeps) = (b.overall_progress, b.stage_progress, b.substeps) then b.updated_at else moment end,
      heartbeat_at = moment
  from valued v
  where v.book_id = b.book_id;
  return null;
end
$$;

-- Name: start_book(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.start_book() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  machine jsonb;
  initial text;
  summary jsonb;
  moment constant timestamptz := bindery_internal.now();
begin
  new.pipeline := coalesce(new.pipeline, 'comic');
  new.pipeline_version := coalesce(new.pipeline_version,
    (select max(p.version) from bindery.pipelines p where p.name = new.pipeline));
  machine := bindery_internal.machine(new.pipeline, new.pipeline_version);
  if machine is null then
    perform bindery_internal.raise_error(bindery_internal.unknown_pipeline(new.pipeline, new.pipeline_version));
  end if;
  initial := machine #>> '{states,0,name}';
  if new.status is distinct from initial and new.status is not null then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'illegal_transition',
      format('A new book of the pipeline %s begins in %s, not in %s.', new.pipeline, initial, new.status),
      format('Insert it without a status, or with %s; then make its transitions one by one.', initial),
      jsonb_build_object('from', null, 'to', new.status, 'allowed', jsonb_build_array(initial))));
  end if;
  summary := bindery_core.summarize(machine, initial, initial, '[]');
  new.status := initial;
  new.current_stage := initial;
  new.overall_progress := (summary ->> 'overall')::double precision;
  new.stage_progress := (summary ->> 'stage_progress')::double precision;
  new.substeps := summary -> 'substeps';
  new.error := null;
  new.attempt := 1;
  new.revision := 1;
  new.metadata := coalesce(new.metadata, '{}');
  new.heartbeat_at := moment;
  new.stage_started_at := moment;
  new.resume_at := null;
  new.estimated_completion_at := null;
  new.created_at := moment;
  new.updated_at := moment;
  new.completed_at := null;
  return new;
end
$$;

-- Name: substep_rows(uuid, text, boolean); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.substep_rows(book_id uuid, stage text, resuming boolean DEFAULT NULL::boolean) RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
begin
  return (select coalesce(jsonb_agg(
    case when resuming is null or bindery_internal.kept(resuming, g)
      then jsonb_build_object('substep', g.substep, 'weight', g.weight, 'progress', g.progress,
             'done', g.done, 'total', g.total, 'unit', g.unit, 'message', g.message)
      else jsonb_build_object('substep', g.substep, 'weight', g.weight, 'progress', 0)
    end), '[]')
  from bindery.book_progress g
  where g.book_id = substep_rows.book_id and g.stage = substep_rows.stage);
end
$$;

-- Name: FUNCTION substep_rows(book_id uuid, stage text, resuming boolean); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.substep_rows(book_id uuid, stage text, resuming boolean) IS 'The progress rows of a book''s stage as bindery_core.summarize takes them; with resuming, as they will be after the entry.';

-- Name: take_outbox(integer); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.take_outbox(max_rows integer) RETURNS SETOF bindery.outbox
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  if not pg_try_advisory_xact_lock(hashtextextended('bindery.outbox', 0)) then
    return;
  end if;
  return query
  with taken as (
    delete from bindery.outbox o
    where o.id in (select c.id from bindery.outbox c order by c.id limit least(greatest(max_rows, 0), 10000))
    returning o.*
  )
  select t.* from taken t order by t.id;
end
$$;

-- Name: touch(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.touch() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  new.revision := old.revision + 1;
  new.updated_at := bindery_internal.now();
  return new;
end
$$;

-- Name: unknown_book(uuid); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.unknown_book(book_id uuid) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
  select bindery_internal.error('PT404', 'unknown_book',
    format('There is no book %s.', coalesce(book_id::text, '(null)')),
    'Register it first with bindery.register_book, or check the id and who is asking.',
    jsonb_build_object('book_id', book_id));
$$;

-- Name: unknown_pipeline(text, integer); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.unknown_pipeline(pipeline text, pipeline_version integer) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
  select bindery_internal.error('PT404', 'unknown_pipeline',
    format('There is no pipeline %s%s.', pipeline, ' version ' || pipeline_version),
    'Define it with bindery.define_pipeline, or name one that is there.',
    jsonb_build_object('pipeline', pipeline, 'version', pipeline_version));
$$;

-- Name: user_id(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.user_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path TO ''
    AS $_$
  select case when c.sub ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then c.sub::uuid end
  from (select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub') as c(sub);
$_$;

-- Name: FUNCTION user_id(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.user_id() IS 'The sub of the request''s JWT where it is a uuid, else null.';

-- Name: book_events; Type: TABLE; Schema: bindery; Owner: -

CREATE TABLE bindery.book_events (
    id bigint NOT NULL,
    book_id uuid NOT NULL,
    revision bigint NOT NULL,
    kind text NOT NULL,
    from_status text,
    to_status text NOT NULL,
    stage text NOT NULL,
    attempt integer NOT NULL,
    actor text NOT NULL,
    message text,
    data jsonb,
    at timestamp with time zone NOT NULL,
    CONSTRAINT kind_is_known CHECK ((kind = ANY (ARRAY['register'::text, 'transition'::text, 'fail'::text, 'resume'::text, 'cancel'::text, 'complete'::text])))
);

-- Name: TABLE book_events; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON TABLE bindery.book_events IS 'The history: one row for every change of a book''s status, never updated.';

-- Name: COLUMN book_events.id; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_events.id IS 'Grows with time; not without gaps.';

-- Name: COLUMN book_events.book_id; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_events.book_id IS 'The book.';

-- Name: COLUMN book_events.revision; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_events.revision IS 'The book''s revision after this change.';

-- Name: COLUMN book_events.kind; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_events.kind IS 'register, transition, fail, resume, cancel or complete.';

-- Name: COLUMN book_events.from_status; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_events.from_status IS 'The status before; null at registration.';

-- Name: COLUMN book_events.to_status; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_events.to_status IS 'The status after.';

-- Name: COLUMN book_events.stage; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_events.stage IS 'The stage the book was in after the change.';

-- Name: COLUMN book_events.attempt; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_events.attempt IS 'The attempt after the change.';

-- Name: COLUMN book_events.actor; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_events.actor IS 'Who made it: a user''s id, a role, or relay:<stream>.';

-- Name: COLUMN book_events.message; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_events.message IS 'What was said with it.';

-- Name: COLUMN book_events.data; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_events.data IS 'For fail: the error.';

-- Name: COLUMN book_events.at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_events.at IS 'When.';

-- Name: book_events_id_seq; Type: SEQUENCE; Schema: bindery; Owner: -

ALTER TABLE bindery.book_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME bindery.book_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: dead_letters; Type: TABLE; Schema: bindery; Owner: -

CREATE TABLE bindery.dead_letters (
    id bigint NOT NULL,
    stream text NOT NULL,
    event_id text,
    first_event_id text,
    count bigint DEFAULT 1 NOT NULL,
    book_id uuid,
    reason text NOT NULL,
    message text NOT NULL,
    payload jsonb NOT NULL,
    truncated boolean DEFAULT false NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT count_is_positive CHECK ((count >= 1))
);

-- Name: TABLE dead_letters; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON TABLE bindery.dead_letters IS 'Events that could not take effect, each with its reason; nothing else was held up by them.';

-- Name: COLUMN dead_letters.id; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.dead_letters.id IS 'Grows with time.';

-- Name: COLUMN dead_letters.stream; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.dead_letters.stream IS 'Where it came from.';

-- Name: COLUMN dead_letters.event_id; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.dead_letters.event_id IS 'Its id in the stream; of merged events the last.';

-- Name: COLUMN dead_letters.first_event_id; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.dead_letters.first_event_id IS 'Of merged events the first.';

-- Name: COLUMN dead_letters.count; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.dead_letters.count IS 'How many events of the stream this row stands for.';

-- Name: COLUMN dead_letters.book_id; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.dead_letters.book_id IS 'The book it names, where it names one.';

-- Name: COLUMN dead_letters.reason; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.dead_letters.reason IS 'A code: bad_uuid, unknown_book, illegal_transition, ….';

-- Name: COLUMN dead_letters.message; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.dead_letters.message IS 'The reason for people.';

-- Name: COLUMN dead_letters.payload; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.dead_letters.payload IS 'The event.';

-- Name: COLUMN dead_letters.truncated; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.dead_letters.truncated IS 'Whether payload was cut because the event was too large to keep.';

-- Name: COLUMN dead_letters.at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.dead_letters.at IS 'When it was refused.';

-- Name: dead_letters_id_seq; Type: SEQUENCE; Schema: bindery; Owner: -

ALTER TABLE bindery.dead_letters ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME bindery.dead_letters_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: outbox_id_seq; Type: SEQUENCE; Schema: bindery; Owner: -

ALTER TABLE bindery.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME bindery.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: pipelines; Type: TABLE; Schema: bindery; Owner: -

CREATE TABLE bindery.pipelines (
    name text NOT NULL,
    version integer NOT NULL,
    definition jsonb NOT NULL,
    machine jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT bindery_internal.now() NOT NULL,
    CONSTRAINT name_is_lower_snake_case CHECK ((name ~ '^[a-z][a-z0-9_]{0,62}$'::text)),
    CONSTRAINT version_counts_from_one CHECK ((version >= 1))
);
ALTER TABLE ONLY bindery.pipelines ALTER COLUMN machine SET STORAGE EXTERNAL;

-- Name: TABLE pipelines; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON TABLE bindery.pipelines IS 'The pipelines a book may follow, by name and version. Rows are never changed: define the next version instead.';

-- Name: COLUMN pipelines.name; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.pipelines.name IS 'The pipeline''s name, lower snake case, up to 63 characters.';

-- Name: COLUMN pipelines.version; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.pipelines.version IS 'Counts from 1; a book stays on the version it began with.';

-- Name: COLUMN pipelines.definition; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.pipelines.definition IS 'What was given to define_pipeline.';

-- Name: COLUMN pipelines.machine; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.pipelines.machine IS 'The definition compiled by the kernel.';

-- Name: COLUMN pipelines.created_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.pipelines.created_at IS 'When this version was defined.';

-- Name: relay_cursors; Type: TABLE; Schema: bindery; Owner: -

CREATE TABLE bindery.relay_cursors (
    stream text NOT NULL,
    "position" text DEFAULT '0-0'::text NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    holder text,
    lease_ttl interval DEFAULT '00:00:10'::interval NOT NULL,
    lease_expires_at timestamp with time zone,
    applied bigint DEFAULT 0 NOT NULL,
    stale bigint DEFAULT 0 NOT NULL,
    dead bigint DEFAULT 0 NOT NULL,
    applied_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT bindery_internal.now() NOT NULL,
    CONSTRAINT position_is_a_stream_id CHECK (("position" ~ '^[0-9]{1,20}-[0-9]{1,20}$'::text)),
    CONSTRAINT stream_has_a_name CHECK (((length(stream) >= 1) AND (length(stream) <= 512)))
)
WITH (fillfactor='50');

-- Name: TABLE relay_cursors; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON TABLE bindery.relay_cursors IS 'One row a Redis stream: the position applied, the lease, and what was counted.';

-- Name: COLUMN relay_cursors.stream; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.relay_cursors.stream IS 'The stream''s key in Redis.';

-- Name: COLUMN relay_cursors."position"; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.relay_cursors."position" IS 'The id of the last entry whose effect is in this database.';

-- Name: COLUMN relay_cursors.epoch; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.relay_cursors.epoch IS 'The fencing token: one higher at each acquire; an older one can apply nothing.';

-- Name: COLUMN relay_cursors.holder; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.relay_cursors.holder IS 'Which relay reads it; null: none.';

-- Name: COLUMN relay_cursors.lease_ttl; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.relay_cursors.lease_ttl IS 'How long the lease lasts after each sign of the holder.';

-- Name: COLUMN relay_cursors.lease_expires_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.relay_cursors.lease_expires_at IS 'When another relay may take over, by this database''s clock.';

-- Name: COLUMN relay_cursors.applied; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.relay_cursors.applied IS 'Events that took effect.';

-- Name: COLUMN relay_cursors.stale; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.relay_cursors.stale IS 'Events from an earlier attempt or for a stage left: counted, without effect.';

-- Name: COLUMN relay_cursors.dead; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.relay_cursors.dead IS 'Events that went to dead_letters.';

-- Name: COLUMN relay_cursors.applied_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.relay_cursors.applied_at IS 'When a batch was last applied.';

-- Name: COLUMN relay_cursors.created_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.relay_cursors.created_at IS 'When the stream was first acquired.';

-- Name: schema_history; Type: TABLE; Schema: bindery_internal; Owner: -

CREATE TABLE bindery_internal.schema_history (
    version integer NOT NULL,
    name character varying(255),
    applied_on character varying(255),
    checksum character varying(255)
);

-- Name: book_events book_events_pkey; Type: CONSTRAINT; Schema: bindery; Owner: -

ALTER TABLE ONLY bindery.book_events
    ADD CONSTRAINT book_events_pkey PRIMARY KEY (id);

-- Name: book_progress book_progress_pkey; Type: CONSTRAINT; Schema: bindery; Owner: -

ALTER TABLE ONLY bindery.book_progress
    ADD CONSTRAINT book_progress_pkey PRIMARY KEY (book_id, stage, substep);

-- Name: book_status book_status_pkey; Type: CONSTRAINT; Schema: bindery; Owner: -

ALTER TABLE ONLY bindery.book_status
    ADD CONSTRAINT book_status_pkey PRIMARY KEY (book_id);

-- Name: dead_letters dead_letters_pkey; Type: CONSTRAINT; Schema: bindery; Owner: -

ALTER TABLE ONLY bindery.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (id);

-- Name: book_events one_event_a_revision; Type: CONSTRAINT; Schema: bindery; Owner: -

ALTER TABLE ONLY bindery.book_events
    ADD CONSTRAINT one_event_a_revision UNIQUE (book_id, revision);

-- Name: outbox outbox_pkey; Type: CONSTRAINT; Schema: bindery; Owner: -

ALTER TABLE ONLY bindery.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);

-- Name: pipelines pipelines_pkey; Type: CONSTRAINT; Schema: bindery; Owner: -

ALTER TABLE ONLY bindery.pipelines
    ADD CONSTRAINT pipelines_pkey PRIMARY KEY (name, version);

-- Name: relay_cursors relay_cursors_pkey; Type: CONSTRAINT; Schema: bindery; Owner: -

ALTER TABLE ONLY bindery.relay_cursors
    ADD CONSTRAINT relay_cursors_pkey PRIMARY KEY (stream);

-- Name: schema_history schema_history_pkey; Type: CONSTRAINT; Schema: bindery_internal; Owner: -

ALTER TABLE ONLY bindery_internal.schema_history
    ADD CONSTRAINT schema_history_pkey PRIMARY KEY (version);

-- Name: book_status_created; Type: INDEX; Schema: bindery; Owner: -

CREATE INDEX book_status_created ON bindery.book_status USING btree (created_at DESC);

-- Name: book_status_owner; Type: INDEX; Schema: bindery; Owner: -

CREATE INDEX book_status_owner ON bindery.book_status USING btree (owner_id, created_at DESC);

-- Name: book_status_pipeline; Type: INDEX; Schema: bindery; Owner: -

CREATE INDEX book_status_pipeline ON bindery.book_status USING btree (pipeline, pipeline_version);

-- Name: dead_letters_stream; Type: INDEX; Schema: bindery; Owner: -

CREATE INDEX dead_letters_stream ON bindery.dead_letters USING btree (stream, id);

-- Name: book_status announce_change; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER announce_change AFTER UPDATE ON bindery.book_status REFERENCING OLD TABLE AS old_books NEW TABLE AS new_books FOR EACH STATEMENT EXECUTE FUNCTION bindery_internal.announce();

-- Name: book_status announce_start; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER announce_start AFTER INSERT ON bindery.book_status REFERENCING NEW TABLE AS new_books FOR EACH STATEMENT EXECUTE FUNCTION bindery_internal.announce();

-- Name: book_status guard_columns; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER guard_columns BEFORE UPDATE ON bindery.book_status FOR EACH ROW WHEN (((old.book_id <> new.book_id) OR (old.pipeline <> new.pipeline) OR (old.pipeline_version <> new.pipeline_version) OR (old.created_at <> new.created_at) OR (new.revision < old.revision) OR ((old.status = new.status) AND ((old.current_stage <> new.current_stage) OR (old.attempt <> new.attempt))) OR ((pg_trigger_depth() = 0) AND (old.status = new.status) AND (((((old.overall_progress IS DISTINCT FROM new.overall_progress) OR (old.stage_progress IS DISTINCT FROM new.stage_progress)) OR (old.substeps IS DISTINCT FROM new.substeps)) OR (old.completed_at IS DISTINCT FROM new.completed_at)) OR (old.revision IS DISTINCT FROM new.revision))))) EXECUTE FUNCTION bindery_internal.guard_columns();

-- Name: book_status guard_transition; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER guard_transition BEFORE UPDATE ON bindery.book_status FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION bindery_internal.guard_transition();

-- Name: book_events history_is_append_only; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER history_is_append_only BEFORE UPDATE ON bindery.book_events FOR EACH ROW EXECUTE FUNCTION bindery_internal.refuse_history_change();

-- Name: pipelines pipeline_is_immutable; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER pipeline_is_immutable BEFORE UPDATE ON bindery.pipelines FOR EACH ROW EXECUTE FUNCTION bindery_internal.refuse_pipeline_change();

-- Name: book_status record_start; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER record_start AFTER INSERT ON bindery.book_status FOR EACH ROW EXECUTE FUNCTION bindery_internal.record_transition();

-- Name: book_status record_transition; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER record_transition AFTER UPDATE ON bindery.book_status FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION bindery_internal.record_transition();

-- Name: book_progress roll_up_deleted; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER roll_up_deleted AFTER DELETE ON bindery.book_progress REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION bindery_internal.roll_up();

-- Name: book_progress roll_up_inserted; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER roll_up_inserted AFTER INSERT ON bindery.book_progress REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION bindery_internal.roll_up();

-- Name: book_progress roll_up_updated; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER roll_up_updated AFTER UPDATE ON bindery.book_progress REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION bindery_internal.roll_up();

-- Name: book_status start_book; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER start_book BEFORE INSERT ON bindery.book_status FOR EACH ROW EXECUTE FUNCTION bindery_internal.start_book();

-- Name: book_status touch; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER touch BEFORE UPDATE ON bindery.book_status FOR EACH ROW WHEN (((old.status = new.status) AND (old.revision = new.revision) AND (((((((old.owner_id IS DISTINCT FROM new.owner_id) OR (old.title IS DISTINCT FROM new.title)) OR (old.message IS DISTINCT FROM new.message)) OR (old.error IS DISTINCT FROM new.error)) OR (old.metadata IS DISTINCT FROM new.metadata)) OR (old.resume_at IS DISTINCT FROM new.resume_at)) OR (old.estimated_completion_at IS DISTINCT FROM new.estimated_completion_at)))) EXECUTE FUNCTION bindery_internal.touch();

-- Name: book_status book_follows_a_pipeline; Type: FK CONSTRAINT; Schema: bindery; Owner: -

ALTER TABLE ONLY bindery.book_status
    ADD CONSTRAINT book_follows_a_pipeline FOREIGN KEY (pipeline, pipeline_version) REFERENCES bindery.pipelines(name, version);

-- Name: book_events event_belongs_to_a_book; Type: FK CONSTRAINT; Schema: bindery; Owner: -

ALTER TABLE ONLY bindery.book_events
    ADD CONSTRAINT event_belongs_to_a_book FOREIGN KEY (book_id) REFERENCES bindery.book_status(book_id) ON DELETE CASCADE;

-- Name: book_progress progress_belongs_to_a_book; Type: FK CONSTRAINT; Schema: bindery; Owner: -

ALTER TABLE ONLY bindery.book_progress
    ADD CONSTRAINT progress_belongs_to_a_book FOREIGN KEY (book_id) REFERENCES bindery.book_status(book_id) ON DELETE CASCADE;

-- Name: book_events; Type: ROW SECURITY; Schema: bindery; Owner: -

ALTER TABLE bindery.book_events ENABLE ROW LEVEL SECURITY;

-- Name: book_progress; Type: ROW SECURITY; Schema: bindery; Owner: -

ALTER TABLE bindery.book_progress ENABLE ROW LEVEL SECURITY;

-- Name: book_status; Type: ROW SECURITY; Schema: bindery; Owner: -

ALTER TABLE bindery.book_status ENABLE ROW LEVEL SECURITY;

-- Name: dead_letters; Type: ROW SECURITY; Schema: bindery; Owner: -

ALTER TABLE bindery.dead_letters ENABLE ROW LEVEL SECURITY;

-- Name: outbox; Type: ROW SECURITY; Schema: bindery; Owner: -

ALTER TABLE bindery.outbox ENABLE ROW LEVEL SECURITY;

-- Name: book_status owner_reads_book; Type: POLICY; Schema: bindery; Owner: -

CREATE POLICY owner_reads_book ON bindery.book_status FOR SELECT TO authenticated USING ((owner_id = ( SELECT bindery_internal.user_id() AS user_id)));

-- Name: book_events owner_reads_history; Type: POLICY; Schema: bindery; Owner: -

CREATE POLICY owner_reads_history ON bindery.book_events FOR SELECT TO authenticated USING ((EXISTS ( SELECT
   FROM bindery.book_status b
  WHERE ((b.book_id = book_events.book_id) AND (b.owner_id = ( SELECT bindery_internal.user_id() AS user_id))))));

-- Name: book_progress owner_reads_progress; Type: POLICY; Schema: bindery; Owner: -

CREATE POLICY owner_reads_progress ON bindery.book_progress FOR SELECT TO authenticated USING ((EXISTS ( SELECT
   FROM bindery.book_status b
  WHERE ((b.book_id = book_progress.book_id) AND (b.owner_id = ( SELECT bindery_internal.user_id() AS user_id))))));

-- Name: pipelines; Type: ROW SECURITY; Schema: bindery; Owner: -

ALTER TABLE bindery.pipelines ENABLE ROW LEVEL SECURITY;

-- Name: relay_cursors; Type: ROW SECURITY; Schema: bindery; Owner: -

ALTER TABLE bindery.relay_cursors ENABLE ROW LEVEL SECURITY;

-- Name: book_status service_inserts_books; Type: POLICY; Schema: bindery; Owner: -

CREATE POLICY service_inserts_books ON bindery.book_status FOR INSERT TO service_role WITH CHECK (true);

-- Name: book_status service_reads_books; Type: POLICY; Schema: bindery; Owner: -

CREATE POLICY service_reads_books ON bindery.book_status FOR SELECT TO service_role USING (true);

-- Name: relay_cursors service_reads_cursors; Type: POLICY; Schema: bindery; Owner: -

CREATE POLICY service_reads_cursors ON bindery.relay_cursors FOR SELECT TO service_role USING (true);

-- Name: dead_letters service_reads_dead_letters; Type: POLICY; Schema: bindery; Owner: -

CREATE POLICY service_reads_dead_letters ON bindery.dead_letters FOR SELECT TO service_role USING (true);

-- Name: book_events service_reads_history; Type: POLICY; Schema: bindery; Owner: -

CREATE POLICY service_reads_history ON bindery.book_events FOR SELECT TO service_role USING (true);

-- Name: outbox service_reads_outbox; Type: POLICY; Schema: bindery; Owner: -

CREATE POLICY service_reads_outbox ON bindery.outbox FOR SELECT TO service_role USING (true);

-- Name: pipelines service_reads_pipelines; Type: POLICY; Schema: bindery; Owner: -

CREATE POLICY service_reads_pipelines ON bindery.pipelines FOR SELECT TO service_role USING (true);

-- Name: book_progress service_reads_progress; Type: POLICY; Schema: bindery; Owner: -

CREATE POLICY service_reads_progress ON bindery.book_progress FOR SELECT TO service_role USING (true);

-- Name: book_status service_updates_books; Type: POLICY; Schema: bindery; Owner: -

CREATE POLICY service_updates_books ON bindery.book_status FOR UPDATE TO service_role USING (true) WITH CHECK (true);

-- Name: schema_history; Type: ROW SECURITY; Schema: bindery_internal; Owner: -

ALTER TABLE bindery_internal.schema_history ENABLE ROW LEVEL SECURITY;

-- Name: SCHEMA bindery; Type: ACL; Schema: -; Owner: -

GRANT USAGE ON SCHEMA bindery TO authenticated;
GRANT USAGE ON SCHEMA bindery TO service_role;
GRANT USAGE ON SCHEMA bindery TO bindery_relay;
GRANT USAGE ON SCHEMA bindery TO anon;

-- Name: SCHEMA bindery_internal; Type: ACL; Schema: -; Owner: -

GRANT USAGE ON SCHEMA bindery_internal TO authenticated;
GRANT USAGE ON SCHEMA bindery_internal TO service_role;
GRANT USAGE ON SCHEMA bindery_internal TO bindery_relay;

-- Name: FUNCTION acquire_stream(stream text, holder text, ttl interval); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.acquire_stream(stream text, holder text, ttl interval) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.acquire_stream(stream text, holder text, ttl interval) TO service_role;
GRANT ALL ON FUNCTION bindery.acquire_stream(stream text, holder text, ttl interval) TO bindery_relay;

-- Name: FUNCTION apply_events(stream text, epoch bigint, "position" text, events jsonb); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.apply_events(stream text, epoch bigint, "position" text, events jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.apply_events(stream text, epoch bigint, "position" text, events jsonb) TO service_role;
GRANT ALL ON FUNCTION bindery.apply_events(stream text, epoch bigint, "position" text, events jsonb) TO bindery_relay;

-- Name: TABLE book_status; Type: ACL; Schema: bindery; Owner: -

GRANT SELECT ON TABLE bindery.book_status TO authenticated;
GRANT SELECT ON TABLE bindery.book_status TO service_role;

-- Name: COLUMN book_status.book_id; Type: ACL; Schema: bindery; Owner: -

GRANT INSERT(book_id) ON TABLE bindery.book_status TO service_role;

-- Name: COLUMN book_status.owner_id; Type: ACL; Schema: bindery; Owner: -

GRANT INSERT(owner_id),UPDATE(owner_id) ON TABLE bindery.book_status TO service_role;

-- Name: COLUMN book_status.title; Type: ACL; Schema: bindery; Owner: -

GRANT INSERT(title),UPDATE(title) ON TABLE bindery.book_status TO service_role;

-- Name: COLUMN book_status.pipeline; Type: ACL; Schema: bindery; Owner: -

GRANT INSERT(pipeline) ON TABLE bindery.book_status TO service_role;

-- Name: COLUMN book_status.pipeline_version; Type: ACL; Schema: bindery; Owner: -

GRANT INSERT(pipeline_version) ON TABLE bindery.book_status TO service_role;

-- Name: COLUMN book_status.status; Type: ACL; Schema: bindery; Owner: -

GRANT INSERT(status),UPDATE(status) ON TABLE bindery.book_status TO service_role;

-- Name: COLUMN book_status.message; Type: ACL; Schema: bindery; Owner: -

GRANT UPDATE(message) ON TABLE bindery.book_status TO service_role;

-- Name: COLUMN book_status.error; Type: ACL; Schema: bindery; Owner: -

GRANT UPDATE(error) ON TABLE bindery.book_status TO service_role;

-- Name: COLUMN book_status.metadata; Type: ACL; Schema: bindery; Owner: -

GRANT INSERT(metadata),UPDATE(metadata) ON TABLE bindery.book_status TO service_role;

-- Name: FUNCTION cancel_book(book_id uuid, message text, expected_revision bigint); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.cancel_book(book_id uuid, message text, expected_revision bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.cancel_book(book_id uuid, message text, expected_revision bigint) TO service_role;

-- Name: FUNCTION define_pipeline(name text, definition jsonb); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.define_pipeline(name text, definition jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.define_pipeline(name text, definition jsonb) TO service_role;

-- Name: FUNCTION fail_book(book_id uuid, error jsonb, message text); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.fail_book(book_id uuid, error jsonb, message text) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.fail_book(book_id uuid, error jsonb, message text) TO service_role;

-- Name: FUNCTION get_book_status(book_id uuid); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.get_book_status(book_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.get_book_status(book_id uuid) TO authenticated;
GRANT ALL ON FUNCTION bindery.get_book_status(book_id uuid) TO service_role;

-- Name: FUNCTION get_resume_point(book_id uuid); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.get_resume_point(book_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.get_resume_point(book_id uuid) TO authenticated;
GRANT ALL ON FUNCTION bindery.get_resume_point(book_id uuid) TO service_role;

-- Name: FUNCTION heartbeat(book_id uuid, attempt integer); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.heartbeat(book_id uuid, attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.heartbeat(book_id uuid, attempt integer) TO service_role;

-- Name: FUNCTION list_books(max_books integer); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.list_books(max_books integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.list_books(max_books integer) TO authenticated;
GRANT ALL ON FUNCTION bindery.list_books(max_books integer) TO service_role;

-- Name: FUNCTION plan_substeps(book_id uuid, stage text, substeps jsonb); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.plan_substeps(book_id uuid, stage text, substeps jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.plan_substeps(book_id uuid, stage text, substeps jsonb) TO service_role;

-- Name: FUNCTION prune_events(before timestamp with time zone, batch integer); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.prune_events(before timestamp with time zone, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.prune_events(before timestamp with time zone, batch integer) TO service_role;

-- Name: FUNCTION register_book(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.register_book(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.register_book(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb) TO service_role;

-- Name: FUNCTION release_stream(stream text, epoch bigint); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.release_stream(stream text, epoch bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.release_stream(stream text, epoch bigint) TO service_role;
GRANT ALL ON FUNCTION bindery.release_stream(stream text, epoch bigint) TO bindery_relay;

-- Name: FUNCTION renew_stream(stream text, epoch bigint); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.renew_stream(stream text, epoch bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.renew_stream(stream text, epoch bigint) TO service_role;
GRANT ALL ON FUNCTION bindery.renew_stream(stream text, epoch bigint) TO bindery_relay;

-- Name: FUNCTION report_progress(book_id uuid, substep text, progress double precision, done double precision, total double precision, unit text, message text, checkpoint jsonb, stage text, attempt integer); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.report_progress(book_id uuid, substep text, progress double precision, done double precision, total double precision, unit text, message text, checkpoint jsonb, stage text, attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.report_progress(book_id uuid, substep text, progress double precision, done double precision, total double precision, unit text, message text, checkpoint jsonb, stage text, attempt integer) TO service_role;

-- Name: FUNCTION resume_book(book_id uuid, expected_revision bigint); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.resume_book(book_id uuid, expected_revision bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.resume_book(book_id uuid, expected_revision bigint) TO service_role;

-- Name: FUNCTION status_at(book_id uuid, at timestamp with time zone); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.status_at(book_id uuid, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.status_at(book_id uuid, at timestamp with time zone) TO authenticated;
GRANT ALL ON FUNCTION bindery.status_at(book_id uuid, at timestamp with time zone) TO service_role;

-- Name: TABLE outbox; Type: ACL; Schema: bindery; Owner: -

GRANT SELECT ON TABLE bindery.outbox TO service_role;

-- Name: FUNCTION take_outbox(max_rows integer); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.take_outbox(max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.take_outbox(max_rows integer) TO service_role;
GRANT ALL ON FUNCTION bindery.take_outbox(max_rows integer) TO bindery_relay;

-- Name: FUNCTION transition_book(book_id uuid, to_status text, message text, expected_revision bigint); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.transition_book(book_id uuid, to_status text, message text, expected_revision bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.transition_book(book_id uuid, to_status text, message text, expected_revision bigint) TO service_role;

-- Name: FUNCTION acquire_stream(stream text, holder text, ttl interval); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.acquire_stream(stream text, holder text, ttl interval) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.acquire_stream(stream text, holder text, ttl interval) TO service_role;
GRANT ALL ON FUNCTION bindery_internal.acquire_stream(stream text, holder text, ttl interval) TO bindery_relay;

-- Name: FUNCTION actor(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.actor() FROM PUBLIC;

-- Name: FUNCTION announce(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.announce() FROM PUBLIC;

-- Name: FUNCTION apply_events(stream text, epoch bigint, "position" text, events jsonb, OUT applied bigint, OUT stale bigint, OUT dead bigint); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.apply_events(stream text, epoch bigint, "position" text, events jsonb, OUT applied bigint, OUT stale bigint, OUT dead bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.apply_events(stream text, epoch bigint, "position" text, events jsonb, OUT applied bigint, OUT stale bigint, OUT dead bigint) TO service_role;
GRANT ALL ON FUNCTION bindery_internal.apply_events(stream text, epoch bigint, "position" text, events jsonb, OUT applied bigint, OUT stale bigint, OUT dead bigint) TO bindery_relay;

-- Name: FUNCTION apply_item(item jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.apply_item(item jsonb) FROM PUBLIC;

-- Name: FUNCTION apply_reports(reports jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.apply_reports(reports jsonb) FROM PUBLIC;

-- Name: FUNCTION apply_segment(stream text, items jsonb, OUT applied bigint, OUT stale bigint, OUT dead bigint); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.apply_segment(stream text, items jsonb, OUT applied bigint, OUT stale bigint, OUT dead bigint) FROM PUBLIC;

-- Name: FUNCTION bad_input(argument text, problem text, hint text); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.bad_input(argument text, problem text, hint text) FROM PUBLIC;

-- Name: FUNCTION bury(stream text, items jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.bury(stream text, items jsonb) FROM PUBLIC;

-- Name: FUNCTION define_pipeline(name text, definition jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.define_pipeline(name text, definition jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.define_pipeline(name text, definition jsonb) TO service_role;

-- Name: FUNCTION do_heartbeats(heartbeats jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.do_heartbeats(heartbeats jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.do_heartbeats(heartbeats jsonb) TO service_role;

-- Name: FUNCTION do_plan(book_id uuid, stage text, substeps jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.do_plan(book_id uuid, stage text, substeps jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.do_plan(book_id uuid, stage text, substeps jsonb) TO service_role;

-- Name: FUNCTION do_register(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.do_register(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.do_register(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb) TO service_role;

-- Name: FUNCTION do_report(report jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.do_report(report jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.do_report(report jsonb) TO service_role;

-- Name: FUNCTION do_resume(book_id uuid, expected_revision bigint); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.do_resume(book_id uuid, expected_revision bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.do_resume(book_id uuid, expected_revision bigint) TO service_role;

-- Name: FUNCTION do_transition(book_id uuid, to_status text, message text, expected_revision bigint, attempt integer, error jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.do_transition(book_id uuid, to_status text, message text, expected_revision bigint, attempt integer, error jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.do_transition(book_id uuid, to_status text, message text, expected_revision bigint, attempt integer, error jsonb) TO service_role;

-- Name: FUNCTION error(sqlstate text, code text, message text, hint text, detail jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.error(sqlstate text, code text, message text, hint text, detail jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.error(sqlstate text, code text, message text, hint text, detail jsonb) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.error(sqlstate text, code text, message text, hint text, detail jsonb) TO service_role;

-- Name: FUNCTION facts(book bindery.book_status, machine jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.facts(book bindery.book_status, machine jsonb) FROM PUBLIC;

-- Name: FUNCTION fenced(stream text, epoch bigint); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.fenced(stream text, epoch bigint) FROM PUBLIC;

-- Name: FUNCTION guard_columns(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.guard_columns() FROM PUBLIC;

-- Name: FUNCTION guard_transition(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.guard_transition() FROM PUBLIC;

-- Name: FUNCTION health(book bindery.book_status, machine jsonb, moment timestamp with time zone); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.health(book bindery.book_status, machine jsonb, moment timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.health(book bindery.book_status, machine jsonb, moment timestamp with time zone) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.health(book bindery.book_status, machine jsonb, moment timestamp with time zone) TO service_role;

-- Name: FUNCTION illegal_transition(machine jsonb, from_status text, stage text, to_status text, reason text); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.illegal_transition(machine jsonb, from_status text, stage text, to_status text, reason text) FROM PUBLIC;

-- Name: FUNCTION is_after(a text, b text); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.is_after(a text, b text) FROM PUBLIC;

-- Name: FUNCTION is_transient(sqlstate text); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.is_transient(sqlstate text) FROM PUBLIC;

-- Name: FUNCTION judge(book_id uuid, stage text, attempt integer); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.judge(book_id uuid, stage text, attempt integer) FROM PUBLIC;

-- Name: TABLE book_progress; Type: ACL; Schema: bindery; Owner: -

GRANT SELECT ON TABLE bindery.book_progress TO authenticated;
GRANT SELECT ON TABLE bindery.book_progress TO service_role;

-- Name: FUNCTION kept(resuming boolean, g bindery.book_progress); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.kept(resuming boolean, g bindery.book_progress) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.kept(resuming boolean, g bindery.book_progress) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.kept(resuming boolean, g bindery.book_progress) TO service_role;

-- Name: FUNCTION machine(pipeline text, pipeline_version integer); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.machine(pipeline text, pipeline_version integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.machine(pipeline text, pipeline_version integer) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.machine(pipeline text, pipeline_version integer) TO service_role;

-- Name: FUNCTION now(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.now() FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.now() TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.now() TO service_role;

-- Name: FUNCTION prune_events(before timestamp with time zone, batch integer); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.prune_events(before timestamp with time zone, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.prune_events(before timestamp with time zone, batch integer) TO service_role;

-- Name: FUNCTION raise_error(error jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.raise_error(error jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.raise_error(error jsonb) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.raise_error(error jsonb) TO service_role;

-- Name: FUNCTION record_transition(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.record_transition() FROM PUBLIC;

-- Name: FUNCTION refuse_history_change(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.refuse_history_change() FROM PUBLIC;

-- Name: FUNCTION refuse_pipeline_change(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.refuse_pipeline_change() FROM PUBLIC;

-- Name: FUNCTION refused_report(verdict text, book_id uuid, stage text, substep text, attempt integer); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.refused_report(verdict text, book_id uuid, stage text, substep text, attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.refused_report(verdict text, book_id uuid, stage text, substep text, attempt integer) TO service_role;

-- Name: FUNCTION refused_transition(book bindery.book_status, to_status text); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.refused_transition(book bindery.book_status, to_status text) FROM PUBLIC;

-- Name: FUNCTION release_stream(stream text, epoch bigint); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.release_stream(stream text, epoch bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.release_stream(stream text, epoch bigint) TO service_role;
GRANT ALL ON FUNCTION bindery_internal.release_stream(stream text, epoch bigint) TO bindery_relay;

-- Name: FUNCTION renew_stream(stream text, epoch bigint); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.renew_stream(stream text, epoch bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.renew_stream(stream text, epoch bigint) TO service_role;
GRANT ALL ON FUNCTION bindery_internal.renew_stream(stream text, epoch bigint) TO bindery_relay;

-- Name: FUNCTION roll_up(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.roll_up() FROM PUBLIC;

-- Name: FUNCTION start_book(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.start_book() FROM PUBLIC;

-- Name: FUNCTION substep_rows(book_id uuid, stage text, resuming boolean); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.substep_rows(book_id uuid, stage text, resuming boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.substep_rows(book_id uuid, stage text, resuming boolean) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.substep_rows(book_id uuid, stage text, resuming boolean) TO service_role;

-- Name: FUNCTION take_outbox(max_rows integer); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.take_outbox(max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.take_outbox(max_rows integer) TO service_role;
GRANT ALL ON FUNCTION bindery_internal.take_outbox(max_rows integer) TO bindery_relay;

-- Name: FUNCTION touch(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.touch() FROM PUBLIC;

-- Name: FUNCTION unknown_book(book_id uuid); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.unknown_book(book_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.unknown_book(book_id uuid) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.unknown_book(book_id uuid) TO service_role;

-- Name: FUNCTION unknown_pipeline(pipeline text, pipeline_version integer); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.unknown_pipeline(pipeline text, pipeline_version integer) FROM PUBLIC;

-- Name: FUNCTION user_id(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.user_id() FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.user_id() TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.user_id() TO service_role;

-- Name: TABLE book_events; Type: ACL; Schema: bindery; Owner: -

GRANT SELECT ON TABLE bindery.book_events TO authenticated;
GRANT SELECT ON TABLE bindery.book_events TO service_role;

-- Name: TABLE dead_letters; Type: ACL; Schema: bindery; Owner: -

GRANT SELECT ON TABLE bindery.dead_letters TO service_role;

-- Name: TABLE pipelines; Type: ACL; Schema: bindery; Owner: -

GRANT SELECT ON TABLE bindery.pipelines TO service_role;

-- Name: TABLE relay_cursors; Type: ACL; Schema: bindery; Owner: -

GRANT SELECT ON TABLE bindery.relay_cursors TO service_role;

-- PostgreSQL database dump complete

