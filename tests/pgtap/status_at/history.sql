-- bindery.status_at: the status of a book at a moment, from its history.
begin;
\ir ../helpers.psql
select plan(16);

select tap.clock('2030-01-01 12:00+00');
select tap.book(1);
select tap.clock('2030-01-01 13:00+00');
select from bindery.transition_book(tap.id(1), 'ANALYZING', 'begin');
select tap.clock('2030-01-01 14:00+00');
select from bindery.fail_book(tap.id(1), '{"code": "ink"}');
select tap.clock('2030-01-01 15:00+00');
select from bindery.resume_book(tap.id(1));

select is(bindery.status_at(tap.id(1), '2030-01-01 11:59+00'), null,
  'status_at gives null for a moment before the book was registered.');
select is(bindery.status_at(tap.id(1), '2030-01-01 12:00+00') ->> 'status', 'UPLOADED',
  'status_at counts a change that was made at that very moment.');
select is(bindery.status_at(tap.id(1), '2030-01-01 13:59:59+00') - array['actor', 'since'],
  jsonb_build_object('book_id', tap.id(1), 'status', 'ANALYZING', 'stage', 'ANALYZING',
    'attempt', 1, 'revision', 2, 'message', 'begin', 'data', null),
  'status_at gives the last change before the moment.');
select is((bindery.status_at(tap.id(1), '2030-01-01 13:30+00') ->> 'since')::timestamptz,
  '2030-01-01 13:00+00', 'status_at returns since when the book had that status.');
select is(bindery.status_at(tap.id(1), '2030-01-01 14:30+00') -> 'data', '{"code": "ink"}',
  'status_at gives the error of a book that was FAILED.');
select is(bindery.status_at(tap.id(1), '2031-01-01') ->> 'attempt', '2',
  'status_at gives the newest change for a moment after it.');
select is((select provolatile::text from pg_proc where oid = 'bindery.status_at'::regproc), 's',
  'status_at is STABLE, so that PostgREST answers it to a GET.');
select is(tap.outcome(format('select bindery.status_at(%L, now())', tap.id(9))),
  'PT404 unknown_book', 'status_at of an unknown book is refused.');
select is(tap.as_role('authenticated', format('select bindery.status_at(%L, now())', tap.id(1)),
    tap.id(901)::text), 'PT404 unknown_book',
  'status_at of another owner''s book is refused as unknown.');
select is(tap.outcome(format('select bindery.status_at(%L, null)', tap.id(1))),
  'PT422 bad_input', 'status_at without a moment is refused.');

-- After pruning, the history has the newest change only.
select tap.clock('2030-01-01 16:00+00');
select from bindery.transition_book(tap.id(1), 'GENERATING_SCENES');
select tap.clock('2030-01-01 17:00+00');
select is(bindery.prune_events('2030-01-01 15:30+00'), 4,
  'The test prunes all but the newest change.');
select is(bindery.status_at(tap.id(1), at::timestamptz) ->> 'status', status,
  format('status_at gives %s for %s, of which the history was pruned.',
    coalesce(status, 'null'), at))
from (values ('2030-01-01 12:30+00', null), ('2030-01-01 13:30+00', null),
  ('2030-01-01 14:30+00', null), ('2030-01-01 15:30+00', null),
  ('2030-01-01 16:30+00', 'GENERATING_SCENES')) v(at, status);

select * from finish();
rollback;
