-- bindery.get_resume_point: what a worker needs to continue a book.
begin;
\ir ../helpers.psql
select plan(18);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}');

select is(bindery.get_resume_point(tap.id(1)), jsonb_build_object('book_id', tap.id(1),
    'status', 'ANALYZING', 'stage', 'ANALYZING', 'attempt', 1, 'revision', 2, 'done', '[]'::jsonb,
    'left', '[
      {"substep": "extract_text", "weight": 1, "progress": 0, "checkpoint": null},
      {"substep": "detect_chapters", "weight": 1, "progress": 0, "checkpoint": null},
      {"substep": "analyze_characters", "weight": 2, "progress": 0, "checkpoint": null}]'::jsonb),
  'The resume point of a stage just entered lists all substeps as left, in declared order.');
select bindery.report_progress(tap.id(1), 'detect_chapters', 100, checkpoint => '{"x": 1}');
select bindery.report_progress(tap.id(1), 'analyze_characters', done => 2, total => 8,
  unit => 'name', message => 'Ishmael', checkpoint => '["Ishmael", "Ahab"]');
select is(bindery.get_resume_point(tap.id(1)) -> 'done', '["detect_chapters"]',
  'A finished substep stands in done by its key.');
select is(bindery.get_resume_point(tap.id(1)) #> '{left,1}', '{"substep": "analyze_characters",
    "weight": 2, "progress": 25, "done": 2, "total": 8, "unit": "name", "message": "Ishmael",
    "checkpoint": ["Ishmael", "Ahab"]}',
  'An unfinished substep stands in left with its progress, units, message and checkpoint.');
select is(jsonb_path_query_array(bindery.get_resume_point(tap.id(1)), '$.left[*].substep'),
  '["extract_text", "analyze_characters"]', 'left keeps the declared order.');

select bindery.fail_book(tap.id(1));
select is(bindery.get_resume_point(tap.id(1)) ->> 'status', 'FAILED',
  'A FAILED book has a resume point.');
select is(bindery.get_resume_point(tap.id(1)) ->> 'stage', 'ANALYZING',
  'The resume point of a FAILED book names the stage in which it failed.');
select bindery.resume_book(tap.id(1));
select is(bindery.get_resume_point(tap.id(1)) -> 'attempt', '2',
  'The resume point of a resumed book has the new attempt.');
select is(bindery.get_resume_point(tap.id(1)) -> 'done', '["detect_chapters"]',
  'The resume point of a resumed book keeps what was finished.');

select tap.book(2, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}');
select is(bindery.get_resume_point(tap.id(2)) -> 'left', '[]',
  'The resume point of an open stage without reports has nothing left.');
select is(tap.outcome(format('select bindery.get_resume_point(%L)', tap.id(99))),
  'PT404 unknown_book', 'get_resume_point of an unknown book is refused.');
select is(tap.outcome('select bindery.get_resume_point(null)'), 'PT404 unknown_book',
  'get_resume_point without a book is refused.');
select is(tap.as_role('authenticated', format('select bindery.get_resume_point(%L)', tap.id(1)),
    tap.id(901)::text), 'PT404 unknown_book',
  'get_resume_point of another owner''s book is refused as unknown.');
select is((select provolatile::text from pg_proc
    where oid = 'bindery.get_resume_point'::regproc), 's',
  'get_resume_point is STABLE, so that PostgREST answers it to a GET.');

-- Of any size.
select tap.book(7, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}');
select from generate_series(1, 25) n, bindery.report_progress(tap.id(7),
  's' || lpad(n::text, 3, '0'), 50, checkpoint => to_jsonb(repeat('x', 100000)));
select from bindery.report_progress(tap.id(7), 's000', 100);
select cmp_ok(octet_length(bindery.get_resume_point(tap.id(7))::text), '<=', 1048576,
  'A resume point is at most a megabyte.');
select is(bindery.get_resume_point(tap.id(7)) -> 'cut', 'true',
  'A resume point that is cut is marked as cut.');
with recursive pages as (
  select bindery.get_resume_point(tap.id(7)) as page, 1 as n
  union all
  select bindery.get_resume_point(tap.id(7), p.page #>> '{left,-1,substep}'), p.n + 1
  from pages p where p.page ? 'cut' and p.n < 50)
select is(
  (select array_agg(distinct s.value ->> 'substep')
     || array_agg(s.value ->> 'substep' order by n, i)
   from pages p, jsonb_array_elements(p.page -> 'left') with ordinality as s(value, i)
   where s.value ->> 'substep' like 's0%'),
  (select array_agg('s' || lpad(n::text, 3, '0')) || array_agg('s' || lpad(n::text, 3, '0'))
   from generate_series(1, 25) n),
  'The pages of a resume point have each substep once, in order.');
select from bindery.fail_book(tap.id(7));
select from bindery.resume_book(tap.id(7));
select is(
  (select o.payload -> 'resume_point' from bindery.outbox o where o.kind = 'resume'
   and o.book_id = tap.id(7)),
  jsonb_build_object('book_id', tap.id(7), 'status', 'CREATING_ARTWORK',
    'stage', 'CREATING_ARTWORK', 'attempt', 2, 'revision', (tap.row(7)).revision,
    'done', '[]'::jsonb, 'left', '[]'::jsonb, 'cut', true),
  'A resume message with a large resume point has no lists, and is marked as cut.');
select is(bindery.get_resume_point(tap.id(7)) -> 'done', '["s000"]',
  'The resume point itself has the list of what is done.');

select * from finish();
rollback;
