// What the tests of the tabs for operators share.
import axe from "axe-core";
import { newPage } from "./stack.js";

/** Widths of a desk and of a phone. */
export const WIDTHS = [1440, 360];
export const SCHEMES = /** @type {const} */ (["light", "dark"]);

/**
 * A page at one tab, and the errors that its console has.
 * @param {import('playwright-core').Browser} browser
 * @param {string} url
 * @param {import('playwright-core').BrowserContextOptions} [looks]
 */
export async function tabAt(browser, url, looks) {
  const page = await newPage(browser, looks);
  /** @type {string[]} */ const errors = [];
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(url);
  return { page, errors };
}

/** What axe finds. @param {import('playwright-core').Page} page @returns {Promise<string[]>} */
export async function faults(page) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(() => /** @type {any} */ (window).axe.run());
  return found.violations.map(
    (/** @type {any} */ fault) =>
      `${fault.id}: ${fault.nodes
        .map((/** @type {any} */ node) => `${node.html} ${node.failureSummary}`)
        .join("\n")}`,
  );
}

/** Whether the page is no wider than its window. @param {import('playwright-core').Page} page */
export const fits = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);

/**
 * Adds dead letters: heartbeats of books that are not registered. Number 1 is the newest.
 * @param {import('./stack.js').Books} books
 * @param {string} reason
 * @param {number} number
 * @param {string} [stream]
 */
export const addLetters = (books, reason, number, stream = "page") =>
  books.run(
    `insert into bindery.dead_letters
       (stream, event_id, first_event_id, book_id, reason, message, payload, at)
     select $3, n || '-0', n || '-0', b.id, $1, 'Refused for a test, number ' || n || '.',
       jsonb_build_object('type', 'heartbeat', 'id', n || '-0', 'count', 1, 'segment', 1,
         'book_id', b.id), now() - n * interval '1 minute'
     from generate_series($2::int, 1, -1) n cross join lateral (
       select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid as id) b`,
    [reason, number, stream],
  );
