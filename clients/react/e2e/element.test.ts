// <bindery-progress> in a page without a framework or a bundler: the built file and the stylesheet,
// under a policy that forbids inline scripts and styles.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { build } from "vite";
import { at, id, status } from "../test/support/books.js";
import { SseServer } from "../test/support/sse-server.js";
import { fits, violations } from "./axe.js";
import { executablePath, root } from "./browser.js";

const folder = mkdtempSync(join(tmpdir(), "bindery-element-"));
const daemon = new SseServer();
let pages: Server;
let browser: Browser;
let base = "";
let origin = "";

const html = () => `<!doctype html>
<html lang="en">
  <head>
    <title>A book</title>
    <link rel="icon" href="data:," />
    <link rel="stylesheet" href="/styles.css" />
    <script type="module" src="/bindery-progress.js"></script>
  </head>
  <body>
    <main><h1>A book</h1><bindery-progress book-id="${id(1)}" src="${base}"></bindery-progress></main>
  </body>
</html>`;
const policy = () =>
  `default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src ${base}`;

beforeAll(async () => {
  base = await daemon.start();
  await build({
    root,
    configFile: join(root, "vite.element.config.ts"),
    logLevel: "error",
    build: { outDir: folder },
  });
  pages = createServer(({ url = "" }, response) => {
    const [type, body] =
      url === "/styles.css"
        ? ["text/css", readFileSync(join(root, "styles.css"))]
        : url === "/bindery-progress.js"
          ? ["text/javascript", readFileSync(join(folder, "bindery-progress.js"))]
          : ["text/html", html()];
    response.writeHead(200, { "Content-Type": type, "Content-Security-Policy": policy() });
    response.end(body);
  });
  await new Promise<void>((resolve) => pages.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
});

afterAll(async () => {
  await browser.close();
  await daemon.stop();
  pages.closeAllConnections();
  pages.close();
  rmSync(folder, { recursive: true });
});

async function open(): Promise<{ page: Page; problems: string[] }> {
  const page = await browser.newPage({ viewport: { width: 390, height: 800 } });
  page.setDefaultTimeout(60_000);
  const problems: string[] = [];
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(error.message));
  await page.goto(origin);
  return { page, problems };
}

test("the element shows a book live under a strict policy, and reports how it ends", async () => {
  daemon.answer = () => [200, status()];
  const { page, problems } = await open();
  await page.locator('.bindery-tracker[data-connection="live"]').waitFor();
  await page.getByText("48 of 120 pages").waitFor();
  expect(
    await page.locator("bindery-progress").evaluate((one) => getComputedStyle(one).display),
  ).toBe("block");
  const fill = page.locator('[data-state="active"] > .bindery-segment-fill');
  expect(await fill.evaluate((one) => (one as HTMLElement).style.width)).toBe("40%");
  expect(await violations(page)).toEqual([]);
  expect(await fits(page)).toBe(true);

  await page.evaluate(() => {
    const seen: string[] = [];
    Object.assign(globalThis, { seen });
    for (const name of ["bindery-fail", "bindery-complete"])
      document.body.addEventListener(name, ({ type }) => seen.push(type));
  });
  const failed = { ...status({ status: "FAILED", current_stage: "ANALYZING" }), health: null };
  daemon.send("book_status", { ...failed, revision: 6, resume_at: at(0) }, 6);
  await page.getByText("The next attempt is due").waitFor();
  const done = { status: "COMPLETED", completed_at: at(9), overall_progress: 100, health: null };
  daemon.send("book_status", { ...status(done), revision: 7 }, 7);
  await page.locator('.bindery-tracker[data-tone="done"]').waitFor();
  expect(await page.evaluate(() => (globalThis as unknown as { seen: string[] }).seen)).toEqual([
    "bindery-fail",
    "bindery-complete",
  ]);
  expect(problems).toEqual([]);
  await page.close();
});

test("the element closes its stream when it is removed", async () => {
  daemon.answer = () => [200, status()];
  const { page } = await open();
  await page.locator('.bindery-tracker[data-connection="live"]').waitFor();
  const stream = daemon.streams.at(-1);
  const closed = new Promise((resolve) => stream?.once("close", resolve));
  await page.locator("bindery-progress").evaluate((one) => one.remove());
  await closed;
  await page.close();
});

test("the licence of Preact stands beside the file that contains it", () => {
  expect(readFileSync(join(folder, "bindery-progress.js"), "utf8")).toMatch(/^\/\*! .*MIT/);
  const licence = readFileSync(join(folder, "bindery-progress.js.LICENSE.txt"), "utf8");
  expect(licence).toContain("The MIT License");
});

test("a new token is used for the next request", async () => {
  daemon.answer = (_, { headers }) =>
    headers.authorization === "Bearer second"
      ? [200, status()]
      : [401, { code: "PGRST301", message: "the token has expired" }];
  const { page } = await open();
  await page.getByText("Your session has expired. Sign in again.").waitFor();
  await page.locator("bindery-progress").evaluate((one) => one.setAttribute("token", "second"));
  await page.getByText("48 of 120 pages").waitFor();
  await page.close();
});
