// The tab of the pipelines, on real servers.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { SCHEMES, WIDTHS, faults, fits, tabAt } from "./operation.js";
import { Books, Daemon, browse } from "./stack.js";

/** @type {Daemon} */ let daemon;
/** @type {Books} */ let books;
/** @type {import('playwright-core').Browser} */ let browser;

before(async () => {
  [daemon, books, browser] = await Promise.all([Daemon.start(), Books.connect(), browse()]);
  await books.clear();
  for (let n = 0; n < 3; n += 1) await books.book(`Reading ${n}`, ["ANALYZING"]);
  await books.book("Scenes", ["ANALYZING", "GENERATING_SCENES"]);
  await books.fail(await books.book("Failed", ["ANALYZING"]), "The scan is empty.");
  await books.book("Cancelled", ["CANCELLED"]);
  // The sweep of another daemon may have refreshed the durations within the last minute.
  await books.run("delete from bindery_internal.pace_refresh");
  await books.run("delete from bindery_internal.stage_samples");
  await books.run("select bindery_internal.refresh_pace()");
  // A visit's duration is read from the clock; make it 4 minutes.
  await books.run(
    `update bindery_internal.stage_samples set seconds = 240 where stage = 'ANALYZING'`,
  );
});
after(async () => {
  await browser.close();
  await Promise.all([daemon.stop(), books.end()]);
});

const at = (/** @type {string} */ query = "") => `${daemon.url}/#/pipelines${query}`;
const comic = (/** @type {import('playwright-core').Page} */ page) =>
  page.locator('[data-pipeline="comic 1"]');

test("the graph has the states in order, and the number of books in each", async () => {
  const { page, errors } = await tabAt(browser, at());
  const graph = comic(page).locator(".graph");
  await graph.waitFor();
  const states = graph.locator(".graph-state");
  assert.deepEqual(
    await states.evaluateAll((all) =>
      all.map((state) => [
        /** @type {any} */ (state).dataset.state,
        Number(/** @type {any} */ (state).dataset.books),
      ]),
    ),
    [
      ["UPLOADED", 0],
      ["ANALYZING", 3],
      ["GENERATING_SCENES", 1],
      ["CREATING_ARTWORK", 0],
      ["COMPLETED", 0],
    ],
  );
  assert.equal(await graph.locator(".graph-edge").count(), 4);
  const words = (await graph.getAttribute("aria-label")) ?? "";
  assert.match(words, /Reading the book: 3 books, leads to Cutting scenes\./);
  assert.equal(
    await comic(page).locator(".pipeline-books").textContent(),
    "6 books · Failed 1 · Cancelled 1",
  );

  await books.book("One more", ["ANALYZING"]);
  await graph.locator('[data-state="ANALYZING"][data-books="4"]').waitFor();
  assert.deepEqual(errors, []);
  await page.context().close();
});

test("branches and rework are drawn as edges of their own", async () => {
  const { page } = await tabAt(browser, at());
  const edition = page.locator('[data-pipeline^="illustrated_edition"]');
  await edition.locator(".graph").waitFor();
  const { pipelines } = await (await fetch(`${daemon.url}/api/pipelines`)).json();
  const { states } = pipelines.find((/** @type {any} */ one) => one.name === "illustrated_edition");
  const sum = (/** @type {string} */ kind) =>
    states.reduce((/** @type {number} */ n, /** @type {any} */ state) => n + state[kind].length, 0);
  assert.ok(sum("rework") > 0);
  assert.equal(await edition.locator(".graph-edge.rework").count(), sum("rework"));
  assert.equal(await edition.locator(".graph-edge:not(.rework)").count(), sum("next"));
  await page.context().close();
});

test("a stage has its median and 95th percentile, and its failures as a chart", async () => {
  const { page, errors } = await tabAt(browser, at());
  const stage = comic(page).locator('[data-stage="ANALYZING"]');
  await stage.getByText("Median 4 min, 95th percentile 4 min, of 1 visit (few)").waitFor();
  await stage.getByText("1 failure", { exact: true }).waitFor();
  const chart = stage.getByRole("img");
  assert.match(
    (await chart.getAttribute("aria-label")) ?? "",
    /^Reading the book: 1 failure since \w+ \d+, most at \w+ \d+ \(1\)\.$/,
  );
  assert.equal(await chart.locator(".chart-bar").count(), 1);
  const other = comic(page).locator('[data-stage="CREATING_ARTWORK"]');
  await other.getByText("No book has finished this stage").waitFor();
  assert.match(
    (await other.getByRole("img").getAttribute("aria-label")) ?? "",
    /^Drawing: no failures since /,
  );

  await page.getByLabel("Failures of the last").selectOption("2 days");
  await page.waitForFunction(() =>
    /\d:00/.test(
      document.querySelector('[data-stage="ANALYZING"] .chart')?.getAttribute("aria-label") ?? "",
    ),
  );
  assert.match(page.url(), /days=2/);
  assert.deepEqual(errors, []);
  await page.context().close();
});

for (const colorScheme of SCHEMES) {
  for (const width of WIDTHS) {
    test(`axe finds nothing in the pipelines: ${colorScheme}, ${width} px wide`, async () => {
      const looks = { colorScheme, viewport: { width, height: 900 } };
      const { page } = await tabAt(browser, at(), looks);
      await comic(page).locator(".graph").waitFor();
      assert.deepEqual(await faults(page), []);
      assert.ok(await fits(page), "nothing is wider than the window");
      await page.context().close();
    });
  }
}
