-- A worker's token allows exactly the reports that its claims admit.
begin;
\ir ../helpers.psql
select plan(42);
select tap.clock('2030-01-01 12:00+00');
select tap.book(1, '{ANALYZING}');
select tap.book(2, '{ANALYZING,GENERATING_SCENES}');
select tap.book(3, '{}');

-- The result of a statement by a worker with these claims, which is undone: 'ok', or the SQLSTATE
-- and the code.
create function tap.as_worker(claims jsonb, statement text) returns text language plpgsql as $$
declare
  answer text := 'ok';
  detail text;
begin
  begin
    perform set_config('request.jwt.claims',
      (claims || '{"role": "bindery_worker"}')::text, true);
    perform set_config('role', 'bindery_worker', true);
    execute statement;
    raise exception 'undo' using errcode = 'TAP00';
  exception
    when sqlstate 'TAP00' then
      null;
    when others then
      get stacked diagnostics detail = pg_exception_detail;
      answer := concat_ws(' ', sqlstate,
        case when detail like '{%' then detail::jsonb ->> 'code' end);
  end;
  perform set_config('role', 'none', true), set_config('request.jwt.claims', '', true);
  return answer;
end
$$;

create temp table acts (act text, statement text);
insert into acts values
  ('begin', $$select bindery.begin_stage(tap.id(1), 'ANALYZING')$$),
  ('progress', $$select bindery.report_progress(tap.id(1), 'extract_text', 50)$$),
  ('progress of a stage',
    $$select bindery.report_progress(tap.id(1), 'extract_text', 50, stage => 'ANALYZING')$$),
  ('heartbeat', $$select bindery.heartbeat(tap.id(1))$$),
  ('plan', $$select bindery.plan_substeps(tap.id(1), 'ANALYZING', '[{"substep": "a"}]')$$),
  ('fail', $$select bindery.fail_book(tap.id(1), '{"code": "torn"}')$$),
  ('resume point', $$select bindery.get_resume_point(tap.id(1))$$);
select is(tap.as_worker('{}', statement), 'ok', 'Without further claims a worker may: ' || act)
from acts;
select is(tap.as_worker(jsonb_build_object('book_id', upper(tap.id(1)::text), 'pipeline', 'comic',
    'stage', 'ANALYZING'), statement), 'ok', 'Claims that admit all admit: ' || act)
from acts;
select is(tap.as_worker(claims, statement), '42501 not_allowed',
  format('With the claims %s a worker may not: %s', claims, act))
from acts, (values (jsonb_build_object('book_id', tap.id(2))),
  ('{"pipeline": "illustrated_edition"}')) c(claims);
select is(tap.as_worker('{"stage": "GENERATING_SCENES"}', statement), '42501 not_allowed',
  'The claim of another stage does not admit: ' || act)
from acts where act in ('begin', 'progress of a stage', 'plan', 'resume point');

-- A claim that is not a text admits nothing.
select is_empty($$select claims, act from acts, (values ('{"stage": 7}'::jsonb),
    ('{"stage": null}'), ('{"stage": ["ANALYZING"]}'), ('{"pipeline": null}'),
    ('{"book_id": {}}'), ('{"book_id": ""}'), ('{"stage": ""}')) c(claims)
    where tap.as_worker(claims, statement) <> '42501 not_allowed'$$,
  'A claim that is not a text, or is empty, admits nothing.');

-- The claim stage replaces a missing stage of a report.
select is(tap.as_worker('{"stage": "GENERATING_SCENES"}', $w$do $do$ begin
    perform bindery.report_progress(tap.id(2), 'split_scenes', 50);
    assert (bindery.get_resume_point(tap.id(2)) #>> '{left,0,progress}')::numeric = 50;
  end $do$ $w$), 'ok', 'A report without a stage is about the stage of the token.');
select is(tap.as_worker('{"stage": "ANALYZING"}', $w$do $do$ begin
    perform bindery.fail_book(tap.id(2), '{}');
    assert (select status from bindery.heartbeat(tap.id(2))) = 'GENERATING_SCENES';
  end $do$ $w$), 'ok', 'A worker whose stage the book has left does not fail the next stage.');
select is(tap.as_worker('{"stage": "GENERATING_SCENES"}',
    'select bindery.heartbeat(tap.id(1))'), 'PT409 stage_not_reached',
  'A heartbeat of a stage that is not reached is refused.');
select is(tap.as_worker('{}', 'select bindery.begin_stage(tap.id(9), ''ANALYZING'')'),
  'PT404 unknown_book', 'An unknown book is unknown to a worker.');
select is(tap.as_worker('{"pipeline": "comic"}', 'select bindery.get_resume_point(tap.id(9))'),
  'PT404 unknown_book', 'An unknown book has no pipeline that a claim could exclude.');

-- No other call is allowed.
select is_empty($$select name from (values ('bindery.register_book(tap.id(8))'),
    ('bindery.transition_book(tap.id(1), ''GENERATING_SCENES'')'),
    ('bindery.resume_book(tap.id(1))'), ('bindery.cancel_book(tap.id(1))'),
    ('bindery.rewind_book(tap.id(1), ''UPLOADED'')'), ('bindery.get_book_status(tap.id(1))'),
    ('bindery.list_books()'), ('bindery.sweep()'), ('bindery.outbox_backlog()'),
    ('bindery.list_relays()'), ('bindery.stage_durations()'), ('bindery.schema_version()'),
    ('bindery_internal.do_transition(tap.id(1), ''FAILED'')'),
    ('bindery_internal.apply_item(''{}'')'), ('bindery.book_status')) c(name)
    where tap.as_worker('{}', 'select * from ' || name) <> '42501'$$,
  'A worker may call nothing else, and read no table.');

-- The same for the events of a batch.
create function tap.outcomes(claims jsonb, variadic events jsonb[]) returns text
language plpgsql as $$
declare
  answer jsonb;
begin
  perform set_config('request.jwt.claims', (claims || '{"role": "bindery_worker"}')::text, true);
  perform set_config('role', 'bindery_worker', true);
  answer := bindery.report_events(to_jsonb(events));
  perform set_config('role', 'none', true), set_config('request.jwt.claims', '', true);
  return (select string_agg(concat_ws(' ', o ->> 'outcome', o ->> 'code'), ', ' order by n)
    from jsonb_array_elements(answer -> 'outcomes') with ordinality as o(o, n));
end
$$;
select is(tap.outcomes('{"stage": "ANALYZING"}',
    tap.event('begin', 1, '{"to_status": "ANALYZING"}'), tap.event('register', 8),
    tap.event('transition', 1, '{"to_status": "GENERATING_SCENES"}'),
    tap.event('begin', 1, '{"to_status": "GENERATING_SCENES"}'),
    tap.event('progress', 1, '{"progress": 7, "substep": "extract_text"}'),
    tap.event('progress', 2, '{"progress": 7, "substep": "extract_text"}'),
    tap.event('plan', 1, '{"stage": "ANALYZING", "substeps": []}')),
  'applied, rejected not_allowed, rejected not_allowed, rejected not_allowed, applied, stale, '
    || 'applied', 'In a batch each event is checked alone.');
select is(tap.outcomes('{}', tap.event('begin', 7,
    '{"to_status": "ANALYZING", "pipeline": "comic"}')), 'early unknown_book',
  'A worker''s begin with a pipeline registers no book.');
select is(tap.outcomes('{"pipeline": "comic"}', tap.event('heartbeat', 7)),
  'rejected unknown_book', 'With the claim pipeline, no event waits for an unknown book.');

select * from finish();
rollback;
