// When a watched book ends: the rule of onComplete and onFail, and of the element's events.
import type { BookRow } from "../status.js";

type Seen = Pick<
  BookRow,
  "book_id" | "created_at" | "status" | "current_stage" | "attempt" | "completed_at"
>;

/** The end of an attempt that a book has come to; attempts are numbered by stage. */
function endOf({ status, current_stage, attempt, completed_at }: Seen): string | null {
  if (completed_at !== null) return `complete ${completed_at}`;
  return status === "FAILED" ? `fail ${attempt} ${current_stage}` : null;
}

/**
 * What happened from one state of a book to the next. The first state of a book is no outcome: a
 * page that opens on a completed book does not complete it again.
 */
export function outcome(before: Seen | null, after: Seen | null): "complete" | "fail" | null {
  if (before === null || after === null || before.book_id !== after.book_id) return null;
  // Registered again under the same id.
  if (before.created_at !== after.created_at) return null;
  const end = endOf(after);
  if (end === null || end === endOf(before)) return null;
  return after.completed_at === null ? "fail" : "complete";
}
