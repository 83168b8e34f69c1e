-- transition_book: one change of status.
-- Invariants: do_transition returns null when done (also if the book already has that status),
-- {"stale": true} for an earlier attempt, else the error, and then changes nothing. The setting
-- bindery.changing names the book to the triggers while the UPDATE lasts.
-- Locks: the book's row.
create or replace function bindery_internal.do_transition(
  book_id uuid, to_status text, message text default null, expected_revision bigint default null,
  attempt integer default null, error jsonb default null, rewinding boolean default false,
  asking_first boolean default true
) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  refusal jsonb;
  revision bigint;
  -- An assignment of a function's result costs less than a query that discards it.
  nothing text;
  outer_change constant text := coalesce(current_setting('bindery.changing', true), '');
  outer_writer constant text := coalesce(current_setting('bindery.writer', true), '');
begin
  if do_transition.to_status is null then
    return bindery_internal.bad_input('to_status', 'is missing', 'Name the state to go to.');
  elsif jsonb_typeof(do_transition.error) <> 'object' then
    return bindery_internal.bad_input('error', 'is not a JSON object',
      'Give an object such as {"code": "out_of_memory"}.');
  elsif do_transition.attempt < 1 then
    return bindery_internal.refused_attempt();
  elsif do_transition.to_status !~ '^[A-Z_]{1,63}$' then
    refusal := bindery_internal.refused_text('to_status', do_transition.to_status, 63);
    if refusal is not null then
      return refusal;
    end if;
  end if;

  if do_transition.asking_first then
    -- Otherwise guard_transition raises these errors.
    refusal := coalesce(
      bindery_internal.refused_text('message', do_transition.message, 8192),
      bindery_internal.refused_json('error', do_transition.error));
    if refusal is not null then
      return refusal;
    end if;
    select b.* into book from bindery.book_status b
    where b.book_id = do_transition.book_id for no key update;
    if not found then
      return bindery_internal.unknown_book(do_transition.book_id);
    elsif book.revision <> do_transition.expected_revision then
      return bindery_internal.stale_revision(
        book.book_id, book.revision, do_transition.expected_revision);
    elsif do_transition.attempt < book.attempt then
      return '{"stale": true}';
    elsif do_transition.attempt > book.attempt then
      return bindery_internal.refused_report('attempt_ahead', book.book_id, book.current_stage,
        null, do_transition.attempt);
    elsif book.status = do_transition.to_status and not do_transition.rewinding then
      return null;
    end if;
    refusal := bindery_internal.refused_transition(book, do_transition.to_status,
      do_transition.rewinding, bindery_internal.book_machine(book));
    if refusal is not null then
      return refusal;
    end if;
  end if;

  nothing := set_config('bindery.changing', do_transition.book_id
    || case when do_transition.rewinding then ' rewinding' else '' end, true);
  nothing := set_config('bindery.writer', pg_trigger_depth()::text, true);
  update bindery.book_status b
  set status = do_transition.to_status, message = do_transition.message,
      error = do_transition.error
  where b.book_id = do_transition.book_id and b.status <> do_transition.to_status
    and b.revision = coalesce(do_transition.expected_revision, b.revision)
    and b.attempt = coalesce(do_transition.attempt, b.attempt)
  returning b.revision into revision;
  nothing := set_config('bindery.writer', outer_writer, true);
  nothing := set_config('bindery.changing', outer_change, true);
  if revision is null then
    if do_transition.asking_first then
      return null;
    end if;
    -- The UPDATE matched no row and nothing was checked before: call again with all checks, which
    -- return the error.
    return bindery_internal.do_transition(do_transition.book_id, do_transition.to_status,
      do_transition.message, do_transition.expected_revision, do_transition.attempt,
      do_transition.error, do_transition.rewinding);
  end if;
  nothing := bindery_internal.settle_and_announce(do_transition.book_id, revision);
  return null;
end
$$;

-- Called at the end of a function that changed a book's status: settles its early events and
-- announces it. revision: the revision that the change made.
create or replace function bindery_internal.settle_and_announce(book_id uuid, revision bigint)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  nothing text;
begin
  if exists (select from bindery.early_events e where e.book_id = settle_and_announce.book_id) then
    nothing := bindery_internal.settle_early(book_id);
    nothing := bindery_internal.announce_book(book_id, null);
  elsif coalesce(current_setting('bindery.batching', true), '') = 'yes' then
    nothing := bindery_internal.collect_change(book_id);
  else
    nothing := bindery_internal.announce_books(array[book_id], array[revision], array[null::jsonb]);
  end if;
end
$$;

create or replace function bindery.transition_book(
  book_id uuid, to_status text, message text default null, expected_revision bigint default null,
  attempt integer default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  refusal constant jsonb := bindery_internal.do_transition(
    transition_book.book_id, transition_book.to_status, transition_book.message,
    transition_book.expected_revision, transition_book.attempt, asking_first => false);
begin
  if refusal is not null then
    perform bindery_internal.raise_error(refusal);
  end if;
  return query select b.* from bindery.book_status b where b.book_id = transition_book.book_id;
end
$$;

comment on function bindery_internal.do_transition(
  uuid, text, text, bigint, integer, jsonb, boolean, boolean) is
  'One change of status, or (rewinding) an operator''s step back. Null: done; {"stale": true}: '
  'from '
  'an earlier attempt; else the error (with asking_first false, an illegal transition is raised).';
comment on function bindery_internal.settle_and_announce(uuid, bigint) is
  'Applies the early events of a book whose status has just changed, and announces it. revision: '
  'the one that the change made.';
comment on function bindery.transition_book(uuid, text, text, bigint, integer) is
  'Changes a book''s status where its pipeline allows it, and gives its row.
To the status that the book has already it has no effect. To the stage that a FAILED book failed '
  'in '
  'it is a resume. A worker gives its attempt: from an earlier one than the book''s the call has '
  'no '
  'effect. PT404 unknown_book, PT409 illegal_transition (the detail lists what is allowed), '
  'stale_revision or attempt_ahead, PT422 bad_input.';
