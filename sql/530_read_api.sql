-- The functions that read a book. SECURITY INVOKER and STABLE: row-level security decides what the caller sees.
-- Invariants: a book that the caller may not read is unknown to it.
-- Locks: none.
create or replace function bindery_internal.health(book bindery.book_status, machine jsonb, moment timestamptz) returns text
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
    select (bindery_internal.state_of(machine, book.current_stage) ->> 'stall_after')::double precision * interval '1 second'
  ) as s(stall_after);
$$;

create or replace function bindery.get_book_status(book_id uuid) returns jsonb
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

create or replace function bindery.get_resume_point(book_id uuid) returns jsonb
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

create or replace function bindery.list_books(max_books integer default 100) returns setof bindery.book_status
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
comment on function bindery_internal.health(bindery.book_status, jsonb, timestamptz) is
  'live, quiet (past half of stall_after without a sign), stalled (past it, or FAILED because of it); null once halted or complete.';
