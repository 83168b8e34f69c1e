-- What the operator's page reads of the schema: its version, and the indexes of its queries.
begin;
\ir ../helpers.psql
select plan(7);

select is(bindery.schema_version(), (select max(version) from bindery_internal.schema_history),
  'schema_version gives the newest recorded version.');
select is(tap.as_role('service_role', 'select bindery.schema_version()'),
  bindery.schema_version()::text, 'The service may read the version.');
select is(tap.as_role('authenticated', 'select bindery.schema_version()'), '42501',
  'A user may not read the version.');
alter table bindery_internal.schema_history rename to other_history;
select is(bindery.schema_version(), null, 'Without a record the version is null.');

create function pg_temp.plan(query text) returns text language plpgsql as $$
declare
  line text;
  lines text := '';
begin
  for line in execute 'explain (costs off) ' || query loop
    lines := lines || line || E'\n';
  end loop;
  return lines;
end
$$;
-- With a few rows the planner would read the table.
set local enable_seqscan = off;
set local enable_bitmapscan = off;
select matches(pg_temp.plan($$select e.stage, count(*) from bindery.book_events e
    where e.kind = 'fail' and e.at >= now() - interval '14 days' group by 1$$),
  'Index Only Scan using book_events_failures', 'Failures over time are read from an index.');
select matches(pg_temp.plan($$select d.* from bindery.dead_letters d
    where d.reason = 'bad_uuid' and d.id < 1000 order by d.id desc limit 50$$),
  'Index Scan Backward using dead_letters_reason',
  'The newest dead letters of a reason are read from an index.');
select matches(pg_temp.plan($$select d.reason, count(*) from bindery.dead_letters d group by 1$$),
  'Index Only Scan using dead_letters_reason', 'Dead letters are counted by reason in an index.');

select * from finish();
rollback;
