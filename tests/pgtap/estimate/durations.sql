-- bindery.stage_durations: the median and the 95th percentile of the newest visits.
begin;
\ir ../helpers.psql
\ir lived.psql
select plan(6);

select is_empty('select * from bindery.stage_durations()',
  'Without a visit no state has a duration.');
select tap.lived(n, '2030-01-02 00:00+00', '{ANALYZING,GENERATING_SCENES}', array[5, n * 10])
from generate_series(1, 21) n;
select tap.clock('2030-01-02 12:00+00');
select bindery_internal.refresh_pace();
select results_eq('select * from bindery.stage_durations()', $$values
  ('comic', 1, 'ANALYZING', 110.0::double precision, 200.0::double precision, 21),
  ('comic', 1, 'UPLOADED', 5.0::double precision, 5.0::double precision, 21)$$,
  'Each state has the median and the 95th percentile of its visits, and their number.');
select is((select array_agg(d.median_seconds) from bindery.stage_durations() d),
  (select array_agg(p.median_seconds order by p.stage) from bindery_internal.stage_pace p
    where p.samples > 0), 'The medians are those of the estimates.');
select is_empty($$select d.* from bindery.stage_durations() d
    where d.median_seconds > d.p95_seconds$$, 'No median is above the 95th percentile.');
select is(tap.as_role('service_role', 'select count(*) from bindery.stage_durations()'), '2',
  'The service may read the durations.');
select is(tap.as_role('authenticated', 'select count(*) from bindery.stage_durations()'), '42501',
  'A user may not read the durations.');

select * from finish();
rollback;
