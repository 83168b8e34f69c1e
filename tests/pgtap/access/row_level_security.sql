-- Row-level security: who sees which rows, and who may write.
begin;
\ir ../helpers.psql
select plan(131);
-- Books of two owners, and one without an owner.
select bindery.register_book(tap.id(1), tap.id(900)), bindery.register_book(tap.id(2), tap.id(901)),
  bindery.register_book(tap.id(3));
select bindery.transition_book(tap.id(n), 'ANALYZING'),
  bindery.report_progress(tap.id(n), 'extract_text', 50) from generate_series(1, 3) n;
-- They have left UPLOADED, so each has a visit.
select tap.apply('{"type": "rejected", "reason": "bad_uuid", "id": "1-1"}',
  tap.event('heartbeat', 99));
create function pg_temp.as_user(n integer, query text) returns text language sql volatile as $$
  select tap.as_role('authenticated', query, tap.id(n)::text);
$$;
create temp table read_by_users as
select unnest(array['book_status', 'book_progress', 'book_events', 'stage_visits']) as t;
create temp table read_by_service as
select unnest(array['pipelines', 'outbox', 'relay_cursors', 'dead_letters', 'early_events',
  'settings']) as t;

-- Tables.
select is(pg_temp.as_user(900,
    'select string_agg(distinct book_id::text, '','') from bindery.' || t), tap.id(1)::text,
  format('An owner sees its own rows of %s and no others.', t)) from read_by_users;
select is(pg_temp.as_user(902, 'select count(*) from bindery.' || t), '0',
  format('A stranger sees no row of %s.', t)) from read_by_users;
select is(tap.as_role('authenticated', 'select count(*) from bindery.' || t), '0',
  format('A request without a token sees no row of %s, not even of a book without an owner.', t))
from read_by_users;
select is(tap.as_role('authenticated', 'select count(*) from bindery.book_status', sub), '0',
  format('A token with the sub %s sees no book.', quote_literal(sub)))
from unnest(array['', 'service_role', '00000000-0000-4000-8000-000000000900 ',
  '{00000000-0000-4000-8000-000000000900}', '00000000000040008000000000000900',
  ''' or true --']) sub;
select is(tap.as_role('authenticated', 'select count(*) from bindery.book_status',
    upper(tap.id(900)::text)), '1', 'The sub of a token may be in capitals.');
select is(pg_temp.as_user(900, 'select count(*) from bindery.' || t), '42501',
  format('A user may not read %s.', t)) from read_by_service;
select is(tap.as_role(role, 'select count(*) from bindery.' || t), '42501',
  format('%s may not read %s.', role, t))
from unnest(array['anon', 'bindery_relay']) role,
  (select t from read_by_users union all select t from read_by_service) r;
select isnt(tap.as_role('service_role', 'select count(*) from bindery.' || t), '0',
  format('The service sees the rows of %s.', t))
from (select t from read_by_users union all select t from read_by_service) r;
select is(tap.as_role('service_role', 'select count(*) from bindery.book_status'), '3',
  'The service sees all books.');
select is(tap.as_role(role, 'select count(*) from bindery_internal.' || c.relname), '42501',
  format('%s may not read %s.', role, c.relname))
from unnest(array['service_role', 'authenticated']) role, pg_class c
where c.relnamespace = 'bindery_internal'::regnamespace and c.relkind = 'r'
  and c.relname in ('relays', 'mutexes', 'registration_slots', 'stage_pace', 'waiting_books',
    'unannounced')
order by c.relname, role;

-- Functions that read.
select is(pg_temp.as_user(900, format('select bindery.get_book_status(%L) ->> ''status''',
    tap.id(1))), 'ANALYZING', 'An owner gets the status of its book.');
select is(pg_temp.as_user(900, format('select bindery.get_book_status(%L) #>> %L', tap.id(1),
    '{stages,0,progress}')), '12.5', 'An owner gets the stages of its book.');
select is(pg_temp.as_user(900, format('select bindery.get_book_status(%L) #>> %L', tap.id(1),
    '{substeps,0,label}')), 'Extract text', 'An owner gets the substeps of its book.');
select is(pg_temp.as_user(900, format('select bindery.get_book_changes(%L, 2) #>> %L', tap.id(1),
    '{substeps,0,substep}')), 'extract_text', 'An owner gets the changes of its book.');
select is(pg_temp.as_user(900, format('select string_agg(substep, '','')
    from bindery.list_substeps(%L)', tap.id(1))),
  'analyze_characters,detect_chapters,extract_text', 'An owner gets the list of substeps.');
select is(pg_temp.as_user(900, format('select bindery.get_resume_point(%L) ->> ''stage''',
    tap.id(1))), 'ANALYZING', 'An owner gets the resume point of its book.');
select is(pg_temp.as_user(900, format('select bindery.status_at(%L, %L) ->> ''status''',
    tap.id(1), 'infinity')), 'ANALYZING', 'An owner gets the history of its book.');
select is(pg_temp.as_user(900, 'select string_agg(book_id::text, '','') from bindery.list_books()'),
  tap.id(1)::text, 'An owner gets the list of its books.');
select is(pg_temp.as_user(901, format('select bindery.%s', format(call, tap.id(n)))),
  'PT404 unknown_book', format('%s of a book that %s is unknown.', split_part(call, '(', 1),
    case n when 1 then 'another user owns' else 'has no owner' end))
from unnest(array['get_book_status(%L)', 'get_resume_point(%L)', 'get_book_changes(%L, 0)',
  'list_substeps(%L)', 'status_at(%L, now())']) call, unnest(array[1, 3]) n;
select is(pg_temp.as_user(902, 'select count(*) from bindery.list_books()'), '0',
  'A stranger''s list of books is empty.');
select is(tap.as_role(role, format('select bindery.get_book_status(%L)', tap.id(1))), '42501',
  format('%s may not call get_book_status.', role))
from unnest(array['anon', 'bindery_relay']) role;
select is(tap.as_role('service_role', format('select bindery.get_book_status(%L) ->> ''status''',
    tap.id(3))), 'ANALYZING', 'The service gets the status of any book.');

-- Only the service writes.
create temp table before as select n, tap.snapshot(n) as s from generate_series(1, 3) n;
select is(pg_temp.as_user(900, call), '42501', format('An owner may not: %s.', left(call, 80)))
from unnest(array[
  'update bindery.book_status set title = ''mine'' where true',
  'insert into bindery.book_status (book_id) values (gen_random_uuid())',
  'delete from bindery.book_status where true', 'truncate bindery.book_status cascade',
  'insert into bindery.book_progress (book_id) values (null)',
  'update bindery.book_progress set progress = 100 where true',
  'delete from bindery.book_events where true',
  format('select bindery.transition_book(%L, ''COMPLETED'')', tap.id(1)),
  format('select bindery.begin_stage(%L, ''ANALYZING'')', tap.id(1)),
  format('select bindery.report_progress(%L, ''extract_text'', 100)', tap.id(1)),
  format('select bindery.fail_book(%L)', tap.id(1)),
  'select bindery.register_book(gen_random_uuid())',
  'select bindery.define_pipeline(''x'', ''{}'')', 'select bindery.acquire_stream(''s'', ''me'')',
  'select bindery.take_outbox()', 'select bindery.sweep()',
  format('select bindery_internal.do_transition(%L, ''COMPLETED'')', tap.id(1)),
  'select bindery_internal.reject(''s'', ''[{}]'')',
  'select bindery_internal.defer(''s'', ''[{}]'')',
  format('select bindery_internal.settle_early(%L)', tap.id(1)),
  'select bindery_internal.take_mutex(''sweep'', 1)',
  'select 1 from bindery_internal.mutexes for update']) call;
select is(tap.as_role('bindery_relay', call), '42501',
  format('The relay may not: %s.', left(call, 80)))
from unnest(array[format('select bindery.transition_book(%L, ''COMPLETED'')', tap.id(1)),
  format('select bindery_internal.do_transition(%L, ''COMPLETED'')', tap.id(1)),
  'select bindery_internal.reject(''s'', ''[{}]'')',
  'select bindery_internal.take_mutex(''sweep'', 1)']) call;
select is((select array_agg(n) from before where tap.snapshot(n) <> s), null,
  'The books are as they were.');

-- The relay relays.
select is(tap.as_role('bindery_relay', 'select epoch from bindery.acquire_stream(''r'', ''me'')'),
  '1', 'The relay acquires a stream.');
select is(tap.as_role('bindery_relay', format('select applied from bindery.apply_events(''r'', 1,
    ''1-0'', book_ids => %L, substeps => ''{extract_text}'', progress => ''{60}'')',
    array[tap.id(1)])), '1', 'The relay applies events.');
select is(tap.as_role('bindery_relay', 'select bindery.apply_events(''r'', 1, ''1-0'')'),
  'PT409 position_passed', 'The relay gets its errors.');
select isnt(tap.as_role('bindery_relay', 'select count(*) from bindery.take_outbox()'), '0',
  'The relay takes the outbox.');
select is(tap.as_role('bindery_relay', 'select bindery.renew_stream(''r'', 1) is not null'),
  'true', 'The relay renews its lease.');
select is(tap.as_role('bindery_relay', 'select bindery.sweep() ->> ''ran'''), 'true',
  'The relay sweeps.');
select is(tap.as_role('bindery_relay', 'select bindery.release_stream(''r'', 1)'), null,
  'The relay releases its stream.');

-- The service's plain writes.
select is(tap.as_role('service_role', format('update bindery.book_status set status = %L
    where book_id = %L returning status', 'COMPLETED', tap.id(1))), 'PT409 illegal_transition',
  'A plain UPDATE by the service is refused what a call is refused.');
select is(tap.as_role('service_role', format('update bindery.book_status set title = ''T''
    where book_id = %L returning revision', tap.id(1))), '5',
  'A plain UPDATE by the service is a revision.');
select is(tap.as_role('service_role', format('update bindery.book_status set %s
    where book_id = %L', change, tap.id(1))), '42501',
  format('The service may not set %s.', change))
from unnest(array['overall_progress = 100', 'revision = 99', 'attempt = 2',
  'substeps_done = 3']) change;
select is(tap.as_role('service_role', format('insert into bindery.book_status (book_id)
    values (%L) returning status', tap.id(50))), 'UPLOADED',
  'A plain INSERT by the service registers a book.');

select * from finish();
rollback;
