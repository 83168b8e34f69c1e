-- The sums that a book keeps are exact: any order and any batching of the same reports ends in the
-- same digits, which are those over all rows.
begin;
\ir ../helpers.psql
select plan(39);
select bindery.define_pipeline('sums', '{"states": [
  {"name": "IN", "weight": 3},
  {"name": "WORK", "weight": 7, "open_substeps": true, "substeps": [{"substep": "declared_1"},
    {"substep": "declared_2", "weight": 0.1}, {"substep": "declared_3", "weight": 0}]},
  {"name": "OUT"}]}');
-- 40 substeps: 3 declared, 27 planned with weights that doubles cannot sum exactly, 10 open.
create temp table parts as
  select n, case when n <= 3 then 'declared_' || n when n <= 30 then 'planned_' || n
      else 'open_' || n end as substep,
    (array[0.1, 1e-9, 1e9, 0.3, 1.5e-9, 123456.789, 1.0 / 3, 999999999.999999999, 7])[n % 9 + 1]
      ::double precision as weight
  from generate_series(1, 40) n;
select setseed(0.25);
create temp table reports as
  select row_number() over (order by random())::integer as place, p.substep, case r.n % 6
      when 0 then round(random() * 100)::double precision
      when 1 then random() * 100
      when 2 then random() * 1e-4 + 1e-6
      when 3 then 99.999999 - random() * 1e-5
      when 4 then (2 * round(random() * 1e7) + 1) * 5e-7
      else case when random() < 0.3 then 100 else random() * 100 end end as progress
  from parts p cross join generate_series(1, 12) r(n);

create function tap.prepare(n integer) returns void language sql as $$
  select tap.book(n, '{WORK}', 'sums');
  select bindery.plan_substeps(tap.id(n), 'WORK', (
    select jsonb_agg(jsonb_build_object('substep', p.substep, 'weight', p.weight))
    from parts p where p.n between 4 and 30));
$$;
-- The sums of a book, and the same over its rows.
create function tap.kept(n integer) returns text language sql volatile as $$
  select format('%s %s %s %s', b.substeps_total, b.substeps_done, b.substeps_weight,
    b.substeps_points)
  from bindery.book_status b where b.book_id = tap.id(n);
$$;
create function tap.recomputed(n integer) returns text language sql volatile as $$
  select format('%s %s %s %s', count(*), count(*) filter (where g.progress >= 100),
    sum(round(g.weight * 1e9)::bigint), sum(round(g.weight * 1e9)::bigint::numeric
      * case when g.progress >= 100 then 100000000
        else least(round(g.progress * 1e6)::bigint, 99999999) end))
  from bindery.book_progress g join bindery.book_status b
    on b.book_id = g.book_id and b.current_stage = g.stage
  where b.book_id = tap.id(n);
$$;
create function tap.percents_of_rows(n integer) returns text language sql volatile as $$
  select format('%s %s', p.v[1], p.v[2])
  from bindery.book_status b
  cross join lateral (
    select count(*)::integer as substeps,
      count(*) filter (where g.progress >= 100)::integer as done,
      sum(g.points)::double precision as points,
      sum(round(g.weight * 1e9)::bigint)::double precision as weight
    from bindery.book_progress g
    where g.book_id = b.book_id and g.stage = b.current_stage) s
  cross join lateral bindery_core.progress_percentages(
    s.substeps, s.done, s.points, s.weight, 30, 70) p(v)
  where b.book_id = tap.id(n);
$$;
-- Applies the reports in this order in batches of this size; gives after how many batches the
-- sums were not those over all rows. Reports of one substep in a batch are in segments of their
-- own.
create function tap.apply_in_batches(n integer, in_order text, size integer) returns integer
language plpgsql as $$
declare
  batch record;
  wrong integer := 0;
begin
  for batch in execute format('
    select array_agg(o.segment order by o.segment, o.place) as segments,
      array_agg(o.substep order by o.segment, o.place) as substeps,
      array_agg(o.progress order by o.segment, o.place) as progress, count(*) as reports
    from (
      select r.*, (r.place - 1) / %2$s as batch,
        (row_number() over (partition by (r.place - 1) / %2$s, r.substep order by r.place))::integer
          as segment
      from (
        select row_number() over (order by %1$s)::integer as place, substep, progress
        from reports) r) o
    group by o.batch order by o.batch', in_order, size)
  loop
    perform bindery.apply_events('tap', c.epoch,
      split_part(c.position, '-', 1)::bigint + 1 || '-0', segments => batch.segments,
      book_ids => array_fill(tap.id(n), array[batch.reports::integer]),
      substeps => batch.substeps, progress => batch.progress)
    from bindery.relay_cursors c where c.stream = 'tap';
    if tap.kept(n) <> tap.recomputed(n) or tap.percents(n) <> tap.percents_of_rows(n) then
      wrong := wrong + 1;
    end if;
  end loop;
  return wrong;
end
$$;

select bindery.acquire_stream('tap', 'pgtap');
select tap.prepare(n) from generate_series(1, 6) n;
select is(
  tap.kept(1), tap.recomputed(1), 'After a plan the sums are those over all rows.');
select is(
  tap.apply_in_batches(1, 'place', 1), 0,
  'After each of 480 single reports the sums are those over all rows.');
select is(
  tap.apply_in_batches(2, 'place desc', 7), 0,
  'After each batch of 7 in reverse order the sums are those over all rows.');
select is(
  tap.apply_in_batches(3, 'md5(place::text)', 97), 0,
  'After each batch of 97 in another order the sums are those over all rows.');
select is(
  tap.apply_in_batches(4, 'progress, place', 1000), 0,
  'After one batch of all reports, lowest first, the sums are those over all rows.');
select is(
  tap.apply_in_batches(5, 'progress desc, place', 1000), 0,
  'After one batch of all reports, highest first, the sums are those over all rows.');
select bindery.report_progress(tap.id(6), r.substep, r.progress)
from (select * from reports order by substep, place) r;
select is(
  tap.kept(6), tap.recomputed(6),
  'After calls of report_progress, substep by substep, the sums are those over all rows.');
select is(
  tap.kept(n), tap.kept(1),
  format('Book %s has the same sums as book 1, in another order and batching.', n))
from generate_series(2, 6) n;
select is(
  tap.percents(n), tap.percents(1),
  format('Book %s has the same percentages as book 1, in another order and batching.', n))
from generate_series(2, 6) n;
select is(
  (select count(distinct jsonb_build_array(g.substep, g.weight, g.progress, g.points))::integer
    from bindery.book_progress g where g.stage = 'WORK'),
  40, 'All books have the same rows.');

-- The other changes of sums.
select bindery.fail_book(tap.id(1));
select bindery.resume_book(tap.id(1));
select is(tap.kept(1), tap.recomputed(1), 'After a resume the sums are those over all rows.');
select is(
  tap.percents(1), tap.percents_of_rows(1),
  'After a resume the percentages are those of the rows.');
select bindery.plan_substeps(tap.id(2), 'WORK', (
  select jsonb_agg(jsonb_build_object('substep', p.substep, 'weight', 41 - p.n)) from parts p));
select is(tap.kept(2), tap.recomputed(2), 'After a second plan the sums are those over all rows.');
select is(
  tap.percents(2), tap.percents_of_rows(2), 'After a plan the percentages are those of the rows.');
delete from bindery.book_progress where book_id = tap.id(3) and substep like '%5';
select is(tap.kept(3), tap.recomputed(3), 'After a DELETE the sums are those over all rows.');
update bindery.book_progress set weight = weight / 3, progress = progress / 7
where book_id = tap.id(4);
select is(tap.kept(4), tap.recomputed(4), 'After an UPDATE the sums are those over all rows.');
select bindery.fail_book(tap.id(5));
select bindery.rewind_book(tap.id(5), 'WORK');
select is(tap.kept(5), tap.recomputed(5), 'After a rewind the sums are those over all rows.');
select is((tap.row(5)).substeps_points, 0::numeric, 'After a rewind no substep has any points.');

-- A stage is at 100 exactly when all of its substeps are done.
select bindery.report_progress(tap.id(6), p.substep, 100)
from parts p where p.substep <> 'planned_10';
select is(
  tap.percents(6), '99.99 99.99',
  'A stage with one unfinished substep of weight 1e-9 beside those of 1e9 is below 100.');
select bindery.report_progress(tap.id(6), 'planned_10', 99.9999);
select is(tap.percents(6), '99.99 99.99', 'A stage with a substep at 99.9999 is below 100.');
select bindery.report_progress(tap.id(6), 'planned_10', 100);
select is(
  tap.percents(6), '100 99.99',
  'A stage whose substeps are done is at 100, whatever their weights.');
select bindery.report_progress(tap.id(6), 'late', 0);
select is(
  (tap.row(6)).stage_progress < 100, true,
  'A new open substep takes a stage that was done below 100.');

-- The points of a row.
select tap.book(7, '{WORK}', 'sums');
insert into bindery.book_progress (book_id, stage, substep, weight, progress, updated_at)
select tap.id(7), 'WORK', 'p_' || v.n, v.weight, v.progress, now()
from (values (1, 1, 100), (2, 1e9, 100), (3, 1e-9, 100), (4, 0.1, 50), (5, 1, 99.99999999),
  (6, 1, 0.0000005), (7, 1, 0.0000015), (8, 0, 100), (9, 1.0 / 3, 100.0 / 3))
  v(n, weight, progress);
select is(
  (select g.points from bindery.book_progress g
    where g.book_id = tap.id(7) and g.substep = 'p_' || v.n),
  v.points::numeric,
  format('A row of weight %s at %s has %s points.', v.weight, v.progress, v.points))
from (values (1, '1', '100', '100000000000000000'),
  (2, '1e9', '100', '100000000000000000000000000'),
  (3, '1e-9', '100', '100000000'), (4, '0.1', '50', '5000000000000000'),
  (5, '1', '99.99999999', '99999999000000000'), (6, '1', '0.0000005', '0'),
  (7, '1', '0.0000015', '2000000000'), (8, '0', '100', '0'),
  (9, '1/3', '100/3', '11111110988888889')) v(n, weight, progress, points);

select * from finish();
rollback;
