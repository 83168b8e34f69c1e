// How the page looks to those who see little, move little, or have a small screen.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import axe from 'axe-core';
import { Books, Daemon, SECRET, browse, newPage } from './stack.js';
import { furnish } from './furnish.js';

/** @type {Daemon} */ let daemon;
/** @type {Daemon} */ let guarded;
/** @type {Books} */ let books;
/** @type {import('playwright-core').Browser} */ let browser;

before(async () => {
  [daemon, guarded, books, browser] = await Promise.all([
    Daemon.start(), Daemon.start(['--jwt-secret', SECRET]), Books.connect(), browse()]);
  await furnish(books);
});
after(async () => {
  await browser.close();
  await Promise.all([daemon.stop(), guarded.stop(), books.end()]);
});

/** What axe finds. @param {import('playwright-core').Page} page */
async function faults(page) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(() => /** @type {any} */ (window).axe.run());
  return found.violations.map((/** @type {any} */ fault) => `${fault.id}: ${fault.nodes.map((/** @type {any} */ node) => `${node.html} ${node.failureSummary}`).join('\n')}`);
}

for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
  for (const width of [1200, 360]) {
    test(`axe finds nothing: ${colorScheme}, ${width} wide`, async () => {
      const page = await newPage(browser, { colorScheme, viewport: { width, height: 900 }, reducedMotion: 'reduce' });
      await page.goto(daemon.url);
      await page.getByText('Live', { exact: true }).waitFor();
      await page.getByRole('button', { name: 'The Salt Clock' }).waitFor();
      assert.deepEqual(await faults(page), []);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing sticks out sideways');
      await page.getByRole('button', { name: 'The Salt Clock' }).click();
      await page.locator('.timeline li').first().waitFor();
      assert.deepEqual(await faults(page), []);
      await page.goto(guarded.url);
      await page.getByLabel('Token').waitFor();
      assert.deepEqual(await faults(page), []);
      await page.context().close();
    });
  }
}

test('the colours follow the system until somebody chooses, and the choice stays', async () => {
  const page = await newPage(browser, { colorScheme: 'light' });
  await page.goto(daemon.url);
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.emulateMedia({ colorScheme: 'dark' });
  const dark = await paper();
  assert.notEqual(light, dark);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.getByRole('button', { name: 'Use dark colours' }).click();
  assert.equal(await paper(), dark);
  await page.reload();
  assert.equal(await paper(), dark);
  await page.context().close();
});

test('nothing moves for those who asked for stillness', async () => {
  const page = await newPage(browser, { reducedMotion: 'reduce' });
  await page.goto(daemon.url);
  const fill = page.locator('.whole .fill').first();
  await fill.waitFor();
  assert.equal(await fill.evaluate((bar) => getComputedStyle(bar).transitionDuration), '0s');
  await page.context().close();
});
