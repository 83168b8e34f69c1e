// The client: the watched books and lists. Watchers of one subject share its subscription and
// state.
import { noBook, reduceBook, type BookState } from "./book-reducer.js";
import {
  hasMore,
  noBooks,
  reduceBooks,
  type BooksAnswer,
  type BooksState,
  type BooksCommand,
} from "./books-reducer.js";
import type { Connection } from "./connection.js";
import { systemEnvironment, type Environment } from "./environment.js";
import { BinderyError, isRecord } from "./errors.js";
import { Link, type LinkListener } from "./link.js";
import { Live } from "./live.js";
import {
  bookRowSchema,
  bookStatusSchema,
  isFinal,
  withoutSubsteps,
  type BookRow,
  type BookStatus,
} from "./status.js";
import type { Timing } from "./subject.js";
import type { BooksQuery, BooksSort, Topic, Transport } from "./transport.js";
import { invalidId, sameForm } from "./uuid.js";
import * as z from "zod/mini";

/** The properties of both views. */
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
}

export interface BooksFilter {
  /** Its books; by default all that the reader may see. An invalid UUID is an error in the view. */
  ownerId?: string | undefined;
  status?: string | readonly string[] | undefined;
  pipeline?: string | undefined;
  /** The sort key; `created_at` by default. */
  sort?: BooksSort | undefined;
  /** By default, the newest or the most complete books come first. */
  order?: "ascending" | "descending" | undefined;
  /** The number of books at first, and of each `loadMore`; 50 by default. */
  pageSize?: number | undefined;
}

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

/** The view of a book that is not watched. */
export const idleBook: BookView = {
  book: null,
  connection: "closed",
  stale: false,
  loading: false,
  error: null,
};
/** The view of a list that is not watched. */
export const idleBooks: BooksView = {
  books: [],
  total: null,
  hasMore: false,
  loadingMore: false,
  connection: "closed",
  stale: false,
  loading: false,
  error: null,
};

/** Subscriptions that books leave free: a book without its own one uses its owner's topic. */
const KEPT_FOR_LISTS = 5;

type LiveBook = Live<BookState, BookStatus, BookView>;
type LiveBooks = Live<BooksState, BooksAnswer, BooksView, BooksCommand>;

export function createBindery(transport: Transport, options: BinderyOptions = {}): Bindery {
  const environment = options.environment ?? systemEnvironment;
  const timing = { ...defaultTiming, ...options.timing };
  const links = new Map<string, Link>();
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

  /** A book without its own subscription follows its owner's topic; audits find missed changes. */
  function attach(topic: Topic, listener: LinkListener): (() => void) | null {
    const name = JSON.stringify(topic);
    const known = links.get(name);
    const room =
      (transport.most ?? Number.POSITIVE_INFINITY) - (topic.kind === "book" ? KEPT_FOR_LISTS : 0);
    if (known === undefined && links.size >= room) {
      if (topic.kind === "books" || topic.ownerId === null) return null;
      return attach({ kind: "books", ownerId: topic.ownerId }, only(topic.bookId, listener));
    }
    const link = known ?? new Link(transport, topic, environment, () => links.delete(name));
    links.set(name, link);
    return link.attach(listener);
  }

  function book(bookId: string): LiveBook {
    const known = books.get(bookId);
    if (known !== undefined) return known;
    const subject = {
      initial: noBook(bookId),
      reduce: reduceBook,
      view: viewBook,
      fetch: async (_: BookState, signal: AbortSignal) =>
        read(bookStatusSchema, await transport.fetchBook(bookId, signal)),
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
      fetch: async ({ query }: BooksState, signal: AbortSignal): Promise<BooksAnswer> => {
        const { rows, total } = await transport.fetchBooks(query, signal);
        const books = read(z.array(bookRowSchema), rows).map((row): BookRow =>
          withoutSubsteps(row),
        );
        return { rows: books, total, limit: query.limit };
      },
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
      await Promise.all([...links.values()].map((link) => link.closed));
    },
  };
}

/** One key for all filters with the same meaning. */
export function keyOf(filter: BooksFilter): string {
  return JSON.stringify(queryOf(filter));
}

function queryOf(filter: BooksFilter): BooksQuery {
  // An empty text, such as the first choice of a form, does not filter.
  const given = filter.status === "" ? undefined : filter.status;
  const statuses = typeof given === "string" ? [given] : given;
  const ownerId = filter.ownerId ?? null;
  return {
    ownerId: ownerId === null ? null : sameForm(ownerId),
    statuses: statuses === undefined ? null : [...statuses].sort(),
    pipeline: filter.pipeline || null,
    sort: filter.sort ?? "created_at",
    descending: filter.order !== "ascending",
    limit: filter.pageSize ?? 50,
  };
}

/** The messages about one book, from a topic with many books. */
function only(bookId: string, listener: LinkListener): LinkListener {
  const isOurs = (id: unknown) => typeof id === "string" && sameForm(id) === bookId;
  return {
    ...listener,
    message: (payload) => {
      if (isRecord(payload) && isOurs(payload["book_id"])) listener.message(payload);
    },
    deleted: (id) => {
      if (isOurs(id)) listener.deleted(id);
    },
    since: () => null,
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

function viewBook({ book, error }: BookState, connection: Connection, stale: boolean): BookView {
  return { book, connection, stale, error, loading: book === null && error === null };
}

function viewBooks(state: BooksState, connection: Connection, stale: boolean): BooksView {
  const loadingMore = state.rows !== null && state.covered < state.query.limit;
  const { total, error } = state;
  const loading = state.rows === null && error === null;
  return {
    books: state.rows ?? idleBooks.books,
    total,
    hasMore: hasMore(state),
    loadingMore,
    connection,
    stale,
    loading,
    error,
  };
}

function read<Value>(schema: z.ZodMiniType<Value>, answer: unknown): Value {
  const read = schema.safeParse(answer);
  if (read.success) return read.data;
  const problem = z.prettifyError(read.error);
  throw new BinderyError(
    "bad_answer",
    `The answer is not what Bindery gives: ${problem}`,
    null,
    "Do schema and client have the same version?",
  );
}
