-- The rights of a token of the role bindery_worker: it may report, on the books and the stage that
-- its claims pipeline, stage and book_id name, and nothing else.
-- Invariants: a claim that is not a text admits nothing; if a report names no stage, the claim
-- stage is its stage; every function that a worker may call checks refused_worker first.
create or replace function bindery_internal.is_worker() returns boolean
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Definer functions do not change the setting role.
  return coalesce(nullif(current_setting('role', true), 'none'), session_user) = 'bindery_worker';
end
$$;

create or replace function bindery_internal.worker_claims() returns jsonb
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return case when bindery_internal.is_worker()
    then coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb, '{}') end;
end
$$;

create or replace function bindery_internal.claimed_stage() returns text
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return bindery_internal.worker_claims() ->> 'stage';
end
$$;

create or replace function bindery_internal.refused_worker(act text, book_id uuid, stage text)
returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  claims constant jsonb := bindery_internal.worker_claims();
  claim text;
  claimed text;
  given text;
  pipeline text;
begin
  if claims is null then
    return null;
  elsif coalesce(refused_worker.act, '')
    not in ('begin', 'progress', 'heartbeat', 'fail', 'plan', 'resume_point')
  then
    return bindery_internal.error('42501', 'not_allowed',
      format('A worker may not %s.', refused_worker.act),
      'A worker''s token may begin, report progress, send heartbeats, fail and plan.',
      jsonb_build_object('act', refused_worker.act, 'claim', null));
  end if;
  if claims ? 'pipeline' then
    select b.pipeline into pipeline from bindery.book_status b
    where b.book_id = refused_worker.book_id;
  end if;
  foreach claim in array array['book_id', 'pipeline', 'stage'] loop
    -- An unknown book gives unknown_book, whatever pipeline the claims name.
    continue when not claims ? claim or claim = 'pipeline' and pipeline is null;
    given := case claim when 'book_id' then refused_worker.book_id::text
      when 'pipeline' then pipeline else refused_worker.stage end;
    claimed := case when jsonb_typeof(claims -> claim) = 'string'
      then nullif(claims ->> claim, '') end;
    if (claim = 'book_id' and lower(claimed) = given or claimed = given) is not true then
      return bindery_internal.error('42501', 'not_allowed',
        format('The token is for the %s %s, not for %s.', replace(claim, '_id', ''),
          claims ->> claim, coalesce(given, '(null)')),
        format('Use a token whose claim %s admits it, or none.', claim),
        jsonb_build_object('act', refused_worker.act, 'claim', claim));
    end if;
  end loop;
  return null;
end
$$;

-- Returns a book's row to a worker whose claims admit it, because a worker may read no table.
create or replace function bindery_internal.worker_book(book_id uuid)
returns setof bindery.book_status rows 1
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.refused_worker('progress',
    worker_book.book_id, bindery_internal.claimed_stage()));
  return query select b.* from bindery.book_status b where b.book_id = worker_book.book_id;
end
$$;

create or replace function bindery_internal.worker_resume_point(book_id uuid, after text)
returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
begin
  select b.* into book from bindery.book_status b
  where b.book_id = worker_resume_point.book_id;
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_worker('resume_point', worker_resume_point.book_id,
      case when book.book_id is null then bindery_internal.claimed_stage()
        else book.current_stage end),
    case when book.book_id is null
      then bindery_internal.unknown_book(worker_resume_point.book_id) end,
    bindery_internal.refused_text('after', worker_resume_point.after, 63)));
  return bindery_internal.resume_point(book, worker_resume_point.after, 1048576, true);
end
$$;

comment on function bindery_internal.is_worker() is
  'Whether the caller has the role bindery_worker.';
comment on function bindery_internal.worker_claims() is
  'The claims of a worker''s token; null for any other caller.';
comment on function bindery_internal.claimed_stage() is
  'The stage that a worker''s token names; null where it names none, and for any other caller.';
comment on function bindery_internal.refused_worker(text, uuid, text) is
  'The error 42501 not_allowed where a worker''s token does not admit this act (begin, progress, '
  'heartbeat, fail, plan, resume_point, or one that no worker may do) on this book and stage; null '
  'where it does, and for any other caller.';
comment on function bindery_internal.worker_book(uuid) is
  'The row of a book that a worker''s token admits.';
comment on function bindery_internal.worker_resume_point(uuid, text) is
  'As bindery.get_resume_point, for a worker: of a book in the stage that its token admits.';
