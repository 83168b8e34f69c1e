begin;
\ir helpers.psql
select plan(41);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}');
select bindery.report_progress(tap.id(1), 'extract_text', 50);
create function tap.health(n integer, moment text) returns text language sql volatile as $$
  select tap.clock(moment);
  select bindery.get_book_status(tap.id(n)) ->> 'health';
$$;

select is(array(select k from jsonb_object_keys(bindery.get_book_status(tap.id(1))) k order by k), array(select k from unnest(array[
  'book_id', 'owner_id', 'title', 'pipeline', 'pipeline_version', 'status', 'current_stage', 'overall_progress', 'stage_progress', 'substeps', 'message', 'error', 'attempt',
  'revision', 'heartbeat_at', 'stage_started_at', 'resume_at', 'estimated_completion_at', 'metadata', 'created_at', 'updated_at', 'completed_at', 'stages', 'health']) k order by k),
  'the answer has the columns of book_status, stages and health, and nothing else');
select is(bindery.get_book_status(tap.id(1)) - array['stages', 'health'], to_jsonb(tap.row(1)), 'its columns are those of the row');
select is(bindery.get_book_status(tap.id(1)) -> 'stages', '[
  {"name": "ANALYZING", "label": "Reading the book", "state": "active", "progress": 12.5},
  {"name": "GENERATING_SCENES", "label": "Cutting scenes", "state": "pending", "progress": 0},
  {"name": "CREATING_ARTWORK", "label": "Drawing", "state": "pending", "progress": 0}]', 'the stages stand in order, each with its state and progress');
select is(bindery.get_book_status(tap.id(1)) ->> 'overall_progress', '2.5', 'overall_progress is a plain number');
select tap.book(2), tap.book(3, '{ANALYZING,GENERATING_SCENES}'), tap.book(4, '{ANALYZING,CANCELLED}'), tap.book(5, '{ANALYZING,FAILED}'),
  tap.book(6, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}'), tap.book(11, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}');
select is(bindery.get_book_status(tap.id(2)) #>> '{stages,0,state}', 'pending', 'before the first stage all are pending');
select is(bindery.get_book_status(tap.id(3)) #>> '{stages,0,state}', 'done', 'a stage that was left is done');
select is(bindery.get_book_status(tap.id(3)) #>> '{stages,0,progress}', '100', 'and at 100');
select is(bindery.get_book_status(tap.id(4)) #>> '{stages,0,state}', 'cancelled', 'a cancelled book shows where');
select is(bindery.get_book_status(tap.id(5)) #>> '{stages,0,state}', 'failed', 'a failed one too');
select is(array(select s ->> 'state' from jsonb_array_elements(bindery.get_book_status(tap.id(6)) -> 'stages') s),
  '{done,done,done}', 'of a completed one all are done');
select is(tap.outcome(format('select bindery.get_book_status(%L)', tap.id(99))), 'PT404 unknown_book', 'an unknown book is refused');
select is(tap.outcome('select bindery.get_book_status(null)'), 'PT404 unknown_book', 'no book is refused');
select is((select provolatile::text from pg_proc where oid = 'bindery.get_book_status'::regproc), 's', 'get_book_status is STABLE, so that it can be asked for with GET');

-- Health: ANALYZING stalls after 2 minutes.
select is(tap.health(1, '2030-01-01 12:00:00+00'), 'live', 'a book just heard of is live');
select is(tap.health(1, '2030-01-01 12:01:00+00'), 'live', 'until half the time is over');
select is(tap.health(1, '2030-01-01 12:01:01+00'), 'quiet', 'then it is quiet');
select is(tap.health(1, '2030-01-01 12:02:00+00'), 'quiet', 'until all of it is');
select is(tap.health(1, '2030-01-01 12:02:01+00'), 'stalled', 'then it is stalled');
select bindery.heartbeat(tap.id(1));
select is(tap.health(1, '2030-01-01 12:03:00+00'), 'live', 'a heartbeat brings it back');
select is(tap.health(2, '2031-01-01+00'), 'live', 'a state that has no time to stall is always live');
select is(tap.health(n, '2031-01-01+00'), null, format('a %s book has no health', (tap.row(n)).status)) from generate_series(4, 6) n;
select bindery.fail_book(tap.id(1), '{"code": "stalled"}');
select is(tap.health(1, '2031-01-01+00'), 'stalled', 'a book that FAILED because it stalled says so');
select is(tap.health(3, '2029-01-01+00'), 'live', 'a clock that goes back harms nothing');

-- get_resume_point.
select tap.clock('2030-01-01 12:00+00');
select tap.book(10, '{ANALYZING}');
select is(bindery.get_resume_point(tap.id(10)), jsonb_build_object('book_id', tap.id(10), 'status', 'ANALYZING', 'stage', 'ANALYZING', 'attempt', 1, 'revision', 2, 'done', '[]'::jsonb, 'left', '[
    {"substep": "extract_text", "weight": 1, "progress": 0, "checkpoint": null}, {"substep": "detect_chapters", "weight": 1, "progress": 0, "checkpoint": null},
    {"substep": "analyze_characters", "weight": 2, "progress": 0, "checkpoint": null}]'::jsonb), 'at first all is left');
select bindery.report_progress(tap.id(10), 'detect_chapters', 100, checkpoint => '{"x": 1}');
select bindery.report_progress(tap.id(10), 'analyze_characters', done => 2, total => 8, unit => 'name', message => 'Ishmael', checkpoint => '["Ishmael", "Ahab"]');
select is(bindery.get_resume_point(tap.id(10)) -> 'done', '["detect_chapters"]', 'what is done stands by name');
select is(bindery.get_resume_point(tap.id(10)) #> '{left,1}', '{"substep": "analyze_characters", "weight": 2, "progress": 25, "done": 2, "total": 8, "unit": "name", "message": "Ishmael", "checkpoint": ["Ishmael", "Ahab"]}',
  'what is left has all there is to go on from');
select bindery.fail_book(tap.id(10));
select is(bindery.get_resume_point(tap.id(10)) ->> 'status', 'FAILED', 'a FAILED book has one too');
select is(tap.outcome(format('select bindery.get_resume_point(%L)', tap.id(99))), 'PT404 unknown_book', 'an unknown book has none');
select is(bindery.get_resume_point(tap.id(11)) -> 'left', '[]', 'a stage with no substep yet has nothing to list');

-- list_books.
delete from bindery.book_status;
select tap.clock(format('2030-01-01 12:%s+00', lpad(n::text, 2, '0'))), tap.book(n) from generate_series(1, 5) n;
select is(array(select book_id from bindery.list_books()), array(select tap.id(n) from unnest(array[5, 4, 3, 2, 1]) n), 'list_books gives the newest first');
select is((select count(*)::int from bindery.list_books(n)), expected, format('list_books(%s) gives %s of 5', coalesce(n::text, 'null'), expected))
from (values (2, 2), (0, 0), (-1, 0), (2147483647, 5), (null, 0)) v(n, expected);
select is((select to_jsonb(l) from bindery.list_books(1) l), to_jsonb(tap.row(5)), 'each as its row');
select is((select provolatile::text from pg_proc where oid = 'bindery.list_books'::regproc), 's', 'list_books is STABLE');
insert into bindery.book_status (book_id) select gen_random_uuid() from generate_series(1, 1100);
select is((select count(*)::int from bindery.list_books()), 100, '100 unless told');
select is((select count(*)::int from bindery.list_books(5000)), 1000, '1,000 at most');

select * from finish();
rollback;
