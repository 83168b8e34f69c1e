// The tab Books on this machine, without tokens.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { Books, Daemon, becomes, browse, failures, live, titles, watchedPage } from "./stack.js";

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
  ({ page, problems } = await watchedPage(browser, daemon.url));
});

const row = (/** @type {string} */ title) =>
  page.getByRole("row").filter({ has: page.getByRole("link", { name: title, exact: true }) });
const bar = (/** @type {string} */ title) => row(title).getByRole("progressbar");
const phase = (/** @type {string} */ name) =>
  page.getByRole("group", { name: "Phase" }).getByRole("button", { name: new RegExp(`^${name}`) });
const dialog = (/** @type {string | RegExp} */ name) => page.getByRole("dialog", { name });

test("failed books are above the list, and all books move as they change", async () => {
  await books.book("Old and waiting");
  const failed = await books.book("Ink ran dry", ["ANALYZING"]);
  const moving = await books.book("The Tide", ["ANALYZING"]);
  await books.fail(failed, "The ink ran dry on page 12.");
  await page.goto(daemon.url);
  await live(page);
  await becomes(() => titles(page), ["The Tide", "Old and waiting"]);
  await becomes(() => failures(page), ["Ink ran dry"]);
  await page.getByText("The ink ran dry on page 12.").waitFor();
  await books.report(moving, "analyze_characters", 3, 4, "character");
  await becomes(() => bar("The Tide").getAttribute("aria-valuenow"), "7");
  await books.book("Brand new");
  await becomes(() => titles(page), ["Brand new", "The Tide", "Old and waiting"]);
  await books.fail(moving, "Gone");
  await becomes(() => failures(page), ["The Tide", "Ink ran dry"]);
  await becomes(() => titles(page), ["Brand new", "Old and waiting"]);
  await becomes(() => page.title(), "(2 failed) Bindery");
  assert.deepEqual(problems, []);
});

test("a queued book is not counted as at work", async () => {
  await books.book("Waiting");
  await books.book("At work", ["ANALYZING"]);
  await page.goto(daemon.url);
  await becomes(() => phase("Queued").textContent(), "Queued 1");
  await becomes(() => phase("At work").textContent(), "At work 1");
  await phase("Queued").click();
  await becomes(() => titles(page), ["Waiting"]);
  await phase("At work").click();
  await becomes(() => titles(page), ["At work"]);
  assert.deepEqual(problems, []);
});

test("filters are in the address, and hold for later changes", async () => {
  await books.book("The Tide", ["ANALYZING"]);
  await books.book("The Goose", ["CANCELLED"]);
  const other = await books.book("Fog", ["ANALYZING"]);
  await page.goto(daemon.url);
  await live(page);
  await phase("Cancelled").click();
  await becomes(() => titles(page), ["The Goose"]);
  await books.run("select from bindery.cancel_book($1)", [other]);
  await becomes(() => titles(page), ["Fog", "The Goose"]);
  await becomes(() => phase("Cancelled").textContent(), "Cancelled 2");
  await phase("All").click();
  await page.getByRole("searchbox").fill("the");
  await becomes(() => titles(page), ["The Goose", "The Tide"]);
  await books.book("A different one");
  await books.book("Mind the gap");
  await becomes(() => titles(page), ["Mind the gap", "The Goose", "The Tide"]);
  await becomes(async () => new URL(page.url()).hash, "#/books?q=the");
  await page.getByRole("combobox", { name: "Sort by" }).selectOption("Title");
  await becomes(() => titles(page), ["Mind the gap", "The Goose", "The Tide"]);
  await page.getByRole("button", { name: "Reverse the order" }).click();
  await becomes(() => titles(page), ["The Tide", "The Goose", "Mind the gap"]);
  await page.reload();
  await becomes(() => titles(page), ["The Tide", "The Goose", "Mind the gap"]);
  assert.equal(await page.getByRole("searchbox").inputValue(), "the");
  await page.getByRole("searchbox").fill("no such book");
  await page.getByText("No results").waitFor();
  assert.deepEqual(problems, []);
});

test("books are found by the text of their error, and by tag, pipeline and status", async () => {
  const dry = await books.book("The Tide", ["ANALYZING"]);
  await books.book("The Goose", ["ANALYZING"]);
  await books.fail(dry, "The ink ran dry.");
  await books.run(
    `select from bindery.register_book(gen_random_uuid(), null, title => 'Tagged',
       metadata => '{"tags": ["urgent"]}')`,
  );
  await page.goto(`${daemon.url}/#/books?q=INK`);
  await becomes(() => failures(page), ["The Tide"]);
  await page.goto(`${daemon.url}/#/books?tag=urgent`);
  await becomes(() => titles(page), ["Tagged"]);
  await page.goto(`${daemon.url}/#/books?status=ANALYZING`);
  await becomes(() => titles(page), ["The Goose"]);
  await page.getByRole("button", { name: "Filters" }).click();
  await page.getByLabel("Status").fill("UPLOADED");
  await page.getByLabel("Status").press("Enter");
  await becomes(() => titles(page), ["Tagged"]);
  await page.getByRole("button", { name: "Clear filters" }).click();
  await becomes(() => titles(page), ["Tagged", "The Goose"]);
  assert.deepEqual(problems, []);
});

test("nothing moves under the pointer, and new books wait to be shown", async () => {
  await books.book("First");
  await books.book("Second");
  await page.goto(daemon.url);
  await live(page);
  await row("First").hover();
  await books.book("Third");
  await page.getByRole("button", { name: "1 new" }).waitFor();
  assert.deepEqual(await titles(page), ["Second", "First"]);
  await page.getByRole("button", { name: "1 new" }).click();
  await becomes(() => titles(page), ["Third", "Second", "First"]);
  const failed = await books.book("Fourth", ["ANALYZING"]);
  await becomes(() => titles(page), ["Fourth", "Third", "Second", "First"]);
  await row("First").hover();
  await page.mouse.move(300, 400);
  await books.fail(failed, "Gone");
  await row("Fourth").getByText("Reading the book · Gone").waitFor();
  assert.deepEqual(await failures(page), []);
  await page.mouse.move(300, 10);
  await becomes(() => failures(page), ["Fourth"]);
  assert.deepEqual(problems, []);
});

test("several books are resumed after a count, with a result for each", async () => {
  const ids = [];
  for (const title of ["One", "Two"]) {
    const id = await books.book(title, ["ANALYZING"]);
    await books.fail(id, "Gone");
    ids.push(id);
  }
  await books.book("Three", ["ANALYZING"]);
  await page.goto(daemon.url);
  await becomes(() => failures(page), ["Two", "One"]);
  await page.getByRole("checkbox", { name: "Select One" }).check();
  await page.getByRole("checkbox", { name: "Select Two" }).check();
  await page.getByRole("checkbox", { name: "Select Three" }).check();
  const selection = page.getByRole("group", { name: "Selected books" });
  await selection.getByText("3 selected").waitFor();
  await selection.getByRole("button", { name: "Resume" }).click();
  await dialog("Resume 2 books?")
    .getByText(/1 book will be left as they are/)
    .waitFor();
  await dialog("Resume 2 books?").getByRole("button", { name: "Resume 2 books" }).click();
  const results = dialog("2 books resumed").getByRole("listitem");
  await becomes(() => results.count(), 3);
  await becomes(() => failures(page), []);
  await dialog("2 books resumed").getByRole("button", { name: "Close" }).click();
  assert.deepEqual(problems, []);
});

test("all books of a filter are cancelled on the server", async () => {
  for (let n = 0; n < 5; n += 1) await books.book(`Tide ${n}`, ["ANALYZING"]);
  await books.book("Goose", ["ANALYZING"]);
  await page.goto(`${daemon.url}/#/books?q=tide`);
  await becomes(async () => (await titles(page)).length, 5);
  await page.getByRole("checkbox", { name: "Select all books of this list" }).check();
  const selection = page.getByRole("group", { name: "Selected books" });
  await selection.getByText("All 5 selected").waitFor();
  await selection.getByRole("button", { name: "Cancel" }).click();
  await dialog("Cancel 5 books?").getByText("This cannot be undone.").waitFor();
  await dialog("Cancel 5 books?").getByRole("button", { name: "Cancel 5 books" }).click();
  await dialog("5 books cancelled").getByRole("button", { name: "Close" }).click();
  await phase("Cancelled").click();
  await becomes(async () => (await titles(page)).length, 5);
  await page.getByRole("searchbox").fill("");
  await phase("At work").click();
  await becomes(() => titles(page), ["Goose"]);
  assert.deepEqual(problems, []);
});

test("without books it shows how to report one, and loads samples", async () => {
  await page.goto(daemon.url);
  await page.getByRole("heading", { name: "No books yet" }).waitFor();
  for (const name of ["curl", "Python", "TypeScript"])
    assert.match(
      (await page.getByLabel(`${name} example`).textContent()) ?? "",
      new RegExp(daemon.url),
    );
  await page.getByRole("button", { name: "Load sample books" }).click();
  await becomes(() => failures(page), ["Post over the Stone Pass"]);
  await becomes(async () => (await titles(page)).length, 6);
  assert.deepEqual(problems, []);
});

test("a title is text, whatever it contains", async () => {
  await books.book("<img src=x onerror=alert(1)>");
  await books.book(" ");
  await page.goto(daemon.url);
  await becomes(() => titles(page), ["Untitled book", "<img src=x onerror=alert(1)>"]);
  assert.deepEqual(problems, []);
});

test("a lost connection is shown, and the list is current again afterwards", async () => {
  const book = await books.book("The Tide", ["ANALYZING"]);
  await page.goto(daemon.url);
  await live(page);
  await becomes(() => titles(page), ["The Tide"]);
  await daemon.stop();
  await page.getByText("Reconnecting", { exact: true }).waitFor();
  await books.report(book, "analyze_characters", 3, 4);
  await books.book("Registered meanwhile");
  await daemon.again();
  await live(page);
  await becomes(() => titles(page), ["Registered meanwhile", "The Tide"]);
  await becomes(() => bar("The Tide").getAttribute("aria-valuenow"), "7");
});

test("the empty page is shown only after an answer has come", async () => {
  await books.book("The Tide");
  const refused = { status: 503, json: { code: "08000", message: "Postgres does not answer" } };
  await page.route(/\/api\/(books|events)/, (route) => route.fulfill(refused));
  await page.goto(daemon.url);
  await page.getByText("Reconnecting", { exact: true }).waitFor();
  assert.equal(await page.locator(".nothing").count(), 0);
  await page.unroute(/\/api\/(books|events)/);
  await becomes(() => titles(page), ["The Tide"]);
});

test("after an hour asleep it is current again", async () => {
  await books.book("The Tide");
  await page.clock.install();
  await page.goto(daemon.url);
  await live(page);
  await becomes(() => titles(page), ["The Tide"]);
  const requested = page.waitForRequest(/\/api\/books\?/);
  await page.clock.fastForward("01:00:00");
  await requested;
  await books.book("Registered at night");
  await becomes(() => titles(page), ["Registered at night", "The Tide"]);
  assert.deepEqual(problems, []);
});
