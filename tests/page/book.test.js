// One book beside the list, and the keyboard.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { Books, Daemon, becomes, browse, live, titles, watchedPage } from "./stack.js";

/** @type {Daemon} */ let daemon;
/** @type {Books} */ let books;
/** @type {import("playwright-core").Browser} */ let browser;
/** @type {import("playwright-core").Page} */ let page;
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
  ({ page, problems } = await watchedPage(browser, daemon.url, {
    permissions: ["clipboard-read", "clipboard-write"],
  }));
});

const panel = (/** @type {string} */ title) => page.getByRole("complementary", { name: title });
const happened = () => page.locator(".history .what").allTextContents();
const dialog = (/** @type {string} */ name) => page.getByRole("dialog", { name });
const hash = async () => new URL(page.url()).hash;

test("a book opens beside the list, with its history, and is rewound and cancelled there", async () => {
  const book = await books.book("The Tide", ["ANALYZING", "GENERATING_SCENES"]);
  await page.goto(daemon.url);
  await page.getByRole("link", { name: "The Tide" }).click();
  const sheet = panel("The Tide");
  await becomes(happened, ["Began Cutting scenes", "Began Reading the book", "Registered"]);
  await books.fail(book, "The knife is blunt.");
  await sheet.locator(".failure-text", { hasText: "The knife is blunt." }).waitFor();
  await sheet.getByRole("button", { name: "Resume" }).click();
  await dialog("Resume this book?").getByRole("button", { name: "Resume book" }).click();
  await becomes(async () => (await happened())[0], "Resumed at Cutting scenes · attempt 2");
  await sheet.getByRole("button", { name: "Rewind…" }).click();
  await dialog("Rewind this book?").getByRole("button", { name: "Rewind book" }).click();
  await becomes(async () => (await happened())[0], "Rewound to Reading the book · attempt 2");
  await sheet.getByRole("button", { name: "Cancel book…" }).click();
  await dialog("Cancel this book?").getByText("This cannot be undone.").waitFor();
  await dialog("Cancel this book?").getByRole("button", { name: "Keep" }).click();
  await sheet.getByRole("button", { name: "Cancel book…" }).click();
  await dialog("Cancel this book?").getByRole("button", { name: "Cancel book" }).click();
  await becomes(async () => (await happened())[0], "Cancelled in Reading the book · attempt 2");
  await becomes(hash, `#/books?book=${book}`);
  await page.keyboard.press("Escape");
  await sheet.waitFor({ state: "hidden" });
  await page.goBack();
  assert.deepEqual(problems, []);
});

test("a failed book shows where it resumes, and its error as JSON", async () => {
  const book = await books.book("The Salt Clock", ["ANALYZING"]);
  await books.run(
    `select from bindery.report_progress($1, 'detect_chapters', done => 30, total => 47,
       unit => 'chapter', checkpoint => '{"chapter": 30}')`,
    [book],
  );
  await books.fail(book, "The scanner jammed.");
  await page.goto(`${daemon.url}/#/books?book=${book}`);
  const sheet = panel("The Salt Clock");
  await sheet.getByText(/at chapter 31 of 47 \(Reading the book\), attempt 2 of 3/).waitFor();
  await sheet.getByText("Error as JSON").click();
  await sheet.getByRole("region", { name: "Error" }).getByRole("button", { name: "Copy" }).click();
  await sheet.getByRole("button", { name: "Copied" }).waitFor();
  assert.deepEqual(JSON.parse(await page.evaluate(() => navigator.clipboard.readText())), {
    code: "worker_failed",
    message: "The scanner jammed.",
  });
  await sheet.getByText("Checkpoints", { exact: true }).click();
  await sheet.getByLabel("Checkpoints").getByText('"chapter": 30').waitFor();
  assert.deepEqual(problems, []);
});

test("a stage of 300 substeps shows 200, unfinished first, and the others on request", async () => {
  const tide = await books.book("The Tide", ["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK"]);
  await books.run(
    `select from bindery.plan_substeps($1, 'CREATING_ARTWORK', (
       select jsonb_agg(jsonb_build_object('substep', format('page_%s', lpad(n::text, 3, '0'))))
       from generate_series(1, 300) n))`,
    [tide],
  );
  await books.report(tide, "page_001", 4, 4);
  await page.goto(`${daemon.url}/#/books?book=${tide}`);
  const sheet = panel("The Tide");
  await sheet.getByText("1 of 300 substeps done; 200 shown").waitFor();
  assert.equal(await sheet.locator(".bindery-substep-name").first().textContent(), "Page 002");
  await books.report(tide, "page_150", 3, 4, "panel");
  await sheet.getByText("3 of 4 panels").waitFor();
  await sheet.getByRole("button", { name: "All 300 substeps" }).click();
  await sheet.getByRole("button", { name: "Next 200 substeps" }).click();
  await becomes(() => sheet.locator(".bindery-substep").count(), 300);
  await sheet.getByLabel("Stage", { exact: true }).selectOption("Reading the book");
  await sheet.getByText("Extract text").waitFor();
  assert.deepEqual(problems, []);
});

test("the attempts of a stage are listed with why they ended", async () => {
  const tide = await books.book("The Tide", ["ANALYZING"]);
  await books.fail(tide, "The lamp went out.");
  await books.run("select from bindery.resume_book($1)", [tide]);
  await page.goto(`${daemon.url}/#/books?book=${tide}`);
  const attempts = panel("The Tide").locator(".bindery-attempt");
  await becomes(() => attempts.count(), 2);
  await attempts.first().getByText("The lamp went out.").waitFor();
  assert.deepEqual(problems, []);
});

test("the keyboard searches, moves, opens, resumes, closes and helps", async () => {
  for (const title of ["One", "Two", "Three"]) await books.book(title, ["ANALYZING"]);
  await page.goto(daemon.url);
  await live(page);
  await becomes(() => titles(page), ["Three", "Two", "One"]);
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await panel("Two").waitFor();
  await page.keyboard.press("j");
  await panel("One").waitFor();
  await page.keyboard.press("Escape");
  await panel("One").waitFor({ state: "hidden" });
  await page.keyboard.press("/");
  await page.keyboard.type("thr");
  await becomes(() => titles(page), ["Three"]);
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  await dialog("Keyboard").waitFor();
  await page.keyboard.press("Escape");
  await dialog("Keyboard").waitFor({ state: "hidden" });
  const failed = await books.book("Thrift", ["ANALYZING"]);
  await books.fail(failed, "Gone");
  await page.goto(`${daemon.url}/#/books?book=${failed}`);
  await panel("Thrift").getByRole("button", { name: "Resume" }).waitFor();
  await page.keyboard.press("r");
  await dialog("Resume this book?").getByRole("button", { name: "Resume book" }).click();
  await panel("Thrift").getByRole("region", { name: "Error" }).waitFor({ state: "hidden" });
  assert.deepEqual(problems, []);
});

test("the key r resumes the open book, also one that the list does not have", async () => {
  const failed = await books.book("Thrift", ["ANALYZING"]);
  await books.fail(failed, "Gone");
  await page.goto(`${daemon.url}/#/books?q=nothing&book=${failed}`);
  await panel("Thrift").getByRole("button", { name: "Resume" }).waitFor();
  await page.getByText("No results").waitFor();
  await page.keyboard.press("r");
  await dialog("Resume this book?").getByRole("button", { name: "Resume book" }).click();
  await panel("Thrift").getByRole("region", { name: "Error" }).waitFor({ state: "hidden" });
  assert.deepEqual(problems, []);
});

test("without three samples there is no estimate, and an overdue stage is marked", async () => {
  const tide = await books.book("The Tide", ["ANALYZING"]);
  await page.goto(`${daemon.url}/#/books?book=${tide}`);
  const sheet = panel("The Tide");
  await sheet.waitFor();
  assert.equal(await sheet.getByText(/left|longer than usual/).count(), 0);
  await page.route(`**/api/books/${tide}/status`, async (route) => {
    const response = await route.fetch();
    const status = await response.json();
    const started = new Date(Date.now() - 11 * 60_000).toISOString();
    status.stages[0] = { ...status.stages[0], median_seconds: 240, started_at: started };
    await route.fulfill({ response, json: status });
  });
  await page.reload();
  await sheet.getByText("longer than usual (median 4 min, now 11 min)").waitFor();
  assert.deepEqual(problems, []);
  await page.unrouteAll({ behavior: "wait" });
});

test("on a phone the book replaces the list, and gives it back", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  await books.book("The Tide", ["ANALYZING"]);
  await page.goto(daemon.url);
  await page.getByRole("link", { name: "The Tide" }).click();
  await panel("The Tide").waitFor();
  assert.equal(await page.getByRole("table").isVisible(), false);
  await page.getByRole("button", { name: "Close the book" }).click();
  await becomes(() => titles(page), ["The Tide"]);
  assert.deepEqual(problems, []);
});

test("an unknown book is reported as such", async () => {
  await page.goto(`${daemon.url}/#/books?book=6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b`);
  await panel("Book").getByText("This book does not exist, or you may not view it.").waitFor();
  await page.goto(`${daemon.url}/#/books?book=nonsense`);
  await panel("Book").getByText("The book's ID is invalid.").waitFor();
});
