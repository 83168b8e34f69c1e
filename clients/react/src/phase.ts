// The phase of a book: the same for every pipeline, whatever its states are called.
import type { BookRow, BookStatus } from "./status.js";

export const PHASES = ["queued", "working", "failed", "completed", "cancelled"] as const;

/** `queued`: no work has begun, or the work waits for its turn. */
export type Phase = (typeof PHASES)[number];

export function phaseOf(book: BookRow & Partial<Pick<BookStatus, "health" | "stages">>): Phase {
  if (book.completed_at !== null) return "completed";
  if (book.status === "FAILED") return "failed";
  if (book.status === "CANCELLED") return "cancelled";
  return book.health === "waiting" || isUnbegun(book) ? "queued" : "working";
}

/**
 * In the first state, without progress. The first state may be no stage: then no work is done in
 * it.
 */
function isUnbegun(book: BookRow & Partial<Pick<BookStatus, "stages">>): boolean {
  if (book.overall_progress > 0) return false;
  const place = book.stages?.findIndex((stage) => stage.name === book.status) ?? -1;
  return place <= 0;
}
