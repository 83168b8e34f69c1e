// What a way to the database must be able to do. A transport makes one attempt and tells how it went; when to try again,
// what to believe and what to ask is decided by those who use it.

/**
 * What one can watch: a book, or the books of an owner (all that the reader may see where no owner is given). A book's
 * topic has its owner in it: after a change of owner it is another topic.
 */
export type Topic =
  { kind: "book"; bookId: string; ownerId: string | null } | { kind: "books"; ownerId: string | null };

export interface BooksQuery {
  ownerId: string | null;
  /** Null: all of them. */
  statuses: readonly string[] | null;
  pipeline: string | null;
  sort: BooksSort;
  descending: boolean;
  limit: number;
}

export type BooksSort = "created_at" | "updated_at" | "overall_progress";

/** What a subscription tells. After `ended` nothing more is heard of it. */
export interface Ears {
  /** Changes arrive from now on; what happened before is to be asked for. */
  subscribed(): void;
  /** A status, a row, or a part of one. Not checked yet. */
  message(payload: unknown): void;
  /** The book is deleted, or has left this owner. */
  deleted(bookId: string): void;
  /** Something may have been missed. */
  doubt(): void;
  ended(reason: EndReason): void;
}

/**
 * - `lost`: try again
 * - `refused`: the server does not admit this reader, or has no room for another subscription; try again later
 * - `unavailable`: this server has no such subscription
 */
export type EndReason = "lost" | "refused" | "unavailable";

export interface Transport {
  /** How many subscriptions it holds at once. Left out: any number. */
  readonly most?: number;
  /** The status object of one book, not checked yet. Throws BinderyError. */
  fetchBook(bookId: string, signal: AbortSignal): Promise<unknown>;
  /** Rows in order, not checked yet, and how many there are in all (null: not known). Throws BinderyError. */
  fetchBooks(query: BooksQuery, signal: AbortSignal): Promise<{ rows: unknown; total: number | null }>;
  /** Subscribes, once, to what a question has shown to be readable. `since` is the newest revision known. Gives what ends it; when that is done, the topic is free again. */
  open(topic: Topic, since: number | null, ears: Ears): () => Promise<void>;
}
