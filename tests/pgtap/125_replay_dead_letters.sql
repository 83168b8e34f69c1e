begin;
\ir helpers.psql
select plan(57);
-- Dead letters applied once more: what takes effect or came too late goes, the rest stays with its newest reason.
create function tap.replay(filters text default '') returns text language plpgsql as $$
declare
  counts text;
begin
  execute format('select format(''%%s/%%s/%%s'', applied, stale, dead) from bindery.replay_dead_letters(%s)', filters) into counts;
  return counts;
end
$$;
create function tap.kept() returns text language sql volatile as $$
  select coalesce(string_agg(right(d.book_id::text, 2) || ' ' || d.reason, ', ' order by d.id), 'none') from bindery.dead_letters d;
$$;
select tap.clock('2030-01-01 12:00+00');
select is(tap.replay(), '0/0/0', 'without dead letters there is nothing to do');

-- Each type of event for a book that nobody knows yet.
select is(tap.apply(tap.event('plan', 1, '{"stage": "ANALYZING", "substeps": [{"name": "extra", "weight": 4}]}'), tap.event('transition', 1, '{"to": "ANALYZING", "message": "go"}'),
  tap.event('progress', 1, '{"substep": "extract_text", "progress": 40, "count": 3, "first_id": "1-0"}'), tap.event('heartbeat', 1, '{"count": 2}'),
  tap.event('progress', 1, '{"substep": "detect_chapters", "done": 1, "total": 4, "progress": 25}'), tap.event('fail', 1, '{"error": {"code": "boom"}}')), '0/0/9', 'nine events of an unknown book die');
select is((select array_agg(row(first_event_id, event_id, count)::text order by id) from bindery.dead_letters where count > 1), array['(1-0,1-1,3)', '(1-1,1-1,2)'], 'merged ones in one letter');
create temp table letters as select d.id, to_jsonb(d) - array['replayed_at'] as letter from bindery.dead_letters d;
select tap.clock('2030-01-02 12:00+00');
select is(tap.replay(), '0/0/9', 'as long as it is unknown they stay dead');
select is((select array_agg(to_jsonb(d) - array['replayed_at'] order by id) from bindery.dead_letters d), (select array_agg(letter order by id) from letters), 'as they were, their time too');
select is((select array_agg(distinct replayed_at) from bindery.dead_letters), array['2030-01-02 12:00+00'::timestamptz], 'but for when they were replayed');
select set_config('bindery.actor', 'me', true);
select tap.book(1);
select is(tap.replay(), '9/0/0', 'once it is registered they take effect, merged ones for all they stand for');
select is(tap.kept(), 'none', 'and are gone');
select is((select array_agg(kind || ' ' || actor order by revision) from bindery.book_events where book_id = tap.id(1)), array['register me', 'transition replay', 'fail replay'], 'the history names replay');
select is(current_setting('bindery.actor'), 'me', 'which ends with the call');
select set_config('bindery.actor', '', true);
select is((select row(status, message, error ->> 'code') from tap.row(1)), row('FAILED'::text, null::text, 'boom'::text), 'the last of them was the last');
select is((select array_agg(row(substep, weight, progress, done)::text order by substep) from bindery.book_progress where book_id = tap.id(1)),
  array['(detect_chapters,,25,1)', '(extra,4,0,)', '(extract_text,,40,)'], 'and the others took effect before it, in their order');
select is(tap.replay(), '0/0/0', 'nothing takes effect twice');
select is((select row(applied, dead) from bindery.relay_cursors where stream = 'tap'), row(0::bigint, 9::bigint), 'the counts of the stream are of the stream, not of replays');

-- A registration can be replayed as well; what followed it comes after it.
select is(tap.apply(tap.event('register', 2, '{"pipeline": "later", "title": "Two"}'), tap.event('transition', 2, '{"to": "B"}')), '0/0/2', 'a book of a pipeline that is not there');
select from bindery.define_pipeline('later', '{"states": [{"name": "A", "weight": 1}, {"name": "B", "weight": 1}, {"name": "C"}]}');
select is(tap.replay(), '2/0/0', 'once the pipeline is defined, it is registered and goes on');
select is((select row(status, title) from tap.row(2)), row('B'::text, 'Two'::text), 'as was sent');

-- Not reached, reached, left behind; illegal and still illegal.
select tap.book(n, '{ANALYZING}') from generate_series(3, 6) n;
select is(tap.apply(variadic array_agg(tap.event('progress', n, '{"stage": "GENERATING_SCENES", "substep": "split_scenes", "progress": 30}') order by n) || tap.event('transition', 6, '{"to": "COMPLETED"}')
  || tap.event('progress', 97, '{"progress": 1}')), '0/0/5', 'five events die') from generate_series(3, 5) n;
select from bindery.transition_book(tap.id(4), 'GENERATING_SCENES');
select from bindery.transition_book(tap.id(5), 'GENERATING_SCENES');
select from bindery.transition_book(tap.id(5), 'CREATING_ARTWORK');
create temp table before as select n, tap.snapshot(n) as s from unnest(array[3, 5, 6]) n;
select is(tap.replay(), '1/1/3', 'one is applied, one too late, three are still dead');
select is(tap.kept(), '03 stage_not_reached, 06 illegal_transition, 97 unknown_book', 'the dead ones stay');
select is((tap.row(4)).stage_progress, 15::float8, 'what was reached took effect');
select is((select array_agg(n) from before where tap.snapshot(n) <> s), null, 'the others changed nothing');
select from bindery.cancel_book(tap.id(3));
select tap.book(97, '{ANALYZING}');
select is(tap.replay(), '0/1/2', 'a letter for a book that is over by now came too late');
select is(tap.kept(), '06 illegal_transition, 97 unknown_substep', 'a letter has its newest reason');
select ok((select message like '%has no substep all.' from bindery.dead_letters where book_id = tap.id(97)), 'and its message');
delete from bindery.dead_letters;

-- Attempts.
select is(tap.apply(tap.event('fail', 6, '{"attempt": 2}')), '0/0/1', 'a word from an attempt that is to come');
select from bindery.fail_book(tap.id(6));
select from bindery.resume_book(tap.id(6));
select from bindery.fail_book(tap.id(6));
select from bindery.resume_book(tap.id(6));
select is(tap.replay(), '0/1/0', 'is stale when that attempt is over');

-- What is no event stays as it is, and in nobody's way.
select is(tap.apply(tap.event('progress', 98, '{"progress": 1}'), '{"type": "dead", "id": "1-5", "count": 1, "segment": 1, "reason": "bad_number", "message": "progress is no number.",
    "payload": {"type": "progress", "book_id": "00000000-0000-4000-8000-000000000006", "progress": "many"}}',
  '{"type": "dead", "id": "1-6", "count": 1, "segment": 2, "reason": "too_large", "message": "too large.", "truncated": true, "payload": {"type": "fail", "count": "1"}}', '[1]'), '0/0/4', 'entries that could not be read');
select is((select array_agg(coalesce(book_id::text, '-') order by id) from bindery.dead_letters), array[tap.id(6)::text, tap.id(98)::text, '-', '-'], 'a letter has the book that its payload names');
update bindery.dead_letters set id = default where book_id = tap.id(98);
create temp table unreadable as select id, to_jsonb(d) as letter from bindery.dead_letters d where book_id is distinct from tap.id(98);
select is(tap.replay('max_letters => 1'), '0/0/1', 'are passed over');
select is((select array_agg(to_jsonb(d)) from bindery.dead_letters d join unreadable u using (id) where to_jsonb(d) <> u.letter), null, 'and stay as they were');
select is(tap.replay(format('ids => %L', (select array_agg(id) from unreadable))), '0/0/3', 'who names them is told that they are dead');
select is((select array_agg(reason order by id) from bindery.dead_letters), array['bad_number', 'too_large', 'not_an_object', 'unknown_book'], 'for the old reason');
update bindery.dead_letters d set truncated = true where book_id = tap.id(98);
select tap.book(98, '{ANALYZING}');
select is(tap.replay(format('ids => %L', (select array_agg(id) from bindery.dead_letters))), '0/0/4', 'a truncated letter is never applied');
delete from bindery.dead_letters;

-- Poison, and what may pass.
create table tap.dislikes (book_id uuid, code text);
create function tap.dislike() returns trigger language plpgsql as $$
declare c text;
begin
  select d.code into c from tap.dislikes d where d.book_id = new.book_id;
  if c is not null then raise exception 'book % is not liked', new.book_id using errcode = c; end if;
  return new;
end
$$;
create trigger dislike before insert or update on bindery.book_progress for each row execute function tap.dislike();
select tap.apply(variadic array_agg(tap.event('progress', n, '{"substep": "extract_text", "progress": 40}') order by n)) from generate_series(11, 13) n;
select tap.book(n, '{ANALYZING}') from generate_series(11, 13) n;
insert into tap.dislikes values (tap.id(12), '22000');
select is(tap.replay(), '2/0/1', 'one that the database raises for harms no other');
select ok((select reason = 'refused_by_database' and message like '%is not liked%22000%' from bindery.dead_letters), 'and is kept with what the database said');
select is(row((tap.row(11)).stage_progress, (tap.row(12)).stage_progress, (tap.row(13)).stage_progress), row(10::float8, 0::float8, 10::float8), 'the others took effect');
update tap.dislikes set code = '40001';
create temp table poison as select to_jsonb(d) as letter from bindery.dead_letters d;
select is(tap.outcome('select tap.replay()'), '40001', 'a failure that may pass goes to the caller');
select is((select to_jsonb(d) from bindery.dead_letters d), (select letter from poison), 'and leaves everything as it was');
delete from tap.dislikes;
select is(tap.replay(), '1/0/0', 'once it has passed, the letter is applied');

-- Filters and the limit; all that are given must fit.
select tap.apply(tap.event('progress', 21, '{"substep": "extract_text", "progress": 1}'), tap.event('progress', 22, '{"substep": "extract_text", "progress": 1}'),
  tap.event('progress', 11, '{"substep": "nope", "progress": 1}'));
select bindery_internal.bury('other', jsonb_build_array(tap.event('progress', 21, '{"substep": "extract_text", "progress": 2, "reason": "unknown_book"}')));
select tap.book(n, '{ANALYZING}') from generate_series(21, 22) n;
select is(tap.replay($$stream => 'nobody'$$), '0/0/0', 'a stream without letters');
select is(tap.replay($$stream => 'other', reason => 'unknown_substep'$$), '0/0/0', 'filters that fit no letter together');
select is(tap.replay($$reason => 'unknown_substep'$$), '0/0/1', 'by reason');
select is(tap.replay($$stream => 'other'$$), '1/0/0', 'by stream');
select is(tap.replay(format('book_id => %L', tap.id(22))), '1/0/0', 'by book');
select is(tap.replay(format('ids => %L', (select array[max(id)] from bindery.dead_letters))), '0/0/1', 'by id');
select is(tap.replay('ids => ''{}'''), '0/0/0', 'no ids, no letters');
select is(tap.replay('max_letters => 1'), '1/0/0', 'the oldest first, as many as are asked for');
select is(tap.kept(), '11 unknown_substep', 'the rest is left');
select is(tap.outcome(format('select tap.replay(%L)', 'max_letters => ' || n)), 'PT422 bad_input', format('%s letters cannot be asked for', n)) from unnest(array['0', '-1', '10001', 'null']) n;

-- Rights.
select is(tap.as_role(role, 'select dead from bindery.replay_dead_letters()'), answer, format('%s: %s', role, answer))
from (values ('anon', '42501'), ('authenticated', '42501'), ('bindery_relay', '42501'), ('service_role', '1')) as v(role, answer);

select * from finish();
rollback;
