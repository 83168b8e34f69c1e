// Makes docs/images/page-*.png: the list in light, dark and phone width, a book, the first start,
// and the tabs for operators.
import { mkdir } from "node:fs/promises";
import { furnishOperation } from "./furnish-operation.js";
import { furnish } from "./furnish.js";
import { Books, Daemon, browse, live, newPage } from "./stack.js";

const folder = new URL("../../docs/images/", import.meta.url).pathname;
const [daemon, books, browser] = await Promise.all([Daemon.start(), Books.connect(), browse()]);

/**
 * @param {string} name
 * @param {import("playwright-core").BrowserContextOptions} looks
 * @param {(page: import("playwright-core").Page) => Promise<unknown>} prepare
 */
async function picture(name, looks, prepare) {
  const page = await newPage(browser, {
    deviceScaleFactor: 1.5,
    reducedMotion: "reduce",
    ...looks,
  });
  await page.goto(daemon.url);
  await live(page);
  await prepare(page);
  await page.screenshot({ path: `${folder}page-${name}.png` });
  console.log(`docs/images/page-${name}.png`);
  await page.context().close();
}

const wide = { width: 1280, height: 800 };
const list = (/** @type {import("playwright-core").Page} */ page) =>
  page.getByRole("link", { name: "The Salt Clock" }).waitFor();
const book =
  (/** @type {string} */ title) => async (/** @type {import("playwright-core").Page} */ page) => {
    await page.getByRole("link", { name: title }).click();
    await page.locator(".history li").first().waitFor();
    await page.mouse.move(0, 0);
  };

try {
  await mkdir(folder, { recursive: true });
  await books.clear();
  await picture("empty", { colorScheme: "light", viewport: wide }, (page) =>
    page.getByRole("heading", { name: "No books yet" }).waitFor(),
  );
  await furnish(books, true);
  await picture("light", { colorScheme: "light", viewport: wide }, list);
  await picture("dark", { colorScheme: "dark", viewport: wide }, list);
  await picture("book", { colorScheme: "light", viewport: wide }, book("Post over the Stone Pass"));
  await picture("narrow", { colorScheme: "light", viewport: { width: 390, height: 844 } }, list);
  await furnishOperation(books, daemon.args[daemon.args.indexOf("--stream") + 1] ?? "");
  await picture("dead-letters", { colorScheme: "light", viewport: wide }, async (page) => {
    await page.getByRole("link", { name: "Dead letters" }).click();
    await page
      .getByRole("button", { name: /illegal_transition .*A book in/ })
      .first()
      .click();
    await page.getByText("What to do").waitFor();
    await page.mouse.move(0, 0);
  });
  await picture("system", { colorScheme: "light", viewport: wide }, async (page) => {
    await page.getByRole("link", { name: "System" }).click();
    await page.getByText(/checks without a problem/).waitFor();
    await page.getByText("events/s").first().waitFor();
  });
  await picture("pipelines", { colorScheme: "dark", viewport: wide }, async (page) => {
    await page.getByRole("link", { name: "Pipelines" }).click();
    await page.locator(".graph").first().waitFor();
  });
} finally {
  await browser.close();
  await Promise.all([daemon.stop(), books.end()]);
}
