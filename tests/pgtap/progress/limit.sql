-- A stage has at most 10,000 substeps: declared, planned and open ones together.
begin;
\ir ../helpers.psql
select plan(27);
select bindery.acquire_stream('tap', 'pgtap');
-- Reports of the substeps s_<from> to s_<to> of the n-th book, in one batch: applied and rejected.
create function tap.batch(n integer, from_substep integer, to_substep integer) returns text
language sql volatile as $$
  select format('%s applied, %s rejected', a.applied, a.rejected)
  from bindery.relay_cursors c
  cross join lateral bindery.apply_events('tap', c.epoch,
    split_part(c.position, '-', 1)::bigint + 1 || '-0',
    book_ids => array_fill(tap.id(n), array[to_substep - from_substep + 1]),
    substeps => (select array_agg('s_' || s order by s)
      from generate_series(from_substep, to_substep) s),
    progress => array_fill(50::double precision, array[to_substep - from_substep + 1])) a
  where c.stream = 'tap';
$$;
create function tap.plan_of(from_substep integer, to_substep integer) returns text
language sql immutable as $$
  select quote_literal(jsonb_agg(jsonb_build_object('substep', 's_' || s)))
  from generate_series(from_substep, to_substep) s;
$$;

-- Open substeps.
select tap.book(1, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}');
select is(
  tap.batch(1, 1, 9998), '9998 applied, 0 rejected', 'A batch may add 9,998 open substeps.');
select is(
  tap.batch(1, 9996, 10002), '5 applied, 2 rejected',
  'A batch adds open substeps up to 10,000 and rejects those beyond.');
select is(
  tap.reasons(), 'too_many_substeps, too_many_substeps',
  'The reason of a report beyond 10,000 substeps is too_many_substeps.');
select is(
  (select array_agg(payload ->> 'substep' order by id) from bindery.dead_letters),
  '{s_10001,s_10002}', 'The reports that come last in a batch are those beyond 10,000 substeps.');
select is((tap.row(1)).substeps_total, 10000, 'The stage has 10,000 substeps.');
select is(
  (select count(*)::integer from bindery.book_progress where book_id = tap.id(1)
    and stage = 'CREATING_ARTWORK'),
  10000, 'The stage has 10,000 rows.');
create temp table before as select tap.snapshot(1) as s;
select is(
  tap.call('report_progress', 1, '''one_more'', 10'), 'PT422 too_many_substeps',
  'report_progress refuses substep 10,001.');
select is(
  tap.refusal('report_progress', 1, '''one_more'', 10') #>> '{detail,substep}', 'one_more',
  'The detail of too_many_substeps names the substep.');
select is(
  tap.call('plan_substeps', 1, '''CREATING_ARTWORK'', ''[{"substep": "one_more"}]'''),
  'PT422 too_many_substeps', 'plan_substeps refuses substep 10,001.');
select is(
  tap.apply(tap.event('progress', 1, '{"substep": "one_more", "progress": 10}')), '0/0/0/1',
  'A progress event of substep 10,001 is rejected.');
select is(
  tap.apply(tap.event('plan', 1, '{"stage": "CREATING_ARTWORK",
    "substeps": [{"substep": "one_more"}]}')),
  '0/0/0/1', 'A plan event of substep 10,001 is rejected.');
select is(
  tap.reasons(), array_to_string(array_fill('too_many_substeps'::text, array[4]), ', '),
  'Every event of substep 10,001 becomes a dead letter with the reason too_many_substeps.');
select is(
  tap.outcome(format('insert into bindery.book_progress (book_id, stage, substep, updated_at)
    values (%L, %L, %L, now())', tap.id(1), 'CREATING_ARTWORK', 'one_more')),
  '23514', 'A plain INSERT of substep 10,001 is refused.');
select is(
  tap.snapshot(1), (select s from before),
  'What is refused beyond 10,000 substeps changes nothing.');
select is(
  tap.call('report_progress', 1, '''s_10000'', 100'), 'ok',
  'A stage with 10,000 substeps accepts reports of these.');
select is(
  tap.call('plan_substeps', 1, '''CREATING_ARTWORK'', ' || tap.plan_of(1, 10000)), 'ok',
  'A stage with 10,000 substeps accepts a plan of these.');
select is(
  (tap.row(1)).stage_progress, 50.01::double precision,
  'The percentage of 10,000 substeps is exact: (9,999 * 50 + 100) / 10,000.');

-- Planned ones before the stage is entered.
select tap.book(2, '{ANALYZING}');
select is(
  tap.call('plan_substeps', 2, '''GENERATING_SCENES'', ' || tap.plan_of(1, 9999)),
  'PT422 too_many_substeps',
  'A plan of 9,999 substeps for a later stage that declares 2 is refused.');
select is(
  tap.call('plan_substeps', 2, '''GENERATING_SCENES'', ' || tap.plan_of(1, 9998)), 'ok',
  'A plan of 9,998 substeps for a later stage that declares 2 is accepted.');
select is(
  tap.call('plan_substeps', 2, '''GENERATING_SCENES'', ' || tap.plan_of(9999, 9999)),
  'PT422 too_many_substeps', 'A second plan that exceeds 10,000 substeps is refused.');
select is(
  (bindery.transition_book(tap.id(2), 'GENERATING_SCENES')).substeps_total, 10000,
  'A book enters a stage of 10,000 substeps.');
select is(
  tap.call('plan_substeps', 2, '''GENERATING_SCENES'', ' || tap.plan_of(1, 10001)),
  'PT422 bad_input', 'A plan with more than 10,000 elements is bad input.');
select bindery.fail_book(tap.id(2));
select is(
  (bindery.resume_book(tap.id(2))).substeps_total, 10000,
  'A book resumes in a stage of 10,000 substeps.');

-- A report that would advance the book, to a stage without room for it.
select bindery.define_pipeline('auto', '{"auto_advance": true, "states": [
  {"name": "IN"}, {"name": "A", "weight": 1}, {"name": "B", "weight": 1, "open_substeps": true},
  {"name": "Z"}]}');
select tap.book(3, '{A}', 'auto');
select bindery.plan_substeps(tap.id(3), 'B', (
  select jsonb_agg(jsonb_build_object('substep', 's_' || s)) from generate_series(1, 10000) s));
drop table before;
create temp table before as select tap.snapshot(3) as s;
select is(
  tap.call('report_progress', 3, '''one_more'', 10, stage => ''B'''), 'PT422 too_many_substeps',
  'report_progress refuses substep 10,001 of the next stage.');
select is(
  tap.apply(tap.event('progress', 3, '{"stage": "B", "substep": "one_more", "progress": 10}')),
  '0/0/0/1', 'A progress event of substep 10,001 of the next stage is rejected.');
select is(
  tap.snapshot(3), (select s from before),
  'A report that is refused after the transition it would make changes nothing.');
select is(
  tap.call('report_progress', 3, '''s_1'', 10, stage => ''B'''), 'ok',
  'A report of a planned substep makes the transition.');

select * from finish();
rollback;
