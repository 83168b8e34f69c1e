-- note_stream: records what the relay found when it probed its stream in Redis and, after a loss,
-- the position to continue from.
-- Invariants: only the newest epoch may write; the counts of events never change here.
-- Locks: the stream's row in relay_cursors.
create or replace function bindery_internal.note_stream(
  stream text, epoch bigint, entries bigint, loss text, lost bigint, "position" text
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform bindery_internal.raise_error(bindery_internal.refused_text('stream', note_stream.stream,
    512));
  if note_stream.loss not in ('trimmed', 'deleted', 'recreated', 'rewound') then
    perform bindery_internal.raise_error(bindery_internal.bad_input('loss', 'is none',
      'Give trimmed, deleted, recreated or rewound, or leave it out.'));
  elsif (note_stream.lost between 0 and 1000000000000000) is not true then
    perform bindery_internal.raise_error(bindery_internal.bad_input('lost',
      'is no number of entries', 'Give how many are known to be lost, or 0.'));
  elsif (note_stream.entries between 0 and 1000000000000000000) is false then
    perform bindery_internal.raise_error(bindery_internal.bad_input('entries',
      'is no number of entries',
      'Give entries-added of XINFO STREAM, less what comes after the position.'));
  elsif note_stream.position is not null
    and bindery_internal.is_position(note_stream.position) is not true then
    perform bindery_internal.raise_error(bindery_internal.bad_input('position',
      'is not a stream id', 'Give an entry''s id, such as 1700000000000-0, or 0-0.'));
  end if;
  update bindery.relay_cursors c
  set entries_ahead = note_stream.entries - c.applied - c.stale - c.early - c.rejected,
      position = coalesce(note_stream.position, c.position),
      losses = c.losses + case when note_stream.loss is null then 0 else 1 end,
      lost = c.lost + note_stream.lost,
      last_loss = coalesce(note_stream.loss, c.last_loss),
      lost_at = case when note_stream.loss is null then c.lost_at else bindery_internal.now() end
  where c.stream = note_stream.stream and c.epoch = note_stream.epoch and c.holder is not null;
  if not found then
    perform bindery_internal.raise_error(bindery_internal.fenced(note_stream.stream,
      note_stream.epoch));
  end if;
end
$$;

create or replace function bindery.note_stream(
  stream text, epoch bigint, entries bigint default null, loss text default null,
    lost bigint default 0, "position" text default null
) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select bindery_internal.note_stream(stream, epoch, entries, loss, lost, "position");
$$;

comment on function bindery_internal.note_stream(text, bigint, bigint, text, bigint, text) is
  'See bindery.note_stream.';
comment on function bindery.note_stream(text, bigint, bigint, text, bigint, text) is
  'Notes what the relay found its stream to be: how many entries Redis had counted at the '
  'position, and what is lost.
Where something is missing: what happened (trimmed, deleted, recreated, rewound) and how many '
  'entries are known to be lost. With a position, the stream is read from there on, which may lie '
  'before: what comes after it is new. PT409 fenced where the epoch is not the newest, PT422 '
  'bad_input.';
