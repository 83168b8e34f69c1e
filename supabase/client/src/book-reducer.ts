// What a page knows of one book, and how each piece of news changes it. Pure: no clock, no network.
// Rows and revisions are the truth, messages are hints: they may be dropped, repeated, reordered, or lack columns.
// Whatever leaves a doubt asks for a refetch, and shows the best there is until the answer is here.
import { forbidsShowing, isRecord, type BinderyError } from "./errors.js";
import { followHealth, followStages } from "./stages.js";
import {
  bookPatchSchema, columnsOf, compareLives, isNewer, isWholeRow, isWholeStatus, type BookPatch, type BookStatus,
} from "./status.js";

export interface BookState {
  readonly bookId: string;
  readonly book: BookStatus | null;
  /** The newest revision that any message spoke of. */
  readonly heard: number;
  /** Whether each column of `book` is known to be of its revision. */
  readonly certain: boolean;
  /** When what is shown was last confirmed. */
  readonly confirmedAt: number | null;
  /** Why the last fetch failed. */
  readonly error: BinderyError | null;
}

/** News, at a moment in milliseconds. */
export type News<Answer> =
  | { type: "fetched"; answer: Answer; at: number }
  | { type: "failed"; error: BinderyError; at: number }
  | { type: "received"; payload: unknown; at: number }
  | { type: "deleted"; bookId: string; at: number };

export interface Step<State> {
  readonly state: State;
  readonly refetch: boolean;
}

export function noBook(bookId: string): BookState {
  return { bookId, book: null, heard: 0, certain: false, confirmedAt: null, error: null };
}

export function reduceBook(state: BookState, news: News<BookStatus>): Step<BookState> {
  switch (news.type) {
    case "fetched":
      return fetched(state, news.answer, news.at);
    case "failed":
      return forbidsShowing(news.error)
        ? settled({ ...noBook(state.bookId), error: news.error })
        : settled({ ...state, error: news.error });
    case "deleted":
      return news.bookId === state.bookId ? doubtful(noBook(state.bookId)) : settled(state);
    case "received":
      return received(state, news.payload, news.at);
  }
}

function fetched(state: BookState, answer: BookStatus, at: number): Step<BookState> {
  const known = state.book;
  if (known !== null && isNewer(answer, known)) {
    // It was on its way while a message overtook it.
    return { state: { ...state, error: null }, refetch: !state.certain };
  }
  const reborn = known !== null && compareLives(known, answer) > 0;
  const heard = reborn ? answer.revision : Math.max(state.heard, answer.revision);
  return { state: { ...state, book: answer, heard, certain: true, confirmedAt: at, error: null }, refetch: heard > answer.revision };
}

function received(state: BookState, payload: unknown, at: number): Step<BookState> {
  const patch = readPatch(isRecord(payload) ? { book_id: state.bookId, ...payload } : payload);
  if (patch === null) return doubtful(state);
  if (patch.book_id !== state.bookId) return settled(state);
  if (isWholeStatus(patch) && isNews(state, patch)) {
    const { partial: _, ...book } = patch;
    return settled({ ...state, book, heard: patch.revision, certain: true, confirmedAt: at, error: null });
  }
  const known = state.book;
  const heard = Math.max(state.heard, patch.revision);
  if (known === null) return doubtful({ ...state, heard });
  const life = compareLives(known, patch);
  if (life > 0) return doubtful(state);
  if (life < 0 || patch.revision <= known.revision) return settled(state);

  const row = { ...known, ...columnsOf(patch) };
  const gap = patch.revision > known.revision + 1;
  const certain = isWholeRow(patch) || (state.certain && !gap && patch.partial !== true);
  const moved = row.status !== known.status || row.current_stage !== known.current_stage;
  const book = { ...row, stages: patch.stages ?? followStages(known, row), health: patch.health ?? followHealth(known, row) };
  return { state: { ...state, book, heard, certain, confirmedAt: at }, refetch: gap || moved || !certain };
}

/** Whether a whole status says more than what is known. */
function isNews(state: BookState, status: BookStatus): boolean {
  const known = state.book;
  if (known === null) return status.revision >= state.heard;
  if (isNewer(known, status)) return true;
  // The same revision again may tell of a newer heartbeat, or of another health.
  return !isNewer(status, known) && Date.parse(status.heartbeat_at) >= Date.parse(known.heartbeat_at);
}

/** What a message says; null if it makes no sense. */
export function readPatch(payload: unknown): BookPatch | null {
  const read = bookPatchSchema.safeParse(payload);
  return read.success ? read.data : null;
}

const settled = <State>(state: State): Step<State> => ({ state, refetch: false });
const doubtful = <State>(state: State): Step<State> => ({ state, refetch: true });
