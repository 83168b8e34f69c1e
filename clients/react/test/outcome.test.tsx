// @vitest-environment jsdom
import { StrictMode } from "react";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ProgressTracker } from "../src/index.js";
import { outcome } from "../src/view/index.js";
import { at, id, status } from "./support/books.js";
import { render, unmountAll } from "./support/render.js";
import { completed, failed, view } from "./support/views.js";

afterEach(unmountAll);

describe("the outcome from one state of a book to the next", () => {
  const again = { ...failed, attempt: failed.attempt + 1 };
  test.each([
    ["the first state of a completed book", null, completed, null],
    ["a completion", status(), completed, "complete"],
    ["no change of a completed book", completed, { ...completed, revision: 90 }, null],
    ["a second completion", completed, { ...completed, completed_at: at(60) }, "complete"],
    ["a failure", status(), failed, "fail"],
    ["no change of a failed book", failed, { ...failed, resume_at: at(60) }, null],
    ["a failure of the next attempt", failed, again, "fail"],
    [
      "the same attempt at another stage",
      failed,
      { ...failed, current_stage: "ANALYZING" },
      "fail",
    ],
    ["a resume", failed, status(), null],
    ["a cancellation", status(), status({ status: "CANCELLED" }), null],
    ["another book", status(), { ...completed, book_id: id(2) }, null],
    ["a new registration of the id", status(), { ...completed, created_at: at(90) }, null],
    ["a book that is gone", completed, null, null],
  ] as const)("%s", (_, before, after, expected) => {
    expect(outcome(before, after)).toBe(expected);
  });
});

test("ProgressTracker reports completion and each failed attempt once, in StrictMode, too", async () => {
  const events: string[] = [];
  const shown = (book: Parameters<typeof view>[0]) => (
    <StrictMode>
      <ProgressTracker
        view={view(book)}
        onComplete={({ revision }) => events.push(`complete ${revision}`)}
        onFail={({ attempt }) => events.push(`fail ${attempt}`)}
      />
    </StrictMode>
  );
  const { render: again } = await render(shown(failed));
  for (const book of [null, status(), failed, { ...failed, attempt: 4 }, completed, completed])
    await again(shown(book));
  expect(events).toEqual(["fail 3", "fail 4", "complete 5"]);
});

test("ProgressTracker calls the listener of the last render", async () => {
  const [first, second] = [vi.fn(), vi.fn()];
  const { render: again } = await render(
    <ProgressTracker view={view(status())} onComplete={first} />,
  );
  await again(<ProgressTracker view={view(completed)} onComplete={second} />);
  expect([first.mock.calls.length, second.mock.calls]).toEqual([0, [[completed]]]);
});
