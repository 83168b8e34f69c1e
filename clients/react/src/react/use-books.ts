"use client";
import { useCallback, useMemo, useSyncExternalStore } from "react";
import { keyOf, type BooksFilter } from "../books-filter.js";
import { listsOf } from "../lists.js";
import { idleBooks, type BooksView } from "../views.js";
import { useBindery } from "./context.js";

export interface BooksResult extends BooksView {
  refetch: () => Promise<void>;
  /** Shows one more page below the others. */
  loadMore: () => void;
}

const starting: BooksView = { ...idleBooks, connection: "connecting", loading: true };

/**
 * A live, ordered list of books. Unchanged rows stay the same objects, so `memo` avoids redrawing
 * them.
 */
export function useBooks(filter: BooksFilter = {}): BooksResult {
  const lists = listsOf(useBindery());
  const key = keyOf(filter);
  // A filter literal in a component is a new object at each render, so filters are compared by
  // their meaning.
  const meant = useMemo(() => filter, [key]);
  const subscribe = useCallback(
    (listener: () => void) => lists.watchBooks(meant, listener),
    [lists, meant],
  );
  const now = () => {
    const view = lists.booksView(meant);
    return view === idleBooks ? starting : view;
  };
  const view = useSyncExternalStore(subscribe, now, () => starting);
  const refetch = useCallback(() => lists.refetchBooks(meant), [lists, meant]);
  const loadMore = useCallback(() => lists.loadMore(meant), [lists, meant]);
  return useMemo(() => ({ ...view, refetch, loadMore }), [view, refetch, loadMore]);
}
