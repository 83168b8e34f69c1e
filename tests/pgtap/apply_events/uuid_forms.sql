-- A book_id in an item may have any form of a uuid that Postgres reads: it is locked and announced.
begin;
\ir ../helpers.psql
\ir ../realtime/standin.psql
select plan(31);
create temp table forms as
select label, tap.id(n) as book_id, form
from (values
  (1, 'dashed', '00000000-0000-4000-8000-000000000001'),
  (2, 'undashed', '00000000000040008000000000000002'),
  (3, 'braced', '{00000000-0000-4000-8000-000000000003}'),
  (4, 'braced and undashed', '{00000000000040008000000000000004}'),
  (5, 'grouped by four digits', '0000-0000-0000-4000-8000-0000-0000-0005'),
  (171, 'in capitals', 'ABCDEF00-0000-4000-8000-00000000ABCD')) v(n, label, form);
update forms set book_id = form::uuid where true;
select from bindery.register_book((select book_id from forms where label = 'in capitals'));
select tap.book(n) from generate_series(1, 5) n;
select from forms f, bindery.transition_book(f.book_id, 'ANALYZING');
delete from realtime.messages where true;

select is(tap.apply(jsonb_build_object('type', 'progress', 'book_id', form,
    'substep', 'extract_text', 'progress', 40)), '1/0/0/0',
  format('An item about a book whose id is %s is applied.', label)) from forms;
select is((select string_agg(m.topic, ', ' order by m.topic) from realtime.messages m),
  (select string_agg('book:' || book_id, ', ' order by 'book:' || book_id) from forms),
  'Each book is announced by its id in the usual form.');
select is((select b.stage_progress from bindery.book_status b where b.book_id = f.book_id),
  10::float8, format('An item about a book whose id is %s takes effect.', label)) from forms f;

-- A batch locks its books before anything else: here the function that does it records them.
create table tap.locked (book_id uuid);
create or replace function bindery_internal.lock_books(book_ids uuid[]) returns void
language sql as 'insert into tap.locked select unnest(book_ids)';
select is(tap.apply(jsonb_build_object('type', type, 'book_id', form, 'reason', 'bad_number',
    'message', 'x', 'to_status', 'NOWHERE')), '0/0/0/1',
  format('A refused item of the type %s about a book whose id is %s is counted.', type, label))
from forms, unnest(array['transition', 'rejected']) type;
select set_eq('select book_id from tap.locked', 'select book_id from forms',
  'A batch locks the book of each item, whatever the form of its id.');
select is((select array_agg(d.book_id order by d.id) from bindery.dead_letters d),
  array(select book_id from forms, generate_series(1, 2)),
  'A dead letter has the book''s id in the usual form.');
select is(tap.apply(jsonb_build_object('type', 'heartbeat', 'book_id', form)), '0/0/0/1',
  format('An item whose book_id is %L is rejected.', form))
from unnest(array['{00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000001',
  '0', '']) form;

select * from finish();
rollback;
