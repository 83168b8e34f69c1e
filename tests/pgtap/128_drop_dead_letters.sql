begin;
\ir helpers.psql
-- drop_dead_letters: those that are named, and no others.
select plan(6);
insert into bindery.dead_letters (stream, event_id, reason, message, payload, at)
select 's', n || '-0', 'unknown_book', 'nobody registered it', '{}', now() from generate_series(1, 4) n;
create temp table letters as select id, event_id from bindery.dead_letters where stream = 's';
select is(bindery.drop_dead_letters(array(select id from letters where event_id in ('1-0', '3-0'))), 2, 'says how many there were');
select set_eq($$select event_id from bindery.dead_letters where stream = 's'$$, array['2-0', '4-0'], 'the others stay');
select is(bindery.drop_dead_letters(array(select id from letters where event_id = '1-0')), 0, 'one that is gone is none');
select is(tap.outcome('select bindery.drop_dead_letters(null)'), 'PT422 bad_input', 'no ids are refused');
select is(tap.outcome('select bindery.drop_dead_letters(''{}'')'), 'PT422 bad_input', 'an empty list is refused: it is no way to say all');
select is(tap.outcome('select bindery.drop_dead_letters(array(select generate_series(1, 10001)::bigint))'), 'PT422 bad_input', 'too many are refused');
select * from finish();
rollback;
