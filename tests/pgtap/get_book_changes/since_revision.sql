-- bindery.get_book_changes: a book with the substeps that changed after a revision.
begin;
\ir ../helpers.psql
select plan(31);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}');
create function pg_temp.changes(n integer, since bigint) returns text language sql as $$
  select format('%s: %s', case when c.c -> 'substeps_partial' = 'true' then 'partial'
      when c.c -> 'substeps_partial' = 'false' then 'whole' end,
    (select coalesce(string_agg(s.substep ->> 'substep', ' ' order by s.ord), 'none')
     from jsonb_array_elements(c.c -> 'substeps') with ordinality as s(substep, ord)))
  from (select bindery.get_book_changes(tap.id(n), since)) as c(c);
$$;

select set_eq(format('select jsonb_object_keys(bindery.get_book_changes(%L, 0))', tap.id(1)),
  format('select jsonb_object_keys(bindery.get_book_status(%L)) union all
    select ''substeps_partial''', tap.id(1)),
  'get_book_changes gives the keys of get_book_status and substeps_partial.');
select is(bindery.get_book_changes(tap.id(1), 0) - 'substeps_partial',
  bindery.get_book_status(tap.id(1)),
  'get_book_changes since before the stage was entered gives what get_book_status gives.');
select is(bindery.get_book_changes(tap.id(1), 0) -> 'substeps_partial', 'false',
  'The whole list of substeps is not partial.');

select is(pg_temp.changes(1, 2), 'partial: none',
  'get_book_changes since the present revision gives no substep.');
select bindery.report_progress(tap.id(1), 'analyze_characters', 10);
select is((tap.row(1)).revision, 3::bigint, 'The test''s first report is revision 3.');
select bindery.report_progress(tap.id(1), 'extract_text', 20);
select bindery.report_progress(tap.id(1), 'detect_chapters', 30);
select is(pg_temp.changes(1, 2), 'whole: extract_text detect_chapters analyze_characters',
  'get_book_changes gives the whole list, in declared order, where every substep has changed.');
select is(pg_temp.changes(1, 3), 'partial: extract_text detect_chapters',
  'get_book_changes leaves out what changed up to the revision.');
select is(pg_temp.changes(1, 4), 'partial: detect_chapters',
  'get_book_changes since the last but one revision gives the last change.');
select is(pg_temp.changes(1, 5), 'partial: none',
  'get_book_changes gives no substep where nothing has changed.');
select is(pg_temp.changes(1, 6), 'whole: extract_text detect_chapters analyze_characters',
  'get_book_changes since a revision that the book has not come to gives the whole list.');
select is(pg_temp.changes(1, null), 'whole: extract_text detect_chapters analyze_characters',
  'get_book_changes without a revision gives the whole list.');
select is(pg_temp.changes(1, -1), 'whole: extract_text detect_chapters analyze_characters',
  'get_book_changes since a negative revision gives the whole list.');
select is(bindery.get_book_changes(tap.id(1), 4) #> '{substeps,0}',
  '{"substep": "detect_chapters", "label": "Detect chapters", "weight": 1, "state": "active",
    "progress": 30}',
  'get_book_changes gives substeps in the form of get_book_status.');
select is((bindery.get_book_changes(tap.id(1), 4)) - array['substeps', 'substeps_partial'],
  bindery.get_book_status(tap.id(1)) - 'substeps',
  'get_book_changes gives everything else as get_book_status does.');

-- Calls without a visible change.
select bindery.report_progress(tap.id(1), 'detect_chapters', 5);
select bindery.heartbeat(tap.id(1));
select is(pg_temp.changes(1, 5), 'partial: none',
  'A lower report and a heartbeat are not changes.');
select bindery.report_progress(tap.id(1), 'detect_chapters', 5, message => 'chapter 3');
select is(pg_temp.changes(1, 5), 'partial: detect_chapters',
  'A lower report with a new message is a change.');
update bindery.book_status set title = 'Moby Dick' where book_id = tap.id(1);
select is(pg_temp.changes(1, 6), 'partial: none', 'A new title changes no substep.');
select is(bindery.get_book_changes(tap.id(1), 6) ->> 'title', 'Moby Dick',
  'get_book_changes gives the new title.');
select from bindery.plan_substeps(tap.id(1), 'ANALYZING', '[{"substep": "index_names"}]');
select is(pg_temp.changes(1, 7), 'partial: index_names', 'A planned substep is a change.');

-- A change of status: the list is another.
select (tap.row(1)).revision as before \gset
select from bindery.fail_book(tap.id(1));
select ok(pg_temp.changes(1, :before) like 'whole: %',
  'get_book_changes since before a failure gives the whole list.');
select ok(pg_temp.changes(1, :before + 1) = 'partial: none',
  'get_book_changes since the failure gives no substep.');
select from bindery.resume_book(tap.id(1));
select ok(pg_temp.changes(1, :before + 1) like 'whole: %',
  'get_book_changes since before a resume gives the whole list.');
select from bindery.transition_book(tap.id(1), 'GENERATING_SCENES');
select is(pg_temp.changes(1, :before + 2), 'whole: split_scenes write_prompts',
  'get_book_changes since before the stage was entered gives the whole list of the new stage.');
select bindery.report_progress(tap.id(1), 'write_prompts', 1);
select is(pg_temp.changes(1, :before + 2), 'whole: write_prompts split_scenes',
  'get_book_changes since before the stage was entered gives what was not reported, too.');
select is(pg_temp.changes(1, :before + 3), 'partial: write_prompts',
  'get_book_changes since the stage was entered gives what was reported.');

-- More changes than a list holds.
select tap.book(2, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}');
create function pg_temp.draw(first integer, last integer, percent integer) returns text
language sql as $$
  select tap.apply(variadic array(
    select tap.event('progress', 2, jsonb_build_object('segment', 0, 'progress', percent,
      'substep', 'page_' || n)) from generate_series(first, last) n));
$$;
select pg_temp.draw(1, 300, 10);
select (tap.row(2)).revision as before \gset
select pg_temp.draw(1, 200, 20);
select is(bindery.get_book_changes(tap.id(2), :before) -> 'substeps_partial', 'true',
  '200 changed substeps are given as a partial list.');
select is(jsonb_array_length(bindery.get_book_changes(tap.id(2), :before) -> 'substeps'), 200,
  'A partial list has each of 200 changed substeps.');
select is(bindery.get_book_changes(tap.id(2), :before - 1) -> 'substeps_partial', 'false',
  'More than 200 changed substeps are given as the whole list.');

select is(tap.outcome(format('select bindery.get_book_changes(%L, 0)', tap.id(99))),
  'PT404 unknown_book', 'get_book_changes of an unknown book is refused.');
select is(tap.as_role('authenticated', format('select bindery.get_book_changes(%L, 0)',
    tap.id(1)), tap.id(901)::text), 'PT404 unknown_book',
  'get_book_changes of another owner''s book is refused as unknown.');
select is((select provolatile::text from pg_proc
    where oid = 'bindery.get_book_changes'::regproc), 's',
  'get_book_changes is STABLE, so that PostgREST answers it to a GET.');

select * from finish();
rollback;
