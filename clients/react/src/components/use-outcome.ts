"use client";
import { useEffect, useRef } from "react";
import type { BookStatus } from "../status.js";
import { outcome } from "../view/outcome.js";

export interface OutcomeListeners {
  /** Called when the book is completed while it is shown. */
  onComplete?: ((book: BookStatus) => void) | undefined;
  /** Called for each attempt that fails while the book is shown. */
  onFail?: ((book: BookStatus) => void) | undefined;
}

export function useOutcome(book: BookStatus | null, { onComplete, onFail }: OutcomeListeners) {
  // It outlives the second mount of StrictMode, so an outcome is reported once.
  const last = useRef<BookStatus | null>(null);
  const listeners = useRef<OutcomeListeners>({});
  useEffect(() => {
    listeners.current = { onComplete, onFail };
  });
  useEffect(() => {
    if (book === null) return;
    const ended = outcome(last.current, book);
    last.current = book;
    if (ended === "complete") listeners.current.onComplete?.(book);
    if (ended === "fail") listeners.current.onFail?.(book);
  }, [book]);
}
