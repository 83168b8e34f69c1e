-- get_book_status and get_book_changes return at most 256 KiB for every book.
begin;
\ir ../helpers.psql
select plan(21);

-- 64 states with the longest names and labels (of characters that JSON escapes), all visited, and
-- an open stage with 10,000 substeps with long keys and messages of 8,192 characters, of three
-- bytes in those that are listed.
select from bindery.define_pipeline('large', jsonb_build_object('states', (
  select jsonb_agg(jsonb_build_object('name', rpad(chr(65 + n / 26) || chr(65 + n % 26), 63, 'X'),
      'label', repeat(chr(1), 200))
    || case when n between 1 and 62 then '{"weight": 1234567.123456789, "open_substeps": true,
        "max_attempts": 2147483647}'::jsonb
      else '{}' end
    order by n)
  from generate_series(0, 63) n)));
select is((select jsonb_array_length(machine -> 'states') from bindery.pipelines
    where name = 'large'), 64, 'The test''s pipeline has 64 states.');
select tap.book(1, array[rpad('AB', 63, 'X')], 'large');
update bindery.book_status set title = repeat('題', 1024),
  metadata = jsonb_build_object('small', 1, 'large', repeat('m', 130000))
where book_id = tap.id(1);
select is((
    select a.applied
    from bindery.acquire_stream('large', 'pgtap') c, (
      select array_agg(tap.id(1)) as books,
        array_agg('s' || lpad(n::text, 62, '0') order by n) as substeps,
        array_agg(case when n % 2 = 0 then 12.345678901234567 else 0 end order by n) as progress,
        array_agg(123456789.12345678::double precision) as done,
        array_agg(1e15::double precision / 3) as totals, array_agg(repeat('頁', 63)) as units,
        array_agg(repeat(case when n <= 400 then '言' else 'x' end, 8192) order by n) as messages,
        array_agg('{"page": 1}'::text) as checkpoints
      from generate_series(1, 10000) n) r,
      bindery.apply_events('large', c.epoch, '1-0', book_ids => r.books, substeps => r.substeps,
        progress => r.progress, done => r.done, totals => r.totals, units => r.units,
        messages => r.messages, checkpoints => r.checkpoints) a),
  10000::bigint, 'A batch of 10,000 reports about one book is applied.');
select from bindery.fail_book(tap.id(1), message => repeat('訊', 8192),
  error => jsonb_build_object('code', 'out_of_memory', 'retry', false,
    'stack', (select jsonb_agg('frame ' || n) from generate_series(1, 8000) n)));
insert into bindery.stage_visits (book_id, stage, attempt, entered_at, left_at, seconds)
select tap.id(1), s.state ->> 'name', 2147483647, '2030-01-01 12:00:00.123456+00',
  '2030-01-01 12:00:00.123457+00', 123456789.12345678
from bindery.pipelines p,
  jsonb_array_elements(p.machine -> 'states') with ordinality s(state, place)
where p.name = 'large' and s.place between 3 and 63;
insert into bindery_internal.stage_pace
select 'large', 1, s.state ->> 'name', 123456789.12345678, 1, 50, now()
from bindery.pipelines p, jsonb_array_elements(p.machine -> 'states') s(state)
where p.name = 'large';
create temp table answer as select bindery.get_book_status(tap.id(1)) as status;

select is(status -> 'substeps_total', '10000', 'The book has 10,000 substeps.') from answer;
select cmp_ok(octet_length(status::text), '<=', 256 * 1024,
  'get_book_status of the largest book gives at most 256 KiB.') from answer;
select cmp_ok(octet_length(bindery.get_book_changes(tap.id(1), 1)::text), '<=', 256 * 1024,
  'get_book_changes of the largest book gives at most 256 KiB.');
select cmp_ok(octet_length(bindery.get_book_changes(tap.id(1), (tap.row(1)).revision - 1)::text),
  '<=', 256 * 1024,
  'get_book_changes since the last revision gives at most 256 KiB.');
select cmp_ok(jsonb_array_length(status -> 'substeps'), '>=', 30,
  'A list of large substeps has as many as fit.') from answer;
select is(jsonb_array_length(status -> 'stages'), 62, 'All stages are listed.') from answer;
select is(status #>> '{error,code}', 'out_of_memory', 'A large error keeps its code.') from answer;
select is(status #> '{error,cut}', 'true', 'A large error is marked as cut.') from answer;
select is(status #> '{error,retry}', 'false', 'A large error keeps its small members.') from answer;
select is(status -> 'error' ? 'stack', false, 'A large error loses its large members.')
from answer;
select is(status -> 'metadata', '{"small": 1, "cut": true}',
  'Large metadata keeps its small members and is marked as cut.') from answer;
select is(status ->> 'message', repeat('訊', 8192), 'The book''s message is whole.') from answer;
select is(status ->> 'title', repeat('題', 1024), 'The book''s title is whole.') from answer;

-- As large as the limits of calls allow, in other shapes.
create function tap.bytes(error jsonb, metadata jsonb) returns integer language sql volatile as $$
  update bindery.book_status set error = bytes.error, metadata = bytes.metadata
  where book_id = tap.id(1);
  select octet_length(bindery.get_book_status(tap.id(1))::text);
$$;
select cmp_ok(tap.bytes(error, metadata), '<=', 256 * 1024,
  format('get_book_status gives at most 256 KiB with %s.', label))
from (values
  ('an error and metadata of many small members',
    (select jsonb_object_agg('key_' || n, n) from generate_series(1, 6000) n),
    (select jsonb_object_agg('key_' || n, n) from generate_series(1, 6000) n)),
  ('an error and metadata with one member of 128 KiB',
    jsonb_build_object('code', repeat('c', 131000)), jsonb_build_object('a', repeat('b', 131000))),
  ('an error and metadata with a long key',
    jsonb_build_object(repeat('c', 131000), 1), jsonb_build_object(repeat('b', 131000), 1)),
  ('an error and metadata full of characters that JSON escapes',
    jsonb_build_object('code', repeat('"\', 32000)), jsonb_build_object('a', repeat('"\', 32000))),
  ('a small error and small metadata', '{"code": "x"}', '{}')) as v(label, error, metadata);
select is(bindery_internal.cut_json('[1, 2, 3]', 5), '{"cut": true}',
  'JSON that is not an object is replaced when it is too large.');

select * from finish();
rollback;
