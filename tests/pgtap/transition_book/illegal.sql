-- Every pair of a status and a target that the pipeline comic forbids, by transition_book, by a
-- plain UPDATE and by an event.
begin;
\ir ../helpers.psql
create temp table statuses (n integer, status text, path text[], allowed text[]);
insert into statuses values
  (1, 'UPLOADED', '{}', '{ANALYZING,FAILED,CANCELLED}'),
  (2, 'ANALYZING', '{ANALYZING}', '{GENERATING_SCENES,FAILED,CANCELLED}'),
  (3, 'GENERATING_SCENES', '{ANALYZING,GENERATING_SCENES}',
    '{CREATING_ARTWORK,FAILED,CANCELLED}'),
  (4, 'CREATING_ARTWORK', '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}',
    '{COMPLETED,FAILED,CANCELLED}'),
  (5, 'COMPLETED', '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}', '{}'),
  (6, 'FAILED', '{ANALYZING,GENERATING_SCENES,FAILED}', '{GENERATING_SCENES,CANCELLED}'),
  (7, 'CANCELLED', '{ANALYZING,CANCELLED}', '{}');
-- The verdict on an event: one for a stage ahead waits, one for a stage behind or about a book that
-- is complete or CANCELLED is stale, and one that names no state is illegal.
create temp table targets as
  select s.n, s.status, s.allowed, t.target, case
      when t.place is null then 'illegal'
      when s.status in ('COMPLETED', 'CANCELLED') then 'stale'
      when t.place > coalesce(p.place, 3) then 'early' else 'stale' end as verdict
  from statuses s
  cross join (values ('UPLOADED', 1), ('ANALYZING', 2), ('GENERATING_SCENES', 3),
    ('CREATING_ARTWORK', 4), ('COMPLETED', 5), ('FAILED', 0), ('CANCELLED', 0),
    ('NOPE', null), ('', null), ('analyzing', null)) t(target, place)
  left join (values ('UPLOADED', 1), ('ANALYZING', 2), ('GENERATING_SCENES', 3),
    ('CREATING_ARTWORK', 4)) p(status, place) on p.status = s.status
  where t.target <> all (s.allowed) and t.target <> s.status;
select tap.book(n, path) from statuses;
select bindery.report_progress(tap.id(3), 'split_scenes', 40, message => 'half way',
  checkpoint => '{"scene": 4}');
create temp table before as select n, tap.snapshot(n) as s from statuses;
select plan((select 6 * count(*) from targets)::integer + 16);

create function tap.short(refusal jsonb) returns text language sql as $$
  select concat_ws(' ', refusal ->> 'sqlstate', refusal #>> '{detail,code}',
    refusal #>> '{detail,from_status}', refusal #>> '{detail,to_status}',
    refusal #> '{detail,allowed}');
$$;

select is(
  tap.short(tap.refusal('transition_book', t.n, format('%L, %L', t.target, 'please'))),
  concat_ws(' ', 'PT409 illegal_transition', t.status, t.target, to_jsonb(t.allowed)),
  format('transition_book refuses %s -> %L and names what is allowed.', t.status, t.target))
from targets t;
select is(
  tap.short(tap.error(format(
    'update bindery.book_status set status = %L, message = %L where book_id = %L',
    t.target, 'please', tap.id(t.n)))),
  concat_ws(' ', 'PT409 illegal_transition', t.status, t.target, to_jsonb(t.allowed)),
  format('A plain UPDATE refuses %s -> %L and names what is allowed.', t.status, t.target))
from targets t;
select ok(
  length(e ->> 'message') > 10 and length(e ->> 'hint') > 10,
  format('The error of %s -> %L has a message and a hint.', t.status, t.target))
from targets t, lateral tap.refusal('transition_book', t.n, quote_literal(t.target)) e;
select is(
  tap.snapshot(t.n), b.s,
  format('The refused %s -> %L leaves row, progress, history and outbox.', t.status, t.target))
from targets t join before b using (n);

-- As events.
create temp table verdicts as
  select t.n, t.status, t.target, t.verdict, tap.apply(
    tap.event('transition', t.n, jsonb_build_object('to_status', t.target))) as outcome
  from targets t;
select is(
  v.outcome, case v.verdict when 'stale' then '0/1/0/0' when 'early' then '0/0/1/0'
    else '0/0/0/1' end,
  format('A transition event %s -> %L is %s.', v.status, v.target,
    case v.verdict when 'illegal' then 'rejected' else v.verdict end))
from verdicts v;
select is(
  tap.snapshot(v.n) - 'early', b.s - 'early',
  format('The transition event %s -> %L changes nothing.', v.status, v.target))
from verdicts v join before b using (n);
select is(
  (select array_agg(distinct reason) from bindery.dead_letters), '{illegal_transition}',
  'An illegal transition event becomes a dead letter with the reason illegal_transition.');
select is(
  (select array_agg(distinct reason) from bindery.early_events), '{transition_ahead}',
  'A transition event for a later stage waits with the reason transition_ahead.');
select is(
  (select count(*)::integer from bindery.dead_letters),
  (select count(*)::integer from targets where verdict = 'illegal'),
  'Every illegal transition event is kept as a dead letter.');
delete from bindery.early_events;

-- Bad input.
select is(
  tap.call('transition_book', 2, 'null'), 'PT422 bad_input',
  'A transition without a target is refused.');
select is(
  tap.update(2, 'status = null'), 'PT422 bad_input',
  'A plain UPDATE of status to null is refused.');
select is(
  tap.call('transition_book', 99, $$'ANALYZING'$$), 'PT404 unknown_book',
  'A transition of an unknown book is refused.');
select is(
  tap.outcome($$select bindery.transition_book(null, 'ANALYZING')$$), 'PT404 unknown_book',
  'A transition without a book is refused.');
select is(
  tap.call('transition_book', 1, $$'ANALYZING', repeat('x', 8193)$$), 'PT422 bad_input',
  'A message of 8,193 characters is refused.');
select is(
  tap.call('transition_book', 1, $$'ANALYZING', E'\x1b[31mred'$$), 'PT422 bad_input',
  'A message with a control character is refused.');
select is(
  tap.call('transition_book', 1, $$repeat('A', 64)$$), 'PT422 bad_input',
  'A target of 64 characters is refused.');
select is(
  tap.snapshot(n), s, format('The book in %s is unchanged after refused calls.', status))
from before join statuses using (n) where n <= 3 order by n;

-- Several books in one statement.
select is(
  tap.outcome(format('update bindery.book_status set status = %L where book_id in (%L, %L)',
    'ANALYZING', tap.id(1), tap.id(3))),
  'PT409 illegal_transition', 'One UPDATE of several books fails if one may not make the change.');
select is(
  (tap.row(1)).status, 'UPLOADED', 'An UPDATE that one book refuses changes no other book.');
select is(
  tap.outcome(format('update bindery.book_status set status = %L where book_id in (%L, %L)',
    'CANCELLED', tap.id(1), tap.id(3))),
  'ok', 'One UPDATE changes several books if all may make the change.');

select * from finish();
rollback;
