-- Every role can set the settings with which functions inform triggers, so they must not allow a
-- plain write anything more.
begin;
\ir ../helpers.psql
select plan(8);
select tap.book(n) from generate_series(1, 2) n;
set local role service_role;

select set_config('bindery.changing', tap.id(1)::text, true);
select is(
  tap.outcome(format('update bindery.book_status set status = %L, %s where book_id = %L',
    'ANALYZING', change, tap.id(1))),
  'PT422 bad_input', format('With bindery.changing set, an UPDATE to %s is refused.', what))
from (values ('title = repeat(''x'', 1025)', 'a long title'),
  ('message = E''\x07''', 'a control character'),
  ('metadata = ''[]''', 'metadata that is not an object')) v(change, what);
select is(
  tap.outcome(format('update bindery.book_status set status = %L, error = %L where book_id = %L',
    'FAILED', '[]', tap.id(1))),
  'PT422 bad_input', 'With bindery.changing set, an error that is not an object is refused.');

select set_config('bindery.changing', '', true), set_config('bindery.writer', w::text, true)
from generate_series(0, 1) w;
select is(
  tap.outcome(format('insert into bindery.book_status (book_id, title) values (%L, %L)',
    tap.id(3), repeat('x', 1025))),
  'PT422 bad_input', 'With bindery.writer set to the trigger''s depth, a long title is refused.');
select is(
  tap.outcome(format('insert into bindery.book_status (book_id, metadata) values (%L, %L)',
    tap.id(3), '"text"')),
  'PT422 bad_input', 'With bindery.writer set, metadata that is not an object is refused.');
reset role;
select set_config('bindery.writer', '', true);

-- A column that follows is not set along with the status.
update bindery.book_status
set status = 'FAILED', substeps_total = 77, substeps_points = 5, stage_base = 50, stage_share = 50,
  stage_entered_at = '2001-01-01', stage_started_at = '2001-01-01'
where book_id = tap.id(2);
select is((tap.row(2)).status, 'FAILED', 'The UPDATE of the status takes effect.');
select is(
  (select format('%s %s %s %s %s', b.substeps_total, b.substeps_points, b.stage_base,
    b.stage_share, b.stage_entered_at > '2002-01-01' and b.stage_started_at > '2002-01-01')
    from tap.row(2) b),
  '0 0 0 0 t', 'A book that halts keeps its sums and times, whatever the UPDATE sets.');
select * from finish();
rollback;
