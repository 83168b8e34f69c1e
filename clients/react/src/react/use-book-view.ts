"use client";
import { useCallback, useMemo, useSyncExternalStore } from "react";
import type { BookStatus } from "../status.js";
import { sameForm } from "../uuid.js";
import { idleBook, type BookView } from "../views.js";
import { useBindery } from "./context.js";

/** The view that the server renders, and the browser until it watches. */
export const startingBook: BookView = { ...idleBook, connection: "connecting", loading: true };

/** A live book for the components: `useBookStatus` without its options, which are larger. */
export function useBookView(bookId: string, initial?: BookStatus): BookView {
  const client = useBindery();
  const subscribe = useCallback(
    (listener: () => void) => (bookId ? client.watchBook(bookId, listener) : () => undefined),
    [client, bookId],
  );
  const read = () => {
    const view = bookId ? client.bookView(bookId) : idleBook;
    return bookId && view === idleBook ? startingBook : view;
  };
  const view = useSyncExternalStore(subscribe, read, () => (bookId ? startingBook : idleBook));
  return useMemo(() => {
    const isSeed =
      view.loading && initial !== undefined && sameForm(initial.book_id) === sameForm(bookId);
    return isSeed ? { ...view, book: initial, loading: false } : view;
  }, [view, initial, bookId]);
}
