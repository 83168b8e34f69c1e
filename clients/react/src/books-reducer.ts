// The state of a list of books on a page, and the effect of each piece of news on it. Pure, like
// book-reducer.ts. Rows are kept as objects, so that a change in a list of 200 redraws one.
//
// The list is a window from the top. If the transport reads pages (`next`), the window ends at its
// edge, the last row of the last page as it was read: it holds every matching book up to there,
// grows by one page a request, and only its counts are requested after a book came or left. If not,
// the window has `limit` rows and is requested again after each such doubt.
import { belongs, inOrder, isExpected, placeOf, type Order } from "./books-order.js";
import { forbidsShowing, type BinderyError } from "./errors.js";
import { merge, rebase, wholly, type Trust } from "./merge.js";
import { doubtful, readPatch, settled, type Extent, type News, type Step } from "./news.js";
import { phaseOf, type Phase } from "./phase.js";
import {
  compareLives,
  isNewer,
  isWholeRow,
  withoutSubsteps,
  type BookPatch,
  type BookRow,
} from "./status.js";
import type { BooksQuery } from "./transport.js";

export type Counts = Readonly<Partial<Record<Phase, number>>>;

export interface BooksState {
  readonly query: BooksQuery;
  /** The rows in order; null before the first answer. */
  readonly rows: readonly BookRow[] | null;
  /** The completeness of each row, by book; a row that is not in it is whole. */
  readonly trust: ReadonlyMap<string, Trust>;
  /** The number of all matching books; null: unknown. */
  readonly total: number | null;
  /** By phase; null: unknown. */
  readonly counts: Counts | null;
  /** The limit of the last answered request. */
  readonly covered: number;
  /** Where the next page begins; null: there is none; undefined: there are no pages. */
  readonly next: string | null | undefined;
  /** The last row of the last page, as it was read. */
  readonly edge: BookRow | null;
  /**
   * Books as the latest messages describe them (null: deleted), also those outside the window: an
   * answer that was requested before may be older. Kept for transports with pages only.
   */
  readonly recent: ReadonlyMap<string, Recent>;
  readonly confirmedAt: number | null;
  readonly error: BinderyError | null;
}

interface Recent {
  readonly row: BookRow | null;
  readonly at: number;
}

export interface BooksAnswer {
  /** By default `window`: all rows from the top. `page`: the rows after `state.next`. */
  kind?: "window" | "page";
  rows: readonly BookRow[];
  total: number | null;
  counts?: Counts | null;
  limit: number;
  next?: string | null | undefined;
}

export interface CountAnswer {
  kind: "count";
  total: number | null;
  counts: Counts | null;
}

/** Enlarges the window to this limit. */
export interface BooksCommand {
  type: "more";
  by: number;
}

/** More books than change during a request. */
const MOST_RECENT = 500;

export function noBooks(query: BooksQuery): BooksState {
  return {
    query,
    rows: null,
    trust: new Map(),
    total: null,
    counts: null,
    covered: 0,
    next: undefined,
    edge: null,
    recent: new Map(),
    confirmedAt: null,
    error: null,
  };
}

export function reduceBooks(
  state: BooksState,
  news: News<BooksAnswer | CountAnswer> | BooksCommand,
): Step<BooksState> {
  switch (news.type) {
    case "fetched":
      return fetched(state, news.answer, news.since ?? news.at, news.at);
    case "failed":
      return settled(
        forbidsShowing(news.error)
          ? { ...noBooks(state.query), error: news.error }
          : { ...state, error: news.error },
      );
    case "deleted":
      return deleted(state, news.bookId, news.at);
    case "more": {
      const query = { ...state.query, limit: state.query.limit + news.by };
      return lacking({ ...state, query }, "more");
    }
    case "received":
      return received(state, news.payload, news.at);
  }
}

/** Whether there are books below the window. */
export function hasMore(state: BooksState): boolean {
  if (state.next !== undefined) return state.next !== null;
  const shown = state.rows?.length ?? 0;
  return state.total === null ? shown > 0 && shown >= state.covered : state.total > shown;
}

const hasPages = (state: BooksState): boolean => state.next !== undefined;

const lacking = (state: BooksState, extent: Extent): Step<BooksState> => ({
  state,
  refetch: true,
  extent,
});

/** After a book came or left: with pages the window is right, and only its counts are unknown. */
const uncounted = (state: BooksState): Step<BooksState> =>
  hasPages(state) ? lacking(state, "count") : doubtful(state);

function fetched(
  state: BooksState,
  answer: BooksAnswer | CountAnswer,
  since: number,
  at: number,
): Step<BooksState> {
  if (answer.kind === "count") {
    const { total, counts } = answer;
    return settled({ ...state, total, counts, confirmedAt: at, error: null });
  }
  const page = answer.kind === "page" && state.rows !== null;
  const known = new Map(state.rows?.map((row) => [row.book_id, row]));
  const trust = new Map(page ? state.trust : []);
  const read: BookRow[] = [];
  for (const row of answer.rows) {
    const message = state.recent.get(row.book_id);
    // It was deleted after the request.
    if (message?.row === null && message.at >= since) continue;
    const before = known.get(row.book_id);
    // Moved up into the window meanwhile.
    if (page && before !== undefined) continue;
    const next = agreed(row, before ?? message?.row ?? undefined, state.trust.get(row.book_id));
    if (message !== undefined && !belongs(state.query, next.row)) continue;
    if (next.trust !== null) trust.set(row.book_id, next.trust);
    read.push(next.row);
  }
  const edge =
    answer.next === undefined ? null : (answer.rows.at(-1) ?? (page ? state.edge : null));
  const order = inOrder(state.query);
  const added: BookRow[] = [];
  if (answer.next !== undefined) {
    const found = new Set(answer.rows.map((row) => row.book_id));
    const isInside = (row: BookRow) =>
      answer.next === null || edge === null || order(row, edge) <= 0;
    for (const [bookId, { row, at: receivedAt }] of state.recent) {
      const now = known.get(bookId) ?? row;
      const missed = receivedAt >= since && now !== null && !found.has(bookId);
      if (missed && !(page && known.has(bookId)) && belongs(state.query, now) && isInside(now))
        added.push(now);
    }
  }
  // The collation of the database is unknown here, so its order of titles is kept.
  if (state.query.sort !== "title") read.sort(order);
  for (const row of added) read.splice(placeOf(read, row, order), 0, row);
  const rows = page ? [...(state.rows ?? []), ...read] : read;
  const certain = [...trust.values()].every((one) => one.certain);
  const same =
    rows.length === state.rows?.length && rows.every((row, place) => row === state.rows?.[place]);
  const next: BooksState = {
    ...state,
    rows: same ? state.rows : rows,
    trust,
    total: page ? state.total : answer.total,
    counts: page ? state.counts : (answer.counts ?? null),
    covered: answer.limit,
    next: answer.next,
    edge,
    recent: new Map([...state.recent].filter(([, { at: receivedAt }]) => receivedAt >= since)),
    confirmedAt: at,
    error: null,
  };
  // The additional rows of a larger window are not new in the database.
  const found =
    !page && state.rows !== null && answer.limit === state.covered && !isExpected(rows, state.rows);
  if (!certain) return { state: next, refetch: true, found };
  // The end of the list may come before the limit.
  const more = answer.limit < state.query.limit && (!hasPages(next) || hasMore(next));
  return { state: next, refetch: more, ...(more && { extent: "more" as const }), found };
}

/**
 * A row merged from an answer and the known row; the known object, if the result is equal. Its
 * trust is null if it is whole.
 */
function agreed(
  answer: BookRow,
  known: BookRow | undefined,
  trust: Trust | undefined,
): { row: BookRow; trust: Trust | null } {
  if (known === undefined || isNewer(known, answer)) return { row: answer, trust: null };
  if (isNewer(answer, known)) {
    if (trust === undefined) return { row: known, trust: null };
    return rebase(known, trust, answer) ?? { row: known, trust };
  }
  const same = trust === undefined && known.heartbeat_at === answer.heartbeat_at;
  return { row: same ? known : answer, trust: null };
}

function received(state: BooksState, payload: unknown, at: number): Step<BooksState> {
  const patch = readPatch(payload);
  if (patch === null || state.rows === null) return doubtful(state);
  const place = state.rows.findIndex((row) => row.book_id === patch.book_id);
  const known = state.rows[place];
  if (known === undefined) return arrived(state, state.rows, patch, at);
  if (compareLives(known, patch) > 0) return doubtful(state);
  if (!isNewer(known, patch)) return settled(state);

  const merged = merge(known, state.trust.get(known.book_id) ?? wholly(known), patch);
  // Not columns of the row, but a daemon's list has them, and a badge shows them.
  const row: BookRow = { ...merged.row, ...described(patch) };
  const whole = isWholeRow(patch);
  if (!belongs(state.query, row)) return left(state, row, at);
  const trust = new Map(state.trust);
  if (whole) trust.delete(row.book_id);
  else trust.set(row.book_id, merged.trust);
  const next = { ...state, trust, recent: noted(state, row.book_id, row, at), confirmedAt: at };
  const order = inOrder(state.query);
  const moved = order(row, known) !== 0;
  if (moved && isBelow(state, row, order)) {
    // The page that has it is still to come.
    const rows = state.rows.filter((one) => one !== known);
    return settled({ ...next, rows });
  }
  const rows = [...state.rows];
  if (!moved) rows[place] = row;
  else {
    rows.splice(place, 1);
    rows.splice(placeOf(rows, row, order), 0, row);
  }
  const uncertain = !whole && !merged.trust.certain;
  if (uncertain) return doubtful({ ...next, rows });
  const counted = state.query.counts === true && phaseOf(row) !== phaseOf(known);
  return counted ? uncounted({ ...next, rows }) : settled({ ...next, rows });
}

function described({ stages, health }: BookPatch): Partial<BookPatch> {
  return { ...(stages !== undefined && { stages }), ...(health !== undefined && { health }) };
}

/** A book outside the window: new, new to the filter, or below the window. */
function arrived(
  state: BooksState,
  rows: readonly BookRow[],
  patch: BookPatch,
  at: number,
): Step<BooksState> {
  if (!isWholeRow(patch)) return doubtful(state);
  const row: BookRow = withoutSubsteps(patch);
  const known = state.recent.get(row.book_id)?.row;
  if (known && !isNewer(known, row) && compareLives(known, row) <= 0) return settled(state);
  const order = inOrder(state.query);
  if (hasPages(state)) {
    const next = { ...state, recent: noted(state, row.book_id, row, at) };
    if (!belongs(state.query, row) || isBelow(state, row, order)) {
      // Whether it was among the books below the window is unknown.
      const affected = hasMore(state) || state.query.counts === true;
      const unmoved = known && phaseOf(known) === phaseOf(row);
      return affected && !unmoved ? uncounted(next) : settled(next);
    }
    const window = [...rows];
    window.splice(placeOf(window, row, order), 0, row);
    return uncounted({ ...next, rows: window, confirmedAt: at });
  }
  if (!belongs(state.query, row)) return settled(state);
  const last = rows.at(-1);
  if (hasMore(state) && last !== undefined && order(row, last) > 0) return settled(state);
  const window = [...rows, row].sort(order).slice(0, state.query.limit);
  // Only the database can count all matching books: this one may have been among them.
  return doubtful({ ...state, rows: window, confirmedAt: at });
}

/**
 * A row that no longer fits the filter. Without pages the window is requested again: another book
 * may have moved up into it, and an answer on its way may still contain this one.
 */
function left(state: BooksState, row: BookRow, at: number): Step<BooksState> {
  return without({ ...state, recent: noted(state, row.book_id, row, at) }, row.book_id);
}

function deleted(state: BooksState, bookId: string, at: number): Step<BooksState> {
  const next = without({ ...state, recent: noted(state, bookId, null, at) }, bookId);
  if (next.refetch || !hasPages(state)) return next;
  return hasMore(state) || state.query.counts === true ? uncounted(next.state) : next;
}

function without(state: BooksState, bookId: string): Step<BooksState> {
  const rows = state.rows?.filter((row) => row.book_id !== bookId) ?? null;
  if (rows?.length === state.rows?.length) return settled(state);
  const trust = new Map(state.trust);
  trust.delete(bookId);
  return uncounted({
    ...state,
    rows,
    trust,
    total: state.total === null ? null : state.total - 1,
  });
}

function noted(
  state: BooksState,
  bookId: string,
  row: BookRow | null,
  at: number,
): BooksState["recent"] {
  if (!hasPages(state)) return state.recent;
  const recent = new Map(state.recent);
  recent.delete(bookId);
  recent.set(bookId, { row, at });
  if (recent.size > MOST_RECENT) {
    const [oldest] = recent.keys();
    if (oldest !== undefined) recent.delete(oldest);
  }
  return recent;
}

/** Whether a row lies below the edge of a window that has one. */
function isBelow(state: BooksState, row: BookRow, order: Order): boolean {
  return hasPages(state) && hasMore(state) && state.edge !== null && order(row, state.edge) > 0;
}
