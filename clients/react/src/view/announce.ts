// The announcements of a book for screen readers, and when to make them. Users switch off a live
// region that announces every change; this one announces stages and each further ten percent, at
// most once every few seconds.
import type { BookStatus } from "../status.js";
import { nameOfState, type Labels } from "./labels.js";

/** The last announcement and its subject. */
export interface Announced {
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
 * not announced; it clears the announcement of another book.
 */
export function announce(
  before: Announced | null,
  book: BookStatus,
  now: number,
  labels: Labels,
): { announced: Announced; text: string | null } {
  const tens = Math.floor(book.overall_progress / 10);
  const { book_id: bookId, status, attempt } = book;
  const announced = { bookId, status, attempt, tens, at: now };
  if (before === null || before.bookId !== bookId) return { announced, text: "" };
  if (before.status !== status || before.attempt !== attempt)
    return { announced, text: change(book, labels) };
  if (tens > before.tens && Math.abs(now - before.at) >= PAUSE)
    return { announced, text: labels.percent(book.overall_progress) };
  return { announced: before, text: null };
}

function change(book: BookStatus, labels: Labels): string {
  const name = nameOfState(book, labels);
  const place = book.stages.findIndex((stage) => stage.name === book.status);
  if (place < 0) return name;
  const stage = labels.stageOf(name, place + 1, book.stages.length);
  const most = book.stages[place]?.max_attempts ?? null;
  return book.attempt > 1 ? `${stage}, ${labels.attempt(book.attempt, most)}` : stage;
}
