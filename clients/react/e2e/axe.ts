import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type axe from "axe-core";
import type { Page } from "playwright-core";

/** What axe finds on the page: rules, and the elements that break them. */
export async function violations(page: Page): Promise<[string, string[]][]> {
  const path = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
  // Evaluated, because a page may forbid inline scripts.
  await page.evaluate(readFileSync(path, "utf8"));
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: typeof axe }).axe.run(),
  );
  return violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]);
}

/** Whether nothing is wider than the window. */
export const fits = (page: Page): Promise<boolean> =>
  page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
