-- bindery.apply_events: JSON's null in an item is a field that is missing.
begin;
\ir ../helpers.psql
select plan(4);
select epoch from bindery.acquire_stream('nulls', 'test') \gset
select is(
  (select format('%s %s %s %s', a.applied, a.stale, a.early, a.rejected)
    from bindery.apply_events('nulls', :epoch, '1-0', jsonb_build_array(
      jsonb_build_object('type', 'register', 'book_id', tap.id(1), 'metadata', null),
      jsonb_build_object('type', 'transition', 'book_id', tap.id(1), 'to_status', 'ANALYZING'),
      jsonb_build_object('type', 'progress', 'book_id', tap.id(1), 'substep', 'extract_text',
        'progress', 40, 'checkpoint', null),
      jsonb_build_object('type', 'progress', 'book_id', tap.id(1), 'substep', 'detect_chapters',
        'progress', 40, 'checkpoint', '{"page": 3}'::jsonb),
      jsonb_build_object('type', 'progress', 'book_id', tap.id(1), 'substep', 'detect_chapters',
        'progress', 50, 'checkpoint', null),
      jsonb_build_object('type', 'fail', 'book_id', tap.id(1), 'error', null))) a),
  '6 0 0 0', 'Events with null metadata, checkpoint and error are applied.');
select is((tap.row(1)).error, '{"code": "failed"}', 'A fail with a null error has a code.');
select bindery.resume_book(tap.id(1));
select is((tap.substep(1, 'extract_text')).progress, 0::double precision,
  'A resume does not keep a substep for a null checkpoint.');
select is((tap.substep(1, 'detect_chapters')).checkpoint, '{"page": 3}',
  'A null checkpoint leaves the one before.');
select * from finish();
rollback;
