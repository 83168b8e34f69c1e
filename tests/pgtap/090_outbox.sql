begin;
\ir helpers.psql
select plan(19);
delete from bindery.outbox;
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}');
select bindery.report_progress(tap.id(1), 'extract_text', 100);
select bindery.report_progress(tap.id(1), 'detect_chapters', done => 1, total => 2, unit => 'chapter', checkpoint => '{"chapter": 1}');
select is((select array_agg(kind || ' ' || (payload ->> 'to') order by id) from bindery.outbox), '{"transition UPLOADED","transition ANALYZING"}',
  'every change of status is in the outbox, no report is');
select is((select payload from bindery.outbox order by id desc limit 1),
  jsonb_build_object('book_id', tap.id(1), 'revision', 2, 'from', 'UPLOADED', 'to', 'ANALYZING', 'stage', 'ANALYZING', 'attempt', 1), 'with all that there is to know of it');
select is((select row(book_id, revision, created_at) from bindery.outbox order by id desc limit 1), row(tap.id(1), 2::bigint, '2030-01-01 12:00+00'::timestamptz),
  'and its book, revision and moment as columns');
select bindery.fail_book(tap.id(1));
select bindery.resume_book(tap.id(1));
select is((select kind from bindery.outbox order by id desc limit 1), 'resume', 'a resume is a command of its own');
select is((select payload -> 'resume_point' from bindery.outbox order by id desc limit 1), bindery.get_resume_point(tap.id(1)), 'it carries the resume point, as it is after the resume');
select is((select payload #> '{resume_point,done}' from bindery.outbox order by id desc limit 1), '["extract_text"]', 'with what is done');
select is((select payload #> '{resume_point,left,0}' from bindery.outbox order by id desc limit 1),
  '{"substep": "detect_chapters", "weight": 1, "progress": 50, "done": 1, "total": 2, "unit": "chapter", "checkpoint": {"chapter": 1}}', 'and what is left, with its checkpoint');
select is((select payload ->> 'attempt' from bindery.outbox order by id desc limit 1), '2', 'and the attempt to work in');
update bindery.book_status set status = 'GENERATING_SCENES' where book_id = tap.id(1);
select is((select payload ->> 'to' from bindery.outbox order by id desc limit 1), 'GENERATING_SCENES', 'a plain UPDATE is in the outbox too');
select is(tap.outcome(format('select bindery.transition_book(%L, %L)', tap.id(1), 'COMPLETED')), 'PT409 illegal_transition', 'a refused transition');
select is((select count(*)::int from bindery.outbox), 5, 'is not');

-- Taking.
create temp table expected as select id, payload from bindery.outbox order by id;
create temp table taken as select row_number() over () as n, t.* from bindery.take_outbox(2) t;
select results_eq('select id, payload from taken order by n', 'select id, payload from expected order by id limit 2', 'the oldest messages are taken, in order');
select is((select count(*)::int from bindery.outbox), 3, 'and are gone from the outbox');
savepoint publishing;
select results_eq('select id from bindery.take_outbox()', 'select id from expected order by id offset 2', 'the rest follows');
select is((select count(*)::int from bindery.outbox), 0, 'then it is empty');
rollback to publishing;
select is((select count(*)::int from bindery.outbox), 3, 'a rollback puts them back');
select is((select count(*)::int from bindery.take_outbox(n)), 0, format('take_outbox(%s) takes none', coalesce(n::text, 'null'))) from (values (0), (-1)) v(n);
delete from bindery.book_status where book_id = tap.id(1);
select is((select count(*)::int from bindery.take_outbox(10000)), 3, 'messages outlive their book');

select * from finish();
rollback;
