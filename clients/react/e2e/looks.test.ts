import { afterAll, beforeAll, expect, test } from "vitest";
import { id, status } from "../test/support/books.js";
import { fits, violations } from "./axe.js";
import { Stage } from "./browser.js";

const stage = new Stage();

beforeAll(() => stage.start());
afterAll(() => stage.stop());

const failed = status({
  book_id: id(2),
  status: "FAILED",
  current_stage: "CREATING_ARTWORK",
  error: { code: "out_of_ink" },
  message: "The ink ran out",
  health: null,
});

test.each(["light", "dark"] as const)(
  "axe finds nothing in %s, contrast included, at phone width",
  async (colorScheme) => {
    stage.server.answer = (url) => [
      200,
      url.includes(id(2)) ? failed : status({ health: "quiet" }),
    ];
    for (const bookId of [id(1), id(2)]) {
      const page = await stage.page(
        { book: bookId },
        { colorScheme, viewport: { width: 360, height: 740 } },
      );
      await page.getByRole("progressbar").waitFor();
      expect(await violations(page)).toEqual([]);
      expect(await fits(page)).toBe(true);
      await page.close();
    }
  },
);

test("the bar keeps still for those who asked for less motion", async () => {
  stage.server.answer = () => [200, status()];
  const motion = async (reducedMotion: "reduce" | "no-preference") => {
    const page = await stage.page({ book: id(1) }, { reducedMotion });
    await page.getByRole("progressbar").waitFor();
    const property = await page
      .locator(".bindery-segment-fill")
      .first()
      .evaluate((bar) => getComputedStyle(bar).transitionDuration);
    await page.close();
    return property;
  };
  expect([await motion("no-preference"), await motion("reduce")]).toEqual(["0.3s", "0s"]);
});
