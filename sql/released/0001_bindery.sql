-- The roles that Supabase has (anon, authenticated, service_role) and bindery_relay, each made where it is missing.
-- Invariant: no role made here can log in; an operator grants bindery_relay to the daemon's own login role.
-- Locks: none of ours.
do $$
declare
  wanted text;
begin
  foreach wanted in array array['anon', 'authenticated', 'service_role', 'bindery_relay'] loop
    if to_regrole(wanted) is null then
      begin
        execute format('create role %I nologin noinherit', wanted);
      exception when duplicate_object or unique_violation then
        -- Roles are the server's: another of its databases is being migrated at this moment.
        null;
      end;
    end if;
  end loop;
end
$$;

-- bindery is the exposed API; bindery_internal holds what the API stands on (triggers, definers, helpers).
-- Invariant: bindery_core (the kernel) is made by the extension or by sql/portable, never here.
-- Locks: none of ours.
create schema if not exists bindery;
create schema if not exists bindery_internal;

comment on schema bindery is 'Bindery: the status and progress of books in the making. Tables to read, functions to call.';
comment on schema bindery_internal is 'What schema bindery stands on: triggers, definer functions, helpers. Not an API.';

-- The one clock: wall time, or what the session set in bindery.now so that tests need no sleep.
-- Invariant: everything in bindery that asks for the time asks here.
-- Locks: none.
create function bindery_internal.now() returns timestamptz
language plpgsql volatile parallel safe
set search_path = ''
as $$
begin
  return coalesce(nullif(current_setting('bindery.now', true), '')::timestamptz, clock_timestamp());
end
$$;

comment on function bindery_internal.now() is
  'Wall time (not the transaction''s start: a call may have waited for a lock), or the setting bindery.now where it is set.';

-- Errors are values until they are raised: a relay turns the same value into a dead letter that an API call raises.
-- Invariant: every refusal of ours has a SQLSTATE, a message for people, a JSON detail with a code, and a hint.
-- Locks: none.
create function bindery_internal.error(
  sqlstate text, code text, message text, hint text, detail jsonb default '{}'
) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select jsonb_build_object(
    'sqlstate', sqlstate, 'code', code, 'message', message, 'hint', hint,
    'detail', jsonb_build_object('code', code) || detail);
$$;

create function bindery_internal.raise_error(error jsonb) returns void
language plpgsql
set search_path = ''
as $$
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

comment on function bindery_internal.error(text, text, text, text, jsonb) is
  'An error as a value: {sqlstate, code, message, hint, detail}.';
comment on function bindery_internal.raise_error(jsonb) is
  'Raises a value of bindery_internal.error; null and {"stale": true} pass.';

-- The errors that more than one function gives, each worded once.
-- Invariant: PT404 unknown, PT409 conflict, PT422 bad input (PostgREST answers with that HTTP status).
-- Locks: none.
create function bindery_internal.unknown_book(book_id uuid) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select bindery_internal.error('PT404', 'unknown_book',
    format('There is no book %s.', coalesce(book_id::text, '(null)')),
    'Register it first with bindery.register_book, or check the id and who is asking.',
    jsonb_build_object('book_id', book_id));
$$;

create function bindery_internal.bad_input(argument text, problem text, hint text) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select bindery_internal.error('PT422', 'bad_input', format('%s %s.', argument, problem), hint,
    jsonb_build_object('argument', argument));
$$;

create function bindery_internal.illegal_transition(
  machine jsonb, from_status text, stage text, to_status text, reason text
) returns jsonb
language sql stable parallel safe
set search_path = ''
as $$
  select bindery_internal.error('PT409', 'illegal_transition', reason,
    case when cardinality(a.allowed) = 0 then 'The book is at its end; register a new one to start over.'
         else format('Allowed from %s: %s.', from_status, array_to_string(a.allowed, ', ')) end,
    jsonb_build_object('from', from_status, 'to', to_status, 'allowed', to_jsonb(a.allowed)))
  from (select coalesce(bindery_core.next_statuses(machine, from_status, stage), '{}') as allowed) as a;
$$;

create function bindery_internal.refused_report(
  verdict text, book_id uuid, stage text, substep text, attempt integer
) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
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

comment on function bindery_internal.refused_report(text, uuid, text, text, integer) is
  'The error for a verdict of bindery_core.report_verdict; null for accept, {"stale": true} for stale.';

-- Who is asking: the user of the token (for policies) and the name that goes into the history.
-- Invariant: works with and without PostgREST, and inside definer functions (the setting role outlives them).
-- Locks: none.
create function bindery_internal.user_id() returns uuid
language sql stable parallel safe
set search_path = ''
as $$
  select case when c.sub ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then c.sub::uuid end
  from (select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub') as c(sub);
$$;

create function bindery_internal.actor() returns text
language plpgsql stable parallel safe
set search_path = ''
as $$
begin
  return coalesce(
    nullif(current_setting('bindery.actor', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub',
    nullif(current_setting('role', true), 'none'),
    session_user);
end
$$;

comment on function bindery_internal.user_id() is 'The sub of the request''s JWT where it is a uuid, else null.';
comment on function bindery_internal.actor() is
  'Who the history names: the setting bindery.actor, the token''s sub, the role, or the session''s user; the first there is.';

-- pipelines: named, versioned state machines.
-- Invariants: a row is never changed; one that books use is not deleted (their foreign key); machine is what the kernel compiled.
-- Locks: define_pipeline takes an advisory lock on the name, before anything else.
create table bindery.pipelines (
  name text not null,
  version integer not null,
  definition jsonb not null,
  machine jsonb not null,
  created_at timestamptz not null default bindery_internal.now(),
  constraint pipelines_pkey primary key (name, version),
  constraint name_is_lower_snake_case check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  constraint version_counts_from_one check (version >= 1)
);

-- Every report reads the machine: uncompressed it is read without unpacking.
alter table bindery.pipelines alter column machine set storage external;
alter table bindery.pipelines enable row level security;

comment on table bindery.pipelines is
  'The pipelines a book may follow, by name and version. Rows are never changed: define the next version instead.';
comment on column bindery.pipelines.name is 'The pipeline''s name, lower snake case, up to 63 characters.';
comment on column bindery.pipelines.version is 'Counts from 1; a book stays on the version it began with.';
comment on column bindery.pipelines.definition is 'What was given to define_pipeline.';
comment on column bindery.pipelines.machine is 'The definition compiled by the kernel.';
comment on column bindery.pipelines.created_at is 'When this version was defined.';

create function bindery_internal.machine(pipeline text, pipeline_version integer) returns jsonb
language plpgsql stable parallel safe security definer
set search_path = ''
as $$
begin
  return (select p.machine from bindery.pipelines p where p.name = pipeline and p.version = pipeline_version);
end
$$;

create function bindery_internal.refuse_pipeline_change() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  perform bindery_internal.raise_error(bindery_internal.error('PT409', 'pipeline_is_immutable',
    format('Version %s of the pipeline %s is fixed.', old.version, old.name),
    'Define the next version with bindery.define_pipeline; books keep the version they began with.',
    jsonb_build_object('pipeline', old.name, 'version', old.version)));
  return null;
end
$$;

create trigger pipeline_is_immutable before update on bindery.pipelines
for each row execute function bindery_internal.refuse_pipeline_change();

-- book_status: one row a book, what a reader sees.
-- Invariants: status only moves as the book's machine allows (trigger guard_transition); overall_progress, stage_progress and
-- substeps are worked out from book_progress (trigger roll_up), never set by hand; revision grows with every visible change.
-- Locks: a writer takes the row FOR NO KEY UPDATE before it touches book_progress; several rows in order of book_id.
create table bindery.book_status (
  book_id uuid not null,
  owner_id uuid,
  title text,
  pipeline text not null default 'comic',
  pipeline_version integer not null,
  status text not null,
  current_stage text not null,
  overall_progress double precision not null default 0,
  stage_progress double precision not null default 0,
  substeps jsonb not null default '[]',
  message text,
  error jsonb,
  attempt integer not null default 1,
  revision bigint not null default 1,
  heartbeat_at timestamptz not null,
  stage_started_at timestamptz not null,
  resume_at timestamptz,
  estimated_completion_at timestamptz,
  metadata jsonb not null default '{}',
  created_at timestamptz not null,
  updated_at timestamptz not null,
  completed_at timestamptz,
  constraint book_status_pkey primary key (book_id),
  constraint book_follows_a_pipeline foreign key (pipeline, pipeline_version) references bindery.pipelines (name, version),
  constraint overall_progress_is_percent check (overall_progress between 0 and 100),
  constraint stage_progress_is_percent check (stage_progress between 0 and 100),
  constraint attempt_counts_from_one check (attempt >= 1),
  constraint title_is_short check (length(title) <= 1024),
  constraint message_is_short check (length(message) <= 8192),
  constraint error_is_an_object check (jsonb_typeof(error) = 'object'),
  constraint error_while_failed_only check ((error is not null) = (status = 'FAILED')),
  constraint metadata_is_an_object check (jsonb_typeof(metadata) = 'object'),
  constraint error_is_small check (pg_column_size(error) <= 1048576),
  constraint metadata_is_small check (pg_column_size(metadata) <= 1048576)
-- Room on each page, so that progress updates stay heap-only.
) with (fillfactor = 70);

create index book_status_owner on bindery.book_status (owner_id, created_at desc);
create index book_status_pipeline on bindery.book_status (pipeline, pipeline_version);
create index book_status_created on bindery.book_status (created_at desc);

alter table bindery.book_status enable row level security;

comment on table bindery.book_status is
  'One row a book: where it stands.
Read it, filter it, subscribe to it. Change it with the functions of this schema; a plain UPDATE of status passes the same rules.';
comment on column bindery.book_status.book_id is 'The book''s own id, given by whoever registers it.';
comment on column bindery.book_status.owner_id is 'The user who may read it (the sub of the token); null: nobody but the service.';
comment on column bindery.book_status.title is 'A name for people, up to 1,024 characters.';
comment on column bindery.book_status.pipeline is 'The pipeline it follows.';
comment on column bindery.book_status.pipeline_version is 'The version it began with, and keeps.';
comment on column bindery.book_status.status is 'A state of its pipeline, or FAILED or CANCELLED.';
comment on column bindery.book_status.current_stage is 'The state it is in; once FAILED, CANCELLED or completed, the last one it was in.';
comment on column bindery.book_status.overall_progress is 'Percent of the whole pipeline, 0 to 100, two decimals; 100 only when completed.';
comment on column bindery.book_status.stage_progress is 'Percent of the current stage, 0 to 100, two decimals.';
comment on column bindery.book_status.substeps is
  'The current stage''s substeps: [{name, label, weight, state: done|active|pending, progress, done?, total?, unit?, message?}].';
comment on column bindery.book_status.message is 'What the last change of status said, up to 8,192 characters.';
comment on column bindery.book_status.error is 'Why it FAILED: an object with at least code; null otherwise.';
comment on column bindery.book_status.attempt is 'Which try at the current stage this is: 1, and one more at each resume.';
comment on column bindery.book_status.revision is 'Grows by one with every visible change; drop what is older than what you have.';
comment on column bindery.book_status.heartbeat_at is 'When a service was last heard of about this book.';
comment on column bindery.book_status.stage_started_at is 'When the current attempt at the current stage began.';
comment on column bindery.book_status.resume_at is 'When a FAILED book is to be resumed by itself; null: not planned.';
comment on column bindery.book_status.estimated_completion_at is 'When it is expected to be complete; null while there is no ground for an estimate.';
comment on column bindery.book_status.metadata is 'The registrar''s own JSON object; Bindery does not read it.';
comment on column bindery.book_status.created_at is 'When it was registered.';
comment on column bindery.book_status.updated_at is 'When revision last grew.';
comment on column bindery.book_status.completed_at is 'When it reached its final state.';

-- book_progress: one row a substep that was reported or planned.
-- Invariants: progress never falls within an attempt (apply_reports keeps the higher value).
-- Locks: its book's row in book_status is locked first.
create table bindery.book_progress (
  book_id uuid not null,
  stage text not null,
  substep text not null,
  weight double precision,
  progress double precision not null default 0,
  done double precision,
  total double precision,
  unit text,
  message text,
  checkpoint jsonb,
  attempt integer not null,
  started_at timestamptz,
  updated_at timestamptz not null,
  constraint book_progress_pkey primary key (book_id, stage, substep),
  constraint progress_belongs_to_a_book foreign key (book_id) references bindery.book_status (book_id) on delete cascade,
  constraint substep_is_lower_snake_case check (substep ~ '^[a-z][a-z0-9_]{0,62}$'),
  constraint weight_is_positive check (weight > 0 and weight < 'infinity'),
  constraint progress_is_percent check (progress between 0 and 100),
  constraint done_is_part_of_total check (done between 0 and total and total > 0 and total <= 1e15),
  constraint unit_is_short check (length(unit) <= 63),
  constraint message_is_short check (length(message) <= 8192),
  constraint checkpoint_is_small check (pg_column_size(checkpoint) <= 1048576)
) with (fillfactor = 70);

alter table bindery.book_progress enable row level security;

comment on table bindery.book_progress is
  'One row a substep of a book that was reported or planned; report with bindery.report_progress.';
comment on column bindery.book_progress.book_id is 'The book.';
comment on column bindery.book_progress.stage is 'The stage the substep is part of.';
comment on column bindery.book_progress.substep is 'The substep''s name, lower snake case; `all` in a stage that has none.';
comment on column bindery.book_progress.weight is 'Planned for this book; null: as the pipeline declares it (1 where it is open).';
comment on column bindery.book_progress.progress is 'Percent, 0 to 100; the highest of this attempt.';
comment on column bindery.book_progress.done is 'Units done, where the report counted them.';
comment on column bindery.book_progress.total is 'Units in all, where the report counted them.';
comment on column bindery.book_progress.unit is 'What is counted: page, panel, word.';
comment on column bindery.book_progress.message is 'The latest message, up to 8,192 characters.';
comment on column bindery.book_progress.checkpoint is 'The worker''s own JSON: where to go on after a failure.';
comment on column bindery.book_progress.attempt is 'The attempt that last reported.';
comment on column bindery.book_progress.started_at is 'When it was first reported in this attempt.';
comment on column bindery.book_progress.updated_at is 'When it was last reported.';

-- book_events: the append-only history of every change of status.
-- Invariants: rows are written by the trigger record_transition only, in the change's own transaction, and never updated.
-- Locks: appended to last.
create table bindery.book_events (
  id bigint generated always as identity,
  book_id uuid not null,
  revision bigint not null,
  kind text not null,
  from_status text,
  to_status text not null,
  stage text not null,
  attempt integer not null,
  actor text not null,
  message text,
  data jsonb,
  at timestamptz not null,
  constraint book_events_pkey primary key (id),
  constraint event_belongs_to_a_book foreign key (book_id) references bindery.book_status (book_id) on delete cascade,
  constraint one_event_a_revision unique (book_id, revision),
  constraint kind_is_known check (kind in ('register', 'transition', 'fail', 'resume', 'cancel', 'complete'))
);

alter table bindery.book_events enable row level security;

create function bindery_internal.refuse_history_change() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  perform bindery_internal.raise_error(bindery_internal.error('PT409', 'history_is_append_only',
    'The history of a book is never rewritten.', 'Make the change itself; it will be recorded.'));
  return null;
end
$$;

create trigger history_is_append_only before update on bindery.book_events
for each row execute function bindery_internal.refuse_history_change();

comment on table bindery.book_events is 'The history: one row for every change of a book''s status, never updated.';
comment on column bindery.book_events.id is 'Grows with time; not without gaps.';
comment on column bindery.book_events.book_id is 'The book.';
comment on column bindery.book_events.revision is 'The book''s revision after this change.';
comment on column bindery.book_events.kind is 'register, transition, fail, resume, cancel or complete.';
comment on column bindery.book_events.from_status is 'The status before; null at registration.';
comment on column bindery.book_events.to_status is 'The status after.';
comment on column bindery.book_events.stage is 'The stage the book was in after the change.';
comment on column bindery.book_events.attempt is 'The attempt after the change.';
comment on column bindery.book_events.actor is 'Who made it: a user''s id, a role, or relay:<stream>.';
comment on column bindery.book_events.message is 'What was said with it.';
comment on column bindery.book_events.data is 'For fail: the error.';
comment on column bindery.book_events.at is 'When.';

-- outbox: what workers and other systems must hear of, written in the change's own transaction.
-- Invariants: written by the trigger record_transition; the daemon publishes rows in order of id and deletes them (take_outbox).
-- Locks: appended to last.
create table bindery.outbox (
  id bigint generated always as identity,
  book_id uuid not null,
  revision bigint not null,
  kind text not null,
  payload jsonb not null,
  created_at timestamptz not null,
  constraint outbox_pkey primary key (id),
  constraint kind_is_known check (kind in ('transition', 'resume'))
);

alter table bindery.outbox enable row level security;

comment on table bindery.outbox is
  'Messages on their way to the stream bindery:changes: transitions, and resume commands with the resume point.';
comment on column bindery.outbox.id is 'The order of publication.';
comment on column bindery.outbox.book_id is 'The book; no foreign key, a message outlives its book.';
comment on column bindery.outbox.revision is 'The book''s revision; readers drop what they have seen.';
comment on column bindery.outbox.kind is 'transition or resume.';
comment on column bindery.outbox.payload is 'The message.';
comment on column bindery.outbox.created_at is 'When it was written.';

-- relay_cursors: one row a stream, how far it is applied and who holds it.
-- Invariants: position moves only with the events it covers, in one transaction; epoch only grows; one holder at a time.
-- Locks: taken before any book's row.
create table bindery.relay_cursors (
  stream text not null,
  position text not null default '0-0',
  epoch bigint not null default 0,
  holder text,
  lease_ttl interval not null default '10 seconds',
  lease_expires_at timestamptz,
  applied bigint not null default 0,
  stale bigint not null default 0,
  dead bigint not null default 0,
  applied_at timestamptz,
  created_at timestamptz not null default bindery_internal.now(),
  constraint relay_cursors_pkey primary key (stream),
  constraint stream_has_a_name check (length(stream) between 1 and 512),
  constraint position_is_a_stream_id check (position ~ '^[0-9]{1,20}-[0-9]{1,20}$')
) with (fillfactor = 50);

alter table bindery.relay_cursors enable row level security;

comment on table bindery.relay_cursors is 'One row a Redis stream: the position applied, the lease, and what was counted.';
comment on column bindery.relay_cursors.stream is 'The stream''s key in Redis.';
comment on column bindery.relay_cursors.position is 'The id of the last entry whose effect is in this database.';
comment on column bindery.relay_cursors.epoch is 'The fencing token: one higher at each acquire; an older one can apply nothing.';
comment on column bindery.relay_cursors.holder is 'Which relay reads it; null: none.';
comment on column bindery.relay_cursors.lease_ttl is 'How long the lease lasts after each sign of the holder.';
comment on column bindery.relay_cursors.lease_expires_at is 'When another relay may take over, by this database''s clock.';
comment on column bindery.relay_cursors.applied is 'Events that took effect.';
comment on column bindery.relay_cursors.stale is 'Events from an earlier attempt or for a stage left: counted, without effect.';
comment on column bindery.relay_cursors.dead is 'Events that went to dead_letters.';
comment on column bindery.relay_cursors.applied_at is 'When a batch was last applied.';
comment on column bindery.relay_cursors.created_at is 'When the stream was first acquired.';

-- dead_letters: events that could not take effect, each with its reason.
-- Invariants: written in the transaction that moves the position past the event, so none is lost or listed twice.
-- Locks: appended to last.
create table bindery.dead_letters (
  id bigint generated always as identity,
  stream text not null,
  event_id text,
  first_event_id text,
  count bigint not null default 1,
  book_id uuid,
  reason text not null,
  message text not null,
  payload jsonb not null,
  truncated boolean not null default false,
  at timestamptz not null,
  constraint dead_letters_pkey primary key (id),
  constraint count_is_positive check (count >= 1)
);

create index dead_letters_stream on bindery.dead_letters (stream, id);

alter table bindery.dead_letters enable row level security;

comment on table bindery.dead_letters is 'Events that could not take effect, each with its reason; nothing else was held up by them.';
comment on column bindery.dead_letters.id is 'Grows with time.';
comment on column bindery.dead_letters.stream is 'Where it came from.';
comment on column bindery.dead_letters.event_id is 'Its id in the stream; of merged events the last.';
comment on column bindery.dead_letters.first_event_id is 'Of merged events the first.';
comment on column bindery.dead_letters.count is 'How many events of the stream this row stands for.';
comment on column bindery.dead_letters.book_id is 'The book it names, where it names one.';
comment on column bindery.dead_letters.reason is 'A code: bad_uuid, unknown_book, illegal_transition, ….';
comment on column bindery.dead_letters.message is 'The reason for people.';
comment on column bindery.dead_letters.payload is 'The event.';
comment on column bindery.dead_letters.truncated is 'Whether payload was cut because the event was too large to keep.';
comment on column bindery.dead_letters.at is 'When it was refused.';

-- What the kernel needs of a stage's progress rows, and which of them a change of status keeps.
-- Invariant: the one place that says what a resume keeps; guard_transition foresees with it, record_transition acts by it.
-- Locks: reads only. (In PL/pgSQL, like all that runs once a call: it keeps its plans, where a function in SQL is planned anew.)
create function bindery_internal.kept(resuming boolean, g bindery.book_progress) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return resuming and (g.progress = 100 or g.checkpoint is not null);
end
$$;

-- resuming: null reads the rows as they are; else as they will be once the stage is entered (true: by a resume).
create function bindery_internal.substep_rows(book_id uuid, stage text, resuming boolean default null) returns jsonb
language plpgsql stable parallel safe
set search_path = ''
as $$
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

comment on function bindery_internal.kept(boolean, bindery.book_progress) is
  'Whether a progress row survives entering its stage: a resume keeps what is finished or has a checkpoint; any other entry keeps nothing.';
comment on function bindery_internal.substep_rows(uuid, text, boolean) is
  'The progress rows of a book''s stage as bindery_core.summarize takes them; with resuming, as they will be after the entry.';

-- start_book: BEFORE INSERT on book_status, whoever inserts.
-- Invariants: a book begins in its pipeline's first state, at revision 1 and 0 percent, on a version that exists.
-- Locks: none beyond the new row.
create function bindery_internal.start_book() returns trigger
language plpgsql security definer
set search_path = ''
as $$
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

create function bindery_internal.unknown_pipeline(pipeline text, pipeline_version integer) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select bindery_internal.error('PT404', 'unknown_pipeline',
    format('There is no pipeline %s%s.', pipeline, ' version ' || pipeline_version),
    'Define it with bindery.define_pipeline, or name one that is there.',
    jsonb_build_object('pipeline', pipeline, 'version', pipeline_version));
$$;

create trigger start_book before insert on bindery.book_status
for each row execute function bindery_internal.start_book();

-- guard_transition: BEFORE UPDATE on book_status where status changes, whoever changes it.
-- Invariants: nothing the kernel refuses is stored; what follows from the change (stage, attempt, percent, revision) is worked out here.
-- Locks: the row being updated; reads book_progress.
create function bindery_internal.facts(book bindery.book_status, machine jsonb) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return jsonb_build_object(
    'substeps_complete', jsonb_array_length(book.substeps) > 0
      and not exists (select from jsonb_array_elements(book.substeps) as s(substep) where s.substep ->> 'state' <> 'done'),
    'attempts_left', coalesce(book.attempt < (
      select (s.state ->> 'max_attempts')::integer
      from jsonb_array_elements(machine -> 'states') as s(state) where s.state ->> 'name' = book.current_stage), true));
end
$$;

create function bindery_internal.refused_transition(book bindery.book_status, to_status text) returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
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

create function bindery_internal.guard_transition() returns trigger
language plpgsql security definer
set search_path = ''
as $$
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

create trigger guard_transition before update on bindery.book_status
for each row when (old.status is distinct from new.status)
execute function bindery_internal.guard_transition();

comment on function bindery_internal.refused_transition(bindery.book_status, text) is
  'The error that forbids this book this status; null where it is allowed.';

-- guard_columns: BEFORE UPDATE on book_status where something that only follows from other things is set by hand.
-- touch: the same for what may be changed by hand; it counts as a visible change.
-- Invariants: identity and pipeline never change; stage, attempt and percentages only follow; revision never falls. Locks: the row being updated.
create function bindery_internal.guard_columns() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  perform bindery_internal.raise_error(bindery_internal.error('PT422', 'column_is_derived',
    format('Of book %s only owner_id, title, message, metadata, status and error are set by hand.', old.book_id),
    'Change the status, or report progress; these columns follow.', jsonb_build_object('book_id', old.book_id)));
  return null;
end
$$;

create trigger guard_columns before update on bindery.book_status
for each row when (
  old.book_id <> new.book_id or old.pipeline <> new.pipeline or old.pipeline_version <> new.pipeline_version
  or old.created_at <> new.created_at or new.revision < old.revision
  or (old.status = new.status and (old.current_stage <> new.current_stage or old.attempt <> new.attempt))
  -- Depth 0 is a statement of somebody's own; roll_up's stands inside a trigger.
  or (pg_trigger_depth() = 0 and old.status = new.status
    and (old.overall_progress, old.stage_progress, old.substeps, old.completed_at, old.revision)
      is distinct from (new.overall_progress, new.stage_progress, new.substeps, new.completed_at, new.revision)))
execute function bindery_internal.guard_columns();

create function bindery_internal.touch() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.revision := old.revision + 1;
  new.updated_at := bindery_internal.now();
  return new;
end
$$;

create trigger touch before update on bindery.book_status
for each row when (
  old.status = new.status and old.revision = new.revision
  and (old.owner_id, old.title, old.message, old.error, old.metadata, old.resume_at, old.estimated_completion_at)
    is distinct from (new.owner_id, new.title, new.message, new.error, new.metadata, new.resume_at, new.estimated_completion_at))
execute function bindery_internal.touch();

-- record_transition: AFTER INSERT, and AFTER UPDATE where status changed, whoever made the change.
-- Invariants: history, outbox and the restarted progress rows stand in the change's transaction, under its revision.
-- Locks: the book's row is held; then book_progress, then the append-only tables.
create function bindery_internal.record_transition() returns trigger
language plpgsql security definer
set search_path = ''
as $$
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

create trigger record_start after insert on bindery.book_status
for each row execute function bindery_internal.record_transition();

create trigger record_transition after update on bindery.book_status
for each row when (old.status is distinct from new.status)
execute function bindery_internal.record_transition();

-- roll_up: statement trigger on book_progress that turns its rows into the book's percent, substeps and revision.
-- Invariants: set-based, once a statement; a book whose visible values stay the same keeps its revision; every report is a heartbeat.
-- Locks: the books' rows in order of book_id (callers of ours hold them already).
create function bindery_internal.roll_up() returns trigger
language plpgsql security definer
set search_path = ''
-- Found by index and planned once, however small the tables were when that was.
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
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

create trigger roll_up_inserted after insert on bindery.book_progress
referencing new table as changed for each statement execute function bindery_internal.roll_up();

create trigger roll_up_updated after update on bindery.book_progress
referencing new table as changed for each statement execute function bindery_internal.roll_up();

create trigger roll_up_deleted after delete on bindery.book_progress
referencing old table as changed for each statement execute function bindery_internal.roll_up();

-- announce: tells listeners on plain Postgres which books changed, at commit.
-- Invariants: a hint only, rows and revisions are the truth; silent where Supabase Realtime is there to do it (NOTIFY makes
-- the commits of a whole cluster queue up behind each other). Locks: none of ours.
create function bindery_internal.announce() returns trigger
language plpgsql security definer
set search_path = ''
-- Transition tables have no index and no statistics: a nested loop over a batch of 1,000 books looks at a million pairs.
set enable_nestloop = off
set plan_cache_mode = force_generic_plan
as $$
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

create trigger announce_start after insert on bindery.book_status
referencing new table as new_books for each statement execute function bindery_internal.announce();

create trigger announce_change after update on bindery.book_status
referencing old table as old_books new table as new_books for each statement execute function bindery_internal.announce();

-- judge: what becomes of a word about a book as a whole, from a service in this stage and attempt (null: the current ones).
-- Invariants: gives unknown_book, or a verdict of bindery_core.report_verdict; changes nothing.
-- Locks: the book's row.
create function bindery_internal.judge(book_id uuid, stage text, attempt integer) returns text
language plpgsql security definer
set search_path = ''
as $$
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

-- do_register: puts a book at the start of a pipeline; the same call again finds it there.
-- Invariants: returns null when the book stands as asked, else the error; changes nothing then.
-- Locks: the new row.
create function bindery_internal.do_register(
  book_id uuid, owner_id uuid, pipeline text, title text, metadata jsonb
) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
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

-- do_transition: one change of status, asked of the kernel before the row is touched.
-- Invariants: returns null when done, {"stale": true} for a word from an earlier attempt, else the error; changes nothing then.
-- Locks: the book's row.
create function bindery_internal.do_transition(
  book_id uuid, to_status text, message text default null, expected_revision bigint default null,
  attempt integer default null, error jsonb default null
) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
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

-- do_resume: a FAILED book goes on at the stage it failed in.
-- Invariants: returns null when done, else the error; changes nothing then. Which progress is kept: bindery_internal.kept.
-- Locks: the book's row.
create function bindery_internal.do_resume(book_id uuid, expected_revision bigint default null) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
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

-- do_heartbeats: "still alive" for many books at once; one statement, no new revision.
-- Invariants: gives each heartbeat's verdict; a halted book or an earlier attempt is stale.
-- Locks: the books' rows in order of book_id.
create function bindery_internal.do_heartbeats(heartbeats jsonb)
returns table (ord bigint, verdict text)
language plpgsql security definer
set search_path = ''
-- Found by index and planned once, however small the tables were when that was.
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
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

-- do_plan: a book's own substeps of a stage and their weights.
-- Invariants: returns null when done, else the error; changes nothing then. Planning again changes weights, never progress.
-- Locks: the book's row, then its progress rows.
create function bindery_internal.do_plan(book_id uuid, stage text, substeps jsonb) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
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
$$;

-- apply_reports: progress reports, one or ten thousand, in one set-based statement; the only writer of progress.
-- Invariants: gives each report's verdict (bindery_core.report_verdict, or unknown_book) and writes the accepted ones; within an
-- attempt the higher progress stays, with its own done and total. Locks: the books' rows in order of book_id, then progress rows.
create function bindery_internal.apply_reports(reports jsonb)
returns table (ord bigint, verdict text)
language plpgsql security definer
set search_path = ''
-- Found by index and planned once, however small the tables were when that was.
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
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

comment on function bindery_internal.apply_reports(jsonb) is
  'Applies [{book_id, stage?, substep?, progress, done?, total?, unit?, message?, checkpoint?, attempt?}, …], each key once; gives each one''s verdict.';

-- do_report: one progress report, checked; makes the transition first where the pipeline says auto_advance.
-- Invariants: returns null when done, {"stale": true}, or the error; changes nothing then.
-- Locks: as apply_reports.
create function bindery_internal.do_report(report jsonb) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
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
$$;

-- bury: writes events to dead_letters; transient: which errors are not the event's fault.
-- Invariants: an event is buried in the transaction that moves the position past it.
-- Locks: appends only.
create function bindery_internal.bury(stream text, items jsonb) returns bigint
language sql volatile security definer
set search_path = ''
as $$
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
$$;

create function bindery_internal.is_transient(sqlstate text) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  -- Only these can be an event's fault: bad data, a constraint, a limit, somebody's own RAISE, and a panic in the kernel. A missing
  -- function, a lost grant, a full disk, a deadlock is the server's, and will be mended there.
  select not (left(sqlstate, 2) in ('21', '22', '23', '44', '54', 'P0', 'PT') or sqlstate = 'XX000');
$$;

comment on function bindery_internal.bury(text, jsonb) is
  'Writes items to dead_letters, [{id, first_id?, count?, book_id?, reason, refusal or message, payload?, …}]; gives how many events they stand for.';
comment on function bindery_internal.is_transient(text) is
  'Whether the fault is the server''s rather than the event''s: then the whole batch is tried again, and nothing is buried.';

-- apply_item: one lifecycle event of a batch, handed to the function that does it.
-- Invariants: returns null when done, {"stale": true}, or the error; changes nothing then.
-- Locks: the book's row.
create function bindery_internal.apply_item(item jsonb) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
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

-- apply_segment: the items of one segment of a batch: reports and heartbeats set-based, lifecycle events one by one.
-- Invariants: every item ends applied, stale or buried; whatever raises here is not an ordinary refusal (see apply_events).
-- Locks: the batch's books are locked already, in order of book_id.
create function bindery_internal.apply_segment(
  stream text, items jsonb, out applied bigint, out stale bigint, out dead bigint
)
language plpgsql security definer
set search_path = ''
as $$
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

comment on function bindery_internal.apply_segment(text, jsonb) is
  'Applies items of which no two have the same book, stage, substep and attempt; counts the events they stand for.';

-- apply_events: a batch of events takes effect and the position moves, in one transaction.
-- Invariants: only the newest epoch applies anything; no position is passed twice; an item that raises is buried alone, and a
-- failure that may pass (is_transient) undoes the whole call. Locks: relay_cursors, then all books of the batch in order of book_id.
create function bindery_internal.is_after(a text, b text) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  -- Both halves of a stream id are unsigned 64-bit numbers.
  select (split_part(a, '-', 1)::numeric, split_part(a, '-', 2)::numeric) > (split_part(b, '-', 1)::numeric, split_part(b, '-', 2)::numeric);
$$;

create function bindery_internal.fenced(stream text, epoch bigint) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select bindery_internal.error('PT409', 'fenced',
    format('Epoch %s of the stream %s is over; the newest is %s.', fenced.epoch, fenced.stream, c.newest),
    'Another relay has taken the stream over. Apply nothing more; acquire it again.',
    jsonb_build_object('stream', fenced.stream, 'epoch', fenced.epoch, 'newest', c.newest))
  from (select max(r.epoch) from bindery.relay_cursors r where r.stream = fenced.stream) as c(newest);
$$;

create function bindery_internal.apply_events(
  stream text, epoch bigint, "position" text, events jsonb, out applied bigint, out stale bigint, out dead bigint
)
language plpgsql security definer
set search_path = ''
-- A book's row that somebody holds for long is told (55P03, and the relay tries again) rather than waited for in silence.
set lock_timeout = '5s'
as $$
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
$$;

comment on function bindery_internal.apply_events(text, bigint, text, jsonb) is 'See bindery.apply_events.';

-- The lease on a stream: acquired with a new epoch, renewed by it, released by it; all by this database's clock.
-- Invariants: two holders never have the same epoch; an unexpired lease of another holder is not taken.
-- Locks: the stream's row in relay_cursors.
create function bindery_internal.acquire_stream(stream text, holder text, ttl interval)
returns table (epoch bigint, "position" text, lease_expires_at timestamptz)
language plpgsql security definer
set search_path = ''
as $$
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

create function bindery_internal.renew_stream(stream text, epoch bigint) returns timestamptz
language plpgsql security definer
set search_path = ''
as $$
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

create function bindery_internal.release_stream(stream text, epoch bigint) returns void
language plpgsql security definer
set search_path = ''
as $$
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

comment on function bindery_internal.acquire_stream(text, text, interval) is 'See bindery.acquire_stream.';
comment on function bindery_internal.renew_stream(text, bigint) is 'See bindery.renew_stream.';
comment on function bindery_internal.release_stream(text, bigint) is 'See bindery.release_stream.';

-- define_pipeline: stores the next version of a pipeline, compiled.
-- Invariants: a definition with a fault is refused with all its faults; the same definition again is the version it was.
-- Locks: an advisory lock on the name.
create function bindery_internal.define_pipeline(name text, definition jsonb) returns integer
language plpgsql security definer
set search_path = ''
as $$
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
$$;

create function bindery.define_pipeline(name text, definition jsonb) returns integer
language sql volatile
set search_path = ''
as $$
  select bindery_internal.define_pipeline(name, definition);
$$;

comment on function bindery.define_pipeline(text, jsonb) is
  'Stores the next version of a pipeline and gives its number.
The same definition as the latest version gives that one. PT422 bad_definition lists every fault by JSON path.';

-- The functions that change a book. Each hands over to its definer in bindery_internal, raises its error, and gives the row.
-- Invariants: SECURITY INVOKER; a call that fails changes nothing; the row given is what the caller may read.
-- Locks: as the definer behind it.
create function bindery.register_book(
  book_id uuid, owner_id uuid default null, pipeline text default null, title text default null, metadata jsonb default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_register(
    register_book.book_id, register_book.owner_id, register_book.pipeline, register_book.title, register_book.metadata));
  return query select b.* from bindery.book_status b where b.book_id = register_book.book_id;
end
$$;

create function bindery.transition_book(
  book_id uuid, to_status text, message text default null, expected_revision bigint default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_transition(
    transition_book.book_id, transition_book.to_status, transition_book.message, transition_book.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = transition_book.book_id;
end
$$;

create function bindery.report_progress(
  book_id uuid, substep text default null, progress double precision default null,
  done double precision default null, total double precision default null, unit text default null, message text default null,
  checkpoint jsonb default null, stage text default null, attempt integer default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
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

create function bindery.plan_substeps(book_id uuid, stage text, substeps jsonb) returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_plan(plan_substeps.book_id, plan_substeps.stage, plan_substeps.substeps));
  return query select b.* from bindery.book_status b where b.book_id = plan_substeps.book_id;
end
$$;

create function bindery.heartbeat(book_id uuid, attempt integer default null) returns void
language plpgsql
set search_path = ''
as $$
begin
  perform bindery_internal.raise_error(bindery_internal.refused_report(h.verdict, heartbeat.book_id, null, null, heartbeat.attempt))
  from bindery_internal.do_heartbeats(jsonb_build_array(
    jsonb_build_object('book_id', heartbeat.book_id, 'attempt', heartbeat.attempt))) h;
end
$$;

create function bindery.fail_book(book_id uuid, error jsonb default null, message text default null)
returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_transition(
    fail_book.book_id, 'FAILED', fail_book.message, error => coalesce(fail_book.error, '{}')));
  return query select b.* from bindery.book_status b where b.book_id = fail_book.book_id;
end
$$;

create function bindery.resume_book(book_id uuid, expected_revision bigint default null)
returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_resume(resume_book.book_id, resume_book.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = resume_book.book_id;
end
$$;

comment on function bindery.register_book(uuid, uuid, text, text, jsonb) is
  'Puts a book at the start of a pipeline (comic unless named), and gives its row.
Idempotent: the same call again gives the row as it stands. PT404 unknown_pipeline, PT409 conflicting_registration (another pipeline or owner), PT422 bad_input.';
comment on function bindery.transition_book(uuid, text, text, bigint) is
  'Changes a book''s status where its pipeline allows it, and gives its row.
To the stage a FAILED book failed in, it is a resume. PT404 unknown_book, PT409 illegal_transition (the detail lists what is allowed) or stale_revision, PT422 bad_input.';
comment on function bindery.report_progress(uuid, text, double precision, double precision, double precision, text, text, jsonb, text, integer) is
  'Reports a substep''s progress: percent (0 to 100), or done of total; gives the book''s row.
A lower value than before leaves progress as it is; a report of an earlier attempt or a stage left has no effect. The checkpoint is the worker''s own JSON to go on from. PT404 unknown_book or unknown_stage, PT409 stage_not_reached or attempt_ahead, PT422 unknown_substep or bad_input.';
comment on function bindery.plan_substeps(uuid, text, jsonb) is
  'Declares a book''s own substeps of a stage, [{"name", "weight"}], up to 10,000; gives its row.
Planning again changes weights, never progress. PT404 unknown_book or unknown_stage, PT422 bad_input.';
comment on function bindery.heartbeat(uuid, integer) is
  'Says that a book''s service is alive. PT404 unknown_book, PT409 attempt_ahead.';
comment on function bindery.fail_book(uuid, jsonb, text) is
  'Halts a book as FAILED with an error object ({"code", …}) and a message; gives its row. PT404 unknown_book, PT409 illegal_transition, PT422 bad_input.';
comment on function bindery.resume_book(uuid, bigint) is
  'A FAILED book goes on at the stage it failed in, as the next attempt; gives its row.
Substeps that are finished or have a checkpoint are kept, the others start over. PT404 unknown_book, PT409 not_failed or stale_revision.';

-- cancel_book: stops a book for good.
-- Invariants: SECURITY INVOKER; CANCELLED is final and keeps its percentage.
-- Locks: as bindery_internal.do_transition.
create function bindery.cancel_book(book_id uuid, message text default null, expected_revision bigint default null)
returns setof bindery.book_status rows 1
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.do_transition(
    cancel_book.book_id, 'CANCELLED', cancel_book.message, cancel_book.expected_revision));
  return query select b.* from bindery.book_status b where b.book_id = cancel_book.book_id;
end
$$;

comment on function bindery.cancel_book(uuid, text, bigint) is
  'Stops a book for good, where it is; gives its row. PT404 unknown_book, PT409 illegal_transition (it is at its end already) or stale_revision, PT422 bad_input.';

-- The functions that read a book. SECURITY INVOKER and STABLE: row-level security decides what the caller sees.
-- Invariants: a book that the caller may not read is unknown to it.
-- Locks: none.
create function bindery_internal.health(book bindery.book_status, machine jsonb, moment timestamptz) returns text
language sql immutable parallel safe
set search_path = ''
as $$
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

create function bindery.get_book_status(book_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
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

create function bindery.get_resume_point(book_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
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

create function bindery.list_books(max_books integer default 100) returns setof bindery.book_status
language sql stable
set search_path = ''
as $$
  select b.* from bindery.book_status b order by b.created_at desc, b.book_id limit least(greatest(max_books, 0), 1000);
$$;

comment on function bindery.get_book_status(uuid) is
  'Where a book stands, as one JSON object.
All columns of book_status, and stages ([{name, label, state: done|active|pending|failed|cancelled, progress}]) and health (live, quiet or stalled; null once halted or completed). PT404 unknown_book.';
comment on function bindery.get_resume_point(uuid) is
  'All a worker needs to go on with a book, as one JSON object.
{book_id, status, stage, attempt, revision, done: [substep], left: [{substep, weight, progress, done?, total?, unit?, message?, checkpoint}]}. PT404 unknown_book.';
comment on function bindery.list_books(integer) is
  'The newest books the caller may read, up to 1,000 (100 unless told). For filters and paging read the table book_status.';

-- status_at: the status as the history has it at a moment.
-- Invariants: SECURITY INVOKER and STABLE; null before the book was registered.
-- Locks: none.
create function bindery.status_at(book_id uuid, at timestamptz) returns jsonb
language plpgsql stable
set search_path = ''
as $$
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

comment on function bindery.status_at(uuid, timestamptz) is
  'What a book''s status was at a moment, from its history, as one JSON object; null before it was registered or pruned away.
{book_id, status, stage, attempt, revision, since, actor, message, data}. PT404 unknown_book.';

-- The functions of the relay. The role bindery_relay may call these and nothing else.
-- Invariants: SECURITY INVOKER over definers in bindery_internal, since the relay has no right to any table.
-- Locks: relay_cursors first, then books in order of book_id.
create function bindery.acquire_stream(stream text, holder text, ttl interval default '10 seconds')
returns table (epoch bigint, "position" text, lease_expires_at timestamptz)
language sql volatile
set search_path = ''
as $$
  select a.epoch, a.position, a.lease_expires_at from bindery_internal.acquire_stream(stream, holder, ttl) a;
$$;

create function bindery.renew_stream(stream text, epoch bigint) returns timestamptz
language sql volatile
set search_path = ''
as $$
  select bindery_internal.renew_stream(stream, epoch);
$$;

create function bindery.release_stream(stream text, epoch bigint) returns void
language sql volatile
set search_path = ''
as $$
  select bindery_internal.release_stream(stream, epoch);
$$;

create function bindery.apply_events(stream text, epoch bigint, "position" text, events jsonb)
returns table (applied bigint, stale bigint, dead bigint)
language sql volatile
set search_path = ''
as $$
  select a.applied, a.stale, a.dead from bindery_internal.apply_events(stream, epoch, "position", events) a;
$$;

comment on function bindery.acquire_stream(text, text, interval) is
  'Takes the lease on a stream: gives a new epoch, the position applied so far, and when the lease ends unless renewed.
The present holder may take it again at once. PT409 lease_held while another''s lease lasts, PT422 bad_input.';
comment on function bindery.renew_stream(text, bigint) is
  'Prolongs the lease by its ttl and gives its new end. PT409 fenced where the epoch is not the newest.';
comment on function bindery.release_stream(text, bigint) is
  'Gives the lease up, so that another relay need not wait for its end. PT409 fenced where the epoch is not the newest.';
comment on function bindery.apply_events(text, bigint, text, jsonb) is
  'Applies a batch of events and moves the stream''s position, in one transaction; counts what was applied, stale, dead.
Items are events as docs/events.md has them, with id, count (how many events it stands for) and segment: items of a segment must have distinct keys, segments are applied in order; without a segment each item is one. PT409 fenced or position_passed, PT422 bad_input.';

-- take_outbox: the oldest messages of the outbox, deleted in the caller's transaction.
-- Invariants: the caller commits once it has published them, so each is published at least once; one publisher at a time, so a
-- book's messages keep their order. Locks: an advisory lock until the transaction ends; without it nothing is taken.
create function bindery_internal.take_outbox(max_rows integer) returns setof bindery.outbox
language plpgsql security definer
set search_path = ''
as $$
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

create function bindery.take_outbox(max_rows integer default 500) returns setof bindery.outbox
language sql volatile
set search_path = ''
as $$
  select o.* from bindery_internal.take_outbox(max_rows) o;
$$;

comment on function bindery.take_outbox(integer) is
  'Takes the oldest messages of the outbox, up to 10,000, in order. Publish them, then commit; a rollback puts them back.
Gives none while another transaction has some taken.';

-- prune_events: deletes old history, in small batches that block nobody.
-- Invariants: each book keeps its newest row, so that where it stands can always be told from the history.
-- Locks: skips rows that somebody else is deleting.
create function bindery_internal.prune_events(before timestamptz, batch integer) returns integer
language plpgsql security definer
set search_path = ''
as $$
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

create function bindery.prune_events(before timestamptz, batch integer default 1000) returns integer
language plpgsql
set search_path = ''
as $$
begin
  return bindery_internal.prune_events(prune_events.before, prune_events.batch);
end
$$;

comment on function bindery.prune_events(timestamptz, integer) is
  'Deletes up to batch (1 to 100,000) rows of history older than a moment, and gives how many; call it until it gives 0.
Each book keeps its newest row. PT422 bad_input.';

-- Row-level security: a user reads the books it owns; the service reads all; the relay and anon no table.
-- Invariants: one permissive policy a role and action; the user's id is looked up once a statement.
-- Locks: none of ours.
create policy owner_reads_book on bindery.book_status for select to authenticated
  using (owner_id = (select bindery_internal.user_id()));
create policy owner_reads_progress on bindery.book_progress for select to authenticated
  using (exists (select from bindery.book_status b
    where b.book_id = book_progress.book_id and b.owner_id = (select bindery_internal.user_id())));
create policy owner_reads_history on bindery.book_events for select to authenticated
  using (exists (select from bindery.book_status b
    where b.book_id = book_events.book_id and b.owner_id = (select bindery_internal.user_id())));

create policy service_reads_pipelines on bindery.pipelines for select to service_role using (true);
create policy service_reads_books on bindery.book_status for select to service_role using (true);
create policy service_inserts_books on bindery.book_status for insert to service_role with check (true);
create policy service_updates_books on bindery.book_status for update to service_role using (true) with check (true);
create policy service_reads_progress on bindery.book_progress for select to service_role using (true);
create policy service_reads_history on bindery.book_events for select to service_role using (true);
create policy service_reads_outbox on bindery.outbox for select to service_role using (true);
create policy service_reads_cursors on bindery.relay_cursors for select to service_role using (true);
create policy service_reads_dead_letters on bindery.dead_letters for select to service_role using (true);

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

-- Reading, and what reading stands on.
grant execute on function
  bindery.get_book_status(uuid), bindery.get_resume_point(uuid), bindery.list_books(integer),
  bindery.status_at(uuid, timestamptz),
  bindery_internal.user_id(), bindery_internal.now(), bindery_internal.machine(text, integer),
  bindery_internal.health(bindery.book_status, jsonb, timestamptz), bindery_internal.substep_rows(uuid, text, boolean),
  bindery_internal.kept(boolean, bindery.book_progress), bindery_internal.unknown_book(uuid),
  bindery_internal.error(text, text, text, text, jsonb), bindery_internal.raise_error(jsonb)
to authenticated, service_role;

-- Writing.
grant execute on function
  bindery.define_pipeline(text, jsonb), bindery_internal.define_pipeline(text, jsonb),
  bindery.register_book(uuid, uuid, text, text, jsonb), bindery_internal.do_register(uuid, uuid, text, text, jsonb),
  bindery.transition_book(uuid, text, text, bigint), bindery_internal.do_transition(uuid, text, text, bigint, integer, jsonb),
  bindery.report_progress(uuid, text, double precision, double precision, double precision, text, text, jsonb, text, integer),
  bindery_internal.do_report(jsonb),
  bindery.plan_substeps(uuid, text, jsonb), bindery_internal.do_plan(uuid, text, jsonb),
  bindery.heartbeat(uuid, integer), bindery_internal.do_heartbeats(jsonb),
  bindery_internal.refused_report(text, uuid, text, text, integer),
  bindery.fail_book(uuid, jsonb, text), bindery.cancel_book(uuid, text, bigint),
  bindery.resume_book(uuid, bigint), bindery_internal.do_resume(uuid, bigint),
  bindery.prune_events(timestamptz, integer), bindery_internal.prune_events(timestamptz, integer)
to service_role;

-- Relaying.
grant execute on function
  bindery.acquire_stream(text, text, interval), bindery_internal.acquire_stream(text, text, interval),
  bindery.renew_stream(text, bigint), bindery_internal.renew_stream(text, bigint),
  bindery.release_stream(text, bigint), bindery_internal.release_stream(text, bigint),
  bindery.apply_events(text, bigint, text, jsonb), bindery_internal.apply_events(text, bigint, text, jsonb),
  bindery.take_outbox(integer), bindery_internal.take_outbox(integer)
to service_role, bindery_relay;

-- Who may call the kernel: the readers what reading stands on. Run again when a database goes to the other kernel.
-- Invariant: both kernels are open to the same callers; what the portable summarize calls runs with its caller's rights.
-- Locks: none of ours.
revoke all on all functions in schema bindery_core from public, anon, authenticated, service_role, bindery_relay;
grant execute on function bindery_core.summarize(jsonb, text, text, jsonb) to authenticated, service_role;

do $$
declare
  helper regprocedure;
begin
  for helper in
    select p.oid from pg_catalog.pg_proc p
    where p.pronamespace = 'bindery_core'::regnamespace
      and p.proname = any (array['refuse_null', 'refuse', 'as_double', 'product', 'quotient', 'total', 'label_of', 'is_machine',
        'state_named', 'current_state', 'states_before', 'is_rows', 'shown', 'mean_of_giants'])
  loop
    execute format('grant execute on function %s to authenticated, service_role', helper);
  end loop;
end
$$;

-- Membership in Supabase Realtime's publication, where there is one.
-- Invariants: Postgres Changes sees book_status; everything else is reached through it.
-- Locks: none of ours.
do $$
begin
  if exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime' and not puballtables)
     and not exists (select from pg_catalog.pg_publication_tables
                     where pubname = 'supabase_realtime' and schemaname = 'bindery' and tablename = 'book_status') then
    alter publication supabase_realtime add table bindery.book_status;
  end if;
end
$$;

-- The pipeline comic, version 1: from a novel to a comic.
-- Invariants: the one of README.md; a change to it is a new version.
-- Locks: as define_pipeline.
select bindery.define_pipeline('comic', '{
  "states": [
    {"name": "UPLOADED", "label": "Uploaded"},
    {"name": "ANALYZING", "label": "Reading the book", "weight": 20,
     "stall_after": "2 minutes", "max_attempts": 3, "retry_after": "30 seconds",
     "substeps": [{"name": "extract_text"}, {"name": "detect_chapters"}, {"name": "analyze_characters", "weight": 2}]},
    {"name": "GENERATING_SCENES", "label": "Cutting scenes", "weight": 30,
     "stall_after": "5 minutes", "max_attempts": 3, "retry_after": "30 seconds",
     "substeps": [{"name": "split_scenes"}, {"name": "write_prompts"}]},
    {"name": "CREATING_ARTWORK", "label": "Drawing", "weight": 50,
     "stall_after": "10 minutes", "max_attempts": 3, "retry_after": "1 minute", "open_substeps": true},
    {"name": "COMPLETED", "label": "Completed"}
  ]
}');
notify pgrst, 'reload schema';
