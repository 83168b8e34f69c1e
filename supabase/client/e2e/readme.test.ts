// What README says of React is typed as it stands there: it type-checks, and in a browser it shows a daemon's books.
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Stage, root } from "./browser.js";
import { Books, Daemon } from "./stack.js";

const code = /\*\*React\*\*.*?```tsx\n(.*?)```/s.exec(readFileSync(join(root, "../../README.md"), "utf8"))?.[1] ?? "";
// Inside the package, where its modules are found.
const folder = mkdtempSync(join(root, "e2e/.readme-"));
const stage = new Stage(folder);
const books = new Books();
let daemon: Daemon;

beforeAll(async () => {
  writeFileSync(join(folder, "main.tsx"), code);
  writeFileSync(join(folder, "index.html"), '<!doctype html><script type="module" src="./main.tsx"></script>');
  const compilerOptions = { types: ["vite/client"], paths: { "@bindery/react": ["../../src/index.ts"] } };
  const project = { extends: "../../tsconfig.json", compilerOptions, include: ["main.tsx"] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(project));
});

afterAll(async () => {
  await Promise.all([stage.stop(), books.stop(), daemon.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

test("README's lines for React are ten, type-check, and show the books live as they stand there", async () => {
  expect(code.split("\n").filter((line) => line !== "")).toHaveLength(10);
  execFileSync(join(root, "node_modules/.bin/tsc"), ["-p", folder], { stdio: "inherit" });

  await Promise.all([stage.start(), books.start()]);
  daemon = new Daemon(stage.origin, "open");
  await daemon.start();
  const book = await books.book(randomUUID(), "The Salt Clock");
  const context = await stage.context();
  const page = await context.newPage();
  // README's daemon has the usual port, which may be somebody else's here.
  await page.route("http://127.0.0.1:7890/**", async (route) => {
    const url = route.request().url().replace("http://127.0.0.1:7890", daemon.base);
    await route.continue({ url });
  });
  await page.goto(stage.address({}));
  const tracker = page.locator(".bindery-tracker", { hasText: "The Salt Clock" });
  await tracker.waitFor();
  await books.report(book, 120);
  await tracker.getByText("120 of 200 pages").waitFor();
  await page.locator("p", { hasText: "The Salt Clock" }).locator('[data-tone="active"]').waitFor();
  await context.close();
});
