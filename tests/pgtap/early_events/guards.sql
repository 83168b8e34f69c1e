-- A transition whose guard substeps_complete does not hold yet waits for the report that makes it
-- hold; a transition that another guard refuses is rejected.
begin;
\ir ../helpers.psql
select plan(27);
create function public.says_no(book bindery.book_status) returns boolean
language sql as 'select false';
select from bindery.define_pipeline('guarded', '{"states": [{"name": "NEW"},
  {"name": "SKETCH", "weight": 1, "substeps": [{"substep": "one"}, {"substep": "two"}],
   "next": [{"to": "PAINT", "guard": "substeps_complete"}]},
  {"name": "PAINT", "weight": 1, "open_substeps": true, "max_attempts": 1,
   "next": [{"to": "CHECK", "guard": "substeps_complete"}]},
  {"name": "CHECK", "weight": 1, "max_attempts": 1,
   "next": [{"to": "PRINT", "guard": "attempts_left"}, {"to": "BIND", "guard": "says_no"},
     "END"]},
  {"name": "PRINT", "weight": 1, "next": ["END"]}, {"name": "BIND", "weight": 1, "next": ["END"]},
  {"name": "END"}]}');
create function pg_temp.to(n integer, status text, type text default 'transition') returns text
language sql as $$
  select tap.apply(tap.event(type, n, jsonb_build_object('to_status', status)));
$$;
create function pg_temp.early(n integer) returns text language sql volatile as $$
  select string_agg(e.reason, ', ' order by e.id) from bindery.early_events e
  where e.book_id = tap.id(n);
$$;
select tap.book(n, '{SKETCH}', 'guarded') from generate_series(1, 8) n;

-- The report that completes the stage, by every way.
select is(pg_temp.to(n, 'PAINT'), '0/0/1/0',
  format('The transition of book %s waits while its substeps are not complete.', n))
from generate_series(1, 5) n;
select is(pg_temp.early(1), 'transition_ahead',
  'A transition with an unmet guard waits with the reason transition_ahead.');
select bindery.report_progress(tap.id(n), 'one', 100) from generate_series(1, 8) n;
select is((tap.row(1)).status, 'SKETCH',
  'A report that leaves a substep open leaves the transition waiting.');
select is((select b.status from bindery.report_progress(tap.id(1), 'two', 100) b), 'PAINT',
  'report_progress applies the transition when it completes the stage, and gives the row after.');
select is(tap.apply(tap.event('progress', 2, '{"substep": "two", "progress": 100,
    "stage": "SKETCH"}')), '1/0/0/0', 'A report in a batch completes the stage.');
select is((tap.row(2)).status, 'PAINT',
  'A report in a batch that completes the stage applies the transition.');
select is(tap.batch(
    tap.event('progress', 3, '{"segment": 0, "substep": "two", "progress": 100,
      "stage": "SKETCH"}'),
    tap.event('progress', 3, '{"segment": 1, "substep": "wall", "progress": 10,
      "stage": "PAINT"}')), '2/0/0/0', 'Reports in arrays complete the stage and continue.');
select is(row((tap.row(3)).status, (tap.row(3)).stage_progress), row('PAINT'::text, 10::float8),
  'Reports in arrays that complete the stage apply the transition before the next segment.');
update bindery.book_progress set progress = 100
where book_id = tap.id(4) and substep = 'two';
select is((tap.row(4)).status, 'PAINT',
  'A plain UPDATE that completes the stage applies the transition.');
delete from bindery.book_progress where book_id = tap.id(5) and substep = 'two';
select is((tap.row(5)).status, 'PAINT',
  'A plain DELETE that completes the stage applies the transition.');

-- begin, and a transition beyond the guarded one.
select is(pg_temp.to(6, 'PAINT', 'begin'), '0/0/1/0',
  'A begin waits while the substeps of the stage before are not complete.');
select is(pg_temp.to(6, 'CHECK'), '0/0/1/0', 'A transition after an early begin waits, too.');
select from bindery.report_progress(tap.id(6), 'two', 100);
select is((tap.row(6)).status, 'PAINT', 'The report that completes the stage applies the begin.');
select is(pg_temp.early(6), 'transition_ahead',
  'A transition after an applied begin waits for its own guard.');
select from bindery.report_progress(tap.id(6), 'wall', 100);
select is((tap.row(6)).status, 'CHECK',
  'The report that completes the next stage applies the transition.');

-- An open stage without substeps is not complete.
select is(pg_temp.to(1, 'CHECK'), '0/0/1/0',
  'A transition waits in a stage that has no substep yet.');
select from bindery.report_progress(tap.id(1), 'wall', 50);
select is((tap.row(1)).status, 'PAINT',
  'An early transition waits while the only substep is open.');

-- A plan that completes a stage by taking it along is none; a failure keeps it waiting.
select is(pg_temp.to(7, 'PAINT'), '0/0/1/0', 'A transition waits for its guard.');
select from bindery.fail_book(tap.id(7));
select from bindery.resume_book(tap.id(7));
select is((tap.row(7)).status, 'SKETCH',
  'A failure and a resume leave an early transition waiting.');
select from bindery.report_progress(tap.id(7), 'two', 100);
select is((tap.row(7)).status, 'PAINT',
  'A report of the next attempt that completes the stage applies the transition.');

-- Other guards.
select is(pg_temp.to(6, 'PRINT'), '0/0/0/1',
  'A transition that the guard attempts_left refuses is rejected.');
select is(pg_temp.to(6, 'BIND'), '0/0/0/1',
  'A transition that a SQL function refuses is rejected.');
select is(tap.reasons(), 'illegal_transition, illegal_transition',
  'A transition that such a guard refuses has the reason illegal_transition.');

select * from finish();
rollback;
