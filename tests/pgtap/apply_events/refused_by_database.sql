-- An item for which the database raises an error is rejected alone, unless the error is transient.
begin;
\ir ../helpers.psql
select plan(52);
select tap.book(n, '{ANALYZING}') from generate_series(1, 6) n;

-- A user's trigger that raises an error for some books.
create table tap.dislikes (book_id uuid, code text);
create function tap.dislike() returns trigger language plpgsql as $$
declare
  c text;
begin
  select d.code into c from tap.dislikes d where d.book_id = new.book_id;
  if c is not null then
    raise exception 'book % is not liked', new.book_id using errcode = c;
  end if;
  return new;
end
$$;
create trigger dislike before insert or update on bindery.book_progress
for each row execute function tap.dislike();
create trigger dislike before update on bindery.book_status
for each row when (old.status <> new.status) execute function tap.dislike();
insert into tap.dislikes values (tap.id(3), '22000');
-- Two events about each of the books 2, 3 and 4.
create function pg_temp.three(segment boolean, stage text default null) returns jsonb[]
language sql as $$
  select array_agg(jsonb_strip_nulls(tap.event('progress', n, jsonb_build_object(
      'substep', 'detect_chapters', 'progress', 40, 'count', 2, 'stage', stage,
      'checkpoint', '{"page": null}'::jsonb, 'segment', case when segment then 0 end))
    - 'checkpoint') || '{"checkpoint": {"page": null}}')
  from generate_series(2, 4) n;
$$;

select is(tap.batch(variadic pg_temp.three(true)), '4/0/0/2',
  'Of a segment of reports, the one for which the database raises is rejected alone.');
select is((select row(reason, book_id, count) from bindery.dead_letters order by id desc limit 1),
  row('refused_by_database'::text, tap.id(3), 2::bigint),
  'The dead letter has the reason refused_by_database, the book and the count.');
select is((select message from bindery.dead_letters order by id desc limit 1),
  format('book %s is not liked (SQLSTATE 22000)', tap.id(3)),
  'The dead letter has the message of the database and the SQLSTATE.');
select is((select payload - 'id' from bindery.dead_letters order by id desc limit 1),
  jsonb_build_object('type', 'progress', 'book_id', tap.id(3), 'count', 2, 'progress', 40,
    'substep', 'detect_chapters', 'checkpoint', '{"page": null}'::jsonb),
  'The dead letter has the whole report, its checkpoint as JSON.');
select is(row((tap.row(2)).stage_progress, (tap.row(3)).stage_progress,
    (tap.row(4)).stage_progress),
  row(10::float8, 0::float8, 10::float8), 'The reports around a refused one take effect.');
select is(tap.apply(variadic pg_temp.three(true)), '4/0/0/2',
  'Of a segment of JSON items, the one for which the database raises is rejected alone.');
select is((select payload - 'id' from bindery.dead_letters order by id desc limit 1),
  (select payload - 'id' from bindery.dead_letters order by id limit 1),
  'The dead letter of a JSON item is the same.');
select is(tap.batch(
    tap.event('progress', 3, '{"segment": 0, "substep": "extract_text", "progress": 30}'),
    tap.event('progress', 4, '{"segment": 0, "substep": "extract_text", "progress": 50}'),
    tap.event('progress', 4, '{"segment": 0, "substep": "detect_chapters", "progress": 50}')),
  '2/0/0/1', 'A refused report at the start of a segment is rejected alone.');
select is(tap.apply(tap.event('transition', 3, '{"to_status": "GENERATING_SCENES"}'),
    tap.event('transition', 4, '{"to_status": "GENERATING_SCENES"}')), '1/0/0/1',
  'Of two transitions, the one for which the database raises is rejected alone.');
select is(row((tap.row(3)).status, (tap.row(4)).status),
  row('ANALYZING'::text, 'GENERATING_SCENES'::text),
  'The transition beside a refused one takes effect.');
select is((select count(*)::int from bindery.book_events where book_id = tap.id(3)), 2,
  'A refused transition leaves nothing in the history.');

-- A transient error undoes the whole call.
create temp table before as select n, tap.snapshot(n) as s from generate_series(1, 6) n;
create temp table cursor_before as
select to_jsonb(c) as c from bindery.relay_cursors c where stream = 'tap';
create temp table letters_before as select count(*) as n from bindery.dead_letters;
create function pg_temp.with_code(code text, segment boolean, arrays boolean) returns text
language plpgsql as $$
declare
  items constant jsonb[] := pg_temp.three(segment, 'ANALYZING')
    || tap.event('transition', 6, '{"to_status": "NOWHERE"}')
    || tap.event('heartbeat', 99);
begin
  update tap.dislikes set code = with_code.code where true;
  return case when arrays then tap.batch(variadic items) else tap.apply(variadic items) end;
end
$$;
select is(pg_temp.with_code(code, true, arrays), code,
  format('SQLSTATE %s goes to the caller from %s.', code,
    case when arrays then 'reports' else 'items' end))
from unnest(array['40001', '40P01', '53100', '53200', '55000', '55P03', '57P01', '42883', '42501'])
  code, unnest(array[true, false]) arrays;
select is(pg_temp.with_code('40001', false, arrays), '40001',
  format('SQLSTATE 40001 goes to the caller from %s in segments of their own.',
    case when arrays then 'reports' else 'items' end))
from unnest(array[true, false]) arrays;
select is((select array_agg(n) from before where tap.snapshot(n) <> s), null,
  'An error that may pass leaves every book of the batch as it was.');
select is((select to_jsonb(c) from bindery.relay_cursors c where stream = 'tap'),
  (select c from cursor_before), 'An error that may pass leaves the position and the counts.');
select is((select count(*) from bindery.dead_letters), (select n from letters_before),
  'An error that may pass makes no dead letter.');
select is((select count(*) from bindery.early_events), 0::bigint,
  'An error that may pass keeps no early event.');
delete from tap.dislikes where true;
select is(tap.batch(variadic pg_temp.three(true, 'ANALYZING')), '4/2/0/0',
  'A batch is applied once the cause of its error has passed.');

-- All other errors are the item's.
insert into tap.dislikes values (tap.id(5), '22000');
create function pg_temp.one_of_two(code text, arrays boolean) returns text language plpgsql as $$
declare
  items constant jsonb[] := array[
    tap.event('progress', 5, '{"segment": 0, "substep": "extract_text", "progress": 1}'),
    tap.event('progress', 6, '{"segment": 0, "substep": "extract_text", "progress": 1}')];
begin
  update tap.dislikes set code = one_of_two.code where true;
  return case when arrays then tap.batch(variadic items) else tap.apply(variadic items) end;
end
$$;
select is(pg_temp.one_of_two(code, arrays), '1/0/0/1',
  format('SQLSTATE %s rejects one of two %s.', code,
    case when arrays then 'reports' else 'items' end))
from unnest(array['P0001', 'P0004', '23514', 'XX000', 'PT409', '22P02', '54000', '21000']) code,
  unnest(array[true, false]) arrays;

select * from finish();
rollback;
