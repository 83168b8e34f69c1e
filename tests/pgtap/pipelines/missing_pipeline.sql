-- A book whose pipeline is missing, as a restore of data can leave it: an error of that book alone.
begin;
\ir ../helpers.psql
select plan(23);
select bindery.define_pipeline('lost', '{"states": [{"name": "IN"},
  {"name": "WORK", "weight": 1, "open_substeps": true, "stall_after": "1 minute",
    "max_attempts": 3, "retry_after": "1 second"}, {"name": "OUT"}]}');
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{WORK}', 'lost'), tap.book(2, '{ANALYZING}'),
  tap.book(3, '{WORK,FAILED}', 'lost'), tap.book(4, '{WORK}', 'lost');
select bindery.report_progress(tap.id(1), 'page', 10);
set local session_replication_role = replica;
delete from bindery.pipelines where name = 'lost';
set local session_replication_role = origin;

select is(
  tap.call(f.name, 1, f.arguments), 'PT409 missing_pipeline',
  format('%s of a book without its pipeline is refused.', f.name))
from (values ('get_book_status', null), ('get_book_changes', '1'), ('list_substeps', null),
  ('get_resume_point', null), ('plan_substeps', $$'WORK', '[{"substep": "y"}]'$$),
  ('begin_stage', $$'WORK'$$), ('transition_book', $$'OUT'$$), ('fail_book', null),
  ('rewind_book', $$'IN'$$), ('cancel_book', null)) as f(name, arguments);
select is(
  tap.call('resume_book', 3), 'PT409 missing_pipeline',
  'resume_book of a book without its pipeline is refused.');
select is(
  tap.outcome(format('update bindery.book_status set status = %L where book_id = %L', 'OUT',
    tap.id(1))),
  'PT409 missing_pipeline', 'A plain UPDATE of its status is refused.');
select is(
  tap.refusal('get_book_status', 1) - 'sqlstate',
  jsonb_build_object(
    'message', format('The book %s follows version 1 of the pipeline lost, which is missing.',
      tap.id(1)),
    'hint', 'Restore the row of bindery.pipelines from the dump that the book came from.',
    'detail', jsonb_build_object('code', 'missing_pipeline', 'book_id', tap.id(1),
      'pipeline', 'lost', 'version', 1)),
  'The error names the book, the pipeline and the remedy.');

-- Lists.
select is(
  (select count(*)::integer from bindery.list_books()), 4, 'list_books lists every book.');
select is(
  (select string_agg(concat_ws(' ', s.json #>> '{missing_pipeline,code}',
      jsonb_array_length(s.json -> 'stages')), ', ' order by s.json ->> 'book_id')
    from bindery.book_status b
    cross join lateral (select bindery_internal.listed_status(b)) as s(json)),
  'missing_pipeline 0, 3, missing_pipeline 0, missing_pipeline 0',
  'A book without its pipeline is listed without stages and with the error.');
select is(
  bindery_internal.listed_status(tap.row(2)), bindery.get_book_status(tap.id(2)),
  'Another book is listed as get_book_status gives it.');
select is(
  bindery_internal.listed_status(tap.row(2), 2), bindery.get_book_changes(tap.id(2), 2),
  'Changes of another book are listed as get_book_changes gives them.');
select is(
  bindery_internal.listed_status(tap.row(1), 2) -> 'substeps_partial', 'false',
  'Changes of a book without its pipeline are the whole of it.');

-- Events.
select is(
  tap.apply(
    tap.event('progress', 1, '{"substep": "new_page", "progress": 50}'),
    tap.event('transition', 1, '{"to_status": "OUT"}'),
    tap.event('progress', 2, '{"substep": "extract_text", "progress": 60}')),
  '1/0/0/2', 'Of a batch, the events of a book without its pipeline are rejected.');
select is(
  (select string_agg(d.reason, ', ') from bindery.dead_letters d),
  'missing_pipeline, missing_pipeline', 'The reason of these dead letters is missing_pipeline.');

-- The sweep.
delete from bindery.relay_cursors;
select tap.clock('2030-01-01 12:30+00');
select is(
  (select (s ->> 'ran') || ' ' || (s ->> 'stalled') from bindery.sweep() s), 'true 1',
  'A sweep fails another stalled book.');
select is((tap.row(2)).status, 'FAILED', 'The other book is FAILED.');
select is((tap.row(1)).status, 'WORK', 'A book without its pipeline keeps its status.');
select * from finish();
rollback;
