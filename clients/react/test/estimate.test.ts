// What the views show about time.
import { describe, expect, test } from "vitest";
import { english, overdue, remaining, spent } from "../src/view/index.js";
import { at, noon, stages, status } from "./support/books.js";

const visited = (seconds: number, median: number | null) =>
  stages("ANALYZING", 40).map((stage) =>
    stage.state === "active"
      ? { ...stage, started_at: at(-seconds), seconds: null, median_seconds: median }
      : stage,
  );

describe("the remaining time", () => {
  const inTwelve = { estimated_completion_at: at(720) };
  test.each([
    ["an estimate", inTwelve, noon, "about 12 min left"],
    ["an estimate of seconds", { estimated_completion_at: at(5) }, noon, "about 1 min left"],
    ["no estimate", {}, noon, null],
    ["an estimate that has passed", { estimated_completion_at: at(-1) }, noon, null],
    ["an estimate on a server", inTwelve, null, null],
    ["a stalled book", { ...inTwelve, health: "stalled" }, noon, null],
    ["a FAILED book", { ...inTwelve, status: "FAILED" }, noon, null],
    ["a completed book", { ...inTwelve, completed_at: at(0) }, noon, null],
  ] as const)("for %s", (_, changes, now, text) => {
    expect(remaining(status(changes), now, english)).toBe(text);
  });
});

describe("a stage is overdue", () => {
  const usual = "longer than usual (median 4 min, now 11 min)";
  test.each([
    ["after 1.5 times its median", { stages: visited(660, 240) }, usual],
    ["not before", { stages: visited(359, 240) }, null],
    ["not without a median", { stages: visited(6000, null) }, null],
    ["not within a minute", { stages: visited(59, 1) }, null],
    ["not with an older server", { stage_started_at: at(-9000) }, null],
    ["not once it is FAILED", { stages: visited(660, 240), status: "FAILED" }, null],
  ])("%s", (_, changes, text) => {
    expect(overdue(status(changes), noon, english)).toBe(text);
    expect(overdue(status(changes), null, english)).toBe(null);
  });
});

test("the duration of a stage is that of its last visit, or of the current one up to now", () => {
  const [active = stages("ANALYZING", 1)[0], pending] = visited(130, null);
  if (active === undefined || pending === undefined) throw new Error("no stages");
  expect(spent(active, noon, english)).toBe("2 min");
  expect(spent(active, null, english)).toBe(null);
  expect(spent(pending, noon, english)).toBe(null);
  expect(spent({ ...active, state: "done", seconds: 252 }, noon, english)).toBe("4 min");
  expect(spent({ ...active, state: "done", seconds: null }, noon, english)).toBe(null);
});
