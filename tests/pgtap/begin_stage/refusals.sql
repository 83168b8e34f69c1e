-- Refusals of begin_stage.
begin;
\ir ../helpers.psql
select plan(37);
select tap.book(1, '{ANALYZING,GENERATING_SCENES}');
select tap.book(2, '{ANALYZING,GENERATING_SCENES,FAILED}');
select tap.book(3, '{ANALYZING,CANCELLED}');
select tap.book(4, '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}');
select tap.book(5);
select tap.book(6, '{ANALYZING,GENERATING_SCENES,CANCELLED}');
create temp table before as select n, tap.snapshot(n) as s from generate_series(1, 6) n;

select is(
  tap.call('begin_stage', n, coalesce(quote_literal(target), 'null')), outcome,
  format('begin_stage of %s for a book in %s: %s.', coalesce(target, 'null'),
    coalesce((tap.row(n)).status, 'no status'), outcome))
from (values
  (1, 'UPLOADED', 'PT409 stage_left'), (1, 'ANALYZING', 'PT409 stage_left'),
  (1, 'COMPLETED', 'PT409 illegal_transition'), (1, 'FAILED', 'PT409 illegal_transition'),
  (1, 'CANCELLED', 'PT409 illegal_transition'), (1, 'NOPE', 'PT409 illegal_transition'),
  (1, '', 'PT409 illegal_transition'), (1, null, 'PT422 bad_input'),
  (2, 'ANALYZING', 'PT409 stage_left'), (2, 'CREATING_ARTWORK', 'PT409 stage_not_reached'),
  (2, 'FAILED', 'PT409 illegal_transition'), (2, 'COMPLETED', 'PT409 illegal_transition'),
  (3, 'ANALYZING', 'PT409 stage_left'), (3, 'GENERATING_SCENES', 'PT409 stage_left'),
  (3, 'CANCELLED', 'PT409 illegal_transition'), (4, 'CREATING_ARTWORK', 'PT409 stage_left'),
  (4, 'COMPLETED', 'PT409 illegal_transition'),
  (5, 'GENERATING_SCENES', 'PT409 stage_not_reached'),
  (5, 'CREATING_ARTWORK', 'PT409 stage_not_reached'), (99, 'ANALYZING', 'PT404 unknown_book'))
  v(n, target, outcome);
select is(
  tap.refusal('begin_stage', 5, '''GENERATING_SCENES''') -> 'detail',
  jsonb_build_object('code', 'stage_not_reached', 'book_id', tap.id(5), 'status', 'UPLOADED',
    'to_status', 'GENERATING_SCENES'),
  'The detail of stage_not_reached has the status of the book and the stage.');
select is(
  tap.refusal('begin_stage', 1, '''ANALYZING''') -> 'detail',
  jsonb_build_object('code', 'stage_left', 'book_id', tap.id(1), 'to_status', 'ANALYZING',
    'status', 'GENERATING_SCENES', 'attempt', 1, 'passed', true),
  'The detail of stage_left has the stage, and where the book is.');
select is(
  tap.refusal('begin_stage', n, arguments) #> '{detail,passed}', to_jsonb(passed),
  format('The detail of stage_left of %s has passed: %s.', what, passed))
from (values
  (1, '''UPLOADED''', true, 'a state before the book''s'),
  (2, '''ANALYZING''', true, 'a stage before the one in which the book FAILED'),
  (4, '''CREATING_ARTWORK''', true, 'a stage of a complete book'),
  (3, '''ANALYZING''', false, 'the stage in which a book was cancelled'),
  (6, '''ANALYZING''', false, 'a stage before the one in which a book was cancelled'),
  (2, '''GENERATING_SCENES'', resume => false', false, 'the stage in which the book FAILED'))
  v(n, arguments, passed, what);
select is(
  tap.refusal('begin_stage', 1, '''NOPE''') #> '{detail,allowed}',
  '["CREATING_ARTWORK", "FAILED", "CANCELLED"]',
  'The detail of illegal_transition lists what is allowed.');
select ok(
  length(e ->> 'message') > 10 and length(e ->> 'hint') > 10,
  format('The error of begin_stage of %s has a message and a hint.', target))
from unnest(array['ANALYZING', 'COMPLETED', 'NOPE']) target,
  lateral tap.refusal('begin_stage', 1, quote_literal(target)) e;
select is(
  tap.outcome('select bindery.begin_stage(null, ''ANALYZING'')'), 'PT404 unknown_book',
  'begin_stage without a book is refused.');
select is(
  tap.call('begin_stage', 5, '''ANALYZING'', ' || worker), 'PT422 bad_input',
  format('A worker named %s is refused.', worker))
from unnest(array['repeat(''x'', 513)', 'E''\x1b[31m''']) worker;
select is(
  tap.call('begin_stage', 5, 'repeat(''A'', 64)'), 'PT422 bad_input',
  'A stage of 64 characters is refused.');
select is(
  (select count(*)::integer from before where s is distinct from tap.snapshot(n)), 0,
  'A refused begin_stage changes nothing.');

select * from finish();
rollback;
