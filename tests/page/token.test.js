// The page where tokens are asked for: each user's own books, and nothing without one.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { Books, Daemon, SECRET, browse, newPage, token } from "./stack.js";

/** @type {Daemon} */ let daemon;
/** @type {Books} */ let books;
/** @type {import('playwright-core').Browser} */ let browser;
const ann = randomUUID();

before(async () => {
  [daemon, books, browser] = await Promise.all([
    Daemon.start(["--jwt-secret", SECRET]),
    Books.connect(),
    browse(),
  ]);
  await books.clear();
  await books.fail(await books.book("Ann’s", ["ANALYZING"], ann), "The ink ran dry.");
  await books.book("Another reader’s", [], randomUUID());
});
after(async () => {
  await browser.close();
  await Promise.all([daemon.stop(), books.end()]);
});

test("a pasted token shows its user’s books, and is forgotten on request", async () => {
  const page = await newPage(browser);
  await page.goto(daemon.url);
  await page.getByLabel("Token").fill("nonsense");
  await page.getByRole("button", { name: "Show the books" }).click();
  await page.getByText("The token was rejected").waitFor();
  await page.getByLabel("Token").fill(token({ role: "authenticated", sub: ann }));
  await page.getByRole("button", { name: "Show the books" }).click();
  await page.locator(".failed").getByRole("link", { name: "Ann’s" }).waitFor();
  assert.equal(await page.locator(".row").count(), 0, "no other books");
  assert.equal(
    await page.getByRole("button", { name: /Resume/ }).count(),
    0,
    "a user reads, and no more",
  );
  await page.reload();
  await page.locator(".failed").getByRole("link", { name: "Ann’s" }).waitFor();
  await page.getByRole("button", { name: "Forget the token" }).click();
  await page.getByLabel("Token").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await page.context().close();
});

test("a token in the address leaves it, and a service may act", async () => {
  const page = await newPage(browser);
  await page.goto(`${daemon.url}/#token=${token({ role: "service_role" })}`);
  await page.getByRole("button", { name: "Resume Ann’s" }).waitFor();
  await page.getByRole("link", { name: "Another reader’s" }).waitFor();
  assert.ok(!page.url().includes("token"), page.url());
  await page.context().close();
});

test("a token that runs out while books are watched is asked for anew", async () => {
  const page = await newPage(browser);
  await page.goto(
    `${daemon.url}/#token=${token({ role: "authenticated", sub: ann, exp: Math.floor(Date.now() / 1000) + 15 })}`,
  );
  await page.locator(".failed").getByRole("link", { name: "Ann’s" }).waitFor();
  await page.getByText("The token was rejected: JWT expired").waitFor();
  assert.equal(await page.locator(".books").count(), 0);
  await page.context().close();
});

test("without a secret, and where others reach the port, the page shows that the API is closed", async () => {
  const open = await Daemon.start([], "0.0.0.0");
  const page = await newPage(browser);
  await page.goto(open.url);
  await page.getByText("No token secret is configured").waitFor();
  assert.equal(await page.locator(".row").count(), 0);
  await page.context().close();
  await open.stop();
});
