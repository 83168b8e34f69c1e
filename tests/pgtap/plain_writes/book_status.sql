-- A plain UPDATE of book_status: columns that follow from others are refused, the others count as
-- visible changes, and a change of status has the same effects as transition_book.
begin;
\ir ../helpers.psql
select plan(50);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}');
select bindery.report_progress(tap.id(1), 'extract_text', 50);
create temp table before as select tap.snapshot(1) as s;

-- Columns that follow from others.
select is(
  tap.update(1, change), 'PT422 column_is_derived',
  format('A plain UPDATE that sets %s is refused.', change))
from unnest(array['current_stage = ''GENERATING_SCENES''', 'attempt = 2', 'attempt = attempt + 1',
  'pipeline = ''other''', 'pipeline_version = 2', 'book_id = gen_random_uuid()',
  'created_at = now()', 'revision = 1', 'revision = revision + 1', 'overall_progress = 50',
  'stage_progress = 50', 'substeps_total = 4', 'substeps_done = 1',
  'substeps_weight = substeps_weight + 1', 'substeps_points = substeps_points + 1',
  'stage_base = 1', 'stage_share = 1', 'completed_at = now()',
  'current_stage = ''COMPLETED'', title = ''x''',
  'status = ''GENERATING_SCENES'', pipeline = ''other''']) change;
select ok(
  length(tap.error(format('update bindery.book_status set attempt = 9 where book_id = %L',
    tap.id(1))) ->> 'hint') > 10,
  'The error of a derived column has a hint.');
select is(
  tap.update(1, change), 'PT422 bad_input', format('A plain UPDATE to %s is refused.', why))
from (values
  ('title = repeat(''x'', 1025)', 'a title of 1,025 characters'),
  ('title = E''\x1b[31m''', 'a title with a control character'),
  ('message = repeat(''x'', 8193)', 'a message of 8,193 characters'),
  ('metadata = ''[]''', 'metadata that is not an object'),
  ('metadata = null', 'metadata that is null'),
  ('metadata = jsonb_build_object(''k'', repeat(''x'', 140000))', 'metadata of 140 kB'),
  ('error = ''"x"''', 'an error that is not an object'),
  ('status = null', 'a status that is null')) v(change, why);
select is(
  tap.update(1, 'error = ''{"code": "x"}'''), '23514',
  'A plain UPDATE to an error of a book that is not FAILED is refused.');
select is(
  tap.snapshot(1), (select s from before), 'A refused UPDATE leaves the book as it is.');

-- Columns that may be set.
create function tap.touched(change text) returns text language plpgsql as $$
declare
  old bindery.book_status := tap.row(1);
  new bindery.book_status;
begin
  perform tap.clock((bindery_internal.now() + interval '1 minute')::text);
  execute format('update bindery.book_status set %s where book_id = %L', change, tap.id(1));
  new := tap.row(1);
  return format('%s %s %s', new.revision - old.revision,
    new.updated_at = bindery_internal.now(), new.heartbeat_at = old.heartbeat_at);
end
$$;
select is(
  tap.touched(change), '1 t t',
  format('A plain UPDATE that sets %s is one revision and no heartbeat.', change))
from unnest(array['title = ''A''', 'message = ''hello''', 'metadata = ''{"a": 1}''',
  'owner_id = ''00000000-0000-4000-8000-000000000900''',
  'title = ''B'', message = ''both at once''']) change;
select is(
  tap.touched(change), '0 f t',
  format('A plain UPDATE that sets %s to what it is makes no revision.',
    split_part(change, ' ', 1)))
from unnest(array['title = ''B''', 'metadata = ''{"a": 1}''']) change;
select is(
  (select count(*)::integer from bindery.book_events where book_id = tap.id(1)),
  2, 'A plain UPDATE of other columns than status is not in the history.');

-- A change of status.
update bindery.book_status set status = 'GENERATING_SCENES', current_stage = 'UPLOADED',
  attempt = 7, revision = 1000, overall_progress = 99, stage_progress = 99, substeps_total = 99,
  substeps_done = 50, substeps_weight = 5, substeps_points = 5, stage_base = 9, stage_share = 9,
  completed_at = now(), resume_at = now()
where book_id = tap.id(1);
select is(
  tap.visible(1) - array['title', 'owner_id', 'metadata'],
  (tap.visible(2) || jsonb_build_object('book_id', tap.id(1),
      'revision', (select (s #>> '{book,revision}')::integer from before) + 6,
      'created_at', (select s #> '{book,created_at}' from before)))
    - array['title', 'owner_id', 'metadata'],
  'A plain UPDATE of status sets what a transition sets, whatever else it names.')
from tap.book(2, '{ANALYZING,GENERATING_SCENES}');
select is(
  (select row(substeps_weight, substeps_points, stage_base, stage_share) from tap.row(1)),
  (select row(substeps_weight, substeps_points, stage_base, stage_share) from tap.row(2)),
  'A plain UPDATE of status sets the sums and the share of the stage that is entered.');
select is(
  (tap.row(1)).message, null,
  'A plain UPDATE of status without a message removes the message of an earlier change.');
select is(
  tap.listed(1), 'split_scenes pending 0, write_prompts pending 0',
  'A plain UPDATE of status makes the substeps of the stage that is entered.');

update bindery.book_status set status = 'FAILED', message = 'no paper', error = '{"pages": 3}'
where book_id = tap.id(1);
select is(
  (tap.row(1)).error, '{"code": "failed", "pages": 3}',
  'An error without a code has the code failed.');
select is(
  (select data from bindery.book_events where book_id = tap.id(1) order by revision desc limit 1),
  '{"code": "failed", "pages": 3}', 'The history contains the error of a plain UPDATE.');
select is(
  (select message from bindery.book_events
    where book_id = tap.id(1) order by revision desc limit 1),
  'no paper', 'The history contains the message of a plain UPDATE.');
select is(
  tap.touched('error = ''{"code": "ink", "pages": 3}'''), '1 t t',
  'A plain UPDATE of the error of a FAILED book is one revision and no heartbeat.');

-- Early events.
select tap.book(3);
select tap.apply(tap.event('progress', 3, '{"stage": "ANALYZING", "substep": "extract_text",
  "progress": 50}'));
select is(
  tap.waiting(), 'progress stage_not_reached', 'A report for a stage that is not reached waits.');
update bindery.book_status set status = 'ANALYZING' where book_id = tap.id(3);
select is(
  tap.percents(3), '12.5 2.5',
  'A plain UPDATE of status applies the early events that have become applicable.');
select is(tap.waiting(), 'none', 'An early event that was applied waits no longer.');

select * from finish();
rollback;
