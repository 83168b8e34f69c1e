-- do_transition: one change of status, asked of the kernel before the row is touched.
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
begin
  if do_transition.to_status is null then
    return bindery_internal.bad_input('to_status', 'is missing', 'Name the state to go to.');
  elsif jsonb_typeof(do_transition.error) <> 'object' then
    return bindery_internal.bad_input('error', 'is not a JSON object', 'Give an object such as {"code": "out_of_memory"}.');
  elsif do_transition.attempt < 1 then
    return bindery_internal.refused_attempt();
  end if;
  refusal := coalesce(
    bindery_internal.refused_text('to_status', do_transition.to_status, 63),
    bindery_internal.refused_text('message', do_transition.message, 8192),
    bindery_internal.refused_json('error', do_transition.error));
  if refusal is not null then
    return refusal;
  end if;

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

  -- Who raises the error anyway may leave it to guard_transition to raise the very same: asked once is quicker. It does not
  -- hear of a status that stays.
  if do_transition.asking_first or do_transition.to_status = book.status then
    refusal := bindery_internal.refused_transition(book, do_transition.to_status, do_transition.rewinding,
      bindery_internal.machine(book.pipeline, book.pipeline_version));
    if refusal is not null then
      return refusal;
    end if;
  end if;
  -- Else guard_transition takes the same words as last time for none.
  perform set_config('bindery.message_is_new', 'yes', true),
    set_config('bindery.rewinding', case when do_transition.rewinding then 'yes' else '' end, true);
  update bindery.book_status b
  set status = do_transition.to_status, message = do_transition.message, error = do_transition.error
  where b.book_id = do_transition.book_id;
  perform set_config('bindery.message_is_new', '', true), set_config('bindery.rewinding', '', true);
  return null;
end
$$;

comment on function bindery_internal.do_transition(uuid, text, text, bigint, integer, jsonb, boolean, boolean) is
  'One change of status, or (rewinding) an operator''s step back. Null: done; {"stale": true}: from an earlier attempt; else the error (with asking_first false, an illegal transition is raised instead).';
