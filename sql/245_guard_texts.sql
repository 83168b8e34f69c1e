-- guard_texts: BEFORE INSERT, and BEFORE UPDATE where somebody's own statement sets title, message, error or metadata.
-- Invariants: a plain INSERT or UPDATE is refused what a call is refused, with the same error (041, 042); the constraints of the
-- table stand behind it. Locks: the row being written.
create or replace function bindery_internal.guard_texts() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  if coalesce(jsonb_typeof(new.metadata), case tg_op when 'INSERT' then 'object' end) is distinct from 'object' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('metadata', 'is not a JSON object', 'Give an object such as {"pages": 320}.'));
  elsif jsonb_typeof(new.error) <> 'object' then
    perform bindery_internal.raise_error(bindery_internal.bad_input('error', 'is not a JSON object', 'Give an object such as {"code": "out_of_memory"}.'));
  end if;
  perform bindery_internal.raise_error(coalesce(
    bindery_internal.refused_text('status', new.status, 63),
    bindery_internal.refused_text('title', new.title, 1024),
    bindery_internal.refused_text('message', new.message, 8192),
    bindery_internal.refused_json('error', new.error),
    bindery_internal.refused_json('metadata', new.metadata)));
  return new;
end
$$;

create or replace trigger guard_texts_of_new before insert on bindery.book_status
for each row execute function bindery_internal.guard_texts();

-- do_transition has looked at its arguments, and says so by bindery.message_is_new.
create or replace trigger guard_texts before update of status, title, message, error, metadata on bindery.book_status
for each row when (
  coalesce(current_setting('bindery.message_is_new', true), '') <> 'yes'
  and (old.status, old.title, old.message, old.error, old.metadata) is distinct from (new.status, new.title, new.message, new.error, new.metadata))
execute function bindery_internal.guard_texts();

comment on function bindery_internal.guard_texts() is
  'Refuses by a plain INSERT or UPDATE the texts and JSON that calls refuse (PT422 bad_input).';
