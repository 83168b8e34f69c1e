-- Beyond dead_letters_total events are only counted: one letter per stream and reason.
begin;
\ir ../helpers.psql
select plan(14);
select tap.book(1, '{ANALYZING}');
create function pg_temp.letters() returns text language sql stable as $$
  select string_agg(format('%s %s-%s %s%s', d.reason, d.first_event_id, d.event_id, d.count,
    case when d.payload = '{}' and d.truncated then ' counted' else '' end), ', ' order by d.id)
  from bindery.dead_letters d;
$$;
create function pg_temp.reject(reason text, ids integer[]) returns bigint language sql as $$
  select bindery_internal.reject('s', jsonb_agg(jsonb_build_object('id', i || '-0',
    'count', 2, 'reason', reason, 'refusal', 'No.', 'type', 'heartbeat',
    'book_id', tap.id(1)) order by i))
  from unnest(ids) i;
$$;
select is((select s.dead_letters_total from bindery.settings s), 1000000,
  'By default there may be a million dead letters.');
update bindery.settings set dead_letters_total = 3 where true;
select is(pg_temp.reject('a', '{1,2}'), 4::bigint, 'reject gives how many events it rejected.');
select is(pg_temp.letters(), 'a 1-0-1-0 2, a 2-0-2-0 2', 'Below the bound each is kept.');
select is(pg_temp.reject('b', '{3,4}'), 4::bigint, 'Beyond the bound events count as rejected.');
select is(pg_temp.letters(), 'a 1-0-1-0 2, a 2-0-2-0 2, b 3-0-4-0 4 counted',
  'Beyond the bound one letter stands for all events of a reason, and has no payload.');
select pg_temp.reject('b', '{5}');
select pg_temp.reject('a', '{6}');
select pg_temp.reject('b', '{7}');
select is(pg_temp.letters(),
  'a 1-0-1-0 2, a 2-0-2-0 2, b 3-0-7-0 8 counted, a 6-0-6-0 2 counted',
  'Further events are counted in the letter of their reason.');
select is((select sum(d.letters)::text || ' ' || sum(d.events)::text
    from bindery.dead_letter_reasons('s') d), '4 14',
  'dead_letter_reasons counts the events that have no letter of their own.');
select matches((select d.message from bindery.dead_letters d where d.payload = '{}' limit 1),
  'dead_letters_total', 'The message of a counted letter names the setting.');
select is((select (r.applied, r.stale, r.rejected)::text from bindery.replay_dead_letters('s') r),
  '(4,0,0)', 'A replay leaves out what was only counted.');
select is(pg_temp.letters(), 'b 3-0-7-0 8 counted, a 6-0-6-0 2 counted',
  'What was only counted stays.');
select pg_temp.reject('c', '{8}');
select is(pg_temp.letters(), 'b 3-0-7-0 8 counted, a 6-0-6-0 2 counted, c 8-0-8-0 2',
  'With room again, also where ids have gaps, events are kept.');
select is(tap.outcome(format('update bindery.settings set %s where true', change)), outcome,
  format('The setting %s: %s.', change, outcome))
from (values ('dead_letters_total = -1', '23514'), ('dead_letters_total = 100000001', '23514'),
  ('dead_letters_total = 0', 'ok')) v(change, outcome);
select * from finish();
rollback;
