-- Rework, and how attempts are counted over several visits of a stage.
begin;
\ir ../helpers.psql
\ir loops.psql
select plan(18);
select tap.clock('2030-01-01 12:00+00');

select tap.book(2, '{DRAFTING,CHECKING}', 'loops');
select bindery.transition_book(tap.id(2), 'DRAFTING');
select is((tap.row(2)).attempt, 2, 'Rework is the next attempt at the earlier stage.');
select is(
  tap.last_event(2), 'transition CHECKING>DRAFTING DRAFTING/2',
  'Rework is a transition in the history.');
select bindery.fail_book(tap.id(2)), bindery.resume_book(tap.id(2));
select is((tap.row(2)).attempt, 3, 'A resume is one more attempt.');
select bindery.transition_book(tap.id(2), 'CHECKING'),
  bindery.transition_book(tap.id(2), 'DRAFTING'),
  bindery.transition_book(tap.id(2), 'CHECKING');
select is((tap.row(2)).attempt, 3, 'Each stage counts its own attempts.');
select bindery.transition_book(tap.id(2), 'MENDING');
select is((tap.row(2)).attempt, 1, 'A stage that was never entered begins with attempt 1.');
select is(
  tap.call('transition_book', 2, '''FAILED'', attempt => 2'), 'PT409 attempt_ahead',
  'A transition of an attempt that has not begun is refused.');
select bindery.rewind_book(tap.id(2), 'CHECKING');
select is((tap.row(2)).attempt, 4, 'A rewind is one more attempt.');
select bindery.plan_substeps(tap.id(2), 'MENDING', '[{"substep": "all", "weight": 1}]');
select bindery.transition_book(tap.id(2), 'MENDING');
select is((tap.row(2)).attempt, 2, 'A plan for a stage does not count as an attempt.');
select bindery.fail_book(tap.id(2));
select is(
  (tap.row(2)).resume_at, null, 'A visit counts towards max_attempts: the failure is not retried.');
select is(
  (bindery.transition_book(tap.id(2), 'MENDING', attempt => 1)).status, 'FAILED',
  'A transition from an earlier attempt has no effect on a FAILED book.');
select is(
  (bindery.fail_book(tap.id(2), attempt => 1)).attempt, 2,
  'A failure from an earlier attempt has no effect on a FAILED book.');

-- stage_visits.
select tap.book(5, '{}', 'loops');
select is(
  (select count(*)::integer from bindery.stage_visits where book_id = tap.id(5)), 0,
  'A book that has left no stage has no visits.');
select tap.clock('2030-01-01 12:01+00');
select bindery.transition_book(tap.id(5), 'DRAFTING');
select tap.clock('2030-01-01 12:03+00');
select bindery.transition_book(tap.id(5), 'CHECKING');
select is(
  (select row(attempt, entered_at, left_at, seconds) from bindery.stage_visits
    where book_id = tap.id(5) and stage = 'DRAFTING'),
  row(1, '2030-01-01 12:01+00'::timestamptz, '2030-01-01 12:03+00'::timestamptz,
    120::double precision),
  'A stage that a book leaves forward has a visit with its attempt, its times and its length.');
select tap.clock('2030-01-01 12:04+00');
select bindery.transition_book(tap.id(5), 'DRAFTING');
select is(
  (select row(attempt, seconds) from bindery.stage_visits
    where book_id = tap.id(5) and stage = 'CHECKING'),
  row(1, null::double precision), 'A visit that ends in rework has no length.');
select tap.clock('2030-01-01 12:05+00');
select bindery.fail_book(tap.id(5));
select is(
  (select attempt from bindery.stage_visits where book_id = tap.id(5) and stage = 'DRAFTING'), 1,
  'A failure ends no visit.');
select tap.clock('2030-01-01 12:10+00');
select bindery.resume_book(tap.id(5));
select tap.clock('2030-01-01 12:14+00');
select bindery.transition_book(tap.id(5), 'CHECKING');
select is(
  (select row(attempt, seconds) from bindery.stage_visits
    where book_id = tap.id(5) and stage = 'DRAFTING'),
  row(3, 600::double precision),
  'A visit has the last of its attempts, and its length includes halts.');
select bindery.rewind_book(tap.id(5), 'START');
select is(
  (select row(attempt, seconds) from bindery.stage_visits
    where book_id = tap.id(5) and stage = 'CHECKING'),
  row(2, null::double precision), 'A visit that ends in a rewind has no length.');
select tap.book(6, '{DRAFTING,CHECKING,MENDING,DONE}', 'loops');
select is(
  (select array_agg(stage || ' ' || attempt order by stage) from bindery.stage_visits
    where book_id = tap.id(6)),
  '{"CHECKING 1","DRAFTING 1","MENDING 1","START 1"}',
  'A complete book has a visit of each stage it went through, the last one included.');

select * from finish();
rollback;
