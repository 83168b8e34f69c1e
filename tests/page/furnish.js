// A shelf of books in every state, for looking at.

/** @param {import('./stack.js').Books} books */
export async function furnish(books) {
  await books.clear();
  const done = ['ANALYZING', 'GENERATING_SCENES', 'CREATING_ARTWORK', 'COMPLETED'];
  for (const title of ['A Lamp for the Ferryman', 'Nine Small Winters']) await books.book(title, done);
  await books.book('The Cartographer’s Apology', ['ANALYZING', 'CANCELLED']);
  await books.book('Letters from the Weather House');
  const reading = await books.book('The Orchard at World’s Edge', ['ANALYZING']);
  await books.report(reading, 'extract_text', 212, 212, 'page');
  await books.report(reading, 'detect_chapters', 9, 14, 'chapter');
  const goose = await books.book('Mr Plum and the Goose', ['ANALYZING', 'GENERATING_SCENES']);
  await books.report(goose, 'split_scenes', 31, 31, 'scene');
  await books.report(goose, 'write_prompts', 12, 31, 'prompt');
  const salt = await books.book('The Salt Clock', ['ANALYZING', 'GENERATING_SCENES', 'CREATING_ARTWORK']);
  await books.run(`select from bindery.plan_substeps($1, 'CREATING_ARTWORK',
    '[{"substep": "chapter_1"}, {"substep": "chapter_2"}, {"substep": "chapter_3"}, {"substep": "chapter_4"}, {"substep": "chapter_5"}]')`, [salt]);
  await books.report(salt, 'chapter_1', 18, 18, 'panel');
  await books.report(salt, 'chapter_2', 22, 22, 'panel');
  await books.report(salt, 'chapter_3', 7, 16, 'panel');
  const pass = await books.book('Post over the Stone Pass', ['ANALYZING', 'GENERATING_SCENES', 'CREATING_ARTWORK']);
  await books.report(pass, 'chapter_1', 11, 24, 'panel');
  await books.fail(pass, 'The image model did not answer: 503 after three tries.');
  return { salt, goose, reading, pass };
}
