// The state of a list of books on a page, and the effect of each piece of news on it. Pure, like
// book-reducer.ts. The list is a window from the top: `limit` rows in order. Rows are kept as
// objects, so that a change in a list of 200 redraws one.
import { forbidsShowing, type BinderyError } from "./errors.js";
import { merge, rebase, wholly, type Trust } from "./merge.js";
import { doubtful, readPatch, settled, type News, type Step } from "./news.js";
import {
  compareLives,
  isNewer,
  isWholeRow,
  withoutSubsteps,
  type BookPatch,
  type BookRow,
} from "./status.js";
import type { BooksQuery } from "./transport.js";

export interface BooksState {
  readonly query: BooksQuery;
  /** The rows in order; null before the first answer. */
  readonly rows: readonly BookRow[] | null;
  /** The completeness of each row, by book. */
  readonly trust: ReadonlyMap<string, Trust>;
  /** The number of all matching books; null: unknown. */
  readonly total: number | null;
  /** The limit of the last answered request. */
  readonly covered: number;
  readonly confirmedAt: number | null;
  readonly error: BinderyError | null;
}

export interface BooksAnswer {
  rows: readonly BookRow[];
  total: number | null;
  limit: number;
}

/** Enlarges the window to this limit. */
export interface BooksCommand {
  type: "more";
  by: number;
}

export function noBooks(query: BooksQuery): BooksState {
  return {
    query,
    rows: null,
    trust: new Map(),
    total: null,
    covered: 0,
    confirmedAt: null,
    error: null,
  };
}

export function reduceBooks(
  state: BooksState,
  news: News<BooksAnswer> | BooksCommand,
): Step<BooksState> {
  switch (news.type) {
    case "fetched":
      return fetched(state, news.answer, news.at);
    case "failed":
      return settled(
        forbidsShowing(news.error)
          ? { ...noBooks(state.query), error: news.error }
          : { ...state, error: news.error },
      );
    case "deleted":
      return without(state, news.bookId);
    case "more":
      return doubtful({ ...state, query: { ...state.query, limit: state.query.limit + news.by } });
    case "received":
      return received(state, news.payload, news.at);
  }
}

/** Whether there are books below the window. */
export function hasMore(state: BooksState): boolean {
  const shown = state.rows?.length ?? 0;
  return state.total === null ? shown > 0 && shown >= state.covered : state.total > shown;
}

function fetched(state: BooksState, answer: BooksAnswer, at: number): Step<BooksState> {
  const known = new Map(state.rows?.map((row) => [row.book_id, row]));
  const trust = new Map<string, Trust>();
  const rows = answer.rows.map((row) => {
    const next = agreed(row, known.get(row.book_id), state.trust.get(row.book_id));
    trust.set(row.book_id, next.trust);
    return next.row;
  });
  rows.sort(inOrder(state.query));
  const certain = rows.every((row) => trust.get(row.book_id)?.certain);
  const same =
    rows.length === state.rows?.length && rows.every((row, place) => row === state.rows?.[place]);
  const next = {
    ...state,
    rows: same ? state.rows : rows,
    trust,
    total: answer.total,
    covered: answer.limit,
    confirmedAt: at,
    error: null,
  };
  // The additional rows of a larger window are not new in the database.
  const found =
    state.rows !== null && answer.limit === state.covered && !isExpected(rows, state.rows);
  return { state: next, refetch: !certain || answer.limit < state.query.limit, found };
}

/** Whether an answer has exactly the known books, none of them newer. */
function isExpected(rows: readonly BookRow[], known: readonly BookRow[]): boolean {
  const before = new Map(known.map((row) => [row.book_id, row]));
  const isOld = (row: BookRow) => {
    const one = before.get(row.book_id);
    return one !== undefined && !isNewer(one, row);
  };
  return rows.length === known.length && rows.every(isOld);
}

/** A row merged from an answer and the known row; the known object, if the result is equal. */
function agreed(
  answer: BookRow,
  known: BookRow | undefined,
  trust: Trust | undefined,
): { row: BookRow; trust: Trust } {
  if (known === undefined || trust === undefined || isNewer(known, answer))
    return { row: answer, trust: wholly(answer) };
  if (isNewer(answer, known)) return rebase(known, trust, answer) ?? { row: known, trust };
  const same = trust.certain && known.heartbeat_at === answer.heartbeat_at;
  return { row: same ? known : answer, trust: wholly(answer) };
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
  if (!belongs(state.query, row)) return without(state, row.book_id);
  const rows = [...state.rows];
  rows[place] = row;
  if (row[state.query.sort] !== known[state.query.sort]) rows.sort(inOrder(state.query));
  const trust = new Map(state.trust).set(row.book_id, merged.trust);
  return { state: { ...state, rows, trust, confirmedAt: at }, refetch: !merged.trust.certain };
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
  if (!belongs(state.query, patch)) return settled(state);
  const row: BookRow = withoutSubsteps(patch);
  const order = inOrder(state.query);
  const last = rows.at(-1);
  if (hasMore(state) && last !== undefined && order(row, last) > 0) return settled(state);
  const window = [...rows, row].sort(order).slice(0, state.query.limit);
  // Only the database can count all matching books: this one may have been among them.
  return doubtful({
    ...state,
    rows: window,
    trust: new Map(state.trust).set(row.book_id, wholly(row)),
    confirmedAt: at,
  });
}

/**
 * Requests the window again: another book may have moved up into it, and an answer on its way may
 * still contain this one.
 */
function without(state: BooksState, bookId: string): Step<BooksState> {
  const rows = state.rows?.filter((row) => row.book_id !== bookId) ?? null;
  if (rows?.length === state.rows?.length) return settled(state);
  return doubtful({ ...state, rows, total: state.total === null ? null : state.total - 1 });
}

function belongs(query: BooksQuery, row: BookRow): boolean {
  return (
    (query.ownerId === null || row.owner_id === query.ownerId) &&
    (query.pipeline === null || row.pipeline === query.pipeline) &&
    (query.statuses === null || query.statuses.includes(row.status))
  );
}

function inOrder({ sort, descending }: BooksQuery): (a: BookRow, b: BookRow) => number {
  const key = (row: BookRow) =>
    sort === "overall_progress" ? row.overall_progress : Date.parse(row[sort]);
  const sign = descending ? -1 : 1;
  return (a, b) => sign * (key(a) - key(b) || (a.book_id < b.book_id ? -1 : 1));
}
