-- Both percentages, computed by hand: overall is 100 * (start + weight * stage / 100) / total
-- weight, rounded to two decimals.
begin;
\ir ../helpers.psql
select plan(35);
select bindery.define_pipeline('odd', '{"states": [
  {"name": "A", "weight": 1, "substeps": [{"substep": "x", "weight": 3}, {"substep": "y"}]},
  {"name": "B", "weight": 2},
  {"name": "C", "weight": 4, "open_substeps": true},
  {"name": "Z"}]}');
select tap.book(1, '{}', 'odd');
-- The percentages after a report.
create function tap.after(n integer, substep text, progress double precision) returns text
language sql volatile as $$
  select format('%s %s', stage_progress, overall_progress)
  from bindery.report_progress(tap.id(n), substep, progress);
$$;

select is(tap.percents(1), '0 0', 'A book begins at 0 percent.');
select is(
  tap.after(1, 'x', 50), '37.5 5.36', 'x at 50 is (3 * 50) / 4 = 37.5 and 37.5 / 7 = 5.357.');
select is(tap.after(1, 'y', 10), '40 5.71', 'y at 10 is (150 + 10) / 4 = 40 and 40 / 7 = 5.714.');
select is(
  tap.after(1, 'x', 100), '77.5 11.07', 'x at 100 is 310 / 4 = 77.5 and 77.5 / 7 = 11.071.');
select is(tap.after(1, 'y', 100), '100 14.29', 'x and y at 100 are 100 and 100 / 7 = 14.286.');
select bindery.transition_book(tap.id(1), 'B');
select is(
  tap.percents(1), '0 14.29', 'A book that enters a stage keeps the weight of those before.');
select is(
  tap.after(1, 'all', 33.333), '33.33 23.81', 'A third of B is (1 + 2 * 0.33333) / 7 = 23.809.');
select is(tap.after(1, null, 50), '50 28.57', 'Half of B is 2 / 7 = 28.571.');
select bindery.transition_book(tap.id(1), 'C');
select is(
  tap.percents(1), '0 42.86', 'A stage that is left before it is done counts as done: 3 / 7.');
select is(tap.after(1, 'p1', 50), '50 71.43', 'The only open substep is its whole stage: 5 / 7.');
select is(
  tap.after(1, 'p2', 0), '25 57.14', 'A second open substep halves the stage: (3 + 4 * 0.25) / 7.');
select is(tap.after(1, 'p1', 100), '50 71.43', 'p1 at 100 and p2 at 0 are 50 percent: 5 / 7.');
select is(tap.after(1, 'p2', 99.99999), '99.99 99.99', 'A stage that is all but done is at 99.99.');
select is(
  tap.after(1, 'p2', 100), '100 99.99', 'A book is at 99.99 until it is complete.');
select bindery.transition_book(tap.id(1), 'Z');
select is(tap.percents(1), '100 100', 'A complete book is at exactly 100.');

-- Rounding is half up.
select tap.book(4, '{B}', 'odd');
select is(
  split_part(tap.after(4, 'all', p), ' ', 1), shown, format('%s percent is shown as %s.', p, shown))
from (values (0.004, '0'), (0.005, '0.01'), (1.004, '1'), (12.345, '12.35'), (99.994, '99.99'),
  (99.9999, '99.99'), (100, '100')) v(p, shown);

-- The pipeline comic.
select tap.book(2, '{ANALYZING}');
select is(
  tap.after(2, 'analyze_characters', 50), '25 5',
  'Half of a substep of weight 2 in 4 is 25, and 20 * 0.25 = 5.');
select bindery.transition_book(tap.id(2), 'GENERATING_SCENES');
select is(tap.after(2, 'split_scenes', 1), '0.5 20.15', 'Overall is 20 + 30 * 0.005 = 20.15.');
select bindery.transition_book(tap.id(2), 'CREATING_ARTWORK');
select is(tap.percents(2), '0 50', 'CREATING_ARTWORK begins at 50 percent.');
select is(tap.after(2, 'panel_1', 0.02), '0.02 50.01', 'Overall is 50 + 50 * 0.0002 = 50.01.');
select bindery.transition_book(tap.id(2), 'COMPLETED');
select is(tap.percents(2), '100 100', 'A book that completes early is at exactly 100.');
select is(
  (select jsonb_agg(jsonb_build_object('name', s ->> 'name', 'label', s ->> 'label',
      'state', s ->> 'state', 'progress', s -> 'progress') order by n)
    from jsonb_array_elements(bindery.get_book_status(tap.id(2)) -> 'stages')
      with ordinality as e(s, n)), '[
  {"name": "ANALYZING", "label": "Reading the book", "state": "done", "progress": 100},
  {"name": "GENERATING_SCENES", "label": "Cutting scenes", "state": "done", "progress": 100},
  {"name": "CREATING_ARTWORK", "label": "Drawing", "state": "done", "progress": 100}]',
  'Every stage of a complete book is done and at 100.');

-- Branches and rework: a state begins where the heaviest path to it ends.
select bindery.define_pipeline('branched', '{"states": [
  {"name": "IN", "next": ["LONG", "SHORT"]},
  {"name": "LONG", "weight": 6, "next": ["OUT"]},
  {"name": "SHORT", "weight": 1, "next": ["OUT"]},
  {"name": "OUT", "weight": 4, "rework": ["LONG"]},
  {"name": "Z"}]}');
select tap.book(3, '{SHORT}', 'branched');
select is(tap.percents(3), '0 0', 'The lighter branch begins at 0.');
select is(
  tap.after(3, 'all', 50), '50 5', 'Half of weight 1 of a heaviest path of 10 is 5 percent.');
select bindery.transition_book(tap.id(3), 'OUT');
select is(tap.percents(3), '0 60', 'The stage after the branches begins after the heavier one.');
select is(tap.after(3, 'all', 50), '50 80', 'Half of weight 4 after 6 of 10 is 80 percent.');
select bindery.transition_book(tap.id(3), 'LONG');
select is(tap.percents(3), '0 0', 'Rework takes the percentage back to where its stage begins.');
select bindery.transition_book(tap.id(3), 'OUT');
select is(tap.percents(3), '0 60', 'A stage that is entered again starts over.');
select is(
  tap.call('transition_book', 3, '''SHORT'''), 'PT409 illegal_transition',
  'A way back that is not declared as rework is illegal.');

select * from finish();
rollback;
