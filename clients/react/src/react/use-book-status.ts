"use client";
import { useCallback, useMemo, useSyncExternalStore } from "react";
import { idleBook, type BookView } from "../views.js";
import type { BookStatus } from "../status.js";
import { sameForm } from "../uuid.js";
import { useBindery } from "./context.js";

export interface BookResult extends BookView {
  /** Requests the status now. Resolves when the answer or the error is in the result. */
  refetch: () => Promise<void>;
}

export interface BookOptions {
  /** The status that the server has rendered: shown until the first answer. */
  initial?: BookStatus | undefined;
}

/** The view that the server renders, and the browser until it watches. */
const starting: BookView = { ...idleBook, connection: "connecting", loading: true };

/**
 * A live book. Shows and requests nothing while `bookId` is null or undefined; after a change of
 * `bookId` the old book is never shown.
 */
export function useBookStatus(
  bookId: string | null | undefined,
  { initial }: BookOptions = {},
): BookResult {
  const client = useBindery();
  const subscribe = useCallback(
    (listener: () => void) => (bookId ? client.watchBook(bookId, listener) : () => undefined),
    [client, bookId],
  );
  const now = () => {
    const view = bookId ? client.bookView(bookId) : idleBook;
    return bookId && view === idleBook ? starting : view;
  };
  const view = useSyncExternalStore(subscribe, now, () => (bookId ? starting : idleBook));
  const refetch = useCallback(
    () => (bookId ? client.refetchBook(bookId) : Promise.resolve()),
    [client, bookId],
  );
  return useMemo(() => {
    const seeded =
      view.loading &&
      initial !== undefined &&
      bookId &&
      sameForm(initial.book_id) === sameForm(bookId);
    return seeded ? { ...view, book: initial, loading: false, refetch } : { ...view, refetch };
  }, [view, initial, bookId, refetch]);
}
