-- The limits of texts and numbers here are those of bindery-core, or wider: no event that it takes
-- is refused for its size.
begin;
\ir ../helpers.psql
select plan(16);
\set limits `cat tests/vectors/limits.json`
create temp table limits as
select l.key, l.value::text::numeric as value from jsonb_each((:'limits')::jsonb) as l;
create function tap.most(key text) returns integer language sql as
  'select value::integer from limits where limits.key = most.key';
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}');
select bindery.define_pipeline('open',
  '{"states": [{"name": "A", "weight": 1, "open_substeps": true}, {"name": "Z"}]}');
select bindery.register_book(tap.id(2), pipeline => 'open');

select lives_ok($$select bindery.register_book(tap.id(3),
    title => repeat('t', tap.most('title_chars')))$$,
  'A title of the longest length is taken.');
select is(tap.outcome($$select bindery.register_book(tap.id(4),
    title => repeat('t', tap.most('title_chars') + 1))$$), 'PT422 bad_input',
  'A longer title is refused.');
select lives_ok($$select bindery.report_progress(tap.id(1), 'extract_text', 1,
    message => repeat('é', tap.most('message_chars')))$$,
  'A message of the longest length is taken.');
select is(tap.outcome($$select bindery.report_progress(tap.id(1), 'extract_text', 1,
    message => repeat('é', tap.most('message_chars') + 1))$$), 'PT422 bad_input',
  'A longer message is refused.');
select lives_ok($$select bindery.report_progress(tap.id(1), 'extract_text', done => 1, total => 2,
    unit => repeat('u', tap.most('name_chars')))$$, 'A unit of the longest length is taken.');
select is(tap.outcome($$select bindery.report_progress(tap.id(1), 'extract_text', done => 1,
    total => 2, unit => repeat('u', tap.most('name_chars') + 1))$$), 'PT422 bad_input',
  'A longer unit is refused.');
select lives_ok($$select bindery.report_progress(tap.id(2),
    repeat('s', tap.most('name_chars')), 1)$$,
  'A substep with the longest name is taken.');
select is(tap.outcome($$select bindery.report_progress(tap.id(2),
    repeat('s', tap.most('name_chars') + 1), 1)$$), 'PT422 bad_input',
  'A longer name of a substep is refused.');
select lives_ok($$select bindery.begin_stage(tap.id(1), 'ANALYZING',
    repeat('w', tap.most('worker_chars')))$$, 'A worker with the longest name is taken.');
select lives_ok(format($$select bindery.report_progress(tap.id(1), 'extract_text', done => 0,
    total => %s)$$, (select value from limits where key = 'total')), 'The highest total is taken.');
select is(tap.outcome(format($$select bindery.report_progress(tap.id(1), 'extract_text', done => 0,
    total => %s)$$, (select value * 1.01 from limits where key = 'total'))), 'PT422 bad_input',
  'A higher total is refused.');
select lives_ok(format($$select bindery.plan_substeps(tap.id(1), 'ANALYZING',
    '[{"substep": "a", "weight": %s}, {"substep": "b", "weight": %s}]')$$,
    (select value from limits where key = 'min_weight'),
    (select value from limits where key = 'max_weight')), 'The extreme weights are taken.');
select is_empty($$select w from (select value * 0.99 from limits where key = 'min_weight'
    union all select value * 1.01 from limits where key = 'max_weight') v(w)
    where tap.outcome(format('select bindery.plan_substeps(tap.id(1), ''ANALYZING'',
      ''[{"substep": "a", "weight": %s}]'')', w)) <> 'PT422 bad_input'$$,
  'Weights beyond them are refused.');
select is(tap.outcome($$select bindery.plan_substeps(tap.id(1), 'ANALYZING', (
    select jsonb_agg(jsonb_build_object('substep', 's' || n))
    from generate_series(1, tap.most('substeps') + 1) n))$$), 'PT422 bad_input',
  'A plan of more substeps than a stage may have is refused.');
select lives_ok($$select bindery.report_progress(tap.id(1), 'extract_text', 1,
    checkpoint => jsonb_build_object('c', repeat('c', tap.most('json_bytes') - 9)))$$,
  'A checkpoint of the largest size is taken.');
select lives_ok($$select bindery.report_progress(tap.id(1), 'extract_text', 1, checkpoint => (
    repeat('[', tap.most('json_depth')) || repeat(']', tap.most('json_depth')))::jsonb)$$,
  'A checkpoint of the deepest nesting is taken.');

select * from finish();
rollback;
