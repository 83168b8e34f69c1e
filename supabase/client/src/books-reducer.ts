// What a page knows of a list of books, and how each piece of news changes it. Pure, like book-reducer.ts.
// The list is a window from the top: `limit` rows in order. Rows are kept as objects, so that a list of 200 redraws one.
import type { News, Step } from "./book-reducer.js";
import { readPatch } from "./book-reducer.js";
import { forbidsShowing, type BinderyError } from "./errors.js";
import { bookRowSchema, columnsOf, compareLives, isNewer, isWholeRow, type BookPatch, type BookRow } from "./status.js";
import type { BooksQuery } from "./transport.js";

export interface BooksState {
  readonly query: BooksQuery;
  /** In order; null before the first answer. */
  readonly rows: readonly BookRow[] | null;
  /** Books whose row may hold columns of an older revision. */
  readonly uncertain: ReadonlySet<string>;
  /** How many there are in all; null: not known. */
  readonly total: number | null;
  /** The limit that the last answer was given under. */
  readonly covered: number;
  readonly confirmedAt: number | null;
  readonly error: BinderyError | null;
}

export interface BooksAnswer {
  rows: readonly BookRow[];
  total: number | null;
  limit: number;
}

/** To see that many more. */
export interface BooksWish {
  type: "more";
  by: number;
}

export function noBooks(query: BooksQuery): BooksState {
  return { query, rows: null, uncertain: new Set(), total: null, covered: 0, confirmedAt: null, error: null };
}

export function reduceBooks(state: BooksState, news: News<BooksAnswer> | BooksWish): Step<BooksState> {
  switch (news.type) {
    case "fetched":
      return fetched(state, news.answer, news.at);
    case "failed":
      return settled(forbidsShowing(news.error) ? { ...noBooks(state.query), error: news.error } : { ...state, error: news.error });
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
  const uncertain = new Set<string>();
  const rows = answer.rows.map((row) => {
    const mine = known.get(row.book_id);
    if (mine === undefined || isNewer(mine, row)) return row;
    const overtaken = isNewer(row, mine);
    const unsure = state.uncertain.has(row.book_id);
    if (overtaken && unsure) uncertain.add(row.book_id);
    return overtaken || (!unsure && mine.heartbeat_at === row.heartbeat_at) ? mine : row;
  });
  rows.sort(inOrder(state.query));
  const next = { ...state, rows, uncertain, total: answer.total, covered: answer.limit, confirmedAt: at, error: null };
  return { state: next, refetch: uncertain.size > 0 || answer.limit < state.query.limit };
}

function received(state: BooksState, payload: unknown, at: number): Step<BooksState> {
  const patch = readPatch(payload);
  if (patch === null || state.rows === null) return doubtful(state);
  const place = state.rows.findIndex((row) => row.book_id === patch.book_id);
  const known = state.rows[place];
  if (known === undefined) return arrived(state, state.rows, patch, at);
  if (compareLives(known, patch) > 0) return doubtful(state);
  if (!isNewer(known, patch)) return settled(state);

  const row = { ...known, ...columnsOf(patch) };
  if (!belongs(state.query, row)) return without(state, row.book_id);
  const gap = patch.revision > known.revision + 1;
  const certain = isWholeRow(patch) || (!state.uncertain.has(row.book_id) && !gap && patch.partial !== true);
  const uncertain = certain === state.uncertain.has(row.book_id) ? toggled(state.uncertain, row.book_id) : state.uncertain;
  const rows = [...state.rows];
  rows[place] = row;
  if (row[state.query.sort] !== known[state.query.sort]) rows.sort(inOrder(state.query));
  return { state: { ...state, rows, uncertain, confirmedAt: at }, refetch: !certain };
}

/** A book that is not in the window: new, or new to the filter, or below the window. */
function arrived(state: BooksState, rows: readonly BookRow[], patch: BookPatch, at: number): Step<BooksState> {
  if (!isWholeRow(patch)) return doubtful(state);
  if (!belongs(state.query, patch)) return settled(state);
  const row = bookRowSchema.parse(columnsOf(patch));
  const order = inOrder(state.query);
  const last = rows.at(-1);
  if (hasMore(state) && last !== undefined && order(row, last) > 0) return settled(state);
  const window = [...rows, row].sort(order).slice(0, state.query.limit);
  // How many there are in all is for the database to say: this one may have been among them.
  return doubtful({ ...state, rows: window, confirmedAt: at });
}

/** Asks for the window anew: something may have moved up into it, and an answer on its way may still hold the book. */
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
  const key = (row: BookRow) => (sort === "overall_progress" ? row.overall_progress : Date.parse(row[sort]));
  const sign = descending ? -1 : 1;
  return (a, b) => sign * (key(a) - key(b)) || (a.book_id < b.book_id ? -1 : 1);
}

function toggled(set: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const next = new Set(set);
  if (!next.delete(id)) next.add(id);
  return next;
}

const settled = <State>(state: State): Step<State> => ({ state, refetch: false });
const doubtful = <State>(state: State): Step<State> => ({ state, refetch: true });
