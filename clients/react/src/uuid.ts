// Ids in the form in which Postgres compares them: upper case, braces and missing hyphens do not
// change a UUID.
import { BinderyError } from "./errors.js";

const form = /^(?:\{([^{}]*)\}|([^{}]*))$/;
const digits = /^[0-9a-f]{4}(?:-?[0-9a-f]{4}){7}$/;

/** The UUID in the form in which Postgres writes it; null if Postgres would not read the text. */
export function uuidOf(text: string): string | null {
  const [, inBraces, bare] = form.exec(String(text).toLowerCase()) ?? [];
  const given = inBraces ?? bare ?? "";
  if (!digits.test(given)) return null;
  return given.replaceAll("-", "").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** The same UUID in one form; a text that is not a UUID unchanged. */
export const sameForm = (text: string): string => uuidOf(text) ?? text;

/** The error for an id that is not a UUID; null if it is one. */
export function invalidId(field: string, text: string): BinderyError | null {
  if (uuidOf(text) !== null) return null;
  const hint = "Pass a UUID, such as 6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b.";
  return new BinderyError("invalid", `${field} is not a UUID: "${text}".`, null, hint);
}
