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

test("a token beside a place in the address leaves it, and the place stays", async () => {
  const page = await newPage(browser);
  const service = token({ role: "service_role" });
  for (const query of [`q=reader&token=${service}`, `token=${service}&q=reader`]) {
    await page.goto("about:blank");
    await page.goto(`${daemon.url}/#/books?${query}`);
    await page.getByRole("link", { name: "Another reader’s" }).waitFor();
    assert.equal(new URL(page.url()).hash, "#/books?q=reader");
    await page.getByRole("button", { name: "Forget the token" }).click();
  }
  await page.context().close();
});

test("an open page takes a token from its address, too", async () => {
  const page = await newPage(browser);
  await page.goto(daemon.url);
  await page.getByLabel("Token").waitFor();
  await page.evaluate(
    (jwt) => {
      location.hash = `#token=${jwt}`;
    },
    token({ role: "service_role" }),
  );
  await page.getByRole("link", { name: "Another reader’s" }).waitFor();
  assert.ok(!page.url().includes("token"), page.url());
  await page.context().close();
});

test("a token that was broken into lines is taken, and a text that is none is refused", async () => {
  const page = await newPage(browser);
  await page.goto(daemon.url);
  await page.getByLabel("Token").fill("a token?");
  await page.getByRole("button", { name: "Show the books" }).click();
  await page.getByText("The token was rejected").waitFor();
  await page.getByLabel("Token").fill("“eyJ”");
  await page.getByRole("button", { name: "Show the books" }).click();
  await page.getByText("The token was rejected: It is not a JWT.").waitFor();
  const lines = token({ role: "service_role" }).replaceAll(/.{40}/g, "$&\n");
  await page.getByLabel("Token").fill(` Bearer ${lines}`);
  await page.getByRole("button", { name: "Show the books" }).click();
  await page.getByRole("link", { name: "Another reader’s" }).waitFor();
  await page.context().close();
});

test("a browser that forbids storage shows the books", async () => {
  const page = await newPage(browser);
  await page.addInitScript(() => {
    for (const name of ["localStorage", "sessionStorage"])
      Object.defineProperty(window, name, {
        get() {
          throw new DOMException("forbidden", "SecurityError");
        },
      });
  });
  await page.goto(`${daemon.url}/#token=${token({ role: "service_role" })}`);
  await page.getByRole("link", { name: "Another reader’s" }).waitFor();
  await page.getByRole("button", { name: "Use dark colors" }).click();
  await page.getByRole("button", { name: "Use light colors" }).waitFor();
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
