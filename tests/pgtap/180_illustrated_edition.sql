-- The shipped pipeline illustrated_edition: every way through it, its rework, and its guards when they refuse.
begin;
\ir helpers.psql
select plan(53);

-- Goes on to a state, with all work of the current one done first; from a state without work that is just the transition.
create function tap.on_to(n integer, target text) returns text language plpgsql as $$
declare
  book bindery.book_status := tap.row(n);
begin
  if book.status in ('SKETCHING', 'PAINTING') and book.substeps = '[]' then
    perform bindery.plan_substeps(tap.id(n), book.status, '[{"name": "plate_1"}, {"name": "plate_2", "weight": 3}]');
  end if;
  perform bindery.report_progress(tap.id(n), s ->> 'name', 100) from jsonb_array_elements((tap.row(n)).substeps) s;
  return tap.outcome(format('select bindery.transition_book(%L, %L)', tap.id(n), target));
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
  return (select string_agg(e.to_status, ' ' order by e.revision) from bindery.book_events e where e.book_id = tap.id(n));
end
$$;
create function tap.try(n integer, target text) returns text language sql volatile as $$
  select tap.outcome(format('select bindery.transition_book(%L, %L)', tap.id(n), target));
$$;

-- All ways.
create temp table ways (n integer, path text[]);
insert into ways
select row_number() over (), array['READING', 'SKETCHING', 'PAINTING', 'ART_REVIEW'] || again || ending
from unnest(array['', 'PAINTING ART_REVIEW', 'SKETCHING PAINTING ART_REVIEW', 'EDITOR_CHECK PAINTING ART_REVIEW', 'EDITOR_CHECK SKETCHING PAINTING ART_REVIEW']) a(again_text)
cross join lateral (select array_remove(string_to_array(again_text, ' '), '')) b(again)
cross join (values (array['LETTERING', 'LAYOUT', 'PUBLISHED']), (array['LAYOUT', 'PUBLISHED']), (array['EDITOR_CHECK', 'LETTERING', 'LAYOUT', 'PUBLISHED']), (array['EDITOR_CHECK', 'LAYOUT', 'PUBLISHED'])) e(ending);
select is(tap.walk(n, path), 'RECEIVED ' || array_to_string(path, ' '), array_to_string(path, ' -> ')) from ways;
select is((select array_agg(distinct b.overall_progress) from bindery.book_status b where b.pipeline = 'illustrated_edition'), '{100}', 'every way ends at 100 percent');
select is((select count(*)::int from bindery.book_status b where b.pipeline = 'illustrated_edition' and b.completed_at is not null and b.status = 'PUBLISHED'), 20, 'and in PUBLISHED');

-- Guards that refuse.
select tap.walk(100, '{READING,SKETCHING}');
select is(tap.try(100, 'PAINTING'), 'PT409 illegal_transition', 'without a single sketch there is nothing to paint');
select is(tap.error(format('select bindery.transition_book(%L, %L)', tap.id(100), 'PAINTING')) ->> 'message',
  'The guard substeps_complete of SKETCHING -> PAINTING does not hold: not every substep of SKETCHING is done.', 'the refusal says why');
select bindery.plan_substeps(tap.id(100), 'SKETCHING', '[{"name": "plate_1"}, {"name": "plate_2"}]');
select bindery.report_progress(tap.id(100), 'plate_1', 100);
select is(tap.try(100, 'PAINTING'), 'PT409 illegal_transition', 'nor while a planned sketch is missing');
select bindery.report_progress(tap.id(100), 'plate_2', 99.99);
select is(tap.try(100, 'PAINTING'), 'PT409 illegal_transition', 'or all but done');
select bindery.report_progress(tap.id(100), 'plate_2', 100);
select is(tap.try(100, 'PAINTING'), 'ok', 'then painting begins');
select is(tap.on_to(100, 'ART_REVIEW'), 'ok', 'and the review comes');

-- Rework starts over.
select is((tap.row(100)).overall_progress, 70::float8, 'the review starts at 70 percent');
select is(tap.try(100, 'SKETCHING'), 'ok', 'a review that found fault sends the sketches back');
select is(row((tap.row(100)).overall_progress, (tap.row(100)).stage_progress, (tap.row(100)).attempt), row(10::float8, 0::float8, 2), 'the percentage goes back with them, and the attempts count on');
select is((select string_agg(s ->> 'name' || ' ' || (s ->> 'state'), ', ') from jsonb_array_elements((tap.row(100)).substeps) s), 'plate_1 pending, plate_2 pending', 'the plan stays, its work is to be done again');
select is(tap.try(100, 'PAINTING'), 'PT409 illegal_transition', 'so the guard asks again');
select is(tap.on_to(100, 'PAINTING'), 'ok', 'and is answered');
select is(tap.try(100, 'SKETCHING'), 'PT409 illegal_transition', 'painting itself sends nothing back');
select is(tap.on_to(100, 'ART_REVIEW'), 'ok', 'it goes to the review');

-- The software's review passes a book only while it has an attempt left; after that a person decides.
select bindery.fail_book(tap.id(100), '{"code": "model_unavailable"}');
select is(tap.try(100, 'LETTERING'), 'PT409 illegal_transition', 'a review that failed passes nothing');
select bindery.resume_book(tap.id(100));
select is((tap.row(100)).attempt, 3, 'on its last attempt, two visits and a failure taken together');
select is(tap.try(100, 'LETTERING'), 'PT409 illegal_transition', 'it no longer passes a book to lettering');
select is(tap.try(100, 'LAYOUT'), 'PT409 illegal_transition', 'nor past it');
select is(tap.error(format('select bindery.transition_book(%L, %L)', tap.id(100), 'LAYOUT')) ->> 'message',
  'The guard attempts_left of ART_REVIEW -> LAYOUT does not hold: ART_REVIEW has no attempts left.', 'and says why');
select is(tap.try(100, 'PUBLISHED'), 'PT409 illegal_transition', 'there is no short cut');
select is(tap.try(100, 'EDITOR_CHECK'), 'ok', 'the editor takes over');
select is((tap.row(100)).overall_progress, 75::float8, 'at 75 percent');
select is(tap.try(100, 'LETTERING'), 'ok', 'and passes it');
select is(tap.try(100, 'LAYOUT'), 'PT409 illegal_transition', 'lettering has to be done');
select is(tap.on_to(100, 'LAYOUT'), 'ok', 'once it is, the pages are laid out');
select is(tap.try(100, 'PUBLISHED'), 'ok', 'and the book is published');
select is(tap.try(100, 'SKETCHING'), 'PT409 illegal_transition', 'what is published is not sent back');

-- Sent back twice, a book comes to the review for the last time; the editor decides then.
select is(tap.walk(101, '{READING,SKETCHING,PAINTING,ART_REVIEW,PAINTING,ART_REVIEW,SKETCHING,PAINTING,ART_REVIEW,LAYOUT}'), 'LAYOUT: PT409 illegal_transition', 'a review passes nothing that it sent back twice');
select is(tap.walk(102, '{READING,SKETCHING,PAINTING,ART_REVIEW,PAINTING,ART_REVIEW,SKETCHING,PAINTING,ART_REVIEW,EDITOR_CHECK,LAYOUT,PUBLISHED}'),
  'RECEIVED READING SKETCHING PAINTING ART_REVIEW PAINTING ART_REVIEW SKETCHING PAINTING ART_REVIEW EDITOR_CHECK LAYOUT PUBLISHED', 'the editor does');

-- A failure waits, and longer each time.
select tap.clock('2030-01-01 12:00+00');
select tap.walk(103, '{READING}');
select bindery.fail_book(tap.id(103));
select is((tap.row(103)).resume_at, '2030-01-01 12:00:30+00', 'reading is tried again after half a minute');
select bindery.resume_book(tap.id(103)), bindery.fail_book(tap.id(103));
select is((tap.row(103)).resume_at, '2030-01-01 12:01+00', 'then after a whole one');

select * from finish();
rollback;
