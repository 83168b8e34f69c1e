-- The functions that read a book. SECURITY INVOKER and STABLE: row-level security decides what the
-- caller sees.
-- Invariants: a book that the caller may not read is unknown to it; an answer is at most 256 KiB,
-- whatever the book: stages and substeps 160 (stages below 96), error 24, metadata 32, the rest
-- below 40 kB.
create or replace function bindery_internal.health(
  book bindery.book_status, machine jsonb, moment timestamptz, is_waiting boolean
) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select case
    when book.status = 'FAILED' and book.error ->> 'code' = 'stalled' then 'stalled'
    when book.status <> book.current_stage then null
    when is_waiting and silence > bindery_internal.brief_silence(s.stall_after) then 'waiting'
    when s.stall_after is null then 'live'
    when silence > s.stall_after * interval '1 second' then 'stalled'
    when silence > s.stall_after / 2 * interval '1 second' then 'quiet'
    else 'live' end
  from (
    select moment - book.heartbeat_at,
      (bindery_internal.state_of(machine, book.current_stage) ->> 'stall_after')::double precision
  ) as s(silence, stall_after);
$$;

-- A caller's JSON, cut to fit: the members of an object, the smallest first.
create or replace function bindery_internal.cut_json(value jsonb, most_bytes integer) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if value is null or octet_length(value::text) <= most_bytes then
    return value;
  end if;
  return (
    select coalesce(jsonb_object_agg(m.key, m.value) filter (where m.used <= most_bytes - 100),
      '{}')
      || '{"cut": true}'
    from (
      select e.key, e.value, sum(octet_length(e.value::text) + octet_length(to_json(e.key)::text)
        + 4) over (order by octet_length(e.value::text), e.key) as used
      from jsonb_each(case when jsonb_typeof(value) = 'object' then value else '{}' end) e) m);
end
$$;

create or replace function bindery_internal.book_json(book bindery.book_status) returns jsonb
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return to_jsonb(book)
    - array['substeps_weight', 'substeps_points', 'stage_base', 'stage_share']
    || jsonb_build_object('error', bindery_internal.cut_json(book.error, 24000),
      'metadata', bindery_internal.cut_json(book.metadata, 32000));
end
$$;

-- The current stage's substeps as a status shows them, as many as fit, at most 200: those in
-- progress first, then pending ones, then those that are done; within each group the declared ones
-- in their order, then by key. since: only those that changed after this revision.
create or replace function bindery_internal.shown_substeps(
  book bindery.book_status, since bigint, most_bytes integer
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  declared constant jsonb := bindery_internal.state_of(
    bindery_internal.book_machine(book), book.current_stage)
    -> 'substeps';
begin
  return (
    select coalesce(jsonb_agg(f.shown order by f.rank, f.place, f.substep), '[]')
    from (
      select s.*, sum(octet_length(s.shown::text) + 2)
        over (order by s.rank, s.place, s.substep) as used
      from (
        select bindery_internal.substep_json(c.g, declared) as shown, c.rank, c.place, c.substep
        from (
          select g, g.substep, d.place,
            case when g.progress >= 100 then 3 when g.progress > 0 then 1 else 2 end as rank
          from bindery.book_progress g
          left join (
            select e.value ->> 'substep' as substep, e.place
            from jsonb_array_elements(declared) with ordinality as e(value, place)) d
            on d.substep = g.substep
          where g.book_id = book.book_id and g.stage = book.current_stage
            and (since is null or g.revision > since)
          order by rank, d.place, g.substep limit 200) c) s) f
    where f.used <= most_bytes);
end
$$;

create or replace function bindery_internal.status_json(
  book bindery.book_status, machine jsonb, stages jsonb, substeps jsonb
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return bindery_internal.book_json(book) || jsonb_build_object(
    'substeps', substeps, 'stages', stages,
    'health', bindery_internal.health(
      book, machine, bindery_internal.now(), bindery_internal.is_waiting(book.book_id)));
end
$$;

-- How many bytes of a status are for substeps, beside these stages.
create or replace function bindery_internal.substeps_bytes(stages jsonb) returns integer
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return least(96000, 160000 - octet_length(stages::text));
end
$$;

-- A book in a list. If its pipeline is missing, the list does not fail: the book has no stages and
-- the error under missing_pipeline.
create or replace function bindery_internal.listed_status(
  book bindery.book_status, since_revision bigint default null
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if bindery_internal.machine(book.pipeline, book.pipeline_version) is null then
    return bindery_internal.book_json(book) || jsonb_build_object('substeps', jsonb_build_array(),
        'stages', jsonb_build_array(), 'health', null,
        'missing_pipeline', bindery_internal.missing_pipeline(
          book.book_id, book.pipeline, book.pipeline_version) - array['sqlstate', 'detail'])
      || case when since_revision is null then '{}' else '{"substeps_partial": false}' end::jsonb;
  end if;
  return case when since_revision is null then bindery.get_book_status(book.book_id)
    else bindery.get_book_changes(book.book_id, since_revision) end;
end
$$;

create or replace function bindery.get_book_status(book_id uuid) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  machine jsonb;
  stages jsonb;
begin
  select b.* into book from bindery.book_status b where b.book_id = get_book_status.book_id;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(get_book_status.book_id));
  end if;
  machine := bindery_internal.book_machine(book);
  stages := bindery_internal.stages_json(book, machine);
  return bindery_internal.status_json(book, machine, stages,
    bindery_internal.shown_substeps(book, null, bindery_internal.substeps_bytes(stages)));
end
$$;

create or replace function bindery.get_book_changes(book_id uuid, since_revision bigint)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  changed bigint;
  machine jsonb;
  stages jsonb;
  substeps jsonb;
  most_bytes integer;
begin
  select b.* into book from bindery.book_status b where b.book_id = get_book_changes.book_id;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(get_book_changes.book_id));
  end if;
  machine := bindery_internal.book_machine(book);
  stages := bindery_internal.stages_json(book, machine);
  most_bytes := bindery_internal.substeps_bytes(stages);
  -- The whole list if the stage was entered or left since then, if not all changes fit, or if no
  -- substep is unchanged (one may have been deleted: follow_progress).
  if since_revision <= book.revision and not exists (
    select from bindery.book_events e
    where e.book_id = book.book_id and e.revision > since_revision)
  then
    select count(*) into changed from (
      select from bindery.book_progress g
      where g.book_id = book.book_id and g.stage = book.current_stage
        and g.revision > since_revision
      limit 201) c;
    substeps := bindery_internal.shown_substeps(book, since_revision, most_bytes);
    if jsonb_array_length(substeps) = changed and exists (
      select from bindery.book_progress g
      where g.book_id = book.book_id and g.stage = book.current_stage
        and g.revision <= since_revision)
    then
      return bindery_internal.status_json(book, machine, stages, substeps)
        || '{"substeps_partial": true}';
    end if;
  end if;
  return bindery_internal.status_json(book, machine, stages,
      bindery_internal.shown_substeps(book, null, most_bytes))
    || '{"substeps_partial": false}';
end
$$;

create or replace function bindery.list_substeps(
  book_id uuid, stage text default null, after text default null,
  max_substeps integer default 200
) returns table (
  substep text, label text, weight double precision, state text, progress double precision,
  done double precision, total double precision, unit text, message text, checkpoint jsonb,
  attempt integer, revision bigint, started_at timestamptz, updated_at timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  declared jsonb;
  at_stage text;
begin
  select b.* into book from bindery.book_status b where b.book_id = list_substeps.book_id;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(list_substeps.book_id));
  elsif max_substeps is null or max_substeps not between 1 and 1000 then
    perform bindery_internal.raise_error(bindery_internal.bad_input(
      'max_substeps', 'is not between 1 and 1,000', 'Give how many substeps a page may have.'));
  end if;
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_text('stage', list_substeps.stage, 63),
    bindery_internal.refused_text('after', list_substeps.after, 63)));
  at_stage := coalesce(list_substeps.stage, book.current_stage);
  declared := bindery_internal.state_of(
    bindery_internal.book_machine(book), at_stage) -> 'substeps';
  if declared is null then
    perform bindery_internal.raise_error(bindery_internal.refused_report(
      'unknown_stage', book.book_id, at_stage, null, null));
  end if;
  return query
  select g.substep::text, j.shown ->> 'label', g.weight, j.shown ->> 'state', g.progress,
    g.done, g.total, g.unit, g.message, g.checkpoint, g.attempt, g.revision, g.started_at,
    g.updated_at
  from bindery.book_progress g
  cross join lateral (select bindery_internal.substep_json(g, declared) as shown) j
  where g.book_id = book.book_id and g.stage = at_stage
    and (list_substeps.after is null or g.substep > list_substeps.after)
  order by g.substep limit max_substeps;
end
$$;

-- A book's resume point. after: the last substep of the previous page. Of the remaining substeps,
-- returns as many as fit into max_bytes, at least one if at_least_one is set; the loop reads no
-- further, since checkpoints may be large.
create or replace function bindery_internal.resume_point(
  book bindery.book_status, after text, max_bytes integer, at_least_one boolean
) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  declared constant jsonb := bindery_internal.state_of(
    bindery_internal.book_machine(book), book.current_stage)
    -> 'substeps';
  order_of constant text[] := array(
    select e.value ->> 'substep' from jsonb_array_elements(declared) as e(value));
  point jsonb := jsonb_build_object('book_id', book.book_id, 'status', book.status,
    'stage', book.current_stage, 'attempt', book.attempt, 'revision', book.revision);
  done jsonb;
  rest jsonb[] := '{}';
  part bindery.book_progress;
  item jsonb;
  bytes bigint;
begin
  select coalesce(jsonb_agg(g.substep
    order by array_position(order_of, g.substep), g.substep), '[]')
  into done
  from bindery.book_progress g
  where g.book_id = book.book_id and g.stage = book.current_stage and g.progress >= 100;
  bytes := octet_length(done::text);
  if bytes > max_bytes and not at_least_one then
    return point || '{"done": [], "left": [], "cut": true}';
  end if;
  for part in
    select g.* from bindery.book_progress g
    where g.book_id = book.book_id and g.stage = book.current_stage and g.progress < 100
      and (after is null
        or (coalesce(array_position(order_of, g.substep), 2147483647), g.substep)
          > (coalesce(array_position(order_of, after), 2147483647), after collate "C"))
    order by array_position(order_of, g.substep), g.substep
  loop
    item := bindery_internal.substep_json(part, declared) - array['state', 'label']
      || jsonb_build_object('checkpoint', part.checkpoint);
    bytes := bytes + octet_length(item::text);
    if bytes > max_bytes and not (at_least_one and rest = '{}') then
      -- Leave all of them out, so that no client takes a part for the whole.
      return point || case when at_least_one
        then jsonb_build_object('done', done, 'left', to_jsonb(rest), 'cut', true)
        else '{"done": [], "left": [], "cut": true}' end;
    end if;
    rest := rest || item;
  end loop;
  return point || jsonb_build_object('done', done, 'left', to_jsonb(rest));
end
$$;

create or replace function bindery.get_resume_point(book_id uuid, after text default null)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  if bindery_internal.is_worker() then
    return bindery_internal.worker_resume_point(get_resume_point.book_id, get_resume_point.after);
  end if;
  select b.* into book from bindery.book_status b where b.book_id = get_resume_point.book_id;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.unknown_book(get_resume_point.book_id));
  end if;
  perform bindery_internal.raise_error(
    bindery_internal.refused_text('after', get_resume_point.after, 63));
  return bindery_internal.resume_point(book, get_resume_point.after, 1048576, true);
end
$$;

create or replace function bindery.list_books(max_books integer default 100)
returns setof bindery.book_status
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select b.* from bindery.book_status b
  order by b.created_at desc, b.book_id limit least(greatest(max_books, 0), 1000);
$$;

comment on function bindery.get_book_status(uuid) is
  'Where a book stands, as one JSON object of at most 256 KiB.
The columns of book_status; substeps: at most 200 of the current stage, unfinished first '
  '([{substep, label, weight, state: active|pending|done, progress, done?, total?, unit?, '
  'message?}], messages cut to 500 characters; bindery.list_substeps gives all); stages '
  '([{name, label, weight, state: done|active|pending|failed|cancelled, progress, attempt, '
  'started_at, seconds, median_seconds, max_attempts}]: attempts so far, when the last visit '
  'began, how long it took once it ended forward, the median of at least 3 visits of books); '
  'health (live, waiting, quiet or stalled; null once halted or completed). An error or metadata '
  'that is too large is cut and has "cut": true. PT404 unknown_book, PT409 missing_pipeline.';
comment on function bindery.get_book_changes(uuid, bigint) is
  'As get_book_status, with only the substeps that changed after a revision.
substeps_partial: true: merge them by substep into what you have; false: they are the whole list, '
  'since the stage was entered or left after that revision, or since the changes do not fit. PT404 '
  'unknown_book.';
comment on function bindery.list_substeps(uuid, text, text, integer) is
  'The substeps of a stage (the current one unless named), a page at a time, in order of substep.
after: the last substep of the page before; max_substeps: 1 to 1,000. PT404 unknown_book or '
  'unknown_stage, PT422 bad_input.';
comment on function bindery_internal.resume_point(
  bindery.book_status, text, integer, boolean) is
  'What bindery.get_resume_point gives, of at most so many bytes. at_least_one: also a first '
  'substep that is larger, and the part that fits; else no list at all where one is cut.';
comment on function bindery.get_resume_point(uuid, text) is
  'What a worker needs to continue a book, as one JSON object of about a megabyte at most.
{book_id, status, stage, attempt, revision, done: [substep], left: [{substep, weight, progress, '
  'done?, total?, unit?, message?, checkpoint}], cut?}. cut is true where left has not all of '
  'them: ask again with after, the last substep of left. PT404 unknown_book, PT422 bad_input.';
comment on function bindery.list_books(integer) is
  'The newest books the caller may read, up to 1,000 (100 by default).
For filters and paging read the table book_status.';
comment on function bindery_internal.health(bindery.book_status, jsonb, timestamptz, boolean) is
  'live, waiting (its job waits in a BullMQ queue, and it was silent briefly), quiet (no heartbeat '
  'for half of stall_after), stalled (none for all of it, or FAILED because of it); null once '
  'halted or complete.';
comment on function bindery_internal.cut_json(jsonb, integer) is
  'JSON of at most so many bytes: as it is, or the small members of an object with "cut": true.';
comment on function bindery_internal.book_json(bindery.book_status) is
  'A book''s row as JSON, without the internal columns; a large error or metadata is cut.';
comment on function bindery_internal.shown_substeps(bindery.book_status, bigint, integer) is
  'The substeps of the current stage as statuses show them, at most 200 and so many bytes; since: '
  'only those that changed after this revision.';
comment on function bindery_internal.listed_status(bindery.book_status, bigint) is
  'A book of a list, as get_book_status or get_book_changes gives it; one whose pipeline is '
  'missing has no stages, and missing_pipeline: {code, message, hint}.';
comment on function bindery_internal.status_json(bindery.book_status, jsonb, jsonb, jsonb) is
  'A book with these stages and substeps, and its health, as get_book_status gives it.';
comment on function bindery_internal.substeps_bytes(jsonb) is
  'How many bytes of a status are for substeps, beside these stages: together 160 kB at most.';
