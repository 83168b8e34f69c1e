// tests/vectors of the repository: what this package cleans and refuses must agree with them.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  encoded,
  Invalid,
  JSON_BYTES,
  JSON_LEVELS,
  key,
  MAX_WEIGHT,
  MESSAGE,
  MIN_WEIGHT,
  NAME,
  planned,
  SUBSTEPS,
  text,
  TITLE,
  TOTAL,
  UNIT,
  WORKER,
} from "../src/values.js";

type Fields = Record<string, unknown>;
interface Vector {
  name: string;
  event?: Fields;
  means?: Fields;
  rejected?: { code: string; message: string };
}

const root = new URL("../../../", import.meta.url);
const read = (file: string): unknown =>
  writtenOut(JSON.parse(readFileSync(new URL(file, root), "utf8")));

/** `$repeat`, `$nest` and `$concat` written out. */
function writtenOut(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(writtenOut);
  if (typeof value !== "object" || value === null) return value;
  const { $concat, $repeat, $nest, times } = value as Fields;
  if (Array.isArray($concat)) return $concat.map(writtenOut).join("");
  if (typeof $repeat === "string") return $repeat.repeat(times as number);
  if (Array.isArray($repeat))
    return Array.from({ length: times as number }, () => $repeat as unknown[]).flat();
  if (typeof $nest === "number") {
    let nested: unknown = 1;
    for (let level = 0; level < $nest; level += 1) nested = [nested];
    return nested;
  }
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, writtenOut(item)]));
}

const vectors = (file: string): [string, Fields, Vector][] =>
  (read(`tests/vectors/${file}.json`) as Vector[]).flatMap((vector) =>
    vector.event === undefined ? [] : [[vector.name, vector.event, vector]],
  );

const TEXTS = { message: MESSAGE, title: TITLE, unit: UNIT, worker: WORKER };
interface Planned {
  substep: string;
  weight?: number;
}
const weightsOf = (substeps: Planned[]): Record<string, number> | string[] =>
  substeps.every(({ weight }) => weight === undefined)
    ? substeps.map(({ substep }) => substep)
    : Object.fromEntries(substeps.map(({ substep, weight }) => [substep, weight ?? 1]));

describe("the package reads a value as Bindery does", () => {
  test.each([...vectors("valid"), ...vectors("cleaned")])("%s", (_name, event, { means = {} }) => {
    for (const [field, limit] of Object.entries(TEXTS)) {
      const given = event[field];
      if (typeof given === "string") expect(text(given, limit)).toBe(means[field] ?? "");
    }
    if (typeof event.substep === "string" && event.substep.trim() !== "")
      expect(key(event.substep)).toBe(means.substep);
    for (const field of ["checkpoint", "metadata"])
      if (typeof event[field] === "object" && event[field] !== null)
        expect(JSON.parse(encoded(event[field]))).toEqual(means[field]);
    const substeps = event.substeps as Planned[] | undefined;
    const isSent = ({ substep, weight }: Planned): boolean =>
      typeof substep === "string" && ["undefined", "number"].includes(typeof weight);
    if (Array.isArray(substeps) && substeps.every(isSent)) {
      const parts = planned(weightsOf(substeps)).map((part) => JSON.parse(part) as Planned[]);
      const names = (plan: Planned[]): string[] => plan.map(({ substep }) => substep);
      expect(names(parts.flat())).toEqual(names(means.substeps as Planned[]));
    }
  });
});

// By field and reason: what the package refuses. All other reasons cannot come about, since its
// arguments have no such form or it takes the nearest value, or are left to Bindery.
const JUDGED: Record<string, (value: never) => unknown> = {
  "substep bad_name": key,
  "substep too_long": key,
  "checkpoint too_large": encoded,
  "checkpoint too_deep": encoded,
  "metadata too_large": encoded,
  "substeps.substep bad_name": (substeps: Planned[]) => planned(weightsOf(substeps)),
  "substeps.weight out_of_range": (substeps: Planned[]) => planned(weightsOf(substeps)),
  "substeps too_many_substeps": (substeps: Planned[]) =>
    planned(substeps.map((_, place) => `s${place}`)),
};

describe("the package refuses what Bindery rejects", () => {
  const judged = vectors("rejected").flatMap(([name, event, { rejected }]) => {
    const place = rejected?.message.split(" ")[0]?.replace(/\[\d+\]/, "") ?? "";
    const judge = JUDGED[`${place} ${rejected?.code}`];
    if (judge === undefined) return [];
    return [
      { name, value: event[place.split(".")[0] ?? ""] as never, code: rejected?.code, judge },
    ];
  });
  test.each(judged)("$name", ({ value, code, judge }) => {
    let refused: unknown;
    try {
      judge(value);
    } catch (error) {
      refused = error;
    }
    expect(refused).toBeInstanceOf(Invalid);
    expect((refused as Invalid).code).toBe(code);
  });
  test("each of these reasons has a vector", () => {
    expect(judged.length).toBeGreaterThanOrEqual(Object.keys(JUDGED).length);
  });
});

test("the limits are Bindery's", () => {
  expect(read("tests/vectors/limits.json")).toMatchObject({
    message_chars: MESSAGE,
    title_chars: TITLE,
    worker_chars: WORKER,
    name_chars: NAME,
    json_bytes: JSON_BYTES,
    json_depth: JSON_LEVELS,
    total: TOTAL,
    substeps: SUBSTEPS,
    min_weight: MIN_WEIGHT,
    max_weight: MAX_WEIGHT,
  });
  expect(UNIT).toBe(NAME);
});
