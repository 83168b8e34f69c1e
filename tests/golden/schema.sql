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

CREATE FUNCTION bindery.acquire_stream(stream text, holder text, ttl interval DEFAULT '00:00:10'::interval) RETURNS TABLE(epoch bigint, "position" text, lease_expires_at timestamp with time zone, entries bigint)
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  select a.epoch, a.position, a.lease_expires_at, a.entries from bindery_internal.acquire_stream(stream, holder, ttl) a;
$$;

-- Name: FUNCTION acquire_stream(stream text, holder text, ttl interval); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.acquire_stream(stream text, holder text, ttl interval) IS 'Takes the lease on a stream: gives a new epoch, and the position applied so far.
Also when the lease ends unless renewed, and how many entries Redis had counted at the position (null: not known). The present holder may take it again at once. PT409 lease_held while another''s lease lasts, PT422 bad_input.';

-- Name: announce_relay(text, text[], interval); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.announce_relay(holder text, streams text[], ttl interval DEFAULT '00:00:10'::interval, OUT relays integer, OUT give_up text, OUT leave text[]) RETURNS record
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  select a.relays, a.give_up, a.leave from bindery_internal.announce_relay(holder, streams, ttl) a;
$$;

-- Name: FUNCTION announce_relay(holder text, streams text[], ttl interval, OUT relays integer, OUT give_up text, OUT leave text[]); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.announce_relay(holder text, streams text[], ttl interval, OUT relays integer, OUT give_up text, OUT leave text[]) IS 'Says that a relay lives, for as long as ttl, and which streams it would read, so that living relays share them evenly; an empty list says goodbye.
Gives how many relays share these streams, one that it holds and should release now for another that has fewer (or null), and those that are free and that another with fewer should take. PT422 bad_input.';

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
    CONSTRAINT message_is_plain_text CHECK ((message !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]'::text)),
    CONSTRAINT message_is_short CHECK ((length(message) <= 8192)),
    CONSTRAINT metadata_is_an_object CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT metadata_is_small CHECK ((pg_column_size(metadata) <= 1048576)),
    CONSTRAINT overall_progress_is_percent CHECK (((overall_progress >= (0)::double precision) AND (overall_progress <= (100)::double precision))),
    CONSTRAINT stage_progress_is_percent CHECK (((stage_progress >= (0)::double precision) AND (stage_progress <= (100)::double precision))),
    CONSTRAINT title_is_plain_text CHECK ((title !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]'::text)),
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

COMMENT ON COLUMN bindery.book_status.attempt IS 'Which try at the current stage this is: 1, and one more at each resume and each time the book comes back to the stage.';

-- Name: COLUMN book_status.revision; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.revision IS 'Grows by one with every visible change; drop what is older than what you have.';

-- Name: COLUMN book_status.heartbeat_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.heartbeat_at IS 'When a service was last heard of about this book.';

-- Name: COLUMN book_status.stage_started_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.stage_started_at IS 'When the current attempt at the current stage began.';

-- Name: COLUMN book_status.resume_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_status.resume_at IS 'When sweep is to resume a FAILED book; null: it waits for a person.';

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
    cancel_book.book_id, 'CANCELLED', cancel_book.message, cancel_book.expected_revision, asking_first => false));
  return query select b.* from bindery.book_status b where b.book_id = cancel_book.book_id;
end
$$;

-- Name: FUNCTION cancel_book(book_id uuid, message text, expected_revision bigint); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.cancel_book(book_id uuid, message text, expected_revision bigint) IS 'Stops a book for good, where it is; gives its row.
PT404 unknown_book, PT409 illegal_transition (it is at its end already) or stale_revision, PT422 bad_input.';

-- Name: dead_letter_reasons(text, text, integer); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.dead_letter_reasons(stream text, after text DEFAULT '0-0'::text, max_letters integer DEFAULT 10000) RETURNS TABLE(reason text, letters bigint, events bigint)
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select r.* from bindery_internal.dead_letter_reasons(dead_letter_reasons.stream, dead_letter_reasons.after, dead_letter_reasons.max_letters) r;
$$;

-- Name: FUNCTION dead_letter_reasons(stream text, after text, max_letters integer); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.dead_letter_reasons(stream text, after text, max_letters integer) IS 'Why events of a stream went to dead_letters, most frequent first: of the newest max_letters letters (at most 100,000) those whose event comes after an id.
PT422 bad_input.';

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

-- Name: drop_dead_letters(bigint[]); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.drop_dead_letters(ids bigint[]) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  return bindery_internal.drop_dead_letters(drop_dead_letters.ids);
end
$$;

-- Name: FUNCTION drop_dead_letters(ids bigint[]); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.drop_dead_letters(ids bigint[]) IS 'Deletes these dead letters (1 to 10,000 ids) for good, and gives how many there were.
PT422 bad_input.';

-- Name: fail_book(uuid, jsonb, text, bigint, integer); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.fail_book(book_id uuid, error jsonb DEFAULT NULL::jsonb, message text DEFAULT NULL::text, expected_revision bigint DEFAULT NULL::bigint, attempt integer DEFAULT NULL::integer) RETURNS SETOF bindery.book_status
    LANGUAGE plpgsql ROWS 1
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_transition(
    fail_book.book_id, 'FAILED', fail_book.message, fail_book.expected_revision, fail_book.attempt,
    coalesce(fail_book.error, '{}'), asking_first => false));
  return query select b.* from bindery.book_status b where b.book_id = fail_book.book_id;
end
$$;

-- Name: FUNCTION fail_book(book_id uuid, error jsonb, message text, expected_revision bigint, attempt integer); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.fail_book(book_id uuid, error jsonb, message text, expected_revision bigint, attempt integer) IS 'Halts a book as FAILED with an error object and a message; gives its row.
The error has a code of yours ({"code": "out_of_memory", …}); with "retry": false the book waits for a person, else sweep resumes it where its stage says retry_after and attempts are left. A worker gives its attempt: from an earlier one than the book''s the call has no effect. PT404 unknown_book, PT409 illegal_transition, stale_revision or attempt_ahead, PT422 bad_input.';

-- Name: forget_stream(text); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.forget_stream(stream text) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  select bindery_internal.forget_stream(stream);
$$;

-- Name: FUNCTION forget_stream(stream text); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.forget_stream(stream text) IS 'Deletes the row of a stream that is no longer read: its position, lease and counts. Its dead letters stay.
Without it a stream whose relay is gone for good would hold the detection of stalled books up for ever. Acquired again, the stream is read from its beginning. PT404 unknown_stream, PT409 lease_held while its lease lasts.';

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
  if heartbeat.attempt < 1 then
    perform bindery_internal.raise_error(bindery_internal.refused_attempt());
  end if;
  perform bindery_internal.raise_error(bindery_internal.refused_report(h.verdict, heartbeat.book_id, null, null, heartbeat.attempt))
  from bindery_internal.do_heartbeats(jsonb_build_array(
    jsonb_build_object('book_id', heartbeat.book_id, 'attempt', heartbeat.attempt))) h;
end
$$;

-- Name: FUNCTION heartbeat(book_id uuid, attempt integer); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.heartbeat(book_id uuid, attempt integer) IS 'Says that a book''s service is alive.
PT404 unknown_book, PT409 attempt_ahead.';

-- Name: list_books(integer); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.list_books(max_books integer DEFAULT 100) RETURNS SETOF bindery.book_status
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select b.* from bindery.book_status b order by b.created_at desc, b.book_id limit least(greatest(max_books, 0), 1000);
$$;

-- Name: FUNCTION list_books(max_books integer); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.list_books(max_books integer) IS 'The newest books the caller may read, up to 1,000 (100 unless told). For filters and paging read the table book_status.';

-- Name: note_stream(text, bigint, bigint, text, bigint, text); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.note_stream(stream text, epoch bigint, entries bigint DEFAULT NULL::bigint, loss text DEFAULT NULL::text, lost bigint DEFAULT 0, "position" text DEFAULT NULL::text) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  select bindery_internal.note_stream(stream, epoch, entries, loss, lost, "position");
$$;

-- Name: FUNCTION note_stream(stream text, epoch bigint, entries bigint, loss text, lost bigint, "position" text); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.note_stream(stream text, epoch bigint, entries bigint, loss text, lost bigint, "position" text) IS 'Notes what the relay found its stream to be: how many entries Redis had counted at the position, and what is lost.
Where something is missing: what happened (trimmed, deleted, recreated, rewound) and how many entries are known to be lost. With a position, the stream is read from there on, which may lie before: what comes after it is new. PT409 fenced where the epoch is not the newest, PT422 bad_input.';

-- Name: outbox_backlog(integer); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.outbox_backlog(max_messages integer DEFAULT 100000, OUT messages bigint, OUT oldest_at timestamp with time zone, OUT age interval) RETURNS record
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select b.* from bindery_internal.outbox_backlog(outbox_backlog.max_messages) b;
$$;

-- Name: FUNCTION outbox_backlog(max_messages integer, OUT messages bigint, OUT oldest_at timestamp with time zone, OUT age interval); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.outbox_backlog(max_messages integer, OUT messages bigint, OUT oldest_at timestamp with time zone, OUT age interval) IS 'How many messages of the outbox wait to be published, counted up to max_messages (at most 1,000,000), and since when the oldest does.';

-- Name: pipeline_xstate(text, integer); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.pipeline_xstate(name text, version integer DEFAULT NULL::integer) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
  which constant integer := coalesce(pipeline_xstate.version, bindery_internal.latest_version(pipeline_xstate.name));
  machine constant jsonb := bindery_internal.machine(pipeline_xstate.name, which);
  id constant text := pipeline_xstate.name;
  initial constant text := machine #>> '{states,0,name}';
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('name', pipeline_xstate.name, 63));
  if machine is null then
    perform bindery_internal.raise_error(bindery_internal.unknown_pipeline(coalesce(id, '(null)'), pipeline_xstate.version));
  end if;
  return (
    select jsonb_build_object(
      'id', id,
      'version', which::text,
      'initial', initial,
      'meta', jsonb_build_object('pipeline', id, 'version', which, 'total_weight', machine -> 'total_weight',
        'auto_advance', machine -> 'auto_advance',
        -- The keys of an object have no order in JSON.
        'order', jsonb_agg(s.state -> 'name' order by s.ord)),
      'states', jsonb_object_agg(s.state ->> 'name', bindery_internal.xstate_node(s.state))
        || jsonb_build_object(
          'CANCELLED', jsonb_build_object('type', 'final', 'meta', jsonb_build_object('label', 'Cancelled')),
          'FAILED', jsonb_build_object(
            'initial', initial,
            'meta', jsonb_build_object('label', 'Failed'),
            'on', jsonb_build_object('CANCELLED', bindery_internal.xstate_edge('cancel', 'CANCELLED')),
            'states', jsonb_object_agg(s.state ->> 'name', jsonb_build_object('on', jsonb_build_object(
              s.state ->> 'name', bindery_internal.xstate_edge('resume', format('#%s.%s', id, s.state ->> 'name')))))
              filter (where not (s.state ->> 'final')::boolean))))
    from jsonb_array_elements(machine -> 'states') with ordinality as s(state, ord));
end
$$;

-- Name: FUNCTION pipeline_xstate(name text, version integer); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.pipeline_xstate(name text, version integer) IS 'A pipeline as a config for XState v5''s createMachine; the latest version unless told.
An event''s type is the status it asks for ({"type": "ANALYZING"}). FAILED has a child for each state it can resume to: a book that failed in ANALYZING is {"FAILED": "ANALYZING"}. Guards are given by name, weights, labels and limits (seconds) in meta. PT404 unknown_pipeline.';

-- Name: place_of_books(text, uuid[]); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.place_of_books(stage text, book_ids uuid[]) RETURNS TABLE(book_id uuid, place text)
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select p.* from bindery_internal.place_of_books(place_of_books.stage, place_of_books.book_ids) p;
$$;

-- Name: FUNCTION place_of_books(stage text, book_ids uuid[]); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.place_of_books(stage text, book_ids uuid[]) IS 'Where books stand as a stage sees them: at it; failed in it; before it, where the next transition may lead there; else elsewhere.
Unknown books are left out. PT422 bad_input.';

-- Name: plan_substeps(uuid, text, jsonb, bigint); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.plan_substeps(book_id uuid, stage text, substeps jsonb, expected_revision bigint DEFAULT NULL::bigint) RETURNS SETOF bindery.book_status
    LANGUAGE plpgsql ROWS 1
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_plan(
    plan_substeps.book_id, plan_substeps.stage, plan_substeps.substeps, plan_substeps.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = plan_substeps.book_id;
end
$$;

-- Name: FUNCTION plan_substeps(book_id uuid, stage text, substeps jsonb, expected_revision bigint); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.plan_substeps(book_id uuid, stage text, substeps jsonb, expected_revision bigint) IS 'Declares a book''s own substeps of a stage, [{"name", "weight"}], up to 10,000; gives its row.
Planning again changes weights, never progress. PT404 unknown_book or unknown_stage, PT409 stale_revision, PT422 bad_input.';

-- Name: prune_dead_letters(timestamp with time zone, integer); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.prune_dead_letters(before timestamp with time zone, batch integer DEFAULT 1000) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  return bindery_internal.prune_dead_letters(prune_dead_letters.before, prune_dead_letters.batch);
end
$$;

-- Name: FUNCTION prune_dead_letters(before timestamp with time zone, batch integer); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.prune_dead_letters(before timestamp with time zone, batch integer) IS 'Deletes up to batch (1 to 100,000) dead letters refused before a moment, and gives how many; call it until it gives 0.
PT422 bad_input.';

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
Each book keeps its newest row, and the one that says how it ended; until then also the newest of each stage. PT422 bad_input.';

-- Name: prune_outbox(timestamp with time zone, integer); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.prune_outbox(before timestamp with time zone, batch integer DEFAULT 1000) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  return bindery_internal.prune_outbox(prune_outbox.before, prune_outbox.batch);
end
$$;

-- Name: FUNCTION prune_outbox(before timestamp with time zone, batch integer); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.prune_outbox(before timestamp with time zone, batch integer) IS 'Deletes up to batch (1 to 100,000) messages of the outbox written before a moment, unpublished, and gives how many; call it until it gives 0.
For when nothing publishes them; what is lost is what workers were to hear of. PT422 bad_input.';

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

COMMENT ON FUNCTION bindery.release_stream(stream text, epoch bigint) IS 'Gives the lease up, so that another relay need not wait for its end.
PT409 fenced where the epoch is not the newest.';

-- Name: renew_stream(text, bigint, timestamp with time zone); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.renew_stream(stream text, epoch bigint, caught_up_at timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  select bindery_internal.renew_stream(stream, epoch, caught_up_at);
$$;

-- Name: FUNCTION renew_stream(stream text, epoch bigint, caught_up_at timestamp with time zone); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.renew_stream(stream text, epoch bigint, caught_up_at timestamp with time zone) IS 'Prolongs the lease by its ttl and gives its new end.
PT409 fenced where the epoch is not the newest. caught_up_at says that everything that was in the stream at that moment of this database''s clock is applied; kept in relay_cursors where it is later than what is known, at most now, or PT422 bad_input. A relay may say it of a moment whose answer it had before it began a read that found no more than it has applied.';

-- Name: replay_dead_letters(text, text, uuid, integer, bigint[]); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.replay_dead_letters(stream text DEFAULT NULL::text, reason text DEFAULT NULL::text, book_id uuid DEFAULT NULL::uuid, max_letters integer DEFAULT 100, ids bigint[] DEFAULT NULL::bigint[]) RETURNS TABLE(applied bigint, stale bigint, dead bigint)
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  select r.applied, r.stale, r.dead from bindery_internal.replay_dead_letters(stream, reason, book_id, max_letters, ids) r;
$$;

-- Name: FUNCTION replay_dead_letters(stream text, reason text, book_id uuid, max_letters integer, ids bigint[]); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.replay_dead_letters(stream text, reason text, book_id uuid, max_letters integer, ids bigint[]) IS 'Applies dead letters once more, the oldest first, up to max_letters (1 to 10,000), and counts the events: applied, stale, dead.
All filters given must fit: the stream, the reason, the book, the letters'' ids. What took effect or came too late is deleted; the rest stays with its newest reason. The history names replay as the actor. Truncated letters and entries that the relay could not read stay as they are: send those again. PT409 replay_running, PT422 bad_input.';

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

-- Name: rewind_book(uuid, text, text, bigint); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.rewind_book(book_id uuid, to_stage text, message text DEFAULT NULL::text, expected_revision bigint DEFAULT NULL::bigint) RETURNS SETOF bindery.book_status
    LANGUAGE plpgsql ROWS 1
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_rewind(
    rewind_book.book_id, rewind_book.to_stage, rewind_book.message, rewind_book.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = rewind_book.book_id;
end
$$;

-- Name: FUNCTION rewind_book(book_id uuid, to_stage text, message text, expected_revision bigint); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.rewind_book(book_id uuid, to_stage text, message text, expected_revision bigint) IS 'Takes a book back to an earlier stage, or a FAILED one to the start of the stage it failed in; gives its row.
The stage starts over with nothing kept, as its next attempt, and workers hear of it as of a resume. A book that is complete or CANCELLED is not rewound. PT404 unknown_book or unknown_stage, PT409 illegal_transition (the detail lists where it may go) or stale_revision, PT422 bad_input.';

-- Name: status_at(uuid, timestamp with time zone); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.status_at(book_id uuid, at timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
  if status_at.at is null then
    perform bindery_internal.raise_error(bindery_internal.bad_input('at', 'is missing', 'Give the moment to look back to.'));
  elsif not exists (select from bindery.book_status b where b.book_id = status_at.book_id) then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(status_at.book_id));
  end if;
  return (
    select jsonb_build_object('book_id', e.book_id, 'status', e.to_status, 'stage', e.stage, 'attempt', e.attempt,
      'revision', e.revision, 'since', e.at, 'actor', e.actor, 'message', e.message, 'data', e.data)
    from bindery.book_events e
    -- Where the next row goes on from somewhere else, what lay between was pruned, and nobody can tell.
    left join lateral (
      select n.from_status from bindery.book_events n
      where n.book_id = e.book_id and n.revision > e.revision order by n.revision limit 1) n on true
    where e.book_id = status_at.book_id and e.revision = (
        select max(l.revision) from bindery.book_events l where l.book_id = status_at.book_id and l.at <= status_at.at)
      and coalesce(n.from_status, e.to_status) = e.to_status);
end
$$;

-- Name: FUNCTION status_at(book_id uuid, at timestamp with time zone); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.status_at(book_id uuid, at timestamp with time zone) IS 'What a book''s status was at a moment, from its history, as one JSON object; null before it was registered, or where that history was pruned.
{book_id, status, stage, attempt, revision, since, actor, message, data}. PT404 unknown_book, PT422 bad_input.';

-- Name: sweep(timestamp with time zone); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.sweep(now timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  return bindery_internal.sweep(sweep.now);
end
$$;

-- Name: FUNCTION sweep(now timestamp with time zone); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.sweep(now timestamp with time zone) IS 'Fails books that have been silent for longer than their stage''s stall_after, and resumes FAILED ones that are due; up to 500 of each.
{stalled, resumed, waiting_for}. No book is called stalled while waiting_for names streams: their relay has no lease, or has never caught up; and silence counts only up to the moment to which every relay has caught up. Call it every few seconds (binderyd does); two at once: the second does nothing. now: the moment to judge by, the clock''s unless given (only the schema''s owner may name one that has not come). PT422 bad_input.';

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

COMMENT ON TABLE bindery.outbox IS 'Messages on their way to the stream bindery:changes: transitions, and resume commands (after a resume or a rewind) with the resume point.';

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

-- Name: transition_book(uuid, text, text, bigint, integer); Type: FUNCTION; Schema: bindery; Owner: -

CREATE FUNCTION bindery.transition_book(book_id uuid, to_status text, message text DEFAULT NULL::text, expected_revision bigint DEFAULT NULL::bigint, attempt integer DEFAULT NULL::integer) RETURNS SETOF bindery.book_status
    LANGUAGE plpgsql ROWS 1
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
  refusal constant jsonb := bindery_internal.do_transition(
    transition_book.book_id, transition_book.to_status, transition_book.message, transition_book.expected_revision,
    transition_book.attempt, asking_first => false);
begin
  if refusal is not null then
    perform bindery_internal.raise_error(refusal);
  end if;
  return query select b.* from bindery.book_status b where b.book_id = transition_book.book_id;
end
$$;

-- Name: FUNCTION transition_book(book_id uuid, to_status text, message text, expected_revision bigint, attempt integer); Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON FUNCTION bindery.transition_book(book_id uuid, to_status text, message text, expected_revision bigint, attempt integer) IS 'Changes a book''s status where its pipeline allows it, and gives its row.
To the stage a FAILED book failed in, it is a resume. A worker gives its attempt: from an earlier one than the book''s the call has no effect. PT404 unknown_book, PT409 illegal_transition (the detail lists what is allowed), stale_revision or attempt_ahead, PT422 bad_input.';

-- Name: acquire_stream(text, text, interval); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.acquire_stream(stream text, holder text, ttl interval) RETURNS TABLE(epoch bigint, "position" text, lease_expires_at timestamp with time zone, entries bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
  cursor_row bindery.relay_cursors;
  moment timestamptz;
  -- In seconds alone: a month and minus 30 days compare as nothing, and added to a date are something.
  length_of interval;
begin
  if acquire_stream.stream is null or length(acquire_stream.stream) not between 1 and 512 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('stream', 'is not a name of 1 to 512 characters', 'Give the key of the Redis stream.'));
  elsif acquire_stream.holder is null or length(acquire_stream.holder) not between 1 and 512 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('holder', 'is not a name of 1 to 512 characters', 'Give a name that no other relay has.'));
  end if;
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_text('stream', acquire_stream.stream, 512),
    bindery_internal.refused_text('holder', acquire_stream.holder, 512)));
  if acquire_stream.ttl is null or acquire_stream.ttl not between '100 milliseconds' and '1 hour' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('ttl', 'is not between 100 milliseconds and 1 hour', 'Give an interval such as 10 seconds.'));
  end if;

  length_of := make_interval(secs => extract(epoch from acquire_stream.ttl)::double precision);
  loop
    insert into bindery.relay_cursors (stream) values (acquire_stream.stream) on conflict (stream) do nothing;
    select c.* into cursor_row from bindery.relay_cursors c where c.stream = acquire_stream.stream for no key update;
    -- Not there: it was forgotten while this waited for its lock.
    exit when found;
  end loop;
  -- After the lock: it may have been waited for.
  moment := bindery_internal.now();
  if cursor_row.holder <> acquire_stream.holder and cursor_row.lease_expires_at > moment then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'lease_held',
      format('The stream %s is held by %s.', acquire_stream.stream, cursor_row.holder),
      'Stand by and try again when the lease runs out.',
      jsonb_build_object('stream', acquire_stream.stream, 'holder', cursor_row.holder, 'lease_expires_at', cursor_row.lease_expires_at)));
  end if;
  if cursor_row.epoch = 0 then
    -- Its epochs go on where it was forgotten; which the insert above may have waited for.
    with remembered as (delete from bindery_internal.forgotten_streams f where f.stream = acquire_stream.stream returning f.epoch)
    update bindery.relay_cursors c set epoch = r.epoch from remembered r where c.stream = acquire_stream.stream;
  end if;
  return query
  update bindery.relay_cursors c
  set epoch = c.epoch + 1, holder = acquire_stream.holder, lease_ttl = length_of, lease_expires_at = moment + length_of
  where c.stream = acquire_stream.stream
  returning c.epoch, c.position, c.lease_expires_at, c.applied + c.stale + c.dead + c.entries_ahead;
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
    AS $$
declare
  changed uuid[];
  revisions bigint[];
begin
  -- do_transition's UPDATE, too, is of one book that is known, and announced, without these tables; but not what others' triggers do
  -- in the midst of it.
  if coalesce(current_setting('bindery.batching', true), '') = 'yes'
    or (pg_trigger_depth() = 1 and coalesce(current_setting('bindery.changing', true), '') <> '')
  then
    return null;
  elsif tg_op = 'INSERT' then
    select array_agg(n.book_id), array_agg(n.revision) into changed, revisions from new_books n;
  else
    -- No join: transition tables have no index and no statistics, and a nested loop over 1,000 books looks at a million pairs.
    select array_agg(c.book_id), array_agg(c.revision) into changed, revisions
    from (select n.book_id, n.revision from new_books n except select o.book_id, o.revision from old_books o) as c;
  end if;
  perform bindery_internal.announce_books(changed, revisions);
  return null;
end
$$;

-- Name: FUNCTION announce(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.announce() IS 'Announces the books a statement changed, unless a batch does so at its end.';

-- Name: announce_books(uuid[], bigint[]); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.announce_books(book_ids uuid[], revisions bigint[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  nothing text;
begin
  if book_ids is null then
    return;
  end if;
  -- The schema first: it is the quicker look-up, and on plain Postgres the only one. Whoever may not look into it is as without it;
  -- to_regprocedure would raise.
  if has_schema_privilege(to_regnamespace('realtime'), 'usage') and to_regprocedure('realtime.send(jsonb,text,text,boolean)') is not null then
    if bindery_internal.broadcasts() then
      perform bindery_internal.broadcast(book_ids);
    end if;
  else
    -- Not both: NOTIFY makes the commits of a whole cluster queue up behind each other.
    for i in 1 .. cardinality(book_ids) loop
      -- An assignment, which costs a single book less than a query.
      nothing := pg_notify('bindery', json_build_object('book_id', book_ids[i], 'revision', revisions[i])::text);
    end loop;
  end if;
end
$$;

-- Name: FUNCTION announce_books(book_ids uuid[], revisions bigint[]); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.announce_books(book_ids uuid[], revisions bigint[]) IS 'Tells listeners that these books have these revisions: broadcasts where realtime.send is there and not switched off, else NOTIFY bindery.';

-- Name: announce_relay(text, text[], interval); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.announce_relay(holder text, streams text[], ttl interval, OUT relays integer, OUT give_up text, OUT leave text[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET lock_timeout TO '5s'
    AS $$
#variable_conflict use_column
declare
  moment timestamptz;
begin
  if announce_relay.holder is null or length(announce_relay.holder) not between 1 and 512 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('holder', 'is not a name of 1 to 512 characters', 'Give a name that no other relay has.'));
  elsif announce_relay.streams is null or cardinality(announce_relay.streams) > 1000 or array_ndims(announce_relay.streams) > 1
    or exists (select from unnest(announce_relay.streams) s(name) where s.name is null or length(s.name) not between 1 and 512) then
    perform bindery_internal.raise_error(bindery_internal.bad_input('streams', 'is not a list of up to 1000 names of 1 to 512 characters', 'Give the keys of the Redis streams; an empty list says goodbye.'));
  elsif announce_relay.ttl is null or announce_relay.ttl not between '100 milliseconds' and '1 hour' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('ttl', 'is not between 100 milliseconds and 1 hour', 'Give the interval of the leases, such as 10 seconds.'));
  end if;
  perform bindery_internal.raise_error(bindery_internal.refused_text('holder', announce_relay.holder, 512));
  perform bindery_internal.raise_error(bindery_internal.refused_text('streams', s.name, 512)) from unnest(announce_relay.streams) s(name);

  lock table bindery_internal.relays in share row exclusive mode;
  moment := bindery_internal.now();
  delete from bindery_internal.relays r where r.expires_at <= moment or (r.holder = announce_relay.holder and announce_relay.streams = '{}');
  if announce_relay.streams <> '{}' then
    insert into bindery_internal.relays (holder, streams, expires_at)
    values (announce_relay.holder, announce_relay.streams, moment + make_interval(secs => extract(epoch from announce_relay.ttl)::double precision))
    on conflict (holder) do update set streams = excluded.streams, expires_at = excluded.expires_at;
  end if;
  -- What was handed over has been given up, or taken by another.
  update bindery_internal.relays r set handing_over = null
  where r.handing_over is not null and not exists (
    select from bindery.relay_cursors c where c.stream = r.handing_over and c.holder = r.holder and c.lease_expires_at > moment);
  select count(*)::integer into relays from bindery_internal.relays r where r.streams && announce_relay.streams;

  with held as (
    select c.stream, c.holder from bindery.relay_cursors c where c.holder is not null and c.lease_expires_at > moment
  ), others as (
    select r.streams, (select count(*) from held h where h.holder = r.holder) as has
    from bindery_internal.relays r where r.holder <> announce_relay.holder
  ), me as (
    select count(*) as has from held h where h.holder = announce_relay.holder
  )
  select
    -- Free, and somebody else who would read it has fewer.
    array(select distinct s.name from unnest(announce_relay.streams) s(name)
      where not exists (select from held h where h.stream = s.name)
        and exists (select from others o where s.name = any (o.streams) and o.has < me.has) order by 1),
    (select h.stream from held h join others o on h.stream = any (o.streams)
      where h.holder = announce_relay.holder and h.stream = any (announce_relay.streams) and o.has + 2 <= me.has
      order by o.has, h.stream limit 1)
  into leave, give_up
  from me;

  -- One at a time: as long as one is on its way to another relay, the numbers are not what they will be.
  if give_up is not null and (
    exists (select from bindery_internal.relays r where r.handing_over is not null and r.holder <> announce_relay.holder and r.streams && announce_relay.streams)
    or exists (select from unnest(announce_relay.streams) s(name)
      where not exists (select from bindery.relay_cursors c where c.stream = s.name and c.holder is not null and c.lease_expires_at > moment))) then
    give_up := null;
  end if;
  if give_up is not null then
    update bindery_internal.relays r set handing_over = announce_relay.give_up where r.holder = announce_relay.holder;
  end if;
end
$$;

-- Name: FUNCTION announce_relay(holder text, streams text[], ttl interval, OUT relays integer, OUT give_up text, OUT leave text[]); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.announce_relay(holder text, streams text[], ttl interval, OUT relays integer, OUT give_up text, OUT leave text[]) IS 'See bindery.announce_relay.';

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
  named uuid[];
  whole boolean;
  segments jsonb[];
  revisions jsonb;
begin
  applied := 0;
  stale := 0;
  dead := 0;
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream', apply_events.stream, 512));
  select c.* into cursor_row from bindery.relay_cursors c where c.stream = apply_events.stream for no key update;
  if not found or cursor_row.epoch is distinct from apply_events.epoch or cursor_row.holder is null then
    perform bindery_internal.raise_error(bindery_internal.fenced(apply_events.stream, apply_events.epoch));
  elsif bindery_internal.is_position(apply_events."position") is not true then
    perform bindery_internal.raise_error(bindery_internal.bad_input('position', 'is not a stream id', 'Give the last entry''s id, such as 1700000000000-0.'));
  elsif jsonb_typeof(apply_events.events) is distinct from 'array' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('events', 'is not a JSON array', 'Give an array, empty if need be.'));
  -- An item's own JSON may be 64 levels deep. What is far deeper can be read, and then neither taken apart nor buried.
  elsif jsonb_path_exists(apply_events.events, '$.**{68}') then
    perform bindery_internal.raise_error(bindery_internal.bad_input('events', 'is nested deeper than 67 levels', 'Make the JSON in the events flatter.'));
  elsif not bindery_internal.is_after(apply_events."position", cursor_row.position) then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'position_passed',
      format('The stream %s is applied up to %s; %s is not after that.', apply_events.stream, cursor_row.position, apply_events."position"),
      'Read on from the position in relay_cursors; this batch has taken effect already.',
      jsonb_build_object('stream', apply_events.stream, 'position', cursor_row.position)));
  end if;
  -- announce waits for the end of the batch.
  perform set_config('bindery.actor', 'relay:' || apply_events.stream, true), set_config('bindery.batching', 'yes', true);
  -- A segment that is no whole number counts as none. Most batches are one segment, which need not be put together again.
  select array_agg(distinct (e.item ->> 'book_id')::uuid)
      filter (where e.item ->> 'book_id' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'),
    bool_and((jsonb_typeof(e.item) = 'object' and e.item ->> 'segment' ~ '^[0-9]{1,18}$') is true)
      and count(distinct e.item ->> 'segment') = 1
  into named, whole
  from jsonb_array_elements(apply_events.events) as e(item);

  with locked as (
    select b.book_id, b.revision from bindery.book_status b where b.book_id = any (named) order by b.book_id for no key update
  )
  select coalesce(jsonb_object_agg(l.book_id, l.revision), '{}') into revisions from locked l;

  segments := case when whole then array[apply_events.events] else array(
    select jsonb_agg(
      case when jsonb_typeof(e.item) = 'object' then e.item
           else jsonb_build_object('type', 'dead', 'reason', 'not_an_object', 'message', 'The event is not a JSON object.', 'payload', e.item)
      end order by e.ord)
    from jsonb_array_elements(apply_events.events) with ordinality as e(item, ord)
    group by case when e.item ->> 'segment' ~ '^[0-9]{1,18}$' then (e.item ->> 'segment')::bigint else e.ord end
    order by case when e.item ->> 'segment' ~ '^[0-9]{1,18}$' then (e.item ->> 'segment')::bigint else e.ord end) end;
  foreach segment in array segments loop
    begin
      select s.* into counts from bindery_internal.apply_segment(apply_events.stream, segment) s;
      applied := applied + counts.applied;
      stale := stale + counts.stale;
      dead := dead + counts.dead;
    exception when assert_failure or others then
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
        exception when assert_failure or others then
          if bindery_internal.is_transient(sqlstate) then
            raise;
          end if;
          dead := dead + bindery_internal.bury(apply_events.stream, jsonb_build_array(
            item || jsonb_build_object('reason', 'refused_by_database', 'refusal', format('%s (SQLSTATE %s)', sqlerrm, sqlstate))));
        end;
      end loop;
    end;
  end loop;

  perform set_config('bindery.batching', '', true);
  perform bindery_internal.announce_books(array_agg(b.book_id), array_agg(b.revision))
  from bindery.book_status b
  where b.book_id = any (named) and b.revision is distinct from (revisions ->> b.book_id::text)::bigint;

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

-- Name: FUNCTION apply_item(item jsonb); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.apply_item(item jsonb) IS 'Applies one event. Null: done; {"stale": true}: too late; else the error.';

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
          g.there is not null,
          case when q.stage <> q.current_stage then bindery_internal.last_attempt(q.book_id, q.stage) end) end as verdict
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
  if exists (select from jsonb_array_elements(items) as i(item) where i.item ->> 'type' is distinct from 'progress') then
    select jsonb_agg(i.item order by i.ord) filter (where i.item ->> 'type' = 'progress'),
      jsonb_agg(i.item order by i.ord) filter (where i.item ->> 'type' = 'heartbeat'),
      coalesce(jsonb_agg(i.item order by i.ord) filter (where i.item ->> 'type' = 'dead'), '[]'),
      coalesce(jsonb_agg(i.item order by i.ord)
        filter (where coalesce(i.item ->> 'type', '') not in ('progress', 'heartbeat', 'dead')), '[]')
    into reports, heartbeats, bad, lifecycle
    from jsonb_array_elements(items) with ordinality as i(item, ord);
  else
    reports := items;
    bad := '[]';
    lifecycle := '[]';
  end if;

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

-- Name: ask_guard(regproc, bindery.book_status); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.ask_guard(guard regproc, book bindery.book_status) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
  answer boolean;
begin
  -- A dump restored without owners leaves it to whoever restored, with all of that role's rights.
  if current_user <> 'bindery_guard' then
    raise exception using errcode = '55000', message = 'bindery_internal.ask_guard belongs to ' || current_user || ', not to bindery_guard.',
      hint = 'Run binderyd migrate as the schema''s owner; it gives it back.';
  end if;
  begin
    execute format('select %s($1)', guard) into answer using book;
    -- A guard is a question. Whatever it did is undone: settings it left, and what it put off to a moment when others' rights count.
    raise exception using errcode = 'BD000';
  exception
    when sqlstate 'BD000' then
      return answer;
    when assert_failure or others then
      -- What will pass (a deadlock, a lock not got, a full disk, a shutdown) is no answer: whoever asked tries again.
      if sqlstate in ('40P01', '55P03') or left(sqlstate, 2) in ('53', '57', '58') then
        raise;
      end if;
      raise warning 'The guard % failed for book %: % (SQLSTATE %).', guard, book.book_id, sqlerrm, sqlstate;
      return null;
  end;
end
$_$;

-- Name: FUNCTION ask_guard(guard regproc, book bindery.book_status); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.ask_guard(guard regproc, book bindery.book_status) IS 'What a guard says of a book, asked as bindery_guard; null where it raises (a warning says why). Nothing it did stays.';

-- Name: attempts_left(jsonb, integer); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.attempts_left(state jsonb, attempt integer) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
begin
  return coalesce(attempt < (state ->> 'max_attempts')::integer, true);
end
$$;

-- Name: FUNCTION attempts_left(state jsonb, attempt integer); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.attempts_left(state jsonb, attempt integer) IS 'Whether an attempt at a state is not yet its last by max_attempts.';

-- Name: bad_input(text, text, text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.bad_input(argument text, problem text, hint text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
  select bindery_internal.error('PT422', 'bad_input', format('%s %s.', argument, problem), hint,
    jsonb_build_object('argument', argument));
$$;

-- Name: FUNCTION bad_input(argument text, problem text, hint text); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.bad_input(argument text, problem text, hint text) IS 'The error PT422 bad_input: an argument, what is wrong with it, and what to give.';

-- Name: broadcast(uuid[]); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.broadcast(book_ids uuid[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET lock_timeout TO '100ms'
    AS $_$
declare
  -- By name: neither need be there.
  messages text;
  send text;
  message record;
begin
  -- One block, one subtransaction, however many books: more than 64 of them slow down every other session.
  begin
    -- The table that realtime.send writes to, in one statement for the whole batch.
    messages := to_regclass('realtime.messages');
    execute format('insert into %s (payload, event, topic, private, extension)
      select t.payload, ''book_status'', t.topic, true, ''broadcast'' from bindery_internal.broadcast_messages($1) t', messages)
    using book_ids;
    return;
  exception
    when lock_not_available then
      -- realtime.send would wait for the same lock, once a message.
      raise warning 'Realtime was not told of % changed books: % (SQLSTATE %).', cardinality(book_ids), sqlerrm, sqlstate;
      return;
    when others then
      null;
  end;
  -- Another version of Realtime may keep its messages elsewhere; its function is what it promises.
  begin
    send := to_regproc('realtime.send');
    for message in select t.topic, t.payload from bindery_internal.broadcast_messages(book_ids) t loop
      execute format('select %s($1, $2, $3, $4)', send) using message.payload, 'book_status', message.topic, true;
    end loop;
  exception when others then
    raise warning 'Realtime was not told of % changed books: % (SQLSTATE %).', cardinality(book_ids), sqlerrm, sqlstate;
  end;
end
$_$;

-- Name: FUNCTION broadcast(book_ids uuid[]); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.broadcast(book_ids uuid[]) IS 'Sends these books to Realtime''s topics. A fault of it is a warning, never an error.';

-- Name: broadcast_messages(uuid[]); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.broadcast_messages(book_ids uuid[]) RETURNS TABLE(topic text, payload jsonb)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
begin
  return query
  select t.topic, p.payload
  from bindery.book_status b
  cross join lateral (select bindery_internal.broadcast_payload(b) as payload) p
  cross join lateral (values ('book:' || b.book_id), ('owner:' || b.owner_id)) t(topic)
  where b.book_id = any (book_ids) and t.topic is not null
  order by b.book_id, t.topic;
end
$$;

-- Name: FUNCTION broadcast_messages(book_ids uuid[]); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.broadcast_messages(book_ids uuid[]) IS 'The messages of these books: one to book:<book_id>, and one to owner:<owner_id> where it has an owner.';

-- Name: broadcast_payload(bindery.book_status); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.broadcast_payload(book bindery.book_status) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
declare
  payload jsonb := to_jsonb(book);
  left_out text[] := '{}';
  part text;
begin
  -- The largest things first, and of least use on a screen first.
  foreach part in array array['metadata', 'error', 'substeps', 'message', 'title'] loop
    exit when octet_length(payload::text) <= 30000;
    if octet_length((payload -> part)::text) > 1000 then
      payload := payload - part;
      left_out := left_out || part;
    end if;
  end loop;
  return payload || case when left_out = '{}' then '{}' else jsonb_build_object('partial', true, 'left_out', left_out) end;
end
$$;

-- Name: FUNCTION broadcast_payload(book bindery.book_status); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.broadcast_payload(book bindery.book_status) IS 'A book''s row as JSON, below 32 KiB: what is too large is left out, and named in left_out, with partial true.';

-- Name: broadcasts(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.broadcasts() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select case current_setting('bindery.broadcast', true) when 'off' then false when 'on' then true
    else coalesce((select s.broadcast from bindery.settings s), true) end;
$$;

-- Name: FUNCTION broadcasts(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.broadcasts() IS 'Whether books are broadcast: as the session''s bindery.broadcast says, on or off, else as bindery.settings does.';

-- Name: bury(text, jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.bury(stream text, items jsonb) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
  with buried as (
    insert into bindery.dead_letters (stream, event_id, first_event_id, count, book_id, reason, message, payload, truncated, at)
    select bury.stream, i.item ->> 'id', coalesce(i.item ->> 'first_id', i.item ->> 'id'), c.count,
      case when n.book_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then n.book_id::uuid end,
      coalesce(i.item ->> 'reason', 'unknown'), coalesce(i.item ->> 'refusal', i.item ->> 'message', 'no reason given'),
      -- By its count, a number, replay_dead_letters knows what the relay could read.
      coalesce(i.item -> 'payload', i.item - array['reason', 'refusal', 'segment', 'truncated'] || jsonb_build_object('count', c.count)),
      coalesce(i.item -> 'truncated' = 'true', false), bindery_internal.now()
    from jsonb_array_elements(items) with ordinality as i(item, ord)
    -- Burying must not fail, or the batch would never pass: what is no number or boolean counts as left out.
    cross join lateral (
      select case when i.item ->> 'count' ~ '^[1-9][0-9]{0,8}$' then (i.item ->> 'count')::bigint else 1 end) as c(count)
    cross join lateral (select coalesce(i.item ->> 'book_id', i.item #>> '{payload,book_id}')) as n(book_id)
    order by i.ord
    returning count
  )
  select coalesce(sum(b.count), 0)::bigint from buried b;
$_$;

-- Name: FUNCTION bury(stream text, items jsonb); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.bury(stream text, items jsonb) IS 'Writes items to dead_letters, [{id, first_id?, count?, book_id?, reason, refusal or message, payload?, …}]; gives how many events they stand for.';

-- Name: check_pruning(timestamp with time zone, integer); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.check_pruning(before timestamp with time zone, batch integer) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
begin
  if before is null then
    return bindery_internal.bad_input('before', 'is missing', 'Give the moment; what is older goes.');
  elsif batch is null or batch not between 1 and 100000 then
    return bindery_internal.bad_input('batch', 'is not between 1 and 100,000', 'Give how many rows a call may delete.');
  end if;
  return null;
end
$$;

-- Name: FUNCTION check_pruning(before timestamp with time zone, batch integer); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.check_pruning(before timestamp with time zone, batch integer) IS 'What is wrong with the arguments of a prune_ function, as an error; null where nothing is.';

-- Name: dead_letter_reasons(text, text, integer); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.dead_letter_reasons(stream text, after text, max_letters integer) RETURNS TABLE(reason text, letters bigint, events bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream', dead_letter_reasons.stream, 512));
  if bindery_internal.is_position(dead_letter_reasons.after) is not true then
    perform bindery_internal.raise_error(bindery_internal.bad_input('after', 'is not a stream id', 'Give an entry''s id, such as 1700000000000-0.'));
  end if;
  return query
  select d.reason, count(*), sum(d.count)::bigint
  from (
    select c.reason, c.count, c.event_id from bindery.dead_letters c
    where c.stream = dead_letter_reasons.stream
    order by c.id desc limit least(greatest(max_letters, 0), 100000)) d
  -- A letter without an id that is one was handed to apply_events by somebody else than binderyd.
  where case when bindery_internal.is_position(d.event_id) is true then bindery_internal.is_after(d.event_id, dead_letter_reasons.after) else true end
  group by d.reason
  order by 3 desc, 1;
end
$$;

-- Name: FUNCTION dead_letter_reasons(stream text, after text, max_letters integer); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.dead_letter_reasons(stream text, after text, max_letters integer) IS 'See bindery.dead_letter_reasons.';

-- Name: define_pipeline(text, jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.define_pipeline(name text, definition jsonb) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
#variable_conflict use_column
declare
  compiled jsonb;
  faults jsonb;
  latest bindery.pipelines;
begin
  if coalesce(define_pipeline.name, '') !~ '^[a-z][a-z0-9_]{0,62}$' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('name', 'is not in lower snake case of up to 63 characters', 'Name it such as comic.'));
  elsif define_pipeline.definition is null then
    perform bindery_internal.raise_error(bindery_internal.bad_input('definition', 'is missing', 'Give {"states": […]}.'));
  end if;
  perform bindery_internal.raise_error(bindery_internal.refused_json('definition', define_pipeline.definition));
  compiled := bindery_core.compile_pipeline(define_pipeline.definition);
  faults := coalesce(compiled -> 'faults', '[]') || bindery_internal.guard_faults(define_pipeline.definition);
  if faults <> '[]' then
    perform bindery_internal.raise_error(bindery_internal.error('PT422', 'bad_definition',
      format('The definition of %s has %s: %s', define_pipeline.name,
        case jsonb_array_length(faults) when 1 then 'a fault' else jsonb_array_length(faults) || ' faults' end,
        (select string_agg(format('%s %s', f.fault ->> 'path', f.fault ->> 'problem'), '; ') from jsonb_array_elements(faults) as f(fault))),
      'Mend what the detail lists by path; docs/pipelines.md shows how to write one.',
      jsonb_build_object('faults', faults)));
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

-- Name: FUNCTION define_pipeline(name text, definition jsonb); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.define_pipeline(name text, definition jsonb) IS 'See bindery.define_pipeline.';

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
        else replace(bindery_core.report_verdict(b.machine, b.status, b.current_stage, b.attempt, h.stage, 'all', h.attempt, true,
            case when h.stage <> b.current_stage then bindery_internal.last_attempt(h.book_id, h.stage) end),
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

-- Name: FUNCTION do_heartbeats(heartbeats jsonb); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.do_heartbeats(heartbeats jsonb) IS 'Takes [{book_id, stage?, attempt?}, …] as signs of life; gives each one''s verdict.';

-- Name: do_plan(uuid, text, jsonb, bigint); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.do_plan(book_id uuid, stage text, substeps jsonb, expected_revision bigint DEFAULT NULL::bigint) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
#variable_conflict use_column
declare
  fault text;
  revision bigint;
  verdict text;
begin
  if bindery_internal.refused_text('stage', do_plan.stage, 63) is not null then
    return bindery_internal.refused_text('stage', do_plan.stage, 63);
  elsif jsonb_typeof(do_plan.substeps) is distinct from 'array' or jsonb_array_length(do_plan.substeps) > 10000 then
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
  if verdict = 'stale' then
    -- A FAILED book may go on: what is planned for where it stands, or for later, is for then.
    select bindery_core.report_verdict(bindery_internal.machine(b.pipeline, b.pipeline_version), b.current_stage, b.current_stage,
      b.attempt, do_plan.stage, null, null, true) into verdict
    from bindery.book_status b where b.book_id = do_plan.book_id and b.status = 'FAILED';
    verdict := coalesce(verdict, 'stale');
  end if;
  if verdict not in ('accept', 'advance', 'stage_not_reached') then
    return bindery_internal.refused_report(verdict, do_plan.book_id, do_plan.stage, null, null);
  end if;

  select b.revision into revision from bindery.book_status b where b.book_id = do_plan.book_id;
  if revision <> do_plan.expected_revision then
    return bindery_internal.stale_revision(do_plan.book_id, revision, do_plan.expected_revision);
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

-- Name: FUNCTION do_plan(book_id uuid, stage text, substeps jsonb, expected_revision bigint); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.do_plan(book_id uuid, stage text, substeps jsonb, expected_revision bigint) IS 'Declares a book''s own substeps of a stage. Null: done; else the error.';

-- Name: do_register(uuid, uuid, text, text, jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.do_register(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
  book bindery.book_status;
  refusal jsonb;
begin
  if do_register.book_id is null then
    return bindery_internal.bad_input('book_id', 'is missing', 'Give the book''s uuid.');
  elsif jsonb_typeof(do_register.metadata) <> 'object' then
    return bindery_internal.bad_input('metadata', 'is not a JSON object', 'Give an object such as {"pages": 320}.');
  end if;
  refusal := coalesce(
    bindery_internal.refused_text('title', do_register.title, 1024),
    bindery_internal.refused_text('pipeline', do_register.pipeline, 63),
    bindery_internal.refused_json('metadata', do_register.metadata));
  if refusal is not null then
    return refusal;
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

-- Name: FUNCTION do_register(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.do_register(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb) IS 'Puts a book at the start of a pipeline. Null: it stands as asked; else the error.';

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
  elsif (report ->> 'attempt')::integer < 1 then
    return bindery_internal.refused_attempt();
  elsif report ->> 'substep' !~ '^[a-z][a-z0-9_]{0,62}$' then
    return bindery_internal.bad_input('substep', 'is not in lower snake case of up to 63 characters', 'Name it such as extract_text.');
  end if;
  refusal := coalesce(
    bindery_internal.refused_text('message', report ->> 'message', 8192),
    bindery_internal.refused_text('unit', report ->> 'unit', 63),
    bindery_internal.refused_text('stage', report ->> 'stage', 63),
    bindery_internal.refused_json('checkpoint', report -> 'checkpoint'));
  if refusal is not null then
    return refusal;
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

-- Name: FUNCTION do_report(report jsonb); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.do_report(report jsonb) IS 'One progress report, {book_id, substep?, progress | done + total, …}. Null: done; {"stale": true}: too late; else the error.';

-- Name: do_resume(uuid, bigint, text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.do_resume(book_id uuid, expected_revision bigint DEFAULT NULL::bigint, message text DEFAULT NULL::text) RETURNS jsonb
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
  return bindery_internal.do_transition(do_resume.book_id, book.current_stage, do_resume.message, do_resume.expected_revision);
end
$$;

-- Name: FUNCTION do_resume(book_id uuid, expected_revision bigint, message text); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.do_resume(book_id uuid, expected_revision bigint, message text) IS 'Resumes a FAILED book. Null: done; else the error.';

-- Name: do_rewind(uuid, text, text, bigint); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.do_rewind(book_id uuid, to_stage text, message text DEFAULT NULL::text, expected_revision bigint DEFAULT NULL::bigint) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  if do_rewind.to_stage is null then
    return bindery_internal.bad_input('to_stage', 'is missing', 'Name the stage to go back to.');
  elsif bindery_internal.refused_text('to_stage', do_rewind.to_stage, 63) is not null then
    return bindery_internal.refused_text('to_stage', do_rewind.to_stage, 63);
  end if;
  select b.* into book from bindery.book_status b where b.book_id = do_rewind.book_id for no key update;
  if not found then
    return bindery_internal.unknown_book(do_rewind.book_id);
  elsif bindery_internal.state_of(bindery_internal.machine(book.pipeline, book.pipeline_version), do_rewind.to_stage) is null then
    return bindery_internal.refused_report('unknown_stage', book.book_id, do_rewind.to_stage, null, null);
  end if;
  return bindery_internal.do_transition(
    do_rewind.book_id, do_rewind.to_stage, do_rewind.message, do_rewind.expected_revision, rewinding => true);
end
$$;

-- Name: FUNCTION do_rewind(book_id uuid, to_stage text, message text, expected_revision bigint); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.do_rewind(book_id uuid, to_stage text, message text, expected_revision bigint) IS 'Takes a book a step back. Null: done; else the error.';

-- Name: do_transition(uuid, text, text, bigint, integer, jsonb, boolean, boolean); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.do_transition(book_id uuid, to_status text, message text DEFAULT NULL::text, expected_revision bigint DEFAULT NULL::bigint, attempt integer DEFAULT NULL::integer, error jsonb DEFAULT NULL::jsonb, rewinding boolean DEFAULT false, asking_first boolean DEFAULT true) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
#variable_conflict use_column
declare
  book bindery.book_status;
  refusal jsonb;
  revision bigint;
  -- An assignment of a function's result costs less than a query that throws it away.
  nothing text;
  outer_change constant text := coalesce(current_setting('bindery.changing', true), '');
begin
  if do_transition.to_status is null then
    return bindery_internal.bad_input('to_status', 'is missing', 'Name the state to go to.');
  elsif jsonb_typeof(do_transition.error) <> 'object' then
    return bindery_internal.bad_input('error', 'is not a JSON object', 'Give an object such as {"code": "out_of_memory"}.');
  elsif do_transition.attempt < 1 then
    return bindery_internal.refused_attempt();
  end if;
  refusal := coalesce(
    -- A plain name has nothing to be refused; looking first is quicker.
    case when do_transition.to_status !~ '^[A-Z_]{1,63}$' then bindery_internal.refused_text('to_status', do_transition.to_status, 63) end,
    case when do_transition.message is not null then bindery_internal.refused_text('message', do_transition.message, 8192) end,
    case when do_transition.error is not null then bindery_internal.refused_json('error', do_transition.error) end);
  if refusal is not null then
    return refusal;
  end if;

  if do_transition.asking_first then
    select b.* into book from bindery.book_status b where b.book_id = do_transition.book_id for no key update;
    if not found then
      return bindery_internal.unknown_book(do_transition.book_id);
    elsif book.revision <> do_transition.expected_revision then
      return bindery_internal.stale_revision(book.book_id, book.revision, do_transition.expected_revision);
    elsif do_transition.attempt < book.attempt then
      return '{"stale": true}';
    elsif do_transition.attempt > book.attempt then
      return bindery_internal.refused_report('attempt_ahead', book.book_id, book.current_stage, null, do_transition.attempt);
    end if;
    refusal := bindery_internal.refused_transition(book, do_transition.to_status, do_transition.rewinding,
      bindery_internal.machine(book.pipeline, book.pipeline_version));
    if refusal is not null then
      return refusal;
    end if;
  end if;

  nothing := set_config('bindery.changing', do_transition.book_id || case when do_transition.rewinding then ' rewinding' else '' end, true);
  update bindery.book_status b
  set status = do_transition.to_status, message = do_transition.message, error = do_transition.error
  where b.book_id = do_transition.book_id and b.status <> do_transition.to_status
    and b.revision = coalesce(do_transition.expected_revision, b.revision)
    and b.attempt = coalesce(do_transition.attempt, b.attempt)
  returning b.revision into revision;
  if not found then
    -- Untouched, and not asked before: the same again says why.
    refusal := bindery_internal.do_transition(do_transition.book_id, do_transition.to_status, do_transition.message,
      do_transition.expected_revision, do_transition.attempt, do_transition.error, do_transition.rewinding);
  end if;
  -- A trigger of somebody's may have called us in the midst of another book's change; and a plain UPDATE after this one is no call.
  nothing := set_config('bindery.changing', outer_change, true);
  if revision is not null and pg_trigger_depth() = 0 and coalesce(current_setting('bindery.batching', true), '') <> 'yes' then
    nothing := bindery_internal.announce_books(array[do_transition.book_id], array[revision]);
  end if;
  return refusal;
end
$_$;

-- Name: FUNCTION do_transition(book_id uuid, to_status text, message text, expected_revision bigint, attempt integer, error jsonb, rewinding boolean, asking_first boolean); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.do_transition(book_id uuid, to_status text, message text, expected_revision bigint, attempt integer, error jsonb, rewinding boolean, asking_first boolean) IS 'One change of status, or (rewinding) an operator''s step back. Null: done; {"stale": true}: from an earlier attempt; else the error (with asking_first false, an illegal transition is raised instead).';

-- Name: drop_dead_letters(bigint[]); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.drop_dead_letters(ids bigint[]) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  dropped integer;
begin
  if coalesce(cardinality(drop_dead_letters.ids), 0) not between 1 and 10000 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('ids', 'are not between 1 and 10,000', 'Name the letters to drop by their ids.'));
  end if;
  delete from bindery.dead_letters d
  where d.id in (select c.id from bindery.dead_letters c where c.id = any (drop_dead_letters.ids) order by c.id for update skip locked);
  get diagnostics dropped = row_count;
  return dropped;
end
$$;

-- Name: FUNCTION drop_dead_letters(ids bigint[]); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.drop_dead_letters(ids bigint[]) IS 'See bindery.drop_dead_letters.';

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

-- Name: estimate(timestamp with time zone, timestamp with time zone, double precision, integer, double precision, double precision); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.estimate(moment timestamp with time zone, stage_started_at timestamp with time zone, stage_progress double precision, attempt integer, median_seconds double precision, later_seconds double precision) RETURNS timestamp with time zone
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
declare
  part constant double precision := stage_progress / 100;
  whole double precision := median_seconds;
begin
  -- The stage's own pace is elapsed / part. It weighs part squared: at the beginning it says little, in the end nearly all.
  -- Of a resumed attempt it says nothing, which began with what the one before had done.
  if attempt = 1 then
    whole := (1 - part * part) * median_seconds
      + part * greatest(extract(epoch from moment - stage_started_at)::double precision, 0);
  end if;
  return moment + ((1 - part) * whole + later_seconds) * interval '1 second';
end
$$;

-- Name: FUNCTION estimate(moment timestamp with time zone, stage_started_at timestamp with time zone, stage_progress double precision, attempt integer, median_seconds double precision, later_seconds double precision); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.estimate(moment timestamp with time zone, stage_started_at timestamp with time zone, stage_progress double precision, attempt integer, median_seconds double precision, later_seconds double precision) IS 'When a book is expected to be complete that has come to stage_progress percent, at moment.
(1 - p) * ((1 - p^2) * median_seconds + p * elapsed) + later_seconds from now, where p = stage_progress / 100; null where a pace is null.';

-- Name: facts(bindery.book_status, jsonb, text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.facts(book bindery.book_status, machine jsonb, to_status text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  state constant jsonb := bindery_internal.state_of(machine, book.current_stage);
  -- Of the state's edges only the one to be taken is asked about.
  guard constant text := (select e.edge ->> 'guard' from jsonb_array_elements(state -> 'next') as e(edge)
    where e.edge ->> 'to' = to_status and book.status = book.current_stage);
  facts constant jsonb := jsonb_build_object(
    'substeps_complete', jsonb_array_length(book.substeps) > 0
      and not exists (select from jsonb_array_elements(book.substeps) as s(substep) where s.substep ->> 'state' <> 'done'),
    'attempts_left', bindery_internal.attempts_left(state, book.attempt));
  called regproc;
  answer boolean;
begin
  if guard is null or guard in ('substeps_complete', 'attempts_left') then
    return facts;
  end if;
  called := bindery_internal.guard_function(guard);
  if called is not null then
    answer := bindery_internal.ask_guard(called, book);
  end if;
  -- No answer is no fact; then the guard does not hold.
  return facts || jsonb_strip_nulls(jsonb_build_object('guards', jsonb_build_object(guard, answer)));
end
$$;

-- Name: FUNCTION facts(book bindery.book_status, machine jsonb, to_status text); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.facts(book bindery.book_status, machine jsonb, to_status text) IS 'What the kernel needs to know of a book to judge a change to this status: {substeps_complete, attempts_left, guards?}.';

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

-- Name: FUNCTION fenced(stream text, epoch bigint); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.fenced(stream text, epoch bigint) IS 'The error PT409 fenced: this epoch of the stream is not the newest.';

-- Name: forget_stream(text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.forget_stream(stream text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
  cursor_row bindery.relay_cursors;
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream', forget_stream.stream, 512));
  select c.* into cursor_row from bindery.relay_cursors c where c.stream = forget_stream.stream for update;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.error('PT404', 'unknown_stream',
      format('There is no stream %s.', coalesce(forget_stream.stream, '(null)')),
      'bindery.relay_cursors lists the streams that were ever read.',
      jsonb_build_object('stream', forget_stream.stream)));
  elsif cursor_row.lease_expires_at > bindery_internal.now() then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'lease_held',
      format('The stream %s is held by %s.', cursor_row.stream, cursor_row.holder),
      'Stop the relay that reads it first, or wait until its lease runs out.',
      jsonb_build_object('stream', cursor_row.stream, 'holder', cursor_row.holder, 'lease_expires_at', cursor_row.lease_expires_at)));
  end if;
  insert into bindery_internal.forgotten_streams (stream, epoch) values (cursor_row.stream, cursor_row.epoch)
  on conflict (stream) do update set epoch = greatest(forgotten_streams.epoch, excluded.epoch);
  delete from bindery.relay_cursors c where c.stream = forget_stream.stream;
end
$$;

-- Name: FUNCTION forget_stream(stream text); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.forget_stream(stream text) IS 'See bindery.forget_stream.';

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

-- Name: FUNCTION guard_columns(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.guard_columns() IS 'Refuses to have columns set by hand that only follow from others (PT422 column_is_derived).';

-- Name: guard_faults(jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.guard_faults(definition jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $_$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('path', format('$.states[%s].next[%s].guard', s.ord - 1, e.ord - 1), 'problem', p.problem)
      order by s.ord, e.ord), '[]')
    from jsonb_array_elements(jsonb_path_query_array(definition, 'strict $.states[*]', silent => true)) with ordinality as s(state, ord)
    cross join jsonb_array_elements(jsonb_path_query_array(s.state, 'strict $.next[*]', silent => true)) with ordinality as e(edge, ord)
    cross join lateral (select case when jsonb_typeof(e.edge) = 'object' then e.edge ->> 'guard' end as guard) as g
    cross join lateral (select bindery_internal.guard_function(g.guard) as called) as f
    cross join lateral (select case
        when f.called is null then format('there is no function %s(bindery.book_status) returns boolean; create it first', g.guard)
        when not has_function_privilege('bindery_guard', f.called::oid, 'execute')
          or not has_schema_privilege('bindery_guard', (select c.pronamespace from pg_catalog.pg_proc c where c.oid = f.called::oid), 'usage')
          then format('the role bindery_guard, as which guards are asked, may not call %s; grant it usage on the schema and execute on the function',
            g.guard) end as problem) as p
    -- What cannot name a function is the kernel's to refuse.
    where g.guard ~ '^([a-z_][a-z0-9_]{0,62}[.])?[a-z_][a-z0-9_]{0,62}$' and g.guard not in ('substeps_complete', 'attempts_left')
      and p.problem is not null);
end
$_$;

-- Name: FUNCTION guard_faults(definition jsonb); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.guard_faults(definition jsonb) IS 'The guards of a definition that are no SQL functions bindery_guard may call: [{path, problem}].';

-- Name: guard_function(text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.guard_function(guard text) RETURNS regproc
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
declare
  parts constant text[] := string_to_array(case when guard ~ '[.]' then guard else 'public.' || guard end, '.');
begin
  return (
    select p.oid::regproc from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = parts[1] and p.proname = parts[2] and p.prokind = 'f' and p.pronargs = 1
      and p.proargtypes[0] = 'bindery.book_status'::regtype and p.prorettype = 'boolean'::regtype);
end
$$;

-- Name: FUNCTION guard_function(guard text); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.guard_function(guard text) IS 'The function a guard names, schema.function or a function of schema public; null where there is none with this argument and result.';

-- Name: guard_texts(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.guard_texts() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  new.metadata := coalesce(new.metadata, '{}');
  perform bindery_internal.refuse_texts(new);
  return new;
end
$$;

-- Name: FUNCTION guard_texts(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.guard_texts() IS 'Refuses by a plain INSERT the texts and JSON that calls refuse (PT422 bad_input).';

-- Name: guard_transition(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.guard_transition() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  moment constant timestamptz := bindery_internal.now();
  -- What do_transition says of the change it makes: it has looked at the texts, and whether it is a rewind.
  change constant text := coalesce(current_setting('bindery.changing', true), '');
  by_call constant boolean := starts_with(change, old.book_id::text);
  rewinding constant boolean := change like '% rewinding' and bindery_internal.is_rewinding(old.book_id);
  resuming constant boolean := old.status = 'FAILED' and not rewinding;
  machine jsonb;
  final text;
  attempts integer;
  has_rows boolean;
  median_seconds double precision;
  later_seconds double precision;
  refusal jsonb;
  summary jsonb;
begin
  if new.status is null then
    perform bindery_internal.raise_error(bindery_internal.bad_input('status', 'is null', 'Name the state to go to.'));
  elsif not by_call then
    perform bindery_internal.refuse_texts(new);
  end if;
  -- All that is looked up, in one statement. The halted stay in their stage, and no state is named like them.
  select p.machine, p.machine #>> '{states,-1,name}', t.median_seconds, t.later_seconds,
    (select a.attempt from bindery_internal.last_attempts a where a.book_id = old.book_id and a.stage = new.status),
    exists (select from bindery.book_progress g where g.book_id = old.book_id and g.stage = new.status)
  into machine, final, median_seconds, later_seconds, attempts, has_rows
  from bindery.pipelines p
  left join bindery_internal.stage_pace t on t.pipeline = p.name and t.pipeline_version = p.version and t.stage = new.status
  where p.name = old.pipeline and p.version = old.pipeline_version;

  -- What needs no facts is allowed by the kernel's first word; only where it is not are they worked out, and the refusal with them.
  if rewinding or bindery_core.transition_error(machine, old.status, old.current_stage, new.status, '{}') is not null then
    refusal := bindery_internal.refused_transition(old, new.status, rewinding, machine);
    if refusal is not null then
      perform bindery_internal.raise_error(refusal);
    end if;
  end if;

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
  if new.message is not distinct from old.message and not by_call then
    new.message := null;
  end if;
  if new.status <> 'FAILED' then
    new.error := null;
  elsif new.error is null or not new.error ? 'code' then
    new.error := coalesce(new.error, '{}') || '{"code": "failed"}';
  end if;
  if new.status = 'FAILED' then
    new.resume_at := bindery_internal.resume_at(bindery_internal.state_of(machine, old.current_stage), old.attempt, new.error, moment);
  end if;
  -- The halted keep the values they halted at.
  if new.status in ('FAILED', 'CANCELLED') then
    return new;
  end if;

  if new.status = final then
    new.completed_at := moment;
  else
    new.current_stage := new.status;
    -- Who comes back to a stage goes on counting: words from the visit before are stale then, not about this one.
    new.attempt := case when resuming then old.attempt else coalesce(attempts, 0) end + 1;
    new.stage_started_at := moment;
  end if;
  summary := bindery_core.summarize(machine, new.status, new.current_stage, case
    when new.status = final then bindery_internal.substep_rows(new.book_id, new.current_stage)
    when has_rows then bindery_internal.substep_rows(new.book_id, new.current_stage, resuming)
    else '[]' end);
  new.overall_progress := (summary ->> 'overall')::double precision;
  new.stage_progress := (summary ->> 'stage_progress')::double precision;
  new.substeps := summary -> 'substeps';
  new.estimated_completion_at := case when new.status <> final and median_seconds is not null
    then bindery_internal.estimate(moment, moment, new.stage_progress, new.attempt, median_seconds, later_seconds) end;
  return new;
end
$$;

-- Name: FUNCTION guard_transition(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.guard_transition() IS 'Asks the kernel whether the change is allowed, and works out what follows from it: stage, attempt, percent, revision, times.';

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
    select (bindery_internal.state_of(machine, book.current_stage) ->> 'stall_after')::double precision * interval '1 second'
  ) as s(stall_after);
$$;

-- Name: FUNCTION health(book bindery.book_status, machine jsonb, moment timestamp with time zone); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.health(book bindery.book_status, machine jsonb, moment timestamp with time zone) IS 'live, quiet (past half of stall_after without a sign), stalled (past it, or FAILED because of it); null once halted or complete.';

-- Name: illegal_transition(text, text, text, text[]); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.illegal_transition(from_status text, to_status text, reason text, allowed text[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
  select bindery_internal.error('PT409', 'illegal_transition', reason,
    case when cardinality(allowed) = 0 then 'Nothing leads on from here; register a new book to start over.'
         else format('Allowed from %s: %s.', from_status, array_to_string(allowed, ', ')) end,
    jsonb_build_object('from', from_status, 'to', to_status, 'allowed', to_jsonb(allowed)));
$$;

-- Name: FUNCTION illegal_transition(from_status text, to_status text, reason text, allowed text[]); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.illegal_transition(from_status text, to_status text, reason text, allowed text[]) IS 'The error PT409 illegal_transition: the kernel''s reason, and what is allowed instead.';

-- Name: is_after(text, text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.is_after(a text, b text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
  -- Both halves of a stream id are unsigned 64-bit numbers.
  select (split_part(a, '-', 1)::numeric, split_part(a, '-', 2)::numeric) > (split_part(b, '-', 1)::numeric, split_part(b, '-', 2)::numeric);
$$;

-- Name: FUNCTION is_after(a text, b text); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.is_after(a text, b text) IS 'Whether a stream id comes after another.';

-- Name: is_position(text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.is_position("position" text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $_$
begin
  -- A position beyond what Redis can count to would be passed by no entry ever.
  return case when "position" ~ '^[0-9]{1,20}-[0-9]{1,20}$' then
    greatest(split_part("position", '-', 1)::numeric, split_part("position", '-', 2)::numeric) <= 18446744073709551615 end;
end
$_$;

-- Name: FUNCTION is_position("position" text); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.is_position("position" text) IS 'Whether this is the id of a stream''s entry: two unsigned 64-bit numbers; null where it is not even of the form.';

-- Name: is_rewinding(uuid); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.is_rewinding(book_id uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
begin
  return coalesce(current_setting('bindery.changing', true), '') = is_rewinding.book_id || ' rewinding';
end
$$;

-- Name: FUNCTION is_rewinding(book_id uuid); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.is_rewinding(book_id uuid) IS 'Whether the change of this book''s status that is being made is an operator''s step back (do_transition).';

-- Name: is_transient(text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.is_transient(sqlstate text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
  -- Only these can be an event's fault: bad data, a constraint, a limit, somebody's own RAISE, and a panic in the kernel. A missing
  -- function, a lost grant, a full disk, a deadlock is the server's, and will be mended there.
  select not (left(sqlstate, 2) in ('21', '22', '23', '27', '2F', '38', '39', '44', '54', 'P0', 'PT') or sqlstate = 'XX000');
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
    book.status, book.current_stage, book.attempt, judge.stage, 'all', judge.attempt, true,
    case when judge.stage <> book.current_stage then bindery_internal.last_attempt(book.book_id, judge.stage) end);
end
$$;

-- Name: FUNCTION judge(book_id uuid, stage text, attempt integer); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.judge(book_id uuid, stage text, attempt integer) IS 'The verdict on a word about a book as a whole from this stage and attempt (null: the current ones): unknown_book, or one of bindery_core.report_verdict.';

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
    CONSTRAINT checkpoint_is_not_deep CHECK ((NOT jsonb_path_exists(checkpoint, '$.**{65}'::jsonpath))),
    CONSTRAINT checkpoint_is_small CHECK ((pg_column_size(checkpoint) <= 1048576)),
    CONSTRAINT done_is_part_of_total CHECK ((((done >= (0)::double precision) AND (done <= total)) AND (total > (0)::double precision) AND (total <= ('1000000000000000'::numeric)::double precision))),
    CONSTRAINT message_is_plain_text CHECK ((message !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]'::text)),
    CONSTRAINT message_is_short CHECK ((length(message) <= 8192)),
    CONSTRAINT progress_is_percent CHECK (((progress >= (0)::double precision) AND (progress <= (100)::double precision))),
    CONSTRAINT substep_is_lower_snake_case CHECK ((substep ~ '^[a-z][a-z0-9_]{0,62}$'::text)),
    CONSTRAINT unit_is_plain_text CHECK ((unit !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]'::text)),
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

-- Name: last_attempt(uuid, text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.last_attempt(book_id uuid, stage text) RETURNS integer
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
    SET search_path TO ''
    AS $$
begin
  return coalesce(
    (select a.attempt from bindery_internal.last_attempts a where a.book_id = last_attempt.book_id and a.stage = last_attempt.stage), 0);
end
$$;

-- Name: FUNCTION last_attempt(book_id uuid, stage text); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.last_attempt(book_id uuid, stage text) IS 'The highest attempt a book has had at a stage, as far as its history goes back; 0: it was never there.';

-- Name: latest_version(text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.latest_version(pipeline text) RETURNS integer
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
    SET search_path TO ''
    AS $$
begin
  return (select max(p.version) from bindery.pipelines p where p.name = pipeline);
end
$$;

-- Name: FUNCTION latest_version(pipeline text); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.latest_version(pipeline text) IS 'The newest version of a pipeline; null where there is none of that name.';

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

-- Name: may_set_clock(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.may_set_clock() RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
begin
  -- The session's own user: what it became by SET ROLE or a definer function counts for nothing.
  return pg_has_role(session_user, (select n.nspowner from pg_catalog.pg_namespace n where n.nspname = 'bindery_internal'), 'member');
end
$$;

-- Name: FUNCTION may_set_clock(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.may_set_clock() IS 'Whether the session belongs to the schema''s owner, or to a superuser: who may say what time it is.';

-- Name: note_stream(text, bigint, bigint, text, bigint, text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.note_stream(stream text, epoch bigint, entries bigint, loss text, lost bigint, "position" text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream', note_stream.stream, 512));
  if note_stream.loss not in ('trimmed', 'deleted', 'recreated', 'rewound') then
    perform bindery_internal.raise_error(bindery_internal.bad_input('loss', 'is none', 'Give trimmed, deleted, recreated or rewound, or leave it out.'));
  elsif (note_stream.lost between 0 and 1000000000000000) is not true then
    perform bindery_internal.raise_error(bindery_internal.bad_input('lost', 'is no number of entries', 'Give how many are known to be lost, or 0.'));
  elsif (note_stream.entries between 0 and 1000000000000000000) is false then
    perform bindery_internal.raise_error(bindery_internal.bad_input('entries', 'is no number of entries', 'Give what XINFO STREAM says of entries-added, less what comes after the position.'));
  elsif note_stream.position is not null and bindery_internal.is_position(note_stream.position) is not true then
    perform bindery_internal.raise_error(bindery_internal.bad_input('position', 'is not a stream id', 'Give an entry''s id, such as 1700000000000-0, or 0-0.'));
  end if;
  update bindery.relay_cursors c
  set entries_ahead = note_stream.entries - c.applied - c.stale - c.dead,
      position = coalesce(note_stream.position, c.position),
      losses = c.losses + case when note_stream.loss is null then 0 else 1 end,
      lost = c.lost + note_stream.lost,
      last_loss = coalesce(note_stream.loss, c.last_loss),
      lost_at = case when note_stream.loss is null then c.lost_at else bindery_internal.now() end
  where c.stream = note_stream.stream and c.epoch = note_stream.epoch and c.holder is not null;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.fenced(note_stream.stream, note_stream.epoch));
  end if;
end
$$;

-- Name: FUNCTION note_stream(stream text, epoch bigint, entries bigint, loss text, lost bigint, "position" text); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.note_stream(stream text, epoch bigint, entries bigint, loss text, lost bigint, "position" text) IS 'See bindery.note_stream.';

-- Name: now(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.now() RETURNS timestamp with time zone
    LANGUAGE plpgsql PARALLEL SAFE
    SET search_path TO ''
    AS $$
declare
  setting constant text := coalesce(current_setting('bindery.now', true), '');
begin
  if setting <> '' and bindery_internal.may_set_clock() then
    return setting::timestamptz;
  end if;
  return clock_timestamp();
end
$$;

-- Name: FUNCTION now(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.now() IS 'Wall time (not the transaction''s start: a call may have waited for a lock), or the setting bindery.now where the schema''s owner has set it.';

-- Name: outbox_backlog(integer); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.outbox_backlog(max_messages integer, OUT messages bigint, OUT oldest_at timestamp with time zone, OUT age interval) RETURNS record
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
  select (select count(*) from (select from bindery.outbox limit least(greatest(outbox_backlog.max_messages, 0), 1000000)) o), f.created_at,
    greatest(coalesce(bindery_internal.now() - f.created_at, '0'), '0')
  from (values (0)) as one(row) left join lateral (
    select o.created_at from bindery.outbox o order by o.id limit 1) f on true;
$$;

-- Name: FUNCTION outbox_backlog(max_messages integer, OUT messages bigint, OUT oldest_at timestamp with time zone, OUT age interval); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.outbox_backlog(max_messages integer, OUT messages bigint, OUT oldest_at timestamp with time zone, OUT age interval) IS 'See bindery.outbox_backlog.';

-- Name: pace_of(jsonb, jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.pace_of(machine jsonb, medians jsonb) RETURNS TABLE(stage text, median_seconds double precision, later_seconds double precision)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
  n constant integer := jsonb_array_length(machine -> 'states');
  names text[] := '{}';
  weights double precision[] := '{}';
  paces double precision[] := '{}';
  -- The most weight that can lie between a state and the end, and the state after it on that path.
  heaviest double precision[] := array_fill(null::double precision, array[n - 1]) || 0::double precision;
  following integer[] := '{}';
  most double precision;
  settled boolean := false;
  here integer;
begin
  for i in 1 .. n loop
    names := names || (machine #>> array['states', (i - 1)::text, 'name']);
    weights := weights || (machine #>> array['states', (i - 1)::text, 'weight'])::double precision;
    paces := paces || coalesce((medians ->> names[i])::double precision, case when weights[i] = 0 then 0 end);
  end loop;
  -- States may stand in any order. Their forward edges have no cycle, so this comes to rest.
  while not settled loop
    settled := true;
    for i in reverse n - 1 .. 1 loop
      select max(weights[t.target] + heaviest[t.target]) into most
      from jsonb_array_elements(machine #> array['states', (i - 1)::text, 'next']) as e(edge)
      cross join lateral (select array_position(names, e.edge ->> 'to')) as t(target);
      if most is distinct from heaviest[i] then
        heaviest[i] := most;
        settled := false;
      end if;
    end loop;
  end loop;
  for i in 1 .. n - 1 loop
    following := following || (
      select t.target
      from jsonb_array_elements(machine #> array['states', (i - 1)::text, 'next']) with ordinality as e(edge, ord)
      cross join lateral (select array_position(names, e.edge ->> 'to')) as t(target)
      order by weights[t.target] + heaviest[t.target] desc, e.ord limit 1);
  end loop;
  for i in 1 .. n - 1 loop
    stage := names[i];
    median_seconds := paces[i];
    later_seconds := 0;
    here := following[i];
    while here < n loop
      later_seconds := later_seconds + paces[here];
      here := following[here];
    end loop;
    return next;
  end loop;
end
$$;

-- Name: FUNCTION pace_of(machine jsonb, medians jsonb); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.pace_of(machine jsonb, medians jsonb) IS 'For every state of a machine but the final one: its median, and the sum of those after it on the heaviest path; from {state: seconds}.
Of paths of the same weight the one listed first. A state of no weight without a median takes no time; a stage without one makes null.';

-- Name: place_of_books(text, uuid[]); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.place_of_books(stage text, book_ids uuid[]) RETURNS TABLE(book_id uuid, place text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stage', place_of_books.stage, 63));
  return query
  select b.book_id, case
    when b.status = place_of_books.stage then 'at'
    when b.status = 'FAILED' and b.current_stage = place_of_books.stage then 'failed'
    when exists (
      select from jsonb_array_elements(
        bindery_internal.state_of(bindery_internal.machine(b.pipeline, b.pipeline_version), b.status) -> 'next') as n(edge)
      where n.edge ->> 'to' = place_of_books.stage) then 'before'
    else 'elsewhere' end
  from bindery.book_status b where b.book_id = any (place_of_books.book_ids);
end
$$;

-- Name: FUNCTION place_of_books(stage text, book_ids uuid[]); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.place_of_books(stage text, book_ids uuid[]) IS 'See bindery.place_of_books.';

-- Name: prune_dead_letters(timestamp with time zone, integer); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.prune_dead_letters(before timestamp with time zone, batch integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  pruned integer;
begin
  perform bindery_internal.raise_error(bindery_internal.check_pruning(prune_dead_letters.before, prune_dead_letters.batch));
  delete from bindery.dead_letters d
  where d.id in (
    select c.id from bindery.dead_letters c
    where c.at < prune_dead_letters.before
    order by c.at limit prune_dead_letters.batch
    for update skip locked);
  get diagnostics pruned = row_count;
  return pruned;
end
$$;

-- Name: FUNCTION prune_dead_letters(before timestamp with time zone, batch integer); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.prune_dead_letters(before timestamp with time zone, batch integer) IS 'See bindery.prune_dead_letters.';

-- Name: prune_events(timestamp with time zone, integer); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.prune_events(before timestamp with time zone, batch integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  pruned integer;
begin
  perform bindery_internal.raise_error(bindery_internal.check_pruning(prune_events.before, prune_events.batch));
  delete from bindery.book_events e
  where e.id in (
    select c.id from bindery.book_events c
    where c.at < prune_events.before and c.kind not in ('complete', 'cancel')
      -- The newest row of a stage has its highest attempt, which is never given again while the book may come back there.
      and exists (
        select from bindery.book_events n
        where n.book_id = c.book_id and n.revision > c.revision and (n.stage = c.stage or n.kind in ('complete', 'cancel')))
    order by c.at limit prune_events.batch
    for update skip locked);
  get diagnostics pruned = row_count;
  return pruned;
end
$$;

-- Name: FUNCTION prune_events(before timestamp with time zone, batch integer); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.prune_events(before timestamp with time zone, batch integer) IS 'See bindery.prune_events.';

-- Name: prune_outbox(timestamp with time zone, integer); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.prune_outbox(before timestamp with time zone, batch integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET lock_timeout TO '5s'
    AS $$
declare
  pruned integer;
begin
  perform bindery_internal.raise_error(bindery_internal.check_pruning(prune_outbox.before, prune_outbox.batch));
  perform pg_advisory_xact_lock(hashtextextended('bindery.outbox', 0));
  delete from bindery.outbox o
  where o.created_at < prune_outbox.before
    and o.id in (select c.id from bindery.outbox c order by c.id limit prune_outbox.batch);
  get diagnostics pruned = row_count;
  return pruned;
end
$$;

-- Name: FUNCTION prune_outbox(before timestamp with time zone, batch integer); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.prune_outbox(before timestamp with time zone, batch integer) IS 'See bindery.prune_outbox.';

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
  rewinding constant boolean := coalesce(current_setting('bindery.changing', true), '') like '% rewinding'
    and bindery_internal.is_rewinding(new.book_id);
  resuming constant boolean := from_status is not distinct from 'FAILED' and new.status not in ('FAILED', 'CANCELLED') and not rewinding;
  payload jsonb;
begin
  -- Where there is nothing to start over, not even the statement's own triggers run.
  if tg_op = 'UPDATE' and new.status = new.current_stage
    and exists (select from bindery.book_progress g where g.book_id = new.book_id and g.stage = new.current_stage)
  then
    -- The stage is entered: guard_transition has already counted these rows as they will be,
    -- so roll_up finds nothing to change.
    update bindery.book_progress g
    set progress = 0, done = null, total = null, unit = null, message = null, checkpoint = null, started_at = null,
        attempt = new.attempt, updated_at = new.updated_at
    where g.book_id = new.book_id and g.stage = new.current_stage and not bindery_internal.kept(resuming, g);
  end if;

  payload := jsonb_build_object('book_id', new.book_id, 'revision', new.revision, 'from', from_status, 'to', new.status,
    'stage', new.current_stage, 'attempt', new.attempt);
  if resuming or rewinding then
    payload := payload || jsonb_build_object('resume_point', bindery.get_resume_point(new.book_id));
  end if;
  with event as (
    insert into bindery.book_events (book_id, revision, kind, from_status, to_status, stage, attempt, actor, message, data, at)
    values (new.book_id, new.revision,
      case when tg_op = 'INSERT' then 'register' when rewinding then 'rewind' when resuming then 'resume' when new.status = 'FAILED' then 'fail'
           when new.status = 'CANCELLED' then 'cancel' when new.completed_at is not null then 'complete' else 'transition' end,
      from_status, new.status, new.current_stage, new.attempt, bindery_internal.actor(), new.message,
      case when new.status = 'FAILED' then new.error end, new.updated_at)
  )
  insert into bindery.outbox (book_id, revision, kind, payload, created_at)
  values (new.book_id, new.revision, case when resuming or rewinding then 'resume' else 'transition' end,
    payload, new.updated_at);
  return null;
end
$$;

-- Name: FUNCTION record_transition(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.record_transition() IS 'Starts the stage''s progress rows over where it is entered, and writes the history and the outbox.';

-- Name: refresh_pace(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.refresh_pace() RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  -- The newest visits of a state that its median is of.
  newest constant integer := 50;
  moment constant timestamptz := bindery_internal.now();
  reading bindery_internal.pace_refresh;
  through bigint;
  moved record;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('bindery.stage_pace', 0)) then
    return false;
  end if;
  insert into bindery_internal.pace_refresh default values on conflict (only_row) do nothing;
  select r.* into reading from bindery_internal.pace_refresh r;
  if moment >= reading.refreshed_at and moment < reading.refreshed_at + interval '1 minute' then
    return false;
  end if;
  select max(e.id) into through from bindery.book_events e;

  for moved in
    with left_behind as materialized (
      select e.id, e.book_id, e.revision, e.from_status, e.to_status, e.at, b.pipeline, b.pipeline_version
      from bindery.book_events e join bindery.book_status b on b.book_id = e.book_id
      where e.id > greatest(reading.through_event - 1000, through - 50000) and e.id <= through
        and e.kind in ('transition', 'complete')
    ), edges as materialized (
      select p.name, p.version, s.state ->> 'name' as from_status, n.edge ->> 'to' as to_status
      from bindery.pipelines p, jsonb_array_elements(p.machine -> 'states') as s(state), jsonb_array_elements(s.state -> 'next') as n(edge)
      where exists (select from left_behind l where l.pipeline = p.name and l.pipeline_version = p.version)
    ), ranked as (
      select l.*, row_number() over (partition by l.pipeline, l.pipeline_version, l.from_status order by l.id desc) as place
      from left_behind l join edges e
        on (e.name, e.version, e.from_status, e.to_status) = (l.pipeline, l.pipeline_version, l.from_status, l.to_status)
    ), added as (
      insert into bindery_internal.stage_visits (pipeline, pipeline_version, stage, event_id, seconds)
      select r.pipeline, r.pipeline_version, r.from_status, r.id, greatest(extract(epoch from r.at - entered.at)::double precision, 0)
      from ranked r
      cross join lateral (
        select e.at from bindery.book_events e
        where e.book_id = r.book_id and e.revision < r.revision and e.to_status = r.from_status and e.kind <> 'resume'
        order by e.revision desc limit 1) as entered
      where r.place <= newest
      on conflict do nothing
      returning stage_visits.pipeline, stage_visits.pipeline_version
    )
    select a.pipeline, a.pipeline_version, p.machine
    from (select distinct d.pipeline, d.pipeline_version from added d) a
    join bindery.pipelines p on p.name = a.pipeline and p.version = a.pipeline_version
    order by a.pipeline, a.pipeline_version
  loop
    delete from bindery_internal.stage_visits v
    using (
      select o.stage, o.event_id, row_number() over (partition by o.stage order by o.event_id desc) as place
      from bindery_internal.stage_visits o
      where o.pipeline = moved.pipeline and o.pipeline_version = moved.pipeline_version) as old
    where v.pipeline = moved.pipeline and v.pipeline_version = moved.pipeline_version
      and v.stage = old.stage and v.event_id = old.event_id and old.place > newest;

    insert into bindery_internal.stage_pace as p
      (pipeline, pipeline_version, stage, median_seconds, later_seconds, samples, refreshed_at)
    with seen as (
      select v.stage, percentile_cont(0.5) within group (order by v.seconds) as median, count(*)::integer as samples
      from bindery_internal.stage_visits v
      where v.pipeline = moved.pipeline and v.pipeline_version = moved.pipeline_version
      group by v.stage)
    select moved.pipeline, moved.pipeline_version, o.stage, o.median_seconds, o.later_seconds, coalesce(s.samples, 0), moment
    from bindery_internal.pace_of(moved.machine, (select jsonb_object_agg(m.stage, m.median) from seen m)) o
    left join seen s on s.stage = o.stage
    on conflict (pipeline, pipeline_version, stage) do update
    set median_seconds = excluded.median_seconds, later_seconds = excluded.later_seconds, samples = excluded.samples,
        refreshed_at = excluded.refreshed_at;
  end loop;

  update bindery_internal.pace_refresh r
  set through_event = coalesce(greatest(through, reading.through_event), 0), refreshed_at = moment;
  return true;
end
$$;

-- Name: FUNCTION refresh_pace(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.refresh_pace() IS 'Reads the visits that ended since the last time, and works out the medians of their pipelines anew: true.
False where that was done within a minute, or is being done by another. Books take the new pace up at their next change.';

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

-- Name: refuse_texts(bindery.book_status); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.refuse_texts(book bindery.book_status) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  if jsonb_typeof(book.metadata) is distinct from 'object' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('metadata', 'is not a JSON object', 'Give an object such as {"pages": 320}.'));
  elsif jsonb_typeof(book.error) <> 'object' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('error', 'is not a JSON object', 'Give an object such as {"code": "out_of_memory"}.'));
  end if;
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_text('status', book.status, 63),
    bindery_internal.refused_text('title', book.title, 1024),
    bindery_internal.refused_text('message', book.message, 8192),
    bindery_internal.refused_json('error', book.error),
    bindery_internal.refused_json('metadata', book.metadata)));
end
$$;

-- Name: FUNCTION refuse_texts(book bindery.book_status); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.refuse_texts(book bindery.book_status) IS 'Raises for a row the texts and JSON that calls refuse (PT422 bad_input).';

-- Name: refused_attempt(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.refused_attempt() RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
  select bindery_internal.bad_input('attempt', 'is less than 1', 'Attempts count from 1; bindery.get_resume_point gives the current one.');
$$;

-- Name: FUNCTION refused_attempt(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.refused_attempt() IS 'The error for an attempt below 1.';

-- Name: refused_json(text, jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.refused_json(argument text, value jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $_$
begin
  if value is null then
    return null;
  elsif octet_length(value::text) > 131072 then
    return bindery_internal.bad_input(argument, 'is larger than 128 KiB', 'Keep large things elsewhere and store a reference.');
  -- What is too deep for Postgres itself to read (54001) never comes here; neither does half of a surrogate pair (22P02).
  elsif jsonb_path_exists(value, '$.**{65}') then
    return bindery_internal.bad_input(argument, 'is nested deeper than 64 levels', 'Make it flatter, or store it as text.');
  end if;
  return null;
end
$_$;

-- Name: FUNCTION refused_json(argument text, value jsonb); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.refused_json(argument text, value jsonb) IS 'The error for JSON that is larger than 128 KiB or nested deeper than 64 levels; null for any other, and for null.';

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

-- Name: refused_text(text, text, integer); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.refused_text(argument text, value text, longest integer) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
begin
  if value is null then
    return null;
  elsif length(value) > longest then
    return bindery_internal.bad_input(argument, format('is longer than %s characters', to_char(longest, 'FM999,999')), 'Shorten it.');
  -- Marks and joiners (U+200C to U+200F) stay: scripts that need them are written with them. NUL never comes here: no text of
  -- Postgres can hold it. The constraints ..._is_plain_text have the same expression.
  elsif value ~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]' then
    return bindery_internal.bad_input(argument, 'holds a control character, or one that overrides the direction of text',
      'Leave it out; tabs and line ends may stay.');
  end if;
  return null;
end
$$;

-- Name: FUNCTION refused_text(argument text, value text, longest integer); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.refused_text(argument text, value text, longest integer) IS 'The error for a text that is longer than so many characters, or holds control or direction-changing characters; null for any other, and for null.';

-- Name: refused_transition(bindery.book_status, text, boolean, jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.refused_transition(book bindery.book_status, to_status text, rewinding boolean, machine jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  -- Facts can only allow more: what is allowed without any need not have them worked out.
  reason text := bindery_core.transition_error(machine, book.status, book.current_stage, to_status,
    case when rewinding then '{"rewind": true}' else '{}' end::jsonb);
  allowed text[];
begin
  if reason is not null and not rewinding then
    reason := bindery_core.transition_error(machine, book.status, book.current_stage, to_status,
      bindery_internal.facts(book, machine, to_status));
  end if;
  if reason is null then
    return null;
  elsif rewinding then
    allowed := bindery_core.rewind_targets(machine, book.status, book.current_stage);
  else
    allowed := bindery_core.next_statuses(machine, book.status, book.current_stage);
  end if;
  return bindery_internal.illegal_transition(book.status, to_status, reason, coalesce(allowed, '{}'));
end
$$;

-- Name: FUNCTION refused_transition(book bindery.book_status, to_status text, rewinding boolean, machine jsonb); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.refused_transition(book bindery.book_status, to_status text, rewinding boolean, machine jsonb) IS 'The error that forbids this book this status (as a rewind: this step back); null where it is allowed.';

-- Name: release_stream(text, bigint); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.release_stream(stream text, epoch bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream', release_stream.stream, 512));
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

-- Name: renew_stream(text, bigint, timestamp with time zone); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.renew_stream(stream text, epoch bigint, caught_up_at timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
declare
  expires timestamptz;
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream', renew_stream.stream, 512));
  if not isfinite(renew_stream.caught_up_at) then
    perform bindery_internal.raise_error(bindery_internal.bad_input('caught_up_at', 'is no moment', 'Give a time, or leave it out.'));
  end if;
  update bindery.relay_cursors c
  set lease_expires_at = bindery_internal.now() + c.lease_ttl,
      -- Of nulls greatest and least make nothing, so least(null, now) would be now.
      caught_up_at = case when renew_stream.caught_up_at is null then c.caught_up_at
                          else greatest(c.caught_up_at, least(renew_stream.caught_up_at, bindery_internal.now())) end
  where c.stream = renew_stream.stream and c.epoch = renew_stream.epoch and c.holder is not null
  returning c.lease_expires_at into expires;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.fenced(renew_stream.stream, renew_stream.epoch));
  end if;
  return expires;
end
$$;

-- Name: FUNCTION renew_stream(stream text, epoch bigint, caught_up_at timestamp with time zone); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.renew_stream(stream text, epoch bigint, caught_up_at timestamp with time zone) IS 'See bindery.renew_stream.';

-- Name: replay_dead_letters(text, text, uuid, integer, bigint[]); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.replay_dead_letters(stream text, reason text, book_id uuid, max_letters integer, ids bigint[], OUT applied bigint, OUT stale bigint, OUT dead bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET lock_timeout TO '5s'
    AS $$
#variable_conflict use_column
declare
  actor constant text := coalesce(current_setting('bindery.actor', true), '');
  chosen bigint[];
  letter bindery.dead_letters;
  outcome jsonb;
begin
  applied := 0;
  stale := 0;
  dead := 0;
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_text('stream', replay_dead_letters.stream, 512),
    bindery_internal.refused_text('reason', replay_dead_letters.reason, 63)));
  if replay_dead_letters.max_letters is null or replay_dead_letters.max_letters not between 1 and 10000 then
    perform bindery_internal.raise_error(bindery_internal.bad_input('max_letters', 'is not between 1 and 10,000', 'Give how many letters a call may replay.'));
  elsif not pg_try_advisory_xact_lock(hashtextextended('bindery.dead_letters', 0)) then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'replay_running', 'Dead letters are being replayed already.',
      'Try again when that is done: two at a time could apply a book''s events out of order.'));
  end if;

  chosen := array(
    select d.id from bindery.dead_letters d
    where (replay_dead_letters.stream is null or d.stream = replay_dead_letters.stream)
      and (replay_dead_letters.reason is null or d.reason = replay_dead_letters.reason)
      and (replay_dead_letters.book_id is null or d.book_id = replay_dead_letters.book_id)
      and (replay_dead_letters.ids is null or d.id = any (replay_dead_letters.ids))
      -- What can never be replayed is not in the way of what can; who names it is told that it is dead.
      and (replay_dead_letters.ids is not null or not d.truncated and jsonb_typeof(d.payload -> 'count') = 'number')
    order by d.id limit replay_dead_letters.max_letters
    for update skip locked);
  perform from bindery.book_status b
  where b.book_id in (select d.book_id from bindery.dead_letters d where d.id = any (chosen))
  order by b.book_id for no key update;

  perform set_config('bindery.actor', 'replay', true);
  for letter in select d.* from bindery.dead_letters d where d.id = any (chosen) order by d.id loop
    outcome := bindery_internal.replay_letter(letter);
    if outcome is null or outcome ? 'stale' then
      delete from bindery.dead_letters d where d.id = letter.id;
      applied := applied + case when outcome is null then letter.count else 0 end;
      stale := stale + case when outcome is null then 0 else letter.count end;
    else
      update bindery.dead_letters d
      set reason = outcome ->> 'code', message = outcome ->> 'message', replayed_at = bindery_internal.now()
      where d.id = letter.id;
      dead := dead + letter.count;
    end if;
  end loop;
  perform set_config('bindery.actor', actor, true);
end
$$;

-- Name: FUNCTION replay_dead_letters(stream text, reason text, book_id uuid, max_letters integer, ids bigint[], OUT applied bigint, OUT stale bigint, OUT dead bigint); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.replay_dead_letters(stream text, reason text, book_id uuid, max_letters integer, ids bigint[], OUT applied bigint, OUT stale bigint, OUT dead bigint) IS 'See bindery.replay_dead_letters.';

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
    replayed_at timestamp with time zone,
    CONSTRAINT count_is_positive CHECK ((count >= 1))
);

-- Name: TABLE dead_letters; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON TABLE bindery.dead_letters IS 'Events that could not take effect, each with its reason; nothing else was held up by them. See bindery.replay_dead_letters.';

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

COMMENT ON COLUMN bindery.dead_letters.reason IS 'A code: bad_uuid, unknown_book, illegal_transition, …; of a replay the newest.';

-- Name: COLUMN dead_letters.message; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.dead_letters.message IS 'The reason for people.';

-- Name: COLUMN dead_letters.payload; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.dead_letters.payload IS 'The event as the relay read it, with its count; or, where it could not read it, the entry as it came.';

-- Name: COLUMN dead_letters.truncated; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.dead_letters.truncated IS 'Whether payload was cut because the event was too large to keep.';

-- Name: COLUMN dead_letters.at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.dead_letters.at IS 'When it was refused first.';

-- Name: COLUMN dead_letters.replayed_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.dead_letters.replayed_at IS 'When it was last replayed, and refused again; null: never.';

-- Name: replay_letter(bindery.dead_letters); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.replay_letter(letter bindery.dead_letters) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  -- What was cut, or what the relay could not read in the first place, is no event: nothing can be made of it here that the
  -- relay would not have made of it.
  if letter.truncated or jsonb_typeof(letter.payload -> 'count') is distinct from 'number' then
    return jsonb_build_object('code', letter.reason, 'message', letter.message);
  end if;
  return bindery_internal.apply_item(letter.payload);
exception when assert_failure or others then
  if bindery_internal.is_transient(sqlstate) then
    raise;
  end if;
  return jsonb_build_object('code', 'refused_by_database', 'message', format('%s (SQLSTATE %s)', sqlerrm, sqlstate));
end
$$;

-- Name: FUNCTION replay_letter(letter bindery.dead_letters); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.replay_letter(letter bindery.dead_letters) IS 'Applies a dead letter: null when done, {"stale": true}, or why not as {code, message}; changes nothing then.';

-- Name: resume_at(jsonb, integer, jsonb, timestamp with time zone); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.resume_at(state jsonb, attempt integer, error jsonb, moment timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
declare
  seconds constant double precision := (state ->> 'retry_after')::double precision;
begin
  if seconds is null or not bindery_internal.attempts_left(state, attempt) or error -> 'retry' = 'false' then
    return null;
  end if;
  -- The bound on the exponent keeps the power finite; the day is long reached then.
  return moment + greatest(seconds, least(seconds * 2 ^ least(attempt - 1, 40), 86400)) * interval '1 second';
end
$$;

-- Name: FUNCTION resume_at(state jsonb, attempt integer, error jsonb, moment timestamp with time zone); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.resume_at(state jsonb, attempt integer, error jsonb, moment timestamp with time zone) IS 'When a book that fails now in this attempt is to be resumed: after retry_after, doubled for each attempt before, at most a day (or retry_after, where that is longer).
Null: not by itself, since the stage says no retry_after, has no attempts left, or the error says {"retry": false}.';

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
    select b.book_id, b.overall_progress, b.stage_progress, t.median_seconds, t.later_seconds,
      bindery_core.summarize(p.machine, b.status, b.current_stage, coalesce(g.substeps, '[]')) as summary
    from (select distinct c.book_id from changed c) c
    join bindery.book_status b on b.book_id = c.book_id and b.status = b.current_stage
    join bindery.pipelines p on p.name = b.pipeline and p.version = b.pipeline_version
    left join bindery_internal.stage_pace t
      on t.pipeline = b.pipeline and t.pipeline_version = b.pipeline_version and t.stage = b.current_stage
    -- Book by book: a sort of all rows would carry the machine along, and spill onto the disk.
    cross join lateral (
      select jsonb_agg(jsonb_build_object('substep', g.substep, 'weight', g.weight, 'progress', g.progress,
        'done', g.done, 'total', g.total, 'unit', g.unit, 'message', g.message)) as substeps
      from bindery.book_progress g where g.book_id = b.book_id and g.stage = b.current_stage) g
  ), valued as (
    -- A substep that nobody declared makes the stage longer when it is first heard of; the percentage waits then, it does not
    -- go back. Only a plan, a deletion, or entering a stage (guard_transition) works it out anew.
    select s.book_id,
      greatest((s.summary ->> 'overall')::double precision, case when not anew then s.overall_progress end) as overall,
      greatest((s.summary ->> 'stage_progress')::double precision, case when not anew then s.stage_progress end) as stage_progress,
      s.summary -> 'substeps' as substeps, s.median_seconds, s.later_seconds
    from summed s
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
      -- It moves with what is seen, never by itself.
      estimated_completion_at = case when
        (v.overall, v.stage_progress, v.substeps) = (b.overall_progress, b.stage_progress, b.substeps) then b.estimated_completion_at
        else bindery_internal.estimate(moment, b.stage_started_at, v.stage_progress, b.attempt, v.median_seconds, v.later_seconds) end,
      heartbeat_at = moment
  from valued v
  where v.book_id = b.book_id;
  return null;
end
$$;

-- Name: FUNCTION roll_up(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.roll_up() IS 'Turns changed progress rows into their books'' percentages, substeps, estimate and revision; once a statement.';

-- Name: stale_revision(uuid, bigint, bigint); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.stale_revision(book_id uuid, revision bigint, expected_revision bigint) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
  select bindery_internal.error('PT409', 'stale_revision',
    format('Book %s is at revision %s, not %s.', book_id, revision, expected_revision),
    'Read its status again, and decide anew.',
    jsonb_build_object('book_id', book_id, 'revision', revision, 'expected_revision', expected_revision));
$$;

-- Name: FUNCTION stale_revision(book_id uuid, revision bigint, expected_revision bigint); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.stale_revision(book_id uuid, revision bigint, expected_revision bigint) IS 'The error PT409 stale_revision.';

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
  new.heartbeat_at := moment;
  new.stage_started_at := moment;
  new.resume_at := null;
  new.estimated_completion_at := (
    select bindery_internal.estimate(moment, moment, new.stage_progress, 1, p.median_seconds, p.later_seconds)
    from bindery_internal.stage_pace p
    where p.pipeline = new.pipeline and p.pipeline_version = new.pipeline_version and p.stage = initial);
  new.created_at := moment;
  new.updated_at := moment;
  new.completed_at := null;
  return new;
end
$$;

-- Name: FUNCTION start_book(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.start_book() IS 'Puts a new book at its pipeline''s first state, on a version that exists, whoever inserts it.';

-- Name: state_of(jsonb, text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.state_of(machine jsonb, name text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
begin
  return (select s.state from jsonb_array_elements(machine -> 'states') as s(state) where s.state ->> 'name' = state_of.name);
end
$$;

-- Name: FUNCTION state_of(machine jsonb, name text); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.state_of(machine jsonb, name text) IS 'A state of a compiled machine by its name; null where it has none such.';

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

-- Name: sweep(timestamp with time zone); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.sweep(given timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  clock constant timestamptz := bindery_internal.now();
  -- A moment that has not come would fail books for silence to be.
  moment constant timestamptz := case when bindery_internal.may_set_clock() then coalesce(given, clock) else least(given, clock) end;
  waiting_for jsonb;
  heard_until timestamptz;
  stalled integer := 0;
  resumed integer := 0;
  book record;
  refusal jsonb;
begin
  if not isfinite(moment) then
    perform bindery_internal.raise_error(bindery_internal.bad_input('now', 'is no moment', 'Give a time, or leave it out.'));
  elsif not pg_try_advisory_xact_lock(hashtextextended('bindery.sweep', 0)) then
    return jsonb_build_object('stalled', 0, 'resumed', 0, 'waiting_for', '[]'::jsonb);
  end if;
  perform set_config('bindery.actor', 'sweep', true);
  perform bindery_internal.refresh_pace();

  -- An event that waits in a stream is a sign of life that has not got here yet.
  select least(moment, min(c.caught_up_at)),
    coalesce(jsonb_agg(c.stream order by c.stream) filter (
      where c.holder is null or c.lease_expires_at <= clock or c.caught_up_at is null), '[]')
  into heard_until, waiting_for
  from bindery.relay_cursors c;

  for book in
    select b.book_id, b.status, b.heartbeat_at, s.stall_after
    from bindery.book_status b
    join bindery.pipelines p on p.name = b.pipeline and p.version = b.pipeline_version
    cross join lateral (
      select (bindery_internal.state_of(p.machine, b.status) ->> 'stall_after')::double precision as stall_after) s
    where b.completed_at is null and b.status not in ('FAILED', 'CANCELLED')
      and heard_until - b.heartbeat_at > s.stall_after * interval '1 second' and waiting_for = '[]'
    order by b.book_id
    for no key update of b skip locked
  loop
    -- What could not be failed does not count: it would keep the others out for ever.
    exit when stalled >= 500;
    -- One that raises (a trigger of somebody's own, say) holds up no other.
    begin
      refusal := bindery_internal.do_transition(book.book_id, 'FAILED',
        format('Nothing was heard of %s for more than %s.', book.status, book.stall_after * interval '1 second'),
        error => jsonb_build_object(
          'code', 'stalled', 'stage', book.status, 'stall_after', book.stall_after, 'heartbeat_at', book.heartbeat_at));
      stalled := stalled + case when refusal is null then 1 else 0 end;
    exception when assert_failure or others then
      raise warning 'Book % is silent, but could not be failed: % (SQLSTATE %).', book.book_id, sqlerrm, sqlstate;
    end;
  end loop;

  for book in
    select b.book_id, b.attempt, b.current_stage
    from bindery.book_status b
    where b.resume_at <= moment and b.status = 'FAILED'
    order by b.resume_at, b.book_id
    for no key update skip locked
  loop
    exit when resumed >= 500;
    begin
      refusal := bindery_internal.do_resume(book.book_id,
        message => format('Attempt %s at %s failed; its retry_after is over.', book.attempt, book.current_stage));
      resumed := resumed + case when refusal is null then 1 else 0 end;
    exception when assert_failure or others then
      raise warning 'Book % is due, but could not be resumed: % (SQLSTATE %).', book.book_id, sqlerrm, sqlstate;
    end;
  end loop;
  perform set_config('bindery.actor', '', true);
  return jsonb_build_object('stalled', stalled, 'resumed', resumed, 'waiting_for', waiting_for);
end
$$;

-- Name: FUNCTION sweep(given timestamp with time zone); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.sweep(given timestamp with time zone) IS 'See bindery.sweep.';

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

-- Name: FUNCTION take_outbox(max_rows integer); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.take_outbox(max_rows integer) IS 'See bindery.take_outbox.';

-- Name: touch(); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.touch() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  if (old.title, old.message, old.error, old.metadata) is distinct from (new.title, new.message, new.error, new.metadata) then
    perform bindery_internal.refuse_texts(new);
  end if;
  if old.revision = new.revision
    and (old.owner_id, old.title, old.message, old.error, old.metadata, old.resume_at, old.estimated_completion_at)
      is distinct from (new.owner_id, new.title, new.message, new.error, new.metadata, new.resume_at, new.estimated_completion_at)
  then
    new.revision := old.revision + 1;
    new.updated_at := bindery_internal.now();
  end if;
  return new;
end
$$;

-- Name: FUNCTION touch(); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.touch() IS 'Counts a change by hand of title, owner, message, error, metadata or a time as a revision; refuses texts that calls refuse (PT422 bad_input).';

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

-- Name: FUNCTION unknown_book(book_id uuid); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.unknown_book(book_id uuid) IS 'The error PT404 unknown_book.';

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

-- Name: FUNCTION unknown_pipeline(pipeline text, pipeline_version integer); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.unknown_pipeline(pipeline text, pipeline_version integer) IS 'The error PT404 unknown_pipeline.';

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

-- Name: xstate_edge(text, text, text); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.xstate_edge(kind text, target text, guard text DEFAULT NULL::text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
  select jsonb_strip_nulls(jsonb_build_object('target', target, 'guard', guard, 'meta', jsonb_build_object('kind', kind)));
$$;

-- Name: FUNCTION xstate_edge(kind text, target text, guard text); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.xstate_edge(kind text, target text, guard text) IS 'A transition of an XState config. Its meta.kind is forward, rework, fail, cancel or resume.';

-- Name: xstate_node(jsonb); Type: FUNCTION; Schema: bindery_internal; Owner: -

CREATE FUNCTION bindery_internal.xstate_node(state jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
  select jsonb_build_object('meta', jsonb_strip_nulls(state - array['name', 'final', 'next', 'rework']))
    || case when (state ->> 'final')::boolean then '{"type": "final"}'
       else jsonb_build_object('on',
         (select jsonb_object_agg(n.edge ->> 'to', bindery_internal.xstate_edge('forward', n.edge ->> 'to', n.edge ->> 'guard'))
          from jsonb_array_elements(state -> 'next') as n(edge))
         || coalesce((select jsonb_object_agg(r.target, bindery_internal.xstate_edge('rework', r.target))
          from jsonb_array_elements_text(state -> 'rework') as r(target)), '{}')
         || jsonb_build_object(
           'FAILED', bindery_internal.xstate_edge('fail', 'FAILED.' || (state ->> 'name')),
           'CANCELLED', bindery_internal.xstate_edge('cancel', 'CANCELLED'))) end;
$$;

-- Name: FUNCTION xstate_node(state jsonb); Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON FUNCTION bindery_internal.xstate_node(state jsonb) IS 'A state of an XState config, from a state of a compiled machine.';

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
    CONSTRAINT kind_is_known CHECK ((kind = ANY (ARRAY['register'::text, 'transition'::text, 'fail'::text, 'resume'::text, 'cancel'::text, 'complete'::text, 'rewind'::text])))
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

COMMENT ON COLUMN bindery.book_events.kind IS 'register, transition, fail, resume, rewind, cancel or complete.';

-- Name: COLUMN book_events.from_status; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_events.from_status IS 'The status before; null at registration.';

-- Name: COLUMN book_events.to_status; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_events.to_status IS 'The status after.';

-- Name: COLUMN book_events.stage; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_events.stage IS 'The stage the book was in after the change.';

-- Name: COLUMN book_events.attempt; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_events.attempt IS 'The attempt after the change.';

-- Name: COLUMN book_events.actor; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.book_events.actor IS 'Who made it: a user''s id, a role, relay:<stream>, or sweep.';

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
)
WITH (toast_tuple_target='8160');
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
    caught_up_at timestamp with time zone,
    losses bigint DEFAULT 0 NOT NULL,
    lost bigint DEFAULT 0 NOT NULL,
    last_loss text,
    lost_at timestamp with time zone,
    entries_ahead bigint,
    CONSTRAINT loss_is_known CHECK ((last_loss = ANY (ARRAY['trimmed'::text, 'deleted'::text, 'recreated'::text, 'rewound'::text]))),
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

-- Name: COLUMN relay_cursors.caught_up_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.relay_cursors.caught_up_at IS 'Everything that was in the stream at this moment (of this database''s clock) has been applied; null: not proven yet. It lags the clock by
seconds while the relay keeps up, and stands still while it is behind, gone, or cut off from Redis.';

-- Name: COLUMN relay_cursors.losses; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.relay_cursors.losses IS 'How often the relay found the stream not to be what it had been: entries gone unread, or another stream in its place.';

-- Name: COLUMN relay_cursors.lost; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.relay_cursors.lost IS 'Entries that were gone before they were read, as far as they could be counted.';

-- Name: COLUMN relay_cursors.last_loss; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.relay_cursors.last_loss IS 'What was found last: trimmed (entries gone unread), deleted, recreated (another stream of that name) or rewound (a stream that ends before the position).';

-- Name: COLUMN relay_cursors.lost_at; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.relay_cursors.lost_at IS 'When that was found.';

-- Name: COLUMN relay_cursors.entries_ahead; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.relay_cursors.entries_ahead IS 'How many entries Redis had counted at the position (entries-added) beyond applied, stale and dead; by it the relay sees what goes missing. Null: not known yet.';

-- Name: settings; Type: TABLE; Schema: bindery; Owner: -

CREATE TABLE bindery.settings (
    only_row boolean DEFAULT true NOT NULL,
    broadcast boolean DEFAULT true NOT NULL,
    CONSTRAINT there_is_one_row CHECK (only_row)
);

-- Name: TABLE settings; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON TABLE bindery.settings IS 'One row: what an operator may switch.
UPDATE it as service_role; it holds from the next transaction on.';

-- Name: COLUMN settings.only_row; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.settings.only_row IS 'Always true: there is one row.';

-- Name: COLUMN settings.broadcast; Type: COMMENT; Schema: bindery; Owner: -

COMMENT ON COLUMN bindery.settings.broadcast IS 'Whether changed books are broadcast by Supabase Realtime; the setting bindery.broadcast, on or off, says otherwise for a session.';

-- Name: forgotten_streams; Type: TABLE; Schema: bindery_internal; Owner: -

CREATE TABLE bindery_internal.forgotten_streams (
    stream text NOT NULL,
    epoch bigint NOT NULL
);

-- Name: TABLE forgotten_streams; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON TABLE bindery_internal.forgotten_streams IS 'Streams that bindery.forget_stream deleted and nobody has acquired since.';

-- Name: COLUMN forgotten_streams.stream; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.forgotten_streams.stream IS 'The stream''s key in Redis.';

-- Name: COLUMN forgotten_streams.epoch; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.forgotten_streams.epoch IS 'The last epoch it had.';

-- Name: last_attempts; Type: VIEW; Schema: bindery_internal; Owner: -

CREATE VIEW bindery_internal.last_attempts AS
 SELECT e.book_id,
    e.stage,
    max(e.attempt) AS attempt
   FROM bindery.book_events e
  GROUP BY e.book_id, e.stage;

-- Name: VIEW last_attempts; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON VIEW bindery_internal.last_attempts IS 'The highest attempt that each book has had at each stage, as far as its history goes back; ask it for one book and stage.';

-- Name: COLUMN last_attempts.book_id; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.last_attempts.book_id IS 'The book.';

-- Name: COLUMN last_attempts.stage; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.last_attempts.stage IS 'The stage.';

-- Name: COLUMN last_attempts.attempt; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.last_attempts.attempt IS 'The highest attempt there, from 1.';

-- Name: pace_refresh; Type: TABLE; Schema: bindery_internal; Owner: -

CREATE TABLE bindery_internal.pace_refresh (
    only_row boolean DEFAULT true NOT NULL,
    through_event bigint DEFAULT 0 NOT NULL,
    refreshed_at timestamp with time zone,
    CONSTRAINT there_is_one_row CHECK (only_row)
);

-- Name: TABLE pace_refresh; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON TABLE bindery_internal.pace_refresh IS 'One row: how far the history has been read for stage_visits, and when.';

-- Name: COLUMN pace_refresh.only_row; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.pace_refresh.only_row IS 'Always true: there is one row.';

-- Name: COLUMN pace_refresh.through_event; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.pace_refresh.through_event IS 'The newest event of book_events that was read.';

-- Name: COLUMN pace_refresh.refreshed_at; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.pace_refresh.refreshed_at IS 'When; null: never.';

-- Name: relays; Type: TABLE; Schema: bindery_internal; Owner: -

CREATE TABLE bindery_internal.relays (
    holder text NOT NULL,
    streams text[] NOT NULL,
    handing_over text,
    expires_at timestamp with time zone NOT NULL
);

-- Name: TABLE relays; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON TABLE bindery_internal.relays IS 'Relays that live, as bindery.announce_relay was told.';

-- Name: COLUMN relays.holder; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.relays.holder IS 'The name by which it acquires streams.';

-- Name: COLUMN relays.streams; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.relays.streams IS 'The streams that it would read.';

-- Name: COLUMN relays.handing_over; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.relays.handing_over IS 'The stream that it was last told to give up; null: none.';

-- Name: COLUMN relays.expires_at; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.relays.expires_at IS 'When it counts no more, by this database''s clock.';

-- Name: schema_history; Type: TABLE; Schema: bindery_internal; Owner: -

CREATE TABLE bindery_internal.schema_history (
    version integer NOT NULL,
    name character varying(255),
    applied_on character varying(255),
    checksum character varying(255)
);

-- Name: stage_pace; Type: TABLE; Schema: bindery_internal; Owner: -

CREATE TABLE bindery_internal.stage_pace (
    pipeline text NOT NULL,
    pipeline_version integer NOT NULL,
    stage text NOT NULL,
    median_seconds double precision,
    later_seconds double precision,
    samples integer NOT NULL,
    refreshed_at timestamp with time zone NOT NULL,
    CONSTRAINT pace_is_not_negative CHECK (((median_seconds >= (0)::double precision) AND (later_seconds >= (0)::double precision))),
    CONSTRAINT samples_are_not_negative CHECK ((samples >= 0))
);

-- Name: TABLE stage_pace; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON TABLE bindery_internal.stage_pace IS 'How long each state of a pipeline takes, by the median of its newest visits: the ground of estimated_completion_at.';

-- Name: COLUMN stage_pace.pipeline; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.stage_pace.pipeline IS 'The pipeline.';

-- Name: COLUMN stage_pace.pipeline_version; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.stage_pace.pipeline_version IS 'Its version; each has a pace of its own.';

-- Name: COLUMN stage_pace.stage; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.stage_pace.stage IS 'The state.';

-- Name: COLUMN stage_pace.median_seconds; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.stage_pace.median_seconds IS 'The median of its visits; without any, 0 for a state of no weight (no work is done there) and null for a stage.';

-- Name: COLUMN stage_pace.later_seconds; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.stage_pace.later_seconds IS 'The sum of the medians of the states after it on the heaviest path to the end; null where one of them is null.';

-- Name: COLUMN stage_pace.samples; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.stage_pace.samples IS 'How many visits the median is of, up to 50.';

-- Name: COLUMN stage_pace.refreshed_at; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.stage_pace.refreshed_at IS 'When this row was worked out.';

-- Name: stage_visits; Type: TABLE; Schema: bindery_internal; Owner: -

CREATE TABLE bindery_internal.stage_visits (
    pipeline text NOT NULL,
    pipeline_version integer NOT NULL,
    stage text NOT NULL,
    event_id bigint NOT NULL,
    seconds double precision NOT NULL,
    CONSTRAINT visit_takes_no_negative_time CHECK ((seconds >= (0)::double precision))
);

-- Name: TABLE stage_visits; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON TABLE bindery_internal.stage_visits IS 'How long the newest visits to each state took, up to 50 a state; kept here so that no look back into the history is needed.';

-- Name: COLUMN stage_visits.pipeline; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.stage_visits.pipeline IS 'The pipeline of the book that was there.';

-- Name: COLUMN stage_visits.pipeline_version; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.stage_visits.pipeline_version IS 'The version of that pipeline.';

-- Name: COLUMN stage_visits.stage; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.stage_visits.stage IS 'The state that was visited.';

-- Name: COLUMN stage_visits.event_id; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.stage_visits.event_id IS 'The event of book_events that ended the visit; no foreign key, a visit outlives pruned history.';

-- Name: COLUMN stage_visits.seconds; Type: COMMENT; Schema: bindery_internal; Owner: -

COMMENT ON COLUMN bindery_internal.stage_visits.seconds IS 'From entering the state to leaving it forward, halts in between included.';

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

-- Name: settings settings_pkey; Type: CONSTRAINT; Schema: bindery; Owner: -

ALTER TABLE ONLY bindery.settings
    ADD CONSTRAINT settings_pkey PRIMARY KEY (only_row);

-- Name: forgotten_streams forgotten_streams_pkey; Type: CONSTRAINT; Schema: bindery_internal; Owner: -

ALTER TABLE ONLY bindery_internal.forgotten_streams
    ADD CONSTRAINT forgotten_streams_pkey PRIMARY KEY (stream);

-- Name: pace_refresh pace_refresh_pkey; Type: CONSTRAINT; Schema: bindery_internal; Owner: -

ALTER TABLE ONLY bindery_internal.pace_refresh
    ADD CONSTRAINT pace_refresh_pkey PRIMARY KEY (only_row);

-- Name: relays relays_pkey; Type: CONSTRAINT; Schema: bindery_internal; Owner: -

ALTER TABLE ONLY bindery_internal.relays
    ADD CONSTRAINT relays_pkey PRIMARY KEY (holder);

-- Name: schema_history schema_history_pkey; Type: CONSTRAINT; Schema: bindery_internal; Owner: -

ALTER TABLE ONLY bindery_internal.schema_history
    ADD CONSTRAINT schema_history_pkey PRIMARY KEY (version);

-- Name: stage_pace stage_pace_pkey; Type: CONSTRAINT; Schema: bindery_internal; Owner: -

ALTER TABLE ONLY bindery_internal.stage_pace
    ADD CONSTRAINT stage_pace_pkey PRIMARY KEY (pipeline, pipeline_version, stage);

-- Name: stage_visits stage_visits_pkey; Type: CONSTRAINT; Schema: bindery_internal; Owner: -

ALTER TABLE ONLY bindery_internal.stage_visits
    ADD CONSTRAINT stage_visits_pkey PRIMARY KEY (pipeline, pipeline_version, stage, event_id);

-- Name: book_events_prunable; Type: INDEX; Schema: bindery; Owner: -

CREATE INDEX book_events_prunable ON bindery.book_events USING btree (at) WHERE (kind <> ALL (ARRAY['complete'::text, 'cancel'::text]));

-- Name: book_status_at_work; Type: INDEX; Schema: bindery; Owner: -

CREATE INDEX book_status_at_work ON bindery.book_status USING btree (book_id) WHERE ((completed_at IS NULL) AND (status <> ALL (ARRAY['FAILED'::text, 'CANCELLED'::text])));

-- Name: book_status_created; Type: INDEX; Schema: bindery; Owner: -

CREATE INDEX book_status_created ON bindery.book_status USING btree (created_at DESC);

-- Name: book_status_failed; Type: INDEX; Schema: bindery; Owner: -

CREATE INDEX book_status_failed ON bindery.book_status USING btree (created_at DESC) WHERE (error IS NOT NULL);

-- Name: book_status_owner; Type: INDEX; Schema: bindery; Owner: -

CREATE INDEX book_status_owner ON bindery.book_status USING btree (owner_id, created_at DESC);

-- Name: book_status_pipeline; Type: INDEX; Schema: bindery; Owner: -

CREATE INDEX book_status_pipeline ON bindery.book_status USING btree (pipeline, pipeline_version);

-- Name: book_status_to_resume; Type: INDEX; Schema: bindery; Owner: -

CREATE INDEX book_status_to_resume ON bindery.book_status USING btree (resume_at) WHERE (resume_at IS NOT NULL);

-- Name: dead_letters_at; Type: INDEX; Schema: bindery; Owner: -

CREATE INDEX dead_letters_at ON bindery.dead_letters USING btree (at);

-- Name: dead_letters_stream; Type: INDEX; Schema: bindery; Owner: -

CREATE INDEX dead_letters_stream ON bindery.dead_letters USING btree (stream, id);

-- Name: book_status announce_change; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER announce_change AFTER UPDATE ON bindery.book_status REFERENCING OLD TABLE AS old_books NEW TABLE AS new_books FOR EACH STATEMENT EXECUTE FUNCTION bindery_internal.announce();

-- Name: book_status announce_start; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER announce_start AFTER INSERT ON bindery.book_status REFERENCING NEW TABLE AS new_books FOR EACH STATEMENT EXECUTE FUNCTION bindery_internal.announce();

-- Name: book_status guard_columns; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER guard_columns BEFORE UPDATE OF book_id, pipeline, pipeline_version, created_at, revision, current_stage, attempt, overall_progress, stage_progress, substeps, completed_at ON bindery.book_status FOR EACH ROW WHEN (((old.book_id <> new.book_id) OR (old.pipeline <> new.pipeline) OR (old.pipeline_version <> new.pipeline_version) OR (old.created_at <> new.created_at) OR (new.revision < old.revision) OR ((old.status = new.status) AND ((old.current_stage <> new.current_stage) OR (old.attempt <> new.attempt))) OR ((pg_trigger_depth() = 0) AND (old.status = new.status) AND (((((old.overall_progress IS DISTINCT FROM new.overall_progress) OR (old.stage_progress IS DISTINCT FROM new.stage_progress)) OR (old.substeps IS DISTINCT FROM new.substeps)) OR (old.completed_at IS DISTINCT FROM new.completed_at)) OR (old.revision IS DISTINCT FROM new.revision))))) EXECUTE FUNCTION bindery_internal.guard_columns();

-- Name: book_status guard_texts_of_new; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER guard_texts_of_new BEFORE INSERT ON bindery.book_status FOR EACH ROW EXECUTE FUNCTION bindery_internal.guard_texts();

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

CREATE TRIGGER touch BEFORE UPDATE OF owner_id, title, message, error, metadata, resume_at ON bindery.book_status FOR EACH ROW WHEN ((old.status = new.status)) EXECUTE FUNCTION bindery_internal.touch();

-- Name: book_status touch_estimate; Type: TRIGGER; Schema: bindery; Owner: -

CREATE TRIGGER touch_estimate BEFORE UPDATE OF estimated_completion_at ON bindery.book_status FOR EACH ROW WHEN (((old.status = new.status) AND (old.revision = new.revision) AND (old.estimated_completion_at IS DISTINCT FROM new.estimated_completion_at))) EXECUTE FUNCTION bindery_internal.touch();

-- Name: book_status book_follows_a_pipeline; Type: FK CONSTRAINT; Schema: bindery; Owner: -

ALTER TABLE ONLY bindery.book_status
    ADD CONSTRAINT book_follows_a_pipeline FOREIGN KEY (pipeline, pipeline_version) REFERENCES bindery.pipelines(name, version);

-- Name: book_events event_belongs_to_a_book; Type: FK CONSTRAINT; Schema: bindery; Owner: -

ALTER TABLE ONLY bindery.book_events
    ADD CONSTRAINT event_belongs_to_a_book FOREIGN KEY (book_id) REFERENCES bindery.book_status(book_id) ON DELETE CASCADE;

-- Name: book_progress progress_belongs_to_a_book; Type: FK CONSTRAINT; Schema: bindery; Owner: -

ALTER TABLE ONLY bindery.book_progress
    ADD CONSTRAINT progress_belongs_to_a_book FOREIGN KEY (book_id) REFERENCES bindery.book_status(book_id) ON DELETE CASCADE;

-- Name: stage_pace pace_belongs_to_a_pipeline; Type: FK CONSTRAINT; Schema: bindery_internal; Owner: -

ALTER TABLE ONLY bindery_internal.stage_pace
    ADD CONSTRAINT pace_belongs_to_a_pipeline FOREIGN KEY (pipeline, pipeline_version) REFERENCES bindery.pipelines(name, version) ON DELETE CASCADE;

-- Name: stage_visits visit_follows_a_pipeline; Type: FK CONSTRAINT; Schema: bindery_internal; Owner: -

ALTER TABLE ONLY bindery_internal.stage_visits
    ADD CONSTRAINT visit_follows_a_pipeline FOREIGN KEY (pipeline, pipeline_version) REFERENCES bindery.pipelines(name, version) ON DELETE CASCADE;

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

-- Name: settings service_reads_settings; Type: POLICY; Schema: bindery; Owner: -

CREATE POLICY service_reads_settings ON bindery.settings FOR SELECT TO service_role USING (true);

-- Name: book_status service_updates_books; Type: POLICY; Schema: bindery; Owner: -

CREATE POLICY service_updates_books ON bindery.book_status FOR UPDATE TO service_role USING (true) WITH CHECK (true);

-- Name: settings service_updates_settings; Type: POLICY; Schema: bindery; Owner: -

CREATE POLICY service_updates_settings ON bindery.settings FOR UPDATE TO service_role USING (true) WITH CHECK (true);

-- Name: settings; Type: ROW SECURITY; Schema: bindery; Owner: -

ALTER TABLE bindery.settings ENABLE ROW LEVEL SECURITY;

-- Name: forgotten_streams; Type: ROW SECURITY; Schema: bindery_internal; Owner: -

ALTER TABLE bindery_internal.forgotten_streams ENABLE ROW LEVEL SECURITY;

-- Name: forgotten_streams nobody; Type: POLICY; Schema: bindery_internal; Owner: -

CREATE POLICY nobody ON bindery_internal.forgotten_streams USING (false);

-- Name: pace_refresh nobody; Type: POLICY; Schema: bindery_internal; Owner: -

CREATE POLICY nobody ON bindery_internal.pace_refresh USING (false);

-- Name: relays nobody; Type: POLICY; Schema: bindery_internal; Owner: -

CREATE POLICY nobody ON bindery_internal.relays USING (false);

-- Name: schema_history nobody; Type: POLICY; Schema: bindery_internal; Owner: -

CREATE POLICY nobody ON bindery_internal.schema_history USING (false);

-- Name: stage_pace nobody; Type: POLICY; Schema: bindery_internal; Owner: -

CREATE POLICY nobody ON bindery_internal.stage_pace USING (false);

-- Name: stage_visits nobody; Type: POLICY; Schema: bindery_internal; Owner: -

CREATE POLICY nobody ON bindery_internal.stage_visits USING (false);

-- Name: pace_refresh; Type: ROW SECURITY; Schema: bindery_internal; Owner: -

ALTER TABLE bindery_internal.pace_refresh ENABLE ROW LEVEL SECURITY;

-- Name: relays; Type: ROW SECURITY; Schema: bindery_internal; Owner: -

ALTER TABLE bindery_internal.relays ENABLE ROW LEVEL SECURITY;

-- Name: schema_history; Type: ROW SECURITY; Schema: bindery_internal; Owner: -

ALTER TABLE bindery_internal.schema_history ENABLE ROW LEVEL SECURITY;

-- Name: stage_pace; Type: ROW SECURITY; Schema: bindery_internal; Owner: -

ALTER TABLE bindery_internal.stage_pace ENABLE ROW LEVEL SECURITY;

-- Name: stage_visits; Type: ROW SECURITY; Schema: bindery_internal; Owner: -

ALTER TABLE bindery_internal.stage_visits ENABLE ROW LEVEL SECURITY;

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

-- Name: FUNCTION announce_relay(holder text, streams text[], ttl interval, OUT relays integer, OUT give_up text, OUT leave text[]); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.announce_relay(holder text, streams text[], ttl interval, OUT relays integer, OUT give_up text, OUT leave text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.announce_relay(holder text, streams text[], ttl interval, OUT relays integer, OUT give_up text, OUT leave text[]) TO service_role;
GRANT ALL ON FUNCTION bindery.announce_relay(holder text, streams text[], ttl interval, OUT relays integer, OUT give_up text, OUT leave text[]) TO bindery_relay;

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

-- Name: FUNCTION dead_letter_reasons(stream text, after text, max_letters integer); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.dead_letter_reasons(stream text, after text, max_letters integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.dead_letter_reasons(stream text, after text, max_letters integer) TO service_role;
GRANT ALL ON FUNCTION bindery.dead_letter_reasons(stream text, after text, max_letters integer) TO bindery_relay;

-- Name: FUNCTION define_pipeline(name text, definition jsonb); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.define_pipeline(name text, definition jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.define_pipeline(name text, definition jsonb) TO service_role;

-- Name: FUNCTION drop_dead_letters(ids bigint[]); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.drop_dead_letters(ids bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.drop_dead_letters(ids bigint[]) TO service_role;

-- Name: FUNCTION fail_book(book_id uuid, error jsonb, message text, expected_revision bigint, attempt integer); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.fail_book(book_id uuid, error jsonb, message text, expected_revision bigint, attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.fail_book(book_id uuid, error jsonb, message text, expected_revision bigint, attempt integer) TO service_role;

-- Name: FUNCTION forget_stream(stream text); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.forget_stream(stream text) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.forget_stream(stream text) TO service_role;

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

-- Name: FUNCTION note_stream(stream text, epoch bigint, entries bigint, loss text, lost bigint, "position" text); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.note_stream(stream text, epoch bigint, entries bigint, loss text, lost bigint, "position" text) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.note_stream(stream text, epoch bigint, entries bigint, loss text, lost bigint, "position" text) TO service_role;
GRANT ALL ON FUNCTION bindery.note_stream(stream text, epoch bigint, entries bigint, loss text, lost bigint, "position" text) TO bindery_relay;

-- Name: FUNCTION outbox_backlog(max_messages integer, OUT messages bigint, OUT oldest_at timestamp with time zone, OUT age interval); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.outbox_backlog(max_messages integer, OUT messages bigint, OUT oldest_at timestamp with time zone, OUT age interval) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.outbox_backlog(max_messages integer, OUT messages bigint, OUT oldest_at timestamp with time zone, OUT age interval) TO service_role;
GRANT ALL ON FUNCTION bindery.outbox_backlog(max_messages integer, OUT messages bigint, OUT oldest_at timestamp with time zone, OUT age interval) TO bindery_relay;

-- Name: FUNCTION pipeline_xstate(name text, version integer); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.pipeline_xstate(name text, version integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.pipeline_xstate(name text, version integer) TO authenticated;
GRANT ALL ON FUNCTION bindery.pipeline_xstate(name text, version integer) TO service_role;

-- Name: FUNCTION place_of_books(stage text, book_ids uuid[]); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.place_of_books(stage text, book_ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.place_of_books(stage text, book_ids uuid[]) TO service_role;
GRANT ALL ON FUNCTION bindery.place_of_books(stage text, book_ids uuid[]) TO bindery_relay;

-- Name: FUNCTION plan_substeps(book_id uuid, stage text, substeps jsonb, expected_revision bigint); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.plan_substeps(book_id uuid, stage text, substeps jsonb, expected_revision bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.plan_substeps(book_id uuid, stage text, substeps jsonb, expected_revision bigint) TO service_role;

-- Name: FUNCTION prune_dead_letters(before timestamp with time zone, batch integer); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.prune_dead_letters(before timestamp with time zone, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.prune_dead_letters(before timestamp with time zone, batch integer) TO service_role;

-- Name: FUNCTION prune_events(before timestamp with time zone, batch integer); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.prune_events(before timestamp with time zone, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.prune_events(before timestamp with time zone, batch integer) TO service_role;

-- Name: FUNCTION prune_outbox(before timestamp with time zone, batch integer); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.prune_outbox(before timestamp with time zone, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.prune_outbox(before timestamp with time zone, batch integer) TO service_role;

-- Name: FUNCTION register_book(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.register_book(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.register_book(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb) TO service_role;

-- Name: FUNCTION release_stream(stream text, epoch bigint); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.release_stream(stream text, epoch bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.release_stream(stream text, epoch bigint) TO service_role;
GRANT ALL ON FUNCTION bindery.release_stream(stream text, epoch bigint) TO bindery_relay;

-- Name: FUNCTION renew_stream(stream text, epoch bigint, caught_up_at timestamp with time zone); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.renew_stream(stream text, epoch bigint, caught_up_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.renew_stream(stream text, epoch bigint, caught_up_at timestamp with time zone) TO service_role;
GRANT ALL ON FUNCTION bindery.renew_stream(stream text, epoch bigint, caught_up_at timestamp with time zone) TO bindery_relay;

-- Name: FUNCTION replay_dead_letters(stream text, reason text, book_id uuid, max_letters integer, ids bigint[]); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.replay_dead_letters(stream text, reason text, book_id uuid, max_letters integer, ids bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.replay_dead_letters(stream text, reason text, book_id uuid, max_letters integer, ids bigint[]) TO service_role;

-- Name: FUNCTION report_progress(book_id uuid, substep text, progress double precision, done double precision, total double precision, unit text, message text, checkpoint jsonb, stage text, attempt integer); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.report_progress(book_id uuid, substep text, progress double precision, done double precision, total double precision, unit text, message text, checkpoint jsonb, stage text, attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.report_progress(book_id uuid, substep text, progress double precision, done double precision, total double precision, unit text, message text, checkpoint jsonb, stage text, attempt integer) TO service_role;

-- Name: FUNCTION resume_book(book_id uuid, expected_revision bigint); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.resume_book(book_id uuid, expected_revision bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.resume_book(book_id uuid, expected_revision bigint) TO service_role;

-- Name: FUNCTION rewind_book(book_id uuid, to_stage text, message text, expected_revision bigint); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.rewind_book(book_id uuid, to_stage text, message text, expected_revision bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.rewind_book(book_id uuid, to_stage text, message text, expected_revision bigint) TO service_role;

-- Name: FUNCTION status_at(book_id uuid, at timestamp with time zone); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.status_at(book_id uuid, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.status_at(book_id uuid, at timestamp with time zone) TO authenticated;
GRANT ALL ON FUNCTION bindery.status_at(book_id uuid, at timestamp with time zone) TO service_role;

-- Name: FUNCTION sweep(now timestamp with time zone); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.sweep(now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.sweep(now timestamp with time zone) TO service_role;
GRANT ALL ON FUNCTION bindery.sweep(now timestamp with time zone) TO bindery_relay;

-- Name: TABLE outbox; Type: ACL; Schema: bindery; Owner: -

GRANT SELECT ON TABLE bindery.outbox TO service_role;

-- Name: FUNCTION take_outbox(max_rows integer); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.take_outbox(max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.take_outbox(max_rows integer) TO service_role;
GRANT ALL ON FUNCTION bindery.take_outbox(max_rows integer) TO bindery_relay;

-- Name: FUNCTION transition_book(book_id uuid, to_status text, message text, expected_revision bigint, attempt integer); Type: ACL; Schema: bindery; Owner: -

REVOKE ALL ON FUNCTION bindery.transition_book(book_id uuid, to_status text, message text, expected_revision bigint, attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery.transition_book(book_id uuid, to_status text, message text, expected_revision bigint, attempt integer) TO service_role;

-- Name: FUNCTION acquire_stream(stream text, holder text, ttl interval); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.acquire_stream(stream text, holder text, ttl interval) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.acquire_stream(stream text, holder text, ttl interval) TO service_role;
GRANT ALL ON FUNCTION bindery_internal.acquire_stream(stream text, holder text, ttl interval) TO bindery_relay;

-- Name: FUNCTION actor(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.actor() FROM PUBLIC;

-- Name: FUNCTION announce(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.announce() FROM PUBLIC;

-- Name: FUNCTION announce_books(book_ids uuid[], revisions bigint[]); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.announce_books(book_ids uuid[], revisions bigint[]) FROM PUBLIC;

-- Name: FUNCTION announce_relay(holder text, streams text[], ttl interval, OUT relays integer, OUT give_up text, OUT leave text[]); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.announce_relay(holder text, streams text[], ttl interval, OUT relays integer, OUT give_up text, OUT leave text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.announce_relay(holder text, streams text[], ttl interval, OUT relays integer, OUT give_up text, OUT leave text[]) TO service_role;
GRANT ALL ON FUNCTION bindery_internal.announce_relay(holder text, streams text[], ttl interval, OUT relays integer, OUT give_up text, OUT leave text[]) TO bindery_relay;

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

-- Name: FUNCTION ask_guard(guard regproc, book bindery.book_status); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.ask_guard(guard regproc, book bindery.book_status) FROM PUBLIC;

-- Name: FUNCTION attempts_left(state jsonb, attempt integer); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.attempts_left(state jsonb, attempt integer) FROM PUBLIC;

-- Name: FUNCTION bad_input(argument text, problem text, hint text); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.bad_input(argument text, problem text, hint text) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.bad_input(argument text, problem text, hint text) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.bad_input(argument text, problem text, hint text) TO service_role;

-- Name: FUNCTION broadcast(book_ids uuid[]); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.broadcast(book_ids uuid[]) FROM PUBLIC;

-- Name: FUNCTION broadcast_messages(book_ids uuid[]); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.broadcast_messages(book_ids uuid[]) FROM PUBLIC;

-- Name: FUNCTION broadcast_payload(book bindery.book_status); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.broadcast_payload(book bindery.book_status) FROM PUBLIC;

-- Name: FUNCTION broadcasts(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.broadcasts() FROM PUBLIC;

-- Name: FUNCTION bury(stream text, items jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.bury(stream text, items jsonb) FROM PUBLIC;

-- Name: FUNCTION check_pruning(before timestamp with time zone, batch integer); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.check_pruning(before timestamp with time zone, batch integer) FROM PUBLIC;

-- Name: FUNCTION dead_letter_reasons(stream text, after text, max_letters integer); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.dead_letter_reasons(stream text, after text, max_letters integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.dead_letter_reasons(stream text, after text, max_letters integer) TO service_role;
GRANT ALL ON FUNCTION bindery_internal.dead_letter_reasons(stream text, after text, max_letters integer) TO bindery_relay;

-- Name: FUNCTION define_pipeline(name text, definition jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.define_pipeline(name text, definition jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.define_pipeline(name text, definition jsonb) TO service_role;

-- Name: FUNCTION do_heartbeats(heartbeats jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.do_heartbeats(heartbeats jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.do_heartbeats(heartbeats jsonb) TO service_role;

-- Name: FUNCTION do_plan(book_id uuid, stage text, substeps jsonb, expected_revision bigint); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.do_plan(book_id uuid, stage text, substeps jsonb, expected_revision bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.do_plan(book_id uuid, stage text, substeps jsonb, expected_revision bigint) TO service_role;

-- Name: FUNCTION do_register(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.do_register(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.do_register(book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb) TO service_role;

-- Name: FUNCTION do_report(report jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.do_report(report jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.do_report(report jsonb) TO service_role;

-- Name: FUNCTION do_resume(book_id uuid, expected_revision bigint, message text); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.do_resume(book_id uuid, expected_revision bigint, message text) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.do_resume(book_id uuid, expected_revision bigint, message text) TO service_role;

-- Name: FUNCTION do_rewind(book_id uuid, to_stage text, message text, expected_revision bigint); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.do_rewind(book_id uuid, to_stage text, message text, expected_revision bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.do_rewind(book_id uuid, to_stage text, message text, expected_revision bigint) TO service_role;

-- Name: FUNCTION do_transition(book_id uuid, to_status text, message text, expected_revision bigint, attempt integer, error jsonb, rewinding boolean, asking_first boolean); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.do_transition(book_id uuid, to_status text, message text, expected_revision bigint, attempt integer, error jsonb, rewinding boolean, asking_first boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.do_transition(book_id uuid, to_status text, message text, expected_revision bigint, attempt integer, error jsonb, rewinding boolean, asking_first boolean) TO service_role;

-- Name: FUNCTION drop_dead_letters(ids bigint[]); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.drop_dead_letters(ids bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.drop_dead_letters(ids bigint[]) TO service_role;

-- Name: FUNCTION error(sqlstate text, code text, message text, hint text, detail jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.error(sqlstate text, code text, message text, hint text, detail jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.error(sqlstate text, code text, message text, hint text, detail jsonb) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.error(sqlstate text, code text, message text, hint text, detail jsonb) TO service_role;

-- Name: FUNCTION estimate(moment timestamp with time zone, stage_started_at timestamp with time zone, stage_progress double precision, attempt integer, median_seconds double precision, later_seconds double precision); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.estimate(moment timestamp with time zone, stage_started_at timestamp with time zone, stage_progress double precision, attempt integer, median_seconds double precision, later_seconds double precision) FROM PUBLIC;

-- Name: FUNCTION facts(book bindery.book_status, machine jsonb, to_status text); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.facts(book bindery.book_status, machine jsonb, to_status text) FROM PUBLIC;

-- Name: FUNCTION fenced(stream text, epoch bigint); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.fenced(stream text, epoch bigint) FROM PUBLIC;

-- Name: FUNCTION forget_stream(stream text); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.forget_stream(stream text) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.forget_stream(stream text) TO service_role;

-- Name: FUNCTION guard_columns(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.guard_columns() FROM PUBLIC;

-- Name: FUNCTION guard_faults(definition jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.guard_faults(definition jsonb) FROM PUBLIC;

-- Name: FUNCTION guard_function(guard text); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.guard_function(guard text) FROM PUBLIC;

-- Name: FUNCTION guard_texts(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.guard_texts() FROM PUBLIC;

-- Name: FUNCTION guard_transition(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.guard_transition() FROM PUBLIC;

-- Name: FUNCTION health(book bindery.book_status, machine jsonb, moment timestamp with time zone); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.health(book bindery.book_status, machine jsonb, moment timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.health(book bindery.book_status, machine jsonb, moment timestamp with time zone) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.health(book bindery.book_status, machine jsonb, moment timestamp with time zone) TO service_role;

-- Name: FUNCTION illegal_transition(from_status text, to_status text, reason text, allowed text[]); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.illegal_transition(from_status text, to_status text, reason text, allowed text[]) FROM PUBLIC;

-- Name: FUNCTION is_after(a text, b text); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.is_after(a text, b text) FROM PUBLIC;

-- Name: FUNCTION is_position("position" text); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.is_position("position" text) FROM PUBLIC;

-- Name: FUNCTION is_rewinding(book_id uuid); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.is_rewinding(book_id uuid) FROM PUBLIC;

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

-- Name: FUNCTION last_attempt(book_id uuid, stage text); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.last_attempt(book_id uuid, stage text) FROM PUBLIC;

-- Name: FUNCTION latest_version(pipeline text); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.latest_version(pipeline text) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.latest_version(pipeline text) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.latest_version(pipeline text) TO service_role;

-- Name: FUNCTION machine(pipeline text, pipeline_version integer); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.machine(pipeline text, pipeline_version integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.machine(pipeline text, pipeline_version integer) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.machine(pipeline text, pipeline_version integer) TO service_role;

-- Name: FUNCTION may_set_clock(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.may_set_clock() FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.may_set_clock() TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.may_set_clock() TO service_role;

-- Name: FUNCTION note_stream(stream text, epoch bigint, entries bigint, loss text, lost bigint, "position" text); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.note_stream(stream text, epoch bigint, entries bigint, loss text, lost bigint, "position" text) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.note_stream(stream text, epoch bigint, entries bigint, loss text, lost bigint, "position" text) TO service_role;
GRANT ALL ON FUNCTION bindery_internal.note_stream(stream text, epoch bigint, entries bigint, loss text, lost bigint, "position" text) TO bindery_relay;

-- Name: FUNCTION now(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.now() FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.now() TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.now() TO service_role;

-- Name: FUNCTION outbox_backlog(max_messages integer, OUT messages bigint, OUT oldest_at timestamp with time zone, OUT age interval); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.outbox_backlog(max_messages integer, OUT messages bigint, OUT oldest_at timestamp with time zone, OUT age interval) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.outbox_backlog(max_messages integer, OUT messages bigint, OUT oldest_at timestamp with time zone, OUT age interval) TO service_role;
GRANT ALL ON FUNCTION bindery_internal.outbox_backlog(max_messages integer, OUT messages bigint, OUT oldest_at timestamp with time zone, OUT age interval) TO bindery_relay;

-- Name: FUNCTION pace_of(machine jsonb, medians jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.pace_of(machine jsonb, medians jsonb) FROM PUBLIC;

-- Name: FUNCTION place_of_books(stage text, book_ids uuid[]); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.place_of_books(stage text, book_ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.place_of_books(stage text, book_ids uuid[]) TO service_role;
GRANT ALL ON FUNCTION bindery_internal.place_of_books(stage text, book_ids uuid[]) TO bindery_relay;

-- Name: FUNCTION prune_dead_letters(before timestamp with time zone, batch integer); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.prune_dead_letters(before timestamp with time zone, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.prune_dead_letters(before timestamp with time zone, batch integer) TO service_role;

-- Name: FUNCTION prune_events(before timestamp with time zone, batch integer); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.prune_events(before timestamp with time zone, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.prune_events(before timestamp with time zone, batch integer) TO service_role;

-- Name: FUNCTION prune_outbox(before timestamp with time zone, batch integer); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.prune_outbox(before timestamp with time zone, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.prune_outbox(before timestamp with time zone, batch integer) TO service_role;

-- Name: FUNCTION raise_error(error jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.raise_error(error jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.raise_error(error jsonb) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.raise_error(error jsonb) TO service_role;

-- Name: FUNCTION record_transition(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.record_transition() FROM PUBLIC;

-- Name: FUNCTION refresh_pace(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.refresh_pace() FROM PUBLIC;

-- Name: FUNCTION refuse_history_change(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.refuse_history_change() FROM PUBLIC;

-- Name: FUNCTION refuse_pipeline_change(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.refuse_pipeline_change() FROM PUBLIC;

-- Name: FUNCTION refuse_texts(book bindery.book_status); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.refuse_texts(book bindery.book_status) FROM PUBLIC;

-- Name: FUNCTION refused_attempt(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.refused_attempt() FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.refused_attempt() TO service_role;

-- Name: FUNCTION refused_json(argument text, value jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.refused_json(argument text, value jsonb) FROM PUBLIC;

-- Name: FUNCTION refused_report(verdict text, book_id uuid, stage text, substep text, attempt integer); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.refused_report(verdict text, book_id uuid, stage text, substep text, attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.refused_report(verdict text, book_id uuid, stage text, substep text, attempt integer) TO service_role;

-- Name: FUNCTION refused_text(argument text, value text, longest integer); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.refused_text(argument text, value text, longest integer) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.refused_text(argument text, value text, longest integer) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.refused_text(argument text, value text, longest integer) TO service_role;

-- Name: FUNCTION refused_transition(book bindery.book_status, to_status text, rewinding boolean, machine jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.refused_transition(book bindery.book_status, to_status text, rewinding boolean, machine jsonb) FROM PUBLIC;

-- Name: FUNCTION release_stream(stream text, epoch bigint); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.release_stream(stream text, epoch bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.release_stream(stream text, epoch bigint) TO service_role;
GRANT ALL ON FUNCTION bindery_internal.release_stream(stream text, epoch bigint) TO bindery_relay;

-- Name: FUNCTION renew_stream(stream text, epoch bigint, caught_up_at timestamp with time zone); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.renew_stream(stream text, epoch bigint, caught_up_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.renew_stream(stream text, epoch bigint, caught_up_at timestamp with time zone) TO service_role;
GRANT ALL ON FUNCTION bindery_internal.renew_stream(stream text, epoch bigint, caught_up_at timestamp with time zone) TO bindery_relay;

-- Name: FUNCTION replay_dead_letters(stream text, reason text, book_id uuid, max_letters integer, ids bigint[], OUT applied bigint, OUT stale bigint, OUT dead bigint); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.replay_dead_letters(stream text, reason text, book_id uuid, max_letters integer, ids bigint[], OUT applied bigint, OUT stale bigint, OUT dead bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.replay_dead_letters(stream text, reason text, book_id uuid, max_letters integer, ids bigint[], OUT applied bigint, OUT stale bigint, OUT dead bigint) TO service_role;

-- Name: TABLE dead_letters; Type: ACL; Schema: bindery; Owner: -

GRANT SELECT ON TABLE bindery.dead_letters TO service_role;

-- Name: FUNCTION replay_letter(letter bindery.dead_letters); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.replay_letter(letter bindery.dead_letters) FROM PUBLIC;

-- Name: FUNCTION resume_at(state jsonb, attempt integer, error jsonb, moment timestamp with time zone); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.resume_at(state jsonb, attempt integer, error jsonb, moment timestamp with time zone) FROM PUBLIC;

-- Name: FUNCTION roll_up(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.roll_up() FROM PUBLIC;

-- Name: FUNCTION stale_revision(book_id uuid, revision bigint, expected_revision bigint); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.stale_revision(book_id uuid, revision bigint, expected_revision bigint) FROM PUBLIC;

-- Name: FUNCTION start_book(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.start_book() FROM PUBLIC;

-- Name: FUNCTION state_of(machine jsonb, name text); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.state_of(machine jsonb, name text) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.state_of(machine jsonb, name text) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.state_of(machine jsonb, name text) TO service_role;

-- Name: FUNCTION substep_rows(book_id uuid, stage text, resuming boolean); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.substep_rows(book_id uuid, stage text, resuming boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.substep_rows(book_id uuid, stage text, resuming boolean) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.substep_rows(book_id uuid, stage text, resuming boolean) TO service_role;

-- Name: FUNCTION sweep(given timestamp with time zone); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.sweep(given timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.sweep(given timestamp with time zone) TO service_role;
GRANT ALL ON FUNCTION bindery_internal.sweep(given timestamp with time zone) TO bindery_relay;

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
GRANT ALL ON FUNCTION bindery_internal.unknown_pipeline(pipeline text, pipeline_version integer) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.unknown_pipeline(pipeline text, pipeline_version integer) TO service_role;

-- Name: FUNCTION user_id(); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.user_id() FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.user_id() TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.user_id() TO service_role;

-- Name: FUNCTION xstate_edge(kind text, target text, guard text); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.xstate_edge(kind text, target text, guard text) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.xstate_edge(kind text, target text, guard text) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.xstate_edge(kind text, target text, guard text) TO service_role;

-- Name: FUNCTION xstate_node(state jsonb); Type: ACL; Schema: bindery_internal; Owner: -

REVOKE ALL ON FUNCTION bindery_internal.xstate_node(state jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION bindery_internal.xstate_node(state jsonb) TO authenticated;
GRANT ALL ON FUNCTION bindery_internal.xstate_node(state jsonb) TO service_role;

-- Name: TABLE book_events; Type: ACL; Schema: bindery; Owner: -

GRANT SELECT ON TABLE bindery.book_events TO authenticated;
GRANT SELECT ON TABLE bindery.book_events TO service_role;

-- Name: TABLE pipelines; Type: ACL; Schema: bindery; Owner: -

GRANT SELECT ON TABLE bindery.pipelines TO service_role;

-- Name: TABLE relay_cursors; Type: ACL; Schema: bindery; Owner: -

GRANT SELECT ON TABLE bindery.relay_cursors TO service_role;

-- Name: TABLE settings; Type: ACL; Schema: bindery; Owner: -

GRANT SELECT ON TABLE bindery.settings TO service_role;

-- Name: COLUMN settings.broadcast; Type: ACL; Schema: bindery; Owner: -

GRANT UPDATE(broadcast) ON TABLE bindery.settings TO service_role;

-- PostgreSQL database dump complete

