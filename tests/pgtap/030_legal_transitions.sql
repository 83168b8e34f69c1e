begin;
\ir helpers.psql
select plan(39);
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
  ('{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}', 'COMPLETED', 'complete', 'CREATING_ARTWORK', 1),
  ('{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}', 'FAILED', 'fail', 'CREATING_ARTWORK', 1),
  ('{ANALYZING,GENERATING_SCENES,CREATING_ARTWORK}', 'CANCELLED', 'cancel', 'CREATING_ARTWORK', 1),
  ('{FAILED}', 'UPLOADED', 'resume', 'UPLOADED', 2),
  ('{ANALYZING,FAILED}', 'ANALYZING', 'resume', 'ANALYZING', 2),
  ('{ANALYZING,FAILED}', 'CANCELLED', 'cancel', 'ANALYZING', 1),
  ('{ANALYZING,GENERATING_SCENES,FAILED}', 'GENERATING_SCENES', 'resume', 'GENERATING_SCENES', 2);

create function tap.walk(n integer, path text[], target text, plain boolean) returns text language plpgsql as $$
declare
  old bindery.book_status := tap.book(n, path);
  new bindery.book_status;
begin
  perform tap.clock('2030-01-02 12:00+00');
  if plain then
    update bindery.book_status set status = target, message = 'off it goes' where book_id = old.book_id;
  else
    perform bindery.transition_book(old.book_id, target, 'off it goes', old.revision);
  end if;
  new := tap.row(n);
  return concat_ws(' ', new.status, new.current_stage, new.attempt, new.revision - old.revision, new.message,
    new.updated_at = bindery_internal.now() and new.heartbeat_at = bindery_internal.now(),
    (select concat_ws(' ', e.kind, e.from_status = old.status, e.to_status, e.stage, e.attempt, e.message)
     from bindery.book_events e where e.book_id = new.book_id and e.revision = new.revision));
end
$$;

select is(tap.walk(case when plain then 200 else 100 end + i::integer, path, target, plain),
  concat_ws(' ', target, stage, attempt, 1, 'off it goes t', kind, 't', target, stage, attempt, 'off it goes'),
  format('from %s to %s is a %s, by %s', coalesce(path[cardinality(path)], 'UPLOADED'), target, kind,
    case when plain then 'plain UPDATE' else 'transition_book' end))
from (select *, row_number() over () as i from legal) l, (values (false), (true)) p(plain)
order by plain, i;

select is((tap.row(110)).completed_at, '2030-01-02 12:00+00', 'a completed book knows when');
select is((tap.row(104)).completed_at, null, 'others are not complete');
select is(array(select bindery_core.next_statuses(machine, 'ANALYZING', 'ANALYZING') from bindery.pipelines where (name, version) = ('comic', 1))::text,
  '{{GENERATING_SCENES,FAILED,CANCELLED}}', 'the kernel lists what may follow ANALYZING');

select tap.book(1);
select is(tap.outcome(format('select bindery.transition_book(%L, %L, expected_revision => 1)', tap.id(1), 'ANALYZING')), 'ok', 'the expected revision lets a transition pass');
select is(tap.outcome(format('select bindery.transition_book(%L, %L, expected_revision => 1)', tap.id(1), 'GENERATING_SCENES')), 'PT409 stale_revision', 'a revision that has passed does not');
select is(tap.error(format('select bindery.transition_book(%L, %L, expected_revision => 1)', tap.id(1), 'GENERATING_SCENES')) #>> '{detail,revision}', '2', 'the refusal tells the revision there is');
select is((tap.row(1)).status, 'ANALYZING', 'and the book stays where it is');

select * from finish();
rollback;
