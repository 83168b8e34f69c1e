begin;
\ir helpers.psql
select plan(31);
-- Things that raise inside the database: the item is buried alone, unless the failure may pass.
select tap.book(n, '{ANALYZING}') from generate_series(1, 6) n;

-- Two items with the same key in one segment: no statement may touch a row twice.
select is(tap.apply(tap.event('progress', 1, '{"segment": 0, "substep": "extract_text", "progress": 10}'), tap.event('progress', 1, '{"segment": 0, "substep": "extract_text", "progress": 30}'),
  tap.event('progress', 2, '{"segment": 0, "substep": "extract_text", "progress": 20}')), '3/0/0', 'the same key twice in a segment: all count, one by one');
select is(row((tap.row(1)).stage_progress, (tap.row(2)).stage_progress), row(7.5::float8, 5::float8), 'and took effect in their order');
select is(tap.reasons(), 'none', 'nothing died');

-- Somebody's own trigger does not like one book.
create table tap.dislikes (book_id uuid, code text);
create function tap.dislike() returns trigger language plpgsql as $$
declare c text;
begin
  select d.code into c from tap.dislikes d where d.book_id = new.book_id;
  if c is not null then raise exception 'book % is not liked', new.book_id using errcode = c; end if;
  return new;
end
$$;
create trigger dislike before insert or update on bindery.book_progress for each row execute function tap.dislike();
create trigger dislike before update on bindery.book_status for each row when (old.status <> new.status) execute function tap.dislike();
insert into tap.dislikes values (tap.id(3), '22000');
create function tap.three(segment boolean) returns jsonb[] language sql as $$
  select array_agg(tap.event('progress', n, '{"substep": "detect_chapters", "progress": 40, "count": 2}' || case when segment then '{"segment": 0}' else '{}' end::jsonb)) from generate_series(2, 4) n;
$$;
select is(tap.apply(variadic tap.three(true)), '4/0/2', 'a book that the database raises for is buried alone');
select is((select row(reason, book_id, count) from bindery.dead_letters order by id desc limit 1), row('refused_by_database'::text, tap.id(3), 2::bigint), 'with its reason, its book and its count');
select ok((select message like '%is not liked%22000%' from bindery.dead_letters order by id desc limit 1), 'the message has what the database said, and the SQLSTATE');
select is((select payload ->> 'substep' from bindery.dead_letters order by id desc limit 1), 'detect_chapters', 'and the event is kept');
select is(row((tap.row(2)).stage_progress, (tap.row(3)).stage_progress, (tap.row(4)).stage_progress), row(15::float8, 0::float8, 10::float8), 'the others of the segment took effect');
select is(tap.apply(tap.event('transition', 3, '{"to": "GENERATING_SCENES"}'), tap.event('transition', 4, '{"to": "GENERATING_SCENES"}')), '1/0/1', 'a transition that the database raises for is buried alone too');
select is(row((tap.row(3)).status, (tap.row(4)).status), row('ANALYZING'::text, 'GENERATING_SCENES'::text), 'and the other one made');
select is((select count(*)::int from bindery.book_events where book_id = tap.id(3)), 2, 'nothing is in the history of what was undone');

-- A failure that may pass undoes the whole call.
create temp table before as select n, tap.snapshot(n) as s from generate_series(1, 6) n;
create temp table cursor_before as select to_jsonb(c) as c from bindery.relay_cursors c where stream = 'tap';
create temp table letters_before as select count(*) as n from bindery.dead_letters;
create function tap.with_code(code text, segment boolean) returns text language plpgsql as $$
begin
  update tap.dislikes set code = with_code.code;
  return tap.apply(variadic tap.three(segment) || tap.event('progress', 99, '{"progress": 1}'));
end
$$;
select is(tap.with_code(code, true), code, format('SQLSTATE %s goes to the caller', code)) from unnest(array['40001', '40P01', '53100', '53200', '55P03', '57P01', '42883', '42501']) code;
select is(tap.with_code('40001', false), '40001', 'from a segment of its own too');
select is((select array_agg(n) from before where tap.snapshot(n) <> s), null, 'and undoes the whole batch: every book is as it was');
select is((select to_jsonb(c) from bindery.relay_cursors c where stream = 'tap'), (select c from cursor_before), 'the position and the counts too');
select is((select count(*) from bindery.dead_letters), (select n from letters_before), 'and nothing is buried');
select is(tap.with_code(code, true), code, format('SQLSTATE %s is taken as passing', code)) from unnest(array['55000']) code;
delete from tap.dislikes;
select is(tap.apply(variadic tap.three(true)), '4/0/2', 'once it has passed, the same batch is applied; only the book that has moved on meanwhile refuses its substep');

-- Not passing: whatever else a database raises.
insert into tap.dislikes values (tap.id(5), '22000');
create function tap.one_of_two(code text) returns text language plpgsql as $$
begin
  update tap.dislikes set code = one_of_two.code;
  return tap.apply(tap.event('progress', 5, '{"segment": 0, "substep": "extract_text", "progress": 1}'), tap.event('progress', 6, '{"segment": 0, "substep": "extract_text", "progress": 1}'));
end
$$;
select is(tap.one_of_two(code), '1/0/1', format('SQLSTATE %s buries the one and applies the other', code)) from unnest(array['P0001', '23514', 'XX000', 'PT409', '22P02', '54000']) code;

select * from finish();
rollback;
