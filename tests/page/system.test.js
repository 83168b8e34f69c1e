// The tab of the installation, on real servers.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { SCHEMES, WIDTHS, addLetters, faults, fits, tabAt } from "./operation.js";
import { Books, Daemon, browse } from "./stack.js";

/** @type {Daemon} */ let daemon;
/** @type {Books} */ let books;
/** @type {import('playwright-core').Browser} */ let browser;
/** @type {string} */ let stream;

before(async () => {
  [daemon, books, browser] = await Promise.all([Daemon.start(), Books.connect(), browse()]);
  // The daemons of the other tests do not sweep.
  await daemon.stop();
  daemon.args[daemon.args.indexOf("--sweep") + 1] = "1";
  await daemon.again();
  const system = await (await fetch(`${daemon.url}/api/system`)).json();
  stream = system.streams.find(
    (/** @type {any} */ one) => one.holder === system.daemon.holder,
  ).stream;
  await books.run("delete from bindery.dead_letters");
  await addLetters(books, "unknown_book", 3);
});
after(async () => {
  await browser.close();
  await Promise.all([daemon.stop(), books.end()]);
});

/** The card with this title. @param {import('playwright-core').Page} page @param {string} title */
const card = (page, title) =>
  page.locator(".card").filter({ has: page.getByRole("heading", { name: title, exact: true }) });

/** A fact's value. @param {import('playwright-core').Locator} within @param {string} name */
const fact = (within, name) =>
  within
    .locator(".fact")
    .filter({ has: within.page().getByText(name, { exact: true }) })
    .locator("dd");

test("a stream shows its holder, lag, rate and position", async () => {
  const { page, errors } = await tabAt(browser, `${daemon.url}/#/system`);
  const of = card(page, stream);
  await fact(of, "Lag").getByText("live", { exact: true }).waitFor();
  await fact(of, "Rate").getByText("0 events/s").waitFor();
  assert.match((await fact(of, "Holder").textContent()) ?? "", /^binderyd \d+ /);
  assert.equal(await fact(of, "Position").textContent(), "0-0");
  assert.equal(await fact(of, "Rejected").textContent(), "0");

  // What the relay has settled meanwhile is a rate above 0.
  await books.run(
    `update bindery.relay_cursors set applied = applied + 100000, position = '7-0'
     where stream = $1`,
    [stream],
  );
  await fact(of, "Rate")
    .getByText(/^[\d,]{2,} events\/s$/)
    .waitFor();
  assert.equal(await fact(of, "Applied").textContent(), "100,000");
  assert.equal(await fact(of, "Position").textContent(), "7-0");
  assert.deepEqual(errors, []);
  await page.context().close();
});

test("a stream without a holder is marked, and one that lags shows how long", async () => {
  await books.run(
    `insert into bindery.relay_cursors (stream, caught_up_at)
     values ('left:behind', now() - interval '10 minutes') on conflict do nothing`,
  );
  const { page } = await tabAt(browser, `${daemon.url}/#/system`);
  const of = card(page, "left:behind");
  await fact(of, "Holder").getByText("no relay holds it").waitFor();
  await fact(of, "Lag").getByText("10 min").waitFor();
  await books.run(`delete from bindery.relay_cursors where stream = 'left:behind'`);
  await of.waitFor({ state: "detached" });
  await page.context().close();
});

test("the parts of the installation are shown", async () => {
  const { page, errors } = await tabAt(browser, `${daemon.url}/#/system`);
  await fact(card(page, "Events"), "Dead letters").getByText("3", { exact: true }).waitFor();
  assert.match((await card(page, "Outbox").textContent()) ?? "", /Waiting[\d,]+ messages?/);
  assert.equal(await fact(card(page, "Sweeper"), "Interval").textContent(), "1 s");
  assert.match(
    (await fact(card(page, "Sweeper"), "Last sweep").textContent()) ?? "",
    /^[\d.]+ s ago$/,
  );
  const versions = card(page, "Kernel and schema");
  assert.match((await fact(versions, "Kernel").textContent()) ?? "", /^(native \d|portable)/);
  assert.equal(await fact(versions, "Schema").textContent(), "version 1");
  assert.equal(await fact(card(page, "Settings"), "patience").textContent(), "00:15:00");
  assert.ok((await card(page, "Relays").locator(".fact").count()) >= 1);
  await page.getByRole("link", { name: "3", exact: true }).click();
  await page.getByText("3 dead letters", { exact: true }).waitFor();
  assert.deepEqual(errors, []);
  await page.context().close();
});

test("the findings of doctor are shown with their remedies", async () => {
  const findings = await (await fetch(`${daemon.url}/api/system/findings`)).json();
  const bad = findings.findings.filter((/** @type {any} */ one) => one.level !== "ok");
  // The tests' login is a superuser, which doctor warns of.
  const checks = bad.map((/** @type {any} */ one) => one.check);
  assert.ok(checks.includes("postgres_role"), checks.join());
  const { page, errors } = await tabAt(browser, `${daemon.url}/#/system`);
  const list = page.getByRole("list", { name: "Problems" });
  await list.getByText("is a superuser").waitFor();
  await list.getByText("let the daemon log in as a role of its own").waitFor();
  assert.equal(await list.getByRole("listitem").count(), bad.length);
  await page.getByText(/\d+ checks without a problem/).click();
  await page
    .getByText(/^PostgreSQL \d/)
    .first()
    .waitFor();
  assert.deepEqual(errors, []);
  await page.context().close();
});

for (const colorScheme of SCHEMES) {
  for (const width of WIDTHS) {
    test(`axe finds nothing in the system: ${colorScheme}, ${width} px wide`, async () => {
      const looks = { colorScheme, viewport: { width, height: 900 } };
      const { page } = await tabAt(browser, `${daemon.url}/#/system`, looks);
      await card(page, "Sweeper").waitFor();
      await page.getByText(/\d+ checks without a problem/).click();
      assert.deepEqual(await faults(page), []);
      assert.ok(await fits(page), "nothing is wider than the window");
      await page.context().close();
    });
  }
}
