// Measures: 200 books in the list, 50 changes a second for ten seconds; how many frames Chromium draws, and how long a change
// takes from its commit to the screen. Prints one JSON line. Nothing here fails for being slow.
import { performance } from 'node:perf_hooks';
import { Books, Daemon, browse, newPage } from './stack.js';

const BOOKS = 200;
const CHANGES_A_SECOND = 50;
const SECONDS = 10;

const [daemon, books, browser] = await Promise.all([Daemon.start(), Books.connect(), browse()]);
try {
  await books.clear();
  /** @type {string[]} */ const ids = [];
  for (let index = 0; index < BOOKS; index += 1) ids.push(await books.book(`Book ${index}`, ['ANALYZING']));
  const page = await newPage(browser, { viewport: { width: 1200, height: 900 } });
  await page.goto(daemon.url);
  await page.getByText('Live', { exact: true }).waitFor();
  for (let shown = 50; shown < BOOKS; shown += 50) {
    await page.getByRole('button', { name: 'Show more' }).click();
    await page.locator('.card').nth(shown + 49).waitFor({ state: 'attached' });
  }
  // In the page: a frame counter, and the moment at which each book's bar last got its value.
  await page.evaluate(() => {
    const state = /** @type {any} */ (window);
    state.frames = [];
    state.drawn = new Map();
    const frame = (/** @type {number} */ now) => {
      state.frames.push(now);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    new MutationObserver((changes) => {
      for (const change of changes) {
        const bar = /** @type {Element} */ (change.target);
        if (bar.classList.contains('whole')) state.drawn.set(`${bar.closest('.item')?.id} ${bar.getAttribute('aria-valuenow')}`, Date.now());
      }
    }).observe(document.body, { subtree: true, attributeFilter: ['aria-valuenow'] });
  });
  /** @type {Map<string, number>} */ const committed = new Map();
  const began = performance.now();
  for (let change = 0; change < CHANGES_A_SECOND * SECONDS; change += 1) {
    const id = ids[change % BOOKS] ?? '';
    const done = 10 * (1 + Math.floor(change / BOOKS)) + (change % 7);
    await books.run("select from bindery.report_progress($1, 'analyze_characters', $2)", [id, done]);
    committed.set(`book-${id} ${Math.round(done * 0.5 * 0.2 * 10) / 10}`, Date.now());
    const wait = began + (1000 * (change + 1)) / CHANGES_A_SECOND - performance.now();
    if (wait > 0) await new Promise((resolve) => { setTimeout(resolve, wait); });
  }
  const took = performance.now() - began;
  await new Promise((resolve) => { setTimeout(resolve, 1000); });
  const seen = await page.evaluate(() => {
    const state = /** @type {any} */ (window);
    return { frames: /** @type {number[]} */ (state.frames), drawn: /** @type {[string, number][]} */ ([...state.drawn]) };
  });
  const first = seen.frames[0] ?? 0;
  const during = seen.frames.filter((at) => at - first < took);
  const gaps = during.slice(1).map((at, index) => at - (during[index] ?? at)).sort((a, b) => a - b);
  const delays = seen.drawn.flatMap(([key, at]) => (committed.has(key) ? [at - (committed.get(key) ?? at)] : [])).sort((a, b) => a - b);
  const part = (/** @type {number[]} */ values, /** @type {number} */ share) => Math.round(values[Math.floor(values.length * share)] ?? NaN);
  console.log(JSON.stringify({
    books: BOOKS, changes_a_second: Math.round((1000 * CHANGES_A_SECOND * SECONDS) / took), frames_a_second: Math.round((1000 * during.length) / took),
    longest_frame_ms: part(gaps, 0.9999), p99_frame_ms: part(gaps, 0.99), seen: delays.length, delay_ms_p50: part(delays, 0.5), delay_ms_p99: part(delays, 0.99),
  }));
} finally {
  await browser.close();
  await Promise.all([daemon.stop(), books.end()]);
}
