// The components live: a change made in SQL is seen on the screen, on good days and on bad ones.
import { randomUUID } from "node:crypto";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Stage } from "./browser.js";
import { Books, Daemon, Network, token } from "./stack.js";

const stage = new Stage();
const books = new Books();
let daemon: Daemon;
let owner: string;

beforeAll(async () => {
  await Promise.all([stage.start(), books.start()]);
  daemon = new Daemon(stage.origin);
  await daemon.start();
  owner = randomUUID();
});

afterAll(async () => {
  await Promise.all([stage.stop(), books.stop()]);
  await daemon.stop();
});

const open = (more: Record<string, string>, where?: Parameters<Stage["page"]>[1]) =>
  stage.page({ base: daemon.base, token: token(owner), ...more }, where);
const live = (page: Page) => page.locator('[data-connection="live"]').waitFor();
const shows = (page: Page, pages: number) => page.getByText(`${pages} of 200 pages`).waitFor();

test("200 changes made in SQL are all seen on the screen; how soon is printed", async () => {
  const book = await books.book(owner, "The Tide");
  const page = await open({ book });
  await live(page);
  // On the screen is it two frames on: what the first one drew is seen then.
  await page.evaluate(() => {
    const seen = new Map<string, number>();
    Object.assign(globalThis, { seen });
    const look = () => {
      const text =
        document
          .querySelector('[data-state="active"] .bindery-substep-amount')
          ?.textContent.trim() ?? "";
      const drawn = () => seen.has(text) || seen.set(text, Date.now());
      requestAnimationFrame(() => requestAnimationFrame(drawn));
    };
    new MutationObserver(look).observe(document.body, {
      subtree: true,
      childList: true,
      characterData: true,
    });
  });
  const delays: number[] = [];
  for (let done = 1; done <= 200; done++) {
    const text = `${done} of 201 pages`;
    // From before the statement is sent: its commit is part of the way.
    const sent = Date.now();
    await books.report(book, done, 201);
    await page.waitForFunction((text) => (globalThis as unknown as Seen).seen.has(text), text);
    const seen = await page.evaluate(
      (text) => (globalThis as unknown as Seen).seen.get(text),
      text,
    );
    delays.push((seen ?? Number.NaN) - sent);
  }
  expect(delays).toHaveLength(200);
  delays.sort((a, b) => a - b);
  const [p50, p95, p99, max] = [delays[100], delays[190], delays[198], delays[199]];
  print("a change from its statement in SQL to the screen, ms", { p50, p95, p99, max });
  await page.context().close();
});

test("after a token expires while streaming, the page is reconnected with the next token", async () => {
  const book = await books.book(owner, "Fog");
  const page = await open({ book, token: token(owner, 20) });
  await live(page);
  await page.locator('.bindery-tracker:not([data-connection="live"])').waitFor();
  await books.report(book, 50);
  await page.evaluate((address) => history.replaceState(null, "", address), address({ book }));
  await live(page);
  await shows(page, 50);
  await books.report(book, 60);
  await shows(page, 60);
  await page.context().close();
});

test("a right that is revoked while streaming removes the book from the screen", async () => {
  const [book, other] = [await books.book(owner, "Taken away"), await books.book(owner, "Left")];
  const [one, list] = [await open({ book }), await open({ owner })];
  await Promise.all([live(one), live(list)]);
  await list.locator(`[data-book="${book}"]`).waitFor();
  const policy =
    "create policy hides on bindery.book_status as restrictive for select to authenticated";
  await books.run(`${policy} using (book_id <> '${book}')`);
  try {
    await books.report(book, 70);
    await list.locator(`[data-book="${book}"]`).waitFor({ state: "detached" });
    await one.getByText("Taken away").waitFor({ state: "detached" });
    expect(await one.getByText("70 of 200").count()).toBe(0);
    await list.locator(`[data-book="${other}"]`).waitFor();
  } finally {
    await books.run("drop policy hides on bindery.book_status");
  }
  await Promise.all([one.context().close(), list.context().close()]);
});

test("while a server restarts the page shows that it reconnects, then what it missed", async () => {
  const book = await books.book(owner, "Goose");
  const page = await open({ book });
  await live(page);
  await daemon.stop();
  try {
    await page.locator('[data-connection="reconnecting"]').waitFor();
    await page.locator(".bindery-tracker").getByText("Reconnecting").first().waitFor();
    await books.report(book, 80);
  } finally {
    await daemon.start();
  }
  await live(page);
  await shows(page, 80);
  await page.context().close();
});

test("after an hour of sleep the page shows that it may be out of date, then what it missed", async () => {
  const network = new Network(Number(new URL(daemon.base).port));
  await network.start();
  const book = await books.book(owner, "Asleep");
  const context = await stage.context();
  await context.clock.install();
  const page = await open({ base: network.base, book }, context);
  await live(page);
  await books.report(book, 10);
  await shows(page, 10);
  network.fallSilent();
  await books.report(book, 90);
  // Timers that fell due in that hour fire once, as they do on waking.
  await context.clock.fastForward("01:00:00");
  await page.locator('.bindery-tracker[data-stale="true"]').waitFor();
  expect(await page.locator(".bindery-tracker").textContent()).toContain("May be out of date");
  expect(await page.getByText("90 of 200").count()).toBe(0);
  network.comeBack();
  await shows(page, 90);
  await page.locator('[data-connection="live"][data-stale="false"]').waitFor();
  await books.report(book, 95);
  await shows(page, 95);
  await context.close();
  await network.stop();
});

test("two tabs of one browser show the same", async () => {
  const book = await books.book(owner, "Twice");
  const context = await stage.context();
  const tabs = [await open({ book }, context), await open({ book }, context)];
  for (const tab of tabs) await live(tab);
  await books.report(book, 33);
  for (const tab of tabs) await shows(tab, 33);
  await tabs[0]?.close();
  await books.report(book, 44);
  if (tabs[1] !== undefined) await shows(tabs[1], 44);
  await context.close();
});

test("200 books in a list with 50 changes a second all end right; the frame rate is printed", async () => {
  owner = randomUUID();
  const ids: string[] = [];
  for (let n = 0; n < 200; n++) ids.push(await books.book(owner, `Book ${n}`));
  const page = await open({ owner });
  await live(page);
  await page.locator("[data-book]").nth(199).waitFor({ state: "attached" });
  const SECONDS = 5;
  const frames = countFrames(page, SECONDS * 1000);
  const begun = performance.now();
  for (let n = 0; n < 50 * SECONDS; n++) {
    await books.report(ids[(n * 37) % 200] ?? "", 1 + n, 250);
    const early = begun + (n + 1) * 20 - performance.now();
    if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
  }
  const took = (performance.now() - begun) / 1000;
  print("200 books in one list", {
    changes_a_second: Math.round((50 * SECONDS) / took),
    ...(await frames),
  });
  const truth = await books.revisions(owner);
  for (const [id, revision] of truth)
    await page.locator(`[data-book="${id}"][data-revision="${revision}"]`).waitFor();
  await page.context().close();
});

interface Seen {
  seen: Map<string, number>;
}

const address = (more: Record<string, string>) =>
  stage.address({ base: daemon.base, token: token(owner), ...more });

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
    return {
      frames_a_second: Math.round((frames * 1000) / (last - begun)),
      longest_ms: Math.round(longest),
    };
  }, milliseconds);
}

function print(what: string, figures: Record<string, number | undefined>) {
  process.stdout.write(`${JSON.stringify({ what, ...figures })}\n`);
}
