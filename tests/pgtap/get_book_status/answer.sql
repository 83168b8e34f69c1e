-- bindery.get_book_status: the keys of the answer, its stages, and who gets none.
begin;
\ir ../helpers.psql
select plan(20);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}');
select bindery.report_progress(tap.id(1), 'extract_text', 50);
create function tap.status(n integer) returns jsonb language sql volatile as $$
  select bindery.get_book_status(tap.id(n));
$$;

select set_eq('select jsonb_object_keys(tap.status(1))', array[
  'book_id', 'owner_id', 'title', 'pipeline', 'pipeline_version', 'status', 'current_stage',
  'overall_progress', 'stage_progress', 'substeps', 'substeps_total', 'substeps_done', 'message',
  'error', 'attempt', 'revision', 'heartbeat_at', 'stage_entered_at', 'stage_started_at',
  'resume_at', 'estimated_completion_at', 'metadata', 'created_at', 'updated_at', 'completed_at',
  'stages', 'health'],
  'get_book_status gives the columns of book_status but the internal sums, and substeps, stages '
  'and health.');
select is(tap.status(1) - array['substeps', 'stages', 'health'],
  to_jsonb(tap.row(1))
    - array['substeps_weight', 'substeps_points', 'stage_base', 'stage_share'],
  'get_book_status gives the columns as they stand in the row.');
select is(tap.status(1) -> 'stages', '[
  {"name": "ANALYZING", "label": "Reading the book", "weight": 20, "state": "active",
    "progress": 12.5, "attempt": 1, "started_at": "2030-01-01T12:00:00+00:00", "seconds": null,
    "median_seconds": null, "max_attempts": 3},
  {"name": "GENERATING_SCENES", "label": "Cutting scenes", "weight": 30, "state": "pending",
    "progress": 0, "attempt": null, "started_at": null, "seconds": null, "median_seconds": null,
    "max_attempts": 3},
  {"name": "CREATING_ARTWORK", "label": "Drawing", "weight": 50, "state": "pending",
    "progress": 0, "attempt": null, "started_at": null, "seconds": null, "median_seconds": null,
    "max_attempts": 3}]',
  'get_book_status lists the stages in order, each with all of its fields.');
select is(tap.status(1) ->> 'overall_progress', '2.5',
  'get_book_status gives overall_progress as a plain number.');
select is(tap.status(1) -> 'substeps_total', '3',
  'get_book_status counts the substeps of the current stage.');
select is(tap.status(1) -> 'substeps_done', '0',
  'get_book_status counts the finished substeps of the current stage.');

select tap.book(2), tap.book(3, '{ANALYZING,GENERATING_SCENES}'),
  tap.book(4, '{ANALYZING,CANCELLED}'), tap.book(5, '{ANALYZING,FAILED}'),
  tap.book(6, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}');
select is(tap.status(2) #>> '{stages,0,state}', 'pending',
  'A stage that the book has not reached is pending.');
select is(tap.status(3) #>> '{stages,0,state}', 'done', 'A stage that the book has left is done.');
select is(tap.status(3) #>> '{stages,0,progress}', '100',
  'A stage that the book has left is at 100.');
select is(tap.status(4) #>> '{stages,0,state}', 'cancelled',
  'The stage in which a book was cancelled is cancelled.');
select is(tap.status(5) #>> '{stages,0,state}', 'failed',
  'The stage in which a book failed is failed.');
select is(jsonb_path_query_array(tap.status(6), '$.stages[*].state'), '["done", "done", "done"]',
  'All stages of a COMPLETED book are done.');
select is(jsonb_path_query_array(tap.status(6), '$.stages[*].progress'), '[100, 100, 100]',
  'All stages of a COMPLETED book are at 100.');
select is(tap.status(6) -> 'overall_progress', '100', 'A COMPLETED book is at exactly 100.');

select is(tap.outcome(format('select bindery.get_book_status(%L)', tap.id(99))),
  'PT404 unknown_book', 'get_book_status of an unknown book is refused.');
select is(tap.outcome('select bindery.get_book_status(null)'), 'PT404 unknown_book',
  'get_book_status without a book is refused.');
select is((select provolatile::text from pg_proc
    where oid = 'bindery.get_book_status'::regproc), 's',
  'get_book_status is STABLE, so that PostgREST answers it to a GET.');
-- The book of another owner, and of no owner, is unknown.
select bindery.register_book(tap.id(7), owner_id => tap.id(900));
select is(tap.as_role('authenticated', format('select bindery.get_book_status(%L) ->> ''status''',
    tap.id(7)), tap.id(900)::text), 'UPLOADED',
  'get_book_status answers the owner of a book.');
select is(tap.as_role('authenticated', format('select bindery.get_book_status(%L)', tap.id(7)),
    tap.id(901)::text), 'PT404 unknown_book',
  'get_book_status of another owner''s book is refused as unknown.');
select is(tap.as_role('service_role', format('select bindery.get_book_status(%L) ->> ''health''',
    tap.id(7))), 'live',
  'get_book_status answers the service about any book.');

select * from finish();
rollback;
