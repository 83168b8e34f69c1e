begin;
\ir helpers.psql
-- Every pair of a status and a target that the comic pipeline forbids, by both ways to ask for it.
create temp table statuses (n integer, status text, path text[], allowed text[]);
insert into statuses values
  (1, 'UPLOADED', '{}', '{ANALYZING,FAILED,CANCELLED}'),
  (2, 'ANALYZING', '{ANALYZING}', '{GENERATING_SCENES,FAILED,CANCELLED}'),
  (3, 'GENERATING_SCENES', '{ANALYZING,GENERATING_SCENES}', '{CREATING_ARTWORK,FAILED,CANCELLED}'),
  (4, 'CREATING_ARTWORK', '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}', '{COMPLETED,FAILED,CANCELLED}'),
  (5, 'COMPLETED', '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}', '{}'),
  (6, 'FAILED', '{ANALYZING,GENERATING_SCENES,FAILED}', '{GENERATING_SCENES,CANCELLED}'),
  (7, 'CANCELLED', '{ANALYZING,CANCELLED}', '{}');
create temp table targets as
  select s.n, s.status, s.allowed, t.target
  from statuses s, unnest(array['UPLOADED', 'ANALYZING', 'GENERATING_SCENES', 'CREATING_ARTWORK', 'COMPLETED', 'FAILED', 'CANCELLED', 'NOPE', '', 'analyzing']) t(target)
  where t.target <> all (s.allowed);
select tap.book(n, path) from statuses;
select bindery.report_progress(tap.id(3), 'split_scenes', 40, message => 'half way', checkpoint => '{"scene": 4}');
create temp table before as select n, tap.snapshot(n) as s from statuses;

select plan((select 3 * count(*) + 3 * count(*) filter (where target <> status) from targets)::integer + 10);

create function tap.refusal(statement text) returns text language sql volatile as $$
  select concat_ws(' ', e ->> 'sqlstate', e #>> '{detail,code}', e #>> '{detail,from}', e #>> '{detail,to}', e #> '{detail,allowed}')
  from tap.error(statement) e;
$$;
create function tap.expected(t targets) returns text language sql as $$
  select concat_ws(' ', 'PT409 illegal_transition', t.status, t.target, to_jsonb(t.allowed));
$$;

select is(tap.refusal(format('select bindery.transition_book(%L, %L, %L)', tap.id(t.n), t.target, 'please')), tap.expected(t),
  format('transition_book refuses %s -> %L, and says what is allowed', status, target)) from targets t
union all
select is(tap.refusal(format('update bindery.book_status set status = %L, message = %L where book_id = %L', t.target, 'please', tap.id(t.n))), tap.expected(t),
  format('plain UPDATE refuses %s -> %L, and says what is allowed', status, target)) from targets t where target <> status
union all
select is(tap.apply(tap.event('transition', t.n, jsonb_build_object('to', t.target))), '0/0/1',
  format('an event that asks for %s -> %L is a dead letter', status, target)) from targets t
union all
select is(tap.snapshot(t.n), b.s, format('%s -> %L left row, progress, history and outbox as they were', status, target)) from targets t join before b using (n)
union all
select ok(length(e ->> 'message') > 10 and length(e ->> 'hint') > 10, format('the refusal of %s -> %L has a message and a hint', status, target))
from targets t, lateral tap.error(format('update bindery.book_status set status = %L where book_id = %L', t.target, tap.id(t.n))) e where target <> status
union all
select is(tap.snapshot(t.n), b.s, format('and once more after the plain UPDATE of %s -> %L', status, target)) from targets t join before b using (n) where target <> status;

select is((select array_agg(distinct reason) from bindery.dead_letters), '{illegal_transition}', 'all these events died of illegal_transition');
select is((select count(*)::integer from bindery.dead_letters), (select count(*)::integer from targets), 'each of them is kept');
select is(tap.outcome(format('update bindery.book_status set status = %L where book_id = %L', 'ANALYZING', tap.id(2))), 'ok', 'a plain UPDATE to the status a book has is no change');
select is(tap.snapshot(2), (select s from before where n = 2), 'and leaves everything as it was');
select isnt(tap.outcome(format('update bindery.book_status set status = null where book_id = %L', tap.id(2))), 'ok', 'a status cannot be null');
select is(tap.outcome(format('select bindery.transition_book(%L, null)', tap.id(2))), 'PT422 bad_input', 'a transition without a target is refused');
select is(tap.outcome(format('select bindery.transition_book(%L, %L)', tap.id(99), 'ANALYZING')), 'PT404 unknown_book', 'a transition of an unknown book is refused');
select is(tap.outcome('select bindery.transition_book(null, ''ANALYZING'')'), 'PT404 unknown_book', 'a transition of no book is refused');
select is(tap.outcome(format('select bindery.transition_book(%L, %L, repeat(%L, 8193))', tap.id(1), 'ANALYZING', 'x')), 'PT422 bad_input', 'a message of 8,193 characters is refused');
-- Several books in one UPDATE: one that may not go keeps all from going.
select is(tap.outcome(format('update bindery.book_status set status = %L where book_id in (%L, %L)', 'ANALYZING', tap.id(1), tap.id(3))), 'PT409 illegal_transition',
  'one UPDATE of several books changes all or none');

select * from finish();
rollback;
