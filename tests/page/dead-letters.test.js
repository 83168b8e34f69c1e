// The tab of dead letters and early events, on real servers with 1,000 dead letters.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, beforeEach, test } from "node:test";
import { SCHEMES, WIDTHS, addLetters, faults, fits, tabAt } from "./operation.js";
import { Books, Daemon, SECRET, browse, newPage, token } from "./stack.js";

/** @type {Daemon} */ let daemon;
/** @type {Daemon} */ let guarded;
/** @type {Books} */ let books;
/** @type {import('playwright-core').Browser} */ let browser;

before(async () => {
  [daemon, guarded, books, browser] = await Promise.all([
    Daemon.start(),
    Daemon.start(["--jwt-secret", SECRET]),
    Books.connect(),
    browse(),
  ]);
});
after(async () => {
  await browser.close();
  await Promise.all([daemon.stop(), guarded.stop(), books.end()]);
});
beforeEach(async () => {
  await books.clear();
  await books.run("delete from bindery.dead_letters");
  await books.run("delete from bindery.early_events");
  await addLetters(books, "unknown_book", 600);
  await addLetters(books, "bad_uuid", 300, "other");
  await addLetters(books, "illegal_transition", 100);
});

const at = (/** @type {string} */ query = "", { url } = daemon) => `${url}/#/dead-letters${query}`;
const number = async () => {
  const { rows } = await books.client.query("select count(*)::int as n from bindery.dead_letters");
  return rows[0].n;
};

test("dead letters are listed by reason, with the event, why, and what to do", async () => {
  const { page, errors } = await tabAt(browser, at());
  await page.getByText("1,000 dead letters").waitFor();
  const reasons = page.getByRole("list", { name: "Reasons" }).getByRole("button");
  assert.deepEqual(await reasons.allTextContents(), [
    "unknown_book 600",
    "bad_uuid 300",
    "illegal_transition 100",
  ]);
  await reasons.filter({ hasText: "bad_uuid" }).click();
  await page.getByText("300 dead letters").waitFor();
  assert.match(page.url(), /reason=bad_uuid/);
  const item = page.locator(".letter").first();
  await item.getByRole("button", { name: /bad_uuid/ }).click();
  await item.getByText("Correct the producer: book_id and owner_id are uuids.").waitFor();
  assert.match((await item.locator("pre").textContent()) ?? "", /"type": "heartbeat"/);
  assert.equal(await item.getByText("Refused for a test").count(), 2, "in the line and as the why");

  // The address is the state: another tab shows the same.
  const { page: again } = await tabAt(browser, page.url());
  await again.getByText("What to do").waitFor();
  assert.equal(await again.locator(".letter-detail").count(), 1);
  await again.context().close();
  await page.goBack();
  assert.deepEqual(errors, []);
  await page.context().close();
});

test("all 1,000 dead letters can be read, each once and the newest first", async () => {
  const { page, errors } = await tabAt(browser, at());
  const older = page.getByRole("button", { name: /Show older/ });
  for (let shown = 100; shown < 1000; shown += 100) {
    await page.getByText(`Show older (${shown} of 1,000)`).click();
    await page.waitForFunction(
      (least) => document.querySelectorAll(".letter").length >= least,
      shown + 100,
    );
  }
  await older.waitFor({ state: "detached" });
  const ids = await page
    .locator(".letter")
    .evaluateAll((items) => items.map((item) => Number(/** @type {any} */ (item).dataset.id)));
  assert.equal(new Set(ids).size, 1000);
  assert.deepEqual(
    ids,
    [...ids].sort((a, b) => b - a),
  );
  assert.deepEqual(errors, []);
  await page.context().close();
});

test("a search finds messages and ids, and the list follows new dead letters", async () => {
  const { page } = await tabAt(browser, at());
  const search = page.getByRole("searchbox", { name: "Search messages and ids" });
  await search.fill("for a test, number 599.");
  await page.getByText("1 dead letter", { exact: true }).waitFor();
  await search.fill("no such text");
  await page.getByText("No results").waitFor();
  await search.fill("");
  await page.getByText("1,000 dead letters").waitFor();
  await addLetters(books, "too_deep", 1);
  await page.getByText("1,001 dead letters").waitFor();
  await page.getByRole("button", { name: "too_deep 1" }).waitFor();
  await page.context().close();
});

test("a replay by filter counts first, describes the effect, and shows the outcome", async () => {
  await books.run(
    `select from generate_series(1, 40) n cross join lateral bindery.register_book(
       ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid) b`,
  );
  const { page, errors } = await tabAt(browser, at("?reason=illegal_transition"));
  await page.getByRole("button", { name: "Replay all 100…" }).click();
  const dialog = page.getByRole("dialog", { name: "Replay 100 dead letters?" });
  await dialog.getByText("the oldest first").waitFor();
  await dialog.getByRole("button", { name: "Keep" }).click();
  await dialog.waitFor({ state: "detached" });
  assert.equal(await number(), 1000, "counting changes nothing");

  await page.getByRole("button", { name: "Replay all 100…" }).click();
  await dialog.getByRole("button", { name: "Replay 100 dead letters" }).click();
  await page.getByText("Replayed: 40 events applied, 0 stale, 60 rejected again.").waitFor();
  // Those that were rejected again have their newest reason.
  await page.getByRole("button", { name: "unknown_book 660" }).waitFor();
  assert.equal(await number(), 960);
  assert.deepEqual(errors, []);
  await page.context().close();
});

test("a running drop stays in sight whatever the keys, and so does its failure", async () => {
  const { page } = await tabAt(browser, at("?reason=bad_uuid"));
  /** @type {(value?: unknown) => void} */ let release = () => undefined;
  const held = new Promise((resolve) => {
    release = resolve;
  });
  await page.route("**/api/dead-letters/drop", async (route) => {
    if (route.request().postDataJSON().dry_run) return route.continue();
    await held;
    return route.fulfill({ status: 503, json: { message: "Postgres does not answer" } });
  });
  await page.getByRole("button", { name: "Drop all 300…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Drop 300 dead letters" }).click();
  await dialog.getByText("0 events so far.").waitFor();
  for (const key of ["Escape", "Escape", "Escape"]) {
    await page.keyboard.press(key);
    await dialog.getByText("0 events so far.").waitFor();
  }
  release();
  await dialog.getByText("Postgres does not answer").waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  await page.getByRole("button", { name: "Drop all 300…" }).click();
  await dialog.getByRole("button", { name: "Drop 300 dead letters" }).waitFor();
  await page.context().close();
});

test("a selection is dropped, and only what the count was about", async () => {
  const { page, errors } = await tabAt(browser, at("?reason=bad_uuid"));
  await page.getByText("300 dead letters").waitFor();
  const boxes = page.getByRole("checkbox", { name: /Select dead letter/ });
  await boxes.nth(0).check();
  await boxes.nth(2).check();
  await page.getByText("2 selected", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Drop 2 selected…" }).click();
  const dialog = page.getByRole("dialog", { name: "Drop 2 dead letters?" });
  await dialog.getByText("This cannot be undone.").waitFor();
  await dialog.getByRole("button", { name: "Drop 2 dead letters" }).click();
  await page.getByText("Dropped 2 dead letters.").waitFor();
  await page.getByText("298 dead letters").waitFor();

  await page.getByRole("button", { name: "Drop all 298…" }).click();
  const all = page.getByRole("dialog", { name: "Drop 298 dead letters?" });
  await all.waitFor();
  await addLetters(books, "bad_uuid", 5);
  await all.getByRole("button", { name: "Drop 298 dead letters" }).click();
  await page.getByText("Dropped 298 dead letters.").waitFor();
  await page.getByText("5 dead letters", { exact: true }).waitFor();
  assert.equal(await number(), 705);
  assert.deepEqual(errors, []);
  await page.context().close();
});

test("early events show what they wait for and when they expire", async () => {
  const book = randomUUID();
  await books.run(
    `insert into bindery.early_events (stream, event_id, book_id, reason, message, payload, at)
     values ('page', '7-0', $1, 'unknown_book', 'The book is not registered.',
       '{"type": "heartbeat"}', now())`,
    [book],
  );
  const { page, errors } = await tabAt(browser, at());
  await page.getByRole("link", { name: "Early events" }).click();
  await page.getByText("1 early event", { exact: true }).waitFor();
  const item = page.locator(".letter").first();
  await item.getByRole("button").first().click();
  await item.getByText("It is applied when its book is registered.").waitFor();
  await item.getByText(/it becomes a dead letter in 1\d min/).waitFor();
  assert.equal(await page.getByRole("button", { name: /Replay|Drop/ }).count(), 0);
  assert.deepEqual(errors, []);
  await page.context().close();
});

test("a user who may not operate sees why, and nothing is read", async () => {
  const user = token({ role: "authenticated", sub: randomUUID() });
  const { page, errors } = await tabAt(browser, `${guarded.url}/#token=${user}`);
  await page.getByRole("link", { name: "Dead letters" }).click();
  await page.getByText("Only operators see this.").waitFor();
  assert.equal(await page.locator(".letter").count(), 0);
  assert.deepEqual(errors, [], "no request was refused");
  await page.context().close();
});

test("the list can be used with the keyboard alone", async () => {
  const { page, errors } = await tabAt(browser, at("?reason=bad_uuid"));
  await page.getByText("300 dead letters").waitFor();
  const opened = page.locator(".letter").filter({ has: page.locator(".letter-detail") });
  await page.keyboard.press("j");
  await opened.getByText("number 1.").first().waitFor();
  await page.keyboard.press("j");
  await opened.getByText("number 2.").first().waitFor();
  assert.equal(await opened.count(), 1);
  await page.keyboard.press("x");
  await page.getByText("1 selected", { exact: true }).waitFor();
  await page.keyboard.press("k");
  await opened.getByText("number 1.").first().waitFor();
  await page.keyboard.press("Escape");
  await opened.waitFor({ state: "detached" });
  await page.keyboard.press("Escape");
  await page.getByText("300 dead letters").waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("number 7.");
  await page.getByText("1 dead letter", { exact: true }).waitFor();
  assert.deepEqual(errors, []);
  await page.context().close();
});

test("the list is read again every few seconds, and not while the tab is hidden", async () => {
  const page = await newPage(browser);
  await page.clock.install();
  await page.goto(at());
  let requests = 0;
  page.on("request", (request) => {
    if (request.url().includes("/api/dead-letters")) requests += 1;
  });
  const show = (/** @type {string} */ state) =>
    page.evaluate((value) => {
      Object.defineProperty(document, "visibilityState", { value, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, state);
  const read = page.waitForResponse(/api\/dead-letters/);
  await page.clock.fastForward(5000);
  await read;
  await show("hidden");
  const before = requests;
  await page.clock.fastForward(60_000);
  assert.equal(requests, before, "hidden");
  const again = page.waitForRequest(/api\/dead-letters/);
  await show("visible");
  await again;
  assert.equal(requests, before + 1);
  await page.context().close();
});

for (const colorScheme of SCHEMES) {
  for (const width of WIDTHS) {
    test(`axe finds nothing in dead letters: ${colorScheme}, ${width} px wide`, async () => {
      const looks = { colorScheme, viewport: { width, height: 900 } };
      const { page } = await tabAt(browser, at("?reason=bad_uuid"), looks);
      const item = page.locator(".letter").first();
      await item.getByRole("button").first().click();
      await item.getByText("What to do").waitFor();
      assert.deepEqual(await faults(page), []);
      assert.ok(await fits(page), "nothing is wider than the window");
      await page.getByRole("button", { name: "Drop all 300…" }).click();
      await page.getByRole("dialog", { name: "Drop 300 dead letters?" }).waitFor();
      assert.deepEqual(await faults(page), []);
      await page.context().close();
    });
  }
}
