// The events that every implementation reads the same way: tests/vectors of the repository. This
// package makes events of arguments. What it checks or cleans must agree with the vectors; what it
// does not judge is listed in NOT_JUDGED and left to Bindery.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { eventSchema } from "../src/event.js";
import { progressed } from "../src/stage.js";
import * as values from "../src/values.js";

type Fields = Record<string, unknown>;
interface Vector {
  name: string;
  event: Fields;
  schema: boolean;
  means: Fields;
  rejected: { code: string; message: string };
}

const file = (name: string): unknown =>
  JSON.parse(
    readFileSync(new URL(`../../../tests/vectors/${name}.json`, import.meta.url), "utf8"),
  ) as unknown;

/** Writes out `$repeat`, `$nest` and `$concat`. */
function writtenOut(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(writtenOut);
  if (typeof value !== "object" || value === null) return value;
  const { $concat, $repeat, times, $nest } = value as Fields;
  if (Array.isArray($concat)) return $concat.map(writtenOut).join("");
  if (typeof $repeat === "string") return $repeat.repeat(Number(times));
  if (Array.isArray($repeat)) return Array.from({ length: Number(times) }, () => $repeat).flat();
  if (typeof $nest === "number") {
    let nested: unknown = 1;
    for (let level = 0; level < $nest; level += 1) nested = [nested];
    return nested;
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, writtenOut(item)]));
}

/** The vectors that are JSON events. */
const vectors = (...names: string[]): Vector[] =>
  names
    .flatMap((name) => file(name) as Vector[])
    .filter((vector) => "event" in vector)
    .map((vector) => ({ ...vector, ...(writtenOut(vector) as Vector) }));

const TEXTS = {
  message: values.MESSAGE,
  title: values.TITLE,
  unit: values.UNIT,
  worker: values.WORKER,
};
const OF: Record<string, string[]> = {
  register: ["title"],
  begin: ["title", "worker"],
  transition: ["message"],
  progress: ["message", "unit"],
  heartbeat: ["message"],
  fail: ["message"],
  plan: [],
};

describe.each(vectors("valid", "cleaned"))("$name", ({ event, means }) => {
  test("the package reads its values as Bindery does", () => {
    for (const [field, limit] of Object.entries(TEXTS)) {
      const given = event[field];
      if (typeof given === "string" && OF[String(event["type"]).trim()]?.includes(field))
        expect(values.text(given, limit), field).toBe(means[field] ?? "");
    }
    const { substep, substeps } = event;
    if (typeof substep === "string" && substep.trim() !== "")
      expect(values.key(substep)).toBe(means["substep"]);
    for (const field of ["checkpoint", "metadata"])
      if (typeof event[field] === "object" && event[field] !== null)
        expect(JSON.parse(values.encoded(event[field])), field).toEqual(means[field]);
    if (Array.isArray(substeps)) {
      const weights = (substeps as Fields[]).map((entry) => [entry["substep"], entry["weight"]]);
      if (weights.every(([, weight]) => typeof weight === "number")) {
        const parts = values.planned(Object.fromEntries(weights) as Record<string, number>);
        expect(parts.flatMap((part) => JSON.parse(part) as unknown[])).toEqual(means["substeps"]);
      }
    }
    const numbers = ["progress", "done", "total"].map((field) => event[field]);
    if (
      means["type"] === "progress" &&
      numbers.every((number) => number === undefined || typeof number === "number")
    ) {
      const [progress, done, total] = numbers as (number | undefined)[];
      for (const [field, value] of Object.entries(progressed(progress, done, total)))
        // Values within 1e-9 of an end count as the end.
        if (typeof value === "number")
          expect(Math.abs(value - Number(means[field])), field).toBeLessThanOrEqual(
            1e-9 * Math.max(1, value),
          );
    }
  });
});

describe.each(vectors("valid", "cleaned", "rejected"))("$name", ({ event, schema }) => {
  test(`zod ${schema ? "takes" : "refuses"} it as the JSON Schema does`, () => {
    expect(eventSchema.safeParse(event).success).toBe(schema);
  });
});

function plan(substeps: unknown): string[] {
  const entries = substeps as Fields[];
  // A list with more entries than names stands for one with as many names.
  if (entries.length > 2) return values.planned(entries.map((_, place) => `s${place}`));
  return values.planned(
    Object.fromEntries(entries.map((entry) => [entry["substep"], entry["weight"] ?? 1])) as Record<
      string,
      number
    >,
  );
}

// By field and reason: what the package refuses, by the function that refuses it.
const JUDGED: Record<string, (value: unknown) => unknown> = {
  "substep bad_name": (value) => values.key(String(value)),
  "substep too_long": (value) => values.key(String(value)),
  "checkpoint too_large": (value) => values.encoded(value),
  "checkpoint too_deep": (value) => values.encoded(value),
  "metadata too_large": (value) => values.encoded(value),
  "substeps.substep bad_name": plan,
  "substeps.weight out_of_range": plan,
  "substeps too_many_substeps": plan,
};
// What the package never sends, because its arguments have no such form or it takes the nearest
// value: numbers out of range become the nearest end, a plan is sent in parts, an object names each
// substep once.
const NEVER_SENT = [
  "type missing_field",
  "type unknown_type",
  "type wrong_type",
  "book_id missing_field",
  "book_id bad_uuid",
  "to_status conflicting_fields",
  "progress missing_field",
  "progress conflicting_fields",
  "progress out_of_range",
  "progress bad_number",
  "done missing_field",
  "done out_of_range",
  "total missing_field",
  "total out_of_range",
  "attempt out_of_range",
  "attempt bad_number",
  "resume wrong_type",
  "checkpoint bad_json",
  "metadata bad_json",
  "the too_large",
  "substep conflicting_fields",
  "substeps missing_field",
  "substeps wrong_type",
  "substeps too_large",
  "substeps.substep missing_field",
  "substeps.substep conflicting_fields",
  "substeps.weight bad_number",
  "stage missing_field",
  "stage too_long",
  "pipeline too_long",
];
// What the package sends as it was given: types that its types exclude, names that only a pipeline
// decides on.
const NOT_JUDGED = [
  "to_status missing_field",
  "owner_id bad_uuid",
  "substep wrong_type",
  "stage wrong_type",
  "metadata wrong_type",
];

function reasonOf({ rejected }: Vector): string {
  const [field = ""] = rejected.message.split(" ");
  const [place = "", key = ""] = field.split("]");
  return `${place.split("[")[0]}${key} ${rejected.code}`;
}

const rejected = vectors("rejected");
test.each(rejected.filter((vector) => reasonOf(vector) in JUDGED))(
  "the package refuses: $name",
  (vector) => {
    const reason = reasonOf(vector);
    const field = reason.split(/[ .]/)[0] ?? "";
    let refusal: unknown;
    try {
      JUDGED[reason]?.(vector.event[field]);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(values.Invalid);
    expect(refusal).toMatchObject({ code: vector.rejected.code });
  },
);

test("every reason of a rejection is classified once", () => {
  const classified = [...Object.keys(JUDGED), ...NEVER_SENT, ...NOT_JUDGED];
  expect(new Set(classified).size).toBe(classified.length);
  expect([...new Set(rejected.map(reasonOf))].sort()).toEqual(classified.sort());
});

test("the limits are Bindery's", () => {
  const ours = {
    message_chars: values.MESSAGE,
    title_chars: values.TITLE,
    worker_chars: values.WORKER,
    name_chars: values.NAME,
    json_bytes: values.JSON_BYTES,
    json_depth: values.JSON_LEVELS,
    total: values.TOTAL,
    substeps: values.SUBSTEPS,
    min_weight: values.MIN_WEIGHT,
    max_weight: values.MAX_WEIGHT,
  };
  // Not checked by the package: an entry is small by the other limits, and it sends no `at`.
  const others = { entry_bytes: 262_144, at_chars: 64, attempt: 2_147_483_647 };
  expect(file("limits")).toEqual({ ...ours, ...others });
});
