-- A book through its pipeline, in pgTAP. Run with `supabase test db`, or with pg_prove on any
-- Postgres that has pgtap.
begin;
create extension if not exists pgtap with schema extensions;
set local search_path = extensions, pg_catalog;
select plan(9);

\set book '''b00c0000-0000-4000-8000-000000000001'''
\set owner '''0e000000-0000-4000-8000-000000000001'''
select isnt_empty(
  format($$select from bindery.register_book(%L, owner_id => %L, title => 'Moby Dick')$$,
    :book, :owner),
  'a book is registered');
select results_eq(
  format($$select status, overall_progress, revision::int
    from bindery.book_status where book_id = %L$$, :book),
  $$values ('UPLOADED', 0::double precision, 1)$$, 'it begins at the start');
select throws_ok(format($$select bindery.transition_book(%L, 'COMPLETED')$$, :book), 'PT409', null,
  'what the pipeline forbids is refused');
select lives_ok(format($$select bindery.transition_book(%L, 'ANALYZING')$$, :book),
  'what it allows is done');
select lives_ok(format($$select bindery.report_progress(%L, 'extract_text', 40)$$, :book),
  'progress is reported');
select is((select overall_progress from bindery.book_status where book_id = :book),
  2::double precision, 'and adds up: 40 percent of a quarter of a fifth');
select is(bindery.get_book_status(:book) #>> '{substeps,0,progress}', '40',
  'get_book_status has it too');
select bindery.fail_book(:book, '{"code": "out_of_memory"}');
select is((select attempt from bindery.resume_book(:book)), 2,
  'a failed book continues with its next attempt');
select results_eq(
  format($$select to_status from bindery.book_events where book_id = %L order by revision$$, :book),
  array['UPLOADED', 'ANALYZING', 'FAILED', 'ANALYZING'], 'all of which is in its history');

select * from finish();
rollback;
