-- dead_letter_reasons: counts a stream's newest dead letters by rejection reason.
-- Invariants: read-only; reads at most max_letters.
create or replace function bindery_internal.dead_letter_reasons(stream text, after text,
  max_letters integer)
returns table (reason text, letters bigint, events bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream',
    dead_letter_reasons.stream, 512));
  if bindery_internal.is_position(dead_letter_reasons.after) is not true then
    perform bindery_internal.raise_error(bindery_internal.bad_input('after', 'is not a stream id',
      'Give an entry''s id, such as 1700000000000-0.'));
  end if;
  return query
  select d.reason, count(*), sum(d.count)::bigint
  from (
    select c.reason, c.count, c.event_id from bindery.dead_letters c
    where c.stream = dead_letter_reasons.stream
    order by c.id desc limit least(greatest(max_letters, 0), 100000)) d
  -- A dead letter without a valid id comes from a caller of apply_events other than binderyd.
  where case when bindery_internal.is_position(d.event_id) is true
    then bindery_internal.is_after(d.event_id, dead_letter_reasons.after) else true end
  group by d.reason
  order by 3 desc, 1;
end
$$;

create or replace function bindery.dead_letter_reasons(stream text, after text default '0-0',
  max_letters integer default 10000)
returns table (reason text, letters bigint, events bigint)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select r.* from bindery_internal.dead_letter_reasons(dead_letter_reasons.stream,
    dead_letter_reasons.after, dead_letter_reasons.max_letters) r;
$$;

comment on function bindery_internal.dead_letter_reasons(text, text, integer) is
  'See bindery.dead_letter_reasons.';
comment on function bindery.dead_letter_reasons(text, text, integer) is
  'Why events of a stream went to dead_letters, most frequent first: of the newest max_letters '
  'letters (at most 100,000) those whose event comes after an id.
PT422 bad_input.';
