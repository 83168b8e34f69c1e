-- The errors that more than one function gives, each defined once.
-- Invariant: PT404 unknown, PT409 conflict, PT422 bad input (PostgREST answers with that HTTP
-- status).
create or replace function bindery_internal.unknown_book(book_id uuid) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.error('PT404', 'unknown_book',
    format('There is no book %s.', coalesce(book_id::text, '(null)')),
    'Register it first with bindery.register_book, or check the id and who is asking.',
    jsonb_build_object('book_id', book_id));
$$;

create or replace function bindery_internal.bad_input(argument text, problem text,
  hint text) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.error('PT422', 'bad_input', format('%s %s.', argument, problem), hint,
    jsonb_build_object('argument', argument));
$$;

create or replace function bindery_internal.missing_pipeline(
  book_id uuid, pipeline text, version integer
) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.error('PT409', 'missing_pipeline',
    format('The book %s follows version %s of the pipeline %s, which is missing.', book_id, version,
      pipeline),
    'Restore the row of bindery.pipelines from the dump that the book came from.',
    jsonb_build_object('book_id', book_id, 'pipeline', pipeline, 'version', version));
$$;

-- Converts an exception that is not transient to the reason and message of a dead letter.
create or replace function bindery_internal.raised(sqlstate text, message text, detail text)
returns jsonb
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select case
    when sqlstate = 'PT409' and starts_with(detail, '{"code": "missing_pipeline"')
      then jsonb_build_object('code', 'missing_pipeline', 'message', message)
    else jsonb_build_object('code', 'refused_by_database',
      'message', format('%s (SQLSTATE %s)', message, sqlstate)) end;
$$;

create or replace function bindery_internal.stale_revision(book_id uuid, revision bigint,
  expected_revision bigint) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.error('PT409', 'stale_revision',
    format('Book %s is at revision %s, not %s.', book_id, revision, expected_revision),
    'Read its status again, and decide anew.',
    jsonb_build_object('book_id', book_id, 'revision', revision, 'expected_revision',
      expected_revision));
$$;

create or replace function bindery_internal.illegal_transition(
  from_status text, to_status text, reason text, allowed text[]
) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.error('PT409', 'illegal_transition', reason,
    case when cardinality(allowed) = 0
      then 'Nothing leads on from here; register a new book to start over.'
         else format('Allowed from %s: %s.', from_status, array_to_string(allowed, ', ')) end,
    jsonb_build_object('from_status', from_status, 'to_status', to_status, 'allowed',
      to_jsonb(allowed)));
$$;

create or replace function bindery_internal.refused_report(
  verdict text, book_id uuid, stage text, substep text, attempt integer
) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select case verdict
    when 'unknown_book' then bindery_internal.unknown_book(book_id)
    when 'unknown_stage' then bindery_internal.error('PT404', verdict,
      format('The pipeline of book %s has no stage %s.', book_id, stage),
      'bindery.get_book_status lists the stages of a book.', where_it_was)
    when 'stage_not_reached' then bindery_internal.error('PT409', verdict,
      format('Book %s has not reached the stage %s yet.', book_id, stage),
      'Make the transition first, then report; or set auto_advance in the pipeline.', where_it_was)
    when 'unknown_substep' then bindery_internal.error('PT422', verdict,
      format('The stage %s of book %s has no substep %s.', coalesce(stage, '(current)'), book_id,
        coalesce(substep, 'all')),
      'Report a declared substep, plan this one with bindery.plan_substeps, or give the stage '
        'open_substeps.', where_it_was)
    when 'attempt_ahead' then bindery_internal.error('PT409', verdict,
      format('Book %s has not come to attempt %s.', book_id, attempt),
      'Use the attempt that bindery.get_resume_point gives.', where_it_was)
    when 'bad_input' then bindery_internal.bad_input('substep or progress',
      'is not a name in lower snake case, or not a number',
      'Name a substep such as extract_text, and give a percentage.')
    when 'too_many_substeps' then bindery_internal.error('PT422', verdict,
      format('The stage %s of book %s has 10,000 substeps already.', coalesce(stage, '(current)'),
        book_id),
      'Report on fewer, larger substeps; done and total count the units in one.', where_it_was)
    when 'stale' then '{"stale": true}'
  end
  from (select jsonb_build_object('book_id', book_id, 'stage', stage, 'substep', substep,
    'attempt', attempt)) as w(where_it_was);
$$;

comment on function bindery_internal.refused_report(text, uuid, text, text, integer) is
  'The error for a verdict of bindery_core.report_verdict; null for accept, {"stale": true} for '
  'stale.';
comment on function bindery_internal.missing_pipeline(uuid, text, integer) is
  'The error PT409 missing_pipeline.';
comment on function bindery_internal.raised(text, text, text) is
  'The code and message of a dead letter whose event raised this error.';
comment on function bindery_internal.unknown_book(uuid) is 'The error PT404 unknown_book.';
comment on function bindery_internal.bad_input(text, text, text) is
  'The error PT422 bad_input: an argument, what is wrong with it, and what to give.';
comment on function bindery_internal.stale_revision(uuid, bigint, bigint) is
  'The error PT409 stale_revision.';
comment on function bindery_internal.illegal_transition(text, text, text, text[]) is
  'The error PT409 illegal_transition: the kernel''s reason, and what is allowed instead.';
