// The client: what is watched, by whom, over which subscriptions. Two who watch the same share one of everything.
import { noBook, reduceBook, type BookState } from "./book-reducer.js";
import { hasMore, noBooks, reduceBooks, type BooksAnswer, type BooksState, type BooksWish } from "./books-reducer.js";
import type { Connection } from "./connection.js";
import { systemEnvironment, type Environment } from "./environment.js";
import { BinderyError, isRecord } from "./errors.js";
import { Link, type LinkListener } from "./link.js";
import { Live } from "./live.js";
import { bookRowSchema, bookStatusSchema, isFinal, withoutSubsteps, type BookRow, type BookStatus } from "./status.js";
import type { Timing } from "./subject.js";
import type { BooksQuery, BooksSort, Topic, Transport } from "./transport.js";
import { invalidId, sameForm } from "./uuid.js";
import * as z from "zod/mini";

/** What both views have. */
export interface View {
  readonly connection: Connection;
  /** What is shown may be out of date: nothing has confirmed it for a while. */
  readonly stale: boolean;
  /** Nothing has come yet, neither an answer nor an error. */
  readonly loading: boolean;
  /** Why the last question failed; null once one succeeds. */
  readonly error: BinderyError | null;
}

export interface BookView extends View {
  readonly book: BookStatus | null;
}

export interface BooksView extends View {
  readonly books: readonly BookRow[];
  /** How many match in all; null while that is not known. */
  readonly total: number | null;
  /** There are more than are shown; `loadMore` brings them. */
  readonly hasMore: boolean;
  readonly loadingMore: boolean;
}

export interface BooksFilter {
  /** Whose books. Left out: all that the reader may see. An id that is no UUID is an error in the view. */
  ownerId?: string | undefined;
  status?: string | readonly string[] | undefined;
  pipeline?: string | undefined;
  /** `created_at` unless told. */
  sort?: BooksSort | undefined;
  /** Newest or farthest first, unless `ascending`. */
  order?: "ascending" | "descending" | undefined;
  /** How many at first, and how many more each time; 50 unless told. */
  pageSize?: number | undefined;
}

export interface BinderyOptions {
  timing?: Partial<Timing>;
  environment?: Environment;
}

export interface Bindery {
  /**
   * Keeps a book up to date and calls at each change, until the given function is called. Ids are compared as UUIDs; one
   * that is none is an error in the view.
   */
  watchBook(bookId: string, listener: (view: BookView) => void): () => void;
  /** A book as it is known now; the same object until something changes. */
  bookView(bookId: string): BookView;
  /** Asks again, now. Resolves when the answer, good or bad, is in the view. */
  refetchBook(bookId: string): Promise<void>;
  watchBooks(filter: BooksFilter, listener: (view: BooksView) => void): () => void;
  booksView(filter: BooksFilter): BooksView;
  refetchBooks(filter: BooksFilter): Promise<void>;
  loadMore(filter: BooksFilter): void;
  /** Milliseconds of the clock that the client goes by. */
  now(): number;
  /** Ends everything. Resolves when all subscriptions are closed. */
  close(): Promise<void>;
}

export const defaultTiming: Timing = {
  poll: 5_000,
  audit: 60_000,
  gap: 1_000,
  linger: 1_000,
  stale: { live: 150_000, otherwise: 15_000 },
};

/** What is seen of a book that nobody watches. */
export const idleBook: BookView = { book: null, connection: "closed", stale: false, loading: false, error: null };
/** The same of a list. */
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

/** Subscriptions that books leave free, so that a book without room finds its changes in its owner's topic. */
const KEPT_FOR_LISTS = 5;

type LiveBook = Live<BookState, BookStatus, BookView>;
type LiveBooks = Live<BooksState, BooksAnswer, BooksView, BooksWish>;

export function createBindery(transport: Transport, options: BinderyOptions = {}): Bindery {
  const environment = options.environment ?? systemEnvironment;
  const timing = { ...defaultTiming, ...options.timing };
  const links = new Map<string, Link>();
  const books = new Map<string, LiveBook>();
  const lists = new Map<string, LiveBooks>();
  const invalid = new Map<string, View>();

  /** The same object each time: React asks for it until it stays the same. */
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

  /** A book that has no room of its own is followed in its owner's topic; what that lacks, audits find. */
  function attach(topic: Topic, listener: LinkListener): (() => void) | null {
    const name = JSON.stringify(topic);
    const known = links.get(name);
    const room = (transport.most ?? Number.POSITIVE_INFINITY) - (topic.kind === "book" ? KEPT_FOR_LISTS : 0);
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
        const books = read(z.array(bookRowSchema), rows).map((row): BookRow => withoutSubsteps(row));
        return { rows: books, total, limit: query.limit };
      },
      topic: ({ rows }: BooksState): Topic | null => (rows === null ? null : { kind: "books", ownerId: query.ownerId }),
      attach,
      since: () => null,
      isFinal: () => false,
      // One frame: a list of 200 that change 50 times a second is drawn once for those that come together.
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
      live.wish({ type: "more", by: queryOf(filter).limit });
    },
    now: () => environment.now(),
    async close() {
      for (const live of [...books.values()]) live.close();
      for (const live of [...lists.values()]) live.close();
      await Promise.all([...links.values()].map((link) => link.closed));
    },
  };
}

/** One name for all filters that mean the same. */
export function keyOf(filter: BooksFilter): string {
  return JSON.stringify(queryOf(filter));
}

function queryOf(filter: BooksFilter): BooksQuery {
  // An empty text, such as the first choice of a form, is no wish.
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

/** Of a topic with many books, what is about one. */
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

/** Calls once, not before the caller has what ends it. */
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
