import type { BookRow, BookStatus } from "../status.js";

/** The tone of a badge: for the icon, and for CSS (`data-tone`). */
export type Tone = "waiting" | "active" | "quiet" | "stalled" | "failed" | "cancelled" | "done";

export function toneOf(book: BookRow & Partial<Pick<BookStatus, "health">>): Tone {
  if (book.status === "FAILED") return "failed";
  if (book.status === "CANCELLED") return "cancelled";
  if (book.completed_at !== null) return "done";
  if (book.health && book.health !== "live") return book.health;
  return book.overall_progress === 0 ? "waiting" : "active";
}
