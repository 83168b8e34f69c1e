-- do_plan: a book's own substeps of a stage and their weights.
-- Invariants: returns null when done, else the error; changes nothing then. Planning again changes weights, never progress.
-- Locks: the book's row, then its progress rows.
create or replace function bindery_internal.do_plan(
  book_id uuid, stage text, substeps jsonb, expected_revision bigint default null
) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  fault text;
  revision bigint;
  verdict text;
begin
  if bindery_internal.refused_text('stage', do_plan.stage, 63) is not null then
    return bindery_internal.refused_text('stage', do_plan.stage, 63);
  elsif jsonb_typeof(do_plan.substeps) is distinct from 'array' or jsonb_array_length(do_plan.substeps) > 10000 then
    return bindery_internal.bad_input('substeps', 'is not an array of at most 10,000 substeps', 'Give [{"name": "chapter_1", "weight": 2}, …].');
  end if;
  select p.problem
  into fault
  from jsonb_array_elements(do_plan.substeps) with ordinality as s(item, ord)
  cross join lateral (select case
      when jsonb_typeof(s.item) <> 'object' then 'is not an object'
      when coalesce(s.item ->> 'name', '') !~ '^[a-z][a-z0-9_]{0,62}$' or jsonb_typeof(s.item -> 'name') <> 'string'
        then 'has no name in lower snake case of up to 63 characters'
      when jsonb_typeof(s.item -> 'weight') <> 'number' or (s.item ->> 'weight')::numeric not between 0.000000001 and 1000000000
        then 'has a weight that is not a number from 1e-9 to 1e9' end) as p(problem)
  where p.problem is not null
  order by s.ord limit 1;
  if fault is not null then
    return bindery_internal.bad_input('substeps: one', fault, 'Give [{"name": "chapter_1", "weight": 2}, …].');
  elsif (select count(distinct s.item ->> 'name') <> count(*) from jsonb_array_elements(do_plan.substeps) as s(item)) then
    return bindery_internal.bad_input('substeps', 'names a substep twice', 'Name each once.');
  end if;

  -- A plan is for the stage a book is in or will come to, whatever its substeps.
  verdict := bindery_internal.judge(do_plan.book_id, coalesce(do_plan.stage, ''), null);
  if verdict = 'stale' then
    -- A FAILED book may go on: what is planned for where it stands, or for later, is for then.
    select bindery_core.report_verdict(bindery_internal.machine(b.pipeline, b.pipeline_version), b.current_stage, b.current_stage,
      b.attempt, do_plan.stage, null, null, true) into verdict
    from bindery.book_status b where b.book_id = do_plan.book_id and b.status = 'FAILED';
    verdict := coalesce(verdict, 'stale');
  end if;
  if verdict not in ('accept', 'advance', 'stage_not_reached') then
    return bindery_internal.refused_report(verdict, do_plan.book_id, do_plan.stage, null, null);
  end if;

  select b.revision into revision from bindery.book_status b where b.book_id = do_plan.book_id;
  if revision <> do_plan.expected_revision then
    return bindery_internal.stale_revision(do_plan.book_id, revision, do_plan.expected_revision);
  end if;

  -- A plan says anew how long the current stage is, so the percentage may fall (roll_up).
  perform set_config('bindery.planning', case when b.current_stage = do_plan.stage then 'yes' else '' end, true)
  from bindery.book_status b where b.book_id = do_plan.book_id;
  insert into bindery.book_progress as g (book_id, stage, substep, weight, attempt, updated_at)
  select b.book_id, do_plan.stage, s.item ->> 'name', (s.item ->> 'weight')::double precision,
    b.attempt, bindery_internal.now()
  from bindery.book_status b, jsonb_array_elements(do_plan.substeps) as s(item)
  where b.book_id = do_plan.book_id
  on conflict (book_id, stage, substep) do update set weight = coalesce(excluded.weight, g.weight), updated_at = excluded.updated_at;
  perform set_config('bindery.planning', '', true);
  return null;
end
$$;

comment on function bindery_internal.do_plan(uuid, text, jsonb, bigint) is 'Declares a book''s own substeps of a stage. Null: done; else the error.';
