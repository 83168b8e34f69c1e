// The gallery of clients/react/example: every state of the components, in light, dark and at phone
// width. With SHOTS=FOLDER the pictures are kept there.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fits, violations } from "./axe.js";
import { root, Stage } from "./browser.js";

const stage = new Stage();
const folder = process.env["SHOTS"] ?? mkdtempSync(join(tmpdir(), "bindery-gallery-"));

beforeAll(() => stage.start());
afterAll(async () => {
  await stage.stop();
  if (process.env["SHOTS"] === undefined) rmSync(folder, { recursive: true });
});

const wide = { width: 1280, height: 900 };
const looks = {
  light: { colorScheme: "light", viewport: wide },
  dark: { colorScheme: "dark", viewport: wide },
  phone: { colorScheme: "light", viewport: { width: 390, height: 844 } },
} as const;

/** Elements of the components whose content is wider than they are. */
const overflowing = (page: Page) =>
  page.locator(".bindery-tracker, .bindery-tracker *, .bindery-status").evaluateAll((elements) =>
    elements
      .filter((one) => !one.matches(".bindery-unseen, .bindery-announcer, svg, svg *"))
      .filter((one) => one.scrollWidth > Math.ceil(one.getBoundingClientRect().width) + 1)
      .map((one) => `${one.className}: ${one.textContent}`),
  );

test.each(Object.keys(looks) as (keyof typeof looks)[])(
  "every state fits and is accessible: %s",
  async (name) => {
    const page = await stage.gallery({ ...looks[name], reducedMotion: "reduce" });
    const problems: string[] = [];
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    await page.locator('[data-example="German"] [role="progressbar"]').waitFor();
    const path = join(folder, `gallery-${name}.png`);
    // Of the phone the first states: the whole page would be ten screens long.
    const clip = { x: 0, y: 0, width: 390, height: 2400 };
    await page.screenshot({ path, fullPage: true, ...(name === "phone" ? { clip } : {}) });
    expect(existsSync(path)).toBe(true);
    expect(await fits(page)).toBe(true);
    expect(await overflowing(page)).toEqual([]);
    expect(await violations(page)).toEqual([]);
    expect(problems).toEqual([]);
    await page.context().close();
  },
);

test("a segment is as wide as the weight of its stage", async () => {
  const page = await stage.gallery({ viewport: wide });
  const widths = (example: string) =>
    page
      .locator(`[data-example="${example}"] .bindery-segment`)
      .evaluateAll((segments) => segments.map((one) => one.getBoundingClientRect().width));
  const [first = 0, second = 0, third = 0] = await widths("Active");
  expect(second / first).toBeCloseTo(1, 1);
  expect(third / first).toBeCloseTo(3, 1);
  expect(await widths("Missing pipeline")).toHaveLength(1);
  await page.context().close();
});

test("from right to left the bar grows from the right", async () => {
  const page = await stage.gallery({ viewport: wide });
  const edges = await page
    .locator('[data-example="Right to left"] .bindery-segment')
    .evaluateAll((segments) => segments.map((one) => one.getBoundingClientRect().right));
  expect(edges).toEqual([...edges].sort((a, b) => b - a));
  const [fill, segment] = await page
    .locator('[data-example="Right to left"] [data-state="active"] > .bindery-segment-fill')
    .evaluateAll(([one]) =>
      [one, one?.parentElement].map((element) => element?.getBoundingClientRect().right),
    );
  expect(fill).toBe(segment);
  await page.context().close();
});

test("with forced colours the fill and the marks can be seen", async () => {
  const page = await stage.gallery({ viewport: wide, forcedColors: "active" });
  const fill = page.locator('[data-example="Active"] [data-state="done"] > .bindery-segment-fill');
  const [colour, track] = await fill.first().evaluate((one) => {
    const around = one.parentElement as HTMLElement;
    return [getComputedStyle(one).backgroundColor, getComputedStyle(around).backgroundColor];
  });
  expect(colour).not.toBe(track);
  const mark = page.locator('[data-example="Active"] .bindery-stage-mark').first();
  expect(await mark.evaluate((one) => getComputedStyle(one).borderTopStyle)).toBe("solid");
  await page.context().close();
});

test("the pictures in the documentation show every state", async () => {
  for (const name of Object.keys(looks)) {
    const path = join(root, "../../docs/images", `gallery-${name}.png`);
    expect(readFileSync(path).length).toBeGreaterThan(50_000);
  }
});
