// Validates received values: a few exact checks, instead of a library that is larger than the rest
// of the client. Unknown keys are accepted, so that a newer server does not break an older page.
import { isRecord } from "./errors.js";

/** What is wrong with a value, as in ".stages[2].progress is null, not a number"; "" if nothing. */
export interface Check<Value> {
  (value: unknown): string;
  /** Only for the compiler: the type of the values that pass. */
  readonly type?: Value;
}

function check<Value>(what: string, passes: (value: unknown) => boolean): Check<Value> {
  return (value) => (passes(value) ? "" : ` is ${shown(value)}, not ${what}`);
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  return value === undefined ? "missing" : JSON.stringify(value);
}

export const string: Check<string> = check("a string", (value) => typeof value === "string");
export const number: Check<number> = check("a number", Number.isFinite);
export const boolean: Check<boolean> = check("a boolean", (value) => typeof value === "boolean");
export const record: Check<Record<string, unknown>> = check("an object", isRecord);

export function oneOf<const Value extends string>(...values: Value[]): Check<Value> {
  return check(`one of ${values.join(", ")}`, (value) => values.includes(value as Value));
}

export function nullable<Value>(inner: Check<Value>): Check<Value | null> {
  return (value) => (value === null ? "" : inner(value));
}

export function optional<Value>(inner: Check<Value>): Check<Value | undefined> {
  return (value) => (value === undefined ? "" : inner(value));
}

export function array<Value>(inner: Check<Value>): Check<Value[]> {
  return (value) => {
    if (!Array.isArray(value)) return ` is ${shown(value)}, not an array`;
    return firstOf(value, (one, place) => prefixed(`[${place}]`, inner(one)));
  };
}

export type Checks<Value> = { readonly [Name in keyof Value]-?: Check<Value[Name]> };

/* @__NO_SIDE_EFFECTS__ */
export function object<Value>(checks: Checks<Value>): Check<Value> {
  const entries = Object.entries<Check<unknown>>(checks);
  return (value) => {
    if (!isRecord(value)) return record(value);
    return firstOf(entries, ([name, inner]) => prefixed(`.${name}`, inner(value[name])));
  };
}

/** The same checks, of which each value may be missing. */
export function partial<Value>(checks: Checks<Value>): Checks<Partial<Value>> {
  const entries = Object.entries<Check<unknown>>(checks);
  return Object.fromEntries(entries.map(([name, inner]) => [name, optional(inner)])) as Checks<
    Partial<Value>
  >;
}

const prefixed = (path: string, problem: string): string => (problem === "" ? "" : path + problem);

function firstOf<One>(list: readonly One[], problem: (one: One, place: number) => string): string {
  for (const [place, one] of list.entries()) {
    const found = problem(one, place);
    if (found !== "") return found;
  }
  return "";
}

/** A validated value, or why it is invalid. */
export type Parsed<Value> =
  | { readonly success: true; readonly data: Value }
  | { readonly success: false; readonly error: TypeError };

export interface Schema<Value> {
  safeParse(value: unknown): Parsed<Value>;
  /** Throws a TypeError. */
  parse(value: unknown): Value;
}

/** `read` brings a valid value into its canonical form. */
export function schemaOf<Value>(inner: Check<Value>, read: (value: Value) => Value): Schema<Value> {
  const safeParse = (value: unknown): Parsed<Value> => {
    const problem = inner(value);
    if (problem === "") return { success: true, data: read(value as Value) };
    return { success: false, error: new TypeError(`The value${problem}.`) };
  };
  return {
    safeParse,
    parse(value) {
      const parsed = safeParse(value);
      if (parsed.success) return parsed.data;
      throw parsed.error;
    },
  };
}

export function arrayOf<Value>(one: Schema<Value>): Schema<Value[]> {
  const inner: Check<Value[]> = array((value) => {
    const parsed = one.safeParse(value);
    return parsed.success ? "" : parsed.error.message.slice("The value".length, -1);
  });
  return schemaOf(inner, (values) => values.map((value) => one.parse(value)));
}
