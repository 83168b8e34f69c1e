-- begin_stage: a worker's first call: the book enters the stage, resumes in it, or is already
-- there.
-- Invariants: do_begin returns null when the book is in the stage, {"stale": true, …}, or the error
-- (with "early": true if a later change can make it applicable), and then changes nothing.
-- Locks: the book's row.
create or replace function bindery_internal.do_begin(
  book_id uuid, to_status text, worker text default null, attempt integer default null,
  resuming boolean default true
) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  machine jsonb;
  verdict text;
  coming integer;
  refusal jsonb;
  actor constant text := coalesce(current_setting('bindery.actor', true), '');
  nothing text;
begin
  if do_begin.to_status is null then
    return bindery_internal.bad_input('to_status', 'is missing', 'Name the stage to begin.');
  elsif do_begin.attempt < 1 then
    return bindery_internal.refused_attempt();
  end if;
  refusal := coalesce(
    bindery_internal.refused_text('to_status', do_begin.to_status, 63),
    bindery_internal.refused_text('worker', do_begin.worker, 512));
  if refusal is not null then
    return refusal;
  end if;
  select b.* into book from bindery.book_status b
  where b.book_id = do_begin.book_id for no key update;
  if not found then
    return bindery_internal.unknown_book(do_begin.book_id);
  end if;
  machine := bindery_internal.book_machine(book);
  verdict := bindery_core.begin_verdict(machine, book.status, book.current_stage,
    do_begin.to_status, bindery_internal.facts(book, machine, do_begin.to_status));
  if do_begin.attempt is not null then
    -- The attempt at the book's present or later stage; null: the book has left the stage.
    coming := case
      when verdict = 'none' then book.attempt
      when verdict not in ('accept', 'early') then null
      when book.current_stage = do_begin.to_status then book.attempt + 1
      else 1 + coalesce((
        select v.attempt from bindery.stage_visits v
        where v.book_id = book.book_id and v.stage = do_begin.to_status), 0) end;
    if do_begin.attempt > coming and verdict <> 'early' then
      return bindery_internal.refused_report('attempt_ahead', book.book_id, book.current_stage,
        null, do_begin.attempt);
    end if;
  end if;
  if verdict = 'stale' or do_begin.attempt < coming
    or (verdict = 'accept' and book.status = 'FAILED' and not do_begin.resuming)
  then
    return jsonb_build_object('stale', true, 'status', book.status, 'attempt', book.attempt,
      'passed', verdict = 'stale' and book.status <> 'CANCELLED');
  elsif verdict = 'none' then
    update bindery.book_status b set heartbeat_at = bindery_internal.now()
    where b.book_id = do_begin.book_id;
    return null;
  elsif verdict = 'early' then
    return bindery_internal.error('PT409', 'stage_not_reached',
      format('Book %s is in %s; %s cannot begin yet.',
        book.book_id, book.status, do_begin.to_status),
      'Begin it when the stages before it are done.',
      jsonb_build_object('book_id', book.book_id, 'status', book.status,
        'to_status', do_begin.to_status)) || '{"early": true}';
  elsif verdict = 'illegal' then
    return bindery_internal.illegal_transition(book.status, do_begin.to_status,
      coalesce(bindery_core.transition_error(machine, book.status, book.current_stage,
        do_begin.to_status, '{}'), format('%s is not a stage to begin.', do_begin.to_status)),
      bindery_core.next_statuses(machine, book.status, book.current_stage));
  end if;
  if do_begin.worker is not null then
    nothing := set_config('bindery.actor', do_begin.worker, true);
  end if;
  refusal := bindery_internal.do_transition(do_begin.book_id, do_begin.to_status);
  nothing := set_config('bindery.actor', actor, true);
  return refusal;
end
$$;

create or replace function bindery.begin_stage(
  book_id uuid, to_status text, worker text default null, attempt integer default null,
  resume boolean default true
) returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  refusal constant jsonb := coalesce(
    bindery_internal.refused_worker('begin', begin_stage.book_id, begin_stage.to_status),
    bindery_internal.do_begin(begin_stage.book_id, begin_stage.to_status, begin_stage.worker,
      begin_stage.attempt, coalesce(begin_stage.resume, true)));
begin
  if refusal ? 'stale' then
    perform bindery_internal.raise_error(bindery_internal.error('PT409', 'stage_left',
      format('Book %s has left the stage %s.', begin_stage.book_id, begin_stage.to_status),
      'Do no more work on this stage; bindery.get_resume_point shows where the book is.',
      refusal - 'stale' || jsonb_build_object('book_id', begin_stage.book_id,
        'to_status', begin_stage.to_status)));
  end if;
  perform bindery_internal.raise_error(refusal);
  return bindery.get_resume_point(begin_stage.book_id);
end
$$;

comment on function bindery_internal.do_begin(uuid, text, text, integer, boolean) is
  'Begins a stage. Null: the book is in it; {"stale": true, status, attempt, passed}: it has left '
  'it, or FAILED in it and resuming is false; else the error, with "early": true where a later '
  'change can make it applicable.';
comment on function bindery.begin_stage(uuid, text, text, integer, boolean) is
  'What a worker calls first: takes a book into a stage and gives bindery.get_resume_point.
Enters the stage where a forward edge leads there, resumes where the book FAILED in it, and '
  'changes nothing where the book is in it. worker: a name for the history. attempt: the one that '
  'the caller is to work on; an earlier one than the book comes to is stage_left, a later one '
  'attempt_ahead. resume: whether a FAILED book resumes; if not, it is stage_left. The detail of '
  'stage_left has the book''s status and attempt, and passed: true if the book is complete or in a '
  'later stage. PT404 unknown_book, PT409 stage_not_reached, stage_left, attempt_ahead or '
  'illegal_transition, PT422 bad_input.';
