// What a screen reader is told of a book, and when it is better to keep quiet. A live region that speaks at each change is
// switched off by its readers; this one speaks of stages, of each further ten percent, and no oftener than every few seconds.
import type { BookStatus } from "../status.js";
import { nameOfState, type Labels } from "./labels.js";

/** What was last told, and of what. */
export interface Told {
  readonly bookId: string;
  readonly status: string;
  readonly attempt: number;
  /** Whole tens of percent. */
  readonly tens: number;
  readonly at: number;
}

/** Milliseconds between two announcements of mere percent. */
const PAUSE = 5_000;

/** What to tell now (null: nothing), and what is to be remembered as told. The first sight of a book is not announced. */
export function announce(
  told: Told | null,
  book: BookStatus,
  now: number,
  labels: Labels,
): { told: Told; text: string | null } {
  const tens = Math.floor(book.overall_progress / 10);
  const next = { bookId: book.book_id, status: book.status, attempt: book.attempt, tens, at: now };
  if (told === null || told.bookId !== book.book_id) return { told: next, text: null };
  if (told.status !== book.status || told.attempt !== book.attempt) return { told: next, text: change(book, labels) };
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
