-- What get_book_status returns for each stage: weight, attempts, visits, median durations.
begin;
\ir ../helpers.psql
\ir ../estimate/lived.psql
select plan(26);
-- A field of the stages of the n-th book, in their order.
create function tap.stages(n integer, field text) returns jsonb language sql volatile as $$
  select jsonb_path_query_array(bindery.get_book_status(tap.id(n)), format('$.stages[*].%s',
    field)::jsonpath);
$$;
create function tap.begun(n integer) returns timestamptz[] language sql volatile as $$
  select array_agg((s ->> 'started_at')::timestamptz)
  from jsonb_array_elements(bindery.get_book_status(tap.id(n)) -> 'stages') s;
$$;

select tap.clock('2030-01-01 12:00+00');
select tap.book(1);
select is(tap.stages(1, 'weight'), '[20, 30, 50]', 'Each stage has the weight of its pipeline.');
select is(tap.stages(1, 'max_attempts'),
  (select jsonb_path_query_array(machine, '$.states[*] ? (@.weight > 0).max_attempts')
    from bindery.pipelines where name = 'comic' and version = 1),
  'Each stage has the limit of attempts of its pipeline.');
select is(tap.stages(1, 'attempt'), '[null, null, null]',
  'A stage that the book has not reached has no attempt.');
select is(tap.stages(1, 'started_at'), '[null, null, null]',
  'A stage that the book has not reached has no start.');
select is(tap.stages(1, 'median_seconds'), '[null, null, null]',
  'Without earlier books a stage has no median duration.');

select tap.clock('2030-01-01 12:01+00');
select bindery.transition_book(tap.id(1), 'ANALYZING');
select tap.clock('2030-01-01 12:02+00');
select bindery.fail_book(tap.id(1), '{"code": "ink"}');
select tap.clock('2030-01-01 12:03+00');
select is(tap.stages(1, 'attempt'), '[1, null, null]', 'A failed stage keeps its attempt.');
select bindery.resume_book(tap.id(1));
select is(tap.stages(1, 'attempt'), '[2, null, null]',
  'The stage that the book is in has the attempt of the book.');
select is(tap.begun(1), array['2030-01-01 12:01+00', null, null]::timestamptz[],
  'A stage began when the book came to it; a resume does not change that.');
select is(tap.stages(1, 'seconds'), '[null, null, null]',
  'A stage has no duration while the book is in it.');

select tap.clock('2030-01-01 12:06+00');
select bindery.transition_book(tap.id(1), 'GENERATING_SCENES');
select is(tap.stages(1, 'attempt'), '[2, 1, null]', 'A stage that was left keeps its attempts.');
select is(tap.stages(1, 'seconds'), '[300, null, null]',
  'A stage that was left has its duration, halts included.');
select is(tap.begun(1),
  array['2030-01-01 12:01+00', '2030-01-01 12:06+00', null]::timestamptz[],
  'A stage that was left keeps its start.');
select tap.clock('2030-01-01 12:08+00');
select bindery.rewind_book(tap.id(1), 'ANALYZING');
select is(tap.stages(1, 'attempt'), '[3, 1, null]',
  'After a rewind the stage has one more attempt, and the later stage keeps its own.');
select is(tap.stages(1, 'seconds'), '[null, null, null]',
  'A visit that did not end forward has no duration.');
select is(tap.begun(1),
  array['2030-01-01 12:08+00', '2030-01-01 12:06+00', null]::timestamptz[],
  'After a rewind the stage began when the book came back to it.');

select tap.lived(2, '2030-01-02 00:00+00',
  '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}', '{10,100,200,400}');
select is(tap.stages(2, 'seconds'), '[100, 200, 400]',
  'Every stage of a COMPLETED book has its duration.');
select is(tap.stages(2, 'attempt'), '[1, 1, 1]',
  'Every stage of a COMPLETED book has its attempt.');
select is(tap.begun(2),
  array['2030-01-02 00:00:10+00', '2030-01-02 00:01:50+00',
    '2030-01-02 00:05:10+00']::timestamptz[],
  'Every stage of a COMPLETED book has its start.');

-- Median durations: of three visits at least.
select tap.lived(3, '2030-01-02 00:00+00',
  '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK,COMPLETED}', '{10,300,300,500}');
select tap.clock('2030-01-02 12:00+00');
select bindery_internal.refresh_pace();
select is(tap.stages(1, 'median_seconds'), '[300, null, null]',
  'Of three visits a stage has a median duration, of two it has none.');
select tap.lived(4, '2030-01-03 00:00+00', '{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}',
  '{10,200,250}');
select tap.clock('2030-01-03 12:00+00');
select bindery_internal.refresh_pace();
select is(tap.stages(1, 'median_seconds'), '[250, 250, null]',
  'Each stage has a median duration of its own.');
select is(bindery.get_book_changes(tap.id(1), 1) -> 'stages',
  bindery.get_book_status(tap.id(1)) -> 'stages', 'get_book_changes gives the same stages.');
select is(bindery_internal.stage_medians('nothing', 1), null,
  'A pipeline without visits has no medians.');

-- Who sees the visits.
update bindery.book_status set owner_id = tap.id(900) where book_id = tap.id(2);
select is(tap.as_role('authenticated', format('select jsonb_path_query_array(
    bindery.get_book_status(%L), ''$.stages[*].seconds'')', tap.id(2)), tap.id(900)::text),
  '[100, 200, 400]', 'An owner gets the durations of its book.');
select is(tap.as_role('authenticated', 'select count(*) from bindery.stage_visits',
  tap.id(900)::text), '4', 'An owner sees the visits of its own book alone.');
select is(tap.as_role('authenticated', 'select count(*) from bindery.stage_visits',
  tap.id(901)::text), '0', 'A stranger sees no visits.');
select is(tap.as_role('anon', 'select count(*) from bindery.stage_visits'), '42501',
  'A caller without a token may not read visits.');

select * from finish();
rollback;
