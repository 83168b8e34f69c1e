-- A plain INSERT into book_status is a registration.
begin;
\ir ../helpers.psql
select plan(19);
select tap.clock('2030-01-01 12:00+00');

insert into bindery.book_status (book_id, overall_progress, stage_progress, substeps_total,
  substeps_done, substeps_weight, substeps_points, stage_base, stage_share, revision, attempt,
  created_at, completed_at, resume_at, error, current_stage)
values (tap.id(1), 77, 77, 5, 3, 1e9, 1e9, 3, 3, 99, 5, '1999-01-01', '1999-01-01', '1999-01-01',
  '{"code": "x"}', 'CREATING_ARTWORK');
select tap.book(2);
select is(
  to_jsonb(tap.row(1)) - 'book_id', to_jsonb(tap.row(2)) - 'book_id',
  'A plainly inserted book begins as a registered one, whatever values the INSERT has.');
select is(
  tap.last_event(1), 'register >UPLOADED UPLOADED/1', 'A plain INSERT is recorded in the history.');
select is(
  (select array_agg(kind) from bindery.outbox where book_id = tap.id(1)),
  '{transition}', 'A plain INSERT writes a message to the outbox.');
select is(
  tap.outcome(format('insert into bindery.book_status (book_id, status) values (%L, %L)',
    tap.id(3), 'UPLOADED')),
  'ok', 'A plain INSERT may name the first status.');
select is(
  tap.outcome(format('insert into bindery.book_status (book_id, status) values (%L, %L)',
    tap.id(4), status)),
  'PT409 illegal_transition', format('A plain INSERT with the status %s is refused.', status))
from unnest(array['ANALYZING', 'COMPLETED', 'FAILED', 'CANCELLED', 'NOPE']) status;
select is(
  tap.error(format('insert into bindery.book_status (book_id, status) values (%L, %L)',
    tap.id(4), 'FAILED')) -> 'detail',
  '{"code": "illegal_transition", "from_status": null, "to_status": "FAILED",
    "allowed": ["UPLOADED"]}',
  'The detail of a refused INSERT contains the status in which a book begins.');
select is(
  tap.outcome(format('insert into bindery.book_status (book_id, pipeline) values (%L, %L)',
    tap.id(4), 'nope')),
  'PT404 unknown_pipeline', 'A plain INSERT with an unknown pipeline is refused.');
select is(
  tap.outcome(format('insert into bindery.book_status (book_id, pipeline_version) values (%L, 9)',
    tap.id(4))),
  'PT404 unknown_pipeline', 'A plain INSERT with an unknown version of a pipeline is refused.');
select is(
  tap.outcome(format('insert into bindery.book_status (book_id, %s) values (%L, %s)',
    column_name, tap.id(4), value)),
  'PT422 bad_input', format('A plain INSERT with %s %s is refused.', column_name, why))
from (values ('title', $$repeat('x', 1025)$$, 'of 1,025 characters'),
  ('title', $$E'\x1b[31m'$$, 'that has a control character'),
  ('message', $$repeat('x', 8193)$$, 'of 8,193 characters'),
  ('metadata', $$'[]'$$, 'that is not an object')) v(column_name, value, why);

-- Early events wait for a book however it is registered.
select tap.apply(tap.event('transition', 5, '{"to_status": "ANALYZING"}'));
select is(tap.waiting(), 'transition unknown_book', 'An event about an unknown book waits.');
insert into bindery.book_status (book_id) values (tap.id(5));
select is(
  (tap.row(5)).status, 'ANALYZING', 'A plain INSERT applies the early events of its book.');

-- Several books in one INSERT.
insert into bindery.book_status (book_id) select tap.id(n) from generate_series(10, 14) n;
select is(
  (select count(*)::integer from bindery.book_events
    where book_id between tap.id(10) and tap.id(14) and kind = 'register'),
  5, 'An INSERT of five books writes five rows of history.');

select * from finish();
rollback;
