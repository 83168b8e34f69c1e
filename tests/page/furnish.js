// A shelf of books in every state, for looking at.

const more = [
  "The Tidewater Almanac",
  "A Lantern in Thessaly",
  "The Quiet Cartel",
  "Nightjar Road",
  "Glass Orchard",
  "The Clockmaker’s Daughter",
  "Ten Ways Across the River",
  "Sable and Salt",
  "The Long Thaw",
  "An Atlas of Small Rooms",
  "The Bell Ringers of Vyra",
  "Cold Harbour Letters",
  "The Weaver’s Second Proof",
  "Moths",
  "The Ferry at Low Water",
  "Paper Mountains",
  "The Understudy",
  "Winter Grammar",
  "The Last Tollkeeper",
  "Ember Days",
  "A Field Guide to Echoes",
  "The Copper Garden",
  "Marrow Lane",
  "The Apprentice of Lund",
  "Slow Thunder",
  "The Ninth Bridge",
  "Hollow Measures",
  "The Saltmarsh Choir",
  "Borrowed Light",
  "The Binder’s Apprentice",
];

/**
 * With `isFull` a shelf of 38 books of different ages.
 * @param {import('./stack.js').Books} books
 */
export async function furnish(books, isFull = false) {
  await books.clear();
  if (isFull) await fill(books);
  const done = ["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK", "COMPLETED"];
  for (const title of ["A Lamp for the Ferryman", "Nine Small Winters"])
    await books.book(title, done);
  await books.book("The Cartographer’s Apology", ["ANALYZING", "CANCELLED"]);
  await books.book("Letters from the Weather House");
  const reading = await books.book("The Orchard at World’s Edge", ["ANALYZING"]);
  await books.report(reading, "extract_text", 212, 212, "page");
  await books.report(reading, "detect_chapters", 9, 14, "chapter");
  const goose = await books.book("Mr Plum and the Goose", ["ANALYZING", "GENERATING_SCENES"]);
  await books.report(goose, "split_scenes", 31, 31, "scene");
  await books.report(goose, "write_prompts", 12, 31, "prompt");
  const salt = await books.book("The Salt Clock", [
    "ANALYZING",
    "GENERATING_SCENES",
    "CREATING_ARTWORK",
  ]);
  await books.run(
    `select from bindery.plan_substeps($1, 'CREATING_ARTWORK',
    '[{"substep": "chapter_1"}, {"substep": "chapter_2"}, {"substep": "chapter_3"}, {"substep": "chapter_4"}, {"substep": "chapter_5"}]')`,
    [salt],
  );
  await books.report(salt, "chapter_1", 18, 18, "panel");
  await books.report(salt, "chapter_2", 22, 22, "panel");
  await books.report(salt, "chapter_3", 7, 16, "panel");
  const pass = await books.book("Post over the Stone Pass", [
    "ANALYZING",
    "GENERATING_SCENES",
    "CREATING_ARTWORK",
  ]);
  await books.run(
    `select from bindery.report_progress($1, 'chapter_1', done => 11, total => 24, unit => 'panel',
       checkpoint => '{"panel": 11}')`,
    [pass],
  );
  await books.fail(pass, "The image model did not answer: 503 after three attempts.");
  if (isFull) await age(books);
  return { salt, goose, reading, pass };
}

/** @param {import('./stack.js').Books} books */
async function fill(books) {
  const stages = ["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK", "COMPLETED"];
  for (const [index, title] of more.entries()) {
    const reached = [0, 1, 2, 3, 3, 4, 2, 3, 1, 4][index % 10] ?? 0;
    const id = await books.book(title, stages.slice(0, reached));
    if (reached === 1) await books.report(id, "extract_text", 20 + 13 * (index % 9), 150, "page");
    if (reached === 2) await books.report(id, "split_scenes", 3 + (index % 9), 14, "scene");
    if (reached === 3) await books.report(id, "chapter_1", 4 + 3 * (index % 8), 31, "panel");
    if (index === 12) await books.fail(id, "The page scans ended after 118 of 240 pages.");
  }
}

/** Ages and estimates as after an hour's work. @param {import('./stack.js').Books} books */
async function age(books) {
  await books.run("set session_replication_role = replica");
  await books.run(
    `update bindery.book_status b set
       created_at = b.created_at - n.n * interval '97 seconds',
       estimated_completion_at = case when b.completed_at is null and b.overall_progress > 5
         and b.status not in ('FAILED', 'CANCELLED') then now() + (100 - b.overall_progress)
         * interval '11 seconds' end
     from (select book_id, row_number() over (order by created_at desc) as n
       from bindery.book_status) n where n.book_id = b.book_id`,
  );
  // The history and the stages share the time since the registration.
  await books.run(
    `update bindery.book_events e set at = n.at from (
       select e.book_id, e.revision, b.created_at + (now() - b.created_at) * 0.9
         * (row_number() over w - 1) / count(*) over (partition by e.book_id) as at
       from bindery.book_events e join bindery.book_status b on b.book_id = e.book_id
       window w as (partition by e.book_id order by e.revision)) n
     where n.book_id = e.book_id and n.revision = e.revision`,
  );
  await books.run(
    `update bindery.stage_visits v set entered_at = e.at, left_at = n.at,
       seconds = extract(epoch from n.at - e.at)
     from bindery.book_events e cross join lateral (
       select min(l.at) as at from bindery.book_events l
       where l.book_id = e.book_id and l.revision > e.revision) n
     where e.book_id = v.book_id and e.stage = v.stage and n.at is not null`,
  );
  await books.run(
    `update bindery.book_status b set stage_started_at = e.at, stage_entered_at = e.at
     from bindery.book_events e where e.book_id = b.book_id and e.stage = b.current_stage
       and e.kind = 'transition'`,
  );
  await books.run("set session_replication_role = origin");
}
