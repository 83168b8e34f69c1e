"use client";
import { useCallback, useMemo } from "react";
import type { BookStatus } from "../status.js";
import { sameForm } from "../uuid.js";
import { idleBook, type BookView } from "../views.js";
import { useBindery } from "./context.js";
import { startingBook } from "./use-book-view.js";
import { useEnds, type EndListeners } from "./use-ends.js";
import { useSelected } from "./use-selected.js";

export interface BookResult extends BookView {
  /** Requests the status now. Resolves when the answer or the error is in the result. */
  refetch: () => Promise<void>;
}

export interface BookOptions extends EndListeners {
  /** The status that the server has rendered: shown until the first answer. */
  initial?: BookStatus | undefined;
}

export interface SelectOptions<Selected> extends BookOptions {
  /**
   * The part of the result that the hook returns. The component renders again only when it changes.
   */
  select: (result: BookResult) => Selected;
  /** By default, objects and arrays are equal if their parts are identical. */
  isEqual?: ((a: Selected, b: Selected) => boolean) | undefined;
}

const everything = (result: BookResult) => result;

/**
 * A live book. Shows and requests nothing while `bookId` is null or undefined; after a change of
 * `bookId` the old book is never shown.
 */
export function useBookStatus<Selected>(
  bookId: string | null | undefined,
  options: SelectOptions<Selected>,
): Selected;
export function useBookStatus(bookId: string | null | undefined, options?: BookOptions): BookResult;
export function useBookStatus(
  bookId: string | null | undefined,
  options: BookOptions & Partial<SelectOptions<unknown>> = {},
): unknown {
  const client = useBindery();
  const { initial, select = everything, isEqual } = options;
  const subscribe = useCallback(
    (listener: () => void) => (bookId ? client.watchBook(bookId, listener) : () => undefined),
    [client, bookId],
  );
  const refetch = useCallback(
    () => (bookId ? client.refetchBook(bookId) : Promise.resolve()),
    [client, bookId],
  );
  const [now, onServer] = useMemo(() => {
    const isSeed = initial !== undefined && bookId && isSame(initial.book_id, bookId);
    const resultOf = (view: BookView): BookResult =>
      isSeed && view.loading
        ? { ...view, book: initial, loading: false, refetch }
        : { ...view, refetch };
    const read = () => {
      const view = bookId ? client.bookView(bookId) : idleBook;
      return bookId && view === idleBook ? startingBook : view;
    };
    const served = resultOf(bookId ? startingBook : idleBook);
    return [once(read, resultOf), () => served];
  }, [client, bookId, initial, refetch]);
  useEnds(bookId, initial, options);
  return useSelected<BookResult, unknown>(subscribe, now, onServer, select, isEqual);
}

const isSame = (a: string, b: string) => sameForm(a) === sameForm(b);

/** Makes a value from another one, and the same object again until that one changes. */
function once<From, To>(read: () => From, make: (from: From) => To): () => To {
  let last: { from: From; to: To } | null = null;
  return () => {
    const from = read();
    if (last === null || !Object.is(last.from, from)) last = { from, to: make(from) };
    return last.to;
  };
}
