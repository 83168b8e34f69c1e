// The button of a FAILED book, without a framework: it runs once at a time, and a new revision of
// the book brings a new button.
import type { BookRow } from "../status.js";
import type { RetryModel } from "./failure.js";

export interface Retry {
  readonly of: string;
  readonly state: RetryModel["state"];
}

export const retryKey = (book: Pick<BookRow, "book_id" | "revision">): string =>
  `${book.book_id} ${book.revision}`;

/** The button's state for a book. */
export function retryState(
  last: Retry | null,
  book: Pick<BookRow, "book_id" | "revision">,
): RetryModel["state"] {
  return last?.of === retryKey(book) ? last.state : "ready";
}

/**
 * Runs `act` for a book and reports each state; the caller keeps the last one. A report for a book
 * that has changed meanwhile has no effect on its button.
 */
export async function runRetry(
  book: Pick<BookRow, "book_id" | "revision">,
  act: () => unknown,
  report: (retry: Retry) => void,
): Promise<void> {
  const of = retryKey(book);
  report({ of, state: "running" });
  try {
    await act();
    report({ of, state: "ready" });
  } catch {
    report({ of, state: "failed" });
  }
}
