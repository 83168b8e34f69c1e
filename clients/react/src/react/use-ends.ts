"use client";
import { useEffect, useRef } from "react";
import type { BookStatus } from "../status.js";
import { sameForm } from "../uuid.js";
import { outcome } from "../view/outcome.js";
import { useBindery } from "./context.js";

export interface EndListeners {
  /**
   * Called once when the book completes while the component is mounted; not for a book that was
   * already complete. After a rewind it can complete again.
   */
  onComplete?: ((book: BookStatus) => void) | undefined;
  /** Called once for each attempt that fails while the component is mounted. */
  onFail?: ((book: BookStatus) => void) | undefined;
}

/** Calls the listeners at the end of an attempt, whatever the component renders. */
export function useEnds(
  bookId: string | null | undefined,
  initial: BookStatus | undefined,
  { onComplete, onFail }: EndListeners,
) {
  const client = useBindery();
  const id = bookId ? sameForm(bookId) : null;
  const listeners = useRef<EndListeners>({});
  const seed = useRef(initial);
  // It outlives the second mount of StrictMode, so an end is reported once.
  const seen = useRef<BookStatus | null>(null);
  useEffect(() => {
    listeners.current = { onComplete, onFail };
    seed.current = initial;
  });

  const isUsed = onComplete !== undefined || onFail !== undefined;
  useEffect(() => {
    if (id === null || !isUsed) return;
    const look = (book: BookStatus | null) => {
      if (book === null) return;
      const ended = outcome(seen.current, book);
      seen.current = book;
      if (ended === null) return;
      // Not from within the client: a listener that throws must not keep others from their call.
      queueMicrotask(() => {
        const { onComplete, onFail } = listeners.current;
        if (ended === "complete") onComplete?.(book);
        else onFail?.(book);
      });
    };
    const stop = client.watchBook(id, ({ book }) => look(book));
    const given = seed.current;
    const isSeed = given !== undefined && sameForm(given.book_id) === id;
    const isFirst = seen.current === null || sameForm(seen.current.book_id) !== id;
    look(client.bookView(id).book ?? (isFirst && isSeed ? given : null));
    return stop;
  }, [client, id, isUsed]);
}
