-- fail_book: halts a book as FAILED.
-- Invariants: do_fail returns null when done, {"stale": true}, or the error, and changes nothing
-- then; the book keeps its values.
-- Locks: as bindery_internal.do_transition.
create or replace function bindery_internal.do_fail(
  book_id uuid, error jsonb, message text, expected_revision bigint, attempt integer, stage text
) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  refusal jsonb;
  verdict text;
begin
  if do_fail.stage is not null then
    refusal := coalesce(bindery_internal.refused_text('stage', do_fail.stage, 63),
      case when do_fail.attempt < 1 then bindery_internal.refused_attempt() end);
    if refusal is not null then
      return refusal;
    end if;
    perform from bindery.book_status b where b.book_id = do_fail.book_id for no key update;
    verdict := bindery_internal.whole_book_verdict(
      do_fail.book_id, do_fail.stage, do_fail.attempt);
    if verdict <> 'accept' then
      return bindery_internal.refused_report(
        verdict, do_fail.book_id, do_fail.stage, null, do_fail.attempt);
    end if;
  end if;
  return bindery_internal.do_transition(do_fail.book_id, 'FAILED', do_fail.message,
    do_fail.expected_revision, do_fail.attempt, coalesce(do_fail.error, '{}'),
    asking_first => false);
end
$$;

create or replace function bindery.fail_book(
  book_id uuid, error jsonb default null, message text default null,
  expected_revision bigint default null, attempt integer default null,
  stage text default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  stage constant text := coalesce(fail_book.stage, bindery_internal.claimed_stage());
begin
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_worker('fail', fail_book.book_id, stage),
    bindery_internal.do_fail(fail_book.book_id, fail_book.error, fail_book.message,
      fail_book.expected_revision, fail_book.attempt, stage)));
  if bindery_internal.is_worker() then
    return query select w.* from bindery_internal.worker_book(fail_book.book_id) w;
    return;
  end if;
  return query select b.* from bindery.book_status b where b.book_id = fail_book.book_id;
end
$$;

comment on function bindery_internal.do_fail(uuid, jsonb, text, bigint, integer, text) is
  'Halts a book as FAILED. Null: done; {"stale": true}: it has left this stage or attempt; else '
  'the error.';
comment on function bindery.fail_book(uuid, jsonb, text, bigint, integer, text) is
  'Halts a book as FAILED with an error object and a message; gives its row.
The error has a code of yours ({"code": "out_of_memory", …}). With "retry": false the book waits '
  'for an operator, else sweep resumes it where its stage has retry_after and attempts are left. '
  'A '
  'worker gives its attempt and stage: from an earlier attempt, or a stage that the book has left, '
  'the call has no effect, and so has a call for a book that is FAILED already. PT404 unknown_book '
  'or unknown_stage, PT409 illegal_transition, stale_revision, attempt_ahead or '
  'stage_not_reached, PT422 bad_input.';
