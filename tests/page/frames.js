// Measures: 200 books in the list, 50 changes a second for ten seconds; how many frames Chromium
// draws, and how long a change of a visible book takes from its commit to the screen. Prints one
// JSON line. It does not fail for being slow.
import { performance } from "node:perf_hooks";
import { setTimeout as pause } from "node:timers/promises";
import { Books, Daemon, becomes, browse, live, newPage } from "./stack.js";

const BOOKS = 200;
const CHANGES_A_SECOND = 50;
const SECONDS = 10;

const [daemon, books, browser] = await Promise.all([Daemon.start(), Books.connect(), browse()]);
try {
  await books.clear();
  /** @type {string[]} */ const ids = [];
  for (let index = 0; index < BOOKS; index += 1)
    ids.push(await books.book(`Book ${index}`, ["ANALYZING"]));
  const page = await newPage(browser, { viewport: { width: 1440, height: 900 } });
  await page.goto(daemon.url);
  await live(page);
  const table = page.getByRole("table", { name: "Books" });
  await becomes(() => table.getAttribute("aria-rowcount"), String(BOOKS + 1));
  // In the page: a frame counter, and the moment at which each bar got its last value.
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
      const now = Date.now();
      for (const { target } of changes) {
        const bar = /** @type {Element} */ (target);
        if (!bar.matches(".row .bindery-bar")) continue;
        const title = bar.getAttribute("aria-label");
        state.drawn.set(`${title} ${bar.getAttribute("aria-valuenow")}`, now);
      }
    }).observe(document.body, { subtree: true, attributeFilter: ["aria-valuenow"] });
  });
  /** @type {Map<string, number>} */ const committed = new Map();
  const began = performance.now();
  for (let change = 0; change < CHANGES_A_SECOND * SECONDS; change += 1) {
    const index = change % BOOKS;
    // A tenth of the whole a round: half of the weight of ANALYZING, which is a fifth.
    const progress = 30 * (1 + Math.floor(change / BOOKS));
    await books.run("select from bindery.report_progress($1, 'analyze_characters', $2)", [
      ids[index] ?? "",
      progress,
    ]);
    committed.set(`Book ${index} ${Math.floor(progress * 0.5 * 0.2)}`, Date.now());
    const wait = began + (1000 * (change + 1)) / CHANGES_A_SECOND - performance.now();
    if (wait > 0) await pause(wait);
  }
  const took = performance.now() - began;
  await pause(1000);
  const seen = await page.evaluate(() => {
    const state = /** @type {any} */ (window);
    return {
      frames: /** @type {number[]} */ (state.frames),
      drawn: /** @type {[string, number][]} */ ([...state.drawn]),
    };
  });
  const first = seen.frames[0] ?? 0;
  const during = seen.frames.filter((at) => at - first < took);
  const gaps = during
    .slice(1)
    .map((at, index) => at - (during[index] ?? at))
    .sort((a, b) => a - b);
  const delays = seen.drawn
    .flatMap(([key, at]) => (committed.has(key) ? [at - (committed.get(key) ?? at)] : []))
    .sort((a, b) => a - b);
  const part = (/** @type {number[]} */ values, /** @type {number} */ share) =>
    Math.round(values[Math.floor(values.length * share)] ?? NaN);
  console.log(
    JSON.stringify({
      books: BOOKS,
      changes_a_second: Math.round((1000 * CHANGES_A_SECOND * SECONDS) / took),
      frames_a_second: Math.round((1000 * during.length) / took),
      longest_frame_ms: part(gaps, 0.9999),
      p99_frame_ms: part(gaps, 0.99),
      seen: delays.length,
      delay_ms_p50: part(delays, 0.5),
      delay_ms_p99: part(delays, 0.99),
    }),
  );
} finally {
  await browser.close();
  await Promise.all([daemon.stop(), books.end()]);
}
