// What watchers receive: the data of a subject, with its connection, age and error.
import type { BookState } from "./book-reducer.js";
import { hasMore, type BooksState, type Counts } from "./books-reducer.js";
import type { Connection } from "./connection.js";
import type { BinderyError } from "./errors.js";
import type { BookRow, BookStatus } from "./status.js";

/** The properties of all views. */
export interface View {
  readonly connection: Connection;
  /** The shown data may be out of date: nothing has confirmed it for a while. */
  readonly stale: boolean;
  /** Neither an answer nor an error has arrived yet. */
  readonly loading: boolean;
  /** Why the last request failed; null once one succeeds. */
  readonly error: BinderyError | null;
}

export interface BookView extends View {
  readonly book: BookStatus | null;
}

export interface BooksView extends View {
  readonly books: readonly BookRow[];
  /** The number of matching books; null while it is unknown. */
  readonly total: number | null;
  /** More books match than are shown; `loadMore` shows them. */
  readonly hasMore: boolean;
  readonly loadingMore: boolean;
  /** By phase, if the filter has `counts` and they are known. */
  readonly counts: Counts | null;
}

const idle: View = { connection: "closed", stale: false, loading: false, error: null };

/** The view of a book that is not watched. */
export const idleBook: BookView = { ...idle, book: null };
/** The view of a list that is not watched. */
export const idleBooks: BooksView = {
  ...idle,
  books: [],
  total: null,
  hasMore: false,
  loadingMore: false,
  counts: null,
};

export function viewBook(
  { book, error }: BookState,
  connection: Connection,
  stale: boolean,
): BookView {
  return { book, connection, stale, error, loading: book === null && error === null };
}

export function viewBooks(state: BooksState, connection: Connection, stale: boolean): BooksView {
  return {
    books: state.rows ?? idleBooks.books,
    total: state.total,
    hasMore: hasMore(state),
    loadingMore: state.rows !== null && state.covered < state.query.limit && state.next !== null,
    counts: state.counts,
    connection,
    stale,
    loading: state.rows === null && state.error === null,
    error: state.error,
  };
}
