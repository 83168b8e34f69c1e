-- bindery.get_book_changes: a substep that a plain statement deletes or renames is gone from what a
-- client has merged.
begin;
\ir ../helpers.psql
select plan(6);
-- What get_book_changes returns: whether the list is whole, and its substeps.
create function pg_temp.changes(n integer, since bigint) returns text language sql volatile as $$
  select case (c ->> 'substeps_partial')::boolean when true then 'partial: ' else 'whole: ' end
    || coalesce((select string_agg(s ->> 'substep', ' ' order by s ->> 'substep')
      from jsonb_array_elements(c -> 'substeps') s), 'none')
  from bindery.get_book_changes(tap.id(n), since) c;
$$;
select tap.book(1, '{ANALYZING}');
select (tap.row(1)).revision as before \gset
delete from bindery.book_progress where book_id = tap.id(1) and substep = 'extract_text';
select is(pg_temp.changes(1, :before), 'whole: analyze_characters detect_chapters',
  'After a DELETE get_book_changes gives the whole list.');
select is((tap.row(1)).revision, :before + 1::bigint, 'A DELETE is one revision.');
select (tap.row(1)).revision as before \gset
select is(pg_temp.changes(1, :before), 'partial: none',
  'After that revision get_book_changes gives what changed since.');
update bindery.book_progress set substep = 'find_chapters'
where book_id = tap.id(1) and substep = 'detect_chapters';
select is(pg_temp.changes(1, :before), 'whole: analyze_characters find_chapters',
  'After a rename get_book_changes gives the whole list.');
select (tap.row(1)).revision as before \gset
update bindery.book_progress set progress = 10
where book_id = tap.id(1) and substep = 'find_chapters';
select is(pg_temp.changes(1, :before), 'partial: find_chapters',
  'After an UPDATE of progress get_book_changes gives the row that changed.');
delete from bindery.book_progress where book_id = tap.id(1);
select is(pg_temp.changes(1, :before), 'whole: none',
  'After a DELETE of all rows get_book_changes gives an empty list.');
select * from finish();
rollback;
