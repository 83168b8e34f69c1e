import type { BookRow, BookStatus } from "../status.js";

/** A row has no stages and no health; a status has both. */
export type ShownBook = BookRow & Partial<Pick<BookStatus, "health" | "stages" | "substeps">>;

/** The tone of a book: for the icon, and for CSS (`data-tone`). */
export type Tone = "waiting" | "active" | "quiet" | "stalled" | "failed" | "cancelled" | "done";

export function toneOf(book: Pick<ShownBook, ToneColumn | "health">): Tone {
  if (book.status === "FAILED") return "failed";
  if (book.status === "CANCELLED") return "cancelled";
  if (book.completed_at !== null) return "done";
  if (book.health && book.health !== "live") return book.health;
  return book.overall_progress === 0 ? "waiting" : "active";
}

type ToneColumn = "status" | "completed_at" | "overall_progress";
