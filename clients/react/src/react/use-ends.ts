"use client";
import { useEffect, useRef } from "react";
import type { BookStatus } from "../status.js";
import { sameForm } from "../uuid.js";
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

type End = "completed" | "failed" | null;

/** A book as last seen. */
interface Seen {
  readonly bookId: string;
  readonly createdAt: string;
  /** The end of an attempt that it had come to. */
  readonly end: string | null;
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
  const seen = useRef<Seen | null>(null);
  useEffect(() => {
    listeners.current = { onComplete, onFail };
    seed.current = initial;
  });

  const isUsed = onComplete !== undefined || onFail !== undefined;
  useEffect(() => {
    if (id === null || !isUsed) return;
    const look = (book: BookStatus | null) => {
      const end = book === null ? null : follow(seen, id, book);
      if (book === null || end === null) return;
      // Not from within the client: a listener that throws must not keep others from their call.
      queueMicrotask(() => {
        const { onComplete, onFail } = listeners.current;
        if (end === "completed") onComplete?.(book);
        else onFail?.(book);
      });
    };
    const stop = client.watchBook(id, ({ book }) => look(book));
    const given = seed.current;
    const isSeed = given !== undefined && sameForm(given.book_id) === id;
    const isFirst = seen.current?.bookId !== id;
    look(client.bookView(id).book ?? (isFirst && isSeed ? given : null));
    return stop;
  }, [client, id, isUsed]);
}

/** Returns the end that the book has come to since it was last seen. */
function follow(seen: { current: Seen | null }, bookId: string, book: BookStatus): End {
  const end = endOf(book);
  // Attempts are numbered by stage; each one fails once.
  const { created_at: createdAt, current_stage, attempt, completed_at } = book;
  const name = end === null ? null : JSON.stringify([end, current_stage, attempt, completed_at]);
  const last = seen.current;
  seen.current = { bookId, createdAt, end: name };
  const isKnown = last !== null && last.bookId === bookId && last.createdAt === createdAt;
  return isKnown && name !== last.end ? end : null;
}

function endOf(book: BookStatus): End {
  if (book.completed_at !== null) return "completed";
  return book.status === "FAILED" ? "failed" : null;
}
