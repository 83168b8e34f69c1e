import { describe, expect, test, vi } from "vitest";
import { defaultTiming } from "../src/bindery.js";
import { idleBook } from "../src/views.js";
import { broadcast, id, owner, status } from "./support/books.js";
import { around, bindery, transport, live, view, useClient } from "./support/client.js";

useClient();

describe("watching", () => {
  test("a watched book is requested, subscribed after an answer, and requested again once subscribed", async () => {
    const seen: unknown[] = [];
    bindery.watchBook(id(1), (next) => seen.push(next));
    expect(view()).toMatchObject({ loading: true, connection: "connecting", book: null });
    await around.pass(0);
    expect([transport.requests.length, transport.subscriptions.length]).toEqual([1, 0]);
    transport.request.answer(status());
    await around.pass(0);
    expect(transport.subscription.topic).toEqual({ kind: "book", bookId: id(1), ownerId: owner });
    expect(view()).toMatchObject({ connection: "connecting", book: { revision: 5 } });
    transport.subscription.subscribed();
    expect(transport.requests.length).toBe(2);
    expect(view()).toMatchObject({ connection: "live", loading: false, book: { revision: 5 } });
    transport.request.answer(status({ revision: 6 }));
    await around.pass(0);
    expect(seen.at(-1)).toBe(view());
    expect(view().book?.revision).toBe(6);
  });

  test("a message is shown without a request", async () => {
    await live();
    const sent = transport.requests.length;
    transport.subscription.message(broadcast({ revision: 6, overall_progress: 9 }));
    expect(view().book?.overall_progress).toBe(9);
    await around.pass(defaultTiming.gap * 2);
    expect(transport.requests.length).toBe(sent);
  });

  test("the view stays the same object until something changes", async () => {
    await live();
    const before = view();
    transport.subscription.message(broadcast({ revision: 5 }));
    expect(view()).toBe(before);
  });

  test("an answer without news keeps the view and calls no listener", async () => {
    await live();
    const listener = vi.fn();
    bindery.watchBook(id(1), listener);
    const before = view();
    transport.answers = () => status();
    await around.pass(120_000);
    expect(view()).toBe(before);
    expect(listener).not.toHaveBeenCalled();
  });

  test("two watchers of a book share one request and one subscription", async () => {
    transport.answers = () => status();
    const stop = bindery.watchBook(id(1), () => undefined);
    const stopOther = bindery.watchBook(id(1), () => undefined);
    await around.pass(0);
    expect([transport.requests.length, transport.subscriptions.length]).toEqual([1, 1]);
    stop();
    stop();
    await around.pass(5000);
    expect(transport.subscription.closed).toBe(false);
    stopOther();
    await around.pass(5000);
    expect(transport.subscription.closed).toBe(true);
    expect(view()).toBe(idleBook);
  });

  test("a book that is watched again within a second keeps its subscription and data", async () => {
    (await live())();
    await around.pass(900);
    bindery.watchBook(id(1), () => undefined);
    await around.pass(5000);
    expect(transport.subscriptions.length).toBe(1);
    expect(view()).toMatchObject({ connection: "live", book: { revision: 5 } });
  });

  test("after the last watcher left, the request is aborted and its answer ignored", async () => {
    const listener = vi.fn();
    const stop = bindery.watchBook(id(1), listener);
    stop();
    await around.pass(2000);
    expect(transport.request.signal.aborted).toBe(true);
    transport.request.answer(status());
    await around.pass(0);
    expect(listener).not.toHaveBeenCalled();
    expect(view()).toBe(idleBook);
  });

  test("a topic is opened again only after its old subscription is closed", async () => {
    let gone = () => undefined as void;
    const stop = await live();
    transport.closing = new Promise((resolve) => (gone = resolve));
    stop();
    await around.pass(1000);
    transport.answers = () => status();
    bindery.watchBook(id(1), () => undefined);
    await around.pass(5000);
    expect(transport.subscriptions.length).toBe(1);
    gone();
    await around.pass(0);
    expect(transport.subscriptions.length).toBe(2);
  });
});

describe("ids", () => {
  test.each(["", "7", "6f1d5a2e-0b3c-4b8e-9a57", `{${id(1)}`, ` ${id(1)}`])(
    "%j, which is not a UUID, is an error in the view and causes no request",
    async (given) => {
      const seen: unknown[] = [];
      bindery.watchBook(given, (next) => seen.push(next));
      bindery.watchBooks({ ownerId: given }, (next) => seen.push(next));
      expect(seen).toEqual([]);
      await around.pass(60_000);
      expect(seen).toEqual([bindery.bookView(given), bindery.booksView({ ownerId: given })]);
      expect(bindery.bookView(given)).toBe(bindery.bookView(given));
      expect(bindery.bookView(given)).toMatchObject({
        loading: false,
        error: { kind: "invalid", message: `book_id is not a UUID: "${given}".` },
      });
      expect(bindery.booksView({ ownerId: given }).error?.message).toBe(
        `owner_id is not a UUID: "${given}".`,
      );
      expect([transport.requests.length, transport.subscriptions.length]).toEqual([0, 0]);
    },
  );

  test.each([
    ["upper case", (text: string) => text.toUpperCase()],
    ["braces", (text: string) => `{${text}}`],
    ["no hyphens", (text: string) => text.replaceAll("-", "")],
  ])(
    "an id in another form (%s) names the same book, and its messages are shown",
    async (_, form) => {
      await live();
      const [given, seen] = [form(id(1)), vi.fn()];
      bindery.watchBook(given, seen);
      transport.subscription.message(broadcast({ book_id: given, revision: 6 }));
      expect(seen).toHaveBeenCalledOnce();
      expect(bindery.bookView(given)).toMatchObject({
        connection: "live",
        book: { book_id: id(1), revision: 6 },
      });
      expect([transport.subscriptions.length, transport.request.target]).toEqual([1, id(1)]);
    },
  );
});
