// Makes docs/images/page-*.png of a shelf of books: light, dark, narrow, and one book in full.
import { mkdir } from 'node:fs/promises';
import { Books, Daemon, browse, newPage } from './stack.js';
import { furnish } from './furnish.js';

const folder = new URL('../../docs/images/', import.meta.url).pathname;
const [daemon, books, browser] = await Promise.all([Daemon.start(), Books.connect(), browse()]);
try {
  await mkdir(folder, { recursive: true });
  await furnish(books);
  for (const [name, colorScheme, width, height, title] of /** @type {const} */ ([
    ['light', 'light', 1100, 1000, ''], ['dark', 'dark', 1100, 1000, ''],
    ['narrow', 'light', 390, 844, ''], ['book', 'light', 1100, 1000, 'Post over the Stone Pass']])) {
    const page = await newPage(browser, { colorScheme, viewport: { width, height }, deviceScaleFactor: 1.5, reducedMotion: 'reduce' });
    await page.goto(daemon.url);
    await page.getByText('Live', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'The Salt Clock' }).waitFor();
    if (title) {
      await page.getByRole('button', { name: title, exact: true }).click();
      await page.locator('.timeline li').first().waitFor();
    }
    await page.screenshot({ path: `${folder}page-${name}.png` });
    console.log(`docs/images/page-${name}.png`);
    await page.context().close();
  }
} finally {
  await browser.close();
  await Promise.all([daemon.stop(), books.end()]);
}
