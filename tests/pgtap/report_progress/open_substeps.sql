-- report_progress: open substeps, which are added by their first report, and the substep all.
begin;
\ir ../helpers.psql
select plan(12);
select tap.book(1, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}');
select is(
  (select row(substeps_total, stage_progress) from tap.row(1)), row(0, 0::double precision),
  'A stage with open substeps begins without any.');
select is(
  tap.call('report_progress', 1, '''panel_1'', 100'), 'ok',
  'A stage with open substeps accepts an undeclared substep.');
select is(
  (select row(substeps_total, substeps_done, stage_progress) from tap.row(1)),
  row(1, 1, 100::double precision), 'The first open substep is the whole stage.');
select is(
  tap.call('report_progress', 1, 'progress => 0'), 'ok',
  'A stage with open substeps accepts a report without a substep.');
select is(
  tap.substeps(1),
  '[{"substep": "all", "label": "All", "state": "pending", "weight": 1, "progress": 0},
    {"substep": "panel_1", "label": "Panel 1", "state": "done", "weight": 1, "progress": 100}]',
  'Open substeps weigh 1 each, and a report without a substep is about the substep all.');
select is(
  tap.percents(1), '50 75', 'A new open substep lowers the percentages to those of all rows.');

-- Planned weights.
select bindery.plan_substeps(tap.id(1), 'CREATING_ARTWORK', '[{"substep": "cover", "weight": 2}]');
select bindery.report_progress(tap.id(1), 'cover', 100);
select is(tap.percents(1), '75 87.5', 'A planned substep counts with its weight beside open ones.');

-- A stage without substeps.
select bindery.define_pipeline('plain', '{"states": [{"name": "A", "weight": 1}, {"name": "Z"}]}');
select tap.book(2, '{}', 'plain');
select is(
  (tap.row(2)).substeps_total, 0, 'A stage without substeps has no row before its first report.');
select is(
  (bindery.report_progress(tap.id(2), progress => 40)).stage_progress, 40::double precision,
  'A report without a substep is about the whole stage.');
select is(
  tap.listed(2), 'all active 40', 'A stage without substeps has the substep all.');
select is(
  (bindery.report_progress(tap.id(2), 'all', 50)).stage_progress, 50::double precision,
  'The substep all may be named.');
select is(
  tap.call('report_progress', 2, '''ink'', 5'), 'PT422 unknown_substep',
  'A stage without substeps refuses any other substep than all.');

select * from finish();
rollback;
