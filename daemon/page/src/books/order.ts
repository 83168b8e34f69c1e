// Holds the order of a list still while the pointer is over it: rows change in place, but none
// comes, goes or moves under the pointer.
import type { BookRow } from "@bindery/react/client";
import { useRef } from "preact/hooks";

export interface HeldList {
  readonly rows: readonly BookRow[];
  /** How many books would come in between once the list is let go. */
  readonly arrivals: number;
  /** The books that no longer belong to the list. */
  readonly gone: ReadonlySet<string>;
}

const nothing: ReadonlySet<string> = new Set();

export function holdOrder(
  held: readonly BookRow[],
  rows: readonly BookRow[],
  all: readonly BookRow[],
  grows: boolean,
): HeldList {
  const now = new Map(rows.map((row) => [row.book_id, row]));
  const known = rows === all ? now : new Map(all.map((row) => [row.book_id, row]));
  const before = new Set(held.map((row) => row.book_id));
  let end = 0;
  rows.forEach((row, place) => {
    if (before.has(row.book_id)) end = place + 1;
  });
  const gone = new Set<string>();
  const shown = held.map((row) => {
    if (!now.has(row.book_id)) gone.add(row.book_id);
    return now.get(row.book_id) ?? known.get(row.book_id) ?? row;
  });
  const between = rows.slice(0, end).filter((row) => !before.has(row.book_id));
  const below = rows.slice(end);
  if (!grows) return { rows: shown, arrivals: between.length + below.length, gone };
  return { rows: [...shown, ...below], arrivals: between.length, gone };
}

/**
 * `key` names the list: another list is never held in the order of the one before. `all` has also
 * books that this list does not show, for those that left it. `grows`: rows below its last one move
 * nothing, so that they are added at once.
 */
export function useHeldOrder(
  key: string,
  rows: readonly BookRow[],
  isHeld: boolean,
  {
    all = rows,
    grows = () => true,
  }: { all?: readonly BookRow[]; grows?: (rows: number) => boolean } = {},
): HeldList {
  const last = useRef<{ key: string; rows: readonly BookRow[]; list: HeldList } | null>(null);
  const before = last.current;
  if (before !== null && before.key === key && isHeld) {
    const held = before.list.rows;
    if (before.rows !== rows)
      last.current = { key, rows, list: holdOrder(held, rows, all, grows(held.length)) };
  } else if (before === null || before.rows !== rows || before.list.rows !== rows) {
    last.current = { key, rows, list: { rows, arrivals: 0, gone: nothing } };
  }
  return last.current?.list ?? { rows, arrivals: 0, gone: nothing };
}
