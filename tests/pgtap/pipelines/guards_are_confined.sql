-- A guard runs as bindery_guard, a role without rights, and leaves nothing behind.
begin;
\ir ../helpers.psql
\ir guards.psql
select plan(20);

-- The role.
select tap.guarded(1, 'shop.who');
select is(
  tap.goes(1), 'ok', 'A guard runs as the role bindery_guard, whichever role requests the change.');
select is_empty(
  $$select rolname from pg_roles where rolname = 'bindery_guard' and (rolsuper or rolbypassrls
    or rolcreaterole or rolcreatedb or rolreplication or rolcanlogin)$$,
  'The role bindery_guard has no attribute of power and cannot log in.');
select is_empty(
  $$select m.roleid::regrole from pg_auth_members m where m.member = 'bindery_guard'::regrole$$,
  'The role bindery_guard is a member of no role.');
select is_empty(
  $$select c.oid::regclass
    from pg_class c join pg_namespace n on n.oid = c.relnamespace,
      unnest(array['select', 'insert', 'update', 'delete']) p
    where n.nspname like 'bindery%' and c.relkind = 'r'
      and has_table_privilege('bindery_guard', c.oid, p)$$,
  'The role bindery_guard has no privilege on any table of the schemas.');
select is_empty(
  $$select p.oid::regprocedure
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname like 'bindery%' and has_function_privilege('bindery_guard', p.oid, 'execute')
      and p.proowner <> 'bindery_guard'::regrole$$,
  'The role bindery_guard may execute no function of the schemas but its own.');
select is_empty(
  $$select nspname from pg_namespace
    where nspname like 'bindery%' and has_schema_privilege('bindery_guard', oid, 'create')$$,
  'The role bindery_guard may create nothing in the schemas.');

-- Actions that a guard must not perform.
set local client_min_messages = error;
select tap.guarded(n, g)
from (values (12, 'shop.nosy'), (13, 'shop.greedy'), (14, 'shop.climber')) v(n, g);
select is(
  tap.goes(n), 'PT409 illegal_transition', format('A guard that %s does not hold.', what))
from (values (12, 'reads a table of others'), (13, 'writes to a table'), (14, 'changes its role'))
  v(n, what);
select is(
  (select count(*)::integer from bindery.book_status where title = 'mine'), 0,
  'A guard that writes to a table changes nothing.');

-- Changes that a guard must not leave behind.
select tap.guarded(n, g)
from (values (30, 'shop.delayed'), (31, 'shop.forger'), (32, 'shop.wrecker')) v(n, g);
select is(tap.goes(30), 'ok', 'A guard may create a deferred trigger on a table of its own.');
set constraints all immediate;
select is(
  (select count(*)::integer from shop.seen), 0,
  'A deferred trigger of a guard is undone before it fires.');
select is(tap.goes(31), 'ok', 'A guard may set settings.');
select is(
  tap.last_event(31), 'transition A>B B/1',
  'A setting by a guard makes no rewind of a transition.');
select isnt(
  (select actor from bindery.book_events
    where book_id = tap.id(31) order by revision desc limit 1),
  'a forger', 'A setting by a guard forges no actor.');
select isnt(
  current_setting('bindery.actor', true), 'a forger', 'A setting by a guard is undone.');
select is(tap.goes(32), 'ok', 'A guard may drop what bindery_guard owns.');
select tap.guarded(33, 'shop.who');
select is(tap.goes(33), 'ok', 'What a guard drops is not dropped.');

-- A dump that was restored without owners.
select tap.guarded(40, 'shop.who');
alter function bindery_internal.ask_guard(regproc, bindery.book_status) owner to postgres;
select is(
  tap.goes(40), '55000',
  'A guard is not called with the rights of a role other than bindery_guard.');
\ir ../../../sql/pipelines/guards.sql
select is(
  tap.goes(40), 'ok', 'Running pipelines/guards.sql again restores the owner, and guards work.');

select * from finish();
rollback;
