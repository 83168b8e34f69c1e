-- resume_books and cancel_books: one act on many books, a row a book.
begin;
\ir ../helpers.psql
select plan(32);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING,FAILED}'), tap.book(2, '{ANALYZING}'),
  tap.book(3, '{ANALYZING,GENERATING_SCENES,FAILED}'), tap.book(4, '{CANCELLED}'),
  tap.book(5, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}'), tap.book(6);
create function tap.ids(variadic n integer[]) returns uuid[] language sql as $$
  select array_agg(tap.id(i)) from unnest(n) i;
$$;
-- The outcomes of a call, as 'book outcome code', in its order.
create function tap.outcomes(call text) returns text[] language plpgsql as $$
declare
  found text[];
begin
  execute format('select array_agg(concat_ws('' '', ltrim(right(r.book_id::text, 3), ''0''),
    r.outcome, r.code)) from bindery.%s r', call) into found;
  return found;
end
$$;
create function tap.all_of(variadic n integer[]) returns jsonb language sql volatile as $$
  select jsonb_agg(tap.snapshot(i) order by i) from unnest(n) i;
$$;

-- With dry_run nothing changes.
create temp table before as select tap.all_of(1, 2, 3, 4, 5, 6) as b;
select is(
  tap.outcomes('resume_books(tap.ids(5, 3, 1, 4, 2, 99), dry_run => true)'),
  array['1 allowed', '2 refused not_failed', '3 allowed', '4 refused not_failed',
    '5 refused not_failed', '99 refused unknown_book'],
  'A dry run of resume_books gives what would become of each book, in order of book_id.');
select is(
  tap.outcomes('cancel_books(tap.ids(1, 2, 4, 5, 6, 99), dry_run => true)'),
  array['1 allowed', '2 allowed', '4 allowed', '5 refused illegal_transition', '6 allowed',
    '99 refused unknown_book'],
  'A dry run of cancel_books refuses books that are complete.');
select is(tap.all_of(1, 2, 3, 4, 5, 6), (select b from before), 'A dry run changes nothing.');

-- The act itself.
select tap.clock('2030-01-01 12:10+00');
select is(
  tap.outcomes('resume_books(tap.ids(5, 3, 1, 1, 4, 2, 99))'),
  array['1 done', '2 refused not_failed', '3 done', '4 refused not_failed',
    '5 refused not_failed', '99 refused unknown_book'],
  'resume_books gives one row a book, also for one that is named twice.');
select is((select row(status, attempt) from tap.row(1)), row('ANALYZING'::text, 2),
  'A book that failed in its first stage is resumed there.');
select is((select row(status, attempt) from tap.row(3)), row('GENERATING_SCENES'::text, 2),
  'Each book is resumed in the stage that it failed in.');
select is(tap.all_of(2, 4, 5, 6), (select jsonb_path_query_array(b, '$[1,3,4,5]') from before),
  'A refused book, and one that is not named, stays as it is.');
select is((select kind from bindery.book_events where book_id = tap.id(3)
    order by revision desc limit 1), 'resume', 'The history of each book has the resume.');
select is(tap.outcomes('resume_books(tap.ids(1))'), array['1 refused not_failed'],
  'A book that was resumed is not resumed again.');
select is((select reason from bindery.resume_books(tap.ids(1))),
  format('Book %s is in ANALYZING; only a FAILED book is resumed.', tap.id(1)),
  'A refusal has its reason.');
select is(
  tap.outcomes($$cancel_books(tap.ids(1, 4, 5, 6), message => 'enough')$$),
  array['1 done', '4 done', '5 refused illegal_transition', '6 done'],
  'cancel_books cancels each book that is not complete.');
select is((select array_agg(status || ' ' || coalesce(message, '-') order by book_id)
    from bindery.book_status),
  array['CANCELLED enough', 'ANALYZING -', 'GENERATING_SCENES -', 'CANCELLED -', 'COMPLETED -',
    'CANCELLED enough'],
  'Each book has the message, a book that was cancelled before keeps its own.');

-- A book whose change raises leaves the others as they are.
create function tap.refuse() returns trigger language plpgsql as $$
begin
  if new.book_id = tap.id(11) then
    raise exception 'the printer is on strike' using errcode = 'P0001', detail = '{not JSON';
  elsif new.book_id = tap.id(12) then
    raise exception 'not today' using errcode = 'PT409', detail = '{"code": "no_paper"}';
  elsif new.book_id = tap.id(14) then
    raise exception 'not at all' using errcode = 'PT409';
  end if;
  return new;
end
$$;
select tap.book(n, '{ANALYZING,FAILED}') from generate_series(10, 14) n;
create trigger z_refuse before update on bindery.book_status
for each row execute function tap.refuse();
create temp table kept as select tap.all_of(11, 12, 14) as b;
select is(
  tap.outcomes('resume_books(tap.ids(10, 11, 12, 13, 14))'),
  array['10 done', '11 refused P0001', '12 refused no_paper', '13 done', '14 refused PT409'],
  'An error that a trigger raises refuses its book alone.');
select is((select array_agg(status order by book_id) from bindery.book_status
    where book_id = any (tap.ids(10, 11, 12, 13))),
  array['ANALYZING', 'FAILED', 'FAILED', 'ANALYZING'], 'The books around it are resumed.');
select is(tap.all_of(11, 12, 14), (select b from kept), 'A book with such an error is unchanged.');
drop trigger z_refuse on bindery.book_status;

-- The dry run agrees with the act, whatever the book.
create temp table promised as
select r.book_id, r.outcome, r.code, 'resume' as act
from bindery.resume_books(array(select book_id from bindery.book_status), dry_run => true) r;
create temp table found as
select * from bindery.resume_books(array(select book_id from bindery.book_status));
select is_empty($$select p.book_id from promised p join found f using (book_id)
    where (p.outcome, p.code) is distinct from (replace(f.outcome, 'done', 'allowed'), f.code)$$,
  'A dry run of resume_books promises what the call does.');
truncate promised, found;
insert into promised
select r.book_id, r.outcome, r.code, 'cancel'
from bindery.cancel_books(array(select book_id from bindery.book_status), dry_run => true) r;
insert into found
select * from bindery.cancel_books(array(select book_id from bindery.book_status));
select is_empty($$select p.book_id from promised p join found f using (book_id)
    where (p.outcome, p.code) is distinct from (replace(f.outcome, 'done', 'allowed'), f.code)$$,
  'A dry run of cancel_books promises what the call does.');
select isnt_empty($$select from found where outcome = 'refused'$$,
  'Among them were refused ones.');

-- A book without its pipeline.
select bindery.define_pipeline('lost', '{"states": [{"name": "A", "weight": 1}, {"name": "B"}]}');
select tap.book(20, '{FAILED}', 'lost'), tap.book(21, '{ANALYZING,FAILED}');
set local session_replication_role = replica;
delete from bindery.pipelines where name = 'lost';
set local session_replication_role = origin;
select is(tap.outcomes(format('resume_books(tap.ids(20, 21), dry_run => %L)', dry)), expected,
  format('A book without its pipeline is refused alone, with dry_run %s.', dry))
from (values (true, array['20 refused missing_pipeline', '21 allowed']),
  (false, array['20 refused missing_pipeline', '21 done'])) v(dry, expected);

-- Input.
select is(tap.outcome(call), 'PT422 bad_input', format('Refused: %s', call))
from unnest(array['select bindery.resume_books(null)', 'select bindery.resume_books(''{}'')',
  'select bindery.resume_books(''{NULL}'')',
  'select bindery.resume_books(array[tap.id(1), null])',
  'select bindery.resume_books(array(select gen_random_uuid() from generate_series(1, 10001)))',
  'select bindery.cancel_books(tap.ids(1), dry_run => null)',
  'select bindery.cancel_books(tap.ids(1), repeat(''x'', 8193))']) call;
select is((select count(*) from bindery.resume_books(
    array(select gen_random_uuid() from generate_series(1, 10000)), dry_run => true)),
  10000::bigint, 'Up to 10,000 books are taken.');

-- Who may.
select is(tap.as_role(role, format('select count(*) from bindery.resume_books(array[%L::uuid])',
    tap.id(1))), '42501', format('%s may not resume books.', role))
from unnest(array['anon', 'authenticated', 'bindery_worker', 'bindery_relay']) role;

select * from finish();
rollback;
