begin;
\ir helpers.psql
select plan(45);
select tap.clock('2030-01-01 12:00:00+00');

select is((select row(epoch, "position", lease_expires_at) from bindery.acquire_stream('s', 'one', '10 seconds')), row(1::bigint, '0-0'::text, '2030-01-01 12:00:10+00'::timestamptz),
  'a new stream is acquired with epoch 1, from the beginning');
select is(tap.outcome('select bindery.acquire_stream(''s'', ''two'')'), 'PT409 lease_held', 'while the lease lasts another relay is refused');
select is(tap.error('select bindery.acquire_stream(''s'', ''two'')') #>> '{detail,holder}', 'one', 'and told who holds it');
select is((select epoch from bindery.relay_cursors where stream = 's'), 1::bigint, 'the epoch has not moved');
select is((select epoch from bindery.acquire_stream('s', 'one', '10 seconds')), 2::bigint, 'the holder itself may take it again at once, with a new epoch');
select is(tap.outcome('select bindery.renew_stream(''s'', 1)'), 'PT409 fenced', 'its older epoch is over');
select is(tap.error('select bindery.renew_stream(''s'', 1)') #>> '{detail,newest}', '2', 'it is told the newest');
select is((select epoch from bindery.acquire_stream('t', 'two')), 1::bigint, 'another stream has epochs of its own');

select tap.clock('2030-01-01 12:00:08+00');
select is(bindery.renew_stream('s', 2), '2030-01-01 12:00:18+00', 'renewing prolongs the lease by its ttl');
select tap.clock('2030-01-01 12:00:17+00');
select is(tap.outcome('select bindery.acquire_stream(''s'', ''two'')'), 'PT409 lease_held', 'a renewed lease is held');
select bindery.apply_events('s', 2, '5-0', '[]');
select is((select lease_expires_at from bindery.relay_cursors where stream = 's'), '2030-01-01 12:00:27+00', 'applying prolongs the lease too');
select tap.clock('2030-01-01 12:00:28+00');
select is(bindery.renew_stream('s', 2), '2030-01-01 12:00:38+00', 'a lease that ran out, but was not taken, can still be renewed');
select tap.clock('2030-01-01 12:00:39+00');
select is((select row(epoch, "position") from bindery.acquire_stream('s', 'two')), row(3::bigint, '5-0'::text), 'after its end another relay takes over, where the first one stopped');
select is(tap.outcome('select bindery.renew_stream(''s'', 2)'), 'PT409 fenced', 'the first one can no longer renew');
select is(tap.outcome('select bindery.release_stream(''s'', 2)'), 'PT409 fenced', 'nor release');
select is(tap.outcome('select bindery.apply_events(''s'', 2, ''6-0'', ''[]'')'), 'PT409 fenced', 'nor apply');
select is((select row(position, holder, epoch) from bindery.relay_cursors where stream = 's'), row('5-0'::text, 'two'::text, 3::bigint), 'and has changed nothing by trying');
select is(tap.outcome('select bindery.apply_events(''s'', 4, ''6-0'', ''[]'')'), 'PT409 fenced', 'an epoch to come applies nothing');
select is(tap.outcome('select bindery.apply_events(''s'', null, ''6-0'', ''[]'')'), 'PT409 fenced', 'no epoch applies nothing');
select is(tap.outcome('select bindery.apply_events(''nowhere'', null, ''6-0'', ''[]'')'), 'PT409 fenced', 'nor on a stream that nobody ever acquired');
select is(tap.outcome('select bindery.apply_events(''nowhere'', 1, ''6-0'', ''[]'')'), 'PT409 fenced', 'nor with an epoch there');
select is(tap.outcome('select bindery.apply_events(null, null, ''6-0'', ''[]'')'), 'PT409 fenced', 'nor on no stream');
select is(tap.outcome('select bindery.renew_stream(''nowhere'', 1)'), 'PT409 fenced', 'a stream that nobody acquired is not renewed');
select is(tap.outcome('select bindery.release_stream(null, null)'), 'PT409 fenced', 'nor released');

select is(tap.outcome('select bindery.release_stream(''s'', 3)'), 'ok', 'the holder releases');
select is((select row(holder, lease_expires_at) from bindery.relay_cursors where stream = 's'), row(null::text, null::timestamptz), 'then nobody holds it');
select is(tap.outcome('select bindery.apply_events(''s'', 3, ''6-0'', ''[]'')'), 'PT409 fenced', 'what was sent before the release is not applied after it');
select is(tap.outcome('select bindery.renew_stream(''s'', 3)'), 'PT409 fenced', 'nor renewed');
select is(tap.outcome('select bindery.release_stream(''s'', 3)'), 'PT409 fenced', 'nor released twice');
select is((select holder from bindery.relay_cursors where stream = 's'), null, 'it is still free');
select is(tap.outcome('select bindery.acquire_stream(''s'', ''three'')'), 'ok', 'a released stream is taken without waiting');
select is((select position from bindery.relay_cursors where stream = 's'), '5-0', 'at its position');
select ok((select epoch > 3 from bindery.relay_cursors where stream = 's'), 'with an epoch higher than any before');

select is(tap.outcome(call), 'PT422 bad_input', format('%s is refused', left(call, 70)))
from unnest(array['select bindery.acquire_stream(null, ''x'')', 'select bindery.acquire_stream('''', ''x'')', 'select bindery.acquire_stream(repeat(''s'', 513), ''x'')',
  'select bindery.acquire_stream(''u'', null)', 'select bindery.acquire_stream(''u'', '''')', 'select bindery.acquire_stream(''u'', ''x'', ''99 milliseconds'')',
  'select bindery.acquire_stream(''u'', ''x'', ''61 minutes'')', 'select bindery.acquire_stream(''u'', ''x'', ''-1 second'')', 'select bindery.acquire_stream(''u'', ''x'', null)']) call;
select is((select count(*)::int from bindery.relay_cursors where stream = 'u'), 0, 'none of these made a stream');
select is(tap.outcome(format('select bindery.acquire_stream(%L, %L, %L)', 'v', 'x', ttl)), 'ok', format('a ttl of %s is taken', ttl)) from unnest(array['100 milliseconds', '1 hour']) ttl;

select * from finish();
rollback;
