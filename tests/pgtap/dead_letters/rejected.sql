-- Every event that can never apply becomes a dead letter with its reason, and harms no other.
begin;
\ir ../helpers.psql
select tap.book(1, '{ANALYZING}');
create temp table cases (n serial, item jsonb, reason text);
insert into cases (item, reason) values
  (tap.event('progress', 1, '{"progress": 1, "stage": "NOPE"}'), 'unknown_stage'),
  (tap.event('progress', 1, '{"progress": 1, "substep": "nope"}'), 'unknown_substep'),
  (tap.event('progress', 1, '{"progress": 101, "substep": "extract_text"}'), 'bad_input'),
  (tap.event('progress', 1, '{"progress": 1}'), 'unknown_substep'),
  (tap.event('transition', 1, '{"to_status": "NOPE"}'), 'illegal_transition'),
  (tap.event('transition', 1), 'bad_input'),
  (tap.event('begin', 1, '{"to_status": "COMPLETED"}'), 'illegal_transition'),
  (tap.event('begin', 1, '{"to_status": "NOPE"}'), 'illegal_transition'),
  (tap.event('begin', 1), 'bad_input'),
  (tap.event('begin', 98, '{"to_status": "ANALYZING", "pipeline": "nope"}'), 'unknown_pipeline'),
  (tap.event('fail', 1, '{"error": "boom"}'), 'bad_input'),
  (tap.event('fail', 1, '{"stage": "NOPE"}'), 'unknown_stage'),
  (tap.event('heartbeat', 1, '{"stage": "NOPE"}'), 'unknown_stage'),
  (tap.event('register', 1, '{"pipeline": "nope"}'), 'unknown_pipeline'),
  (tap.event('register', 1, jsonb_build_object('owner_id', tap.id(900))),
    'conflicting_registration'),
  (tap.event('register', 98, '{"metadata": []}'), 'bad_input'),
  (tap.event('plan', 1, '{"stage": "NOPE", "substeps": [{"substep": "a"}]}'), 'unknown_stage'),
  (tap.event('plan', 1, '{"stage": "ANALYZING",
    "substeps": [{"substep": "a"}, {"substep": "a"}]}'), 'bad_input'),
  (tap.event('dance', 1), 'bad_input');
select plan((select 3 * count(*) from cases)::integer + 8);

create temp table before as select tap.snapshot(1) as s;
select is(tap.apply(item || '{"count": 3}'), '0/0/0/3',
  format('The event %s is rejected.', item - array['id', 'count', 'book_id']))
from cases order by n;
create temp table letters as
select row_number() over (order by id) as n, d.* from bindery.dead_letters d;
select is(row(l.reason, l.event_id, l.count, l.book_id),
  row(c.reason, c.item ->> 'id', 3::bigint, (c.item ->> 'book_id')::uuid),
  format('The dead letter of %s has the reason %s, the id, the count and the book.',
    c.item - array['id', 'count', 'book_id'], c.reason))
from cases c join letters l using (n) order by n;
select ok(l.message like '%.' and l.payload = c.item || '{"count": 3}' and not l.truncated,
  format('A dead letter has the event and a message: %s.', l.message))
from cases c join letters l using (n) order by n;
select is(tap.snapshot(1), s, 'Rejected events leave the book as it was.') from before;
select is((select count(*)::int from bindery.book_status where book_id = tap.id(98)), 0,
  'A rejected event makes no book.');
select is(tap.waiting(), 'none', 'A rejected event is not kept as early.');

-- The good events around the bad ones take effect.
select is((select tap.apply(variadic array_agg(c.item || '{"segment": 0}' order by n)
      || tap.event('progress', 1, '{"segment": 0, "substep": "extract_text", "progress": 40}')
      || tap.event('progress', 1, '{"segment": 0, "substep": "detect_chapters", "progress": 40}'))
    from cases c), format('2/0/0/%s', (select count(*) from cases)),
  'Two good reports among rejected items of one segment are applied.');
select is((select tap.batch(variadic array_agg(c.item || '{"segment": 0}' order by n)
      || tap.event('progress', 1, '{"segment": 0, "substep": "analyze_characters",
        "progress": 40}'))
    from cases c), format('1/0/0/%s', (select count(*) from cases)),
  'A good report among rejected ones in arrays is applied.');
select is((tap.row(1)).stage_progress, 40::float8, 'The good reports take effect.');
select is((select count(*)::int from bindery.dead_letters where stream = 'tap'),
  (select 3 * count(*)::int from cases), 'Each rejected item is a dead letter.');
select is((select row(rejected, applied) from bindery.relay_cursors where stream = 'tap'),
  (select row(5 * count(*), 3::bigint) from cases), 'relay_cursors counts the rejected events.');

select * from finish();
rollback;
