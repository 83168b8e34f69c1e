begin;
\ir helpers.psql
select plan(37);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}');
select bindery.report_progress(tap.id(1), 'extract_text', 50);
create temp table before as select tap.snapshot(1) as s;

select is(tap.outcome(format('update bindery.book_status set %s where book_id = %L', change, tap.id(1))), 'PT422 column_is_derived',
  format('an UPDATE of %s is refused', change))
from unnest(array['current_stage = ''GENERATING_SCENES''', 'attempt = 2', 'attempt = attempt + 1', 'pipeline = ''other''', 'pipeline_version = 2',
  'book_id = gen_random_uuid()', 'created_at = now()', 'revision = 1', 'revision = revision - 1',
  'current_stage = ''COMPLETED'', title = ''x''', 'status = ''GENERATING_SCENES'', pipeline = ''other''', 'status = ''GENERATING_SCENES'', revision = 1']) change;
select is(tap.snapshot(1), (select s from before), 'the book is as it was after all of these');
select ok(length(e ->> 'hint') > 10, 'the refusal says what to do instead')
from tap.error(format('update bindery.book_status set attempt = 9 where book_id = %L', tap.id(1))) e;
select is(tap.outcome(format('update bindery.book_status set %s where book_id = %L', change, tap.id(1))), code, format('%s is refused', why))
from (values ('title = repeat(''x'', 1025)', 'PT422 bad_input', 'a title that is too long'), ('message = repeat(''x'', 8193)', 'PT422 bad_input', 'a message that is too long'),
  ('metadata = ''[]''', 'PT422 bad_input', 'metadata that is no object'), ('metadata = null', 'PT422 bad_input', 'metadata that is null'), ('error = ''"x"''', 'PT422 bad_input', 'an error that is no object'),
  ('overall_progress = 50', 'PT422 column_is_derived', 'a percentage by hand'), ('completed_at = now()', 'PT422 column_is_derived', 'a completion by hand'),
  ('status = null', 'PT422 bad_input', 'a status that is null')) v(change, code, why);

-- What may be changed by hand is a visible change.
create function tap.touched(change text) returns text language plpgsql as $$
declare
  old bindery.book_status := tap.row(1);
  new bindery.book_status;
begin
  perform tap.clock((bindery_internal.now() + interval '1 minute')::text);
  execute format('update bindery.book_status set %s where book_id = %L', change, tap.id(1));
  new := tap.row(1);
  return format('%s %s %s', new.revision - old.revision, new.updated_at = bindery_internal.now(), new.heartbeat_at = old.heartbeat_at);
end
$$;
select is(tap.touched(change), '1 t t', format('%s makes one revision and is no heartbeat', change))
from unnest(array['title = ''A''', 'message = ''hello''', 'metadata = ''{"a": 1}''', 'owner_id = ''00000000-0000-4000-8000-000000000900''', 'title = ''B'', message = ''both at once''']) change;
select is(tap.touched(change), '0 f t', format('%s changes nothing and makes no revision', change)) from unnest(array['title = ''B''', 'metadata = ''{"a": 1}''']) change;
select is((select count(*)::int from bindery.book_events where book_id = tap.id(1)), 2, 'none of these is a change of status, so none is in the history');

-- A change of status by hand: what follows from it is worked out, whatever the UPDATE says.
update bindery.book_status set status = 'GENERATING_SCENES', current_stage = 'UPLOADED', attempt = 7, revision = 1000, overall_progress = 99, stage_progress = 99,
  substeps = '[]', completed_at = now(), resume_at = now() where book_id = tap.id(1);
select is(row((tap.row(1)).current_stage, (tap.row(1)).attempt, (tap.row(1)).overall_progress, (tap.row(1)).stage_progress, jsonb_array_length((tap.row(1)).substeps)),
  row('GENERATING_SCENES'::text, 1, 20::float8, 0::float8, 2), 'stage, attempt and percents follow from the status alone');
select is((tap.row(1)).revision, (select (s #>> '{book,revision}')::bigint from before) + 6, 'and so does the revision');
select is((tap.row(1)).resume_at, null, 'and so does resume_at');
select is((tap.row(1)).message, null, 'the message of an earlier change is gone');

update bindery.book_status set status = 'FAILED', message = 'no paper', error = '{"pages": 3}' where book_id = tap.id(1);
select is((tap.row(1)).error, '{"code": "failed", "pages": 3}', 'an error without a code gets one');
select is((select data from bindery.book_events where book_id = tap.id(1) order by id desc limit 1), '{"code": "failed", "pages": 3}', 'the history keeps the error');
select is((select message from bindery.book_events where book_id = tap.id(1) order by id desc limit 1), 'no paper', 'the history keeps the message');

select * from finish();
rollback;
