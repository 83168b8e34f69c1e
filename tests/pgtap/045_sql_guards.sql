begin;
\ir helpers.psql
-- Guards that are SQL functions: (book bindery.book_status) returns boolean, asked as the role bindery_guard.
select plan(50);
create schema shop;
create table shop.secrets (secret text);
insert into shop.secrets values ('x');
create table shop.seen (book_id uuid, title text, status text, metadata jsonb, who text);
grant usage on schema shop to public;
-- The answer stands in the book's own metadata.
create function shop.said_yes(book bindery.book_status) returns boolean language sql as $$ select (book.metadata ->> 'answer')::boolean $$;
create function public.said_yes(book bindery.book_status) returns boolean language sql as $$ select book.metadata ->> 'public' = 'yes' $$;
create function shop.nosy(book bindery.book_status) returns boolean language sql as $$ select exists (select from shop.secrets) $$;
create function shop.greedy(book bindery.book_status) returns boolean language plpgsql as $$
  begin update bindery.book_status set title = 'mine'; return true; end $$;
create function shop.climber(book bindery.book_status) returns boolean language plpgsql as $$
  begin perform set_config('role', 'service_role', true); return true; end $$;
create function shop.witness(book bindery.book_status) returns boolean language plpgsql security definer as $$
  begin
    insert into shop.seen values (book.book_id, book.title, book.status, book.metadata, current_user);
    return (select s.title = 'A title' and s.status = 'A' and s.metadata = '{"pages": 3}' and s.who = session_user from shop.seen s);
  end $$;
create function shop.who(book bindery.book_status) returns boolean language sql as $$ select current_user = 'bindery_guard' $$;
-- What is put off to the end of the transaction would run with somebody else's rights.
create function shop.note() returns trigger language plpgsql as $$ begin insert into shop.seen (who) values (current_user); return null; end $$;
create function shop.delayed(book bindery.book_status) returns boolean language plpgsql as $$
  begin
    create temp table bait (n integer);
    create constraint trigger later after insert on bait deferrable initially deferred for each row execute function shop.note();
    insert into bait values (1);
    return true;
  end $$;
create function shop.forger(book bindery.book_status) returns boolean language plpgsql as $$
  begin
    perform set_config('bindery.actor', 'somebody else', false), set_config('bindery.changing', book.book_id || ' rewinding', true);
    return true;
  end $$;
create function shop.wrecker(book bindery.book_status) returns boolean language plpgsql as $$ begin drop owned by bindery_guard; return true; end $$;
create function shop.asserts(book bindery.book_status) returns boolean language plpgsql as $$ begin assert false; return true; end $$;
create function shop.retries(book bindery.book_status) returns boolean language plpgsql as $$ begin raise exception 'again' using errcode = '40001'; end $$;
create function shop.raises(book bindery.book_status) returns boolean language plpgsql as $$ begin raise exception 'no idea'; end $$;
create function shop.deadlocks(book bindery.book_status) returns boolean language plpgsql as $$ begin raise exception 'busy' using errcode = '40P01'; end $$;
create function shop.a_number(book bindery.book_status) returns integer language sql as $$ select 1 $$;
create function shop.no_argument() returns boolean language sql as $$ select true $$;
create function shop.secret_guard(book bindery.book_status) returns boolean language sql as $$ select true $$;
revoke execute on function shop.secret_guard from public;
create schema vault;
create function vault.inside(book bindery.book_status) returns boolean language sql as $$ select true $$;

create function tap.defined(guard text) returns jsonb language sql as $$
  select tap.error(format('select bindery.define_pipeline(%L, %L)', 'g_' || md5(guard), jsonb_build_object('states', jsonb_build_array(
    '{"name": "A", "weight": 1}'::jsonb || jsonb_build_object('next', jsonb_build_array(jsonb_build_object('to', 'B', 'guard', guard), 'C')),
    '{"name": "B", "weight": 1}'::jsonb, '{"name": "C"}'::jsonb))));
$$;
-- A book at A whose edge to B has this guard.
create function tap.guarded(n integer, guard text, metadata jsonb default '{}') returns void language plpgsql as $$
begin
  if tap.defined(guard) is not null then raise exception '%', tap.defined(guard); end if;
  perform bindery.register_book(tap.id(n), pipeline => 'g_' || md5(guard), title => 'A title', metadata => metadata);
end $$;
create function tap.goes(n integer) returns text language sql as $$
  select tap.outcome(format('select bindery.transition_book(%L, ''B'')', tap.id(n)));
$$;

select tap.guarded(1, 'shop.said_yes', '{"answer": true}'), tap.guarded(2, 'shop.said_yes', '{"answer": false}'), tap.guarded(3, 'shop.said_yes'),
  tap.guarded(4, 'said_yes', '{"public": "yes"}'), tap.guarded(5, 'said_yes', '{"answer": true, "public": "no"}');
select is(tap.goes(1), 'ok', 'a guard that says yes lets the book go');
select is((tap.row(1)).status, 'B', 'and it is there');
select is(tap.goes(2), 'PT409 illegal_transition', 'one that says no does not');
select is(tap.error(format('select bindery.transition_book(%L, ''B'')', tap.id(2))) ->> 'message',
  'The guard shop.said_yes of A -> B does not hold: it said no.', 'the refusal names it');
select is(tap.error(format('select bindery.transition_book(%L, ''B'')', tap.id(2))) #> '{detail,allowed}', '["B", "C", "FAILED", "CANCELLED"]', 'and lists the edges');
select is(tap.goes(3), 'PT409 illegal_transition', 'null is no yes');
select is(tap.error(format('select bindery.transition_book(%L, ''B'')', tap.id(3))) ->> 'message',
  'The guard shop.said_yes of A -> B does not hold: nothing is known about it.', 'and is told apart from a no');
select is((tap.row(2)).status, 'A', 'a refused book stays');
select is(tap.goes(4), 'ok', 'a guard without a schema is one of public');
select is(tap.goes(5), 'PT409 illegal_transition', 'and of no other schema');
select is(tap.outcome(format('update bindery.book_status set status = ''B'' where book_id = %L', tap.id(2))), 'PT409 illegal_transition', 'a plain UPDATE asks it, too');
update bindery.book_status set metadata = '{"answer": true}' where book_id = tap.id(2);
select is(tap.outcome(format('update bindery.book_status set status = ''B'' where book_id = %L', tap.id(2))), 'ok', 'and passes when it holds');
select is(tap.apply(tap.event('transition', 3, '{"to": "B"}')), '0/0/1', 'an event asks it, too');
select is(tap.reasons(), 'illegal_transition', 'and dies of it');
select is(tap.outcome(format('select bindery.transition_book(%L, ''C'')', tap.id(3))), 'ok', 'the edge without a guard is open');

-- What it sees.
select tap.guarded(10, 'shop.witness', '{"pages": 3}');
select is(tap.goes(10), 'ok', 'a guard that is itself a definer may do what its owner may');
select is((select count(*)::integer from shop.seen), 0, 'but a guard is a question: what it wrote is undone');

-- What it may not.
select tap.guarded(11, 'shop.who');
select is(tap.goes(11), 'ok', 'a guard runs as bindery_guard, whoever asks');
select is_empty($$select rolname from pg_roles where rolname = 'bindery_guard'
  and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication or rolcanlogin)$$, 'a role without any power');
select is_empty($$select m.roleid::regrole from pg_auth_members m where m.member = 'bindery_guard'::regrole$$, 'and a member of no other');
select is_empty($$select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace, unnest(array['select', 'insert', 'update', 'delete']) p
  where n.nspname like 'bindery%' and c.relkind = 'r' and has_table_privilege('bindery_guard', c.oid, p)$$, 'it may touch no table');
select is_empty($$select p.oid::regprocedure from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname like 'bindery%' and has_function_privilege('bindery_guard', p.oid, 'execute') and p.proowner <> 'bindery_guard'::regrole$$, 'and call no function of ours');
select is_empty($$select nspname from pg_namespace where nspname like 'bindery%' and has_schema_privilege('bindery_guard', oid, 'create')$$, 'and make nothing');
set local client_min_messages = error;
select tap.guarded(n, g) from (values (12, 'shop.nosy'), (13, 'shop.greedy'), (14, 'shop.climber'), (15, 'shop.raises')) v(n, g);
select is(tap.goes(n), 'PT409 illegal_transition', format('a guard that %s does not hold', what))
from (values (12, 'reads a table it was not given'), (13, 'writes to one'), (14, 'changes its role'), (15, 'raises')) v(n, what);
select is((select count(*)::integer from bindery.book_status where title = 'mine'), 0, 'and has changed nothing');
select tap.guarded(n, g) from (values (30, 'shop.delayed'), (31, 'shop.forger'), (32, 'shop.wrecker'), (33, 'shop.asserts'), (34, 'shop.retries')) v(n, g);
select is(tap.goes(30), 'ok', 'a guard that puts something off to the end of the transaction');
set constraints all immediate;
select is((select count(*)::integer from shop.seen), 0, 'finds it undone before anybody else''s rights count');
select is(tap.goes(31), 'ok', 'one that leaves settings behind');
select is((select e.kind || ' ' || (e.actor <> 'somebody else') from bindery.book_events e where e.book_id = tap.id(31) order by e.revision desc limit 1), 'transition true', 'forges nothing by them');
select isnt(current_setting('bindery.actor', true), 'somebody else', 'nor for later calls');
select is(tap.goes(32), 'ok', 'one that drops what its role owns');
select is(tap.goes(11), 'PT409 illegal_transition', 'has dropped nothing');
select is((tap.row(11)).status, 'B', 'since that book had gone');
select is(tap.goes(33), 'PT409 illegal_transition', 'an assertion that fails is no yes');
select is(tap.goes(34), 'PT409 illegal_transition', 'nor is a plea to try again: a stream would try for ever');
select is(tap.apply(tap.event('transition', 34, '{"to": "B"}')), '0/0/1', 'and the event dies of it');
select tap.guarded(16, 'shop.deadlocks');
select is(tap.goes(16), '40P01', 'a fault that will pass is handed on: whoever asked tries again');
set local client_min_messages = warning;

-- A pipeline whose guards cannot be asked is not defined.
select is(tap.defined(guard) #>> '{detail,faults,0,path}', '$.states[0].next[0].guard', format('a guard %s is a fault of the definition', what))
from (values ('shop.nowhere', 'that does not exist'), ('shop.a_number', 'that gives a number'), ('shop.no_argument', 'that takes no book')) v(guard, what);
select is(tap.defined('shop.nowhere') #>> '{detail,faults,0,problem}', 'there is no function shop.nowhere(bindery.book_status) returns boolean; create it first', 'which says what to do');
select matches(tap.defined('shop.secret_guard') #>> '{detail,faults,0,problem}', 'bindery_guard, as which guards are asked, may not call shop.secret_guard', 'one that bindery_guard may not call is a fault, too');
select matches(tap.defined('vault.inside') #>> '{detail,faults,0,problem}', 'may not call vault.inside', 'as is one in a schema it may not use');

select is(tap.error($q$select bindery.define_pipeline('bad', '{"states": [{"name": "A", "weight": -1, "next": [{"to": "B", "guard": "shop.nowhere"}, {"to": "C", "guard": "No Name"}, 5, "B"]},
    {"name": "B", "next": {"guard": "shop.nowhere"}}, 7, {"name": "C"}]}')$q$) #> '{detail,faults}' @> '[{"path": "$.states[0].weight"}, {"path": "$.states[0].next[0].guard"}, {"path": "$.states[0].next[1].guard"}, {"path": "$.states[0].next[2]"}]',
  true, 'guards are refused together with all other faults');

-- One that is dropped later fails closed.
select tap.guarded(20, 'shop.said_yes', '{"answer": true}');
drop function shop.said_yes;
select is(tap.goes(20), 'PT409 illegal_transition', 'a guard that is gone does not hold');

-- A dump restored without owners.
select tap.guarded(21, 'shop.who');
alter function bindery_internal.ask_guard(regproc, bindery.book_status) owner to postgres;
select is(tap.goes(21), '55000', 'a guard is not asked with the rights of anybody else');
\ir ../../sql/225_guards.sql
select is(tap.goes(21), 'ok', 'until its owner is put right');

select * from finish();
rollback;
