// When a watched book ends: the rule of onComplete and onFail, and of the element's events.
import type { BookRow } from "../status.js";

type Seen = Pick<BookRow, "book_id" | "status" | "attempt" | "completed_at">;

/**
 * What happened from one state of a book to the next. The first state of a book is no outcome: a
 * page that opens on a completed book does not complete it again.
 */
export function outcome(before: Seen | null, after: Seen | null): "complete" | "fail" | null {
  if (before === null || after === null || before.book_id !== after.book_id) return null;
  if (after.completed_at !== null) return before.completed_at === null ? "complete" : null;
  if (after.status !== "FAILED") return null;
  return before.status === "FAILED" && before.attempt === after.attempt ? null : "fail";
}
