-- Every argument of every function, with hostile values of its type: refused, or stored unchanged.
begin;
\ir ../helpers.psql
\ir hostile.psql
select plan(20);
select set_eq(
  'select distinct function from valid', 'select function from functions',
  'Every function of the schema has a valid call here.');
select is_empty($$
    select v.call, a.argument from valid v join arguments a using (function)
    where not v.args ? a.argument$$,
  'The valid calls give every argument.');
select is_empty($$
    select v.call, k from valid v, jsonb_object_keys(v.args) k
    where not exists (
      select from arguments a where a.function = v.function and a.argument = k)$$,
  'The valid calls give only arguments that the function has.');
select is_empty($$
    select function, argument, type from arguments where type not in (select type from hostile)$$,
  'There are hostile values of every type.');
select is_empty($$
    select v.call, p.outcome from valid v, tap.probe(tap.call(v.call)) p where p.outcome <> 'ok'$$,
  'The valid calls succeed.');

create temp table before as select tap.world() as world;
create temp table probes as
select v.call, v.function, a.argument, a.type, h.label, h.value, p.outcome, p.argument as named,
  p.after
from valid v
join arguments a using (function)
join hostile h using (type)
cross join lateral tap.probe(tap.call(v.call, a.argument, h.label, h.value)) p
-- The further batches are there for their arrays. The wide array is a batch of 50,000 events.
where (v.call !~ '^apply ' or a.type ~ '\[\]')
  and not (a.function = 'apply_events' and a.argument = 'events' and h.label = 'wide');
alter table probes add changed boolean;
update probes set changed = after <> (select world from before) where true;

select cmp_ok(
  (select count(*)::integer from probes), '>', 2000, 'More than 2,000 calls are tried.');
select is_empty($$
    select call, argument, label, left(outcome, 200) from probes
    where outcome <> 'ok' and outcome !~ '^PT4\d\d [a-z_]+$'$$,
  'A call succeeds, or is refused with an error of Bindery.');
select is_empty($$
    select call, argument, label, outcome from probes where outcome <> 'ok' and changed$$,
  'A call that is refused changes nothing in any table.');
select is_empty($$
    select call, argument, label, outcome, named from probes
    where type = 'text' and label like 'U+%'
      and (outcome, named) is distinct from ('PT422 bad_input', argument)$$,
  'A character that controls or changes the direction of text is refused in every text by name.');
select is_empty($$
    select call, argument, label, outcome from probes
    where type in ('text', 'jsonb') and label ~ '10 MB|deep|wide' and label !~ '^64'
      and outcome !~ '^PT422' and not (argument = 'events'
        and (function = 'apply_events' or label ~ '^65 deep'))$$,
  'A value that is too large or too deep is refused as bad input.');
select is_empty($$
    select call, argument, label from probes
    where type in ('text', 'jsonb', 'text[]') and outcome = 'ok' and changed and value is not null
      and function not in ('apply_events', 'report_events')
      and (argument, label) not in (
        ('pipeline', 'empty'), ('worker', 'empty'), ('substeps', 'array'))
      and strpos(after, case when type <> 'jsonb' then to_json(value)::text
        when function = 'fail_book' then ('{"code": "failed"}' || value::jsonb)::text
        else value::jsonb::text end) = 0$$,
  'A text or JSON value that is accepted is stored unchanged.');
select is_empty($$
    select call, argument, label from probes join arguments using (function, argument)
    where label = 'null' and outcome = 'ok' and changed and not optional$$,
  'Null is accepted only for an argument that can be left out.');
select is_empty($$
    select call, argument, label, outcome from probes
    where type in ('integer', 'bigint') and label ~ '^-|^0' and outcome !~ '^PT4'
      and argument !~ '^max_|^entries$|^lost$|^since_revision$'$$,
  'A number that counts from 1 is refused below 1.');
select set_eq($$
    select distinct call, argument, label from probes
    where type not in ('text', 'jsonb', 'uuid') and type !~ '\[\]' and outcome = 'ok' and changed
      and label <> 'null'$$,
  $$values
    ('begin', 'resume', 'true'), ('begin', 'resume', 'false'),
    ('cancel many', 'dry_run', 'false'), ('resume many', 'dry_run', 'false'),
    ('report', 'progress', '0'), ('report', 'progress', '-0'), ('report', 'progress', '5e-324'),
    ('report', 'progress', '-1e-300'), ('report', 'progress', '100.0000001'),
    ('report of units', 'done', '0'), ('report of units', 'done', '-0'),
    ('report of units', 'done', '5e-324'), ('report of units', 'done', '-1e-300'),
    ('report of units', 'total', '100.0000001'), ('report of units', 'total', '101'),
    ('report of units', 'total', '1e15'), ('take', 'max_rows', '2147483647'),
    ('note', 'entries', '0'), ('note', 'lost', '0'), ('prune events', 'before', 'infinity'),
    ('prune events', 'before', '294276-12-31 23:59:59+00'),
    ('prune letters', 'before', 'infinity'),
    ('prune letters', 'before', '294276-12-31 23:59:59+00'),
    ('prune outbox', 'before', 'infinity'),
    ('prune outbox', 'before', '294276-12-31 23:59:59+00'),
    ('sweep', 'now', '294276-12-31 23:59:59+00'),
    ('renew', 'caught_up_at', '4713-01-01 00:00 BC'), ('renew', 'caught_up_at', 'epoch'),
    ('renew', 'caught_up_at', '2030-01-01 12:00+00'),
    ('renew', 'caught_up_at', '294276-12-31 23:59:59+00'),
    ('acquire', 'ttl', '1 month -30 days 10 seconds'),
    ('acquire', 'ttl', '-1 day 24 hours 10 seconds')$$,
  'Of the hostile numbers and times, only these are accepted and change something.');
select is_empty($$
    select call, argument, label from probes
    where type = 'double precision' and outcome = 'ok' and after ~ '-0[,.}\s]|NaN|Infinity'$$,
  'Minus zero is stored as zero, and NaN and Infinity are not stored.');
select tap.clock('2030-01-03 00:00+00');
select is(
  (select lease_expires_at from bindery.acquire_stream('other', 'me',
    '1 month -30 days 10 seconds')), '2030-01-03 00:00:10+00',
  'A lease of a month less 30 days and 10 seconds lasts 10 seconds.');

-- The arrays of apply_events.
create temp view arrays as
  select * from probes where function = 'apply_events' and type ~ '\[\]';
select is_empty($$
    select call, argument, label, outcome from arrays
    where (outcome = 'PT422 bad_input') <> (
      label in ('empty', 'two nulls', 'twice', 'nested', 'nested one', 'bounds')
      or argument = 'segments' and label in ('null within', 'negative', 'smallest')
      or argument = 'counts' and label in ('zero', 'negative', 'largest')
      or argument in ('book_ids', 'progress') and label = 'null')$$,
  'A batch is refused for an array of another shape, unsorted segments, or counts out of range.');
select is_empty($$
    select call, argument, label from arrays
    where outcome = 'ok' and strpos(after, '"position": "5-0"') = 0$$,
  'Every other batch moves the position.');
select is_empty($$
    select call, argument, label from arrays
    where type = 'text[]' and outcome = 'ok' and label !~ 'null'
      and not (call = 'apply' and argument in ('ids', 'first_ids'))
      and strpos(after, case when argument = 'checkpoints'
        and label in ('digits', 'json', '5000 deep') then (value::text[])[1]::jsonb::text
        else to_json((value::text[])[1])::text end) = 0$$,
  'A text in an array is stored unchanged, in the book, the early event or the dead letter.');
select is_empty($$
    select call, argument, label from arrays
    where outcome = 'ok' and left(after, strpos(after, E'\ndead_letters\n'))
      ~ '-0[,.}\s]|NaN|Infinity|\\u001b|\u202e'$$,
  'NaN, Infinity, minus zero and control characters of an array are stored in no book.');
select * from finish();
rollback;
