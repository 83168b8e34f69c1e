-- A few books for local development, one in every kind of status. `supabase db reset` runs it after
-- the migrations; twice does no harm. They belong to the user 11111111-1111-4111-8111-111111111111:
-- sign that user up, or change the owner to one of yours.
set bindery.actor = 'seed';

do $$
declare
  owner constant uuid := '11111111-1111-4111-8111-111111111111';
  -- The book of each number: 5eed0000-0000-4000-8000-00000000000N.
  ids uuid[] := array(
    select format('5eed0000-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid
    from generate_series(1, 6) n order by n);
  titles constant text[] := array['Anna Karenina', 'Moby Dick', 'The Hobbit', 'Ulysses',
    'The Odyssey', 'Middlemarch'];
  step text;
begin
  if exists (select from bindery.book_status b where b.book_id = any (ids)) then
    return;
  end if;
  for n in 1..6 loop
    perform bindery.register_book(ids[n], owner_id => owner, title => titles[n],
      metadata => jsonb_build_object('seed', n));
  end loop;

  -- 1 waits. 2 is being read.
  perform bindery.transition_book(ids[2], 'ANALYZING');
  perform bindery.report_progress(ids[2], 'extract_text', done => 210, total => 635, unit => 'page',
    message => 'Page 210', checkpoint => '{"page": 210}');

  -- 3 is being drawn, chapter by chapter.
  foreach step in array array['ANALYZING', 'GENERATING_SCENES', 'CREATING_ARTWORK'] loop
    perform bindery.transition_book(ids[3], step);
  end loop;
  perform bindery.plan_substeps(ids[3], 'CREATING_ARTWORK',
    '[{"substep": "chapter_1", "weight": 12}, {"substep": "chapter_2", "weight": 30}]');
  perform bindery.report_progress(ids[3], 'chapter_1', 100);
  perform bindery.report_progress(ids[3], 'chapter_2', done => 9, total => 30, unit => 'panel',
    message => 'Panel 9 of 30');

  -- 4 has failed and waits for a person; 5 was cancelled; 6 is complete.
  perform bindery.transition_book(ids[4], 'ANALYZING');
  perform bindery.report_progress(ids[4], 'detect_chapters', 100);
  perform bindery.fail_book(ids[4], '{"code": "out_of_memory", "retry": false}',
    'The text is too long for the model.');
  perform bindery.transition_book(ids[5], 'ANALYZING');
  perform bindery.cancel_book(ids[5], 'The author has changed her mind.');
  foreach step in array
    array['ANALYZING', 'GENERATING_SCENES', 'CREATING_ARTWORK', 'COMPLETED'] loop
    perform bindery.transition_book(ids[6], step);
  end loop;
end
$$;

reset bindery.actor;
