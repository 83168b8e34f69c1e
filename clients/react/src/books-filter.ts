// The filter of a list as users write it, and the query that it means.
import type { BooksQuery, BooksSort } from "./transport.js";
import { sameForm } from "./uuid.js";

export interface BooksFilter {
  /** Its books; by default all that the reader may see. An invalid UUID is an error in the view. */
  ownerId?: string | undefined;
  status?: string | readonly string[] | undefined;
  pipeline?: string | undefined;
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
    sort: filter.sort ?? "created_at",
    descending: filter.order !== "ascending",
    limit: filter.pageSize ?? 50,
  };
}

/** One key for all filters with the same meaning. */
export function keyOf(filter: BooksFilter): string {
  return JSON.stringify(queryOf(filter));
}
