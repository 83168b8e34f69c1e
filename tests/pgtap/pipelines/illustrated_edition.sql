-- The shipped pipeline illustrated_edition: every way through it, its rework, and its guards when
-- they refuse.
begin;
\ir ../helpers.psql
select plan(54);

-- Makes a transition after all work of the current state is done.
create function tap.on_to(n integer, target text) returns text language plpgsql as $$
declare
  book bindery.book_status := tap.row(n);
begin
  if book.status in ('SKETCHING', 'PAINTING') and book.substeps_total = 0 then
    perform bindery.plan_substeps(tap.id(n), book.status,
      '[{"substep": "plate_1"}, {"substep": "plate_2", "weight": 3}]');
  end if;
  perform bindery.report_progress(tap.id(n), s ->> 'substep', 100)
  from jsonb_array_elements(tap.substeps(n)) s;
  return tap.call('transition_book', n, quote_literal(target));
end
$$;
create function tap.walk(n integer, path text[]) returns text language plpgsql as $$
declare
  step text;
  outcome text;
begin
  perform tap.book(n, '{}', 'illustrated_edition');
  foreach step in array path loop
    outcome := tap.on_to(n, step);
    if outcome <> 'ok' then
      return format('%s: %s', step, outcome);
    end if;
  end loop;
  return (
    select string_agg(e.to_status, ' ' order by e.revision)
    from bindery.book_events e where e.book_id = tap.id(n));
end
$$;
create function tap.try(n integer, target text) returns text language sql volatile as $$
  select tap.call('transition_book', n, quote_literal(target));
$$;

-- Every way.
create temp table ways (n integer, path text[]);
insert into ways
select row_number() over (),
  array['READING', 'SKETCHING', 'PAINTING', 'ART_REVIEW'] || b.again || e.ending
from unnest(array['', 'PAINTING ART_REVIEW', 'SKETCHING PAINTING ART_REVIEW',
  'EDITOR_CHECK PAINTING ART_REVIEW', 'EDITOR_CHECK SKETCHING PAINTING ART_REVIEW']) a(again_text)
cross join lateral (select array_remove(string_to_array(again_text, ' '), '')) b(again)
cross join (values (array['LETTERING', 'LAYOUT', 'PUBLISHED']), (array['LAYOUT', 'PUBLISHED']),
  (array['EDITOR_CHECK', 'LETTERING', 'LAYOUT', 'PUBLISHED']),
  (array['EDITOR_CHECK', 'LAYOUT', 'PUBLISHED'])) e(ending);
select is(
  tap.walk(n, path), 'RECEIVED ' || array_to_string(path, ' '),
  format('A book may go %s.', array_to_string(path, ' -> ')))
from ways;
select is(
  (select array_agg(distinct b.overall_progress) from bindery.book_status b
    where b.pipeline = 'illustrated_edition'),
  '{100}', 'Every way ends at 100 percent.');
select is(
  (select count(*)::integer from bindery.book_status b
    where b.pipeline = 'illustrated_edition' and b.completed_at is not null
      and b.status = 'PUBLISHED'),
  20, 'Every way ends in PUBLISHED.');

-- Guards that refuse.
select tap.walk(100, '{READING,SKETCHING}');
select is(
  tap.try(100, 'PAINTING'), 'PT409 illegal_transition', 'Without any sketch PAINTING is refused.');
select is(
  tap.refusal('transition_book', 100, '''PAINTING''') ->> 'message',
  'The guard substeps_complete of SKETCHING -> PAINTING does not hold: not every substep of '
  'SKETCHING is done.',
  'The message of the refused transition has the guard and the reason.');
select bindery.plan_substeps(tap.id(100), 'SKETCHING',
  '[{"substep": "plate_1"}, {"substep": "plate_2"}]');
select bindery.report_progress(tap.id(100), 'plate_1', 100);
select is(
  tap.try(100, 'PAINTING'), 'PT409 illegal_transition',
  'While a planned sketch is pending PAINTING is refused.');
select bindery.report_progress(tap.id(100), 'plate_2', 99.99);
select is(
  tap.try(100, 'PAINTING'), 'PT409 illegal_transition',
  'While a sketch is at 99.99 percent PAINTING is refused.');
select bindery.report_progress(tap.id(100), 'plate_2', 100);
select is(tap.try(100, 'PAINTING'), 'ok', 'Once all sketches are done PAINTING begins.');
select is(tap.on_to(100, 'ART_REVIEW'), 'ok', 'Once all plates are painted ART_REVIEW begins.');

-- Rework starts over.
select is(
  (tap.row(100)).overall_progress, 70::double precision, 'ART_REVIEW begins at 70 percent.');
select is(tap.try(100, 'SKETCHING'), 'ok', 'ART_REVIEW may send a book back to SKETCHING.');
select is(
  tap.percents(100), '0 10', 'A book that is sent back is where its stage begins.');
select is((tap.row(100)).attempt, 2, 'A book that is sent back is in its next attempt.');
select is(
  tap.listed(100), 'plate_1 pending 0, plate_2 pending 0',
  'A book that is sent back has its planned substeps, all pending.');
select is(
  tap.try(100, 'PAINTING'), 'PT409 illegal_transition',
  'A book that was sent back has to sketch again before PAINTING.');
select is(tap.on_to(100, 'PAINTING'), 'ok', 'Once all is sketched again PAINTING begins.');
select is(
  tap.try(100, 'SKETCHING'), 'PT409 illegal_transition', 'PAINTING sends no book back.');
select is(tap.on_to(100, 'ART_REVIEW'), 'ok', 'A repainted book goes to ART_REVIEW.');

-- attempts_left: the review passes a book only while it has an attempt left.
select bindery.fail_book(tap.id(100), '{"code": "model_unavailable"}');
select is(
  tap.try(100, 'LETTERING'), 'PT409 illegal_transition', 'A review that FAILED passes no book.');
select bindery.resume_book(tap.id(100));
select is((tap.row(100)).attempt, 3, 'Visits and failures of ART_REVIEW are counted together.');
select is(
  tap.try(100, 'LETTERING'), 'PT409 illegal_transition',
  'The last attempt of ART_REVIEW passes no book to LETTERING.');
select is(
  tap.try(100, 'LAYOUT'), 'PT409 illegal_transition',
  'The last attempt of ART_REVIEW passes no book to LAYOUT.');
select is(
  tap.refusal('transition_book', 100, '''LAYOUT''') ->> 'message',
  'The guard attempts_left of ART_REVIEW -> LAYOUT does not hold: ART_REVIEW has no attempts left.',
  'The message of the refused transition has the guard attempts_left and the reason.');
select is(
  tap.try(100, 'PUBLISHED'), 'PT409 illegal_transition', 'No edge leads from review to PUBLISHED.');
select is(
  tap.try(100, 'EDITOR_CHECK'), 'ok',
  'The last attempt of ART_REVIEW passes the book to the editor.');
select is(
  (tap.row(100)).overall_progress, 75::double precision, 'EDITOR_CHECK begins at 75 percent.');
select is(tap.try(100, 'LETTERING'), 'ok', 'The editor passes the book to LETTERING.');
select is(
  tap.try(100, 'LAYOUT'), 'PT409 illegal_transition',
  'Before LETTERING is done LAYOUT is refused.');
select is(tap.on_to(100, 'LAYOUT'), 'ok', 'Once LETTERING is done LAYOUT begins.');
select is(tap.try(100, 'PUBLISHED'), 'ok', 'After LAYOUT the book is PUBLISHED.');
select is(
  tap.try(100, 'SKETCHING'), 'PT409 illegal_transition', 'A PUBLISHED book is not sent back.');
select is(
  tap.walk(101, '{READING,SKETCHING,PAINTING,ART_REVIEW,PAINTING,ART_REVIEW,SKETCHING,PAINTING,'
    'ART_REVIEW,LAYOUT}'),
  'LAYOUT: PT409 illegal_transition', 'A review passes no book that it sent back twice.');
select is(
  tap.walk(102, '{READING,SKETCHING,PAINTING,ART_REVIEW,PAINTING,ART_REVIEW,SKETCHING,PAINTING,'
    'ART_REVIEW,EDITOR_CHECK,LAYOUT,PUBLISHED}'),
  'RECEIVED READING SKETCHING PAINTING ART_REVIEW PAINTING ART_REVIEW SKETCHING PAINTING '
  'ART_REVIEW EDITOR_CHECK LAYOUT PUBLISHED',
  'The editor passes a book that the review sent back twice.');

-- Retries.
select tap.clock('2030-01-01 12:00+00');
select tap.walk(103, '{READING}');
select bindery.fail_book(tap.id(103));
select is(
  (tap.row(103)).resume_at, '2030-01-01 12:00:30+00',
  'The first failure of READING is retried after 30 seconds.');
select bindery.resume_book(tap.id(103)), bindery.fail_book(tap.id(103));
select is(
  (tap.row(103)).resume_at, '2030-01-01 12:01+00',
  'The second failure of READING is retried after a minute.');

select * from finish();
rollback;
