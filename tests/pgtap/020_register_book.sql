begin;
\ir helpers.psql
select plan(37);
select tap.clock('2030-01-01 12:00+00');

create temp table registered as select * from bindery.register_book(tap.id(1), tap.id(900), 'comic', 'Moby Dick', '{"pages": 320}');
select is((select count(*)::int from registered), 1, 'registering gives one row');
select is((select to_jsonb(r) from registered r), (select to_jsonb(tap.row(1))), 'the row given is the row stored');
select is(to_jsonb(tap.row(1)) - 'substeps', jsonb_build_object(
  'book_id', tap.id(1), 'owner_id', tap.id(900), 'title', 'Moby Dick', 'pipeline', 'comic', 'pipeline_version', 1,
  'status', 'UPLOADED', 'current_stage', 'UPLOADED', 'overall_progress', 0, 'stage_progress', 0, 'message', null, 'error', null,
  'attempt', 1, 'revision', 1, 'resume_at', null, 'estimated_completion_at', null, 'metadata', '{"pages": 320}'::jsonb, 'completed_at', null)
  || (select jsonb_object_agg(k, to_jsonb('2030-01-01 12:00+00'::timestamptz)) from unnest(array['heartbeat_at', 'stage_started_at', 'created_at', 'updated_at']) k),
  'a new book stands at the start: first state, 0 percent, attempt 1, revision 1');
select is((tap.row(1)).substeps, '[]'::jsonb, 'UPLOADED has no substeps');

select tap.clock('2030-01-01 13:00+00');
create temp table before as select tap.snapshot(1) as s;
select is((select count(*)::int from bindery.register_book(tap.id(1), tap.id(900), 'comic', 'Moby Dick', '{"pages": 320}')), 1, 'the same call again succeeds');
select is(tap.outcome(format('select bindery.register_book(%L)', tap.id(1))), 'ok', 'the id alone is enough to register again');
select is((select revision from bindery.register_book(tap.id(1), title => 'Another title')), 1::bigint, 'registering again gives the row as it stands');
select is(tap.outcome(format('select bindery.register_book(%L, %L)', tap.id(1), tap.id(901))), 'PT409 conflicting_registration', 'another owner is a conflict');
select bindery.define_pipeline('other', '{"states": [{"name": "A", "weight": 1}, {"name": "Z"}]}');
select is(tap.outcome(format('select bindery.register_book(%L, pipeline => %L)', tap.id(1), 'other')), 'PT409 conflicting_registration', 'another pipeline is a conflict');
select is(tap.snapshot(1), (select s from before), 'none of these calls changed anything');
select is(tap.outcome(format('select bindery.register_book(%L, pipeline => %L)', tap.id(2), 'nope')), 'PT404 unknown_pipeline', 'an unknown pipeline is refused');
select is(tap.error(format('select bindery.register_book(%L, pipeline => %L)', tap.id(2), 'nope')) #>> '{detail,pipeline}', 'nope', 'the refusal names the pipeline');
select is(tap.outcome('select bindery.register_book(null)'), 'PT422 bad_input', 'a book without an id is refused');
select is(tap.error('select bindery.register_book(null)') #>> '{detail,argument}', 'book_id', 'the refusal names the argument');
select is(tap.outcome(format('select bindery.register_book(%L, title => repeat(%L, 1025))', tap.id(2), 'x')), 'PT422 bad_input', 'a title of 1,025 characters is refused');
select is(tap.outcome(format('select bindery.register_book(%L, title => repeat(%L, 1024))', tap.id(3), 'ü')), 'ok', 'a title of 1,024 characters, not bytes, is taken');
select is(tap.outcome(format('select bindery.register_book(%L, metadata => %L)', tap.id(2), value)), 'PT422 bad_input', format('metadata %s is refused', value))
from (values ('[]'), ('"x"'), ('1'), ('null')) v(value);
select is(tap.outcome(format('select bindery.register_book(%L, metadata => jsonb_build_object(%L, repeat(%L, 140000)))', tap.id(2), 'k', 'x')), 'PT422 bad_input',
  'metadata larger than 128 KiB is refused');
select is((select count(*)::int from bindery.book_status where book_id = tap.id(2)), 0, 'no refused registration left a book');
select is((tap.row(3)).metadata, '{}'::jsonb, 'metadata left out is an empty object');
select is((select owner_id from bindery.register_book(tap.id(4))), null, 'a book may have no owner');
select is(tap.outcome(format('select bindery.register_book(%L, %L)', tap.id(4), tap.id(900))), 'PT409 conflicting_registration', 'nobody takes over a book without an owner by registering it');

-- The same by a plain INSERT.
insert into bindery.book_status (book_id, overall_progress, revision, attempt, created_at, completed_at, error, current_stage)
values (tap.id(10), 77, 99, 5, '1999-01-01', '1999-01-01', '{"code": "x"}', 'CREATING_ARTWORK');
select is(to_jsonb(tap.row(10)) - array['book_id', 'owner_id', 'title', 'metadata'], to_jsonb((select r from bindery.register_book(tap.id(11)) r)) - array['book_id', 'owner_id', 'title', 'metadata'],
  'a plainly inserted book starts as a registered one, whatever the INSERT says');
select is((select array_agg(kind) from bindery.book_events where book_id = tap.id(10)), '{register}', 'a plain INSERT leaves its row in the history');
select is((select array_agg(kind) from bindery.outbox where book_id = tap.id(10)), '{transition}', 'a plain INSERT leaves its message in the outbox');
select is(tap.outcome(format('insert into bindery.book_status (book_id, status) values (%L, %L)', tap.id(12), 'UPLOADED')), 'ok', 'an INSERT may name the first status');
select is(tap.outcome(format('insert into bindery.book_status (book_id, status) values (%L, %L)', tap.id(13), status)), 'PT409 illegal_transition',
  format('an INSERT with the status %s is refused', status))
from unnest(array['ANALYZING', 'COMPLETED', 'FAILED', 'CANCELLED', 'NOPE']) status;
select is(tap.error(format('insert into bindery.book_status (book_id, status) values (%L, %L)', tap.id(13), 'FAILED')) #> '{detail,allowed}', '["UPLOADED"]', 'the refusal says where a book begins');
select is(tap.outcome(format('insert into bindery.book_status (book_id, pipeline) values (%L, %L)', tap.id(13), 'nope')), 'PT404 unknown_pipeline', 'an INSERT with an unknown pipeline is refused');
select is(tap.outcome(format('insert into bindery.book_status (book_id, pipeline_version) values (%L, 9)', tap.id(13))), 'PT404 unknown_pipeline', 'an INSERT with an unknown version is refused');

select * from finish();
rollback;
