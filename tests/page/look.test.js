// The page for those who see little, prefer stillness, or have a small screen.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { furnish } from "./furnish.js";
import { Books, Daemon, SECRET, browse, faults, live, newPage } from "./stack.js";

/** @type {Daemon} */ let daemon;
/** @type {Daemon} */ let guarded;
/** @type {Books} */ let books;
/** @type {import("playwright-core").Browser} */ let browser;
/** @type {Awaited<ReturnType<typeof furnish>>} */ let shelf;

before(async () => {
  [daemon, guarded, books, browser] = await Promise.all([
    Daemon.start(),
    Daemon.start(["--jwt-secret", SECRET]),
    Books.connect(),
    browse(),
  ]);
  shelf = await furnish(books);
});
after(async () => {
  await browser.close();
  await Promise.all([daemon.stop(), guarded.stop(), books.end()]);
});

for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
  for (const width of [1440, 360]) {
    test(`axe finds nothing: ${colorScheme}, ${width} wide`, async () => {
      const page = await newPage(browser, {
        colorScheme,
        viewport: { width, height: 900 },
        reducedMotion: "reduce",
      });
      const check = async (/** @type {string} */ what) => {
        assert.deepEqual(await faults(page), [], what);
        const fits = await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
        assert.ok(fits, `${what}: nothing is wider than the screen`);
      };
      await page.goto(daemon.url);
      await live(page);
      await page.getByRole("link", { name: "The Salt Clock" }).waitFor();
      await check("the list");
      await page.getByRole("button", { name: "Filters" }).click();
      await page.getByLabel("Pipeline").waitFor();
      await check("the filters");
      for (const book of [shelf.pass, shelf.salt]) {
        await page.goto(`${daemon.url}/#/books?book=${book}`);
        await page.locator(".history li").first().waitFor();
        for (const summary of await page.locator(".panel summary").all()) await summary.click();
        await check("a book");
      }
      await page.getByRole("button", { name: "Cancel book…" }).click();
      await page.getByRole("dialog").waitFor();
      await check("a dialog");
      await page.goto(`${daemon.url}/#/books?q=nothing`);
      await page.getByText("No results").waitFor();
      await check("no results");
      await page.goto(guarded.url);
      await page.getByLabel("Token").waitFor();
      await check("the form for a token");
      await page.context().close();
    });
  }
}

test("the colors follow the system until the reader chooses, and the choice stays", async () => {
  const page = await newPage(browser, { colorScheme: "light" });
  await page.goto(daemon.url);
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await paper();
  assert.notEqual(light, dark);
  await page.emulateMedia({ colorScheme: "light" });
  await page.getByRole("button", { name: "Use dark colors" }).click();
  assert.equal(await paper(), dark);
  await page.reload();
  await page.getByRole("button", { name: "Use light colors" }).waitFor();
  assert.equal(await paper(), dark);
  await page.context().close();
});

test("nothing moves for those who prefer stillness", async () => {
  const page = await newPage(browser, { reducedMotion: "reduce" });
  await page.goto(daemon.url);
  const fill = page.locator(".row .bindery-segment-fill").first();
  await fill.waitFor({ state: "attached" });
  assert.equal(await fill.evaluate((bar) => getComputedStyle(bar).transitionDuration), "0s");
  await page.context().close();
});
