// Makes values fit Bindery's limits, so that no report is refused for its form. The limits and the
// removed characters are those of docs/events.md ("How fields are read").

export const MESSAGE = 8192;
export const TITLE = 1024;
export const WORKER = 255;
export const UNIT = 63;
export const NAME = 63;
export const SUBSTEPS = 10_000;
export const MIN_WEIGHT = 1e-9;
export const MAX_WEIGHT = 1e9;
export const TOTAL = 1e15;
export const JSON_BYTES = 64 * 1024;
export const JSON_LEVELS = 64;
/** The size that a loop's checkpoint adds to the worker's own. */
export const TRACKED_BYTES = 64;

/** A value that no event may hold. */
export class Invalid extends RangeError {
  override name = "Invalid";
  constructor(
    /** The reason for which Bindery would reject the event, as in docs/events.md. */
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

// Control sequences of terminals; strings such as a window's title, with what ends them on the same
// line (without an end, only the opening); other escapes; control characters but tab and line ends;
// direction overrides.
const REMOVED = new RegExp(
  "(?:\\u001b\\[|\\u009b)[ -?]*[@-~]?" +
    "|(?:\\u001b[\\]PX^_]|[\\u0090\\u0098\\u009d-\\u009f])" +
    "(?:[^\\u0007\\u009c\\u001b\\n\\r]*(?:\\u0007|\\u009c|\\u001b\\\\))?" +
    "|\\u001b(?:[ -/]*[0-~])?" +
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
 * A substep's key, without white space around it.
 *
 * @throws Invalid if it is not lower snake case of at most 63 characters.
 */
export function key(value: string): string {
  if (NAME_FORM.test(value)) return value;
  const stripped = value.replace(REMOVED, "").trim();
  if (NAME_FORM.test(stripped)) return stripped;
  throw new Invalid(
    stripped.length > NAME ? "too_long" : "bad_name",
    `the substep ${JSON.stringify(value)} is not lower snake case of up to ${NAME} characters`,
  );
}

/**
 * `value` as JSON; NUL in texts is removed.
 *
 * @param reserved how many of the 64 KiB are kept for what is added to it.
 * @throws TypeError if it cannot be written as JSON.
 * @throws Invalid if it is deeper than 64 levels or larger than 64 KiB.
 */
export function encoded(value: unknown, reserved = 0): string {
  // The types leave out that functions and undefined give undefined.
  const written: string | undefined = JSON.stringify(value);
  if (written === undefined) throw new TypeError(`${typeof value} cannot be written as JSON`);
  const cleaned = clean(JSON.parse(written), JSON_LEVELS);
  const text = JSON.stringify(cleaned);
  const bytes = new TextEncoder().encode(text).length + expansion(cleaned);
  if (bytes > JSON_BYTES - reserved) throw new Invalid("too_large", "it is larger than 64 KiB");
  return text;
}

function clean(value: unknown, levels: number): unknown {
  if (levels < 0) throw new Invalid("too_deep", "it is nested deeper than 64 levels");
  if (typeof value === "string") return wellFormed(value.replaceAll("\0", ""));
  if (Array.isArray(value)) return value.map((item) => clean(item, levels - 1));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [clean(name, 0), clean(item, levels - 1)]),
  );
}

/** How many bytes longer Postgres prints JSON: with blanks, and 1e300 with 301 digits. */
function expansion(value: unknown): number {
  if (typeof value === "number") {
    const [digits = "", exponent] = String(value).split("e");
    if (exponent === undefined) return 0;
    const fraction = (digits.split(".")[1] ?? "").length;
    const zeros = Math.abs(Number(exponent));
    const printed = Number(exponent) > 0 ? zeros + 1 : zeros + 2 + fraction;
    return printed - String(value).length + (value < 0 ? 1 : 0);
  }
  if (typeof value !== "object" || value === null) return 0;
  const isList = Array.isArray(value);
  const items = Object.values(value);
  const blanks = Math.max(items.length - 1, 0) + (isList ? 0 : items.length);
  return items.reduce<number>((sum, item) => sum + expansion(item), blanks);
}

/** `value` within a range. */
export const clamped = (value: number, low: number, high: number): number =>
  Math.min(Math.max(value, low), high);

/**
 * Substeps as JSON, in parts that fit an event; each part of a plan adds to the parts before it.
 */
export function planned(substeps: Readonly<Record<string, number>> | Iterable<string>): string[] {
  const isList = Symbol.iterator in substeps;
  const plan = isList
    ? Array.from(substeps as Iterable<string>, (name) => ({ substep: key(name) }))
    : Object.entries(substeps).map(([name, weight]) => {
        if (!(weight >= MIN_WEIGHT && weight <= MAX_WEIGHT))
          throw new Invalid(
            "out_of_range",
            `the weight of ${name}, ${weight}, is not from 1e-9 to 1e9`,
          );
        return { substep: key(name), weight };
      });
  if (plan.length > SUBSTEPS)
    throw new Invalid(
      "too_many_substeps",
      `${plan.length} substeps are planned; a stage has at most ${SUBSTEPS}`,
    );
  const parts: string[] = [];
  for (let at = 0; at < plan.length; at += 500)
    parts.push(JSON.stringify(plan.slice(at, at + 500)));
  return parts;
}
