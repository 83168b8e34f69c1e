begin;
\ir helpers.psql
select plan(50);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}');
select bindery.report_progress(tap.id(1), 'extract_text', 100, message => 'all read');
select bindery.report_progress(tap.id(1), 'detect_chapters', done => 3, total => 4, unit => 'chapter', message => 'chapter 3', checkpoint => '{"chapter": 3}');
select bindery.report_progress(tap.id(1), 'analyze_characters', 50, message => 'Ahab');
select is(format('%s %s', (tap.row(1)).stage_progress, (tap.row(1)).overall_progress), '68.75 13.75', 'before: (100 + 75 + 2*50) / 4');
create temp table before as select tap.row(1) as b;

select tap.clock('2030-01-01 12:10+00');
create temp table failed as select * from bindery.fail_book(tap.id(1), '{"code": "out_of_memory", "at": "page 7"}', 'The worker died.');
select is((select to_jsonb(f) from failed f), to_jsonb(tap.row(1)), 'fail_book gives the row');
select is((tap.row(1)).status, 'FAILED', 'the book is FAILED');
select is((tap.row(1)).current_stage, 'ANALYZING', 'and remembers its stage');
select is((tap.row(1)).error, '{"code": "out_of_memory", "at": "page 7"}', 'it keeps the error');
select is((tap.row(1)).message, 'The worker died.', 'and the message');
select is((tap.row(1)).attempt, 1, 'the attempt does not change by failing');
select is((tap.row(1)).revision, (select (b).revision + 1 from before), 'it is one revision');
select is(row((tap.row(1)).overall_progress, (tap.row(1)).stage_progress, (tap.row(1)).substeps), (select row((b).overall_progress, (b).stage_progress, (b).substeps) from before),
  'it keeps the values it halted at');
select is((tap.row(1)).stage_started_at, '2030-01-01 12:00+00', 'and when its stage began');
select is((select string_agg(s ->> 'name' || ' ' || (s ->> 'state') || ' ' || (s ->> 'progress'), ', ') from jsonb_array_elements(bindery.get_book_status(tap.id(1)) -> 'stages') s),
  'ANALYZING failed 68.75, GENERATING_SCENES pending 0, CREATING_ARTWORK pending 0', 'its stages show where it failed');
select is(tap.outcome(format('select bindery.fail_book(%L)', tap.id(1))), 'PT409 illegal_transition', 'a FAILED book cannot fail again');

select tap.clock('2030-01-01 12:20+00');
create temp table resumed as select * from bindery.resume_book(tap.id(1));
select is((select to_jsonb(r) from resumed r), to_jsonb(tap.row(1)), 'resume_book gives the row');
select is(row((tap.row(1)).status, (tap.row(1)).current_stage, (tap.row(1)).attempt), row('ANALYZING'::text, 'ANALYZING'::text, 2), 'it goes on in its stage, as the second attempt');
select is(row((tap.row(1)).error, (tap.row(1)).message), row(null::jsonb, null::text), 'error and message are gone');
select is((tap.row(1)).stage_started_at, '2030-01-01 12:20+00', 'the attempt begins now');
select is((tap.row(1)).heartbeat_at, '2030-01-01 12:20+00', 'and that is a sign of life');
select is((tap.row(1)).revision, (select (b).revision + 2 from before), 'a resume is one revision, and not one more for its rows');
select is((select row(progress, message, attempt) from bindery.book_progress where (book_id, substep) = (tap.id(1), 'extract_text')), row(100::float8, 'all read'::text, 1), 'a finished substep is kept');
select is((select row(progress, done, total, unit, message, checkpoint) from bindery.book_progress where (book_id, substep) = (tap.id(1), 'detect_chapters')),
  row(75::float8, 3::float8, 4::float8, 'chapter'::text, 'chapter 3'::text, '{"chapter": 3}'::jsonb), 'one with a checkpoint is kept whole');
select is((select row(progress, message, checkpoint, attempt, started_at) from bindery.book_progress where (book_id, substep) = (tap.id(1), 'analyze_characters')),
  row(0::float8, null::text, null::jsonb, 2, null::timestamptz), 'any other starts over');
select is(format('%s %s', (tap.row(1)).stage_progress, (tap.row(1)).overall_progress), '43.75 8.75', 'overall is worked out anew: (100 + 75 + 0) / 4; it does not flatter');
select is(array(select s ->> 'state' from jsonb_array_elements((tap.row(1)).substeps) s), '{done,active,pending}', 'and so are the substeps');

-- What follows.
select bindery.report_progress(tap.id(1), 'analyze_characters', 90, attempt => 1);
select is((tap.row(1)).overall_progress, 8.75::float8, 'a straggler of the first attempt has no effect');
select bindery.report_progress(tap.id(1), 'analyze_characters', 20, attempt => 2);
select is((tap.row(1)).overall_progress, 10.75::float8, 'the second attempt counts, from 0 upwards');
select is((select attempt from bindery.book_progress where (book_id, substep) = (tap.id(1), 'analyze_characters')), 2, 'its rows say so');
select is(tap.outcome(format('select bindery.resume_book(%L)', tap.id(1))), 'PT409 not_failed', 'only a FAILED book is resumed');
select is(tap.outcome(format('select bindery.resume_book(%L)', tap.id(99))), 'PT404 unknown_book', 'an unknown book is not');
select bindery.fail_book(tap.id(1));
select is((tap.row(1)).error, '{"code": "failed"}', 'an error left out is {"code": "failed"}');
select is(tap.outcome(format('select bindery.resume_book(%L, 1)', tap.id(1))), 'PT409 stale_revision', 'a resume may expect a revision');
select is(tap.outcome(format('select bindery.transition_book(%L, %L)', tap.id(1), 'GENERATING_SCENES')), 'PT409 illegal_transition', 'a FAILED book does not skip the stage that failed');
select is((select attempt from bindery.transition_book(tap.id(1), 'ANALYZING', 'once more')), 3, 'a transition to the stage that failed is a resume');
select is((tap.row(1)).message, 'once more', 'with its message');
select is((select array_agg(kind order by id) from bindery.book_events where book_id = tap.id(1)), '{register,transition,fail,resume,fail,resume}', 'the history tells it all');
select is((select attempt from bindery.transition_book(tap.id(1), 'GENERATING_SCENES')), 1, 'the next stage begins with attempt 1');

-- Bad input.
select is(tap.outcome(format('select bindery.fail_book(%L, %L)', tap.id(1), error)), 'PT422 bad_input', format('the error %s is refused', error))
from unnest(array['"boom"', '[]', '1', 'null']) error;
select is(tap.outcome(format('select bindery.fail_book(%L, message => repeat(%L, 8193))', tap.id(1), 'x')), 'PT422 bad_input', 'a message of 8,193 characters is refused');
select is(tap.outcome(format('select bindery.fail_book(%L, jsonb_build_object(%L, repeat(%L, 140000)))', tap.id(1), 'log', 'x')), 'PT422 bad_input', 'an error larger than 128 KiB is refused');
select is((tap.row(1)).status, 'GENERATING_SCENES', 'none of these failed the book');

-- From every state there is.
select is((select status || ' ' || current_stage from bindery.fail_book((tap.book(10 + cardinality(path), path)).book_id)), 'FAILED ' || coalesce(path[cardinality(path)], 'UPLOADED'),
  format('a book fails from %s', coalesce(path[cardinality(path)], 'UPLOADED')))
from (values ('{}'::text[]), ('{ANALYZING}'), ('{ANALYZING,GENERATING_SCENES}'), ('{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}')) v(path);
select is(tap.outcome(format('select bindery.fail_book(%L)', (tap.book(20, path)).book_id)), 'PT409 illegal_transition', format('but not from %s', path[cardinality(path)]))
from (values ('{CANCELLED}'::text[])) v(path);
select is(tap.outcome(format('select bindery.fail_book(%L)', (tap.book(21, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}')).book_id)), 'PT409 illegal_transition', 'nor from COMPLETED');
select is(tap.outcome(format('select bindery.resume_book(%L)', tap.id(20))), 'PT409 not_failed', 'CANCELLED is not resumed');
select is(tap.outcome(format('select bindery.resume_book(%L)', tap.id(21))), 'PT409 not_failed', 'nor is COMPLETED');

select * from finish();
rollback;
