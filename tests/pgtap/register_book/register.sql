-- register_book: a new book, and the same call again.
begin;
\ir ../helpers.psql
select plan(17);
select tap.clock('2030-01-01 12:00+00');

create temp table registered as
  select * from bindery.register_book(
    tap.id(1), tap.id(900), 'comic', 'Moby Dick', '{"pages": 320}');
select is((select count(*)::integer from registered), 1, 'register_book returns one row.');
select is(
  (select to_jsonb(r) from registered r), to_jsonb(tap.row(1)),
  'register_book returns the row that is stored.');
select is(
  tap.visible(1),
  jsonb_build_object('book_id', tap.id(1), 'owner_id', tap.id(900), 'title', 'Moby Dick',
    'pipeline', 'comic', 'pipeline_version', 1, 'status', 'UPLOADED', 'current_stage', 'UPLOADED',
    'overall_progress', 0, 'stage_progress', 0, 'substeps_total', 0, 'substeps_done', 0,
    'message', null, 'error', null, 'attempt', 1, 'revision', 1, 'resume_at', null,
    'estimated_completion_at', null, 'metadata', '{"pages": 320}'::jsonb, 'completed_at', null)
    || (
      select jsonb_object_agg(k, to_jsonb('2030-01-01 12:00+00'::timestamptz))
      from unnest(array['heartbeat_at', 'stage_entered_at', 'stage_started_at', 'created_at',
        'updated_at']) k),
  'A new book is in the first state, at 0 percent, in attempt 1, at revision 1.');
select is(
  (select count(*)::integer from bindery.book_progress where book_id = tap.id(1)),
  0, 'A book in a first state without substeps has no rows in book_progress.');
select is((bindery.register_book(tap.id(2))).metadata, '{}', 'Without metadata it is {}.');
select is((tap.row(2)).owner_id, null, 'A book may have no owner.');
select is((tap.row(2)).pipeline, 'comic', 'Without a pipeline the book follows comic.');
select is(
  tap.call('register_book', 3, $$title => repeat('ü', 1024)$$),
  'ok', 'A title of 1,024 characters is accepted, whatever its number of bytes.');

-- A first state that is a stage.
select bindery.define_pipeline('direct', '{"states": [
  {"name": "A", "weight": 1,
    "substeps": [{"substep": "x", "label": "The X", "weight": 3}, {"substep": "y"}]},
  {"name": "Z"}]}');
select is(
  (tap.book(10, '{}', 'direct')).substeps_total, 2,
  'A book whose first state has substeps begins with these.');
select is(
  tap.listed(10), 'x pending 0, y pending 0',
  'The substeps of the first state are pending once the book is registered.');
select is(
  tap.snapshot(10) #> '{progress,0}',
  jsonb_build_object('book_id', tap.id(10), 'stage', 'A', 'substep', 'x', 'weight', 3,
    'progress', 0, 'points', 0, 'done', null, 'total', null, 'unit', null, 'message', null,
    'checkpoint', null, 'attempt', 1, 'revision', 1, 'started_at', null,
    'updated_at', '2030-01-01T12:00:00+00:00'::timestamptz),
  'A declared substep has a row in book_progress with its weight.');
select is(
  (bindery.report_progress(tap.id(10), 'x', 50)).stage_progress, 37.5::double precision,
  'The first report of a declared substep counts with its weight.');

-- The same call again.
select tap.clock('2030-01-01 13:00+00');
create temp table before as select tap.snapshot(1) as s;
select is(
  tap.call('register_book', 1, format('%L, %L, %L, %L',
    tap.id(900), 'comic', 'Moby Dick', '{"pages": 320}')),
  'ok', 'The same registration again succeeds.');
select is(tap.call('register_book', 1), 'ok', 'A registered book is found by its id alone.');
select is(
  (bindery.register_book(tap.id(1), title => 'Another title')).title, 'Moby Dick',
  'A repeated registration returns the row as it is and changes no title.');
select is(
  (bindery.register_book(tap.id(1), metadata => '{"pages": 1}')).metadata, '{"pages": 320}',
  'A repeated registration changes no metadata.');
select is(tap.snapshot(1), (select s from before), 'A repeated registration changes nothing.');

select * from finish();
rollback;
