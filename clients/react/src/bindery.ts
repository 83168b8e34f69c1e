// The client: the watched books and lists. Watchers of one subject share its subscription and
// state.
import { parseAnswer } from "./answers.js";
import { noBook, reduceBook, type BookState } from "./book-reducer.js";
import { fetchBooks, fetchWindow } from "./fetch-books.js";
import { keyOf, queryOf, type BooksFilter } from "./books-filter.js";
import {
  noBooks,
  reduceBooks,
  type BooksAnswer,
  type BooksCommand,
  type BooksState,
  type CountAnswer,
  type Counts,
} from "./books-reducer.js";
import { systemEnvironment, type Environment } from "./environment.js";
import { callOnce, InvalidIds } from "./invalid-ids.js";
import { shareInternals, type WatchedBook } from "./internals.js";
import { Live } from "./live.js";
import type { Extent, News } from "./news.js";
import { bookStatusSchema, isFinal, type BookRow, type BookStatus } from "./status.js";
import type { Timing } from "./subject.js";
import { Topics } from "./topics.js";
import type { BooksQuery, Topic, Transport } from "./transport.js";
import { sameForm } from "./uuid.js";
import {
  idleBook,
  idleBooks,
  viewBook,
  viewBooks,
  type BooksView,
  type BookView,
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
  /** Reads a status once, for a server or a cache. Throws a BinderyError. */
  fetchBook(bookId: string, signal?: AbortSignal): Promise<BookStatus>;
  /** Reads a list once. Throws a BinderyError. */
  fetchBooks(filter: BooksFilter, signal?: AbortSignal): Promise<BooksList>;
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

/** The books of a list, and the numbers of all matching ones (null: unknown). */
export interface BooksList {
  books: readonly BookRow[];
  total: number | null;
  /** By phase, if the filter has `counts`. */
  counts: Counts | null;
}

interface LiveBook {
  readonly live: Live<BookState, BookStatus, BookView>;
  /** Called with each piece of news, before it changes the view. */
  readonly newsListeners: Set<(news: News<BookStatus>) => void>;
}
type LiveBooks = Live<BooksState, BooksAnswer | CountAnswer, BooksView, BooksCommand>;

export function createBindery(transport: Transport, options: BinderyOptions = {}): Bindery {
  const environment = options.environment ?? systemEnvironment;
  const timing = { ...defaultTiming, ...options.timing };
  const topics = new Topics(transport, environment);
  const books = new Map<string, LiveBook>();
  const lists = new Map<string, LiveBooks>();
  const invalid = new InvalidIds();
  const invalidBook = (bookId: string) => invalid.view("book_id", bookId, idleBook);
  const invalidBooks = ({ ownerId }: BooksFilter) =>
    ownerId == null ? null : invalid.view("owner_id", ownerId, idleBooks);
  const attach = topics.attach.bind(topics);

  async function fetchBook(bookId: string, signal: AbortSignal): Promise<BookStatus> {
    return parseAnswer(bookStatusSchema, await transport.fetchBook(bookId, signal));
  }

  function book(bookId: string): LiveBook {
    const known = books.get(bookId);
    if (known !== undefined) return known;
    const newsListeners: LiveBook["newsListeners"] = new Set();
    const subject = {
      initial: noBook(bookId),
      reduce: (state: BookState, news: News<BookStatus>) => {
        for (const listener of [...newsListeners]) listener(news);
        return reduceBook(state, news);
      },
      view: viewBook,
      fetch: (_: BookState, signal: AbortSignal) => fetchBook(bookId, signal),
      topic: ({ book }: BookState): Topic | null =>
        book === null ? null : { kind: "book", bookId, ownerId: book.owner_id },
      attach,
      since: (state: BookState) => state.book?.revision ?? null,
      isFinal: (state: BookState) => state.book !== null && state.certain && isFinal(state.book),
      batch: 0,
    };
    const live = new Live(subject, timing, environment, () => books.delete(bookId));
    const opened = { live, newsListeners };
    books.set(bookId, opened);
    return opened;
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

  function watchedBook(bookId: string): WatchedBook {
    const { live, newsListeners } = book(bookId);
    return {
      get view() {
        return live.view;
      },
      subscribe: (listener) => live.subscribe(listener),
      onNews(listener) {
        newsListeners.add(listener);
        return () => newsListeners.delete(listener);
      },
    };
  }

  const refetchBook = (bookId: string) =>
    books.get(sameForm(bookId))?.live.refetch() ?? Promise.resolve();
  const closers = new Set<() => void>();

  const bindery: Bindery = {
    watchBook(given, listener) {
      const invalid = invalidBook(given);
      if (invalid !== null) return callOnce(() => listener(invalid));
      const { live } = book(sameForm(given));
      return live.subscribe(() => listener(live.view));
    },
    bookView: (bookId) => books.get(sameForm(bookId))?.live.view ?? invalidBook(bookId) ?? idleBook,
    refetchBook,
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
    async fetchBook(given, signal = new AbortController().signal) {
      const { error } = invalidBook(given) ?? idleBook;
      if (error !== null) throw error;
      return fetchBook(sameForm(given), signal);
    },
    async fetchBooks(filter, signal = new AbortController().signal) {
      const { error } = invalidBooks(filter) ?? idleBooks;
      if (error !== null) throw error;
      const { rows, total, counts } = await fetchWindow(transport, queryOf(filter), signal);
      return { books: rows, total, counts: counts ?? null };
    },
    now: () => environment.now(),
    async close() {
      for (const close of closers) close();
      for (const { live } of [...books.values()]) live.close();
      for (const live of [...lists.values()]) live.close();
      await topics.closed();
    },
  };
  shareInternals(bindery, { transport, timing, environment, book: watchedBook, closers });
  return bindery;
}
