// 10,000 books in the list.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Books, Daemon, becomes, browse, live, watchedPage } from "./stack.js";

const BOOKS = 10_000;

/** @type {Daemon} */ let daemon;
/** @type {Books} */ let books;
/** @type {import("playwright-core").Browser} */ let browser;

before(async () => {
  [daemon, books, browser] = await Promise.all([Daemon.start(), Books.connect(), browse()]);
  await books.clear();
  await books.run(
    `select count(*) from generate_series(1, $1) n, lateral bindery.register_book(
       gen_random_uuid(), null, title => format('Book %s', lpad(n::text, 5, '0')))`,
    [BOOKS],
  );
});
after(async () => {
  await books.clear();
  await browser.close();
  await Promise.all([daemon.stop(), books.end()]);
});

test("a list of 10,000 books has its true length, few rows, and every book", async () => {
  const { page, problems } = await watchedPage(browser, daemon.url, {
    viewport: { width: 1440, height: 900 },
  });
  /** @type {string[]} */ const pages = [];
  page.on("request", (request) => {
    if (request.url().includes("/api/books?") && request.url().includes("after=")) pages.push("");
  });
  await page.goto(daemon.url);
  await live(page);
  const table = page.getByRole("table", { name: "Books" });
  await becomes(() => table.getAttribute("aria-rowcount"), String(BOOKS + 1));
  await page.getByRole("link", { name: "Book 10000" }).waitFor();
  const rows = page.locator(".row:not(.empty-row)");
  const visible = () =>
    page.evaluate(() => {
      const box = document.querySelector(".rows")?.getBoundingClientRect() ?? new DOMRect();
      return [...document.querySelectorAll(".row:not(.empty-row)")].filter((row) => {
        const { top, bottom } = row.getBoundingClientRect();
        return top >= box.top - 1 && bottom <= box.bottom + 1;
      }).length;
    });
  assert.ok((await visible()) >= 20, `${await visible()} books are visible at 1440x900`);
  assert.ok((await rows.count()) < 60, "only the rows near the visible ones exist");
  assert.ok(pages.length <= 1, "books that are far away are not read");
  await page.locator(".rows").evaluate((box) => box.scrollTo(0, box.scrollHeight));
  await page.getByRole("link", { name: "Book 00001" }).waitFor();
  assert.ok(pages.length <= BOOKS / 200, `every page is read once: ${pages.length}`);
  assert.ok((await rows.count()) < 60);
  // The visible rows stay where they are when a book comes above them.
  const place = () =>
    page
      .getByRole("link", { name: "Book 00005" })
      .evaluate((link) => link.getBoundingClientRect().top);
  const before = await place();
  await books.book("A new one");
  await becomes(() => table.getAttribute("aria-rowcount"), String(BOOKS + 2));
  assert.ok(Math.abs((await place()) - before) < 1);
  assert.deepEqual(problems, []);
  await page.context().close();
});
