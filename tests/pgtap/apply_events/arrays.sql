-- bindery.apply_events with progress reports as typed arrays, one element a report.
begin;
\ir ../helpers.psql
select plan(59);
select tap.clock('2030-01-01 12:00+00');
select tap.book(n, '{ANALYZING}') from generate_series(1, 6) n;
-- Calls apply_events on a stream of its own: its arguments but for the first three, or the error.
select epoch from bindery.acquire_stream('arrays', 'pgtap') \gset
create function pg_temp.send(arguments text) returns text language plpgsql as $$
declare
  answer text;
  detail text;
begin
  execute format('select format(''%%s/%%s/%%s/%%s'', a.applied, a.stale, a.early, a.rejected)
    from bindery.relay_cursors c, bindery.apply_events(c.stream, c.epoch,
      split_part(c.position, ''-'', 1)::bigint + 1 || ''-0'', %s) a where c.stream = ''arrays''',
    arguments) into answer;
  return answer;
exception when others then
  get stacked diagnostics detail = pg_exception_detail;
  return concat_ws(' ', sqlstate, case when sqlstate like 'PT%' then detail::jsonb ->> 'code' end,
    case when sqlstate like 'PT%' then detail::jsonb ->> 'argument' else sqlerrm end);
end
$$;
-- The same, with some of the arrays of two reports given otherwise.
create function pg_temp.two(others text default '') returns text language sql as $$
  select pg_temp.send(format($f$book_ids => %L, progress => '{10,20}'%s%s$f$,
    array[tap.id(1), tap.id(2)],
    case when others ~ 'substeps' then ''
      else $f$, substeps => '{extract_text,extract_text}'$f$ end,
    ', ' || nullif(others, '')));
$$;

-- Which arrays are needed, and how long they are.
select is(pg_temp.two(), '2/0/0/0', 'book_ids, substeps and progress are enough.');
select is(row((tap.row(1)).stage_progress, (tap.row(2)).stage_progress),
  row(2.5::float8, 5::float8),  'Each report in arrays takes effect.');
select is(pg_temp.send('book_ids => null, progress => null'), '0/0/0/0',
  'Null arrays are zero reports.');
select is(pg_temp.send('book_ids => ''{}'', progress => ''{}'', segments => ''{}'''), '0/0/0/0',
  'Empty arrays are zero reports.');
select is(pg_temp.two(format('%s => %L', name, value)), 'PT422 bad_input the arrays of reports',
  format('%s with one element for two reports is refused.', name))
from (values ('segments', '{0}'), ('stages', '{ANALYZING}'), ('substeps', '{extract_text}'),
  ('attempts', '{1}'), ('done', '{1}'), ('totals', '{2}'), ('units', '{page}'),
  ('messages', '{m}'), ('checkpoints', '{1}'), ('counts', '{1}'), ('first_ids', '{1-0}'),
  ('ids', '{1-0}')) v(name, value);
select is(pg_temp.two(format('%s => %L', name, value)), 'PT422 bad_input the arrays of reports',
  format('%s with three elements for two reports is refused.', name))
from (values ('segments', '{0,0,0}'), ('counts', '{1,1,1}'), ('substeps', '{a,b,c}'))
  v(name, value);
select is(pg_temp.two(format('%s => %L', name, '{}')), 'PT422 bad_input the arrays of reports',
  format('Empty %s for two reports are refused.', name))
from unnest(array['segments', 'ids', 'attempts']) name;
select is(pg_temp.send(format('book_ids => %L', array[tap.id(1)])),
  'PT422 bad_input the arrays of reports', 'Reports without progress are refused.');
select is(pg_temp.send('progress => ''{10}'''), 'PT422 bad_input the arrays of reports',
  'Progress without book_ids is refused.');

-- Segments.
select is(pg_temp.two(format('segments => %L', segments)), 'PT422 bad_input segments',
  format('Segments of %s are refused.', segments))
from unnest(array['{1,0}', '{-1,0}', '{0,NULL}', '{NULL,0}']) segments;
select is(pg_temp.two('segments => ''{3,3}'''), '2/0/0/0', 'Two reports may share a segment.');
select is(pg_temp.two('segments => ''{0,2147483647}'''), '2/0/0/0', 'Segments may have gaps.');
select is(pg_temp.send(format($f$book_ids => %L, substeps => '{extract_text,detect_chapters,
    split_scenes}', progress => '{100,50,30}', segments => '{0,2,5}', counts => '{5,7,9}',
    events => '[{"type": "fail", "segment": 3, "book_id": "%s", "count": 2},
      {"type": "transition", "segment": 1, "to_status": "GENERATING_SCENES", "book_id": "%s"},
      {"type": "transition", "segment": 4, "to_status": "GENERATING_SCENES", "book_id": "%s"}]'$f$,
    array[tap.id(3), tap.id(3), tap.id(3)], tap.id(3), tap.id(3), tap.id(3))), '18/0/0/7',
  'Reports and items are applied in the order of their segments.');
select is((select row(reason, payload ->> 'substep', count) from bindery.dead_letters
    order by id desc limit 1), row('unknown_substep'::text, 'detect_chapters'::text, 7::bigint),
  'A report in a segment after a transition is about the new stage.');

-- What arrays hold.
select is(pg_temp.send(format($f$book_ids => %L, substeps => '{extract_text,NULL,detect_chapters}',
    progress => '{40,50,25}', stages => '{ANALYZING,ANALYZING,NULL}', attempts => '{1,NULL,1}',
    done => '{NULL,NULL,2}', totals => '{NULL,NULL,8}', units => '{NULL,NULL,page}',
    messages => '{reading,NULL,NULL}', checkpoints => '{"{\"page\": 3}",NULL,"[1]"}',
    counts => '{3,5,2}', first_ids => '{1-1,2-1,3-1}', ids => '{1-9,2-9,3-9}'$f$,
    array[tap.id(4), tap.id(4), tap.id(4)])), '5/0/0/5',
  'A report counts as many events as its element of counts.');
select is((select row(progress, message, checkpoint) from bindery.book_progress
    where book_id = tap.id(4) and substep = 'extract_text'),
  row(40::float8, 'reading'::text, '{"page": 3}'::jsonb),
  'A report brings its message and its checkpoint.');
select is((select row(progress, done, total, unit, checkpoint) from bindery.book_progress
    where book_id = tap.id(4) and substep = 'detect_chapters'),
  row(25::float8, 2::float8, 8::float8, 'page'::text, '[1]'::jsonb),
  'A report brings its done, total and unit.');
select is((select row(d.event_id, d.first_event_id, d.count, d.book_id, d.payload)
    from bindery.dead_letters d order by id desc limit 1),
  row('2-9'::text, '2-1'::text, 5::bigint, tap.id(4), jsonb_build_object('type', 'progress',
    'id', '2-9', 'first_id', '2-1', 'count', 5, 'book_id', tap.id(4), 'stage', 'ANALYZING',
    'progress', 50)),
  'A rejected report is a dead letter with the event as JSON.');
select is((tap.row(4)).revision, 3::bigint,
  'The reports of a book in one segment are one revision.');
select is(pg_temp.send(format($f$book_ids => %L, substeps => '{extract_text,extract_text}',
    progress => '{10,60}', attempts => '{2,1}', stages => '{NULL,UPLOADED}'$f$,
    array[tap.id(4), tap.id(4)])), '0/1/1/0',
  'A report of an attempt ahead is early, and one of a stage that was left is stale.');

-- Two reports about the same substep in one segment.
select is(pg_temp.send(format($f$book_ids => %L, progress => '{10,30,20,40}',
    substeps => '{extract_text,extract_text,extract_text,detect_chapters}',
    messages => '{one,two,NULL,NULL}'$f$,
    array[tap.id(5), tap.id(5), tap.id(6), tap.id(5)])), '4/0/0/0',
  'Two reports about one substep in a segment are applied one after the other.');
select is((select row(progress, message) from bindery.book_progress
    where book_id = tap.id(5) and substep = 'extract_text'), row(30::float8, 'two'::text),
  'The later of two reports about one substep is applied last.');
select is(row((tap.row(5)).stage_progress, (tap.row(6)).stage_progress),
  row(17.5::float8, 5::float8), 'The reports beside two about one substep take effect.');

-- One poisoned report among good ones.
create function pg_temp.poisoned(others text, expected text) returns text language sql as $$
  select is(pg_temp.send(format($f$substeps => '{extract_text,extract_text,extract_text}',
      book_ids => %L, %s$f$, array[tap.id(1), tap.id(2), tap.id(6)], others)), '2/0/0/1',
    format('Of three reports, the one with %s is rejected alone.', expected));
$$;
select pg_temp.poisoned($$progress => '{80,101,80}'$$, 'A progress above 100.');
select pg_temp.poisoned($$progress => '{80,-1,80}'$$, 'A negative progress.');
select pg_temp.poisoned($$progress => '{80,NaN,80}'$$, 'A progress of NaN.');
select pg_temp.poisoned($$progress => '{80,NULL,80}'$$, 'No progress.');
select pg_temp.poisoned($$progress => '{80,81,80}', done => '{1,5,1}', totals => '{2,4,2}'$$,
  'More done than in all.');
select pg_temp.poisoned($$progress => '{80,81,80}', done => '{1,5,1}', totals => '{2,NULL,2}'$$,
  'done without total.');
select pg_temp.poisoned($$progress => '{80,81,80}', messages => array['a', e'a\u202eb', 'a']$$,
  'A message that overrides the direction of text.');
select pg_temp.poisoned(
  $$progress => '{80,81,80}', messages => array['a', repeat('x', 8193), 'a']$$,
  'A message of 8,193 characters.');
select pg_temp.poisoned($$progress => '{80,81,80}', units => array['a', repeat('x', 64), 'a']$$,
  'A unit of 64 characters.');
select pg_temp.poisoned($$progress => '{80,81,80}', checkpoints => '{1,"{\"a\": ",1}'$$,
  'A checkpoint that is not JSON.');
select pg_temp.poisoned($$progress => '{80,81,80}', checkpoints => array['1',
    to_json(repeat('x', 131072))::text, '1']$$, 'A checkpoint larger than 128 KiB.');
select pg_temp.poisoned($$progress => '{80,81,80}', checkpoints => array['1',
    repeat('[', 65) || '1' || repeat(']', 65), '1']$$, 'A checkpoint deeper than 64 levels.');
select is((tap.row(2)).stage_progress, 5::float8, 'A rejected report has no effect.');
select is((tap.row(1)).stage_progress, 20::float8, 'The reports around it take effect.');
select tap.book(7, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}');
select is(pg_temp.send(format($f$book_ids => %L, progress => '{1,2,3}', substeps => %L$f$,
    array[tap.id(7), tap.id(7), tap.id(7)], array['page_1', substep, 'page_3'])), '2/0/0/1',
  format('Of three reports about open substeps, the one with the key %L is rejected alone.',
    left(substep, 70)))
from unnest(array['Bad Key', '', e'a\u202eb', repeat('x', 64)]) substep;

select * from finish();
rollback;
