-- report_progress: in a pipeline with auto_advance, a report for the next stage makes the
-- transition.
begin;
\ir ../helpers.psql
select plan(25);
select bindery.define_pipeline('auto', '{"auto_advance": true, "states": [
  {"name": "IN"},
  {"name": "A", "weight": 1, "substeps": [{"substep": "x"}]},
  {"name": "B", "weight": 1, "open_substeps": true,
    "next": [{"to": "C", "guard": "substeps_complete"}]},
  {"name": "C", "weight": 2},
  {"name": "Z"}]}');
create function tap.report(n integer, arguments text) returns text language sql volatile as $$
  select tap.call('report_progress', n, arguments);
$$;

select tap.book(1, '{}', 'auto');
select is(
  tap.report(1, '''x'', 50, stage => ''B'''), 'PT409 stage_not_reached',
  'A report does not skip a stage.');
select is(
  tap.report(1, '''nope'', 50, stage => ''A'''), 'PT422 unknown_substep',
  'A report of an undeclared substep of the next stage is refused.');
select is(
  tap.report(1, '''x'', 50, stage => ''A'', attempt => 2'), 'PT409 attempt_ahead',
  'A report of a later attempt at the next stage is refused.');
select is((tap.row(1)).revision, 1::bigint, 'A refused report makes no transition.');
select is(
  tap.report(1, '''x'', 50, stage => ''A'''), 'ok', 'A report for the next stage is accepted.');
select is(
  (select row(status, current_stage, stage_progress, overall_progress, revision) from tap.row(1)),
  row('A'::text, 'A'::text, 50::double precision, 12.5::double precision, 3::bigint),
  'A report for the next stage makes the transition and then counts.');
select is(
  tap.last_event(1), 'transition IN>A A/1', 'The transition by a report is in the history.');
select is(
  (select count(*)::integer from bindery.outbox where book_id = tap.id(1)), 2,
  'The transition by a report is in the outbox.');
select is(
  tap.report(1, '''scan'', done => 1, total => 4, stage => ''B'''), 'ok',
  'A report of an open substep of the next stage is accepted.');
select is(
  (select row(status, stage_progress) from tap.row(1)), row('B'::text, 25::double precision),
  'A report of an open substep makes the transition and counts.');
select is(
  tap.report(1, '''x'', 100, stage => ''A'''), 'ok',
  'A report for the stage before the current one is not an error.');
select is(
  (select row(status, stage_progress) from tap.row(1)), row('B'::text, 25::double precision),
  'A report for the stage before the current one has no effect.');

-- Guarded edges and the end.
select is(
  tap.report(1, '''all'', 10, stage => ''C'''), 'PT409 stage_not_reached',
  'A report does not take an edge with a guard.');
select is(
  tap.call('transition_book', 1, '''C'''), 'PT409 illegal_transition',
  'A transition is refused while substeps_complete does not hold.');
select alike(
  tap.refusal('transition_book', 1, '''C''') ->> 'message', '%substeps_complete%',
  'The message of the refused transition names the guard.');
select bindery.report_progress(tap.id(1), 'scan', done => 4, total => 4);
select is(
  tap.call('transition_book', 1, '''C'''), 'ok',
  'A transition is made once substeps_complete holds.');
select bindery.report_progress(tap.id(1), progress => 100);
select is(
  tap.report(1, '''all'', 10, stage => ''Z'''), 'PT404 unknown_stage',
  'A report does not complete a book.');
select is((tap.row(1)).status, 'C', 'A book waits in its last stage for its transition.');

-- Events.
select tap.book(2, '{A}', 'auto');
select is(
  tap.apply(
    tap.event('progress', 2, '{"segment": 0, "stage": "B", "substep": "scan", "progress": 75,
      "done": 3, "total": 4, "count": 3}'),
    tap.event('progress', 2, '{"segment": 0, "stage": "B", "substep": "print", "progress": 25,
      "count": 2}'),
    tap.event('progress', 2, '{"segment": 0, "stage": "A", "substep": "x", "progress": 90}')),
  '5/1/0/0', 'Progress events for the next stage advance the book, and the stage left is stale.');
select is(
  (select row(status, stage_progress) from tap.row(2)), row('B'::text, 50::double precision),
  'Progress events of two substeps of the next stage both count.');
select is(
  (select row(s.done, s.total) from tap.substep(2, 'scan') s),
  row(3::double precision, 4::double precision),
  'A progress event that advances the book keeps its done and total.');
select is(
  (select actor from bindery.book_events
    where book_id = tap.id(2) order by revision desc limit 1),
  'relay:tap', 'The actor of a transition by an event is its relay.');

-- The same as arrays.
select tap.book(3, '{A}', 'auto');
select is(
  (select format('%s/%s/%s/%s', a.applied, a.stale, a.early, a.rejected)
    from bindery.relay_cursors c
    cross join lateral bindery.apply_events('tap', c.epoch, '1000-0', segments => '{0,0,0}',
      book_ids => array_fill(tap.id(3), array[3]), stages => '{B,B,A}',
      substeps => '{scan,print,x}', progress => '{75,25,90}', counts => '{3,2,1}') a
    where c.stream = 'tap'),
  '6/0/0/0', 'Reports for the current stage in one segment apply before those for the next stage.');
select is(
  (select row(status, stage_progress) from tap.row(3)), row('B'::text, 50::double precision),
  'Reports of two substeps of the next stage in one segment both count.');

-- A pipeline without auto_advance.
select tap.book(4, '{ANALYZING,GENERATING_SCENES}');
select is(
  tap.report(4, '''ink'', 5, stage => ''CREATING_ARTWORK'''), 'PT409 stage_not_reached',
  'A pipeline without auto_advance refuses a report for the next stage.');

select * from finish();
rollback;
