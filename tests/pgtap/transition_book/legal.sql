-- Every transition that the pipeline comic allows, by transition_book and by a plain UPDATE.
begin;
\ir ../helpers.psql
select plan(47);
select tap.clock('2030-01-01 12:00+00');

create temp table legal (path text[], target text, kind text, stage text, attempt integer);
insert into legal values
  ('{}', 'ANALYZING', 'transition', 'ANALYZING', 1),
  ('{}', 'FAILED', 'fail', 'UPLOADED', 1),
  ('{}', 'CANCELLED', 'cancel', 'UPLOADED', 1),
  ('{ANALYZING}', 'GENERATING_SCENES', 'transition', 'GENERATING_SCENES', 1),
  ('{ANALYZING}', 'FAILED', 'fail', 'ANALYZING', 1),
  ('{ANALYZING}', 'CANCELLED', 'cancel', 'ANALYZING', 1),
  ('{ANALYZING,GENERATING_SCENES}', 'CREATING_ARTWORK', 'transition', 'CREATING_ARTWORK', 1),
  ('{ANALYZING,GENERATING_SCENES}', 'FAILED', 'fail', 'GENERATING_SCENES', 1),
  ('{ANALYZING,GENERATING_SCENES}', 'CANCELLED', 'cancel', 'GENERATING_SCENES', 1),
  ('{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}', 'COMPLETED', 'complete',
    'CREATING_ARTWORK', 1),
  ('{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}', 'FAILED', 'fail', 'CREATING_ARTWORK', 1),
  ('{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}', 'CANCELLED', 'cancel',
    'CREATING_ARTWORK', 1),
  ('{FAILED}', 'UPLOADED', 'resume', 'UPLOADED', 2),
  ('{ANALYZING,FAILED}', 'ANALYZING', 'resume', 'ANALYZING', 2),
  ('{ANALYZING,FAILED}', 'CANCELLED', 'cancel', 'ANALYZING', 1),
  ('{ANALYZING,GENERATING_SCENES,FAILED}', 'GENERATING_SCENES', 'resume', 'GENERATING_SCENES', 2);

create function tap.walk(n integer, path text[], target text, plain boolean) returns text
language plpgsql as $$
declare
  old bindery.book_status := tap.book(n, path);
  new bindery.book_status;
begin
  perform tap.clock('2030-01-02 12:00+00');
  if plain then
    update bindery.book_status set status = target, message = 'why' where book_id = old.book_id;
  else
    perform bindery.transition_book(old.book_id, target, 'why', old.revision);
  end if;
  new := tap.row(n);
  return concat_ws(' ', new.status, new.current_stage, new.attempt, new.revision - old.revision,
    new.message, new.updated_at = bindery_internal.now(),
    new.heartbeat_at = bindery_internal.now(), (
      select concat_ws(' ', e.kind, e.from_status = old.status, e.to_status, e.stage, e.attempt,
        e.message)
      from bindery.book_events e
      where e.book_id = new.book_id and e.revision = new.revision));
end
$$;

select is(
  tap.walk(case when plain then 200 else 100 end + i::integer, path, target, plain),
  concat_ws(' ', target, stage, attempt, 1, 'why t t', kind, 't', target, stage, attempt, 'why'),
  format('%s from %s to %s is a %s: one revision, one row of history.',
    case when plain then 'A plain UPDATE' else 'transition_book' end,
    coalesce(path[cardinality(path)], 'UPLOADED'), target, kind))
from (select *, row_number() over () as i from legal) l, (values (false), (true)) p(plain)
order by plain, i;

select is(
  (tap.row(110)).completed_at, '2030-01-02 12:00+00', 'A book that completes has completed_at.');
select is((tap.row(104)).completed_at, null, 'A book that is not complete has no completed_at.');

-- The rows that entering a stage creates.
select tap.book(1, '{ANALYZING}');
select is(
  tap.listed(1), 'extract_text pending 0, detect_chapters pending 0, analyze_characters pending 0',
  'A book that enters a stage has the declared substeps, in their order.');
select is(
  (select row(substeps_total, substeps_done) from tap.row(1)), row(3, 0),
  'A book that enters a stage counts the declared substeps.');
select results_eq(
  $$select substep::text collate "default", weight, attempt, revision, started_at is null
    from bindery.book_progress where book_id = tap.id(1) order by substep$$,
  $$values ('analyze_characters', 2::double precision, 1, 2::bigint, true),
    ('detect_chapters', 1, 1, 2, true), ('extract_text', 1, 1, 2, true)$$,
  'The declared substeps of the stage have rows under the revision of the transition.');
select is(
  (select row(stage_entered_at, stage_started_at) from tap.row(1)),
  row(bindery_internal.now(), bindery_internal.now()),
  'A book that enters a stage begins its first attempt there at once.');

-- expected_revision and attempt.
select tap.book(2);
select is(
  tap.call('transition_book', 2, $$'ANALYZING', expected_revision => 1$$), 'ok',
  'A transition with the current revision as expected_revision is made.');
select is(
  tap.call('transition_book', 2, $$'GENERATING_SCENES', expected_revision => 1$$),
  'PT409 stale_revision', 'A transition with an earlier expected_revision is refused.');
select is(
  tap.refusal('transition_book', 2, $$'GENERATING_SCENES', expected_revision => 1$$) -> 'detail',
  jsonb_build_object('code', 'stale_revision', 'book_id', tap.id(2), 'revision', 2,
    'expected_revision', 1),
  'The detail of stale_revision has the revision that the book has.');
select is((tap.row(2)).status, 'ANALYZING', 'A transition that is refused leaves the status.');
select tap.book(3, '{ANALYZING,FAILED,ANALYZING}');
select is(
  tap.call('transition_book', 3, $$'GENERATING_SCENES', attempt => 1$$), 'ok',
  'A transition from an earlier attempt is not an error.');
select is(
  (tap.row(3)).status, 'ANALYZING', 'A transition from an earlier attempt has no effect.');
select is(
  tap.call('transition_book', 3, $$'GENERATING_SCENES', attempt => 3$$), 'PT409 attempt_ahead',
  'A transition from an attempt that has not begun is refused.');
select is(
  tap.call('transition_book', 3, $$'GENERATING_SCENES', attempt => 0$$), 'PT422 bad_input',
  'An attempt below 1 is refused.');
select is(
  (bindery.transition_book(tap.id(3), 'GENERATING_SCENES', attempt => 2)).status,
  'GENERATING_SCENES', 'A transition from the current attempt is made.');

select * from finish();
rollback;
