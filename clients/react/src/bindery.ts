// The client: the watched books and lists. Watchers of one subject share its subscription and
// state.
import { parseAnswer } from "./answers.js";
import { noBook, reduceBook, type BookState } from "./book-reducer.js";
import { fetchBooks } from "./fetch-books.js";
import { keyOf, queryOf, type BooksFilter } from "./books-filter.js";
import {
  noBooks,
  reduceBooks,
  type BooksAnswer,
  type BooksCommand,
  type BooksState,
  type CountAnswer,
} from "./books-reducer.js";
import { systemEnvironment, type Environment } from "./environment.js";
import { Live } from "./live.js";
import type { Extent } from "./news.js";
import { bookStatusSchema, isFinal, type BookStatus } from "./status.js";
import type { Timing } from "./subject.js";
import { Topics } from "./topics.js";
import type { BooksQuery, Topic, Transport } from "./transport.js";
import { invalidId, sameForm } from "./uuid.js";
import {
  idleBook,
  idleBooks,
  viewBook,
  viewBooks,
  type BooksView,
  type BookView,
  type View,
} from "./views.js";

export type { BooksFilter } from "./books-filter.js";
export type { BooksView, BookView, View } from "./views.js";

export interface BinderyOptions {
  timing?: Partial<Timing>;
  environment?: Environment;
}

export interface Bindery {
  /**
   * Keeps a book up to date and calls `listener` at each change, until the returned function is
   * called. Ids are compared as UUIDs; an id that is not a UUID is an error in the view.
   */
  watchBook(bookId: string, listener: (view: BookView) => void): () => void;
  /** The current view of a book; the same object until something changes. */
  bookView(bookId: string): BookView;
  /** Requests the status now. Resolves when the answer or the error is in the view. */
  refetchBook(bookId: string): Promise<void>;
  watchBooks(filter: BooksFilter, listener: (view: BooksView) => void): () => void;
  booksView(filter: BooksFilter): BooksView;
  refetchBooks(filter: BooksFilter): Promise<void>;
  loadMore(filter: BooksFilter): void;
  /** The client's clock, in milliseconds. */
  now(): number;
  /** Ends all subscriptions and requests. Resolves when all subscriptions are closed. */
  close(): Promise<void>;
}

export const defaultTiming: Timing = {
  poll: 5_000,
  audit: 60_000,
  gap: 1_000,
  linger: 1_000,
  stale: { live: 150_000, otherwise: 15_000 },
};

type LiveBook = Live<BookState, BookStatus, BookView>;
type LiveBooks = Live<BooksState, BooksAnswer | CountAnswer, BooksView, BooksCommand>;

export function createBindery(transport: Transport, options: BinderyOptions = {}): Bindery {
  const environment = options.environment ?? systemEnvironment;
  const timing = { ...defaultTiming, ...options.timing };
  const topics = new Topics(transport, environment);
  const books = new Map<string, LiveBook>();
  const lists = new Map<string, LiveBooks>();
  const invalid = new Map<string, View>();

  /** The same object each time, because React calls it until the result stays the same. */
  function invalidView<Shown extends View>(field: string, id: string, idle: Shown): Shown | null {
    const error = invalidId(field, id);
    if (error === null) return null;
    const key = JSON.stringify([field, id]);
    const view = (invalid.get(key) as Shown | undefined) ?? { ...idle, error };
    invalid.set(key, view);
    return view;
  }
  const invalidBook = (bookId: string) => invalidView("book_id", bookId, idleBook);
  const invalidBooks = (filter: BooksFilter) => {
    const ownerId = filter.ownerId ?? null;
    return ownerId === null ? null : invalidView("owner_id", ownerId, idleBooks);
  };

  const attach = topics.attach.bind(topics);

  function book(bookId: string): LiveBook {
    const known = books.get(bookId);
    if (known !== undefined) return known;
    const subject = {
      initial: noBook(bookId),
      reduce: reduceBook,
      view: viewBook,
      fetch: async (_: BookState, signal: AbortSignal) =>
        parseAnswer(bookStatusSchema, await transport.fetchBook(bookId, signal)),
      topic: ({ book }: BookState): Topic | null =>
        book === null ? null : { kind: "book", bookId, ownerId: book.owner_id },
      attach,
      since: (state: BookState) => state.book?.revision ?? null,
      isFinal: (state: BookState) => state.book !== null && state.certain && isFinal(state.book),
      batch: 0,
    };
    const live: LiveBook = new Live(subject, timing, environment, () => books.delete(bookId));
    books.set(bookId, live);
    return live;
  }

  function list(query: BooksQuery): LiveBooks {
    const key = JSON.stringify(query);
    const known = lists.get(key);
    if (known !== undefined) return known;
    const subject = {
      initial: noBooks(query),
      reduce: reduceBooks,
      view: viewBooks,
      fetch: (state: BooksState, signal: AbortSignal, extent: Extent) =>
        fetchBooks(transport, state, signal, extent),
      topic: ({ rows }: BooksState): Topic | null =>
        rows === null ? null : { kind: "books", ownerId: query.ownerId },
      attach,
      since: () => null,
      isFinal: () => false,
      // One frame: changes that arrive together redraw a list once.
      batch: 16,
    };
    const live: LiveBooks = new Live(subject, timing, environment, () => lists.delete(key));
    lists.set(key, live);
    return live;
  }

  return {
    watchBook(given, listener) {
      const invalid = invalidBook(given);
      if (invalid !== null) return callOnce(() => listener(invalid));
      const live = book(sameForm(given));
      return live.subscribe(() => listener(live.view));
    },
    bookView: (bookId) => books.get(sameForm(bookId))?.view ?? invalidBook(bookId) ?? idleBook,
    refetchBook: (bookId) => books.get(sameForm(bookId))?.refetch() ?? Promise.resolve(),
    watchBooks(filter, listener) {
      const invalid = invalidBooks(filter);
      if (invalid !== null) return callOnce(() => listener(invalid));
      const live = list(queryOf(filter));
      return live.subscribe(() => listener(live.view));
    },
    booksView: (filter) => lists.get(keyOf(filter))?.view ?? invalidBooks(filter) ?? idleBooks,
    refetchBooks: (filter) => lists.get(keyOf(filter))?.refetch() ?? Promise.resolve(),
    loadMore(filter) {
      const live = lists.get(keyOf(filter));
      if (live === undefined || !live.view.hasMore || live.view.loadingMore) return;
      live.dispatch({ type: "more", by: queryOf(filter).limit });
    },
    now: () => environment.now(),
    async close() {
      for (const live of [...books.values()]) live.close();
      for (const live of [...lists.values()]) live.close();
      await topics.closed();
    },
  };
}

/** Calls once, but not before the caller has the function that ends the subscription. */
function callOnce(listener: () => void): () => void {
  let stopped = false;
  queueMicrotask(() => stopped || listener());
  return () => {
    stopped = true;
  };
}
