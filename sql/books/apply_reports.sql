-- apply_reports: applies progress reports, one or ten thousand, in one set-based statement; the
-- only writer of reported progress.
-- Invariants: each report has a verdict (bindery_core.report_verdict, or bad_input, unknown_book,
-- queued_behind or too_many_substeps), and the accepted ones are written; within an attempt the
-- higher progress stays, with its own done and total; the books' sums change by what the rows
-- changed by.
-- Locks: the caller has locked the books' rows, in order of book_id; then progress rows.
create or replace function bindery_internal.apply_reports(
  book_ids uuid[], stages text[], substeps text[], attempts integer[],
  progress double precision[], done double precision[], totals double precision[],
  units text[], messages text[], checkpoints text[], with_substeps boolean, held uuid[],
  out others integer[], out verdicts text[], out changed uuid[], out revisions bigint[],
  out shown jsonb[]
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- Row by row: each row is found once through its primary key and updated by its ctid, independent
-- of the tables' statistics; planned once. The caller's lock keeps the ctids valid.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_hashagg = off
set plan_cache_mode = force_generic_plan
as $$
declare
  outer_writer constant text := bindery_internal.begin_writing();
  moment constant timestamptz := bindery_internal.now();
  written bigint;
  accepted bigint;
begin
  perform bindery_internal.check_reports(units, messages, checkpoints);
  with judged as materialized (
    select g.ord, g.book_id, g.progress, g.done, g.total, g.unit, g.message,
      -- JSON's null is not a checkpoint; stored, it would make a resume keep the substep.
      nullif(g.checkpoint::jsonb, 'null') as checkpoint, coalesce(g.substep, 'all') as substep,
      b.ctid as book_row, b.current_stage, b.attempt, b.revision, b.substeps_total,
      case when with_substeps then (
        select bindery_internal.state_of(m.machine, b.current_stage) -> 'substeps'
        from bindery.pipelines m where m.name = b.pipeline and m.version = b.pipeline_version)
      end as declared,
      p.ctid as substep_row, p.substep is not null as there, p.progress as old_progress,
      p.points as old_points,
      -- As bindery_internal.points.
      round(coalesce(p.weight, 1) * 1e9)::bigint::numeric
        * case when greatest(p.progress, g.progress) >= 100 then 100000000
          else least(round(greatest(p.progress, g.progress) * 1e6)::bigint, 99999999)
        end as points,
      -- The common case; the kernel decides the others.
      case
        when not (p.substep is not null and g.message is null and g.unit is null
            and g.checkpoint is null and g.done is null and g.total is null
            and coalesce(g.progress between 0 and 100, false))
          and bindery_internal.bad_report(g.substep, g.progress, g.done, g.total, g.unit,
            g.message, g.checkpoint::jsonb, g.attempt) is not null then 'bad_input'
        when b.current_stage is null then 'unknown_book'
        when g.stage is null and g.book_id = any (held) then 'queued_behind'
        when p.substep is not null and b.status = b.current_stage
          and (g.stage is null or g.stage = b.current_stage)
          and (g.attempt is null or g.attempt = b.attempt) then 'accept'
        when g.substep !~ '^[a-z][a-z0-9_]{0,62}$' then 'bad_input'
        else bindery_internal.report_verdict(g.book_id, g.stage, g.substep, g.attempt)
      end as verdict
    from unnest(book_ids, stages, substeps, attempts, apply_reports.progress, apply_reports.done,
        totals, units, messages, checkpoints) with ordinality
      as g(book_id, stage, substep, attempt, progress, done, total, unit, message, checkpoint, ord)
    left join lateral (
      select s.ctid, s.status, s.current_stage, s.attempt, s.revision, s.substeps_total, s.pipeline,
        s.pipeline_version
      from bindery.book_status s where s.book_id = g.book_id limit 1) b on true
    left join lateral (
      select r.ctid, r.substep, r.progress, r.points, r.weight from bindery.book_progress r
      where r.book_id = g.book_id and r.stage = b.current_stage
        and r.substep = coalesce(g.substep, 'all') limit 1) p on true
  ), fresh as materialized (
    select j.*, j.substeps_total + row_number() over (partition by j.book_id order by j.ord)
      as place
    from judged j where j.verdict = 'accept' and not j.there
  ), updated as (
    update bindery.book_progress p
    set progress = greatest(p.progress, j.progress),
        points = j.points,
        done = case when j.progress >= p.progress then j.done else p.done end,
        total = case when j.progress >= p.progress then j.total else p.total end,
        unit = case when j.progress >= p.progress then j.unit else p.unit end,
        message = coalesce(j.message, p.message),
        checkpoint = coalesce(j.checkpoint, p.checkpoint),
        attempt = j.attempt,
        revision = case
          when j.progress > p.progress
            or (j.progress = p.progress
              and (j.done, j.total, j.unit) is distinct from (p.done, p.total, p.unit))
            or (j.message is not null and j.message is distinct from p.message)
          then j.revision + 1 else p.revision end,
        started_at = coalesce(p.started_at, moment),
        updated_at = moment
    from judged j
    where j.verdict = 'accept' and j.there and p.ctid = j.substep_row
    returning j.book_row, 0 as added, p.points - j.old_points as points, 0::bigint as weight,
      case when p.progress >= 100 and j.old_progress < 100 then 1 else 0 end as done,
      p.revision > j.revision as visible,
      case when with_substeps and p.revision > j.revision
        then bindery_internal.substep_json(p, j.declared) end as shown
  ), inserted as (
    insert into bindery.book_progress as p (book_id, stage, substep, progress, points, done, total,
      unit,
      message, checkpoint, attempt, revision, started_at, updated_at)
    select f.book_id, f.current_stage, f.substep, f.progress, f.points, f.done, f.total, f.unit,
      f.message, f.checkpoint, f.attempt, f.revision + 1, moment, moment
    from fresh f where f.place <= 10000
    returning (
      select b.ctid from bindery.book_status b where b.book_id = p.book_id) as book_row,
      1 as added, p.points, 1000000000::bigint as weight,
      case when p.progress >= 100 then 1 else 0 end as done, true as visible,
      case when with_substeps then bindery_internal.substep_json(p, null) end as shown
  ), sums as materialized (
    select c.book_row, sum(c.added)::integer as added, sum(c.points) as points,
      sum(c.weight) as weight, sum(c.done)::integer as done, bool_or(c.visible) as visible,
      jsonb_agg(c.shown) filter (where with_substeps and c.visible) as shown,
      count(*) as written
    from (select * from updated union all select * from inserted) c
    group by c.book_row
  ), books as (
    update bindery.book_status b
    set substeps_total = b.substeps_total + s.added,
        substeps_done = b.substeps_done + s.done,
        substeps_weight = b.substeps_weight + s.weight,
        substeps_points = b.substeps_points + s.points,
        revision = b.revision + case when s.visible then 1 else 0 end,
        updated_at = case when s.visible then moment else b.updated_at end,
        heartbeat_at = moment,
        (stage_progress, overall_progress, estimated_completion_at) = (
          select v.p[1], v.p[2],
            case when not s.visible then b.estimated_completion_at
              when t.median_seconds is not null then bindery_internal.estimate(
                moment, b.stage_started_at, v.p[1], b.attempt, t.median_seconds, t.later_seconds)
            end
          from (select bindery_core.progress_percentages(b.substeps_total + s.added,
              b.substeps_done + s.done, (b.substeps_points + s.points)::double precision,
              (b.substeps_weight + s.weight)::double precision, b.stage_base, b.stage_share)
            offset 0) as v(p)
          left join bindery_internal.stage_pace t on t.pipeline = b.pipeline
            and t.pipeline_version = b.pipeline_version and t.stage = b.current_stage)
    from sums s where b.ctid = s.book_row
    returning b.book_id, b.revision, s.visible, s.shown
  )
  select o.ords, o.verdicts, c.book_ids, c.revisions, c.shown,
    (select sum(s.written) from sums s),
    (select count(*) from judged j) - coalesce(cardinality(o.ords), 0)
  from (
    select array_agg(r.ord::integer order by r.ord) as ords,
      array_agg(r.verdict order by r.ord) as verdicts
    from (
      select j.ord, j.verdict from judged j where j.verdict <> 'accept'
      union all select f.ord, 'too_many_substeps' from fresh f where f.place > 10000) r) o,
    (
    select array_agg(v.book_id) as book_ids, array_agg(v.revision) as revisions,
      array_agg(coalesce(v.shown, '[]')) as shown
    from books v where v.visible) c
  into others, verdicts, changed, revisions, shown, written, accepted;
  -- If one call has two reports of one substep, the UPDATE would apply only one of them.
  if coalesce(written, 0) <> accepted then
    raise exception using errcode = '21000',
      message = 'Two of these reports are about the same substep of one book.',
      hint = 'Merge them, or put them into different segments.';
  end if;
  perform bindery_internal.end_writing(outer_writer);
end
$$;

-- Checks the form of a report (numbers, key, texts) and returns an error or null.
create or replace function bindery_internal.bad_report(
  substep text, progress double precision, done double precision, total double precision,
  unit text, message text, checkpoint jsonb, attempt integer
) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if (done is not null or total is not null) and not coalesce(total > 0 and total <= 1e15, false)
  then
    return bindery_internal.bad_input('total', 'is not above 0 and at most 1e15',
      'Give how many units there are.');
  elsif total is not null and not coalesce(done between 0 and total, false) then
    return bindery_internal.bad_input('done', 'is not between 0 and total',
      'Give 0 <= done <= total.');
  elsif not coalesce(progress between 0 and 100, false) then
    return bindery_internal.bad_input('progress', 'is not between 0 and 100',
      'Give a percentage.');
  elsif attempt < 1 then
    return bindery_internal.refused_attempt();
  elsif substep !~ '^[a-z][a-z0-9_]{0,62}$' then
    return bindery_internal.bad_input('substep',
      'is not in lower snake case of up to 63 characters', 'Name it such as extract_text.');
  end if;
  return coalesce(
    case when message is not null
      then bindery_internal.refused_text('message', message, 8192) end,
    case when unit is not null then bindery_internal.refused_text('unit', unit, 63) end,
    case when checkpoint is not null
      then bindery_internal.refused_json('checkpoint', checkpoint) end);
end
$$;

-- Checks the form of texts and JSON once a call instead of once a row; if it raises an error,
-- apply_events finds the faulty item one by one.
create or replace function bindery_internal.check_reports(
  units text[], messages text[], checkpoints text[]
) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform bindery_internal.raise_error(coalesce(
    case when units is not null then coalesce(
      bindery_internal.refused_text('unit', array_to_string(units, ''), 100000000),
      (select bindery_internal.refused_text('unit', u, 63) from unnest(units) as u
        where length(u) > 63 limit 1)) end,
    case when messages is not null then coalesce(
      bindery_internal.refused_text('message', array_to_string(messages, ''), 100000000),
      (select bindery_internal.refused_text('message', m, 8192) from unnest(messages) as m
        where length(m) > 8192 limit 1)) end,
    case when checkpoints is not null then (
      select bindery_internal.refused_json('checkpoint', c::jsonb) from unnest(checkpoints) as c
      where c is not null and bindery_internal.refused_json('checkpoint', c::jsonb) is not null
      limit 1) end));
end
$$;

-- The kernel's verdict, for all but the common case.
create or replace function bindery_internal.report_verdict(
  book_id uuid, stage text, substep text, attempt integer
) returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  book bindery.book_status;
  at_stage text;
begin
  select b.* into book from bindery.book_status b where b.book_id = report_verdict.book_id;
  if not found then
    return 'unknown_book';
  end if;
  at_stage := coalesce(report_verdict.stage, book.current_stage);
  return bindery_core.report_verdict(
    bindery_internal.book_machine(book),
    book.status, book.current_stage, book.attempt, report_verdict.stage,
    coalesce(report_verdict.substep, 'all'), report_verdict.attempt,
    exists (select from bindery.book_progress g
      where g.book_id = book.book_id and g.stage = at_stage
        and g.substep = coalesce(report_verdict.substep, 'all')),
    case when at_stage <> book.current_stage then (
      select v.attempt from bindery.stage_visits v
      where v.book_id = book.book_id and v.stage = at_stage) end);
end
$$;

comment on function bindery_internal.bad_report(text, double precision, double precision,
  double precision, text, text, jsonb, integer) is
  'The error PT422 bad_input for a report whose form is wrong; null where it is right.';
comment on function bindery_internal.apply_reports(uuid[], text[], text[], integer[],
  double precision[], double precision[], double precision[], text[], text[], text[], boolean,
  uuid[]) is
  'Applies reports, one an element; each substep of a book once, their books locked.
held: books of which an earlier event of the same stream waits; a report without a stage waits '
  'behind it. others, verdicts: the reports that were not accepted, by ordinal, and why. changed, '
  'revisions: the '
  'books that changed visibly. shown: their changed substeps (with_substeps), for a broadcast.';
comment on function bindery_internal.check_reports(text[], text[], text[]) is
  'Raises PT422 bad_input for units, messages or checkpoints that calls refuse.';
comment on function bindery_internal.report_verdict(uuid, text, text, integer) is
  'The verdict on a report: unknown_book, or one of bindery_core.report_verdict.';
