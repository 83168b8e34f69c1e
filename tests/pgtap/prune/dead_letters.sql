-- bindery.prune_dead_letters: old dead letters are deleted in batches, the oldest first.
begin;
\ir ../helpers.psql
select plan(12);

create temp table moments as
select n, '2030-01-01 00:00+00'::timestamptz + n * interval '1 day' as at
from generate_series(1, 6) n;
select tap.book(1, '{ANALYZING}');
select tap.clock(at::text),
  tap.apply(tap.event('progress', 1, jsonb_build_object('substep', 'nope_' || n, 'progress', 1)))
from moments order by n;

select is(bindery.prune_dead_letters('2030-01-02 00:00+00'), 0,
  'prune_dead_letters keeps a letter that is exactly as old as the moment.');
select is(bindery.prune_dead_letters('2030-01-05 00:00+00', 2), 2,
  'prune_dead_letters deletes at most a batch of letters a call.');
select is((select array_agg(payload ->> 'substep' order by id) from bindery.dead_letters),
  array['nope_3', 'nope_4', 'nope_5', 'nope_6'],
  'prune_dead_letters deletes the oldest letters first.');
select is(bindery.prune_dead_letters('2030-01-05 00:00+00', 2), 1,
  'prune_dead_letters deletes the rest when it is called again.');
select is(bindery.prune_dead_letters('2030-01-05 00:00+00', 2), 0,
  'prune_dead_letters gives 0 when nothing is left to delete.');
select is((select min(at) from bindery.dead_letters), '2030-01-05 00:00+00',
  'prune_dead_letters keeps the letters that are younger than the moment.');

select is(tap.outcome('select bindery.prune_dead_letters(null)'), 'PT422 bad_input',
  'prune_dead_letters without a moment is refused.');
select is(tap.outcome(format('select bindery.prune_dead_letters(now(), %s)', batch)),
  'PT422 bad_input', format('prune_dead_letters with a batch of %s is refused.', batch))
from unnest(array['0', '100001', 'null']) batch;
select is((select count(*) from bindery.dead_letters), 3::bigint,
  'A refused prune_dead_letters deletes nothing.');
select is(tap.as_role('authenticated', 'select bindery.prune_dead_letters(now())'), '42501',
  'A user may not call prune_dead_letters.');

select * from finish();
rollback;
