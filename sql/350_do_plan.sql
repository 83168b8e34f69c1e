-- do_plan: a book's own substeps of a stage and their weights.
-- Invariants: returns null when done, else the error; changes nothing then. Planning again changes weights, never progress.
-- Locks: the book's row, then its progress rows.
create function bindery_internal.do_plan(book_id uuid, stage text, substeps jsonb) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  book bindery.book_status;
  fault text;
begin
  if jsonb_typeof(do_plan.substeps) is distinct from 'array' or jsonb_array_length(do_plan.substeps) not between 1 and 1000 then
    return bindery_internal.bad_input('substeps', 'is not an array of 1 to 1,000 substeps', 'Give [{"name": "chapter_1", "weight": 2}, …].');
  end if;
  select case
      when jsonb_typeof(s.item) <> 'object' then 'is not an object'
      when coalesce(s.item ->> 'name', '') !~ '^[a-z][a-z0-9_]{0,62}$' or jsonb_typeof(s.item -> 'name') <> 'string'
        then 'has no name in lower snake case of up to 63 characters'
      when jsonb_typeof(s.item -> 'weight') <> 'number' or (s.item ->> 'weight')::numeric not between 0.000001 and 1000000
        then 'has a weight that is not a number from 0.000001 to 1,000,000' end as problem
    into fault
    from jsonb_array_elements(do_plan.substeps) with ordinality as s(item, ord)
    order by problem is null, s.ord limit 1;
  if fault is not null then
    return bindery_internal.bad_input('substeps: one', fault, 'Give [{"name": "chapter_1", "weight": 2}, …].');
  elsif (select count(distinct s.item ->> 'name') <> count(*) from jsonb_array_elements(do_plan.substeps) as s(item)) then
    return bindery_internal.bad_input('substeps', 'names a substep twice', 'Name each once.');
  end if;

  select b.* into book from bindery.book_status b where b.book_id = do_plan.book_id for no key update;
  if not found then
    return bindery_internal.unknown_book(do_plan.book_id);
  elsif book.status <> book.current_stage then
    return '{"stale": true}';
  end if;
  case bindery_internal.plan_verdict(book, do_plan.stage)
    when 'stale' then return '{"stale": true}';
    when 'unknown_stage' then
      return bindery_internal.refused_report('unknown_stage', book.book_id, do_plan.stage, null, null);
    else null;
  end case;

  insert into bindery.book_progress as g (book_id, stage, substep, weight, attempt, updated_at)
  select book.book_id, do_plan.stage, s.item ->> 'name', (s.item ->> 'weight')::double precision,
    book.attempt, bindery_internal.now()
  from jsonb_array_elements(do_plan.substeps) as s(item)
  on conflict (book_id, stage, substep) do update set weight = excluded.weight, updated_at = excluded.updated_at;
  return null;
end
$$;

-- A plan is for the stage a book is in or will come to: the verdict on a report there, whatever its substep.
create function bindery_internal.plan_verdict(book bindery.book_status, stage text) returns text
language sql stable security definer
set search_path = ''
as $$
  select bindery_core.report_verdict(
    bindery_internal.machine(book.pipeline, book.pipeline_version),
    book.status, book.current_stage, book.attempt, coalesce(stage, ''), 'all', null, true);
$$;
