// Dead letters, early events, durations and failures as an installation has them, for pictures.

/** @type {readonly (readonly [reason: string, count: number, message: string, event: object])[]} */
const letters = [
  [
    "unknown_book",
    14,
    "There is no book 8a4c2f10-6d1e-4c55-9b0e-2f7d3a915c44. It waited for 00:15:00.",
    { type: "progress", substep: "chapter_12", done: 3, total: 22, unit: "panel" },
  ],
  [
    "bad_number",
    5,
    'progress is not a number: "fifty percent"',
    { type: "progress", substep: "write_prompts", progress: "fifty percent" },
  ],
  [
    "unknown_pipeline",
    2,
    "There is no pipeline comics.",
    { type: "register", title: "Nine Small Winters", pipeline: "comics" },
  ],
  [
    "illegal_transition",
    9,
    "A book in COMPLETED cannot go to ANALYZING; COMPLETED is final.",
    { type: "transition", to_status: "ANALYZING" },
  ],
];

/**
 * Adds to the books of furnish.js.
 * @param {import("./stack.js").Books} books
 * @param {string} stream the daemon's
 */
export async function furnishOperation(books, stream) {
  await books.run("delete from bindery.dead_letters");
  await books.run("delete from bindery.early_events");
  for (const [reason, count, message, event] of letters)
    await books.run(
      `insert into bindery.dead_letters
         (stream, event_id, first_event_id, book_id, reason, message, payload, at)
       select $1, i.id, i.id, b.id, $2, $3,
         $4::jsonb || jsonb_build_object('id', i.id, 'count', 1, 'segment', 1, 'book_id', b.id),
         now() - n * interval '23 minutes'
       from generate_series($5::int, 1, -1) n
       cross join lateral (select gen_random_uuid() as id) b
       cross join lateral (select (1764300000000 - n * 1380000)::text || '-0' as id) i`,
      [stream, reason, message, JSON.stringify(event), count],
    );
  await books.run(
    `insert into bindery.early_events (stream, event_id, book_id, reason, message, payload, at)
     select $1, n || '-0', gen_random_uuid(), 'unknown_book', 'There is no such book yet.',
       '{"type": "heartbeat"}', now() from generate_series(1, 3) n`,
    [stream],
  );
  await books.run(
    `update bindery.relay_cursors set applied = 184213, stale = 611, early = 1204, rejected = 30,
       position = '1764300000000-0', applied_at = now()
     where stream = $1`,
    [stream],
  );
  await books.run("delete from bindery_internal.stage_samples");
  await books.run(
    `insert into bindery_internal.stage_samples
     select 'comic', 1, s.stage, gen_random_uuid(), now(), s.seconds * (0.6 + n / 50.0 + (n % 7) / 9.0)
     from (values ('UPLOADED', 4), ('ANALYZING', 190), ('GENERATING_SCENES', 840),
       ('CREATING_ARTWORK', 5200)) s(stage, seconds), generate_series(1, 50) n`,
  );
  // History is written by triggers only.
  await books.run(
    `do $$ begin
       set local session_replication_role = replica;
       insert into bindery.book_events
         (book_id, revision, kind, from_status, to_status, stage, attempt, actor, at)
       select b.book_id, 1000000 + f.day * 1000 + f.ord * 100 + n, 'fail', f.stage, 'FAILED',
         f.stage, 1, 'worker', now() - f.day * interval '1 day'
       from (select book_id from bindery.book_status limit 1) b
       cross join (
         select d.day, s.stage, s.ord, (d.day * s.ord * 7 + s.ord) % (2 + 2 * s.ord) as number
         from generate_series(1, 13) d(day)
         cross join (values ('ANALYZING', 1), ('GENERATING_SCENES', 2), ('CREATING_ARTWORK', 3))
           s(stage, ord)) f
       cross join lateral generate_series(1, f.number) n;
     end $$`,
  );
}
