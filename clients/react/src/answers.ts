// Validates the answers of transports.
import { BinderyError } from "./errors.js";
import * as z from "zod/mini";

/** The answer in its validated form. Throws a BinderyError of the kind `bad_answer`. */
export function parseAnswer<Value>(schema: z.ZodMiniType<Value>, answer: unknown): Value {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new BinderyError(
    "bad_answer",
    `The answer is not what Bindery gives: ${z.prettifyError(parsed.error)}`,
    null,
    "Do schema and client have the same version?",
  );
}
