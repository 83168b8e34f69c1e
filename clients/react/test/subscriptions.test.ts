import { describe, expect, test } from "vitest";
import { defaultTiming } from "../src/bindery.js";
import { BinderyError } from "../src/errors.js";
import { broadcast, id, owner, status } from "./support/books.js";
import { around, bindery, transport, live, view, useClient } from "./support/client.js";

useClient();

describe("connection", () => {
  test("a lost subscription is opened again, and a request finds the missed changes", async () => {
    await live();
    await around.pass(20_000);
    transport.answers = () => status({ revision: 8 });
    transport.subscription.ended("lost");
    expect(view().connection).toBe("reconnecting");
    await around.pass(1_000);
    expect(transport.subscriptions.length).toBe(2);
    expect(transport.subscriptions[0]?.closed).toBe(true);
    expect(view()).toMatchObject({ connection: "polling", book: { revision: 8 } });
    const sent = transport.requests.length;
    transport.subscription.subscribed();
    await around.pass(0);
    expect(view().connection).toBe("live");
    expect(transport.requests.length).toBe(sent + 1);
  });

  test("a subscription continues from the known revision", async () => {
    await live();
    transport.subscription.ended("lost");
    await around.pass(1_000);
    expect(transport.subscriptions.map((one) => one.since)).toEqual([5, 5]);
  });

  test("without a subscription a request is sent every five seconds", async () => {
    transport.answers = () => status();
    bindery.watchBook(id(1), () => undefined);
    await around.pass(0);
    transport.subscription.ended("unavailable");
    await around.pass(1_000);
    const sent = transport.requests.length;
    await around.pass(20_000);
    expect(transport.requests.length - sent).toBe(4);
    expect(view()).toMatchObject({ connection: "polling", stale: false });
    expect(transport.subscriptions.length).toBe(1);
  });

  test("a server that ends each subscription at once is called with growing delays", async () => {
    transport.answers = () => status();
    bindery.watchBook(id(1), () => undefined);
    await around.pass(0);
    for (let seconds = 0; seconds < 120; seconds++) {
      if (!transport.subscription.closed) {
        transport.subscription.subscribed();
        transport.subscription.ended("lost");
      }
      await around.pass(1000);
    }
    expect(transport.subscriptions.length).toBeLessThan(12);
  });

  test("events of an ended subscription are ignored", async () => {
    await live();
    const old = transport.subscription;
    old.ended("lost");
    old.message(broadcast({ revision: 99 }));
    old.subscribed();
    old.ended("lost");
    await around.pass(0);
    expect(view().book?.revision).toBe(5);
    expect(view().connection).not.toBe("live");
  });

  test("waking opens a delayed subscription at once and sends a request", async () => {
    await live();
    for (let n = 0; n < 6; n++) {
      transport.subscription.ended("lost");
      await around.pass(31_000);
    }
    transport.subscription.ended("lost");
    await around.pass(0);
    const [sent, opened] = [transport.requests.length, transport.subscriptions.length];
    transport.request.answer(status());
    around.wake();
    await around.pass(0);
    expect(transport.subscriptions.length).toBe(opened + 1);
    expect(transport.requests.length).toBeGreaterThanOrEqual(sent);
  });
});

describe("a topic", () => {
  test("a book is unsubscribed when an answer is gone, and subscribed when one succeeds again", async () => {
    await live();
    void bindery.refetchBook(id(1));
    transport.request.refuse(new BinderyError("denied", "no"));
    await around.pass(0);
    expect([transport.subscription.closed, view().connection]).toEqual([true, "polling"]);
    transport.answers = () => status({ revision: 9 });
    await around.pass(1_000);
    expect(transport.subscriptions.map(({ closed }) => closed)).toEqual([true, false]);
    transport.subscription.subscribed();
    expect(view()).toMatchObject({ connection: "live", book: { revision: 9 } });
  });

  test("an unreachable server leaves the subscription open", async () => {
    await live();
    void bindery.refetchBook(id(1));
    transport.request.refuse();
    await around.pass(0);
    expect([transport.subscription.closed, view().connection]).toEqual([false, "live"]);
  });

  test("after a change of owner the new topic is subscribed", async () => {
    await live();
    transport.answers = () => status({ revision: 6, owner_id: id(998) });
    await bindery.refetchBook(id(1));
    await around.pass(0);
    expect(transport.subscriptions.map(({ topic, closed }) => [topic, closed])).toEqual([
      [{ kind: "book", bookId: id(1), ownerId: owner }, true],
      [{ kind: "book", bookId: id(1), ownerId: id(998) }, false],
    ]);
  });

  test("a list that is not readable is not subscribed", async () => {
    bindery.watchBooks({ ownerId: owner }, () => undefined);
    transport.request.refuse(new BinderyError("denied", "no"));
    await around.pass(0);
    expect(bindery.booksView({ ownerId: owner })).toMatchObject({
      connection: "polling",
      error: { kind: "denied" },
    });
    expect(transport.subscriptions.length).toBe(0);
  });

  test("after a refused subscription the book is polled, and waking does not retry", async () => {
    transport.answers = () => status();
    bindery.watchBook(id(1), () => undefined);
    await around.pass(0);
    transport.subscription.ended("refused");
    expect(view().connection).toBe("polling");
    around.wake();
    await around.pass(14_000);
    expect([transport.subscriptions.length, view().connection]).toEqual([1, "polling"]);
    await around.pass(1_000);
    expect(transport.subscriptions.length).toBe(2);
    transport.subscription.subscribed();
    expect(view().connection).toBe("live");
  });

  test("beyond the transport's limit books use their owner's topic, or are polled", async () => {
    Object.assign(transport, { most: 7 });
    transport.answers = (target) =>
      status({ book_id: String(target), owner_id: target === id(5) ? null : owner });
    for (let n = 1; n <= 5; n++) bindery.watchBook(id(n), () => undefined);
    await around.pass(0);
    expect(transport.subscriptions.map(({ topic }) => topic)).toEqual([
      { kind: "book", bookId: id(1), ownerId: owner },
      { kind: "book", bookId: id(2), ownerId: owner },
      { kind: "books", ownerId: owner },
    ]);
    transport.subscription.subscribed();
    transport.subscription.message(broadcast({ book_id: id(4), revision: 6 }));
    transport.subscription.message({ nonsense: true });
    const seen = [1, 3, 4, 5]
      .map((n) => bindery.bookView(id(n)))
      .map((one) => [one.connection, one.book?.revision]);
    expect(seen).toEqual([
      ["connecting", 5],
      ["live", 5],
      ["live", 6],
      ["polling", 5],
    ]);
    const sent = transport.requests.length;
    await around.pass(0);
    expect(transport.requests.length).toBe(sent);
    transport.subscription.deleted(id(3));
    expect(transport.request.target).toBe(id(3));
    expect(transport.requests.length).toBe(sent + 1);
  });

  test("a book that had no room for a subscription gets one when another ends", async () => {
    Object.assign(transport, { most: 6 });
    transport.answers = (target) => status({ book_id: String(target), owner_id: null });
    const stop = bindery.watchBook(id(1), () => undefined);
    bindery.watchBook(id(2), () => undefined);
    await around.pass(0);
    expect(transport.subscriptions.length).toBe(1);
    stop();
    await around.pass(defaultTiming.linger + defaultTiming.poll);
    expect(transport.subscription.topic).toMatchObject({ bookId: id(2) });
  });
});
