-- report_progress: reports of other attempts, stages and substeps, as calls and as events.
begin;
\ir ../helpers.psql
select plan(41);
select tap.clock('2030-01-01 12:00+00');

-- A book in its second attempt at GENERATING_SCENES.
select tap.book(1, '{ANALYZING,GENERATING_SCENES,FAILED,GENERATING_SCENES}');
create temp table before as select tap.snapshot(1) - 'early' as s;
select tap.clock('2030-01-01 12:01+00');
create temp table cases (
  n integer, arguments text, outcome text, fields jsonb, event text, reason text, what text);
insert into cases values
  (1, '''split_scenes'', 10, attempt => 1', 'ok',
    '{"substep": "split_scenes", "attempt": 1}', '0/1/0/0', null,
    'of an earlier attempt'),
  (2, '''extract_text'', 10, stage => ''ANALYZING''', 'ok',
    '{"substep": "extract_text", "stage": "ANALYZING"}', '0/1/0/0', null,
    'for a stage that the book has left'),
  (3, '''extract_text'', 10, stage => ''ANALYZING'', attempt => 1', 'ok',
    '{"substep": "extract_text", "stage": "ANALYZING", "attempt": 1}', '0/1/0/0', null,
    'for a stage that the book has left, with the attempt of then,'),
  (4, '''all'', 10, stage => ''UPLOADED''', 'ok',
    '{"substep": "all", "stage": "UPLOADED"}', '0/1/0/0', null,
    'for the first state, which the book has left,'),
  (5, '''split_scenes'', 10, attempt => 3', 'PT409 attempt_ahead',
    '{"substep": "split_scenes", "attempt": 3}', '0/0/1/0', 'attempt_ahead',
    'of an attempt that has not begun'),
  (6, '''ink'', 10, stage => ''CREATING_ARTWORK''', 'PT409 stage_not_reached',
    '{"substep": "ink", "stage": "CREATING_ARTWORK"}', '0/0/1/0', 'stage_not_reached',
    'for a stage that is not reached'),
  (7, '''nope'', 10', 'PT422 unknown_substep',
    '{"substep": "nope", "stage": "GENERATING_SCENES"}', '0/0/0/1', 'unknown_substep',
    'of a substep that is not declared'),
  (8, 'progress => 10', 'PT422 unknown_substep',
    '{"stage": "GENERATING_SCENES"}', '0/0/0/1', 'unknown_substep',
    'without a substep in a stage that declares some'),
  (9, '''extract_text'', 10', 'PT422 unknown_substep',
    '{"substep": "extract_text", "stage": "GENERATING_SCENES"}', '0/0/0/1', 'unknown_substep',
    'of a substep of another stage'),
  (10, '''split_scenes'', 10, stage => ''NOPE''', 'PT404 unknown_stage',
    '{"substep": "split_scenes", "stage": "NOPE"}', '0/0/0/1', 'unknown_stage',
    'for a stage that the pipeline does not have'),
  (11, '''all'', 10, stage => ''COMPLETED''', 'PT404 unknown_stage',
    '{"stage": "COMPLETED"}', '0/0/0/1', 'unknown_stage', 'for the final state'),
  (12, '''all'', 10, stage => ''FAILED''', 'PT404 unknown_stage',
    '{"stage": "FAILED"}', '0/0/0/1', 'unknown_stage', 'for FAILED');
select is(
  tap.call('report_progress', 1, arguments), outcome,
  format('A report %s: %s.', what, case outcome when 'ok' then 'no effect' else outcome end))
from cases order by n;
select is(
  tap.snapshot(1) - 'early', (select s from before),
  'A report that is stale or refused changes nothing, not even the heartbeat.');
select is(
  tap.apply(tap.event('progress', 1, fields || '{"progress": 10}')), c.event,
  format('A progress event %s is %s.', what,
    case c.event when '0/1/0/0' then 'stale' when '0/0/1/0' then 'early' else 'rejected' end))
from cases c order by n;
select is(
  tap.reasons(),
  (select string_agg(reason, ', ' order by n) from cases where event = '0/0/0/1'),
  'The reason of a rejected progress event is the code that a call gets.');
select is(
  tap.waiting(),
  (select string_agg('progress ' || reason, ', ' order by n) from cases where event = '0/0/1/0'),
  'The reason of an early progress event is the code that a call gets.');
select is(
  tap.snapshot(1) - 'early', (select s from before),
  'An event that is stale, early or rejected changes nothing of its book.');

-- Reports that count.
select is(
  tap.call('report_progress', 1, '''split_scenes'', 10, attempt => 2'), 'ok',
  'A report of the current attempt is accepted.');
select is(
  tap.call('report_progress', 1, '''split_scenes'', 11, stage => ''GENERATING_SCENES'''), 'ok',
  'A report that names the current stage is accepted.');
select is(
  (tap.row(1)).stage_progress, 5.5::double precision,
  'Reports of the current attempt and stage count.');
select is(
  tap.call('report_progress', 99, '''split_scenes'', 10'), 'PT404 unknown_book',
  'A report about an unknown book is refused.');
select is(
  tap.outcome('select bindery.report_progress(null, ''x'', 10)'), 'PT404 unknown_book',
  'A report without a book is refused.');

-- Books that are halted or complete.
select tap.book(2, '{ANALYZING}');
select bindery.report_progress(tap.id(2), 'extract_text', 50);
select bindery.fail_book(tap.id(2));
select tap.book(3, '{ANALYZING,CANCELLED}');
select tap.book(4, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}');
create temp table halted as select n, tap.snapshot(n) as s from generate_series(2, 4) n;
select is(
  tap.call('report_progress', n, arguments), 'ok',
  format('A report about a %s book is not an error.', (tap.row(n)).status))
from (values (2, '''extract_text'', 90'), (3, '''extract_text'', 90'), (4, '''ink'', 90'))
  v(n, arguments);
select is(
  tap.snapshot(n), s, format('A report about a %s book has no effect.', (tap.row(n)).status))
from halted;
select is(
  tap.call('report_progress', 2, '''extract_text'', 90, attempt => 2'), 'PT409 attempt_ahead',
  'A report of the next attempt about a FAILED book is refused.');
select is(
  tap.call('report_progress', 2, '''extract_text'', 90, stage => ''NOPE'''),
  'PT404 unknown_stage', 'A report for an unknown stage about a FAILED book is refused.');

select * from finish();
rollback;
