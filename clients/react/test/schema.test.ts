// The package's own checks accept and reject the same values as the same schemas written with zod.
import { describe, expect, test } from "vitest";
import { parseAnswer } from "../src/answers.js";
import { arrayOf, type Schema } from "../src/schema.js";
import { bookPatchSchema, bookRowSchema, bookStatusSchema } from "../src/status.js";
import { row, status, substep } from "./support/books.js";
import { chance } from "./support/chance.js";
import { fixtures } from "./support/views.js";
import { zodPatch, zodRow, zodStatus } from "./support/zod-schemas.js";

type Path = readonly (string | number)[];

const ABSENT = Symbol("absent");
const strange = [
  ABSENT,
  undefined,
  null,
  "",
  "live",
  "active",
  "failed",
  "{00000000-0000-4000-8000-00000000000A}",
  0,
  -1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  true,
  [],
  [null],
  {},
  { code: 1 },
];

/** Every place in a value. */
function places(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, one]) => places(one, [...path, key]))];
}

/** The value with another one at a place. */
function changed(value: unknown, path: Path, to: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return to;
  const copy = structuredClone(value) as Record<string | number, unknown>;
  if (rest.length === 0 && to === ABSENT) delete copy[key];
  else copy[key] = changed(copy[key], rest, to);
  return copy;
}

const rich = status({
  owner_id: "{00000000-0000-4000-8000-00000000000A}",
  error: { code: "boom" },
  metadata: { pages: 120 },
  stages: status().stages.map((stage) => ({
    ...stage,
    weight: 2,
    attempt: 1,
    max_attempts: null,
    started_at: stage.state === "active" ? "2026-11-23T12:00:00Z" : null,
    seconds: 60,
    median_seconds: null,
  })),
  substeps: [substep("a", 40, { done: 4, total: 10, unit: "page", message: "At 4" })],
});
const marks = { partial: true, substeps_partial: true, since_revision: 4 };

const kinds: [string, Schema<unknown>, typeof zodPatch | typeof zodRow, unknown][] = [
  ["row", bookRowSchema, zodRow, row(rich)],
  ["status", bookStatusSchema, zodStatus, rich],
  ["patch", bookPatchSchema, zodPatch, { ...rich, ...marks }],
];

describe.each(kinds)("the schema of a %s", (_, schema, zod, whole) => {
  const same = (value: unknown) => {
    const [ours, theirs] = [schema.safeParse(value), zod.safeParse(value)];
    expect([ours.success, value]).toEqual([theirs.success, value]);
    if (theirs.success) expect(ours).toMatchObject({ data: theirs.data });
    return theirs.success;
  };

  test("decides as zod does, whatever stands at any one place", () => {
    const decided = { true: 0, false: 0 };
    for (const path of places(whole))
      for (const to of strange) {
        if (path.length === 0 && to === ABSENT) continue;
        decided[`${same(changed(whole, path, to))}`] += 1;
      }
    expect(Math.min(decided.true, decided.false)).toBeGreaterThan(100);
  });

  test("decides as zod does for values changed at several places", () => {
    const random = chance(7);
    const all = places(whole).filter((path) => path.length > 0);
    for (let run = 0; run < 2_000; run++) {
      let value = whole;
      for (let n = 1 + random.below(3); n > 0; n--) {
        const path = all[random.below(all.length)] ?? [];
        const reachable = places(value).some((one) => one.join() === path.join());
        if (reachable) value = changed(value, path, strange[random.below(strange.length)]);
      }
      same(value);
    }
  });
});

test("every status of the database passes unchanged, and no key is dropped", () => {
  for (const one of fixtures) {
    expect(bookStatusSchema.parse({ ...one, later: 1 })).toEqual({ ...one, later: 1 });
    expect(bookPatchSchema.parse(one)).toEqual(one);
  }
});

test("an id is read in the form in which Postgres writes it", () => {
  const upper = { ...row(), book_id: row().book_id.toUpperCase(), owner_id: null };
  expect(bookRowSchema.parse(upper)).toEqual({ ...row(), owner_id: null });
});

test.each([
  [
    arrayOf(bookRowSchema),
    [row(), { ...row(), revision: "5" }],
    '[1].revision is "5", not a number',
  ],
  [bookStatusSchema, null, " is null, not an object"],
  [bookStatusSchema, { ...status(), stages: {} }, ".stages is an object, not an array"],
  [
    bookStatusSchema,
    { ...status(), health: "well" },
    '.health is "well", not one of live, waiting',
  ],
  [
    bookStatusSchema,
    { ...status(), substeps: [substep("a"), { ...substep("b"), label: undefined }] },
    ".substeps[1].label is missing, not a string",
  ],
] as [Schema<unknown>, unknown, string][])(
  "the error names the first fault: %#",
  (schema, value, text) => {
    expect(() => parseAnswer(schema, value)).toThrow(text);
  },
);
