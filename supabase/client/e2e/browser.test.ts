import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type axe from "axe-core";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { id, row, status } from "../test/support/books.js";
import { Stage } from "./browser.js";

const stage = new Stage();

beforeAll(() => stage.start());
afterAll(() => stage.stop());

const failed = status({
  book_id: id(2),
  status: "FAILED",
  current_stage: "CREATING_ARTWORK",
  error: { code: "out_of_ink" },
  message: "The ink ran out",
  health: null,
});

test.each(["light", "dark"] as const)(
  "axe finds nothing in %s, contrast included, at phone width",
  async (colorScheme) => {
    stage.server.answer = (url) => [200, url.includes(id(2)) ? failed : status({ health: "quiet" })];
    for (const bookId of [id(1), id(2)]) {
      const page = await stage.page({ book: bookId }, { colorScheme, viewport: { width: 360, height: 740 } });
      await page.getByRole("progressbar").waitFor();
      await page.addScriptTag({
        content: readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8"),
      });
      const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run());
      expect(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
      if (process.env["SHOTS"])
        await page.screenshot({ path: `${process.env["SHOTS"]}/${colorScheme}-${bookId.slice(-1)}.png` });
      await page.close();
    }
  },
);

test("the bar keeps still for those who asked for less motion", async () => {
  stage.server.answer = () => [200, status()];
  const motion = async (reducedMotion: "reduce" | "no-preference") => {
    const page = await stage.page({ book: id(1) }, { reducedMotion });
    await page.getByRole("progressbar").waitFor();
    const property = await page
      .locator(".bindery-bar-fill")
      .evaluate((bar) => getComputedStyle(bar).transitionDuration);
    await page.close();
    return property;
  };
  expect([await motion("no-preference"), await motion("reduce")]).toEqual(["0.3s", "0s"]);
});

test("a server that is restarted: the page says that it reconnects, and shows what it missed", async () => {
  stage.server.answer = () => [200, status()];
  const page = await stage.page({ book: id(1) });
  const tracker = page.locator(".bindery-tracker");
  await page.locator('[data-connection="live"]').waitFor();
  await stage.stopServer();
  await page.locator('[data-connection="reconnecting"]').waitFor();
  expect(await tracker.textContent()).toContain("Reconnecting");
  await stage.startServer(() => [200, status({ revision: 30, overall_progress: 61 })]);
  await page.locator('[data-connection="live"]').waitFor();
  await page.locator('[aria-valuenow="61"]').waitFor();
  await page.close();
});

test("two tabs show the same book", async () => {
  stage.server.answer = () => [200, status()];
  const pages = [await stage.page({ book: id(1) }), await stage.page({ book: id(1) })];
  for (const page of pages) await page.locator('[data-connection="live"]').waitFor();
  stage.server.send("book_status", status({ revision: 6, overall_progress: 33 }), 6);
  for (const page of pages) await page.locator('[aria-valuenow="33"]').waitFor();
  await Promise.all(pages.map((page) => page.close()));
});

test("200 changes of a book, each waited for on the screen; how soon is printed", async () => {
  stage.server.answer = () => [200, status({ overall_progress: 0 })];
  const page = await stage.page({ book: id(1) });
  await page.locator('[data-connection="live"]').waitFor();
  // Each message is the time it was sent at. Seen is it two frames on: what the first one drew is on the screen then.
  await page.evaluate(() => {
    const delays = new Map<string, number>();
    Object.assign(globalThis, { delays });
    const look = () => {
      const sent = document.querySelector(".bindery-message")?.textContent ?? "";
      const seen = () => delays.has(sent) || delays.set(sent, Date.now() - Number(sent.split(" ")[1]));
      requestAnimationFrame(() => requestAnimationFrame(seen));
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  for (let n = 1; n <= 200; n++) {
    const message = `${n} ${Date.now()}`;
    stage.server.send("book_status", status({ revision: 5 + n, overall_progress: n / 2, message }), 5 + n);
    await page.waitForFunction((sent) => (globalThis as unknown as Delays).delays.has(sent), message);
  }
  const delays = await page.evaluate(() => [...(globalThis as unknown as Delays).delays.values()]);
  delays.sort((a, b) => a - b);
  print("server-sent event to screen, ms", {
    p50: delays[100],
    p95: delays[190],
    p99: delays[198],
    max: delays.at(-1),
  });
  await page.close();
});

test("200 books in a list with 50 changes a second all end right; the frame rate is printed", async () => {
  const books = Array.from({ length: 200 }, (_, n) => row({ book_id: id(n + 1), title: `Book ${n + 1}`, revision: 1 }));
  stage.server.answer = () => [200, { books, total: 200 }];
  const page = await stage.page({ owner: String(books[0]?.owner_id) });
  await page.locator('[data-connection="live"]').waitFor();
  const frames = countFrames(page, 5000);
  for (let n = 0; n < 250; n++) {
    const place = (n * 37) % 200;
    const book = books[place] ?? row();
    const next = { ...book, revision: book.revision + 1, overall_progress: (n * 7) % 100 };
    books[place] = next;
    stage.server.send("book_status", next);
    await page.waitForTimeout(18);
  }
  print("frames a second, 200 books, 50 changes a second", await frames);
  for (const book of books)
    await page.locator(`[data-book="${book.book_id}"][data-revision="${book.revision}"]`).waitFor();
  await page.close();
});

interface Delays {
  delays: Map<string, number>;
}

/** Frames a second over that time, and the longest wait for one, by the page's own clock. */
function countFrames(page: Page, milliseconds: number) {
  return page.evaluate(async (milliseconds) => {
    const begun = performance.now();
    let [frames, last, longest] = [0, begun, 0];
    while (last - begun < milliseconds) {
      const now = await new Promise<number>((resolve) => requestAnimationFrame(resolve));
      longest = Math.max(longest, now - last);
      last = now;
      frames += 1;
    }
    return { mean: Math.round((frames * 1000) / (last - begun)), longest_ms: Math.round(longest) };
  }, milliseconds);
}

function print(what: string, figures: Record<string, number | undefined>) {
  process.stdout.write(`${JSON.stringify({ what, ...figures })}\n`);
}
