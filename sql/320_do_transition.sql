-- do_transition: one change of status. bindery.changing says to the triggers whose, for as long as the UPDATE lives.
-- Invariants: returns null when done, {"stale": true} for a word from an earlier attempt, else the error; changes nothing then.
-- Locks: the book's row.
create or replace function bindery_internal.do_transition(
  book_id uuid, to_status text, message text default null, expected_revision bigint default null,
  attempt integer default null, error jsonb default null, rewinding boolean default false,
  asking_first boolean default true
) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
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
$$;

comment on function bindery_internal.do_transition(uuid, text, text, bigint, integer, jsonb, boolean, boolean) is
  'One change of status, or (rewinding) an operator''s step back. Null: done; {"stale": true}: from an earlier attempt; else the error (with asking_first false, an illegal transition is raised instead).';
