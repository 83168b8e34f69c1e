-- note_waiting: records which books have a job that waits in a BullMQ queue, as found by the
-- queue's relay.
-- Invariants: only the newest epoch may write; within a range of book ids, the given rows replace
-- the stream's rows, so a removed job ends its book's waiting; silence counts from the end of the
-- waiting.
-- Locks: the stream's row in relay_cursors, then the books' rows in order of book_id. A book's row
-- that another session holds is left for the next call.
create or replace function bindery_internal.brief_silence(stall_after double precision)
returns interval
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(least(stall_after / 4, 5), 5) * interval '1 second';
$$;

create or replace function bindery_internal.is_waiting(book_id uuid) returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from bindery_internal.waiting_books w where w.book_id = is_waiting.book_id);
$$;

create or replace function bindery_internal.note_waiting(
  stream text, epoch bigint, stage text, first_id uuid, last_id uuid, book_ids uuid[],
  attempts integer[]
) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  moment timestamptz;
  ended uuid[];
  began uuid[];
  noted integer;
begin
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_text('stream', note_waiting.stream, 512),
    bindery_internal.refused_text('stage', note_waiting.stage, 63)));
  if note_waiting.stage is null or note_waiting.first_id is null or note_waiting.last_id is null
  then
    perform bindery_internal.raise_error(bindery_internal.bad_input('stage, first_id or last_id',
      'is null', 'Give the queue''s stage, and the range of book ids that this call is about.'));
  elsif note_waiting.book_ids is null or array_ndims(note_waiting.book_ids) > 1
    or cardinality(note_waiting.book_ids) > 10000
    or cardinality(note_waiting.attempts) is distinct from cardinality(note_waiting.book_ids)
  then
    perform bindery_internal.raise_error(bindery_internal.bad_input('book_ids',
      'is not a list of up to 10,000 ids with as many attempts',
      'Give the books in ranges; null for a job that names no attempt.'));
  elsif exists (
    select from unnest(note_waiting.book_ids) as u(book_id)
    where (u.book_id between note_waiting.first_id and note_waiting.last_id) is not true)
  then
    perform bindery_internal.raise_error(bindery_internal.bad_input('book_ids',
      'has an id outside of first_id to last_id', 'Give the ids of the range only.'));
  end if;
  perform from bindery.relay_cursors c
  where c.stream = note_waiting.stream and c.epoch = note_waiting.epoch and c.holder is not null
  for no key update;
  if not found then
    perform bindery_internal.raise_error(
      bindery_internal.fenced(note_waiting.stream, note_waiting.epoch));
  end if;
  moment := bindery_internal.now();

  with given as (
    select u.book_id, u.attempt
    from unnest(note_waiting.book_ids, note_waiting.attempts) as u(book_id, attempt)
  ), noted as (
    select w.book_id from bindery_internal.waiting_books w
    where w.stream = note_waiting.stream
      and w.book_id between note_waiting.first_id and note_waiting.last_id
  ), known as materialized (
    select b.book_id, b.pipeline, b.pipeline_version, b.current_stage,
      b.completed_at is not null or b.status <> b.current_stage as is_over,
      b.attempt as book_attempt, moment - b.heartbeat_at as silence,
      g.attempt, g.book_id is not null as is_given, n.book_id is not null as is_noted
    from given g full join noted n on n.book_id = g.book_id
    join bindery.book_status b on b.book_id = coalesce(g.book_id, n.book_id)
  ), places as materialized (
    -- There are few pipelines: each machine is read once, not once a book.
    select p.pipeline, p.pipeline_version, p.current_stage,
      bindery_internal.brief_silence((s.here ->> 'stall_after')::double precision) as brief,
      p.current_stage = note_waiting.stage as is_here,
      coalesce((s.there ->> 'start')::double precision >= (s.here ->> 'start')::double precision,
        false) as is_ahead
    from (select distinct k.pipeline, k.pipeline_version, k.current_stage from known k) p
    cross join lateral (
      select bindery_internal.machine(p.pipeline, p.pipeline_version) as machine) m
    cross join lateral (
      select bindery_internal.state_of(m.machine, p.current_stage) as here,
        bindery_internal.state_of(m.machine, note_waiting.stage) as there) s
  ), judged as (
    select k.book_id, k.is_noted, k.silence > p.brief as is_silent,
      k.is_given and not k.is_over and case when p.is_here
        then coalesce(k.attempt >= k.book_attempt, true) else p.is_ahead end as is_waiting
    from known k
    join places p using (pipeline, pipeline_version, current_stage)
  )
  select coalesce(array_agg(j.book_id) filter (where j.is_noted and not j.is_waiting), '{}'),
    coalesce(array_agg(j.book_id) filter (
      where not j.is_noted and j.is_waiting and j.is_silent), '{}')
  into ended, began
  from judged j;

  with free as materialized (
    select b.book_id from bindery.book_status b
    where b.book_id = any (ended) order by b.book_id for no key update skip locked
  ), gone as (
    delete from bindery_internal.waiting_books w using free f
    where w.stream = note_waiting.stream and w.book_id = f.book_id
    returning w.book_id
  )
  update bindery.book_status b set heartbeat_at = moment
  from gone g
  where b.book_id = g.book_id and b.status = b.current_stage and b.completed_at is null;

  insert into bindery_internal.waiting_books (book_id, stream, since)
  select b.book_id, note_waiting.stream, moment
  from bindery.book_status b
  where b.book_id = any (began) order by b.book_id for key share skip locked
  on conflict on constraint waiting_books_pkey do nothing;
  get diagnostics noted = row_count;
  return noted;
end
$$;

create or replace function bindery.note_waiting(
  stream text, epoch bigint, stage text, first_id uuid, last_id uuid, book_ids uuid[],
  attempts integer[]
) returns integer
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.note_waiting(stream, epoch, stage, first_id, last_id, book_ids, attempts);
$$;

comment on function bindery_internal.brief_silence(double precision) is
  'How long a book may be silent before it counts as waiting: a quarter of stall_after (in '
  'seconds), at most 5 s.';
comment on function bindery_internal.is_waiting(uuid) is
  'Whether a job of the book waits in a BullMQ queue.';
comment on function bindery_internal.note_waiting(text, bigint, text, uuid, uuid, uuid[], integer[])
is 'See bindery.note_waiting.';
comment on function bindery.note_waiting(text, bigint, text, uuid, uuid, uuid[], integer[]) is
  'Records which books have a job that waits in a BullMQ queue; sweep fails none of them.
book_ids: of the books from first_id to last_id all that have such a job, with the attempt that '
  'the job names (null: none); stage: the queue''s. A book that is no longer among them no longer '
  'waits, and its heartbeat is renewed. Jobs of earlier stages and attempts do not count. Gives '
  'how many books began to wait. PT409 fenced where the epoch is not the newest, PT422 bad_input.';
