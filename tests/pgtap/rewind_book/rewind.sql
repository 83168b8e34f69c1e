-- rewind_book: the stage starts over as its next attempt, with nothing kept.
begin;
\ir ../helpers.psql
\ir loops.psql
select plan(27);

-- From a later stage.
select tap.book(1, '{DRAFTING}', 'loops');
select bindery.report_progress(tap.id(1), 'one', 100, checkpoint => '{"page": 3}');
select bindery.report_progress(tap.id(1), 'two', 100);
select bindery.transition_book(tap.id(1), 'CHECKING');
create temp table rewound as
  select * from bindery.rewind_book(tap.id(1), 'DRAFTING', 'the ending is missing');
select is(
  (select to_jsonb(r) from rewound r), to_jsonb(tap.row(1)),
  'rewind_book returns the row of the book.');
select is(
  (select row(status, current_stage, attempt) from tap.row(1)),
  row('DRAFTING'::text, 'DRAFTING'::text, 2),
  'A rewound book is in the earlier stage, in its next attempt.');
select is(tap.percents(1), '0 0', 'A rewind takes the percentages back to where the stage begins.');
select is((tap.row(1)).message, 'the ending is missing', 'A rewound book has the message.');
select is(
  tap.last_event(1), 'rewind CHECKING>DRAFTING DRAFTING/2', 'A rewind is in the history.');
select is(
  (select row(o.kind, o.payload ->> 'to_status', jsonb_array_length(
      o.payload #> '{resume_point,left}'))
    from bindery.outbox o where o.book_id = tap.id(1) order by o.id desc limit 1),
  row('resume'::text, 'DRAFTING'::text, 2),
  'A rewind writes a resume message with all substeps that are left.');
select results_eq(
  $$select substep::text collate "default", progress, checkpoint, attempt
    from bindery.book_progress where book_id = tap.id(1) and stage = 'DRAFTING' order by 1$$,
  $$values ('one', 0::double precision, null::jsonb, 2), ('two', 0, null, 2)$$,
  'A rewind keeps neither progress nor checkpoints of the stage.');

-- Reports that are stale after the rewind.
select is(
  tap.call('report_progress', 1, '''one'', 60, attempt => 1'), 'ok',
  'A report of the first visit is not an error.');
select is(
  (tap.row(1)).stage_progress, 0::double precision, 'A report of the first visit has no effect.');
select bindery.report_progress(tap.id(1), 'one', 60, attempt => 2);
select is(
  (tap.row(1)).stage_progress, 30::double precision, 'A report of the current visit counts.');
select is(
  tap.call('report_progress', 1, '''one'', 60, attempt => 3'), 'PT409 attempt_ahead',
  'A report of the next visit is refused.');
select is(
  tap.call('report_progress', 1, '''look'', 50, stage => ''CHECKING'', attempt => 1'), 'ok',
  'A report of the later stage that the rewind left is not an error.');
select is(
  (tap.row(1)).status, 'DRAFTING',
  'A report of a visit before the rewind does not advance the book.');
select is(
  tap.apply(
    tap.event('heartbeat', 1, '{"stage": "CHECKING", "attempt": 1}'),
    tap.event('fail', 1, '{"stage": "CHECKING", "attempt": 1, "error": {"code": "x"}}')),
  '0/2/0/0', 'A heartbeat and a fail event of a visit before the rewind are stale.');
select bindery.report_progress(tap.id(1), 'look', 50, stage => 'CHECKING', attempt => 2);
select is(
  (select row(status, attempt) from tap.row(1)), row('CHECKING'::text, 2),
  'A report of the second visit of the later stage advances the book to it.');

-- Of a FAILED book.
select tap.book(3, '{DRAFTING,CHECKING}', 'loops');
select bindery.report_progress(tap.id(3), 'look', 100, checkpoint => '1');
select bindery.fail_book(tap.id(3), '{"code": "bad_checkpoint"}');
select is(
  (bindery.rewind_book(tap.id(3), 'CHECKING')).status, 'CHECKING',
  'A FAILED book may be rewound to the stage in which it failed.');
select is(
  (tap.row(3)).stage_progress, 0::double precision,
  'A rewind keeps no finished substep, which a resume keeps.');
select is(
  (select row(error, resume_at, attempt) from tap.row(3)), row(null::jsonb, null::timestamptz, 2),
  'A rewind of a FAILED book removes its error and is the next attempt.');
select is(
  tap.last_event(3), 'rewind FAILED>CHECKING CHECKING/2',
  'A rewind of a FAILED book is in the history.');
select bindery.fail_book(tap.id(3)), bindery.rewind_book(tap.id(3), 'START');
select is(
  (select row(status, attempt) from tap.row(3)), row('START'::text, 2),
  'A FAILED book may be rewound to an earlier stage.');

-- A plan survives.
select tap.book(4, '{DRAFTING}', 'loops');
select bindery.plan_substeps(tap.id(4), 'DRAFTING', '[{"substep": "three", "weight": 2}]');
select bindery.report_progress(tap.id(4), 'three', 100);
select bindery.transition_book(tap.id(4), 'CHECKING'), bindery.rewind_book(tap.id(4), 'DRAFTING');
select is(
  tap.listed(4), 'one pending 0, two pending 0, three pending 0',
  'A rewind keeps the planned substeps.');
select is(
  (bindery.report_progress(tap.id(4), 'three', 100)).stage_progress, 50::double precision,
  'A rewind keeps the planned weights.');

-- Triggers of others that change other books during a rewind.
select tap.book(20, '{DRAFTING,CHECKING}', 'loops'), tap.book(21, '{DRAFTING}', 'loops'),
  tap.book(22, '{DRAFTING}', 'loops');
create function tap.cascade() returns trigger language plpgsql as $$
begin
  perform bindery.cancel_book(tap.id(21));
  update bindery.book_status set status = 'FAILED' where book_id = tap.id(22);
  update bindery.book_progress set progress = 40
  where book_id = tap.id(4) and substep = 'one' and stage = 'DRAFTING';
  return null;
end $$;
create trigger a_cascade after update of status on bindery.book_status
for each row when (old.book_id = '00000000-0000-4000-8000-000000000020')
execute function tap.cascade();
select is(
  tap.call('rewind_book', 20, '''DRAFTING'''), 'ok',
  'A rewind succeeds when a trigger of others changes other books.');
select is(
  tap.last_event(20), 'rewind CHECKING>DRAFTING DRAFTING/2',
  'A rewind is recorded as one when a trigger of others changes other books.');
select is(
  tap.last_event(21), 'cancel DRAFTING>CANCELLED DRAFTING/1',
  'A cancellation by a trigger during a rewind is not a rewind.');
select is(
  tap.last_event(22), 'fail DRAFTING>FAILED DRAFTING/1',
  'A plain UPDATE by a trigger during a rewind is not a rewind.');
select is(
  (tap.row(4)).stage_progress, 60::double precision,
  'A plain write to book_progress by a trigger during a rewind moves the percentages.');

select * from finish();
rollback;
