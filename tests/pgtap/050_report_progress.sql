begin;
\ir helpers.psql
select plan(46);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}');
create function tap.substep(n integer, name text) returns bindery.book_progress language sql volatile as $$
  select g from bindery.book_progress g where (g.book_id, g.substep) = (tap.id(n), name);
$$;

create temp table reported as select * from bindery.report_progress(tap.id(1), 'extract_text', 40, message => 'page 4', checkpoint => '{"page": 4}');
select is((select to_jsonb(r) from reported r), to_jsonb(tap.row(1)), 'a report gives the book''s row');
select is((select revision from reported), 3::bigint, 'a report that shows is one revision');
select is((tap.row(1)).stage_progress, 10::float8, 'ANALYZING weighs its substeps 1, 1 and 2: 40 of the first is 10 percent');
select is((tap.row(1)).overall_progress, 2::float8, 'and ANALYZING is 20 of 100: 2 percent of the whole');
select is((tap.row(1)).substeps -> 0, '{"name": "extract_text", "label": "Extract text", "weight": 1, "state": "active", "progress": 40, "message": "page 4"}',
  'the row shows the substep with its message');
select is(array(select s ->> 'state' from jsonb_array_elements((tap.row(1)).substeps) s), '{active,pending,pending}', 'the others are pending');

select tap.clock('2030-01-01 12:01+00');
select bindery.report_progress(tap.id(1), 'extract_text', done => 7, total => 10, unit => 'page');
select is(row((tap.substep(1, 'extract_text')).progress, (tap.substep(1, 'extract_text')).done, (tap.substep(1, 'extract_text')).total, (tap.substep(1, 'extract_text')).unit),
  row(70::float8, 7::float8, 10::float8, 'page'::text), 'done of total is a percentage, and both are kept');
select is((tap.substep(1, 'extract_text')).checkpoint, '{"page": 4}', 'a report without a checkpoint leaves the last one');
select is((tap.substep(1, 'extract_text')).message, 'page 4', 'a report without a message leaves the last one');
select is((tap.substep(1, 'extract_text')).started_at, '2030-01-01 12:00+00', 'a substep knows when it began');
select is((tap.row(1)).heartbeat_at, '2030-01-01 12:01+00', 'a report is a heartbeat');

create temp table before as select tap.row(1) as b;
select tap.clock('2030-01-01 12:02+00');
select bindery.report_progress(tap.id(1), 'extract_text', 30);
select is((tap.substep(1, 'extract_text')).progress, 70::float8, 'a lower value leaves progress where it is');
select is((tap.substep(1, 'extract_text')).done, 7::float8, 'with its own done and total');
select is((tap.row(1)).revision, (select (b).revision from before), 'what changed nothing that shows is no revision');
select is((tap.row(1)).updated_at, (select (b).updated_at from before), 'and no update');
select is((tap.row(1)).heartbeat_at, '2030-01-01 12:02+00', 'but it is a heartbeat');
select bindery.report_progress(tap.id(1), 'extract_text', 30, message => 'looking back');
select is((tap.substep(1, 'extract_text')).message, 'looking back', 'the message of a lower value counts');
select is((tap.row(1)).revision, (select (b).revision + 1 from before), 'and shows, so it is a revision');
select bindery.report_progress(tap.id(1), 'extract_text', 70, checkpoint => '{"page": 8}');
select is((tap.substep(1, 'extract_text')).checkpoint, '{"page": 8}', 'the latest checkpoint is kept');
select is((select count(*)::int from bindery.book_events where book_id = tap.id(1)), 2, 'reports are not in the history');

select bindery.report_progress(tap.id(1), 'extract_text', 99.999);
select is((tap.row(1)).substeps #>> '{0,progress}', '99.99', 'what is not done never shows as 100');
select bindery.report_progress(tap.id(1), 'detect_chapters', 100);
select bindery.report_progress(tap.id(1), 'analyze_characters', done => 3, total => 3);
select bindery.report_progress(tap.id(1), 'extract_text', 100);
select is((tap.row(1)).stage_progress, 100::float8, 'a stage whose substeps are done is at 100');
select is((tap.row(1)).overall_progress, 20::float8, 'and the whole at the stage''s share');
select is((tap.row(1)).status, 'ANALYZING', 'a stage that is done is not left by itself');

-- Floating numbers: x of x is all of it, for every x; found by a search over a million of them.
select tap.book(2, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}');
select is((select count(*)::int from generate_series(1, 200) n, lateral (select 0.1 + n * 0.0137 as x) v,
    lateral bindery.report_progress(tap.id(2), 'panel_' || n, done => x, total => x)), 200, 'x of x is taken for every x');
select is((select count(*)::int from bindery.book_progress where book_id = tap.id(2) and progress <> 100), 0, 'x of x is exactly 100 for every x');
select bindery.report_progress(tap.id(2), 'close', done => 999999999999999, total => 1e15);
select ok((tap.substep(2, 'close')).progress < 100, 'what is less than total is less than 100');

-- A percent can move while no substep shows it: that is a visible change too.
select tap.book(3, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}');
select bindery.report_progress(tap.id(3), 'ink', 10.0099);
create temp table third as select tap.row(3) as b;
select bindery.report_progress(tap.id(3), 'ink', 10.0101);
select is((tap.row(3)).substeps, (select (b).substeps from third), '10.0099 and 10.0101 show the same');
select is((tap.row(3)).overall_progress - (select (b).overall_progress from third) > 0.009, true, 'but the overall percent moves');
select is((tap.row(3)).revision, (select (b).revision + 1 from third), 'so the revision grows');

-- Bad input.
create temp table before_bad as select tap.snapshot(3) as s;
select is(tap.outcome(format('select bindery.report_progress(%L, %L, %s)', tap.id(3), 'ink', arguments)), 'PT422 bad_input', format('%s is refused', arguments))
from unnest(array['-0.001', '100.001', '''NaN''', '''Infinity''', 'null', '50, done => 1, total => 2', 'done => 1', 'total => 1', 'done => 3, total => 2', 'done => -1, total => 2',
  'done => 0, total => 0', 'done => ''NaN'', total => 1', 'done => 1, total => ''Infinity''', '50, message => repeat(''x'', 8193)', '50, unit => repeat(''x'', 64)']) arguments;
select is(tap.snapshot(3), (select s from before_bad), 'none of these left a trace');

select * from finish();
rollback;
