// The page on this machine, without tokens: books move, are sought, resumed and looked at; and it says when it is cut off.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Books, Daemon, PATIENCE, browse, newPage } from './stack.js';

/** @type {Daemon} */ let daemon;
/** @type {Books} */ let books;
/** @type {import('playwright-core').Browser} */ let browser;
/** @type {import('playwright-core').Page} */ let page;
/** @type {string[]} */ let problems;

before(async () => {
  [daemon, books, browser] = await Promise.all([Daemon.start(), Books.connect(), browse()]);
});
after(async () => {
  await browser.close();
  await Promise.all([daemon.stop(), books.end()]);
});
beforeEach(async () => {
  await books.clear();
  await page?.context().close();
  page = await newPage(browser);
  problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('request', (request) => {
    if (!request.url().startsWith(daemon.url)) problems.push(`asked elsewhere: ${request.url()}`);
  });
});

const card = (/** @type {string} */ title) => page.getByRole('listitem').filter({ has: page.getByRole('button', { name: title, exact: true }) });
const titles = () => page.locator('.card .title').allTextContents();
const live = () => page.getByText('Live', { exact: true }).waitFor();
const bar = (/** @type {string} */ title) => page.getByRole('progressbar', { name: `Progress of ${title}` });

/** Waits until what is looked at is as it should be. @param {() => Promise<unknown>} look @param {unknown} wanted */
async function comes(look, wanted) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const seen = await look();
    try {
      return assert.deepEqual(seen, wanted);
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

test('books are there, failed ones first, and move as they change', async () => {
  await books.book('Old and waiting');
  const failed = await books.book('Ink ran dry', ['ANALYZING']);
  const moving = await books.book('The Tide', ['ANALYZING']);
  await books.fail(failed, 'The ink ran dry on page 12.');
  await page.goto(daemon.url);
  await live();
  await comes(titles, ['Ink ran dry', 'The Tide', 'Old and waiting']);
  await card('Ink ran dry').getByText('The ink ran dry on page 12.').waitFor();
  await books.report(moving, 'analyze_characters', 3, 4, 'character');
  await comes(() => bar('The Tide').getAttribute('aria-valuenow'), '7.5');
  await card('The Tide').getByText('3 of 4 characters').waitFor();
  await books.book('Brand new');
  await comes(titles, ['Ink ran dry', 'Brand new', 'The Tide', 'Old and waiting']);
  await books.fail(moving, 'Gone');
  await comes(titles, ['The Tide', 'Ink ran dry', 'Brand new', 'Old and waiting']);
  await comes(() => page.title(), '(2 failed) Bindery');
  assert.deepEqual(problems, []);
});

test('a stage of 300 substeps shows a few of them, how many there are, and those that change', async () => {
  const tide = await books.book('The Tide', ['ANALYZING', 'GENERATING_SCENES', 'CREATING_ARTWORK']);
  await books.run(`select from bindery.plan_substeps($1, 'CREATING_ARTWORK', (
    select jsonb_agg(jsonb_build_object('substep', format('page_%s', n)) order by n) from generate_series(1, 300) n))`, [tide]);
  await page.goto(daemon.url);
  await live();
  const steps = card('The Tide').locator('.substeps');
  await steps.getByText('and 295 more; 0 of 300 done').waitFor();
  await books.report(tide, 'page_299', 3, 4, 'panel');
  await steps.getByText('3 of 4 panels').waitFor();
  await books.report(tide, 'page_300', 4, 4);
  await steps.getByText('and 295 more; 1 of 300 done').waitFor();
  await page.getByRole('button', { name: 'The Tide', exact: true }).click();
  const sheet = page.getByRole('dialog', { name: 'The Tide' });
  await sheet.getByText('and 100 more; 1 of 300 done').waitFor();
  assert.deepEqual(problems, []);
});

test('a failed book is resumed by its button', async () => {
  const failed = await books.book('Ink ran dry', ['ANALYZING']);
  await books.fail(failed, 'The ink ran dry.');
  await page.goto(daemon.url);
  await page.getByRole('button', { name: 'Resume Ink ran dry' }).click();
  await card('Ink ran dry').getByText('attempt 2').waitFor();
  await page.getByRole('button', { name: 'Resume Ink ran dry' }).waitFor({ state: 'hidden' });
  assert.deepEqual(problems, []);
});

test('books are filtered and sought, and what comes later is too', async () => {
  await books.book('The Tide', ['ANALYZING']);
  await books.book('The Goose', ['CANCELLED']);
  const other = await books.book('Fog', ['ANALYZING']);
  await page.goto(daemon.url);
  await live();
  await page.getByRole('button', { name: /^Cancelled/ }).click();
  await comes(titles, ['The Goose']);
  await books.run("select from bindery.cancel_book($1)", [other]);
  await comes(titles, ['Fog', 'The Goose']);
  await comes(() => page.getByRole('button', { name: /^Cancelled/ }).textContent(), '–Cancelled2');
  await page.getByRole('button', { name: /^All/ }).click();
  await page.getByRole('searchbox').fill('the ');
  await comes(titles, ['The Goose', 'The Tide']);
  await books.book('Nothing of the kind');
  await books.book('A different one');
  await comes(titles, ['Nothing of the kind', 'The Goose', 'The Tide']);
  await page.getByRole('searchbox').fill('no such book');
  await page.getByText('No book is like that.').waitFor();
  assert.deepEqual(problems, []);
});

test('a book born while the list is read is in it, though the list was read before', async () => {
  const tide = await books.book('The Tide', ['ANALYZING']);
  await page.goto(daemon.url);
  await live();
  await comes(titles, ['The Tide']);
  await page.route(/\/api\/books\?limit=50&/, async (route) => {
    const answer = await route.fetch();
    await books.book('The Goose');
    await comes(titles, ['The Goose', 'The Tide']);
    await route.fulfill({ response: answer });
  }, { times: 1 });
  const answered = page.waitForResponse(/\/api\/books\?limit=50&/);
  await page.getByRole('searchbox').fill('the ');
  await (await answered).finished();
  await books.report(tide, 'analyze_characters', 3, 4);
  await comes(() => bar('The Tide').getAttribute('aria-valuenow'), '7.5');
  assert.deepEqual(await titles(), ['The Goose', 'The Tide']);
  assert.deepEqual(problems, []);
});

test('a book that fails while the failed ones are counted is counted', async () => {
  const tide = await books.book('The Tide', ['ANALYZING']);
  await page.goto(daemon.url);
  await live();
  await comes(titles, ['The Tide']);
  await page.route(/\/api\/books\?limit=1&/, async (route) => {
    const answer = await route.fetch();
    await books.fail(tide, 'The ink ran dry.');
    await card('The Tide').getByText('The ink ran dry.').waitFor();
    await route.fulfill({ response: answer });
  }, { times: 1 });
  await books.book('Brand new');
  await comes(() => page.title(), '(1 failed) Bindery');
  assert.deepEqual(problems, []);
});

test('one book is seen in full, with what happened to it, and taken back or cancelled there', async () => {
  const book = await books.book('The Tide', ['ANALYZING', 'GENERATING_SCENES']);
  await page.goto(daemon.url);
  await page.getByRole('button', { name: 'The Tide', exact: true }).click();
  const sheet = page.getByRole('dialog', { name: 'The Tide' });
  await comes(() => sheet.locator('.timeline .what').allTextContents(),
    ['Went on to Cutting scenes', 'Went on to Reading the book', 'Registered']);
  await books.fail(book, 'The knife is blunt.');
  await sheet.locator('.timeline .said', { hasText: 'The knife is blunt.' }).waitFor();
  await sheet.getByRole('button', { name: 'Resume' }).click();
  await comes(() => sheet.locator('.timeline .what').first().textContent(), 'Resumed to Cutting scenes attempt 2');
  await sheet.getByRole('button', { name: 'Go back there' }).click();
  await comes(() => sheet.locator('.timeline .what').first().textContent(), 'Taken back to Reading the book attempt 2');
  await sheet.getByRole('button', { name: 'Cancel the book' }).click();
  await sheet.getByRole('button', { name: 'Really? It is for good' }).click();
  await comes(() => sheet.locator('.timeline .what').first().textContent(), 'Cancelled');
  assert.match(page.url(), new RegExp(`#book=${book}$`));
  await page.keyboard.press('Escape');
  await sheet.waitFor({ state: 'hidden' });
  await comes(() => page.evaluate(() => document.activeElement?.textContent), 'The Tide');
  assert.deepEqual(problems, []);
});

test('it says that it is reconnecting, and is up to date when it is back', async () => {
  const book = await books.book('The Tide', ['ANALYZING']);
  await page.goto(daemon.url);
  await live();
  await daemon.stop();
  await page.getByText('Reconnecting… what you see may be old').waitFor();
  await books.report(book, 'analyze_characters', 3, 4);
  await books.book('Born while nobody looked');
  await daemon.again();
  await live();
  await comes(() => bar('The Tide').getAttribute('aria-valuenow'), '7.5');
  await comes(titles, ['Born while nobody looked', 'The Tide']);
  assert.deepEqual(problems, []);
});

test('a long list comes page by page, and a title is text whatever it holds', async () => {
  for (let index = 0; index < 60; index += 1) await books.book(`Book ${index}`);
  await books.book('<img src=x onerror=alert(1)>');
  await page.goto(daemon.url);
  await live();
  await comes(async () => (await titles()).length, 50);
  assert.equal((await titles())[0], '<img src=x onerror=alert(1)>');
  await page.getByRole('button', { name: 'Show more' }).click();
  await comes(async () => (await titles()).length, 61);
  await page.getByRole('button', { name: 'Show more' }).waitFor({ state: 'hidden' });
  assert.deepEqual(problems, []);
});

test('after an hour asleep it asks anew, rather than trust a connection that may be dead', async () => {
  await books.book('The Tide');
  let streams = 0;
  page.on('request', (request) => { streams += Number(request.url().endsWith('/api/events')); });
  await page.clock.install();
  await page.goto(daemon.url);
  await live();
  await comes(titles, ['The Tide']);
  assert.equal(streams, 1);
  await page.clock.fastForward('01:00:00');
  await comes(async () => streams >= 2, true);
  await live();
  await books.book('Born in the night');
  await comes(titles, ['Born in the night', 'The Tide']);
  assert.deepEqual(problems, []);
});
