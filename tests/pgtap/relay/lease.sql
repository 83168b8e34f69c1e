-- The lease on a stream: acquire_stream, renew_stream, release_stream, and the rights of an old
-- epoch.
begin;
\ir ../helpers.psql
select plan(45);
select tap.clock('2030-01-01 12:00:00+00');
create function pg_temp.cursor() returns bindery.relay_cursors language sql volatile as $$
  select c from bindery.relay_cursors c where c.stream = 's';
$$;

-- Acquiring and renewing.
select is((select row(epoch, "position", lease_expires_at)
    from bindery.acquire_stream('s', 'one', '10 seconds')),
  row(1::bigint, '0-0'::text, '2030-01-01 12:00:10+00'::timestamptz),
  'A new stream is acquired with epoch 1, from its beginning.');
select is(tap.outcome('select bindery.acquire_stream(''s'', ''two'')'), 'PT409 lease_held',
  'Another relay does not acquire a stream while its lease lasts.');
select is(tap.error('select bindery.acquire_stream(''s'', ''two'')') #>> '{detail,holder}', 'one',
  'The refusal names the holder.');
select is((pg_temp.cursor()).epoch, 1::bigint, 'A refused acquire_stream leaves the epoch.');
select is((select epoch from bindery.acquire_stream('s', 'one', '10 seconds')), 2::bigint,
  'The holder acquires its stream again at once, with a new epoch.');
select is(tap.outcome('select bindery.renew_stream(''s'', 1)'), 'PT409 fenced',
  'The holder''s older epoch renews nothing.');
select is(tap.error('select bindery.renew_stream(''s'', 1)') #>> '{detail,newest}', '2',
  'The refusal of an older epoch names the newest.');
select is((select epoch from bindery.acquire_stream('t', 'two')), 1::bigint,
  'Each stream has epochs of its own.');
select tap.clock('2030-01-01 12:00:08+00');
select is(bindery.renew_stream('s', 2), '2030-01-01 12:00:18+00',
  'Renewing prolongs the lease by its ttl.');
select tap.clock('2030-01-01 12:00:17+00');
select is(tap.outcome('select bindery.acquire_stream(''s'', ''two'')'), 'PT409 lease_held',
  'Another relay does not acquire a stream whose lease was renewed.');
select bindery.apply_events('s', 2, '5-0', '[]');
select is((pg_temp.cursor()).lease_expires_at, '2030-01-01 12:00:27+00',
  'Applying a batch prolongs the lease.');
select tap.clock('2030-01-01 12:00:28+00');
select is(bindery.renew_stream('s', 2), '2030-01-01 12:00:38+00',
  'The holder renews a lease that ended, where no other relay has acquired the stream.');

-- Another relay takes over.
select tap.clock('2030-01-01 12:00:39+00');
select is((select row(epoch, "position") from bindery.acquire_stream('s', 'two')),
  row(3::bigint, '5-0'::text),
  'Another relay acquires a stream whose lease has ended, at the position applied so far.');
select is(tap.outcome(call), 'PT409 fenced',
  format('The former holder is fenced: %s.', call))
from unnest(array['select bindery.renew_stream(''s'', 2)',
  'select bindery.release_stream(''s'', 2)',
  'select bindery.apply_events(''s'', 2, ''6-0'', ''[]'')']) call;
select is(row((pg_temp.cursor()).position, (pg_temp.cursor()).holder, (pg_temp.cursor()).epoch),
  row('5-0'::text, 'two'::text, 3::bigint),
  'The calls of a former holder change nothing.');
select is(tap.outcome(call), 'PT409 fenced',
  format('A call without the newest epoch is fenced: %s.', call))
from unnest(array['select bindery.apply_events(''s'', 4, ''6-0'', ''[]'')',
  'select bindery.apply_events(''s'', null, ''6-0'', ''[]'')',
  'select bindery.apply_events(''nowhere'', null, ''6-0'', ''[]'')',
  'select bindery.apply_events(''nowhere'', 1, ''6-0'', ''[]'')',
  'select bindery.apply_events(null, null, ''6-0'', ''[]'')',
  'select bindery.renew_stream(''nowhere'', 1)',
  'select bindery.release_stream(null, null)']) call;

-- Releasing.
select is(tap.outcome('select bindery.release_stream(''s'', 3)'), 'ok',
  'The holder releases its stream.');
select is(row((pg_temp.cursor()).holder, (pg_temp.cursor()).lease_expires_at),
  row(null::text, null::timestamptz), 'A released stream has no holder.');
select is(tap.outcome(call), 'PT409 fenced',
  format('The epoch of before the release is fenced: %s.', call))
from unnest(array['select bindery.apply_events(''s'', 3, ''6-0'', ''[]'')',
  'select bindery.renew_stream(''s'', 3)', 'select bindery.release_stream(''s'', 3)']) call;
select is((pg_temp.cursor()).holder, null, 'A released stream stays free.');
select is(tap.outcome('select bindery.acquire_stream(''s'', ''three'')'), 'ok',
  'Another relay acquires a released stream without waiting.');
select is((pg_temp.cursor()).position, '5-0', 'A released stream keeps its position.');
select cmp_ok((pg_temp.cursor()).epoch, '>', 3::bigint,
  'A stream that was released has a higher epoch than any before.');

-- Arguments.
select is(tap.outcome('select bindery.acquire_stream' || arguments), 'PT422 bad_input',
  format('acquire_stream%s is refused.', arguments))
from unnest(array['(null, ''x'')', '('''', ''x'')', '(repeat(''s'', 513), ''x'')', '(''u'', null)',
  '(''u'', '''')', '(''u'', ''x'', ''99 milliseconds'')', '(''u'', ''x'', ''61 minutes'')',
  '(''u'', ''x'', ''-1 second'')', '(''u'', ''x'', null)']) arguments;
select is((select count(*)::int from bindery.relay_cursors where stream = 'u'), 0,
  'A refused acquire_stream makes no stream.');
select is(tap.outcome(format('select bindery.acquire_stream(%L, %L, %L)', 'v', 'x', ttl)), 'ok',
  format('acquire_stream takes a ttl of %s.', ttl))
from unnest(array['100 milliseconds', '1 hour']) ttl;

select * from finish();
rollback;
