-- bindery.list_substeps: all substeps of a stage, a page at a time.
begin;
\ir ../helpers.psql
select plan(29);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}');
select tap.clock('2030-01-01 12:01+00');
select bindery.report_progress(tap.id(1), 'analyze_characters', done => 1, total => 3,
  unit => 'name', message => 'Ishmael', checkpoint => '["Ishmael"]');
create function pg_temp.page(arguments text) returns text language plpgsql as $$
declare
  page text;
begin
  execute format('select string_agg(substep, '' '' order by ord) from rows from (
    bindery.list_substeps(%s)) with ordinality as l(substep, label, weight, state, progress, done,
      total, unit, message, checkpoint, attempt, revision, started_at, updated_at, ord)',
    arguments) into page;
  return coalesce(page, 'none');
end
$$;
create function pg_temp.one(substep text) returns jsonb language sql as $$
  select to_jsonb(l) from bindery.list_substeps(tap.id(1)) l where l.substep = one.substep;
$$;

select is(pg_temp.page(format('%L', tap.id(1))),
  'analyze_characters detect_chapters extract_text',
  'list_substeps gives the substeps of the current stage in order of their keys.');
select is(pg_temp.one('analyze_characters') - 'progress', '{
    "substep": "analyze_characters", "label": "Analyze characters", "weight": 2,
    "state": "active", "done": 1, "total": 3, "unit": "name", "message": "Ishmael",
    "checkpoint": ["Ishmael"], "attempt": 1, "revision": 3,
    "started_at": "2030-01-01T12:01:00+00:00", "updated_at": "2030-01-01T12:01:00+00:00"}',
  'list_substeps gives all that is stored of a substep, its checkpoint included.');
select is((pg_temp.one('analyze_characters') -> 'progress')::float8, 100::float8 / 3,
  'list_substeps gives progress with all digits.');
select is(pg_temp.one('extract_text'), '{"substep": "extract_text", "label": "Extract text",
    "weight": 1, "state": "pending", "progress": 0, "done": null, "total": null, "unit": null,
    "message": null, "checkpoint": null, "attempt": 1, "revision": 2, "started_at": null,
    "updated_at": "2030-01-01T12:00:00+00:00"}',
  'list_substeps gives a pending substep with nulls.');
select bindery.report_progress(tap.id(1), 'extract_text', 100);
select is(pg_temp.one('extract_text') ->> 'state', 'done', 'A finished substep is done.');
select is((select provolatile::text from pg_proc where oid = 'bindery.list_substeps'::regproc),
  's', 'list_substeps is STABLE, so that PostgREST answers it to a GET.');

-- Another stage than the current one.
select is(pg_temp.page(format('%L, %L', tap.id(1), 'GENERATING_SCENES')), 'none',
  'list_substeps of a stage that was not entered or planned gives none.');
select from bindery.plan_substeps(tap.id(1), 'GENERATING_SCENES', '[{"substep": "extra"}]');
select is(pg_temp.page(format('%L, %L', tap.id(1), 'GENERATING_SCENES')), 'extra',
  'list_substeps gives what was planned for a stage to come.');
select from bindery.transition_book(tap.id(1), 'GENERATING_SCENES');
select is(pg_temp.page(format('%L, %L', tap.id(1), 'ANALYZING')),
  'analyze_characters detect_chapters extract_text',
  'list_substeps gives the substeps of a stage that the book has left.');
select is(pg_temp.page(format('%L, null', tap.id(1))), 'extra split_scenes write_prompts',
  'list_substeps with a null stage gives those of the current one.');
select is(tap.outcome(format('select bindery.list_substeps(%L, %L)', tap.id(1), stage)),
  'PT404 unknown_stage', format('list_substeps of the stage %L is refused.', stage))
from unnest(array['NOPE', 'FAILED', '']) stage;

-- Pages.
select tap.book(2, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}');
select tap.apply(variadic array(
  select tap.event('progress', 2, jsonb_build_object('segment', 0, 'progress', n % 101,
    'substep', 'page_' || n))
  from generate_series(1, 1500) n));
select is((select count(*) from bindery.list_substeps(tap.id(2))), 200::bigint,
  'list_substeps gives 200 substeps by default.');
select is((select count(*) from bindery.list_substeps(tap.id(2), max_substeps => 1000)),
  1000::bigint, 'list_substeps gives up to 1,000 substeps.');
select is(tap.outcome(format('select bindery.list_substeps(%L, max_substeps => %s)',
    tap.id(2), n)), 'PT422 bad_input', format('list_substeps with a page of %s is refused.', n))
from unnest(array['0', '-1', '1001', 'null']) n;
create function pg_temp.pages(most integer) returns text[] language plpgsql as $$
declare
  found text[] := '{}';
  page text[];
begin
  loop
    page := array(select l.substep from bindery.list_substeps(
      tap.id(2), after => found[cardinality(found)], max_substeps => most) l);
    exit when page = '{}';
    found := found || page;
  end loop;
  return found;
end
$$;
select is(pg_temp.pages(most), array(select ('page_' || n)::text collate "C"
    from generate_series(1, 1500) n order by 1),
  format('Pages of %s, each after the last substep of the one before, give each substep once.',
    most))
from unnest(array[7, 200, 1000]) most;
select is(pg_temp.page(format('%L, after => %L', tap.id(2), 'page_999')), 'none',
  'list_substeps after the last substep gives none.');
select is(pg_temp.page(format('%L, after => %L, max_substeps => 2', tap.id(2), 'page_9985')),
  'page_999', 'The argument after need not be a substep that is there.');
select is(pg_temp.page(format('%L, after => %L, max_substeps => 1', tap.id(2), '')), 'page_1',
  'An empty after begins at the first substep.');

-- Who may ask.
select bindery.register_book(tap.id(3), owner_id => tap.id(900));
select from bindery.transition_book(tap.id(3), 'ANALYZING');
select is(tap.as_role('authenticated', format('select count(*) from bindery.list_substeps(%L)',
    tap.id(3)), tap.id(900)::text), '3', 'list_substeps answers the owner of a book.');
select is(tap.as_role('authenticated', format('select bindery.list_substeps(%L)', tap.id(3)),
    tap.id(901)::text), 'PT404 unknown_book',
  'list_substeps of another owner''s book is refused as unknown.');
select is(tap.outcome(format('select bindery.list_substeps(%L)', tap.id(99))),
  'PT404 unknown_book', 'list_substeps of an unknown book is refused.');
select is(tap.outcome('select bindery.list_substeps(null)'), 'PT404 unknown_book',
  'list_substeps without a book is refused.');

select * from finish();
rollback;
