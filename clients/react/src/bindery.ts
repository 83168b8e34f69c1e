// The client: the watched books, and its lists (lists.ts). Watchers of one book share its
// subscription and state.
import { parseAnswer } from "./answers.js";
import { noBook, reduceBook, type BookState } from "./book-reducer.js";
import { systemEnvironment, type Environment } from "./environment.js";
import { callOnce, InvalidIds } from "./invalid-ids.js";
import { shareInternals, type WatchedBook } from "./internals.js";
import { listsOf, type BookLists } from "./lists.js";
import { createLive, type Live } from "./live.js";
import type { News } from "./news.js";
import { bookStatusSchema, isFinal, type BookStatus } from "./status.js";
import type { Timing } from "./subject.js";
import { createTopics } from "./topics.js";
import type { BookTransport, Topic, Transport } from "./transport.js";
import { sameForm } from "./uuid.js";
import { idleBook, viewBook, type BookView } from "./views.js";

export type { BooksFilter } from "./books-filter.js";
export type { BooksList } from "./lists.js";
export type { BooksView, BookView, View } from "./views.js";

export interface BinderyOptions {
  timing?: Partial<Timing>;
  environment?: Environment;
}

/** A client for single books. Functions such as `bookTimeline` and the hooks take it, too. */
export interface BookClient {
  /**
   * Keeps a book up to date and calls `listener` at each change, until the returned function is
   * called. Ids are compared as UUIDs; an id that is not a UUID is an error in the view.
   */
  watchBook(bookId: string, listener: (view: BookView) => void): () => void;
  /** The current view of a book; the same object until something changes. */
  bookView(bookId: string): BookView;
  /** Requests the status now. Resolves when the answer or the error is in the view. */
  refetchBook(bookId: string): Promise<void>;
  /** Reads a status once, for a server or a cache. Throws a BinderyError. */
  fetchBook(bookId: string, signal?: AbortSignal): Promise<BookStatus>;
  /** The client's clock, in milliseconds. */
  now(): number;
  /** Ends all subscriptions and requests. Resolves when all subscriptions are closed. */
  close(): Promise<void>;
}

/** A client for books and lists. */
export interface Bindery extends BookClient, BookLists {}

export const defaultTiming: Timing = {
  poll: 5_000,
  audit: 60_000,
  gap: 1_000,
  linger: 1_000,
  stale: { live: 150_000, otherwise: 15_000 },
};

interface LiveBook {
  readonly live: Live<BookView>;
  /** Called with each piece of news, before it changes the view. */
  readonly newsListeners: Set<(news: News<BookStatus>) => void>;
}

export function createBindery(transport: Transport, options: BinderyOptions = {}): Bindery {
  const client = createBookClient(transport, options);
  return Object.assign(client, listsOf(client));
}

/** A client without lists, which a bundler leaves out of a page that shows none. */
export function createBookClient(
  transport: BookTransport,
  options: BinderyOptions = {},
): BookClient {
  const environment = options.environment ?? systemEnvironment;
  const timing = { ...defaultTiming, ...options.timing };
  const topics = createTopics(transport, environment);
  const books = new Map<string, LiveBook>();
  const invalid = new InvalidIds();
  const invalidBook = (bookId: string) => invalid.view("book_id", bookId, idleBook);

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
      attach: topics.attach,
      since: (state: BookState) => state.book?.revision ?? null,
      isFinal: (state: BookState) => state.book !== null && state.certain && isFinal(state.book),
      batch: 0,
    };
    const live = createLive(subject, timing, environment, () => books.delete(bookId));
    const opened = { live, newsListeners };
    books.set(bookId, opened);
    return opened;
  }

  function watchedBook(bookId: string): WatchedBook {
    const { live, newsListeners } = book(bookId);
    return {
      get view() {
        return live.view();
      },
      subscribe: live.subscribe,
      onNews(listener) {
        newsListeners.add(listener);
        return () => newsListeners.delete(listener);
      },
    };
  }

  const refetchBook = (bookId: string) =>
    books.get(sameForm(bookId))?.live.refetch() ?? Promise.resolve();
  const closers = new Set<() => void>();

  const client: BookClient = {
    watchBook(given, listener) {
      const invalid = invalidBook(given);
      if (invalid !== null) return callOnce(() => listener(invalid));
      const { live } = book(sameForm(given));
      return live.subscribe(() => listener(live.view()));
    },
    bookView: (bookId) =>
      books.get(sameForm(bookId))?.live.view() ?? invalidBook(bookId) ?? idleBook,
    refetchBook,
    async fetchBook(given, signal = new AbortController().signal) {
      const { error } = invalidBook(given) ?? idleBook;
      if (error !== null) throw error;
      return fetchBook(sameForm(given), signal);
    },
    now: () => environment.now(),
    async close() {
      for (const close of closers) close();
      for (const { live } of [...books.values()]) live.close();
      await topics.closed();
    },
  };
  const shared = {
    transport,
    timing,
    environment,
    attach: topics.attach,
    book: watchedBook,
    closers,
  };
  shareInternals(client, shared);
  return client;
}
