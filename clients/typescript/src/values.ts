// Makes values fit what Bindery takes, so that no report is refused for its form. The limits and what
// is removed are those of docs/events.md ("How fields are read").

export const MESSAGE = 8192;
export const TITLE = 1024;
export const WORKER = 255;
export const UNIT = 63;
export const NAME = 63;
export const MAX_SUBSTEPS = 10_000;
// 64 KiB less what a tracked checkpoint adds.
const JSON_BYTES = 64 * 1024 - 64;
const JSON_LEVELS = 64;

// CSI and OSC sequences of terminals, other escapes; control characters but tab and line ends;
// direction overrides.
const REMOVED = new RegExp(
  "\\u001b\\[[0-?]*[ -/]*[@-~]|\\u001b\\][^\\u0007\\u001b]*(?:\\u0007|\\u001b\\\\)?" +
    "|\\u001b[ -/]*[0-~]?" +
    "|[\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069]",
  "g",
);
const NAME_FORM = /^[a-z][a-z0-9_]{0,62}$/;
const HALVES = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const wellFormed = (value: string): string => value.replace(HALVES, "\ufffd");

/** `value` as clean text of at most `limit` characters, cut with `…`. */
export function text(value: string, limit: number): string {
  // Cut first: a text may be very long, and at most a part of it counts.
  const cleaned = wellFormed(value.slice(0, 8 * limit).replace(REMOVED, ""));
  if (cleaned.length <= limit) return cleaned;
  const characters = Array.from(cleaned);
  if (characters.length <= limit) return cleaned;
  return `${characters.slice(0, limit - 1).join("")}…`;
}

/**
 * A substep's key.
 *
 * @throws RangeError if it is not lower snake case of at most 63 characters.
 */
export function key(value: string): string {
  if (!NAME_FORM.test(value))
    throw new RangeError(
      `the substep ${JSON.stringify(value)} is not lower snake case of up to 63 characters`,
    );
  return value;
}

/**
 * `value` as JSON; NUL in texts is removed.
 *
 * @throws TypeError if it cannot be written as JSON.
 * @throws RangeError if it is deeper than 64 levels or larger than 64 KiB.
 */
export function encoded(value: unknown): string {
  // The types leave out that functions and undefined give undefined.
  const written: string | undefined = JSON.stringify(value);
  if (written === undefined) throw new TypeError(`${typeof value} cannot be written as JSON`);
  const cleaned = JSON.stringify(clean(JSON.parse(written), JSON_LEVELS));
  if (new TextEncoder().encode(cleaned).length > JSON_BYTES)
    throw new RangeError("it is larger than 64 KiB");
  return cleaned;
}

function clean(value: unknown, levels: number): unknown {
  if (levels < 0) throw new RangeError("it is nested deeper than 64 levels");
  if (typeof value === "string") return wellFormed(value.replaceAll("\0", ""));
  if (Array.isArray(value)) return value.map((item) => clean(item, levels - 1));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [clean(name, 0), clean(item, levels - 1)]),
  );
}

/** `value` within a range. */
export const clamped = (value: number, low: number, high: number): number =>
  Math.min(Math.max(value, low), high);

/** Substeps as JSON, in parts that fit an event; a plan adds to those before it. */
export function planned(substeps: Readonly<Record<string, number>> | Iterable<string>): string[] {
  const isList = Symbol.iterator in substeps;
  const plan = isList
    ? Array.from(substeps as Iterable<string>, (name) => ({ substep: key(name) }))
    : Object.entries(substeps).map(([name, weight]) => {
        if (!(weight >= 1e-9 && weight <= 1e9))
          throw new RangeError(`the weight of ${name}, ${weight}, is not from 1e-9 to 1e9`);
        return { substep: key(name), weight };
      });
  if (plan.length > MAX_SUBSTEPS)
    throw new RangeError(
      `${plan.length} substeps are planned; a stage has at most ${MAX_SUBSTEPS}`,
    );
  const parts: string[] = [];
  for (let at = 0; at < plan.length; at += 500)
    parts.push(JSON.stringify(plan.slice(at, at + 500)));
  return parts;
}
