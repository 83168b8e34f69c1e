begin;
\ir helpers.psql
select plan(90);
-- Books of two owners, and one of nobody.
select bindery.register_book(tap.id(1), tap.id(900)), bindery.register_book(tap.id(2), tap.id(901)), bindery.register_book(tap.id(3));
select bindery.transition_book(tap.id(n), 'ANALYZING'), bindery.report_progress(tap.id(n), 'extract_text', 50) from generate_series(1, 3) n;
select tap.apply('{"type": "dead", "reason": "bad_uuid", "id": "1-1"}');
create function tap.as_user(n integer, query text) returns text language sql volatile as $$ select tap.as_role('authenticated', query, tap.id(n)::text) $$;

-- Tables.
select is(tap.as_user(900, 'select string_agg(distinct book_id::text, '','') from bindery.' || t), tap.id(1)::text, format('an owner sees its own rows of %s and no others', t)) from unnest(array['book_status', 'book_progress', 'book_events']) t;
select is(tap.as_user(902, 'select count(*) from bindery.' || t), '0', format('a stranger sees none of %s', t)) from unnest(array['book_status', 'book_progress', 'book_events']) t;
select is(tap.as_role('authenticated', 'select count(*) from bindery.' || t), '0', format('a request without a token sees none of %s, not even those of nobody', t)) from unnest(array['book_status', 'book_progress', 'book_events']) t;
select is(tap.as_role('authenticated', 'select count(*) from bindery.book_status', sub), '0', format('the sub %s sees nothing', quote_literal(sub)))
from unnest(array['', 'service_role', '00000000-0000-4000-8000-000000000900 ', '{00000000-0000-4000-8000-000000000900}', ''' or true --']) sub;
select is(tap.as_user(900, 'select count(*) from bindery.' || t), '42501', format('a user may not look into %s', t)) from unnest(array['pipelines', 'outbox', 'relay_cursors', 'dead_letters', 'settings']) t;
select is(tap.as_role(role, 'select count(*) from bindery.' || t), '42501', format('%s may not look into %s', role, t))
from unnest(array['anon', 'bindery_relay']) role, unnest(array['book_status', 'book_progress', 'book_events', 'pipelines', 'outbox', 'relay_cursors', 'dead_letters', 'settings']) t;
select isnt(tap.as_role('service_role', 'select count(*) from bindery.' || t), '0', format('the service sees %s', t)) from unnest(array['book_status', 'book_progress', 'book_events', 'pipelines', 'outbox', 'relay_cursors', 'dead_letters', 'settings']) t;
select is(tap.as_role('service_role', 'select count(*) from bindery.book_status'), '3', 'all of the books');
select is((select count(*)::int from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname like 'bindery%' and relkind in ('r', 'p') and not relrowsecurity), 0, 'row-level security is on for every table');

-- Functions that read.
select is(tap.as_user(900, format('select bindery.get_book_status(%L) ->> ''status''', tap.id(1))), 'ANALYZING', 'an owner asks for its book''s status');
select is(tap.as_user(900, format('select bindery.get_book_status(%L) #>> ''{stages,0,progress}''', tap.id(1))), '12.5', 'and gets its stages');
select is(tap.as_user(900, format('select bindery.get_resume_point(%L) ->> ''stage''', tap.id(1))), 'ANALYZING', 'and its resume point');
select is(tap.as_user(900, 'select string_agg(book_id::text, '','') from bindery.list_books()'), tap.id(1)::text, 'and the list of its books');
select is(tap.as_user(901, format('select bindery.%s(%L)', f, tap.id(n))), 'PT404 unknown_book', format('%s of another''s book, or of nobody''s, is unknown', f))
from unnest(array['get_book_status', 'get_resume_point']) f, unnest(array[1, 3]) n;
select is(tap.as_user(902, 'select count(*) from bindery.list_books()'), '0', 'a stranger''s list is empty');
select is(tap.as_role(role, format('select bindery.get_book_status(%L)', tap.id(1))), '42501', format('%s may not ask', role)) from unnest(array['anon', 'bindery_relay']) role;
select is(tap.as_role('service_role', format('select bindery.get_book_status(%L) ->> ''status''', tap.id(3))), 'ANALYZING', 'the service may ask for any');

-- Nobody but the service writes.
create temp table before as select n, tap.snapshot(n) as s from generate_series(1, 3) n;
select is(tap.as_user(900, call), '42501', format('an owner may not: %s', left(call, 80)))
from unnest(array[
  'update bindery.book_status set title = ''mine''', 'insert into bindery.book_status (book_id) values (gen_random_uuid())', 'delete from bindery.book_status', 'truncate bindery.book_status cascade',
  'insert into bindery.book_progress (book_id) values (null)', 'update bindery.book_progress set progress = 100', 'delete from bindery.book_events',
  format('select bindery.transition_book(%L, ''COMPLETED'')', tap.id(1)), format('select bindery.report_progress(%L, ''extract_text'', 100)', tap.id(1)), format('select bindery.fail_book(%L)', tap.id(1)),
  'select bindery.register_book(gen_random_uuid())', 'select bindery.define_pipeline(''x'', ''{}'')', 'select bindery.acquire_stream(''s'', ''me'')', 'select bindery.take_outbox()',
  format('select bindery_internal.do_transition(%L, ''COMPLETED'')', tap.id(1)), format('select bindery_internal.apply_reports(''[]'')'), 'select bindery_internal.bury(''s'', ''[{}]'')']) call;
select is(tap.as_role('bindery_relay', call), '42501', format('the relay may not: %s', left(call, 80)))
from unnest(array[format('select bindery.transition_book(%L, ''COMPLETED'')', tap.id(1)), format('select bindery_internal.do_transition(%L, ''COMPLETED'')', tap.id(1)), 'select bindery_internal.bury(''s'', ''[{}]'')']) call;
select is((select array_agg(n) from before where tap.snapshot(n) <> s), null, 'the books are as they were');

-- The relay relays.
select is(tap.as_role('bindery_relay', 'select epoch from bindery.acquire_stream(''r'', ''me'')'), '1', 'the relay acquires a stream');
select is(tap.as_role('bindery_relay', format('select applied from bindery.apply_events(''r'', 1, ''1-0'', %L)', jsonb_build_array(tap.event('progress', 1, '{"substep": "extract_text", "progress": 60}')))), '1', 'applies events');
select is(tap.as_role('bindery_relay', 'select bindery.apply_events(''r'', 1, ''1-0'', ''[]'')'), 'PT409 position_passed', 'gets its errors');
select isnt(tap.as_role('bindery_relay', 'select count(*) from bindery.take_outbox()'), '0', 'takes the outbox');
select is(tap.as_role('bindery_relay', 'select bindery.renew_stream(''r'', 1) is not null'), 'true', 'renews');
select is(tap.as_role('bindery_relay', 'select bindery.release_stream(''r'', 1)'), null, 'and releases');

-- The service's plain writes pass the rules.
select is(tap.as_role('service_role', format('update bindery.book_status set status = ''COMPLETED'' where book_id = %L returning status', tap.id(1))), 'PT409 illegal_transition', 'the service''s plain UPDATE passes the rules');
select is(tap.as_role('service_role', format('update bindery.book_status set title = ''T'' where book_id = %L returning revision', tap.id(1))), '5', 'and counts');
select is(tap.as_role('service_role', format('update bindery.book_status set %s where book_id = %L', c, tap.id(1))), '42501', format('the service may not set: %s', c)) from unnest(array['overall_progress = 100', 'revision = 99', 'attempt = 2']) c;
select is(tap.as_role('service_role', format('insert into bindery.book_status (book_id) values (%L) returning status', tap.id(50))), 'UPLOADED', 'the service''s plain INSERT registers');

select * from finish();
rollback;
