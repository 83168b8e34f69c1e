import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium, type Browser, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { build, preview, type PreviewServer } from "vite";

const configFile = fileURLToPath(new URL("../vite.playground.config.ts", import.meta.url));
let outDir: string;
let server: PreviewServer;
let browser: Browser;
let page: Page;
const problems: string[] = [];

beforeAll(async () => {
  outDir = mkdtempSync(join(tmpdir(), "bindery-playground-"));
  await build({ configFile, build: { outDir } });
  server = await preview({
    configFile,
    build: { outDir },
    preview: { port: 0, host: "127.0.0.1" },
  });
  browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: ["--no-sandbox"],
  });
  page = await browser.newPage();
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("request", (request) => {
    if (!request.url().startsWith(at())) problems.push(`asked ${request.url()}`);
  });
  await page.goto(at());
});
afterAll(async () => {
  await browser?.close();
  await server?.close();
  rmSync(outDir, { recursive: true, force: true });
});

const at = () => server.resolvedUrls?.local[0] ?? "";
const shown = (selector: string) => page.locator(selector).innerText();

test("a reader takes a book through a stage, a failure and a resume in the page", async () => {
  await page.locator("main").waitFor({ state: "visible", timeout: 240_000 });
  expect(await shown("#status")).toBe("UPLOADED");

  await page.locator("select[name=to]").selectOption("ANALYZING");
  await page.getByRole("button", { name: "Go" }).click();
  await page.getByRole("button", { name: "Report" }).click();
  await page.getByText("1.25 %").waitFor();
  expect(await shown("#substeps tr:has-text('extract_text')")).toMatch(/active\s+25 %/);

  await page.locator("select[name=to]").selectOption("FAILED");
  await page.getByRole("button", { name: "Go" }).click();
  await page.getByRole("button", { name: "Resume" }).click();
  await page.locator("#attempt", { hasText: "2" }).waitFor();
  expect(await shown("#status")).toBe("ANALYZING");

  await page.getByRole("button", { name: "Run" }).click();
  await page.locator("#rows", { hasText: '"kind":"resume"' }).waitFor();
  expect(await page.locator("#rows").innerText()).toContain('"from_status":"FAILED"');
});

test("a refusal is shown with its hint, and changes nothing", async () => {
  const revision = await shown("#revision");
  await page.getByLabel("Substep").fill("no_such_substep");
  await page.getByRole("button", { name: "Report" }).click();
  await page.getByRole("alert").getByText("no_such_substep").waitFor();
  expect(await shown("#revision")).toBe(revision);
});

test("the page has no errors, and asks no other host", () => {
  expect(problems).toEqual([]);
});
