-- apply_item: passes one event to the function that applies it.
-- Invariants: returns null when applied, {"stale": true}, or the error (is_early is true for the
-- error of an early event), and then changes nothing. Locks: the book's row.
create or replace function bindery_internal.apply_item(item jsonb) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  book_id constant uuid := (item ->> 'book_id')::uuid;
  attempt constant integer := (item ->> 'attempt')::integer;
  outcome jsonb;
begin
  return case item ->> 'type'
    when 'transition' then bindery_internal.apply_transition(
      book_id, coalesce(item ->> 'to_status', item ->> 'to'), item ->> 'message', attempt)
    when 'begin' then bindery_internal.apply_begin(book_id, item)
    when 'fail' then bindery_internal.apply_fail(book_id, item)
    when 'register' then bindery_internal.do_register(book_id, (item ->> 'owner_id')::uuid,
      item ->> 'pipeline', item ->> 'title', nullif(item -> 'metadata', 'null'))
    when 'plan' then bindery_internal.do_plan(book_id, item ->> 'stage', item -> 'substeps')
    when 'progress' then bindery_internal.do_report(
      book_id, item ->> 'substep',
      case when not item ? 'done' then (item ->> 'progress')::double precision end,
      (item ->> 'done')::double precision, (item ->> 'total')::double precision,
      item ->> 'unit', item ->> 'message', item -> 'checkpoint', item ->> 'stage', attempt)
    when 'heartbeat' then (
      select bindery_internal.refused_report(
        h.verdict, book_id, item ->> 'stage', null, attempt)
      from bindery_internal.do_heartbeats(jsonb_build_array(item)) h)
    else bindery_internal.bad_input('type', 'is not an event''s',
      'docs/events.md lists the types.')
  end;
end
$$;

-- The transition of an event: its target may be the book's present, a past or a future status.
create or replace function bindery_internal.apply_transition(
  book_id uuid, to_status text, message text, attempt integer
) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  machine jsonb;
  refusal jsonb;
  verdict text;
begin
  if apply_transition.to_status is null then
    return bindery_internal.bad_input('to_status', 'is missing', 'Name the state to go to.');
  end if;
  select b.* into book from bindery.book_status b
  where b.book_id = apply_transition.book_id for no key update;
  if not found then
    return bindery_internal.unknown_book(apply_transition.book_id);
  elsif apply_transition.attempt < book.attempt
    and book.status <> apply_transition.to_status
  then
    return '{"stale": true}';
  end if;
  machine := bindery_internal.book_machine(book);
  verdict := bindery_core.transition_verdict(machine, book.status, book.current_stage,
    apply_transition.to_status, bindery_internal.facts(book, machine, apply_transition.to_status));
  if verdict = 'none' then
    return null;
  elsif verdict = 'stale' then
    return '{"stale": true}';
  elsif apply_transition.attempt > book.attempt then
    return bindery_internal.refused_report('attempt_ahead', book.book_id, book.current_stage, null,
      apply_transition.attempt);
  end if;
  if verdict = 'accept' then
    return bindery_internal.do_transition(apply_transition.book_id, apply_transition.to_status,
      apply_transition.message, asking_first => false);
  end if;
  refusal := coalesce(
    bindery_internal.refused_text('to_status', apply_transition.to_status, 63),
    bindery_internal.refused_transition(book, apply_transition.to_status, false, machine));
  return case when verdict = 'early'
    then refusal || '{"early": true, "code": "transition_ahead"}' else refusal end;
end
$$;

-- A begin that names a pipeline registers an unknown book.
create or replace function bindery_internal.apply_begin(book_id uuid, item jsonb) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  registers constant boolean := item ->> 'pipeline' is not null and not exists (
    select from bindery.book_status b where b.book_id = apply_begin.book_id);
  refusal jsonb;
begin
  if registers then
    refusal := bindery_internal.do_register(apply_begin.book_id, (item ->> 'owner_id')::uuid,
      item ->> 'pipeline', item ->> 'title', nullif(item -> 'metadata', 'null'));
    if refusal is not null then
      return refusal;
    end if;
  end if;
  refusal := bindery_internal.do_begin(apply_begin.book_id, item ->> 'to_status',
    item ->> 'worker', (item ->> 'attempt')::integer,
    coalesce((item ->> 'resume')::boolean, true));
  -- Early events may have moved the book on already; the registration still counts as an effect.
  return case when not registers or not refusal ? 'stale' then refusal end;
end
$$;

-- A fail for an attempt or a stage that is over is stale.
create or replace function bindery_internal.apply_fail(book_id uuid, item jsonb) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  attempt constant integer := (item ->> 'attempt')::integer;
  verdict text;
begin
  perform from bindery.book_status b
  where b.book_id = apply_fail.book_id for no key update;
  verdict := bindery_internal.whole_book_verdict(
    apply_fail.book_id, item ->> 'stage', attempt);
  if verdict <> 'accept' then
    return bindery_internal.refused_report(
      verdict, apply_fail.book_id, item ->> 'stage', null, attempt);
  end if;
  return bindery_internal.do_transition(apply_fail.book_id, 'FAILED', item ->> 'message',
    error => coalesce(nullif(item -> 'error', 'null'), '{}'));
end
$$;

comment on function bindery_internal.apply_item(jsonb) is
  'Applies one event. Null: done; {"stale": true}: too late; else the error.';
comment on function bindery_internal.apply_transition(uuid, text, text, integer) is
  'Applies a transition event; an early one''s error has "early": true.';
comment on function bindery_internal.apply_begin(uuid, jsonb) is
  'Applies a begin event; registers an unknown book where the event names a pipeline.';
comment on function bindery_internal.apply_fail(uuid, jsonb) is
  'Applies a fail event.';
