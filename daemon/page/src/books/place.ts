// The list that the address asks for.
import { PHASES, type BooksFilter, type BooksSort, type Phase } from "@bindery/react/client";
import type { Place } from "../url.js";

export interface ListPlace {
  readonly search: string;
  readonly phase: Phase | null;
  readonly status: string;
  readonly pipeline: string;
  readonly owner: string;
  readonly tag: string;
  readonly sort: BooksSort;
  readonly descending: boolean;
  readonly book: string | null;
}

/** The order of each sort key that its name promises. */
export const sorts: Readonly<Record<BooksSort, { label: string; descending: boolean }>> = {
  created_at: { label: "Newest", descending: true },
  updated_at: { label: "Last changed", descending: true },
  stage_started_at: { label: "Longest in stage", descending: false },
  overall_progress: { label: "Most complete", descending: true },
  estimated_completion_at: { label: "Soonest complete", descending: false },
  title: { label: "Title", descending: false },
};
export const sortKeys = Object.keys(sorts) as BooksSort[];
const DEFAULT_SORT: BooksSort = "created_at";

export function listPlace({ parameters }: Place): ListPlace {
  const sort = sortKeys.find((key) => key === parameters["sort"]) ?? DEFAULT_SORT;
  const order = parameters["order"];
  return {
    search: parameters["q"] ?? "",
    phase: PHASES.find((phase) => phase === parameters["phase"]) ?? null,
    status: parameters["status"] ?? "",
    pipeline: parameters["pipeline"] ?? "",
    owner: parameters["owner"] ?? "",
    tag: parameters["tag"] ?? "",
    sort,
    descending: order === undefined ? sorts[sort].descending : order === "desc",
    book: parameters["book"] ?? null,
  };
}

/** The parameters of a sort key and order; the default ones are left out. */
export function sortParameters(
  sort: BooksSort,
  descending: boolean,
): Record<"sort" | "order", string | undefined> {
  const usual = descending === sorts[sort].descending;
  return {
    sort: sort === DEFAULT_SORT ? undefined : sort,
    order: usual ? undefined : descending ? "desc" : "asc",
  };
}

/** Everything of the filter but the phase. */
export function scopeOf(place: ListPlace): BooksFilter {
  return {
    search: place.search,
    status: place.status,
    pipeline: place.pipeline,
    ownerId: place.owner || undefined,
    tag: place.tag,
  };
}

export const isFiltered = (place: ListPlace): boolean =>
  place.phase !== null || isScoped(place) || place.search !== "";

export const isScoped = ({ status, pipeline, owner, tag }: ListPlace): boolean =>
  [status, pipeline, owner, tag].some((value) => value !== "");

/** The same filter in the words of `POST /api/books/resume`. */
export function wireFilter(place: ListPlace): Record<string, string> {
  const given: Record<string, string | null> = {
    q: place.search,
    phase: place.phase,
    status: place.status,
    pipeline: place.pipeline,
    owner_id: place.owner,
    tag: place.tag,
  };
  return Object.fromEntries(
    Object.entries(given).filter((entry): entry is [string, string] => !!entry[1]),
  );
}
