-- Hostile values in events that Bindery's relay does not send, and in plain writes of the service.
begin;
\ir ../helpers.psql
\ir hostile.psql
select plan(16);
create temp table before as select tap.world() as world;

-- Every field of every type of event. rest: the fields that the event needs beside it.
create temp table fields (event_type text, field text, rest jsonb);
insert into fields
select event_type, unnest(string_to_array(names, ' ')), rest::jsonb
from (values
  ('begin', 'to_status to stage', '{}'),
  ('begin', 'worker attempt', '{"to_status": "GENERATING_SCENES"}'),
  ('begin', 'owner_id pipeline title metadata', '{"to_status": "ANALYZING", "pipeline": "comic",
    "book_id": "00000000-0000-4000-8000-000000000005"}'),
  ('fail', 'error message stage attempt', '{}'), ('heartbeat', 'stage attempt', '{}'),
  ('plan', 'stage', '{"substeps": [{"substep": "a"}]}'),
  ('plan', 'substeps', '{"stage": "ANALYZING"}'), ('progress', 'progress', '{}'),
  ('progress', 'done', '{"total": 3}'), ('progress', 'total', '{"done": 1}'),
  ('progress', 'unit message checkpoint stage substep attempt', '{"progress": 80}'),
  ('register', 'owner_id pipeline title metadata',
    '{"book_id": "00000000-0000-4000-8000-000000000005"}'),
  ('rejected', 'message payload reason id count truncated book_id', '{}'),
  ('transition', 'to_status to', '{}'),
  ('transition', 'message attempt', '{"to_status": "GENERATING_SCENES"}'))
  v(event_type, names, rest);
create temp table tried as
select f.event_type, f.field, h.label, p.*
from fields f
cross join hostile h
cross join lateral (
  select case h.type when 'jsonb' then h.value::jsonb else to_jsonb(h.value) end as value) v
cross join lateral (
  select jsonb_build_object('book_id', tap.id(1), 'id', '9-0', 'count', 1)
    || case f.event_type when 'progress' then '{"substep": "extract_text"}' else '{}' end::jsonb
    || f.rest || jsonb_build_object('type', f.event_type, f.field, v.value) as item) i
cross join lateral tap.probe(format('select * from bindery.apply_events(%L, 1, %L, %L)',
  'tap', '5-0', jsonb_build_array(i.item))) p
where (h.type = 'jsonb' or h.type = 'text' and h.label ~ '^U\+|sql|quote|empty|long|lines')
  and h.value is not null and length(h.value) < 60000;
-- What is stored of books, without dead letters and early events.
alter table tried add books text;
update tried set books = left(after, strpos(after, E'\ndead_letters\n')) where true;

select cmp_ok(
  (select count(*)::integer from tried), '>', 1500, 'More than 1,500 events are tried.');
select set_eq(
  'select distinct event_type from fields', $$
    select unnest(array['begin', 'fail', 'heartbeat', 'plan', 'progress', 'register', 'rejected',
      'transition'])$$,
  'Every type of event is tried.');
select is_empty($$
    select event_type, field, label, left(outcome, 200) from tried
    where outcome <> case when label ~ '^5000 deep' then 'PT422 bad_input' else 'ok' end$$,
  'A batch with a hostile event succeeds, unless the event is nested too deep to be stored.');
select is_empty($$
    select event_type, field, label from tried
    where field ~ '^(title|message|unit|to|to_status|stage|substep|pipeline|worker)$'
      and event_type <> 'rejected' and label like 'U+%'
      and not (event_type = 'begin' and field = 'stage') and after !~ '"rejected": 2'$$,
  'A character that controls or changes the direction of text makes its event a dead letter.');
select is_empty($$
    select event_type, field, label from tried
    where event_type <> 'rejected' and field <> 'checkpoint' and label like 'U+%' and strpos(books,
      trim('"' from to_json('a' || chr(('x' || substr(label, 3))::bit(16)::integer) || 'b')::text))
      > 0$$,
  'Such a character is stored in no book, except in the JSON of a checkpoint.');
select is_empty($$
    select event_type, field, label from tried
    where field in ('title', 'message', 'unit', 'checkpoint', 'worker')
      and event_type <> 'rejected' and label in ('quote', 'sql', 'sql 2', 'lines')
      and strpos(books, (select to_json(h.value)::text from hostile h
        where h.type = 'text' and h.label = tried.label)) = 0$$,
  'Quotes and line ends are stored unchanged.');
select is_empty($$
    select event_type, field, label from tried
    where event_type <> 'rejected' and label ~ '^65 deep'
      and field in ('metadata', 'error', 'checkpoint') and strpos(after, '"event_id": "9-0"') = 0$$,
  'JSON that is too deep makes its event a dead letter.');

-- Elements of a batch that are not events.
create temp table junk as
select h.label, p.* from hostile h, tap.probe(format(
  'select * from bindery.apply_events(%L, 1, %L, (select jsonb_build_array(h.value::jsonb)
    from hostile h where (h.type, h.label) = (%L, %L)))', 'tap', '5-0', 'jsonb', h.label)) p
where h.type = 'jsonb' and h.value is not null;
select is_empty($$
    select label, left(outcome, 200) from junk
    where outcome <> case when label ~ '^5000 deep' then 'PT422 bad_input' else 'ok' end$$,
  'JSON of any kind and size among the events is accepted, unless it is nested too deep.');
select is_empty($$select label from junk where outcome = 'ok' and after !~ '"rejected": 2'$$,
  'JSON that is not an event becomes a dead letter.');
select is(
  (tap.probe($$select * from bindery.apply_events('tap', 1, '18446744073709551616-0', '[]')$$))
    .outcome, 'PT422 bad_input',
  'A position that is larger than Redis can count is refused, as none could come after it.');
select is(
  (tap.probe($$select * from bindery.apply_events('tap', 1,
    '18446744073709551615-18446744073709551615', '[]')$$)).outcome, 'ok',
  'The largest position of Redis is accepted.');

-- The service's own statements.
create temp table written as
select c.name, h.label, h.value, h.type, p.*
from (values ('title', 'text'), ('message', 'text'), ('status', 'text'), ('metadata', 'jsonb'),
  ('error', 'jsonb')) as c(name, type)
join hostile h using (type)
cross join lateral tap.probe(format('set local role service_role; update bindery.book_status
  set %I = %L where book_id = %L; reset role', c.name, h.value,
  tap.id(case c.name when 'error' then 2 else 1 end))) p
where length(coalesce(h.value, '')) < 200000
union all
select c.name || ' of a new one', h.label, h.value, h.type, p.*
from (values ('title', 'text'), ('status', 'text'), ('pipeline', 'text'), ('metadata', 'jsonb'))
  as c(name, type)
join hostile h using (type)
cross join lateral tap.probe(format('set local role service_role; insert into bindery.book_status
  (book_id, %I) values (%L, %L); reset role', c.name, tap.id(7), h.value)) p
where length(coalesce(h.value, '')) < 200000;
select is_empty($$
    select name, label, left(outcome, 200) from written
    where outcome !~ '^(ok$|PT4)' and outcome not like '23514 %error_while_failed_only%'$$,
  'A plain write succeeds, or is refused with an error of Bindery.');
select is_empty($$
    select name, label, outcome, argument from written
    where type = 'text' and label like 'U+%' and name not like 'pipeline%'
      and (outcome, argument) is distinct from ('PT422 bad_input', split_part(name, ' ', 1))$$,
  'A character that controls or changes the direction of text is refused in a plain write.');
select is_empty($$
    select name, label, outcome from written
    where label ~ '^(65|5000) deep|^(long|wide)$' and outcome !~ '^PT4'
      and not (label = 'long' and name ~ '^(title|message)' and length(value) <= 1024)$$,
  'A value that is too large or too deep is refused in a plain write.');
select is_empty($$
    select name, label from written
    where outcome = 'ok' and value is not null and name !~ '^(pipeline|error)'
      and strpos(after, case type when 'jsonb' then value::jsonb::text
        else to_json(value)::text end) = 0$$,
  'A value that a plain write gives is stored unchanged.');
select is(tap.world(), (select world from before), 'All of this left nothing behind.');
select * from finish();
rollback;
