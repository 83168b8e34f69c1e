-- Guards that are SQL functions: (book bindery.book_status) returns boolean, called as the role
-- bindery_guard.
begin;
\ir ../helpers.psql
\ir guards.psql
select plan(30);

-- The decision of a guard. The answer of shop.allows is in the metadata of the book.
select tap.guarded(1, 'shop.allows', '{"answer": true}'),
  tap.guarded(2, 'shop.allows', '{"answer": false}'), tap.guarded(3, 'shop.allows'),
  tap.guarded(4, 'allows', '{"public": "yes"}'),
  tap.guarded(5, 'allows', '{"answer": true, "public": "no"}');
select is(tap.goes(1), 'ok', 'A transition is made if its guard returns true.');
select is((tap.row(1)).status, 'B', 'A book is in the state behind the guard after it held.');
select is(
  tap.goes(2), 'PT409 illegal_transition', 'A transition is refused if its guard returns false.');
select is(
  tap.refusal('transition_book', 2, '''B''') ->> 'message',
  'The guard shop.allows of A -> B does not hold: it said no.',
  'The message of the refused transition names the guard that returned false.');
select is(
  tap.refusal('transition_book', 2, '''B''') #> '{detail,allowed}',
  '["B", "C", "FAILED", "CANCELLED"]',
  'The detail of the refused transition lists guarded edges, too.');
select is(
  tap.goes(3), 'PT409 illegal_transition', 'A transition is refused if its guard returns null.');
select is(
  tap.refusal('transition_book', 3, '''B''') ->> 'message',
  'The guard shop.allows of A -> B does not hold: nothing is known about it.',
  'The message of the refused transition distinguishes null from false.');
select is((tap.row(2)).status, 'A', 'A book stays in its state if the guard does not hold.');
select is(tap.goes(4), 'ok', 'A guard without a schema is a function of the schema public.');
select is(
  tap.goes(5), 'PT409 illegal_transition',
  'A guard without a schema does not name a function of another schema.');
select is(
  tap.update(2, 'status = ''B'''), 'PT409 illegal_transition', 'A plain UPDATE calls the guard.');
update bindery.book_status set metadata = '{"answer": true}' where book_id = tap.id(2);
select is(
  tap.update(2, 'status = ''B'''), 'ok', 'A plain UPDATE is made if the guard returns true.');
select is(
  tap.apply(tap.event('transition', 3, '{"to_status": "B"}')), '0/0/0/1',
  'A transition event is rejected if the guard does not return true.');
select is(
  tap.reasons(), 'illegal_transition',
  'The reason of an event that a guard refuses is illegal_transition.');
select is(
  tap.call('transition_book', 3, '''C'''), 'ok', 'An edge without a guard is not affected.');

-- The argument of a guard.
select tap.guarded(10, 'shop.witness', '{"pages": 3}');
select is(
  tap.goes(10), 'ok', 'A guard is given the row of the book, and may itself be SECURITY DEFINER.');
select is((select count(*)::integer from shop.seen), 0, 'What a guard writes is undone.');

-- Guards that fail.
set local client_min_messages = error;
select tap.guarded(20, 'shop.raises'), tap.guarded(21, 'shop.asserts'),
  tap.guarded(22, 'shop.retries'), tap.guarded(23, 'shop.deadlocks');
select is(
  tap.goes(20), 'PT409 illegal_transition', 'A guard that raises an error does not hold.');
select is(
  tap.goes(21), 'PT409 illegal_transition', 'A guard that fails an assertion does not hold.');
select is(
  tap.goes(22), 'PT409 illegal_transition',
  'A guard that raises a serialization failure of its own does not hold.');
select is(
  tap.apply(tap.event('transition', 22, '{"to_status": "B"}')), '0/0/0/1',
  'An event whose guard raises a serialization failure is rejected and not retried forever.');
select is(
  tap.goes(23), '40P01', 'A deadlock in a guard fails the call, so that the caller retries.');
set local client_min_messages = warning;

-- Guards that a definition must not name.
select is(
  tap.defined(guard) #>> '{detail,faults,0,path}', '$.states[0].next[0].guard',
  format('A guard %s is a fault of the definition.', what))
from (values ('shop.nowhere', 'that does not exist'), ('shop.a_number', 'that returns a number'),
  ('shop.no_argument', 'that takes no book')) v(guard, what);
select is(
  tap.defined('shop.nowhere') #>> '{detail,faults,0,problem}',
  'there is no function shop.nowhere(bindery.book_status) returns boolean; create it first',
  'The problem of a guard that does not exist has the function to create.');
select matches(
  tap.defined('shop.secret_guard') #>> '{detail,faults,0,problem}',
  'bindery_guard.* may not call shop.secret_guard',
  'A guard that bindery_guard may not execute is a fault of the definition.');
select matches(
  tap.defined('vault.inside') #>> '{detail,faults,0,problem}', 'may not call vault.inside',
  'A guard in a schema that bindery_guard may not use is a fault of the definition.');
select is(
  tap.error($q$select bindery.define_pipeline('bad', '{"states": [
    {"name": "A", "weight": -1, "next": [{"to": "B", "guard": "shop.nowhere"},
      {"to": "C", "guard": "No Name"}, 5, "B"]},
    {"name": "B", "next": {"guard": "shop.nowhere"}}, 7, {"name": "C"}]}')$q$)
    #> '{detail,faults}' @> '[{"path": "$.states[0].weight"},
      {"path": "$.states[0].next[0].guard"}, {"path": "$.states[0].next[1].guard"},
      {"path": "$.states[0].next[2]"}]',
  true, 'Faults of guards are listed together with all other faults.');

-- A guard that is dropped later.
select tap.guarded(30, 'shop.allows', '{"answer": true}');
drop function shop.allows;
select is(
  tap.goes(30), 'PT409 illegal_transition', 'A guard that was dropped does not hold.');

select * from finish();
rollback;
