begin;
\ir helpers.psql
select plan(48);
create function tap.plan_it(n integer, stage text, substeps text) returns text language sql volatile as $$
  select tap.outcome(format('select bindery.plan_substeps(%L, %L, %L)', tap.id(n), stage, substeps));
$$;

select tap.book(1, '{ANALYZING,GENERATING_SCENES}');
create temp table planned as select * from bindery.plan_substeps(tap.id(1), 'CREATING_ARTWORK', '[{"name": "chapter_1", "weight": 3}, {"name": "chapter_2"}]');
select is((select to_jsonb(p) from planned p), to_jsonb(tap.row(1)), 'planning gives the book''s row');
select is((tap.row(1)).revision, 3::bigint, 'a plan for a later stage does not show yet');
select bindery.transition_book(tap.id(1), 'CREATING_ARTWORK');
select is((tap.row(1)).substeps, '[{"name": "chapter_1", "label": "Chapter 1", "state": "pending", "weight": 3, "progress": 0}, {"name": "chapter_2", "label": "Chapter 2", "state": "pending", "weight": 1, "progress": 0}]',
  'once there, the book shows its own substeps');
select bindery.report_progress(tap.id(1), 'chapter_1', 40);
select is((tap.row(1)).stage_progress, 30::float8, 'their weights count: 3 * 40 / 4');
select is((tap.row(1)).revision, 5::bigint, 'before planning again');
select is(tap.plan_it(1, 'CREATING_ARTWORK', '[{"name": "chapter_1", "weight": 1}, {"name": "chapter_3", "weight": 2}]'), 'ok', 'a plan may be made again');
select is((tap.row(1)).stage_progress, 10::float8, 'with other weights and more substeps: 40 / (1 + 1 + 2)');
select is((select progress from bindery.book_progress where (book_id, substep) = (tap.id(1), 'chapter_1')), 40::float8, 'planning again never changes progress');
select is((tap.row(1)).revision, 6::bigint, 'it shows, so it is a revision');
select is(tap.plan_it(1, 'CREATING_ARTWORK', '[{"name": "chapter_1", "weight": 1}]'), 'ok', 'the same weights again');
select is((tap.row(1)).revision, 6::bigint, 'are no revision');
select is(tap.plan_it(1, 'CREATING_ARTWORK', '[{"name": "chapter_3"}]'), 'ok', 'a weight left out');
select is((select weight from bindery.book_progress where (book_id, substep) = (tap.id(1), 'chapter_3')), 2::float8, 'leaves the one planned before');

-- A stage with declared substeps takes planned ones beside them.
select tap.book(2, '{ANALYZING}');
select is(tap.outcome(format('select bindery.report_progress(%L, %L, 10)', tap.id(2), 'index_names')), 'PT422 unknown_substep', 'an undeclared substep is refused');
select is(tap.plan_it(2, 'ANALYZING', '[{"name": "index_names", "weight": 4}, {"name": "extract_text", "weight": 2}]'), 'ok', 'unless the book planned it');
select is(tap.outcome(format('select bindery.report_progress(%L, %L, 10)', tap.id(2), 'index_names')), 'ok', 'then it is taken');
select is((tap.row(2)).stage_progress, 4.44::float8, '4 * 10 / (2 + 1 + 2 + 4)');
select is((select array_agg(s ->> 'name') from jsonb_array_elements((tap.row(2)).substeps) s), '{extract_text,detect_chapters,analyze_characters,index_names}', 'declared ones stand first');
select is((tap.row(2)).substeps #>> '{0,weight}', '2', 'a planned weight goes before the declared one');

-- Resumed, a plan stands.
select bindery.fail_book(tap.id(2));
select bindery.resume_book(tap.id(2));
select is((select weight from bindery.book_progress where (book_id, substep) = (tap.id(2), 'index_names')), 4::float8, 'a resume keeps the plan');
select is((select progress from bindery.book_progress where (book_id, substep) = (tap.id(2), 'index_names')), 0::float8, 'and starts what was not finished over');

-- Stale and refused.
create temp table before as select tap.snapshot(2) as s;
select is(tap.plan_it(2, 'UPLOADED', '[{"name": "a"}]'), 'ok', 'a plan for a stage that was left is stale');
select is(tap.plan_it(2, 'NOPE', '[{"name": "a"}]'), 'PT404 unknown_stage', 'a plan for an unknown stage is refused');
select is(tap.plan_it(2, 'COMPLETED', '[{"name": "a"}]'), 'PT404 unknown_stage', 'the final state has no substeps');
select is(tap.plan_it(2, null, '[{"name": "a"}]'), 'PT404 unknown_stage', 'a plan names its stage');
select is(tap.plan_it(99, 'ANALYZING', '[{"name": "a"}]'), 'PT404 unknown_book', 'a plan for an unknown book is refused');
select is(tap.plan_it(2, 'ANALYZING', substeps), 'PT422 bad_input', format('the plan %s is refused', coalesce(left(substeps, 60), 'null')))
from (values (null), ('{}'), ('"a"'), ('[1]'), ('[null]'), ('[["a"]]'), ('[{"weight": 1}]'), ('[{"name": 5}]'), ('[{"name": "Upper"}]'),
  ('[{"name": "a", "weight": 0}]'), ('[{"name": "a", "weight": -1}]'), ('[{"name": "a", "weight": "2"}]'), ('[{"name": "a", "weight": 1e300}]'),
  ('[{"name": "a"}, {"name": "a"}]'), ((select jsonb_agg(jsonb_build_object('name', 's' || n))::text from generate_series(1, 10001) n))) v(substeps);
select is(tap.plan_it(2, 'ANALYZING', '[]'), 'ok', 'an empty plan is one');
select is(tap.snapshot(2), (select s from before), 'none of these changed anything');
select is(tap.plan_it(2, 'ANALYZING', (select jsonb_agg(jsonb_build_object('name', 's' || n))::text from generate_series(1, 10000) n)), 'ok', '10,000 substeps are taken');

-- A FAILED book may go on: what is planned for it meanwhile is kept.
select tap.book(60, '{ANALYZING,FAILED}');
select is(tap.outcome(format('select bindery.plan_substeps(%L, %L, %L)', tap.id(60), stage, '[{"name": "chapter_1", "weight": 3}]')), 'ok', 'a FAILED book takes a plan for ' || stage)
from unnest(array['ANALYZING', 'CREATING_ARTWORK', 'UPLOADED']) stage;
select is((select array_agg(g.stage order by 1) from bindery.book_progress g where g.book_id = tap.id(60)), '{ANALYZING,CREATING_ARTWORK}', 'and keeps it, but for a stage it has left');

select * from finish();
rollback;
