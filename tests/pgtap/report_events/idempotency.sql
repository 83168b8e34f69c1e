-- report_events with a key: a batch that is sent again changes nothing.
begin;
\ir ../helpers.psql
select plan(13);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}');
create function tap.send(key text, progress integer) returns jsonb language sql as $$
  select bindery.report_events(jsonb_build_array(
    tap.event('fail', 1, '{"message": "once"}'),
    tap.event('transition', 1, '{"to_status": "ANALYZING"}'),
    tap.event('progress', 1, jsonb_build_object('substep', 'extract_text', 'progress', progress))),
    key);
$$;
create function tap.at() returns bigint language sql as
  'select revision from bindery.book_status where book_id = tap.id(1)';

create temp table answers as select tap.send('a', 7) as answer;
select is((select answer ->> 'replayed' from answers), 'false', 'A new key is not a replay.');
create temp table seen as select tap.at() as revision;
select is(tap.send('a', 7), (select answer || '{"replayed": true}' from answers),
  'The same batch again gets the stored answer.');
select is(tap.at(), (select revision from seen), 'The same batch again changes nothing.');
select is(tap.outcome($$select tap.send('a', 8)$$), 'PT422 key_reused',
  'A key with another batch is refused.');
select is(tap.send('b', 7) ->> 'replayed', 'false', 'Another key is another batch.');
select isnt(tap.at(), (select revision from seen), 'Without the same key a batch applies again.');
select is(tap.send(null, 7) ->> 'replayed', 'false', 'Without a key there is no replay.');
select set_eq('select key from bindery_internal.stored_answers', array['a', 'b'],
  'Only batches with a key are stored.');

-- Keys are a caller's own.
select set_config('request.jwt.claims', '{"sub": "another"}', true);
select is(tap.send('a', 9) ->> 'replayed', 'false',
  'The same key of another caller is another key.');
select set_config('request.jwt.claims', '{"sub": "another", "exp": 7}', true);
select is(tap.send('a', 9) ->> 'replayed', 'true', 'A renewed token is the same caller.');
select set_config('request.jwt.claims', '', true);

-- Keys.
select is(tap.outcome($$select tap.send('', 7)$$), 'PT422 bad_input', 'A key is not empty.');
select is(tap.outcome($$select tap.send(repeat('k', 256), 7)$$), 'PT422 bad_input',
  'A key has at most 255 characters.');

-- A day later.
select tap.clock('2030-01-02 12:00:01+00');
select bindery.sweep();
select is_empty('select from bindery_internal.stored_answers', 'Answers are kept for a day.');

select * from finish();
rollback;
