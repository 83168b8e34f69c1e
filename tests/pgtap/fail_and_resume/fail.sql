-- fail_book: the columns that a failure sets, and those that it keeps.
begin;
\ir ../helpers.psql
select plan(39);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}');
select bindery.report_progress(tap.id(1), 'extract_text', 100);
select bindery.report_progress(tap.id(1), 'analyze_characters', 50);
create temp table before as select tap.row(1) as b, tap.snapshot(1) as s;

select tap.clock('2030-01-01 12:10+00');
create temp table failed as
  select * from bindery.fail_book(
    tap.id(1), '{"code": "out_of_memory", "at": "page 7"}', 'The worker died.');
select is(
  (select to_jsonb(f) from failed f), to_jsonb(tap.row(1)),
  'fail_book returns the row of the book.');
select is((tap.row(1)).status, 'FAILED', 'A book that fails is FAILED.');
select is((tap.row(1)).current_stage, 'ANALYZING', 'A FAILED book keeps its stage.');
select is(
  (tap.row(1)).error, '{"code": "out_of_memory", "at": "page 7"}', 'A FAILED book has the error.');
select is((tap.row(1)).message, 'The worker died.', 'A FAILED book has the message.');
select is((tap.row(1)).attempt, 1, 'A failure leaves the attempt.');
select is(
  (tap.row(1)).revision, (select (b).revision + 1 from before), 'A failure is one revision.');
select is(
  tap.visible(1)
    - array['status', 'error', 'message', 'revision', 'updated_at', 'heartbeat_at', 'resume_at'],
  (select to_jsonb(b) - array['substeps_weight', 'substeps_points', 'stage_base', 'stage_share',
    'status', 'error', 'message', 'revision', 'updated_at', 'heartbeat_at', 'resume_at']
    from before),
  'A failure leaves percentages, counts, attempt and times of the stage.');
select is(
  tap.snapshot(1) -> 'progress', (select s -> 'progress' from before),
  'A failure leaves the rows of book_progress.');
select is(
  (select string_agg(concat_ws(' ', s ->> 'name', s ->> 'state', s ->> 'progress'), ', ')
    from jsonb_array_elements(bindery.get_book_status(tap.id(1)) -> 'stages') s),
  'ANALYZING failed 50, GENERATING_SCENES pending 0, CREATING_ARTWORK pending 0',
  'The stages of a FAILED book show in which one it failed.');

-- A FAILED book that fails again.
create temp table halted as select tap.snapshot(1) as s;
select is(
  tap.call('fail_book', 1, '''{"code": "other"}'', ''again'''), 'ok',
  'fail_book of a FAILED book is not an error.');
select is(
  tap.snapshot(1), (select s from halted), 'fail_book of a FAILED book changes nothing.');
select is(
  tap.call('fail_book', 1, 'expected_revision => 1'), 'PT409 stale_revision',
  'A failure with an earlier expected_revision is refused.');

-- Errors.
select is(
  (bindery.fail_book((tap.book(2)).book_id)).error, '{"code": "failed"}',
  'Without an error it is {"code": "failed"}.');
select is(
  (bindery.fail_book((tap.book(3)).book_id, '{"pages": 3}')).error,
  '{"code": "failed", "pages": 3}', 'An error without a code has the code failed.');
select tap.book(4, '{ANALYZING}');
select is(
  tap.call('fail_book', 4, quote_literal(error)), 'PT422 bad_input',
  format('The error %s is refused.', error))
from unnest(array['"boom"', '[]', '1', 'null']) error;
select is(
  tap.call('fail_book', 4, 'message => repeat(''x'', 8193)'), 'PT422 bad_input',
  'A message of 8,193 characters is refused.');
select is(
  tap.call('fail_book', 4, 'jsonb_build_object(''log'', repeat(''x'', 140000))'),
  'PT422 bad_input', 'An error larger than 128 KiB is refused.');
select is((tap.row(4)).status, 'ANALYZING', 'A refused failure leaves the status.');

-- Attempts.
select bindery.fail_book(tap.id(4)), bindery.resume_book(tap.id(4));
select is(
  (bindery.fail_book(tap.id(4), attempt => 1)).status, 'ANALYZING',
  'A failure of an earlier attempt has no effect.');
select is(
  tap.call('fail_book', 4, 'attempt => 3'), 'PT409 attempt_ahead',
  'A failure of an attempt that has not begun is refused.');
select is(
  (bindery.fail_book(tap.id(4), attempt => 2)).status, 'FAILED',
  'A failure of the current attempt is made.');

-- When it is tried again.
select is(
  (tap.row(4)).resume_at, '2030-01-01 12:11+00',
  'The second failure of a stage is retried after twice its retry_after.');
select is(
  (bindery.fail_book((tap.book(5, '{ANALYZING}')).book_id, '{"retry": false}')).resume_at, null,
  'A failure with "retry": false is not retried.');
select is(
  (bindery.fail_book((tap.book(6)).book_id)).resume_at, null,
  'A failure in a stage without retry_after is not retried.');

-- From every state.
select is(
  (select status || ' ' || current_stage
    from bindery.fail_book((tap.book(10 + cardinality(path), path)).book_id)),
  'FAILED ' || coalesce(path[cardinality(path)], 'UPLOADED'),
  format('A book in %s may fail.', coalesce(path[cardinality(path)], 'UPLOADED')))
from (values ('{}'::text[]), ('{ANALYZING}'), ('{ANALYZING,GENERATING_SCENES}'),
  ('{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}')) v(path);
select tap.book(20, '{CANCELLED}');
select is(
  tap.call('fail_book', 20), 'PT409 illegal_transition', 'A CANCELLED book does not fail.');
select tap.book(21, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}');
select is(
  tap.call('fail_book', 21), 'PT409 illegal_transition', 'A complete book does not fail.');
select is(tap.call('fail_book', 99), 'PT404 unknown_book', 'An unknown book does not fail.');

-- Fail events.
select tap.book(30, '{ANALYZING}');
select is(
  tap.apply(tap.event('fail', 30, '{"error": {"code": "ink"}, "message": "no ink"}')), '1/0/0/0',
  'A fail event about a book at work is applied.');
select is(
  (select row(status, error, message) from tap.row(30)),
  row('FAILED'::text, '{"code": "ink"}'::jsonb, 'no ink'::text),
  'A fail event has the same effect as fail_book.');
select is(
  tap.apply(tap.event('fail', 30, '{"error": {"code": "ink"}}')), '0/1/0/0',
  'A fail event about a FAILED book is stale.');
select is(
  tap.apply(tap.event('fail', 21)), '0/1/0/0', 'A fail event about a complete book is stale.');

select * from finish();
rollback;
