-- What a status and a list show of the stages of a book, and a book as a row of a list.
-- Invariants: SECURITY INVOKER, so that row-level security decides which visits are read;
-- stage_medians alone runs with its owner's rights and reads no book.
create or replace function bindery_internal.stage_medians(
  pipeline text, pipeline_version integer
) returns jsonb
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select jsonb_object_agg(p.stage, p.median_seconds)
    from bindery_internal.stage_pace p
    where p.pipeline = stage_medians.pipeline
      and p.pipeline_version = stage_medians.pipeline_version
      -- Of fewer visits refresh_pace makes no median; it is 0 for a state of no weight.
      and p.median_seconds is not null and p.samples >= 3);
end
$$;

create or replace function bindery_internal.stages_json(
  book bindery.book_status, machine jsonb
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  stages constant jsonb := bindery_core.stage_list(
    machine, book.status, book.current_stage, book.stage_progress);
  -- The states of weight 0 are no stages; the others are in the same order in both lists.
  states constant jsonb := jsonb_path_query_array(machine, '$.states[*] ? (@.weight > 0)');
  medians constant jsonb := bindery_internal.stage_medians(book.pipeline, book.pipeline_version);
  at_work constant text := case when book.completed_at is null then book.current_stage end;
begin
  return (
    select coalesce(jsonb_agg(s.stage || case
        when s.stage ->> 'name' = at_work then jsonb_build_object(
          'attempt', book.attempt, 'started_at', book.stage_entered_at, 'seconds', null,
          'median_seconds', medians -> (s.stage ->> 'name'),
          'max_attempts', s.state -> 'max_attempts')
        else jsonb_build_object(
          'attempt', v.attempt, 'started_at', v.entered_at, 'seconds', v.seconds,
          'median_seconds', medians -> (s.stage ->> 'name'),
          'max_attempts', s.state -> 'max_attempts')
        end order by s.place), '[]')
    from rows from (jsonb_array_elements(stages), jsonb_array_elements(states))
      with ordinality as s(stage, state, place)
    left join bindery.stage_visits v
      on v.book_id = book.book_id and v.stage = s.stage ->> 'name');
end
$$;

-- About a kilobyte a book, so that a page can read 10,000 of them.
create or replace function bindery_internal.listed_row(book bindery.book_status) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  machine constant jsonb := bindery_internal.machine(book.pipeline, book.pipeline_version);
  health text;
  phase text := case when book.completed_at is not null then 'completed'
    when book.status = 'FAILED' then 'failed' when book.status = 'CANCELLED' then 'cancelled'
    else 'working' end;
  tags constant jsonb := book.metadata -> 'tags';
  row_of constant jsonb := jsonb_build_object(
    'book_id', book.book_id, 'owner_id', book.owner_id, 'title', book.title,
    'pipeline', book.pipeline, 'pipeline_version', book.pipeline_version,
    'status', book.status, 'current_stage', book.current_stage,
    'overall_progress', book.overall_progress, 'stage_progress', book.stage_progress,
    'substeps_total', book.substeps_total, 'substeps_done', book.substeps_done,
    'message', left(book.message, 500), 'attempt', book.attempt, 'revision', book.revision,
    'error', case when book.error is not null then jsonb_build_object(
      'code', left(book.error ->> 'code', 100), 'message', left(book.error ->> 'message', 500))
      end,
    'heartbeat_at', book.heartbeat_at, 'stage_entered_at', book.stage_entered_at,
    'stage_started_at', book.stage_started_at, 'resume_at', book.resume_at,
    'estimated_completion_at', book.estimated_completion_at, 'created_at', book.created_at,
    'updated_at', book.updated_at, 'completed_at', book.completed_at,
    'tags', case when jsonb_typeof(tags) = 'array' and octet_length(tags::text) <= 2000
      then tags else '[]' end);
begin
  if machine is null then
    return row_of || jsonb_build_object('phase', phase, 'max_attempts', null,
      'stages', jsonb_build_array(), 'health', null,
      'missing_pipeline', bindery_internal.missing_pipeline(
        book.book_id, book.pipeline, book.pipeline_version) - array['sqlstate', 'detail']);
  end if;
  health := bindery_internal.health(
    book, machine, bindery_internal.now(), bindery_internal.is_waiting(book.book_id));
  if phase = 'working' and bindery_internal.is_queued(book, machine, health) then
    phase := 'queued';
  end if;
  return row_of || jsonb_build_object(
    'phase', phase, 'health', health,
    'max_attempts', bindery_internal.state_of(machine, book.current_stage) -> 'max_attempts',
    'stages', bindery_core.stage_list(
      machine, book.status, book.current_stage, book.stage_progress));
end
$$;

comment on function bindery_internal.stage_medians(text, integer) is
  'The median duration in seconds of each state of a pipeline, {state: seconds}, of states with at '
  'least 3 visits; null without any.';
comment on function bindery_internal.stages_json(bindery.book_status, jsonb) is
  'The stages of a book with its visits and their median durations, as get_book_status lists them.';
comment on function bindery_internal.listed_row(bindery.book_status) is
  'A book as a row of a list, about a kilobyte: no substeps and no metadata but its tags (up to '
  '2 kB), of the error the code and the first 500 characters of the message, the stages without '
  'visits.';
