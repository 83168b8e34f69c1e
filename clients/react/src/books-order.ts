// Which books a list has, and their order.
import { phaseOf } from "./phase.js";
import { isNewer, type BookRow } from "./status.js";
import type { BooksQuery } from "./transport.js";

export function belongs(query: BooksQuery, row: BookRow): boolean {
  return (
    (query.ownerId === null || row.owner_id === query.ownerId) &&
    (query.pipeline === null || row.pipeline === query.pipeline) &&
    (query.statuses === null || query.statuses.includes(row.status)) &&
    (query.phase === undefined || phaseOf(row) === query.phase) &&
    (query.tag === undefined || hasTag(row, query.tag)) &&
    (query.search === undefined || contains(row, query.search))
  );
}

function hasTag({ metadata }: BookRow, tag: string): boolean {
  const tags = metadata["tags"];
  return Array.isArray(tags) && tags.includes(tag);
}

function contains(row: BookRow, search: string): boolean {
  const wanted = search.trim().toLowerCase();
  const texts = [row.title, row.error?.["message"], row.error?.code];
  return (
    row.book_id.startsWith(wanted) ||
    texts.some((text) => typeof text === "string" && text.toLowerCase().includes(wanted))
  );
}

export type Order = (a: BookRow, b: BookRow) => number;

export function inOrder({ sort, descending }: BooksQuery): Order {
  const sign = descending ? -1 : 1;
  const compare =
    sort === "overall_progress"
      ? (a: BookRow, b: BookRow) => a.overall_progress - b.overall_progress
      : sort === "title"
        ? (a: BookRow, b: BookRow) => compareTexts(titleKey(a), titleKey(b))
        : (a: BookRow, b: BookRow) => compareTimes(a[sort], b[sort]);
  return (a, b) => sign * (compare(a, b) || compareTexts(a.book_id, b.book_id));
}

/** As the daemon sorts; its database may collate letters in another way. */
const titleKey = ({ title }: BookRow): string => (title ?? "").slice(0, 100).toLowerCase();

const compareTexts = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** A book without an estimate sorts after all others in ascending order. */
function compareTimes(a: string | null, b: string | null): number {
  if (a === b) return 0;
  if (a === null || b === null) return a === null ? 1 : -1;
  return Date.parse(a) - Date.parse(b);
}

/** Where a row belongs in sorted rows, by binary search. */
export function placeOf(rows: readonly BookRow[], row: BookRow, order: Order): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = rows[middle];
    if (other !== undefined && order(other, row) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Whether an answer has exactly the known books, none of them newer. */
export function isExpected(rows: readonly BookRow[], known: readonly BookRow[]): boolean {
  const before = new Map(known.map((row) => [row.book_id, row]));
  const isOld = (row: BookRow) => {
    const one = before.get(row.book_id);
    return one !== undefined && !isNewer(one, row);
  };
  return rows.length === known.length && rows.every(isOld);
}
