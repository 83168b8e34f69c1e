-- Who sees a book: its owner and the service only.
begin;
create extension if not exists pgtap with schema extensions;
grant usage on schema extensions to anon, authenticated, service_role;
set local search_path = extensions, pg_catalog;
select plan(9);

\set book '''b00c0000-0000-4000-8000-000000000002'''
\set owner '''0e000000-0000-4000-8000-000000000002'''
select bindery.register_book(:book, owner_id => :owner);
select bindery.transition_book(:book, 'ANALYZING');

-- As the Data API does it: the token's claims, and its role.
select set_config('request.jwt.claims',
  json_build_object('sub', :owner, 'role', 'authenticated')::text, true);
set local role authenticated;
select is((select count(*)::int from bindery.book_status), 1,
  'the owner sees the book and no other');
select is(bindery.get_book_status(:book) ->> 'status', 'ANALYZING', 'and asks for its status');
select is((select count(*)::int from bindery.book_events), 2, 'and reads its history');
select throws_ok(format($$select bindery.cancel_book(%L)$$, :book), '42501', null,
  'but changes nothing');
select throws_ok($$update bindery.book_status set title = 'Mine'$$, '42501', null, 'by no way');

select set_config('request.jwt.claims',
  '{"sub": "0e000000-0000-4000-8000-0000000000ff", "role": "authenticated"}', true);
select is((select count(*)::int from bindery.book_status where book_id = :book), 0,
  'a stranger does not see it');
select throws_ok(format($$select bindery.get_book_status(%L)$$, :book), 'PT404', null,
  'for a stranger there is no such book');

select set_config('request.jwt.claims', '{"role": "anon"}', true);
set local role anon;
select throws_ok($$select from bindery.book_status$$, '42501', null, 'anon sees nothing');

set local role service_role;
select lives_ok(format($$select bindery.cancel_book(%L)$$, :book), 'the service may do everything');
reset role;
select * from finish();
rollback;
