-- outbox: what is written to it.
begin;
\ir ../helpers.psql
select plan(14);
delete from bindery.outbox;
select tap.clock('2030-01-01 12:00+00');
create function tap.newest() returns bindery.outbox language sql volatile as $$
  select o from bindery.outbox o order by o.id desc limit 1;
$$;

select tap.book(1, '{ANALYZING}');
select bindery.report_progress(tap.id(1), 'extract_text', 100);
select bindery.report_progress(tap.id(1), 'detect_chapters', done => 1, total => 2,
  unit => 'chapter', checkpoint => '{"chapter": 1}');
select is(
  (select array_agg(kind || ' ' || (payload ->> 'to_status') order by id) from bindery.outbox),
  '{"transition UPLOADED","transition ANALYZING"}',
  'Every change of status writes a message, and a report writes none.');
select is(
  (tap.newest()).payload,
  jsonb_build_object('book_id', tap.id(1), 'revision', 2, 'from_status', 'UPLOADED',
    'to_status', 'ANALYZING', 'stage', 'ANALYZING', 'attempt', 1),
  'A message of kind transition has the book, both statuses, the stage and the attempt.');
select is(
  (select row(book_id, revision, created_at) from tap.newest()),
  row(tap.id(1), 2::bigint, '2030-01-01 12:00+00'::timestamptz),
  'A message has its book, revision and time as columns.');

select bindery.fail_book(tap.id(1));
select is(
  (select row(kind, payload ->> 'to_status') from tap.newest()),
  row('transition'::text, 'FAILED'::text), 'A failure writes a message of kind transition.');
select bindery.resume_book(tap.id(1));
select is((tap.newest()).kind, 'resume', 'A resume writes a message of kind resume.');
select is(
  (tap.newest()).payload -> 'resume_point', bindery.get_resume_point(tap.id(1)),
  'A message of kind resume has the resume point as it is after the resume.');
select is(
  (tap.newest()).payload #> '{resume_point,done}', '["extract_text"]',
  'The resume point names the substeps that are done.');
select is(
  (tap.newest()).payload #> '{resume_point,left,0}',
  '{"substep": "detect_chapters", "weight": 1, "progress": 50, "done": 1, "total": 2,
    "unit": "chapter", "checkpoint": {"chapter": 1}}',
  'The resume point has each substep that is left, with its checkpoint.');
select is(
  (tap.newest()).payload ->> 'attempt', '2', 'A message of kind resume has the new attempt.');
update bindery.book_status set status = 'GENERATING_SCENES' where book_id = tap.id(1);
select is(
  (tap.newest()).payload ->> 'to_status', 'GENERATING_SCENES', 'A plain UPDATE writes a message.');

create temp table before as select count(*) as n from bindery.outbox;
select is(
  tap.call('transition_book', 1, '''COMPLETED'''), 'PT409 illegal_transition',
  'The transition to COMPLETED is illegal here.');
select is(
  (select count(*) from bindery.outbox), (select n from before),
  'A refused transition writes no message.');
select bindery.transition_book(tap.id(1), 'GENERATING_SCENES');
select is(
  (select count(*) from bindery.outbox), (select n from before),
  'A transition to the same status writes no message.');
select is(
  (select array_agg(id order by id) = array_agg(id order by revision) from bindery.outbox
    where book_id = tap.id(1)),
  true, 'The messages of a book are in the order of its revisions.');

select * from finish();
rollback;
