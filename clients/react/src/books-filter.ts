// The filter of a list as users write it, and the query that it means.
import type { Phase } from "./phase.js";
import type { BooksQuery, BooksSort } from "./transport.js";
import { sameForm } from "./uuid.js";

export interface BooksFilter {
  /** Its books; by default all that the reader may see. An invalid UUID is an error in the view. */
  ownerId?: string | undefined;
  status?: string | readonly string[] | undefined;
  pipeline?: string | undefined;
  /** `phase`, `search`, `tag` and `counts` need `sseTransport`. */
  phase?: Phase | undefined;
  /** A part of the title or of the error, or the beginning of the id. */
  search?: string | undefined;
  /** An element of the array `tags` in the metadata. */
  tag?: string | undefined;
  /** Counts all books by phase that fit the other filters. */
  counts?: boolean | undefined;
  /** The sort key; `created_at` by default. */
  sort?: BooksSort | undefined;
  /** By default, the newest or the most complete books come first. */
  order?: "ascending" | "descending" | undefined;
  /** The number of books at first, and of each `loadMore`; 50 by default. */
  pageSize?: number | undefined;
}

export function queryOf(filter: BooksFilter): BooksQuery {
  // An empty text, such as the first choice of a form, does not filter.
  const given = filter.status === "" ? undefined : filter.status;
  const statuses = typeof given === "string" ? [given] : given;
  const ownerId = filter.ownerId ?? null;
  return {
    ownerId: ownerId === null ? null : sameForm(ownerId),
    statuses: statuses === undefined ? null : [...statuses].sort(),
    pipeline: filter.pipeline || null,
    ...(filter.phase && { phase: filter.phase }),
    ...(filter.search?.trim() && { search: filter.search.trim() }),
    ...(filter.tag && { tag: filter.tag }),
    ...(filter.counts && { counts: true }),
    sort: filter.sort ?? "created_at",
    descending: filter.order !== "ascending",
    limit: filter.pageSize ?? 50,
  };
}

/** One key for all filters with the same meaning. */
export function keyOf(filter: BooksFilter): string {
  return JSON.stringify(queryOf(filter));
}
