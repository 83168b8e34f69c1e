// Validates the answers of transports.
import { BinderyError } from "./errors.js";
import type { Schema } from "./schema.js";

/** The answer in its validated form. Throws a BinderyError of the kind `bad_answer`. */
export function parseAnswer<Value>(schema: Schema<Value>, answer: unknown): Value {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new BinderyError(
    "bad_answer",
    `The answer is not what Bindery gives: ${parsed.error.message}`,
    null,
    "Do schema and client have the same version?",
  );
}
