// The interface of a transport to the database. A transport makes one attempt and reports its
// outcome; its users decide when to try again, what to believe and what to request.

import type { Phase } from "./phase.js";

/**
 * The topics that can be watched: a book, or the books of an owner (without an owner, all that the
 * reader may see). A book's topic contains its owner: after a change of owner it is another topic.
 */
export type Topic =
  | { kind: "book"; bookId: string; ownerId: string | null }
  | { kind: "books"; ownerId: string | null };

export interface BooksQuery {
  ownerId: string | null;
  /** Null: all books. */
  statuses: readonly string[] | null;
  pipeline: string | null;
  sort: BooksSort;
  descending: boolean;
  limit: number;
  phase?: Phase | undefined;
  /** A part of the title or of the error, or the beginning of the id. */
  search?: string | undefined;
  /** An element of the array `tags` in the metadata. */
  tag?: string | undefined;
  /** Whether to count all books by phase that fit the other filters. */
  counts?: boolean | undefined;
}

export type BooksSort =
  | "created_at"
  | "updated_at"
  | "overall_progress"
  | "title"
  | "stage_started_at"
  | "estimated_completion_at";

/** The counts of the matching books. Null: unknown. */
export interface BooksCount {
  total: number | null;
  /** By phase, not validated yet. Phases without books may be missing. */
  counts?: unknown;
}

export interface BooksPage extends BooksCount {
  /** In order, not validated yet. */
  rows: unknown;
  /**
   * Where the next page begins: null at the end. Undefined: this transport reads lists from the top
   * only.
   */
  next?: string | null | undefined;
}

/** Which part of a book's history: the newest events before a revision (null: of all). */
export interface TimelineQuery {
  before: number | null;
  limit: number;
}

/** Which substeps: of a stage (null: the current one), after a key (null: from the first). */
export interface SubstepsQuery {
  stage: string | null;
  after: string | null;
  limit: number;
}

/** Items in order, not validated yet; `next` continues after them, null at the end. */
export interface Page<Cursor> {
  items: unknown;
  next: Cursor | null;
}

export interface ActOptions {
  /** The act is refused if the book has another revision. */
  expectedRevision?: number | undefined;
}

export interface CancelOptions extends ActOptions {
  message?: string | undefined;
}

/** The events of a subscription. None follows `ended`. */
export interface SubscriptionListener {
  /** Changes arrive from now on; a request is needed for earlier ones. */
  subscribed(): void;
  /** A status, a row, or a part of one, not validated yet. */
  message(payload: unknown): void;
  /** The book is deleted, or has left this owner. */
  deleted(bookId: string): void;
  /** A message may have been lost. */
  doubt(): void;
  ended(reason: EndReason): void;
}

/**
 * - `lost`: try again
 * - `refused`: the server does not admit this reader, or has no room for another subscription;
 *   try again later
 * - `unavailable`: this server has no such subscription
 */
export type EndReason = "lost" | "refused" | "unavailable";

/**
 * Each function throws a BinderyError. Ids are UUIDs in any form that Postgres reads. What an
 * optional function is for is an error in the view without it.
 */
export interface Transport {
  /** The most subscriptions at once. By default, any number. */
  readonly most?: number;
  /** The status object of one book, not validated yet. */
  fetchBook(bookId: string, signal: AbortSignal): Promise<unknown>;
  /**
   * Reads `query.limit` books, from the top or from the `next` of an earlier page.
   */
  fetchBooks(query: BooksQuery, signal: AbortSignal, after?: string): Promise<BooksPage>;
  /** Only the counts. Required of a transport whose pages have a `next`. */
  countBooks?(query: BooksQuery, signal: AbortSignal): Promise<BooksCount>;
  /**
   * Subscribes once to a topic that a request has shown to be readable. `since` is the newest known
   * revision. Returns the function that ends it; when its promise resolves, the topic is free
   * again.
   */
  open(topic: Topic, since: number | null, listener: SubscriptionListener): () => Promise<void>;
  /** A book's history, the newest events first. */
  fetchTimeline?(bookId: string, query: TimelineQuery, signal: AbortSignal): Promise<Page<number>>;
  /** The substeps of a stage, in the order of their keys. */
  fetchSubsteps?(bookId: string, query: SubstepsQuery, signal: AbortSignal): Promise<Page<string>>;
  /** Resumes a FAILED book. Requires the role `service_role`. */
  resumeBook?(bookId: string, options: ActOptions): Promise<void>;
  /** Cancels a book permanently. Requires the role `service_role`. */
  cancelBook?(bookId: string, options: CancelOptions): Promise<void>;
}

/** A transport that may have no lists: enough for a client of single books. */
export type BookTransport = Omit<Transport, "fetchBooks"> & Partial<Pick<Transport, "fetchBooks">>;
