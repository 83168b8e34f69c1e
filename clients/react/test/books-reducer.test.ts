import { describe, expect, test } from "vitest";
import { hasMore, noBooks, reduceBooks, type BooksState } from "../src/books-reducer.js";
import { BinderyError } from "../src/errors.js";
import type { BookRow } from "../src/status.js";
import type { BooksQuery } from "../src/transport.js";
import { at, id, noon, owner, row } from "./support/books.js";

const query: BooksQuery = {
  ownerId: owner,
  statuses: null,
  pipeline: null,
  sort: "created_at",
  descending: true,
  limit: 3,
};
const book = (n: number, changes: Partial<BookRow> = {}) =>
  row({ book_id: id(n), created_at: at(n * 10), ...changes });
const ids = (state: BooksState) => state.rows?.map((one) => Number(one.book_id.slice(-3)));
const received = (state: BooksState, payload: unknown) =>
  reduceBooks(state, { type: "received", payload, at: noon });

function shown(
  rows: BookRow[],
  total = rows.length,
  changes: Partial<BooksQuery> = {},
): BooksState {
  const state = noBooks({ ...query, ...changes });
  return reduceBooks(state, {
    type: "fetched",
    answer: { rows, total, limit: state.query.limit },
    at: noon,
  }).state;
}

test("a change is shown in its row, and the other rows stay the same objects", () => {
  const before = shown([book(3), book(2)]);
  const { state, refetch } = received(before, book(2, { revision: 6, overall_progress: 70 }));
  expect(state.rows?.[1]).toMatchObject({ revision: 6, overall_progress: 70 });
  expect(state.rows?.[0]).toBe(before.rows?.[0]);
  expect(refetch).toBe(false);
});

test("an answer without news keeps the objects", () => {
  const before = shown([book(3), book(2)]);
  const { state } = reduceBooks(before, {
    type: "fetched",
    answer: { rows: [book(3), book(2)], total: 2, limit: 3 },
    at: noon + 1,
  });
  expect(state.rows?.[0]).toBe(before.rows?.[0]);
});

test("a row moves when what it is sorted by changes", () => {
  const before = shown([book(1, { overall_progress: 50 }), book(2, { overall_progress: 40 })], 2, {
    sort: "overall_progress",
  });
  expect(ids(received(before, book(2, { revision: 6, overall_progress: 60 })).state)).toEqual([
    2, 1,
  ]);
});

test("a new book is put in its place, and how many there are is asked for", () => {
  const { state, refetch } = received(shown([book(3), book(1)]), book(2, { revision: 1 }));
  expect(ids(state)).toEqual([3, 2, 1]);
  expect(refetch).toBe(true);
});

test("a full window lets its last one go for a newer book", () => {
  const { state } = received(shown([book(3), book(2), book(1)]), book(4, { revision: 1 }));
  expect(ids(state)).toEqual([4, 3, 2]);
});

test("a book below the window is no news", () => {
  const before = shown([book(9), book(8), book(7)], 50);
  expect(received(before, book(2, { revision: 8 }))).toEqual({ state: before, refetch: false });
});

test("others' books and books of other states do not get in", () => {
  const before = shown([book(3)], 1, { statuses: ["ANALYZING"], pipeline: "comic" });
  expect(received(before, book(4, { owner_id: id(5) })).state).toBe(before);
  expect(received(before, book(4, { status: "FAILED" })).state).toBe(before);
  expect(received(before, book(4, { pipeline: "video" })).state).toBe(before);
});

test("a book that leaves the filter leaves the list", () => {
  const { state, refetch } = received(
    shown([book(3), book(2)], 2, { statuses: ["ANALYZING"] }),
    book(3, { revision: 6, status: "FAILED" }),
  );
  expect(ids(state)).toEqual([2]);
  expect(state.total).toBe(1);
  expect(refetch).toBe(true);
});

test("a part of a row is merged; where it leaves a doubt the list is asked for", () => {
  const before = shown([book(1)]);
  expect(received(before, { book_id: id(1), revision: 6, message: "hm" })).toMatchObject({
    state: { rows: [{ message: "hm", title: "The Salt Clock" }] },
    refetch: false,
  });
  const doubted = received(before, { book_id: id(1), revision: 6, message: "hm", partial: true });
  expect(doubted.refetch).toBe(true);
  expect(doubted.state.trust.get(id(1))?.certain).toBe(false);
  expect(received(doubted.state, book(1, { revision: 7 })).state.trust.size).toBe(0);
  expect(received(before, { book_id: id(1), revision: 9, message: "hm" }).refetch).toBe(true);
  expect(received(before, { book_id: id(8), revision: 9, message: "hm" }).refetch).toBe(true);
});

test("a deleted book goes", () => {
  const { state, refetch } = reduceBooks(shown([book(2), book(1)]), {
    type: "deleted",
    bookId: id(2),
    at: noon,
  });
  expect([ids(state), state.total, refetch]).toEqual([[1], 1, true]);
});

test("more is asked for under a higher limit", () => {
  const before = shown([book(9), book(8), book(7)], 5);
  expect(hasMore(before)).toBe(true);
  const { state, refetch } = reduceBooks(before, { type: "more", by: 3 });
  expect([state.query.limit, refetch]).toEqual([6, true]);
  const early = reduceBooks(state, {
    type: "fetched",
    answer: { rows: [book(9), book(8), book(7)], total: 5, limit: 3 },
    at: noon,
  });
  expect(early.refetch).toBe(true);
});

test("without a total a full window is taken to have more below it", () => {
  const state = noBooks(query);
  const full = reduceBooks(state, {
    type: "fetched",
    answer: { rows: [book(3), book(2), book(1)], total: null, limit: 3 },
    at: noon,
  }).state;
  expect(hasMore(full)).toBe(true);
  const short = reduceBooks(state, {
    type: "fetched",
    answer: { rows: [book(3)], total: null, limit: 3 },
    at: noon,
  }).state;
  expect(hasMore(short)).toBe(false);
});

test("a list that may not be seen is taken away, one that cannot be had stays", () => {
  const before = shown([book(1)]);
  const fail = (kind: "denied" | "unreachable") =>
    reduceBooks(before, { type: "failed", error: new BinderyError(kind, "no"), at: noon }).state;
  expect(fail("denied").rows).toBeNull();
  expect(ids(fail("unreachable"))).toEqual([1]);
});

describe("with pages", () => {
  /** A window of these books, below which there are more. */
  const paged = (numbers: number[], next: string | null, changes: Partial<BooksQuery> = {}) =>
    reduceBooks(noBooks({ ...query, ...changes }), {
      type: "fetched",
      answer: { rows: numbers.map((n) => book(n)), total: 50, limit: 3, next },
      at: noon,
    }).state;
  const page = (state: BooksState, numbers: number[], next: string | null, since = noon) =>
    reduceBooks(state, {
      type: "fetched",
      answer: {
        kind: "page",
        rows: numbers.map((n) => book(n)),
        total: null,
        limit: state.query.limit,
        next,
      },
      since,
      at: noon + 1,
    });

  test("a page is put below the others, until the end", () => {
    const first = paged([9, 8, 7], "7");
    expect(hasMore(first)).toBe(true);
    const more = reduceBooks(first, { type: "more", by: 3 });
    expect(more).toMatchObject({ refetch: true, extent: "more" });
    const second = page(more.state, [6, 5], null);
    expect([ids(second.state), second.state.total, hasMore(second.state), second.refetch]).toEqual([
      [9, 8, 7, 6, 5],
      50,
      false,
      false,
    ]);
    expect(second.state.rows?.[0]).toBe(first.rows?.[0]);
  });

  test("after a new book only the counts are requested", () => {
    const step = received(paged([9, 8, 7], "7"), book(10, { revision: 1 }));
    expect([ids(step.state), step.extent]).toEqual([[10, 9, 8, 7], "count"]);
    const counted = reduceBooks(step.state, {
      type: "fetched",
      answer: { kind: "count", total: 51, counts: { queued: 51 } },
      at: noon,
    }).state;
    expect([ids(counted), counted.total, counted.counts]).toEqual([
      [10, 9, 8, 7],
      51,
      { queued: 51 },
    ]);
  });

  test("a row that moves below the edge comes back with its page, as new as it was", () => {
    const first = paged([9, 8, 7], "7", { sort: "updated_at", descending: false });
    const later = book(9, { revision: 6, updated_at: at(500), overall_progress: 77 });
    const { state } = received(first, later);
    expect(ids(state)).toEqual([7, 8]);
    const old = page({ ...state, query: { ...state.query, limit: 6 } }, [9], null, noon);
    expect(old.state.rows?.at(-1)).toMatchObject({ book_id: id(9), overall_progress: 77 });
  });

  test("a book that is registered or deleted while the list is read is shown or gone", () => {
    const first = paged([9, 8, 7], "7");
    const registered = received(first, book(10, { revision: 1 })).state;
    const deleted = reduceBooks(registered, { type: "deleted", bookId: id(8), at: noon }).state;
    const { state } = reduceBooks(deleted, {
      type: "fetched",
      answer: { rows: [book(9), book(8), book(7)], total: 50, limit: 3, next: "7" },
      since: noon - 1,
      at: noon + 1,
    });
    expect(ids(state)).toEqual([10, 9, 7]);
    const later = reduceBooks(state, {
      type: "fetched",
      answer: { rows: [book(9), book(7)], total: 50, limit: 3, next: "7" },
      since: noon + 2,
      at: noon + 3,
    });
    expect(ids(later.state)).toEqual([9, 7]);
  });

  test("a change below the window is counted, as it may have left or entered the filter", () => {
    const first = paged([9, 8, 7], "7", { statuses: ["ANALYZING"] });
    const change = book(2, { revision: 8, status: "FAILED" });
    const once = received(first, change);
    expect([ids(once.state), once.extent]).toEqual([[9, 8, 7], "count"]);
    const again = received(once.state, { ...change, revision: 9 });
    expect(again.refetch).toBe(false);
    expect(received(paged([9, 8], null, { statuses: ["ANALYZING"] }), change).refetch).toBe(false);
  });

  test("filters by phase, text and tag hold for messages", () => {
    const isIn = (changes: Partial<BooksQuery>, one: Partial<BookRow>) =>
      ids(received(paged([], null, changes), book(4, one)).state)?.length === 1;
    expect(isIn({ phase: "queued" }, { status: "UPLOADED", overall_progress: 0 })).toBe(true);
    expect(isIn({ phase: "queued" }, { overall_progress: 3 })).toBe(false);
    expect(isIn({ phase: "failed" }, { status: "FAILED" })).toBe(true);
    expect(isIn({ search: "SALT" }, {})).toBe(true);
    expect(isIn({ search: "ink" }, {})).toBe(false);
    expect(isIn({ search: "ink" }, { error: { message: "The ink ran dry." } })).toBe(true);
    expect(isIn({ search: id(4).slice(0, 8) }, {})).toBe(true);
    expect(isIn({ tag: "urgent" }, { metadata: { tags: ["urgent"] } })).toBe(true);
    expect(isIn({ tag: "urgent" }, { metadata: { tags: "urgent" } })).toBe(false);
  });

  test("titles stay in the order of the database, whatever its collation", () => {
    const titled = (n: number, title: string) => book(n, { title });
    const rows = [titled(1, "Äther"), titled(2, "Bach"), titled(3, "écru")];
    const first = reduceBooks(noBooks({ ...query, sort: "title", descending: false }), {
      type: "fetched",
      answer: { rows, total: 50, limit: 3, next: "3" },
      at: noon,
    }).state;
    expect(ids(first)).toEqual([1, 2, 3]);
    const changed = received(first, { ...titled(1, "Äther"), revision: 6, overall_progress: 77 });
    expect(ids(changed.state)).toEqual([1, 2, 3]);
    expect(ids(received(first, { ...titled(4, "bald"), revision: 1 }).state)).toEqual([1, 2, 4, 3]);
  });
});
