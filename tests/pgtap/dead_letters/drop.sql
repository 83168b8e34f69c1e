-- bindery.drop_dead_letters deletes exactly the named letters.
begin;
\ir ../helpers.psql
select plan(8);
insert into bindery.dead_letters (stream, event_id, reason, message, payload, at)
select 's', n || '-0', 'unknown_book', 'There is no such book.', '{}', now()
from generate_series(1, 4) n;
create temp table letters as select id, event_id from bindery.dead_letters where stream = 's';

select is(bindery.drop_dead_letters(
    array(select id from letters where event_id in ('1-0', '3-0'))), 2,
  'drop_dead_letters gives how many letters it deleted.');
select set_eq($$select event_id from bindery.dead_letters where stream = 's'$$,
  array['2-0', '4-0'], 'drop_dead_letters leaves the other letters.');
select is(bindery.drop_dead_letters(array(select id from letters where event_id = '1-0')), 0,
  'A letter that is gone is not counted.');
select is(tap.outcome(format('select bindery.drop_dead_letters(%s)', ids)), 'PT422 bad_input',
  format('drop_dead_letters of %s is refused.', ids))
from unnest(array['null', '''{}''', 'array(select generate_series(1, 10001)::bigint)']) ids;
select is((select count(*) from bindery.dead_letters where stream = 's'), 2::bigint,
  'A refused drop_dead_letters deletes nothing.');
select is(tap.as_role('bindery_relay', 'select bindery.drop_dead_letters(''{1}'')'), '42501',
  'The relay''s role may not drop dead letters.');

select * from finish();
rollback;
