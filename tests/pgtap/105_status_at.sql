-- status_at: what the history says of a moment.
begin;
\ir helpers.psql
select plan(14);

select tap.clock('2030-01-01 12:00+00');
select tap.book(1);
select tap.clock('2030-01-01 13:00+00');
select from bindery.transition_book(tap.id(1), 'ANALYZING', 'begin');
select tap.clock('2030-01-01 14:00+00');
select from bindery.fail_book(tap.id(1), '{"code": "ink"}');
select tap.clock('2030-01-01 15:00+00');
select from bindery.resume_book(tap.id(1));

select is(bindery.status_at(tap.id(1), '2030-01-01 11:59+00'), null, 'before it was registered there is nothing');
select is(bindery.status_at(tap.id(1), '2030-01-01 12:00+00') ->> 'status', 'UPLOADED', 'at the very moment it counts');
select is(bindery.status_at(tap.id(1), '2030-01-01 13:59:59+00') - array['actor', 'since'],
  jsonb_build_object('book_id', tap.id(1), 'status', 'ANALYZING', 'stage', 'ANALYZING', 'attempt', 1, 'revision', 2, 'message', 'begin', 'data', null),
  'between two changes the earlier one holds');
select is((bindery.status_at(tap.id(1), '2030-01-01 13:30+00') ->> 'since')::timestamptz, '2030-01-01 13:00+00', 'it says since when');
select is(bindery.status_at(tap.id(1), '2030-01-01 14:30+00') -> 'data', '{"code": "ink"}', 'a failure comes with its error');
select is(bindery.status_at(tap.id(1), '2031-01-01') ->> 'attempt', '2', 'later than the last change it is as the row says');
select is(tap.outcome(format('select bindery.status_at(%L, now())', tap.id(9))), 'PT404 unknown_book', 'an unknown book is not there');
set local role authenticated;
select is(tap.outcome(format('select bindery.status_at(%L, now())', tap.id(1))), 'PT404 unknown_book', 'nor is one that is somebody else''s');

reset role;
select is(tap.outcome(format('select bindery.status_at(%L, null)', tap.id(1))), 'PT422 bad_input', 'no moment is refused');
-- What was pruned nobody can tell; what is left is told.
select tap.clock('2030-01-01 16:00+00');
select from bindery.transition_book(tap.id(1), 'GENERATING_SCENES');
select bindery.prune_events('2030-01-01 17:00+00') > 0 as pruned \gset
select is(bindery.status_at(tap.id(1), at::timestamptz) ->> 'status', status, format('after pruning, at %s: %s', at, coalesce(status, 'unknown')))
from (values ('2030-01-01 12:30+00', null), ('2030-01-01 13:30+00', null), ('2030-01-01 14:30+00', null), ('2030-01-01 15:30+00', 'ANALYZING'), ('2030-01-01 16:30+00', 'GENERATING_SCENES')) v(at, status);
select * from finish();
rollback;
