// When a watched book ends: the rule of onComplete and onFail, and of the element's events.
import type { BookRow } from "../status.js";
import { sameForm } from "../uuid.js";

type Seen = Pick<
  BookRow,
  "book_id" | "created_at" | "status" | "current_stage" | "attempt" | "completed_at"
>;

/**
 * What happened from one state of a book to the next. The first state of a book is no outcome: a
 * page that opens on a completed book does not complete it again. The states between the two may
 * have been missed.
 */
export function outcome(before: Seen | null, after: Seen | null): "complete" | "fail" | null {
  if (before === null || after === null || !isSameBook(before, after)) return null;
  if (after.completed_at !== null)
    return before.completed_at === after.completed_at ? null : "complete";
  if (after.status !== "FAILED") return null;
  // Attempts are numbered by stage, and each one fails once.
  const names = ["status", "current_stage", "attempt"] as const;
  return names.every((name) => before[name] === after[name]) ? null : "fail";
}

/** An id that is registered again is another book. */
function isSameBook(a: Seen, b: Seen): boolean {
  return sameForm(a.book_id) === sameForm(b.book_id) && a.created_at === b.created_at;
}
