-- Triggers of others on book_progress that call functions of this schema while a plain statement is
-- being followed: the sums end where the sums over all rows end.
begin;
\ir ../helpers.psql
select plan(6);
create function tap.wrong_sums() returns bigint language sql volatile as $$
  select count(*) from bindery.book_status b
  cross join lateral (
    select count(*) as total, count(*) filter (where g.progress >= 100) as done,
      coalesce(sum(round(g.weight * 1e9)::bigint), 0) as weight,
      coalesce(sum(bindery_internal.points(g.weight, g.progress)), 0) as points
    from bindery.book_progress g
    where g.book_id = b.book_id and g.stage = b.current_stage) s
  where b.status = b.current_stage
    and (b.substeps_total, b.substeps_done, b.substeps_weight, b.substeps_points)
      is distinct from (s.total, s.done, s.weight, s.points);
$$;

create function tap.plans() returns trigger language plpgsql as $$
begin
  if new.substep = 'extract_text' and new.progress = 100 then
    perform bindery.plan_substeps(new.book_id, new.stage,
      '[{"substep": "chapter_1"}, {"substep": "chapter_2"}]');
  end if;
  return null;
end
$$;
create trigger a_plans after update on bindery.book_progress
for each row execute function tap.plans();
select tap.book(1, '{ANALYZING}');
update bindery.book_progress set progress = 100 where book_id = tap.id(1);
select is(tap.wrong_sums(), 0::bigint, 'A trigger that plans substeps leaves the sums exact.');
select is((tap.row(1)).substeps_total, 5, 'The planned substeps are counted.');
drop trigger a_plans on bindery.book_progress;

select bindery.define_pipeline('one', '{"states": [
  {"name": "WORKING", "weight": 1, "substeps": [{"substep": "draw"}]}, {"name": "DONE"}]}');
create function tap.completes() returns trigger language plpgsql as $$
begin
  perform bindery.transition_book(new.book_id, 'DONE');
  return null;
end
$$;
create trigger a_completes after update on bindery.book_progress
for each row execute function tap.completes();
select tap.book(2, pipeline => 'one');
update bindery.book_progress set progress = 100 where book_id = tap.id(2);
select is((tap.row(2)).status, 'DONE', 'A trigger completes the book.');
select is(tap.percents(2), '100 100', 'A book that a trigger completed stays at 100.');
drop trigger a_completes on bindery.book_progress;

-- Both in one statement.
select tap.book(3, '{ANALYZING}');
select bindery.plan_substeps(tap.id(3), 'GENERATING_SCENES', '[{"substep": "scene_1"}]');
with reported as (
  update bindery.book_progress set progress = 100
  where book_id = tap.id(3) and stage = 'GENERATING_SCENES')
update bindery.book_status set status = 'GENERATING_SCENES' where book_id = tap.id(3);
select is((tap.row(3)).status, 'GENERATING_SCENES', 'One statement reports and moves on.');
select is(tap.wrong_sums(), 0::bigint, 'One statement that does both leaves the sums exact.');
select * from finish();
rollback;
