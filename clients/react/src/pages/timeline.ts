// A book's history, newest first. Events never change, so a refresh reads the new ones only.
import { BinderyError } from "../errors.js";
import type { BookTransport } from "../transport.js";
import { parseEvents, type BookEvent } from "./items.js";
import { idlePages, type ItemsPage, type Known } from "./live-pages.js";
import type { PagesSource, PagesView } from "./live-pages.js";

export interface TimelineOptions {
  /** The number of events at first, and of each `loadMore`; 50 by default. */
  limit?: number | undefined;
}

export interface TimelineView extends PagesView {
  /** The newest event first. */
  readonly events: readonly BookEvent[];
}

/** The view of a history that is not watched. */
export const idleTimeline: TimelineView = { ...idlePages, events: [] };

export async function fetchTimeline(
  transport: BookTransport,
  bookId: string,
  before: number | null,
  limit: number,
  signal: AbortSignal,
): Promise<ItemsPage<BookEvent, number>> {
  if (transport.fetchTimeline === undefined)
    throw new BinderyError("refused", "This transport cannot read timelines.");
  const { items, next } = await transport.fetchTimeline(bookId, { before, limit }, signal);
  return { items: parseEvents(items), next };
}

export function timelineSource(
  transport: BookTransport,
  bookId: string,
): PagesSource<BookEvent, number, TimelineView> {
  return {
    fetch: (before, limit, signal) => fetchTimeline(transport, bookId, before, limit, signal),
    view: (events, view) => ({ ...view, events }),
    cursorOf: (event) => event.revision,
    identityOf: (book) => book.created_at,
    // Each change of status is an event, and changes one of these.
    markOf: ({ status, current_stage, attempt, stage_entered_at, stage_started_at }) =>
      JSON.stringify([status, current_stage, attempt, stage_entered_at, stage_started_at]),
    reaches: isJoined,
    refreshed: (known, fresh) => {
      if (known === null || !isJoined(fresh.items, known)) return fresh;
      const last = fresh.items.at(-1)?.revision ?? Number.POSITIVE_INFINITY;
      const older = known.items.filter((event) => event.revision < last);
      return { items: [...fresh.items, ...older], hasMore: known.hasMore };
    },
  };
}

/** Whether the events reach back to the newest known one. */
function isJoined(events: readonly BookEvent[], known: Known<BookEvent>): boolean {
  const [newest, last] = [known.items[0], events.at(-1)];
  return newest !== undefined && last !== undefined && last.revision <= newest.revision;
}
