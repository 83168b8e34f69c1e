"use client";
import { useCallback, useMemo, useSyncExternalStore } from "react";
import { idleBooks, keyOf, type BooksFilter, type BooksView } from "../bindery.js";
import { useBindery } from "./context.js";

export interface BooksResult extends BooksView {
  refetch: () => Promise<void>;
  /** Shows one page more, below the others. */
  loadMore: () => void;
}

const starting: BooksView = { ...idleBooks, connection: "connecting", loading: true };

/** A list of books, live and in order. Rows that did not change stay the same objects, so `memo` saves their redrawing. */
export function useBooks(filter: BooksFilter = {}): BooksResult {
  const client = useBindery();
  const key = keyOf(filter);
  // A filter written out in the component is a new object at each render; its meaning is what counts.
  const meant = useMemo(() => filter, [key]);
  const subscribe = useCallback((listener: () => void) => client.watchBooks(meant, listener), [client, meant]);
  const now = () => {
    const view = client.booksView(meant);
    return view === idleBooks ? starting : view;
  };
  const view = useSyncExternalStore(subscribe, now, () => starting);
  const refetch = useCallback(() => client.refetchBooks(meant), [client, meant]);
  const loadMore = useCallback(() => client.loadMore(meant), [client, meant]);
  return useMemo(() => ({ ...view, refetch, loadMore }), [view, refetch, loadMore]);
}
