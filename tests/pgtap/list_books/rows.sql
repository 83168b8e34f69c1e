-- Books as rows of a list, and which of many books are queued.
begin;
\ir ../helpers.psql
select plan(17);
select tap.clock('2030-01-01 12:00+00');
select bindery.define_pipeline('short', '{"states": [
  {"name": "A", "weight": 1, "stall_after": "1 minute"}, {"name": "B", "weight": 1},
  {"name": "C"}]}');
select tap.book(1), tap.book(2, '{ANALYZING}'), tap.book(3, '{ANALYZING,FAILED}'),
  tap.book(4, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}'),
  tap.book(5, '{CANCELLED}'), tap.book(6, '{}', 'short'), tap.book(7, '{}', 'short'),
  tap.book(8, '{ANALYZING}'), tap.book(9, '{FAILED}');
select bindery.report_progress(tap.id(7), 'all', 10);
create function tap.row_of(n integer) returns jsonb language sql volatile as $$
  select bindery_internal.listed_row(tap.row(n));
$$;
create function tap.queued() returns text language sql volatile as $$
  select string_agg(ltrim(right(q.id::text, 3), '0'), ',' order by q.id)
  from bindery_internal.queued_among(array(select tap.id(n) from generate_series(1, 99) n)) q(id);
$$;

-- The job of book 8 waits in a queue.
insert into bindery.relay_cursors (stream) values ('queue');
insert into bindery_internal.waiting_books (book_id, stream, since)
values (tap.id(8), 'queue', bindery_internal.now()), (tap.id(3), 'queue', bindery_internal.now());
select is(tap.queued(), '1,6',
  'Books without progress in the first state are queued, also where it is a stage.');
select tap.clock('2030-01-01 12:00:30+00');
select is(tap.queued(), '1,6,8', 'A silent book whose job waits in a queue is queued.');
select is(tap.row_of(8) ->> 'health', 'waiting', 'Its health is waiting.');
select is(
  (select jsonb_object_agg(n, tap.row_of(n) -> 'phase') from generate_series(1, 9) n),
  '{"1": "queued", "2": "working", "3": "failed", "4": "completed", "5": "cancelled",
    "6": "queued", "7": "working", "8": "queued", "9": "failed"}',
  'The row of a book has its phase.');
select is_empty($$select n from generate_series(1, 9) n
    where (tap.row_of(n) ->> 'phase' = 'queued') <> (tap.id(n) in (
      select bindery_internal.queued_among(array[tap.id(n)])))$$,
  'A row''s phase is queued for the books that queued_among gives.');
select is((select count(*) from bindery_internal.queued_among('{}')), 0::bigint,
  'Of no books none is queued.');
select is((select count(*) from bindery_internal.queued_among(null)), 0::bigint,
  'Of null no book is queued.');

-- The fields.
update bindery.book_status set title = 'Tides', metadata = '{"tags": ["sea"], "text": "long"}'
where book_id = tap.id(2);
select set_eq('select jsonb_object_keys(tap.row_of(2))',
  $$select jsonb_object_keys(bindery.get_book_status(tap.id(2)) - array['substeps', 'metadata'])
    union select unnest(array['tags', 'phase', 'max_attempts'])$$,
  'A row has the fields of a status but substeps and metadata, and tags, phase and max_attempts.');
select is(tap.row_of(2) - array['tags', 'phase', 'max_attempts', 'stages'],
  bindery.get_book_status(tap.id(2)) - array['substeps', 'metadata', 'stages'],
  'The fields of a row are those of the status.');
select is(tap.row_of(2) #> '{stages,0}',
  (bindery.get_book_status(tap.id(2)) #> '{stages,0}')
    - array['attempt', 'started_at', 'seconds', 'median_seconds', 'max_attempts'],
  'The stages of a row have name, label, weight, state and progress.');
select is(tap.row_of(2) -> 'tags', '["sea"]', 'A row has the tags of the metadata.');
select is(tap.row_of(2) -> 'max_attempts', '3',
  'A row has the limit of attempts of the current stage.');
update bindery.book_status set metadata = jsonb_build_object('tags', array[repeat('x', 3000)])
where book_id = tap.id(2);
select is(tap.row_of(2) -> 'tags', '[]', 'Tags that are too large are left out.');
select bindery.fail_book(tap.id(2), jsonb_build_object('code', repeat('c', 900), 'message',
  repeat('m', 9000), 'more', '{}'::jsonb), repeat('t', 5000));
select is(tap.row_of(2) -> 'error',
  jsonb_build_object('code', repeat('c', 100), 'message', repeat('m', 500)),
  'The error of a row is cut to its code and message.');
select cmp_ok(octet_length(tap.row_of(2)::text), '<', 3000, 'A row is small.');

-- A restore of data can bring books without their pipeline.
set local session_replication_role = replica;
delete from bindery.pipelines where name = 'short';
set local session_replication_role = origin;
select is(tap.row_of(6) #>> '{missing_pipeline,code}', 'missing_pipeline',
  'A row of a book without its pipeline names the error.');
select is(tap.queued(), '1,8', 'A book without its pipeline is not queued.');

select * from finish();
rollback;
