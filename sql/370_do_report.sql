-- do_report: one progress report, checked; makes the transition first where the pipeline says auto_advance.
-- Invariants: returns null when done, {"stale": true}, or the error; changes nothing then.
-- Locks: as apply_reports.
create or replace function bindery_internal.do_report(report jsonb) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  book_id constant uuid := (report ->> 'book_id')::uuid;
  progress constant double precision := (report ->> 'progress')::double precision;
  done constant double precision := (report ->> 'done')::double precision;
  total constant double precision := (report ->> 'total')::double precision;
  percent double precision;
  judgement text;
  refusal jsonb;
begin
  if progress is null and (done is null or total is null) or progress is not null and (done is not null or total is not null) then
    return bindery_internal.bad_input('progress', 'or done and total is wanted, one of the two',
      'Give progress (0 to 100), or done and total.');
  elsif progress is not null and not progress between 0 and 100 then
    return bindery_internal.bad_input('progress', 'is not between 0 and 100', 'Give a percentage.');
  elsif done is not null and not (total > 0 and total <= 1e15 and done between 0 and total) then
    return bindery_internal.bad_input('done', 'and total do not fit', 'Give 0 <= done <= total and 0 < total <= 1e15.');
  elsif (report ->> 'attempt')::integer < 1 then
    return bindery_internal.refused_attempt();
  elsif report ->> 'substep' !~ '^[a-z][a-z0-9_]{0,62}$' then
    return bindery_internal.bad_input('substep', 'is not in lower snake case of up to 63 characters', 'Name it such as extract_text.');
  end if;
  refusal := coalesce(
    bindery_internal.refused_text('message', report ->> 'message', 8192),
    bindery_internal.refused_text('unit', report ->> 'unit', 63),
    bindery_internal.refused_text('stage', report ->> 'stage', 63),
    bindery_internal.refused_json('checkpoint', report -> 'checkpoint'));
  if refusal is not null then
    return refusal;
  end if;

  -- In floating numbers 100 * x / x is not always 100, nor is what is less always less.
  percent := coalesce(progress, case when done = total then 100 else least(100 * done / total, 99.99999999999999) end);
  for try in 1..2 loop
    select r.verdict into judgement
    from bindery_internal.apply_reports(jsonb_build_array(report || jsonb_build_object('progress', percent))) r;
    exit when judgement <> 'advance';
    refusal := bindery_internal.do_transition(book_id, report ->> 'stage');
    exit when refusal is not null;
  end loop;
  if judgement = 'accept' then
    return null;
  end if;
  return coalesce(refusal, bindery_internal.refused_report(
    judgement, book_id, report ->> 'stage', report ->> 'substep', (report ->> 'attempt')::integer));
end
$$;

comment on function bindery_internal.do_report(jsonb) is
  'One progress report, {book_id, substep?, progress | done + total, …}. Null: done; {"stale": true}: too late; else the error.';
