-- An early event that waits longer than patience becomes a dead letter with its reason.
begin;
\ir ../helpers.psql
select plan(27);
select tap.clock('2030-01-01 12:00:00+00');
select is((select s.patience from bindery.settings s), '15 minutes'::interval,
  'patience is 15 minutes by default.');
select tap.book(1, '{ANALYZING}');
select is(tap.apply(
    tap.event('progress', 9, '{"progress": 1, "count": 5, "first_id": "1-1", "id": "1-5"}'),
    tap.event('transition', 1, '{"to_status": "COMPLETED"}'),
    tap.event('progress', 1, '{"stage": "CREATING_ARTWORK", "substep": "page_1", "progress": 1}'),
    tap.event('heartbeat', 1, '{"attempt": 2}')), '0/0/8/0', 'Four items wait.');
create temp table waiting as
select e.book_id, e.reason, e.message, e.payload, e.event_id, e.first_event_id, e.count
from bindery.early_events e;
create function pg_temp.sweep() returns text language sql volatile as $$
  select bindery.sweep() ->> 'expired';
$$;

select tap.clock('2030-01-01 12:15:00+00');
select is(pg_temp.sweep(), '0', 'An event that has waited exactly as long as patience waits on.');
select is((select count(*) from bindery.early_events), 4::bigint,
  'A sweep before patience ends takes no event away.');
select tap.clock('2030-01-01 12:15:01+00');
select is(pg_temp.sweep(), '4', 'sweep counts the events that waited longer than patience.');
select is(tap.waiting(), 'none', 'Expired events wait no more.');
select is(tap.reasons(), 'unknown_book, transition_ahead, stage_not_reached, attempt_ahead',
  'An expired event is a dead letter with the reason for which it waited.');
select results_eq(
  $$select d.book_id, d.reason, d.message, d.payload, d.event_id, d.first_event_id, d.count
    from bindery.dead_letters d order by d.id$$,
  $$select w.book_id, w.reason, w.message || ' It waited for 00:15:00.', w.payload, w.event_id,
    w.first_event_id, w.count from waiting w$$,
  'A dead letter has the event, its ids, its count and how long it waited.');
select is((select array_agg(distinct d.at) from bindery.dead_letters d),
  array['2030-01-01 12:15:01+00'::timestamptz], 'A dead letter has the time at which it expired.');
select is((select array_agg(distinct d.stream) from bindery.dead_letters d), array['tap'],
  'A dead letter has the stream of its event.');
select is((select row(c.early, c.rejected) from bindery.relay_cursors c),
  row(8::bigint, 0::bigint), 'An expired event stays counted as early in relay_cursors.');
select is(pg_temp.sweep(), '0', 'A second sweep finds nothing to expire.');
select tap.book(9, '{ANALYZING}');
select is((tap.row(9)).revision, 2::bigint, 'An expired event has no effect on its book.');
select is((select format('%s/%s/%s', r.applied, r.stale, r.rejected)
    from bindery.replay_dead_letters(reason => 'unknown_book') r), '0/0/5',
  'A replay applies an expired event to a book that has become known, or rejects it anew.');

-- Each event has a patience of its own.
delete from bindery.dead_letters where true;
select tap.clock('2030-01-02 12:00+00');
select tap.apply(tap.event('heartbeat', 20));
select tap.clock('2030-01-02 12:10+00');
select tap.apply(tap.event('heartbeat', 20));
select tap.clock('2030-01-02 12:16+00');
select is(pg_temp.sweep(), '1', 'An event expires by when it came itself.');
select is((select array_agg(e.at) from bindery.early_events e),
  array['2030-01-02 12:10+00'::timestamptz], 'A later event of the book waits on.');
select tap.clock('2030-01-02 12:26+00');
select is(pg_temp.sweep(), '1', 'A later event of a book expires later.');

-- An event that was kept behind another one.
select tap.book(21, '{ANALYZING}');
select tap.apply(tap.event('transition', 21, '{"to_status": "COMPLETED"}'),
  tap.event('fail', 21));
delete from bindery.dead_letters where true;
select tap.clock('2030-01-02 13:00+00');
select is(pg_temp.sweep(), '2', 'Events that wait behind others expire with them.');
select is(tap.reasons(), 'transition_ahead, queued_behind',
  'An event that waited behind another has the reason queued_behind.');
select is((tap.row(21)).status, 'ANALYZING', 'Expired events have no effect.');

-- The setting.
update bindery.settings set patience = '1 minute' where true;
select tap.apply(tap.event('heartbeat', 22));
select tap.clock('2030-01-02 13:01:01+00');
select is(pg_temp.sweep(), '1', 'patience is a setting.');
select is(tap.as_role('service_role', 'with s as (update bindery.settings
    set patience = ''2 minutes'' where true returning 1) select count(*) from s'), '1',
  'The service sets patience.');
select is(tap.as_role('bindery_relay', 'update bindery.settings set patience = ''2 minutes''
    where true'), '42501', 'The relay''s role does not set patience.');
select is(tap.outcome(format('update bindery.settings set patience = %L where true', patience)),
  outcome, format('A patience of %s is %s.', patience, case outcome when 'ok' then 'taken'
    else 'refused' end))
from (values ('0', 'ok'), ('30 days', 'ok'), ('-1 second', '23514'), ('31 days', '23514'))
  v(patience, outcome);

select * from finish();
rollback;
