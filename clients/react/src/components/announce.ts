// The announcements of a book for screen readers, and when to make them. Users switch off a live
// region that announces every change; this one announces stages and each further ten percent, at
// most once every few seconds.
import type { BookStatus } from "../status.js";
import { nameOfState, type Labels } from "./labels.js";

/** The last announcement and its subject. */
export interface Told {
  readonly bookId: string;
  readonly status: string;
  readonly attempt: number;
  /** Whole tens of percent. */
  readonly tens: number;
  readonly at: number;
}

/** Milliseconds between two announcements of percentages. */
const PAUSE = 5_000;

/**
 * The announcement (null: none), and the state to remember with it. The first state of a book is
 * not announced.
 */
export function announce(
  told: Told | null,
  book: BookStatus,
  now: number,
  labels: Labels,
): { told: Told; text: string | null } {
  const tens = Math.floor(book.overall_progress / 10);
  const next = { bookId: book.book_id, status: book.status, attempt: book.attempt, tens, at: now };
  if (told === null || told.bookId !== book.book_id) return { told: next, text: null };
  if (told.status !== book.status || told.attempt !== book.attempt)
    return { told: next, text: change(book, labels) };
  if (tens > told.tens && Math.abs(now - told.at) >= PAUSE)
    return { told: next, text: labels.percent(book.overall_progress) };
  return { told, text: null };
}

function change(book: BookStatus, labels: Labels): string {
  const name = nameOfState(book, labels);
  const place = book.stages.findIndex((stage) => stage.name === book.status);
  const stage = place < 0 ? name : labels.stageOf(name, place + 1, book.stages.length);
  return book.attempt > 1 && place >= 0 ? `${stage}, ${labels.attempt(book.attempt)}` : stage;
}
