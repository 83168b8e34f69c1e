"use client";
import { useMemo } from "react";
import { idleTimeline, type TimelineOptions, type TimelineView } from "../pages/timeline.js";
import { bookTimeline } from "../pages/pages-of-books.js";
import { useBindery } from "./context.js";
import { usePages, type PagesActions } from "./use-pages.js";

export interface TimelineResult extends TimelineView, PagesActions {}

const starting: TimelineView = { ...idleTimeline, connection: "connecting", loading: true };

/**
 * A book's history, the newest event first: `limit` events, and as many more at each `loadMore`.
 * New events follow live. Shows and requests nothing while `bookId` is null or undefined.
 */
export function useBookTimeline(
  bookId: string | null | undefined,
  { limit }: TimelineOptions = {},
): TimelineResult {
  const client = useBindery();
  const pages = useMemo(
    () => (bookId ? bookTimeline(client, bookId, { limit }) : null),
    [client, bookId, limit],
  );
  return usePages(pages, idleTimeline, starting);
}
