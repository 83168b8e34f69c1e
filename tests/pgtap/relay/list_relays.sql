-- bindery.list_relays: the live relays and their streams.
begin;
\ir ../helpers.psql
select plan(5);
select tap.clock('2030-01-01 12:00:00+00');

select is_empty('select * from bindery.list_relays()', 'Without a relay the list is empty.');
select bindery.announce_relay('two', '{b,c}', '20 seconds');
select bindery.announce_relay('one', '{a,b}', '10 seconds');
select results_eq('select * from bindery.list_relays()', $$values
  ('one', '{a,b}'::text[], '2030-01-01 12:00:10+00'::timestamptz),
  ('two', '{b,c}'::text[], '2030-01-01 12:00:20+00'::timestamptz)$$,
  'Each relay is listed with its streams and the end of its time, in order of name.');
select tap.clock('2030-01-01 12:00:10+00');
select results_eq('select holder from bindery.list_relays()', $$values ('two')$$,
  'A relay whose time is over is not listed.');
select is(tap.as_role('service_role', 'select holder from bindery.list_relays()'), 'two',
  'The service may list the relays.');
select is(tap.as_role('authenticated', 'select holder from bindery.list_relays()'), '42501',
  'A user may not list the relays.');

select * from finish();
rollback;
