"use client";
import { useEffect, useRef, useState } from "react";
import type { BookStatus } from "../status.js";
import type { RetryModel } from "../view/failure.js";

interface Run {
  /** The failure that it is for: a new revision brings a new button. */
  readonly of: string;
  readonly state: RetryModel["state"];
}

/** The state of the button that calls `onRetry`, which runs once at a time. */
export function useRetry(
  book: BookStatus | null,
  onRetry: ((book: BookStatus) => unknown) | undefined,
): RetryModel | null {
  const [last, setLast] = useState<Run | null>(null);
  const mounted = useRef(false);
  useEffect(() => {
    mounted.current = true;
    return () => {
      mounted.current = false;
    };
  }, []);
  if (book === null || onRetry === undefined) return null;
  const of = `${book.book_id} ${book.revision}`;
  const state = last?.of === of ? last.state : "ready";
  const run = async () => {
    if (state === "running") return;
    setLast({ of, state: "running" });
    let next: RetryModel["state"] = "ready";
    try {
      await onRetry(book);
    } catch {
      next = "failed";
    }
    if (mounted.current) setLast((now) => (now?.of === of ? { of, state: next } : now));
  };
  return { state, run: () => void run() };
}
