"use client";
import { useEffect, useRef, useState } from "react";
import type { BookStatus } from "../status.js";
import type { RetryModel } from "../view/failure.js";
import { retryState, runRetry, type Retry } from "../view/retry.js";

/** The state of the button that calls `onRetry`. */
export function useRetry(
  book: BookStatus | null,
  onRetry: ((book: BookStatus) => unknown) | undefined,
): RetryModel | null {
  const [last, setLast] = useState<Retry | null>(null);
  const mounted = useRef(false);
  useEffect(() => {
    mounted.current = true;
    return () => {
      mounted.current = false;
    };
  }, []);
  if (book === null || onRetry === undefined) return null;
  const state = retryState(last, book);
  const run = () => {
    if (state === "running") return;
    void runRetry(
      book,
      () => onRetry(book),
      (retry) => mounted.current && setLast(retry),
    );
  };
  return { state, run };
}
