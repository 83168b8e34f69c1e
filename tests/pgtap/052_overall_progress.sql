begin;
\ir helpers.psql
-- Overall numbers worked out by hand: 100 * (start + weight * stage / 100) / total weight, two decimals.
select plan(28);
select bindery.define_pipeline('odd', '{"states": [
  {"name": "A", "weight": 1, "substeps": [{"name": "x", "weight": 3}, {"name": "y"}]},
  {"name": "B", "weight": 2},
  {"name": "C", "weight": 4, "open_substeps": true},
  {"name": "Z"}]}');
select tap.book(1, '{}', 'odd');
create function tap.numbers(n integer) returns text language sql volatile as $$
  select format('%s %s', (tap.row(n)).stage_progress, (tap.row(n)).overall_progress);
$$;
create function tap.after(n integer, substep text, progress float8) returns text language sql volatile as $$
  select format('%s %s', stage_progress, overall_progress) from bindery.report_progress(tap.id(n), substep, progress);
$$;

select is(tap.numbers(1), '0 0', 'it begins at 0');
select is(tap.after(1, 'x', 50), '37.5 5.36', 'x at 50: (3*50)/4 = 37.5; 100*0.375/7 = 5.357');
select is(tap.after(1, 'y', 10), '40 5.71', 'y at 10: (150+10)/4 = 40; 40/7 = 5.714');
select is(tap.after(1, 'x', 100), '77.5 11.07', 'x done: 310/4 = 77.5; 77.5/7 = 11.071');
select is(tap.after(1, 'y', 100), '100 14.29', 'both done: 100/7 = 14.286');
select bindery.transition_book(tap.id(1), 'B');
select is(tap.numbers(1), '0 14.29', 'entering B keeps what A was worth');
select is(tap.after(1, 'all', 33.333), '33.33 23.81', 'a third of B: (1 + 2*0.33333)/7 = 23.809');
select is(tap.after(1, null, 50), '50 28.57', 'a report without a substep is for all: 2/7 = 28.571');
select bindery.transition_book(tap.id(1), 'C');
select is(tap.numbers(1), '0 42.86', 'entering C before B is done counts B as done: 3/7');
select is(tap.after(1, 'p1', 50), '50 71.43', 'one substep in an open stage is all of it: 5/7');
select is(tap.after(1, 'p2', 0), '50 71.43', 'another one would halve it: the percentage waits, it does not go back');
select is(tap.after(1, 'p1', 100), '50 71.43', 'p1 done, p2 not begun: 5/7');
select is(tap.after(1, 'p2', 99.99999), '99.99 99.99', 'all but done is 99.99, not 100');
select is(tap.after(1, 'p2', 100), '100 99.99', 'all substeps of the last stage done is 99.99 until the book completes');
select bindery.transition_book(tap.id(1), 'Z');
select is(tap.numbers(1), '100 100', 'completed is exactly 100');

select tap.book(2, '{ANALYZING}');
select is(tap.after(2, 'analyze_characters', 50), '25 5', 'comic: half of the substep of weight 2 in 4 is 25; 20 * 0.25 = 5');
select bindery.transition_book(tap.id(2), 'GENERATING_SCENES');
select is(tap.after(2, 'split_scenes', 1), '0.5 20.15', 'comic: 20 + 30 * 0.005');
select bindery.transition_book(tap.id(2), 'CREATING_ARTWORK');
select is(tap.numbers(2), '0 50', 'comic: drawing begins at 50');
select is(tap.after(2, 'panel_1', 0.02), '0.02 50.01', 'comic: 50 + 50 * 0.0002');
select bindery.transition_book(tap.id(2), 'COMPLETED');
select is(tap.numbers(2), '100 100', 'a book completed early is at exactly 100 too');
select is(bindery.get_book_status(tap.id(2)) #> '{stages}', '[
  {"name": "ANALYZING", "label": "Reading the book", "state": "done", "progress": 100},
  {"name": "GENERATING_SCENES", "label": "Cutting scenes", "state": "done", "progress": 100},
  {"name": "CREATING_ARTWORK", "label": "Drawing", "state": "done", "progress": 100}]', 'with every stage done');

-- Branches and ways back: a state starts at the heaviest path to it.
select bindery.define_pipeline('branched', '{"states": [
  {"name": "IN", "next": ["LONG", "SHORT"]},
  {"name": "LONG", "weight": 6, "next": ["OUT"]},
  {"name": "SHORT", "weight": 1, "next": ["OUT"]},
  {"name": "OUT", "weight": 4, "rework": ["LONG"]},
  {"name": "Z"}]}');
select tap.book(3, '{SHORT}', 'branched');
select is(tap.numbers(3), '0 0', 'the short way begins at 0');
select is(tap.after(3, 'all', 50) , '50 5', 'half of weight 1 in a heaviest path of 10');
select bindery.transition_book(tap.id(3), 'OUT');
select is(tap.numbers(3), '0 60', 'after the branches it starts where the heaviest path does');
select is(tap.after(3, 'all', 50), '50 80', 'and goes on from there');
select bindery.transition_book(tap.id(3), 'LONG');
select is(tap.numbers(3), '0 0', 'going back for rework is shown as what it is');
select bindery.transition_book(tap.id(3), 'OUT');
select is(tap.numbers(3), '0 60', 'a stage that is entered again starts over');
select is(tap.outcome(format('select bindery.transition_book(%L, %L)', tap.id(3), 'SHORT')), 'PT409 illegal_transition', 'a way back that was not declared is none');

select * from finish();
rollback;
