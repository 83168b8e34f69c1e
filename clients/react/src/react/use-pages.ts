"use client";
import { useCallback, useMemo, useSyncExternalStore } from "react";
import type { Pages } from "../pages/pages-of-books.js";
import type { PagesView } from "../pages/live-pages.js";

export interface PagesActions {
  /** Reads the shown pages again. Resolves when the answer or the error is in the result. */
  refetch: () => Promise<void>;
  /** Shows one more page. */
  loadMore: () => void;
}

/** A live list by pages; null: none. */
export function usePages<Shown extends PagesView>(
  pages: Pages<Shown> | null,
  idle: Shown,
  starting: Shown,
): Shown & PagesActions {
  const subscribe = useCallback(
    (listener: () => void) => pages?.watch(listener) ?? (() => undefined),
    [pages],
  );
  const now = () => {
    const view = pages?.view() ?? idle;
    return pages !== null && view === idle ? starting : view;
  };
  const view = useSyncExternalStore(subscribe, now, () => (pages === null ? idle : starting));
  const refetch = useCallback(() => pages?.refetch() ?? Promise.resolve(), [pages]);
  const loadMore = useCallback(() => pages?.loadMore(), [pages]);
  return useMemo(() => ({ ...view, refetch, loadMore }), [view, refetch, loadMore]);
}
