begin;
\ir helpers.psql
select plan(29);
select bindery.define_pipeline('auto', '{"auto_advance": true, "states": [
  {"name": "IN"},
  {"name": "A", "weight": 1, "substeps": [{"name": "x"}]},
  {"name": "B", "weight": 1, "open_substeps": true, "next": [{"to": "C", "guard": "substeps_complete"}]},
  {"name": "C", "weight": 2},
  {"name": "Z"}]}');
create function tap.report(n integer, arguments text) returns text language sql volatile as $$
  select tap.outcome(format('select bindery.report_progress(%L, %s)', tap.id(n), arguments));
$$;

select tap.book(1, '{}', 'auto');
select is(tap.report(1, '''x'', 50, stage => ''B'''), 'PT409 stage_not_reached', 'a stage is not skipped');
select is(tap.report(1, '''nope'', 50, stage => ''A'''), 'PT422 unknown_substep', 'an unknown substep does not advance a book');
select is(tap.report(1, '''x'', 50, stage => ''A'', attempt => 2'), 'PT409 attempt_ahead', 'nor does an attempt to come');
select is((tap.row(1)).revision, 1::bigint, 'the book has not moved');
select is(tap.report(1, '''x'', 50, stage => ''A'''), 'ok', 'a report for the next stage is taken');
select is(row((tap.row(1)).status, (tap.row(1)).current_stage, (tap.row(1)).stage_progress, (tap.row(1)).overall_progress, (tap.row(1)).revision),
  row('A'::text, 'A'::text, 50::float8, 12.5::float8, 3::bigint), 'it makes the transition, and then counts');
select is((select array_agg(kind || ' ' || to_status order by id) from bindery.book_events where book_id = tap.id(1)), '{register IN,transition A}', 'the transition is in the history');
select is((select count(*)::int from bindery.outbox where book_id = tap.id(1)), 2, 'and in the outbox');
select is(tap.report(1, '''scan'', done => 1, total => 4, stage => ''B'''), 'ok', 'an open substep of the next stage advances the book too');
select is((tap.row(1)).status, 'B', 'it is there');
select is(tap.report(1, '''x'', 100, stage => ''A'''), 'ok', 'a late report for the stage before');
select is((tap.row(1)).stage_progress, 25::float8, 'is stale');
select is(tap.report(1, '''all'', 10, stage => ''C'''), 'PT409 stage_not_reached', 'a guarded edge is not taken by a report');
select is(tap.outcome(format('select bindery.transition_book(%L, %L)', tap.id(1), 'C')), 'PT409 illegal_transition', 'nor by a transition while its guard does not hold');
select ok((tap.error(format('select bindery.transition_book(%L, %L)', tap.id(1), 'C')) ->> 'message') like '%substeps_complete%', 'the refusal names the guard');
select is(tap.report(1, '''scan'', done => 4, total => 4'), 'ok', 'the substep gets done');
select is(tap.outcome(format('select bindery.transition_book(%L, %L)', tap.id(1), 'C')), 'ok', 'then the guard holds');
select is(tap.report(1, 'progress => 100'), 'ok', 'the last stage gets done');
select is(tap.report(1, '''all'', 10, stage => ''Z'''), 'PT404 unknown_stage', 'a report never completes a book');
select is((tap.row(1)).status, 'C', 'it waits for its transition');

-- As events: several substeps of the next stage in one segment, and coalesced counts.
select tap.book(2, '{A}', 'auto');
select is(tap.apply(
  tap.event('progress', 2, '{"segment": 0, "stage": "B", "substep": "scan", "progress": 75, "done": 3, "total": 4, "count": 3}'),
  tap.event('progress', 2, '{"segment": 0, "stage": "B", "substep": "print", "progress": 25, "count": 2}'),
  tap.event('progress', 2, '{"segment": 0, "stage": "A", "substep": "x", "progress": 90}')), '6/0/0',
  'a batch may hold reports for this stage and the next; those for the next come after');
select is(row((tap.row(2)).status, (tap.row(2)).stage_progress), row('B'::text, 75::float8), 'the book has advanced, and both reports count');
select is((select row(done, total) from bindery.book_progress where (book_id, substep) = (tap.id(2), 'scan')), row(3::float8, 4::float8), 'done and total came along');
select is((select actor from bindery.book_events where book_id = tap.id(2) order by id desc limit 1), 'relay:tap', 'the history names the relay for the advance');

-- Open substeps.
select tap.book(3, '{ANALYZING,GENERATING_SCENES}');
select is(tap.report(3, '''ink'', 5, stage => ''CREATING_ARTWORK'''), 'PT409 stage_not_reached', 'a pipeline that does not say auto_advance does not');
select bindery.transition_book(tap.id(3), 'CREATING_ARTWORK');
select is(tap.report(3, '''panel_1'', 100'), 'ok', 'an open stage takes a substep that was not declared');
select is(tap.report(3, 'progress => 0'), 'ok', 'and the substep all');
select is((tap.row(3)).substeps, '[{"name": "all", "label": "All", "state": "pending", "weight": 1, "progress": 0}, {"name": "panel_1", "label": "Panel 1", "state": "done", "weight": 1, "progress": 100}]',
  'each weighs 1, and they stand by name');
select is((tap.row(3)).stage_progress, 100::float8, 'the stage does not go back to their mean');

select * from finish();
rollback;
