begin;
\ir helpers.psql
\ir hostile.psql
select plan(17);
-- Every argument of every function, hostile in every way its type allows: refused, or stored to the letter.
select set_eq('select distinct function from arguments', 'select distinct function from valid', 'every function of bindery that takes arguments has a valid call here');
select is_empty($$select v.call, a.argument from valid v join arguments a using (function) where not v.args ? a.argument$$, 'which gives every argument');
select is_empty($$select v.call, k from valid v, jsonb_object_keys(v.args) k where not exists (select from arguments a where a.function = v.function and a.argument = k)$$, 'and none that is not there');
select is_empty($$select function, argument, type from arguments where type not in (select type from hostile)$$, 'there are hostile values of every type');
select is_empty($$select v.call, (tap.probe(tap.call(v.call))).outcome from valid v where (tap.probe(tap.call(v.call))).outcome <> 'ok'$$, 'the valid calls succeed');

create temp table before as select tap.world() as world;
create temp table probes as
select v.call, v.function, a.argument, a.type, h.label, h.value, p.outcome, p.argument as named, p.after
from valid v join arguments a using (function) join hostile h using (type)
cross join lateral tap.probe(tap.call(v.call, a.argument, h.label, h.value)) p
-- These are 50,000 events; 201 has hostile events.
where not (a.function = 'apply_events' and a.argument = 'events' and h.label = 'wide');
alter table probes add changed boolean;
update probes set changed = after <> (select world from before);

select cmp_ok((select count(*)::int from probes), '>', 900, 'many are tried');
select is_empty($$select call, argument, label, left(outcome, 200) from probes where outcome <> 'ok' and outcome !~ '^PT4\d\d [a-z_]+$'$$, 'each succeeds, or is refused with an error of ours');
select is_empty($$select call, argument, label, outcome from probes where outcome <> 'ok' and changed$$, 'a call that is refused changes nothing in any table');
select is_empty($$select call, argument, label, outcome, named from probes where type = 'text' and label like 'U+%' and (outcome, named) is distinct from ('PT422 bad_input', argument)$$,
  'a control character or a change of direction is refused in every text, and the error names the argument');
select is_empty($$select call, argument, label, outcome from probes where type in ('text', 'jsonb') and label ~ '10 MB|deep|wide' and label !~ '^64' and outcome !~ '^PT422'
    and not (function = 'apply_events' and argument = 'events')$$, 'what is too large or too deep is refused as bad input');
select is_empty($$select call, argument, label from probes where type in ('text', 'jsonb', 'text[]') and outcome = 'ok' and changed and value is not null
    and argument <> 'events' and not (argument = 'pipeline' and label = 'empty') and not (argument = 'substeps' and label = 'array')
    and strpos(after, case when type <> 'jsonb' then to_json(value)::text when function = 'fail_book' then ('{"code": "failed"}' || value::jsonb)::text else value::jsonb::text end) = 0$$,
  'a text or JSON that is taken is stored to the letter');
select is_empty($$select call, argument, label from probes join arguments using (function, argument) where label = 'null' and outcome = 'ok' and changed and not optional$$,
  'null is taken only for what may be left out');
select is_empty($$select call, argument, label, outcome from probes where type in ('integer', 'bigint') and label ~ '^-|^0' and argument !~ '^max_|^entries$|^lost$' and outcome !~ '^PT4'$$,
  'what counts from 1 is refused below it');
select set_eq($$select distinct call, argument, label from probes where type not in ('text', 'jsonb', 'uuid') and outcome = 'ok' and changed and label <> 'null'$$,
  $$values ('report', 'progress', '0'), ('report', 'progress', '-0'), ('report', 'progress', '5e-324'), ('report of units', 'done', '0'), ('report of units', 'done', '-0'), ('report of units', 'done', '5e-324'),
    ('report of units', 'total', '100.0000001'), ('report of units', 'total', '101'), ('report of units', 'total', '1e15'), ('take', 'max_rows', '2147483647'), ('note', 'entries', '0'), ('note', 'lost', '0'),
    ('prune events', 'before', 'infinity'), ('prune events', 'before', '294276-12-31 23:59:59+00'), ('prune letters', 'before', 'infinity'),
    ('prune letters', 'before', '294276-12-31 23:59:59+00'), ('prune outbox', 'before', 'infinity'), ('prune outbox', 'before', '294276-12-31 23:59:59+00'),
    ('sweep', 'now', '294276-12-31 23:59:59+00'),
    ('renew', 'caught_up_at', '4713-01-01 00:00 BC'), ('renew', 'caught_up_at', 'epoch'), ('renew', 'caught_up_at', '2030-01-01 12:00+00'),
    ('renew', 'caught_up_at', '294276-12-31 23:59:59+00'),
    ('acquire', 'ttl', '1 month -30 days 10 seconds'), ('acquire', 'ttl', '-1 day 24 hours 10 seconds')$$,
  'of numbers and times these are taken, and change something');
select is_empty($$select call, argument, label from probes where type = 'double precision' and outcome = 'ok' and after ~ '-0[,.}\s]|NaN|Infinity'$$, 'minus zero is stored as zero');
select tap.clock('2030-01-03 00:00+00');
select is((select lease_expires_at from bindery.acquire_stream('other', 'me', '1 month -30 days 10 seconds')), '2030-01-03 00:00:10+00', 'a lease of a month less 30 days and 10 seconds lasts 10 seconds');

-- The one rule, wherever it stands.
select set_eq($$select conname::text, conrelid::regclass::text from pg_constraint where connamespace = 'bindery'::regnamespace and conname ~ 'plain_text'
    and strpos(pg_get_constraintdef(oid), substring((select prosrc from pg_proc where oid = 'bindery_internal.refused_text(text,text,integer)'::regprocedure) from '''(\[.*?\])''')) > 0$$,
  $$values ('title_is_plain_text', 'bindery.book_status'), ('message_is_plain_text', 'bindery.book_status'), ('unit_is_plain_text', 'bindery.book_progress'), ('message_is_plain_text', 'bindery.book_progress')$$,
  'the tables'' constraints have the expression of bindery_internal.refused_text');
select * from finish();
rollback;
