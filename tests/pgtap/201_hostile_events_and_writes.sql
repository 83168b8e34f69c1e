begin;
\ir helpers.psql
\ir hostile.psql
select plan(13);
-- Hostile values in events that no relay of ours would send, and in plain writes of the service.
create temp table before as select tap.world() as world;

-- Every field of every type of event.
create temp table fields (event_type text, field text, rest jsonb);
insert into fields values
  ('register', 'owner_id', '{}'), ('register', 'pipeline', '{}'), ('register', 'title', '{}'), ('register', 'metadata', '{}'),
  ('transition', 'to', '{}'), ('transition', 'message', '{"to": "GENERATING_SCENES"}'), ('transition', 'attempt', '{"to": "GENERATING_SCENES"}'),
  ('fail', 'error', '{}'), ('fail', 'message', '{}'), ('fail', 'stage', '{}'), ('fail', 'attempt', '{}'),
  ('plan', 'stage', '{"substeps": [{"name": "a"}]}'), ('plan', 'substeps', '{"stage": "ANALYZING"}'),
  ('heartbeat', 'stage', '{}'), ('heartbeat', 'attempt', '{}'),
  ('progress', 'progress', '{}'), ('progress', 'done', '{"total": 3}'), ('progress', 'total', '{"done": 1}'), ('progress', 'unit', '{"progress": 80}'), ('progress', 'message', '{"progress": 80}'),
  ('progress', 'checkpoint', '{"progress": 80}'), ('progress', 'stage', '{"progress": 80}'), ('progress', 'substep', '{"progress": 80}'), ('progress', 'attempt', '{"progress": 80}'),
  ('dead', 'message', '{}'), ('dead', 'payload', '{}'), ('dead', 'reason', '{}'), ('dead', 'id', '{}'), ('dead', 'count', '{}'), ('dead', 'truncated', '{}'), ('dead', 'book_id', '{}');
create temp table tried as
select f.event_type, f.field, h.label, p.*
from fields f, hostile h,
  lateral (select case h.type when 'jsonb' then h.value::jsonb else to_jsonb(h.value) end as value) v,
  lateral (select jsonb_build_object('book_id', case f.event_type when 'register' then tap.id(5) else tap.id(1) end, 'id', '9-0', 'count', 1)
    || case f.event_type when 'progress' then '{"substep": "extract_text"}' else '{}' end::jsonb || f.rest || jsonb_build_object('type', f.event_type, f.field, v.value) as item) i,
  lateral tap.probe(format('select * from bindery.apply_events(%L, 1, %L, %L)', 'tap', '5-0', jsonb_build_array(i.item))) p
where (h.type = 'jsonb' or h.type = 'text' and h.label ~ '^U\+|sql|quote|empty|long|lines') and h.value is not null and length(h.value) < 60000;

select cmp_ok((select count(*)::int from tried), '>', 1500, 'many are tried');
select is_empty($$select event_type, field, label, left(outcome, 200) from tried where outcome not in ('ok', 'PT422 bad_input')$$, 'a batch with a hostile event passes');
select is_empty($$select event_type, field, label, outcome from tried where (outcome <> 'ok') <> (label ~ '^5000 deep')$$, 'unless the event is nested so deep that it can''t even be buried: that batch is refused');
select is_empty($$select event_type, field, label from tried where field in ('title', 'message', 'unit', 'to', 'stage', 'substep', 'pipeline') and event_type <> 'dead' and label like 'U+%'
  and (after !~ '"dead": 2' or strpos(left(after, strpos(after, E'\ndead_letters\n')), trim('"' from to_json('a' || chr(('x' || substr(label, 3))::bit(16)::integer) || 'b')::text)) > 0)$$,
  'a control character or a change of direction makes a dead letter of its event, and gets into no book');
select is_empty($$select event_type, field, label from tried where field in ('title', 'message', 'unit', 'checkpoint') and event_type not in ('dead', 'register') and label ~ 'quote|sql|lines' and label <> 'quotes'
  and strpos(left(after, strpos(after, E'\ndead_letters\n')), (select to_json(h.value)::text from hostile h where h.type = 'text' and h.label = tried.label)) = 0$$,
  'quotes and line ends are stored to the letter');
select is_empty($$select event_type, field, label from tried where event_type <> 'dead' and label ~ '^65 deep' and field in ('metadata', 'error', 'checkpoint') and strpos(after, '"event_id": "9-0"') = 0$$, 'and so is JSON that is too deep');

-- Bits of a batch that are no events.
create temp table junk as
select h.label, p.* from hostile h, tap.probe(format('select * from bindery.apply_events(%L, 1, %L, (select jsonb_build_array(h.value::jsonb) from hostile h where (h.type, h.label) = (%L, %L)))', 'tap', '5-0', 'jsonb', h.label)) p
where h.type = 'jsonb' and h.value is not null;
select is_empty($$select label, left(outcome, 200) from junk where outcome <> case when label ~ '^5000 deep' then 'PT422 bad_input' else 'ok' end$$, 'JSON of any kind and size among the events is buried');
select is((tap.probe($$select * from bindery.apply_events('tap', 1, '18446744073709551616-0', '[]')$$)).outcome, 'PT422 bad_input', 'a position beyond Redis''s own count is refused, or nothing would come after it');
select is((tap.probe($$select * from bindery.apply_events('tap', 1, '18446744073709551615-18446744073709551615', '[]')$$)).outcome, 'ok', 'the last one that Redis can count to is none of these');

-- The service's own statements.
create temp table written as
select c.name, h.label, h.value, h.type, p.*
from (values ('title', 'text'), ('message', 'text'), ('status', 'text'), ('metadata', 'jsonb'), ('error', 'jsonb')) as c(name, type) join hostile h using (type),
  lateral tap.probe(format('set local role service_role; update bindery.book_status set %I = %s where book_id = %L; reset role', c.name,
    case when h.value is null then 'null' else format('%L', h.value) end, tap.id(case c.name when 'error' then 2 else 1 end))) p
where length(coalesce(h.value, '')) < 200000
union all
select c.name || ' of a new one', h.label, h.value, h.type, p.*
from (values ('title', 'text'), ('status', 'text'), ('pipeline', 'text'), ('metadata', 'jsonb')) as c(name, type) join hostile h using (type),
  lateral tap.probe(format('set local role service_role; insert into bindery.book_status (book_id, %I) values (%L, %s); reset role', c.name, tap.id(7),
    case when h.value is null then 'null' else format('%L', h.value) end)) p
where length(coalesce(h.value, '')) < 200000;
select is_empty($$select name, label, left(outcome, 200) from written where outcome !~ '^(ok$|PT4)' and outcome not like '23514 %error_while_failed_only%'$$, 'a plain write succeeds, or is refused with an error of ours');
select is_empty($$select name, label, outcome, argument from written where type = 'text' and label like 'U+%' and (outcome, argument) is distinct from ('PT422 bad_input', split_part(name, ' ', 1)) and name not like 'pipeline%'$$,
  'a control character or a change of direction is refused in a plain write, too');
select is_empty($$select name, label, outcome from written where label ~ '^(65|5000) deep|^(long|wide)$' and outcome !~ '^PT4' and not (label = 'long' and name ~ '^(title|message)' and length(value) <= 1024)$$, 'and so is what is too large or too deep');
select is(tap.world(), (select world from before), 'all is as it was');
select * from finish();
rollback;
