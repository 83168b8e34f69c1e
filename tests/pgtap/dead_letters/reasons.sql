-- bindery.dead_letter_reasons: why a stream's newest dead letters are there, counted.
begin;
\ir ../helpers.psql
select plan(8);
select tap.book(1, '{ANALYZING}');

select is_empty($$select * from bindery.dead_letter_reasons('tap')$$,
  'A stream without dead letters has no reasons.');
select tap.apply(tap.event('heartbeat', 1, '{"stage": "NOPE", "count": 3}'),
  tap.event('heartbeat', 1, '{"stage": "NOPE"}'), tap.event('dance', 1));
select results_eq($$select * from bindery.dead_letter_reasons('tap')$$,
  $$values ('unknown_stage', 2::bigint, 4::bigint), ('bad_input', 1::bigint, 1::bigint)$$,
  'dead_letter_reasons counts letters and events by reason, the most frequent first.');
select is_empty($$select * from bindery.dead_letter_reasons('tap', '1-99')$$,
  'dead_letter_reasons after the last event gives none.');
select results_eq($$select * from bindery.dead_letter_reasons('tap', max_letters => 1)$$,
  $$values ('bad_input', 1::bigint, 1::bigint)$$,
  'dead_letter_reasons counts the newest max_letters letters.');
select is_empty($$select * from bindery.dead_letter_reasons('another')$$,
  'dead_letter_reasons gives the reasons of one stream.');
select is(tap.outcome($$select * from bindery.dead_letter_reasons('tap', 'yesterday')$$),
  'PT422 bad_input', 'dead_letter_reasons after an invalid id is refused.');
select is(tap.as_role('bindery_relay',
    $$select sum(events) from bindery.dead_letter_reasons('tap')$$), '5',
  'The relay''s role may call dead_letter_reasons.');
select is(tap.as_role('authenticated', $$select bindery.dead_letter_reasons('tap')$$), '42501',
  'A user may not call dead_letter_reasons.');

select * from finish();
rollback;
