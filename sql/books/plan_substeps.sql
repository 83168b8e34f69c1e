-- plan_substeps: a book's own substeps of a stage and their weights.
-- Invariants: do_plan returns null when done, else the error, and then changes nothing. Planning
-- again changes weights, never progress. Locks: the book's row, then its progress rows.
create or replace function bindery_internal.do_plan(
  book_id uuid, stage text, substeps jsonb, expected_revision bigint default null
) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  example constant text := 'Give [{"substep": "chapter_1", "weight": 2}, …].';
  book bindery.book_status;
  state jsonb;
  fault text;
  verdict text;
  added integer;
  moment constant timestamptz := bindery_internal.now();
  outer_writer text;
  sums record;
begin
  if bindery_internal.refused_text('stage', do_plan.stage, 63) is not null then
    return bindery_internal.refused_text('stage', do_plan.stage, 63);
  elsif jsonb_typeof(do_plan.substeps) is distinct from 'array'
    or jsonb_array_length(do_plan.substeps) > 10000
  then
    return bindery_internal.bad_input('substeps', 'is not an array of at most 10,000 substeps',
      example);
  end if;
  select p.problem into fault
  from jsonb_array_elements(do_plan.substeps) with ordinality as s(item, ord)
  cross join lateral (select case
      when jsonb_typeof(s.item) <> 'object' then 'is not an object'
      when coalesce(s.item ->> 'substep', '') !~ '^[a-z][a-z0-9_]{0,62}$'
        or jsonb_typeof(s.item -> 'substep') <> 'string'
        then 'has no substep in lower snake case of up to 63 characters'
      when jsonb_typeof(s.item -> 'weight') not in ('number', 'null')
        or (s.item ->> 'weight')::numeric not between 0.000000001 and 1000000000
        then 'has a weight that is not a number from 1e-9 to 1e9' end) as p(problem)
  where p.problem is not null
  order by s.ord limit 1;
  if fault is not null then
    return bindery_internal.bad_input('substeps: one', fault, example);
  elsif (
    select count(distinct s.item ->> 'substep') <> count(*)
    from jsonb_array_elements(do_plan.substeps) as s(item))
  then
    return bindery_internal.bad_input('substeps', 'names a substep twice', 'Name each once.');
  end if;

  select b.* into book from bindery.book_status b
  where b.book_id = do_plan.book_id for no key update;
  if not found then
    return bindery_internal.unknown_book(do_plan.book_id);
  end if;
  -- A plan is for the book's present or a later stage, whatever its substeps; a FAILED book may
  -- resume.
  verdict := case when book.status = 'FAILED' then bindery_core.report_verdict(
      bindery_internal.book_machine(book), book.current_stage,
      book.current_stage, book.attempt, coalesce(do_plan.stage, ''), null, null, true)
    else bindery_internal.whole_book_verdict(book.book_id, coalesce(do_plan.stage, ''), null) end;
  if verdict not in ('accept', 'advance', 'stage_not_reached') then
    return bindery_internal.refused_report(verdict, do_plan.book_id, do_plan.stage, null, null);
  elsif book.revision <> do_plan.expected_revision then
    return bindery_internal.stale_revision(
      do_plan.book_id, book.revision, do_plan.expected_revision);
  end if;
  state := bindery_internal.state_of(
    bindery_internal.book_machine(book), do_plan.stage);
  select count(*)::integer into added
  from jsonb_array_elements(do_plan.substeps || case when book.current_stage = do_plan.stage
    then '[]' else state -> 'substeps' end) as s(item)
  where not exists (
    select from bindery.book_progress g where g.book_id = book.book_id
      and g.stage = do_plan.stage and g.substep = s.item ->> 'substep');
  if added + (
    select count(*) from bindery.book_progress g
    where g.book_id = book.book_id and g.stage = do_plan.stage) > 10000
  then
    return bindery_internal.refused_report(
      'too_many_substeps', book.book_id, do_plan.stage, null, null);
  end if;

  outer_writer := bindery_internal.begin_writing();
  insert into bindery.book_progress
    (book_id, stage, substep, weight, attempt, revision, updated_at)
  select book.book_id, do_plan.stage, s.item ->> 'substep',
    coalesce((s.item ->> 'weight')::double precision, g.weight, d.weight, 1),
    book.attempt, book.revision + 1, moment
  from jsonb_array_elements(do_plan.substeps) as s(item)
  left join bindery.book_progress g
    on g.book_id = book.book_id and g.stage = do_plan.stage and g.substep = s.item ->> 'substep'
  left join (
    select e.value ->> 'substep' as substep, (e.value ->> 'weight')::double precision as weight
    from jsonb_array_elements(state -> 'substeps') as e(value)) d
    on d.substep = s.item ->> 'substep'
  on conflict on constraint book_progress_pkey do update
  set weight = excluded.weight, revision = excluded.revision, updated_at = excluded.updated_at,
      points = bindery_internal.points(excluded.weight, book_progress.progress);
  if book.status = book.current_stage and book.current_stage = do_plan.stage then
    sums := bindery_internal.stage_sums(book.book_id, state, null, true);
    update bindery.book_status b
    set substeps_total = sums.substeps, substeps_done = sums.done, substeps_weight = sums.weight,
        substeps_points = sums.points, heartbeat_at = moment
    where b.book_id = book.book_id;
    perform bindery_internal.show_progress(book.book_id, moment);
    perform bindery_internal.announce_book(book.book_id, null);
  end if;
  perform bindery_internal.end_writing(outer_writer);
  return null;
end
$$;

create or replace function bindery.plan_substeps(
  book_id uuid, stage text, substeps jsonb, expected_revision bigint default null
) returns setof bindery.book_status rows 1
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_worker('plan', plan_substeps.book_id, plan_substeps.stage),
    bindery_internal.do_plan(plan_substeps.book_id, plan_substeps.stage, plan_substeps.substeps,
      plan_substeps.expected_revision)));
  if bindery_internal.is_worker() then
    return query select w.* from bindery_internal.worker_book(plan_substeps.book_id) w;
    return;
  end if;
  return query select b.* from bindery.book_status b where b.book_id = plan_substeps.book_id;
end
$$;

comment on function bindery_internal.do_plan(uuid, text, jsonb, bigint) is
  'Declares a book''s own substeps of a stage. Null: done; else the error.';
comment on function bindery.plan_substeps(uuid, text, jsonb, bigint) is
  'Declares a book''s own substeps of a stage, [{"substep", "weight"}]; gives its row.
A stage has at most 10,000 substeps. Planning again changes weights, never progress. PT404 '
  'unknown_book or unknown_stage, PT409 stale_revision, PT422 bad_input or too_many_substeps.';
