-- The substeps that bindery.get_book_status lists: which, in which order, in what form.
begin;
\ir ../helpers.psql
select plan(19);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}');
create function pg_temp.listed(n integer) returns text language sql volatile as $$
  select string_agg(s.substep ->> 'substep', ' ' order by s.ord)
  from jsonb_array_elements(bindery.get_book_status(tap.id(n)) -> 'substeps')
    with ordinality as s(substep, ord);
$$;
create function pg_temp.listed(n integer, key text) returns jsonb language sql volatile as $$
  select jsonb_path_query_first(bindery.get_book_status(tap.id(n)),
    '$.substeps[*] ? (@.substep == $key)', jsonb_build_object('key', key));
$$;

select is(pg_temp.listed(1), 'extract_text detect_chapters analyze_characters',
  'Pending substeps stand in the order of the definition.');
select is(pg_temp.listed(1, 'extract_text'), '{"substep": "extract_text", "label": "Extract text",
    "weight": 1, "state": "pending", "progress": 0}',
  'A pending substep has its key, label, weight and state, and no key without a value.');
select bindery.report_progress(tap.id(1), 'analyze_characters', done => 2, total => 8,
  unit => 'name', message => 'Ishmael', checkpoint => '["Ishmael"]');
select is(pg_temp.listed(1, 'analyze_characters'), '{"substep": "analyze_characters",
    "label": "Analyze characters", "weight": 2, "state": "active", "progress": 25, "done": 2,
    "total": 8, "unit": "name", "message": "Ishmael"}',
  'An active substep has its progress, units and message, and no checkpoint.');
select is(pg_temp.listed(1), 'analyze_characters extract_text detect_chapters',
  'Active substeps stand before those that are pending.');
select bindery.report_progress(tap.id(1), 'extract_text', 100);
select is(pg_temp.listed(1), 'analyze_characters detect_chapters extract_text',
  'Finished substeps stand last.');
select is(pg_temp.listed(1, 'extract_text') -> 'state', '"done"', 'A finished substep is done.');
select bindery.report_progress(tap.id(1), 'detect_chapters', 33.336);
select is(pg_temp.listed(1, 'detect_chapters') -> 'progress', '33.34',
  'The progress of a substep has two decimals.');
select bindery.report_progress(tap.id(1), 'detect_chapters', 99.999);
select is(pg_temp.listed(1, 'detect_chapters') -> 'progress', '99.99',
  'The progress of an unfinished substep is shown below 100.');
select bindery.report_progress(tap.id(1), 'detect_chapters', 99.9991,
  message => repeat('x', 500));
select is(pg_temp.listed(1, 'detect_chapters') ->> 'message', repeat('x', 500),
  'A message of 500 characters is shown whole.');
select bindery.report_progress(tap.id(1), 'detect_chapters', 99.9992,
  message => repeat('ü', 501));
select is(pg_temp.listed(1, 'detect_chapters') ->> 'message', repeat('ü', 499) || '…',
  'A message of more than 500 characters is cut and ends with an ellipsis.');
select is((select message from bindery.list_substeps(tap.id(1))
    where substep = 'detect_chapters'), repeat('ü', 501),
  'list_substeps gives the message that get_book_status cuts.');

-- Planned substeps follow the declared ones, by key.
select tap.book(2, '{ANALYZING}');
select from bindery.plan_substeps(tap.id(2), 'ANALYZING',
  '[{"substep": "zoo"}, {"substep": "aviary"}]');
select is(pg_temp.listed(2), 'extract_text detect_chapters analyze_characters aviary zoo',
  'Planned substeps follow the declared ones in the order of their keys.');

-- An open stage with more substeps than are listed.
select tap.book(3, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}');
select is(bindery.get_book_status(tap.id(3)) -> 'substeps', '[]',
  'An open stage without reports has an empty list.');
select tap.apply(variadic array(
  select tap.event('progress', 3, jsonb_build_object('segment', 0,
    'substep', 'page_' || lpad(n::text, 3, '0'),
    'progress', case when n % 4 = 0 then 50 when n % 4 = 1 then 100 else 0 end))
  from generate_series(1, 240) n));
select is(jsonb_array_length(bindery.get_book_status(tap.id(3)) -> 'substeps'), 200,
  'get_book_status lists at most 200 substeps.');
select is(bindery.get_book_status(tap.id(3)) -> 'substeps_total', '240',
  'substeps_total counts those that are not listed, too.');
select is(bindery.get_book_status(tap.id(3)) -> 'substeps_done', '60',
  'substeps_done counts those that are not listed, too.');
select is((select string_agg(x.state || ' ' || x.n, ', ' order by x.first) from (
    select s.substep ->> 'state' as state, count(*) as n, min(s.ord) as first
    from jsonb_array_elements(bindery.get_book_status(tap.id(3)) -> 'substeps')
      with ordinality as s(substep, ord)
    group by 1) x), 'active 60, pending 120, done 20',
  'A long list has all unfinished substeps first, and of the finished ones as many as fit.');
select from bindery.transition_book(tap.id(3), 'COMPLETED');
select is(jsonb_array_length(bindery.get_book_status(tap.id(3)) -> 'substeps'), 200,
  'A COMPLETED book lists the substeps of its last stage.');
select from bindery.fail_book(tap.id(1));
select is(pg_temp.listed(1), 'detect_chapters analyze_characters extract_text',
  'A FAILED book lists the substeps of the stage in which it failed.');

select * from finish();
rollback;
