begin;
\ir helpers.psql
select plan(42);
select tap.clock('2030-01-01 12:00+00');
create function tap.report(n integer, arguments text) returns text language sql volatile as $$
  select tap.outcome(format('select bindery.report_progress(%L, %s)', tap.id(n), arguments));
$$;

-- A book in its second attempt at GENERATING_SCENES.
select tap.book(1, '{ANALYZING,GENERATING_SCENES,FAILED,GENERATING_SCENES}');
create temp table before as select tap.snapshot(1) as s;
select tap.clock('2030-01-01 12:01+00');
create temp table cases (arguments text, outcome text, event text, why text);
insert into cases values
  ('''split_scenes'', 10, attempt => 1', 'ok', '0/1/0', 'a report of an earlier attempt is stale'),
  ('''extract_text'', 10, stage => ''ANALYZING''', 'ok', '0/1/0', 'a report for a stage that was left is stale'),
  ('''extract_text'', 10, stage => ''ANALYZING'', attempt => 1', 'ok', '0/1/0', 'with its attempt too'),
  ('''all'', 10, stage => ''UPLOADED''', 'ok', '0/1/0', 'UPLOADED is a stage that was left'),
  ('''split_scenes'', 10, attempt => 3', 'PT409 attempt_ahead', '0/0/1', 'a report of an attempt to come is refused'),
  ('''ink'', 10, stage => ''CREATING_ARTWORK''', 'PT409 stage_not_reached', '0/0/1', 'a report for a stage to come is refused'),
  ('''nope'', 10', 'PT422 unknown_substep', '0/0/1', 'a substep that was not declared is refused'),
  ('progress => 10', 'PT422 unknown_substep', '0/0/1', 'a stage with substeps has no substep all'),
  ('''extract_text'', 10', 'PT422 unknown_substep', '0/0/1', 'a substep of another stage is refused'),
  ('''split_scenes'', 10, stage => ''NOPE''', 'PT404 unknown_stage', '0/0/1', 'a stage that the pipeline has not is refused'),
  ('''all'', 10, stage => ''COMPLETED''', 'PT404 unknown_stage', '0/0/1', 'the final state is no stage'),
  ('''all'', 10, stage => ''FAILED''', 'PT404 unknown_stage', '0/0/1', 'FAILED is no stage');
select is(tap.report(1, arguments), outcome, why) from cases;
select is(tap.snapshot(1), (select s from before), 'none of these changed anything, not even the heartbeat');

-- The same as events.
select is(tap.apply(tap.event('progress', 1, fields::jsonb || '{"progress": 10}')), c.event, 'as an event: ' || why)
from (values ('{"substep": "split_scenes", "attempt": 1}', 1), ('{"substep": "extract_text", "stage": "ANALYZING"}', 2),
  ('{"substep": "extract_text", "stage": "ANALYZING", "attempt": 1}', 3), ('{"substep": "all", "stage": "UPLOADED"}', 4),
  ('{"substep": "split_scenes", "attempt": 3}', 5), ('{"substep": "ink", "stage": "CREATING_ARTWORK"}', 6), ('{"substep": "nope"}', 7), ('{}', 8),
  ('{"substep": "extract_text"}', 9), ('{"substep": "split_scenes", "stage": "NOPE"}', 10), ('{"stage": "COMPLETED"}', 11), ('{"stage": "FAILED"}', 12)) f(fields, i)
join (select *, row_number() over () as i from cases) c using (i) order by i;
select is(tap.reasons(), 'attempt_ahead, stage_not_reached, unknown_substep, unknown_substep, unknown_substep, unknown_stage, unknown_stage, unknown_stage',
  'each dead letter has the verdict as its reason');
select is(tap.snapshot(1), (select s from before), 'and the book is as it was');

select is(tap.report(1, '''split_scenes'', 10, attempt => 2'), 'ok', 'a report of this attempt counts');
select is(tap.report(1, '''split_scenes'', 11, stage => ''GENERATING_SCENES'''), 'ok', 'a report that names its stage counts');
select is((tap.row(1)).stage_progress, 5.5::float8, 'and both did');
select is(tap.report(99, '''split_scenes'', 10'), 'PT404 unknown_book', 'a report on an unknown book is refused');
select is(tap.outcome('select bindery.report_progress(null, ''x'', 10)'), 'PT404 unknown_book', 'a report on no book is refused');
select is(tap.report(1, '''Upper'', 10'), 'PT422 bad_input', 'a substep is named in lower snake case');
select is(tap.report(1, '''split_scenes'', 12, checkpoint => jsonb_build_object(''k'', repeat(''x'', 140000))'), 'PT422 bad_input', 'a checkpoint larger than 128 KiB is refused');

-- Halted and completed books.
select tap.book(2, '{ANALYZING}');
select bindery.report_progress(tap.id(2), 'extract_text', 50);
select bindery.fail_book(tap.id(2));
select tap.book(3, '{ANALYZING,CANCELLED}');
select tap.book(4, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}');
create temp table halted as select n, tap.snapshot(n) as s from generate_series(2, 4) n;
select is(tap.report(n, arguments), 'ok', format('a report on a %s book is taken', (tap.row(n)).status))
from (values (2, '''extract_text'', 90'), (3, '''extract_text'', 90'), (4, '''ink'', 90')) v(n, arguments);
select is(tap.snapshot(n), s, format('and has no effect on a %s book', (tap.row(n)).status)) from halted;
select is(tap.report(2, '''extract_text'', 90, attempt => 2'), 'PT409 attempt_ahead', 'an attempt that a FAILED book has not come to is refused');
select is(tap.report(2, '''extract_text'', 90, stage => ''NOPE'''), 'PT404 unknown_stage', 'an unknown stage is refused on a FAILED book too');

select * from finish();
rollback;
