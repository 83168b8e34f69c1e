-- plan_substeps: a book's own substeps and their weights.
begin;
\ir ../helpers.psql
select plan(29);
select tap.clock('2030-01-01 12:00+00');
create function tap.plan_it(n integer, stage text, substeps text) returns text
language sql volatile as $$
  select tap.call('plan_substeps', n, format('%L, %L', stage, substeps));
$$;

-- For a later stage.
select tap.book(1, '{ANALYZING,GENERATING_SCENES}');
create temp table planned as
  select * from bindery.plan_substeps(tap.id(1), 'CREATING_ARTWORK',
    '[{"substep": "chapter_1", "weight": 3}, {"substep": "chapter_2"}]');
select is(
  (select to_jsonb(p) from planned p), to_jsonb(tap.row(1)),
  'plan_substeps returns the row of the book.');
select is((tap.row(1)).revision, 3::bigint, 'A plan for a later stage adds no revision.');
select is(
  (tap.row(1)).substeps_total, 2, 'A plan for a later stage leaves the current stage as it is.');
select bindery.transition_book(tap.id(1), 'CREATING_ARTWORK');
select is(
  tap.substeps(1),
  '[{"substep": "chapter_1", "label": "Chapter 1", "state": "pending", "weight": 3, "progress": 0},
    {"substep": "chapter_2", "label": "Chapter 2", "state": "pending", "weight": 1,
      "progress": 0}]',
  'A book that enters a stage has the substeps that were planned for it.');
select is((tap.row(1)).substeps_total, 2, 'Planned substeps are counted.');
select bindery.report_progress(tap.id(1), 'chapter_1', 40);
select is(
  (tap.row(1)).stage_progress, 30::double precision,
  'Planned weights count: (3 * 40 + 1 * 0) / 4 is 30.');

-- For the current stage.
select tap.clock('2030-01-01 12:01+00');
select is(
  tap.plan_it(1, 'CREATING_ARTWORK', '[{"substep": "chapter_1", "weight": 1},
    {"substep": "chapter_3", "weight": 2}]'),
  'ok', 'A stage may be planned again.');
select is(
  (tap.row(1)).stage_progress, 10::double precision,
  'A second plan changes weights and adds substeps: 40 / (1 + 1 + 2) is 10.');
select is(
  (tap.substep(1, 'chapter_1')).progress, 40::double precision,
  'A second plan leaves the progress of a substep.');
select is(
  (select row(revision, updated_at) from tap.row(1)),
  row(6::bigint, '2030-01-01 12:01+00'::timestamptz),
  'A plan for the current stage is a revision.');
select is(
  (tap.row(1)).heartbeat_at, '2030-01-01 12:01+00', 'A plan for the current stage is a heartbeat.');
select is(
  (select string_agg(s ->> 'substep', ', ' order by s ->> 'substep')
    from jsonb_array_elements(bindery.get_book_changes(tap.id(1), 5) -> 'substeps') s),
  'chapter_1, chapter_3', 'get_book_changes has the substeps that a plan names.');
select is(
  tap.plan_it(1, 'CREATING_ARTWORK', '[{"substep": "chapter_3"}]'), 'ok',
  'A plan may leave out a weight.');
select is(
  (tap.substep(1, 'chapter_3')).weight, 2::double precision,
  'A plan without a weight leaves the weight planned before.');

-- Beside declared substeps.
select tap.book(2, '{ANALYZING}');
select is(
  tap.call('report_progress', 2, '''index_names'', 10'), 'PT422 unknown_substep',
  'A report of a substep that is neither declared nor planned is refused.');
select is(
  tap.plan_it(2, 'ANALYZING', '[{"substep": "index_names", "weight": 4},
    {"substep": "extract_text", "weight": 2}, {"substep": "analyze_characters"}]'),
  'ok', 'A stage with declared substeps may be planned.');
select is(
  tap.call('report_progress', 2, '''index_names'', 10'), 'ok',
  'A report of a planned substep is accepted.');
select is(
  (tap.row(2)).stage_progress, 4.44::double precision,
  'A planned weight replaces a declared one: 4 * 10 / (2 + 1 + 2 + 4) is 4.44.');
select is(
  (tap.substep(2, 'analyze_characters')).weight, 2::double precision,
  'A declared substep that is planned without a weight keeps its declared one.');
select is(
  tap.listed(2), 'index_names active 10, extract_text pending 0, detect_chapters pending 0, '
    || 'analyze_characters pending 0',
  'A status lists declared substeps before planned ones, and those at work first.');

-- A declared weight, where the plan comes before the stage.
select bindery.plan_substeps(tap.id(2), 'GENERATING_SCENES',
  '[{"substep": "split_scenes", "weight": 3}, {"substep": "check_scenes"}]');
select bindery.transition_book(tap.id(2), 'GENERATING_SCENES');
select is(
  (select string_agg(concat_ws(' ', s ->> 'substep', s ->> 'weight'), ', ')
    from jsonb_array_elements(tap.substeps(2)) s),
  'split_scenes 3, write_prompts 1, check_scenes 1',
  'A plan for a later stage is joined with the declared substeps when the stage is entered.');

-- Resume and rewind.
select tap.book(3, '{ANALYZING}');
select bindery.plan_substeps(
  tap.id(3), 'ANALYZING', '[{"substep": "index_names", "weight": 4}]');
select bindery.report_progress(tap.id(3), 'index_names', 10);
select bindery.fail_book(tap.id(3));
select bindery.resume_book(tap.id(3));
select is(
  (select row(s.weight, s.progress) from tap.substep(3, 'index_names') s),
  row(4::double precision, 0::double precision),
  'A resume keeps a planned substep with its weight, and not its unfinished progress.');

-- A FAILED book.
select tap.book(4, '{ANALYZING,FAILED}');
select is(
  tap.plan_it(4, stage, '[{"substep": "chapter_1", "weight": 3}]'), 'ok',
  format('A FAILED book accepts a plan for %s.', stage))
from unnest(array['ANALYZING', 'CREATING_ARTWORK', 'UPLOADED']) stage;
select is(
  (select array_agg(g.stage order by 1) from bindery.book_progress g
    where g.book_id = tap.id(4) and g.substep = 'chapter_1'),
  '{ANALYZING,CREATING_ARTWORK}',
  'A FAILED book keeps a plan for its stage and for later ones, not for one that it has left.');
select is(
  (bindery.resume_book(tap.id(4))).substeps_total, 4,
  'A resume counts the substeps that were planned during the halt.');

-- Plan events.
select tap.book(5);
select is(
  tap.apply(
    tap.event('plan', 5, '{"stage": "ANALYZING", "substeps": [{"substep": "a", "weight": 2}]}'),
    tap.event('transition', 5, '{"to_status": "ANALYZING"}'),
    tap.event('plan', 5, '{"stage": "UPLOADED", "substeps": [{"substep": "a"}]}')),
  '2/1/0/0', 'A plan event is applied, or stale for a stage that the book has left.');
select is(
  (tap.substep(5, 'a')).weight, 2::double precision,
  'A plan event adds its substeps with their weights.');

select * from finish();
rollback;
