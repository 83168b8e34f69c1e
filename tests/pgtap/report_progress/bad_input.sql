-- report_progress: input that it refuses as bad.
begin;
\ir ../helpers.psql
select plan(37);
select tap.book(1, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}');
select bindery.report_progress(tap.id(1), 'ink', 10);
create temp table before as select tap.snapshot(1) as s;

select is(
  tap.call('report_progress', 1, '''ink'', ' || arguments), 'PT422 bad_input',
  format('A report with %s is refused.', arguments))
from unnest(array['-0.001', '100.001', '''NaN''', '''Infinity''', '''-Infinity''', 'null',
  '50, done => 1, total => 2', '50, done => 1', '50, total => 1', 'done => 1', 'total => 1',
  'done => 3, total => 2', 'done => -1, total => 2', 'done => 0, total => 0',
  'done => 0, total => -1', 'done => ''NaN'', total => 1', 'done => 1, total => ''NaN''',
  'done => 1, total => ''Infinity''', 'done => 1, total => 1.1e15',
  'done => ''Infinity'', total => ''Infinity''', '50, message => repeat(''x'', 8193)',
  '50, message => E''\x1b[31m''', '50, message => U&''\202E''', '50, unit => repeat(''x'', 64)',
  '50, unit => E''\x07''', '50, stage => repeat(''X'', 64)', '50, attempt => 0',
  '50, attempt => -1', '50, checkpoint => jsonb_build_object(''k'', repeat(''x'', 140000))'])
  arguments;
select is(
  tap.call('report_progress', 1, format('%L, 10', substep)), 'PT422 bad_input',
  format('A report of the substep %L is refused.', left(substep, 8)))
from unnest(array['Upper', '', 'a-b', '1a', ' a', repeat('a', 64)]) substep;
select is(
  tap.refusal('report_progress', 1, '''ink'', 101') -> 'detail',
  '{"code": "bad_input", "argument": "progress"}', 'The detail of bad_input names the argument.');
select is(tap.snapshot(1), (select s from before), 'A refused report changes nothing.');

select * from finish();
rollback;
