import { describe, expect, test, vi } from "vitest";
import { at, id, owner, row } from "./support/books.js";
import { around, bindery, transport, useClient } from "./support/client.js";

useClient();

describe("a filter", () => {
  test("compares owners as UUIDs and ignores empty texts", async () => {
    transport.answers = () => [row()];
    bindery.watchBooks({ ownerId: owner.toUpperCase(), status: "", pipeline: "" }, () => undefined);
    await around.pass(20);
    expect(transport.request.target).toMatchObject({
      ownerId: owner,
      statuses: null,
      pipeline: null,
    });
    expect(bindery.booksView({ ownerId: `{${owner}}` }).books).toHaveLength(1);
    transport.subscription.message(row({ revision: 6, owner_id: owner.toUpperCase() }));
    expect(bindery.booksView({ ownerId: owner }).books).toMatchObject([{ revision: 6 }]);
  });
});

describe("a list", () => {
  const filter = { ownerId: owner, pageSize: 2 };
  const list = () => bindery.booksView(filter);
  const rows = (...numbers: number[]) =>
    numbers.map((n) => row({ book_id: id(n), created_at: at(n) }));

  test("is live and grows by pages", async () => {
    transport.answers = (query) => ({
      rows: rows(5, 4, 3, 2, 1).slice(0, (query as { limit: number }).limit),
      total: 5,
    });
    bindery.watchBooks(filter, () => undefined);
    expect(list()).toMatchObject({ loading: true, books: [] });
    await around.pass(20);
    expect(transport.subscription.topic).toEqual({ kind: "books", ownerId: owner });
    expect(list()).toMatchObject({ total: 5, hasMore: true, loadingMore: false });
    bindery.loadMore(filter);
    expect(list().loadingMore).toBe(true);
    await around.pass(20);
    expect(list().books.map((book) => book.book_id)).toEqual([id(5), id(4), id(3), id(2)]);
    transport.subscription.message(
      row({ book_id: id(3), revision: 6, created_at: at(3), overall_progress: 77 }),
    );
    expect(list().books[2]?.overall_progress).toBe(77);
  });

  test("calls its listeners once for changes that arrive together", async () => {
    const listener = vi.fn();
    transport.answers = () => rows(3, 2, 1);
    bindery.watchBooks(filter, listener);
    await around.pass(20);
    listener.mockClear();
    for (let n = 6; n < 56; n++)
      transport.subscription.message(row({ book_id: id(2), created_at: at(2), revision: n }));
    await around.pass(20);
    expect(listener).toHaveBeenCalledTimes(1);
    expect(listener.mock.calls[0]?.[0]).toMatchObject({ books: [{}, { revision: 55 }, {}] });
  });

  test("is shared by filters with the same meaning, and its subscription by lists of one owner", async () => {
    transport.answers = () => [];
    bindery.watchBooks({ ownerId: owner, status: ["A", "B"] }, () => undefined);
    bindery.watchBooks(
      { status: ["B", "A"], ownerId: owner, order: "descending", pageSize: 50 },
      () => undefined,
    );
    bindery.watchBooks({ ownerId: owner, status: "C" }, () => undefined);
    await around.pass(0);
    expect([transport.requests.length, transport.subscriptions.length]).toEqual([2, 1]);
  });

  test("is live at once if its owner's subscription is live", async () => {
    transport.answers = () => rows(1);
    bindery.watchBooks(filter, () => undefined);
    await around.pass(0);
    transport.subscription.subscribed();
    bindery.watchBooks({ ownerId: owner, status: "C" }, () => undefined);
    await around.pass(0);
    expect(transport.subscriptions.length).toBe(1);
    expect(bindery.booksView({ ownerId: owner, status: "C" }).connection).toBe("live");
  });
});
