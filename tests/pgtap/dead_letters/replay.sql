-- bindery.replay_dead_letters: dead letters applied once more; those that still fail stay.
begin;
\ir ../helpers.psql
select plan(61);
-- Without room for early events, those become dead letters at once.
update bindery.settings set early_events_per_book = 0 where true;
create function pg_temp.replay(filters text default '') returns text language plpgsql as $$
declare
  counts text;
begin
  execute format('select format(''%%s/%%s/%%s'', applied, stale, rejected)
    from bindery.replay_dead_letters(%s)', filters) into counts;
  return counts;
end
$$;
-- The letters that are left: the book's number and the reason.
create function pg_temp.kept() returns text language sql volatile as $$
  select coalesce(string_agg(right(d.book_id::text, 2) || ' ' || d.reason, ', ' order by d.id),
    'none')
  from bindery.dead_letters d;
$$;
select tap.clock('2030-01-01 12:00+00');
select is(pg_temp.replay(), '0/0/0', 'Without dead letters a replay does nothing.');

-- Events of a book that is not known yet.
select is(tap.apply(
    tap.event('plan', 1, '{"stage": "ANALYZING",
      "substeps": [{"substep": "extra", "weight": 4}]}'),
    tap.event('transition', 1, '{"to_status": "ANALYZING", "message": "go"}'),
    tap.event('progress', 1, '{"substep": "extract_text", "progress": 40, "count": 3,
      "first_id": "1-0"}'),
    tap.event('heartbeat', 1, '{"count": 2}')), '0/0/0/7',
  'Seven events of an unknown book are rejected.');
select is(tap.batch(tap.event('progress', 1, '{"substep": "detect_chapters", "done": 1, "total": 4,
    "progress": 25, "checkpoint": {"page": null}}')), '0/0/0/1',
  'A report in arrays about an unknown book is rejected.');
select is(tap.apply(tap.event('fail', 1, '{"error": {"code": "boom"}}')), '0/0/0/1',
  'A failure of an unknown book is rejected.');
select is(tap.reasons(), trim(repeat('too_many_early_events, ', 6), ', '),
  'An early event without room has the reason too_many_early_events.');
create temp table letters as
select d.id, to_jsonb(d) - array['replayed_at', 'reason', 'message'] as letter
from bindery.dead_letters d;
select tap.clock('2030-01-02 12:00+00');
select is(pg_temp.replay(), '0/0/9', 'A replay rejects events as long as their book is unknown.');
select is((select array_agg(to_jsonb(d) - array['replayed_at', 'reason', 'message'] order by id)
    from bindery.dead_letters d), (select array_agg(letter order by id) from letters),
  'A replayed letter that is rejected stays as it was.');
select is((select array_agg(distinct d.replayed_at) from bindery.dead_letters d),
  array['2030-01-02 12:00+00'::timestamptz], 'A replayed letter has the time of the replay.');
select is((select array_agg(distinct d.reason) from bindery.dead_letters d),
  array['unknown_book'], 'A replayed letter has its newest reason.');
select set_config('bindery.actor', 'me', true);
select tap.book(1);
select is(pg_temp.replay(), '9/0/0',
  'Once the book is registered, a replay applies its letters, counting events.');
select is(pg_temp.kept(), 'none', 'Applied letters are deleted.');
select is((select array_agg(kind || ' ' || actor order by revision) from bindery.book_events
    where book_id = tap.id(1)), array['register me', 'transition replay', 'fail replay'],
  'The history names replay as the actor.');
select is(current_setting('bindery.actor'), 'me', 'A replay leaves the session''s actor.');
select set_config('bindery.actor', '', true);
select is((select row(status, message, error ->> 'code') from tap.row(1)),
  row('FAILED'::text, null::text, 'boom'::text), 'Letters are applied in their order.');
select is((select array_agg(row(substep, weight, progress, done)::text order by substep)
    from bindery.book_progress where book_id = tap.id(1) and progress > 0 or substep = 'extra'),
  array['(detect_chapters,1,25,1)', '(extra,4,0,)', '(extract_text,1,40,)'],
  'The plan and the reports take effect.');
select is((select checkpoint from bindery.book_progress
    where book_id = tap.id(1) and substep = 'detect_chapters'), '{"page": null}',
  'A replayed report brings its checkpoint.');
select is(pg_temp.replay(), '0/0/0', 'No letter is applied twice.');
select is((select row(applied, rejected) from bindery.relay_cursors where stream = 'tap'),
  row(0::bigint, 9::bigint), 'A replay does not change the counts of the stream.');

-- A registration that was rejected, and what followed it.
select is(tap.apply(tap.event('register', 2, '{"pipeline": "later", "title": "Two"}'),
    tap.event('transition', 2, '{"to_status": "B"}')), '0/0/0/2',
  'Events of a book of an unknown pipeline are rejected.');
select from bindery.define_pipeline('later',
  '{"states": [{"name": "A", "weight": 1}, {"name": "B", "weight": 1}, {"name": "C"}]}');
select is(pg_temp.replay(), '2/0/0', 'Once the pipeline is defined, a replay registers the book.');
select is((select row(status, title) from tap.row(2)), row('B'::text, 'Two'::text),
  'The replayed registration and transition take effect.');

-- Applied, stale, still rejected.
select tap.book(n, '{ANALYZING}') from generate_series(3, 6) n;
select is(tap.apply(variadic array_agg(tap.event('progress', n,
      '{"stage": "GENERATING_SCENES", "substep": "split_scenes", "progress": 30}') order by n)
    || tap.event('transition', 6, '{"to_status": "NOPE"}')
    || tap.event('progress', 97, '{"progress": 1}')), '0/0/0/5', 'The test has five dead letters.')
from generate_series(3, 5) n;
select from bindery.transition_book(tap.id(4), 'GENERATING_SCENES');
select from bindery.transition_book(tap.id(5), 'GENERATING_SCENES');
select from bindery.transition_book(tap.id(5), 'CREATING_ARTWORK');
create temp table before as select n, tap.snapshot(n) as s from unnest(array[3, 5, 6]) n;
select is(pg_temp.replay(), '1/1/3',
  'A replay counts what it applied, what was stale, and the rest.');
select is(pg_temp.kept(), '03 stage_not_reached, 06 illegal_transition, 97 unknown_book',
  'Letters that are still rejected stay.');
select is((tap.row(4)).stage_progress, 15::float8,
  'The letter about a stage that was reached takes effect.');
select is((select array_agg(n) from before where tap.snapshot(n) <> s), null,
  'Stale and rejected letters change nothing.');
select from bindery.cancel_book(tap.id(3));
select tap.book(97, '{ANALYZING}');
select is(pg_temp.replay(), '0/1/2', 'A letter about a book that was cancelled since is stale.');
select is(pg_temp.kept(), '06 illegal_transition, 97 unknown_substep',
  'A letter that is rejected for another reason has the new reason.');
select ok((select message like '%has no substep all.' from bindery.dead_letters
    where book_id = tap.id(97)), 'A letter that is rejected for another reason has its message.');
delete from bindery.dead_letters where true;
select is(tap.apply(tap.event('fail', 6, '{"attempt": 2}')), '0/0/0/1',
  'A failure of an attempt ahead is rejected.');
select from bindery.fail_book(tap.id(6));
select from bindery.resume_book(tap.id(6));
select from bindery.fail_book(tap.id(6));
select from bindery.resume_book(tap.id(6));
select is(pg_temp.replay(), '0/1/0', 'A failure of an attempt that is over is stale.');

-- Letters that are not events.
select is(tap.apply(tap.event('progress', 98, '{"progress": 1}'),
  '{"type": "rejected", "id": "1-5", "count": 1, "segment": 1, "reason": "bad_number",
    "message": "progress is no number.", "payload": {"type": "progress", "progress": "many",
      "book_id": "00000000-0000-4000-8000-000000000006"}}',
  '{"type": "rejected", "id": "1-6", "count": 1, "segment": 2, "reason": "too_large",
    "message": "too large.", "truncated": true, "payload": {"type": "fail", "count": "1"}}',
  '[1]'), '0/0/0/4', 'Entries that the relay could not read are rejected.');
select is((select array_agg(coalesce(book_id::text, '-') order by id) from bindery.dead_letters),
  array[tap.id(98)::text, tap.id(6)::text, '-', '-'],
  'A letter has the book that its payload names.');
update bindery.dead_letters set id = default where book_id = tap.id(98);
create temp table unreadable as
select id, to_jsonb(d) as letter from bindery.dead_letters d
where book_id is distinct from tap.id(98);
select is(pg_temp.replay('max_letters => 1'), '0/0/1',
  'A replay skips letters that are not events.');
select is((select array_agg(to_jsonb(d)) from bindery.dead_letters d join unreadable u using (id)
    where to_jsonb(d) <> u.letter), null, 'Letters that are passed over stay as they were.');
select is(pg_temp.replay(format('ids => %L', (select array_agg(id) from unreadable))), '0/0/3',
  'Letters that are not events are rejected when they are named.');
select is((select array_agg(reason order by id) from bindery.dead_letters),
  array['bad_number', 'too_large', 'not_an_object', 'unknown_book'],
  'Letters that are not events keep their reasons.');
update bindery.dead_letters set truncated = true where book_id = tap.id(98);
select tap.book(98, '{ANALYZING}');
select is(pg_temp.replay(format('ids => %L', (select array_agg(id) from bindery.dead_letters))),
  '0/0/4', 'A truncated letter is never applied.');
delete from bindery.dead_letters where true;

-- A letter for which the database raises.
create table tap.dislikes (book_id uuid, code text);
create function tap.dislike() returns trigger language plpgsql as $$
declare
  c text;
begin
  select d.code into c from tap.dislikes d where d.book_id = new.book_id;
  if c is not null then
    raise exception 'book % is not liked', new.book_id using errcode = c;
  end if;
  return new;
end
$$;
create trigger dislike before insert or update on bindery.book_progress
for each row execute function tap.dislike();
select tap.apply(variadic array_agg(tap.event('progress', n,
  '{"substep": "extract_text", "progress": 40}') order by n)) from generate_series(11, 13) n;
select tap.book(n, '{ANALYZING}') from generate_series(11, 13) n;
insert into tap.dislikes values (tap.id(12), '22000');
select is(pg_temp.replay(), '2/0/1', 'A letter for which the database raises harms no other.');
select ok((select reason = 'refused_by_database' and message like '%is not liked%22000%'
    from bindery.dead_letters), 'A letter for which the database raises has its message.');
select is(row((tap.row(11)).stage_progress, (tap.row(12)).stage_progress,
    (tap.row(13)).stage_progress), row(10::float8, 0::float8, 10::float8),
  'The letters beside a refused one take effect.');
update tap.dislikes set code = '40001' where true;
create temp table poison as select to_jsonb(d) as letter from bindery.dead_letters d;
select is(tap.outcome('select pg_temp.replay()'), '40001',
  'An error that may pass goes to the caller of a replay.');
select is((select to_jsonb(d) from bindery.dead_letters d), (select letter from poison),
  'An error that may pass leaves the letters as they were.');
delete from tap.dislikes where true;
select is(pg_temp.replay(), '1/0/0', 'A letter is applied once the cause has passed.');

-- Filters; all that are given must fit.
select tap.apply(tap.event('progress', 21, '{"substep": "extract_text", "progress": 1}'),
  tap.event('progress', 22, '{"substep": "extract_text", "progress": 1}'),
  tap.event('progress', 11, '{"substep": "nope", "progress": 1}'));
select bindery_internal.reject('other', jsonb_build_array(tap.event('progress', 21,
  '{"substep": "extract_text", "progress": 2, "reason": "unknown_book"}')));
select tap.book(n, '{ANALYZING}') from generate_series(21, 22) n;
select is(pg_temp.replay($$stream => 'nobody'$$), '0/0/0',
  'A replay of a stream without letters does nothing.');
select is(pg_temp.replay($$stream => 'other', reason => 'unknown_substep'$$), '0/0/0',
  'A replay takes letters that fit all filters.');
select is(pg_temp.replay($$reason => 'unknown_substep'$$), '0/0/1', 'A replay filters by reason.');
select is(pg_temp.replay($$stream => 'other'$$), '1/0/0', 'A replay filters by stream.');
select is(pg_temp.replay(format('book_id => %L', tap.id(22))), '1/0/0',
  'A replay filters by book.');
select is(pg_temp.replay(format('ids => %L',
    (select array[max(id)] from bindery.dead_letters))), '0/0/1', 'A replay filters by id.');
select is(pg_temp.replay('ids => ''{}'''), '0/0/0', 'A replay of no ids does nothing.');
select is(pg_temp.replay('max_letters => 1'), '1/0/0',
  'A replay takes the oldest letters, at most max_letters.');
select is(pg_temp.kept(), '11 unknown_substep',
  'A replay leaves the letters that it did not take.');
select is(tap.outcome(format('select pg_temp.replay(%L)', 'max_letters => ' || n)),
  'PT422 bad_input', format('A replay of %s letters is refused.', n))
from unnest(array['0', '-1', '10001', 'null']) n;

select is(tap.as_role(role, 'select rejected from bindery.replay_dead_letters()'), answer,
  format('replay_dead_letters answers %s with %s.', role, answer))
from (values ('anon', '42501'), ('authenticated', '42501'), ('bindery_relay', '42501'),
  ('service_role', '1')) as v(role, answer);

select * from finish();
rollback;
