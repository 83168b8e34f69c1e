-- bindery.forget_stream: deletes the row of a stream that no relay reads any more.
begin;
\ir ../helpers.psql
select plan(15);
select tap.clock('2030-01-01 12:00:20+00');
select bindery.acquire_stream('s', 'three', '10 seconds');
select bindery.acquire_stream('s', 'three', '10 seconds');

select is(tap.outcome('select bindery.forget_stream(''s'')'), 'PT409 lease_held',
  'A stream is not forgotten while its lease lasts.');
select is(tap.error('select bindery.forget_stream(''s'')') -> 'detail',
  '{"code": "lease_held", "stream": "s", "holder": "three",
    "lease_expires_at": "2030-01-01T12:00:30+00:00"}',
  'The refusal names the holder and the end of its lease.');
select isnt(tap.error('select bindery.forget_stream(''s'')') ->> 'hint', null,
  'The refusal has a hint.');
select tap.clock('2030-01-01 12:00:30+00');
select is(tap.as_role('bindery_relay', 'select bindery.forget_stream(''s'')'), '42501',
  'The relay''s role may not forget a stream.');
select bindery.acquire_stream('t', 'three', '10 seconds');
select is(tap.outcome('select bindery.forget_stream(''s'')'), 'ok',
  'A stream is forgotten once its lease is over.');
select is((select array_agg(stream) from bindery.relay_cursors), array['t'],
  'forget_stream deletes the row of that stream and of no other.');
select is(tap.outcome('select bindery.forget_stream(''s'')'), 'PT404 unknown_stream',
  'A forgotten stream is unknown.');
select is(tap.outcome('select bindery.forget_stream(null)'), 'PT404 unknown_stream',
  'forget_stream without a stream is refused as unknown.');
select isnt(tap.error('select bindery.forget_stream(null)') ->> 'hint', null,
  'The refusal of an unknown stream has a hint.');
select is(tap.outcome('select bindery.apply_events(''s'', 2, ''2-0'', ''[]'')'), 'PT409 fenced',
  'The last epoch of a forgotten stream applies nothing.');
select is((select row(epoch, "position") from bindery.acquire_stream('s', 'four')),
  row(3::bigint, '0-0'::text),
  'A forgotten stream that is acquired again begins anew, with an epoch that was never given.');
select is(tap.outcome('select bindery.apply_events(''s'', 2, ''2-0'', ''[]'')'), 'PT409 fenced',
  'The epoch of before stays fenced when the stream is acquired again.');
select is((select epoch from bindery.acquire_stream('t', 'three')), 2::bigint,
  'The epochs of other streams continue.');
select bindery.release_stream('t', 2);
select is(tap.outcome('select bindery.forget_stream(''t'')'), 'ok',
  'A released stream is forgotten at once.');
select is((select epoch from bindery.acquire_stream('t', 'four')), 4::bigint,
  'A stream that was released, forgotten and acquired again has an epoch above the release.');

select * from finish();
rollback;
