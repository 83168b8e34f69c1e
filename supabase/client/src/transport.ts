// What a way to the database must be able to do. A transport makes one attempt and tells how it went; when to try again,
// what to believe and what to ask is decided by those who use it.

/** What one can watch: a book, or the books of an owner (all that the reader may see where no owner is given). */
export type Topic = { kind: "book"; bookId: string } | { kind: "books"; ownerId: string | null };

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
  /** The row is no more. */
  deleted(bookId: string): void;
  /** Something may have been missed. */
  doubt(): void;
  /** `lost`: try again. `unavailable`: this server has no such subscription. */
  ended(reason: "lost" | "unavailable"): void;
}

export interface Transport {
  /** The status object of one book, not checked yet. Throws BinderyError. */
  fetchBook(bookId: string, signal: AbortSignal): Promise<unknown>;
  /** Rows in order, not checked yet, and how many there are in all (null: not known). Throws BinderyError. */
  fetchBooks(query: BooksQuery, signal: AbortSignal): Promise<{ rows: unknown; total: number | null }>;
  /** Subscribes, once. `since` is the newest revision known. Gives what ends it; when that is done, the topic is free again. */
  open(topic: Topic, since: number | null, ears: Ears): () => Promise<void>;
}
