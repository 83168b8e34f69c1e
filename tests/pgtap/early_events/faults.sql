-- Early events that fail when they become applicable are rejected alone, unless the error is
-- transient.
begin;
\ir ../helpers.psql
select plan(23);
create table tap.dislikes (book_id uuid, substep text, code text);
create function tap.dislike() returns trigger language plpgsql as $$
declare
  c text;
begin
  select d.code into c from tap.dislikes d
  where d.book_id = new.book_id and d.substep = new.substep;
  if c is not null then
    raise exception 'substep % is not liked', new.substep using errcode = c;
  end if;
  return new;
end
$$;
create trigger dislike before insert or update on bindery.book_progress
for each row execute function tap.dislike();

-- Events that can never apply.
select is(tap.apply(
    tap.event('progress', 1, '{"stage": "ANALYZING", "substep": "nope", "progress": 1,
      "count": 3}'),
    tap.event('progress', 1, '{"stage": "ANALYZING", "substep": "extract_text", "progress": 40}'),
    tap.event('transition', 1, '{"to_status": "NOWHERE"}'),
    tap.event('fail', 1, '{"stage": "ANALYZING", "error": 5}'),
    tap.event('heartbeat', 1, '{"stage": "UPLOADED"}')), '0/0/7/0',
  'All events about an unknown book wait, whatever they hold.');
select tap.book(1);
select is(tap.reasons(), 'illegal_transition',
  'A transition to a state that the pipeline does not have is rejected by the registration.');
select is((select string_agg(coalesce(e.payload ->> 'substep', e.payload ->> 'type'), ', '
    order by e.id) from bindery.early_events e), 'nope, extract_text, fail',
  'The events about the stage to come wait on, and the heartbeat is applied.');
select is((select string_agg(distinct e.reason, ', ') from bindery.early_events e),
  'unknown_book', 'An event keeps the reason for which it first waited.');
select from bindery.transition_book(tap.id(1), 'ANALYZING');
select is(tap.reasons(), 'illegal_transition, unknown_substep, bad_input',
  'The transition rejects what can never apply.');
select is((select row(d.count, d.payload ->> 'substep', d.stream) from bindery.dead_letters d
    where d.reason = 'unknown_substep'), row(3::bigint, 'nope'::text, 'tap'::text),
  'Such a dead letter has the event, its count and its stream.');
select is((tap.row(1)).stage_progress, 10::float8, 'A good event among them takes effect.');
select is((tap.row(1)).status, 'ANALYZING', 'A transition that rejects early events is made.');

-- Events for which the database raises an error.
select is(tap.apply(variadic array(select tap.event('progress', 2, jsonb_build_object(
    'stage', 'ANALYZING', 'substep', s, 'progress', 40))
    from unnest(array['extract_text', 'detect_chapters', 'analyze_characters']) s)), '0/0/3/0',
  'Three reports wait.');
insert into tap.dislikes values (tap.id(2), 'detect_chapters', '22000');
delete from bindery.dead_letters where true;
select tap.book(2, '{}');
insert into tap.dislikes values (tap.id(2), 'none', '22000');
select is(tap.outcome(format('select bindery.transition_book(%L, %L)', tap.id(2), 'ANALYZING')),
  '22000', 'A trigger that raises for the declared substeps fails the transition itself.');
select is((select count(*) from bindery.early_events), 3::bigint,
  'The early events wait on when the transition fails.');
update tap.dislikes set substep = 'off' where true;
create function tap.dislike_reports() returns trigger language plpgsql as $$
declare
  c text;
begin
  select d.code into c from tap.dislikes d where d.book_id = new.book_id;
  if c is not null and new.substep = 'detect_chapters' and new.progress > 0 then
    raise exception 'a report on % is not liked', new.substep using errcode = c;
  end if;
  return new;
end
$$;
create trigger dislike_reports before update on bindery.book_progress
for each row execute function tap.dislike_reports();
create function pg_temp.transition(code text) returns text language plpgsql as $$
begin
  update tap.dislikes set code = transition.code where true;
  return tap.outcome(format('select bindery.transition_book(%L, %L)', tap.id(2), 'ANALYZING'));
end
$$;
select is(pg_temp.transition(code), code,
  format('An early event that raises SQLSTATE %s, which may pass, fails the transition.', code))
from unnest(array['40001', '55P03', '57P01', '42501']) code;
select is((tap.row(2)).status, 'UPLOADED', 'The failed transition has no effect.');
select is((select count(*) from bindery.early_events), 3::bigint,
  'The early events of a failed transition wait on.');
select is(tap.reasons(), 'none', 'A failed transition makes no dead letter.');
select is(pg_temp.transition('22000'), 'ok',
  'An early event that raises any other error does not fail the transition.');
select is(tap.reasons(), 'refused_by_database', 'An early event that raises is rejected.');
select is((select d.message from bindery.dead_letters d),
  'a report on detect_chapters is not liked (SQLSTATE 22000)',
  'The dead letter of an early event that raised has the message of the database.');
select is((tap.row(2)).stage_progress, 30::float8, 'The early events around it take effect.');
select is(tap.waiting(), 'none', 'An early event that was applied or rejected waits no more.');

select * from finish();
rollback;
