import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createBindery, defaultTiming, idleBook, type Bindery } from "../src/bindery.js";
import { BinderyError } from "../src/errors.js";
import { at, broadcast, id, noon, owner, row, status } from "./support/books.js";
import { FakeTransport } from "./support/fake-transport.js";
import { world, type World } from "./support/world.js";

let around: World;
let transport: FakeTransport;
let bindery: Bindery;
const view = () => bindery.bookView(id(1));

beforeEach(() => {
  around = world();
  transport = new FakeTransport();
  bindery = createBindery(transport, { environment: around });
});

afterEach(async () => {
  await bindery.close();
  vi.useRealTimers();
});

/** Watches a book that is live and known at revision 5. */
async function live() {
  transport.answers = () => status();
  const stop = bindery.watchBook(id(1), () => undefined);
  await around.pass(0);
  transport.subscription.subscribed();
  await around.pass(0);
  transport.answers = null;
  return stop;
}

describe("watching", () => {
  test("asks and subscribes at once, and asks again when subscribed, for what happened between", async () => {
    const seen: unknown[] = [];
    bindery.watchBook(id(1), (next) => seen.push(next));
    expect(view()).toMatchObject({ loading: true, connection: "connecting", book: null });
    await around.pass(0);
    expect([transport.asked.length, transport.opened.length]).toEqual([1, 1]);
    transport.subscription.subscribed();
    transport.question.answer(status());
    await around.pass(0);
    expect(transport.asked.length).toBe(2);
    expect(view()).toMatchObject({ connection: "live", loading: false, book: { revision: 5 } });
    transport.question.answer(status({ revision: 6 }));
    await around.pass(0);
    expect(seen.at(-1)).toBe(view());
    expect(view().book?.revision).toBe(6);
  });

  test("shows a message without asking", async () => {
    await live();
    const asked = transport.asked.length;
    transport.subscription.message(broadcast({ revision: 6, overall_progress: 9 }));
    expect(view().book?.overall_progress).toBe(9);
    await around.pass(defaultTiming.gap * 2);
    expect(transport.asked.length).toBe(asked);
  });

  test("gives the same view until something changes", async () => {
    await live();
    const before = view();
    transport.subscription.message(broadcast({ revision: 5 }));
    expect(view()).toBe(before);
  });

  test("an answer that says nothing new keeps the view, and calls nobody", async () => {
    await live();
    const told = vi.fn();
    bindery.watchBook(id(1), told);
    const before = view();
    transport.answers = () => status();
    await around.pass(120_000);
    expect(view()).toBe(before);
    expect(told).not.toHaveBeenCalled();
  });

  test("two who watch the same book share the question and the subscription", async () => {
    const stop = bindery.watchBook(id(1), () => undefined);
    const stopOther = bindery.watchBook(id(1), () => undefined);
    await around.pass(0);
    expect([transport.asked.length, transport.opened.length]).toEqual([1, 1]);
    stop();
    stop();
    await around.pass(5000);
    expect(transport.subscription.closed).toBe(false);
    stopOther();
    await around.pass(5000);
    expect(transport.subscription.closed).toBe(true);
    expect(view()).toBe(idleBook);
  });

  test("whoever stops and begins again within a second keeps everything", async () => {
    (await live())();
    await around.pass(900);
    bindery.watchBook(id(1), () => undefined);
    await around.pass(5000);
    expect(transport.opened.length).toBe(1);
    expect(view()).toMatchObject({ connection: "live", book: { revision: 5 } });
  });

  test("an answer that comes after the end changes nothing, and its request is aborted", async () => {
    const listener = vi.fn();
    const stop = bindery.watchBook(id(1), listener);
    stop();
    await around.pass(2000);
    expect(transport.question.signal.aborted).toBe(true);
    transport.question.answer(status());
    await around.pass(0);
    expect(listener).not.toHaveBeenCalled();
    expect(view()).toBe(idleBook);
  });

  test("a topic is opened again only when its old subscription is gone", async () => {
    let gone = () => undefined as void;
    const stop = await live();
    transport.closing = new Promise((resolve) => (gone = resolve));
    stop();
    await around.pass(1000);
    bindery.watchBook(id(1), () => undefined);
    await around.pass(5000);
    expect(transport.opened.length).toBe(1);
    gone();
    await around.pass(0);
    expect(transport.opened.length).toBe(2);
  });
});

describe("questions", () => {
  test("a run of doubts gives one question a second, not one each", async () => {
    await live();
    await around.pass(5000);
    transport.answers = () => status({ revision: 900 });
    const asked = transport.asked.length;
    for (let n = 0; n < 50; n++) {
      transport.subscription.message({ revision: 100 + n * 2 });
      await around.pass(40);
    }
    expect(transport.asked.length - asked).toBeLessThanOrEqual(3);
  });

  test("a doubt while a question is on its way gives another one after it", async () => {
    await live();
    transport.subscription.doubt();
    const asked = transport.asked.length;
    transport.subscription.doubt();
    transport.subscription.message("nonsense");
    transport.question.answer(status());
    await around.pass(0);
    expect(transport.asked.length).toBe(asked + 1);
  });

  test("a failed question is asked again after 1, 2, 4 … 30 seconds", async () => {
    bindery.watchBook(id(1), () => undefined);
    const waits = [];
    for (let n = 0; n < 7; n++) {
      const asked = transport.asked.length;
      transport.question.refuse();
      await around.pass(0);
      let waited = 0;
      while (transport.asked.length === asked) await around.pass(100).then(() => (waited += 100));
      waits.push(waited / 1000);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 30, 30]);
    expect(view()).toMatchObject({ loading: false, error: { kind: "unreachable" } });
  });

  test("while live it asks once a minute, which finds what a lost message would have told", async () => {
    await live();
    transport.answers = () => status({ revision: 9 });
    await around.pass(59_000);
    expect(view().book?.revision).toBe(5);
    await around.pass(2_000);
    expect(view().book?.revision).toBe(9);
  });

  test("nobody asks for a finished book, nor while nobody looks", async () => {
    await live();
    around.hidden = true;
    const asked = transport.asked.length;
    await around.pass(600_000);
    expect(transport.asked.length).toBe(asked);
    around.hidden = false;
    transport.answers = () => status({ revision: 9, status: "COMPLETED", completed_at: at(1), health: null });
    around.wake();
    await around.pass(600_000);
    expect(transport.asked.length).toBe(asked + 1);
    expect(view()).toMatchObject({ stale: false, book: { status: "COMPLETED" } });
  });

  test("a refetch by hand resolves when its answer is in the view, and when it fails", async () => {
    await live();
    const done = bindery.refetchBook(id(1));
    transport.question.answer(status({ revision: 8 }));
    await done;
    expect(view().book?.revision).toBe(8);
    const failed = bindery.refetchBook(id(1));
    transport.question.refuse();
    await failed;
    expect(view().error?.kind).toBe("unreachable");
    await bindery.refetchBook(id(7));
  });

  test("an answer that is no status is an error of its own kind", async () => {
    bindery.watchBook(id(1), () => undefined);
    transport.question.answer({ status: 7 });
    await around.pass(0);
    expect(view().error).toMatchObject({ kind: "bad_answer" });
  });

  test("a book that may no longer be read is taken away", async () => {
    await live();
    void bindery.refetchBook(id(1));
    transport.question.refuse(new BinderyError("gone", "no such book", "unknown_book"));
    await around.pass(0);
    expect(view()).toMatchObject({ book: null, error: { kind: "gone" }, stale: false });
  });
});

describe("connection", () => {
  test("a lost subscription is opened again, and what happened meanwhile is asked for", async () => {
    await live();
    await around.pass(20_000);
    transport.answers = () => status({ revision: 8 });
    transport.subscription.ended("lost");
    expect(view().connection).toBe("reconnecting");
    await around.pass(1_000);
    expect(transport.opened.length).toBe(2);
    expect(transport.opened[0]?.closed).toBe(true);
    expect(view()).toMatchObject({ connection: "polling", book: { revision: 8 } });
    const asked = transport.asked.length;
    transport.subscription.subscribed();
    await around.pass(0);
    expect(view().connection).toBe("live");
    expect(transport.asked.length).toBe(asked + 1);
  });

  test("it goes on from the revision that is known", async () => {
    await live();
    transport.subscription.ended("lost");
    await around.pass(1_000);
    expect(transport.opened.map((one) => one.since)).toEqual([null, 5]);
  });

  test("without a subscription it asks every five seconds", async () => {
    transport.answers = () => status();
    bindery.watchBook(id(1), () => undefined);
    await around.pass(0);
    transport.subscription.ended("unavailable");
    await around.pass(1_000);
    const asked = transport.asked.length;
    await around.pass(20_000);
    expect(transport.asked.length - asked).toBe(4);
    expect(view()).toMatchObject({ connection: "polling", stale: false });
    expect(transport.opened.length).toBe(1);
  });

  test("a server that keeps ending subscriptions is not hammered", async () => {
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
    expect(transport.opened.length).toBeLessThan(12);
  });

  test("what an ended subscription still says is not heard", async () => {
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

  test("waking opens a subscription that waits, and asks", async () => {
    await live();
    for (let n = 0; n < 6; n++) {
      transport.subscription.ended("lost");
      await around.pass(31_000);
    }
    transport.subscription.ended("lost");
    await around.pass(0);
    const [asked, opened] = [transport.asked.length, transport.opened.length];
    transport.question.answer(status());
    around.wake();
    await around.pass(0);
    expect(transport.opened.length).toBe(opened + 1);
    expect(transport.asked.length).toBeGreaterThanOrEqual(asked);
  });
});

describe("staleness", () => {
  test("what nothing confirms for 15 seconds without a subscription is stale, until an answer comes", async () => {
    await live();
    transport.subscription.ended("lost");
    await around.pass(14_000);
    expect(view().stale).toBe(false);
    const told = vi.fn();
    bindery.watchBook(id(1), told);
    await around.pass(1_000);
    expect(view().stale).toBe(true);
    expect(told).toHaveBeenCalled();
    transport.question.answer(status());
    await around.pass(0);
    expect(view().stale).toBe(false);
  });

  test("after an hour of sleep the page says so at once, and asks", async () => {
    await live();
    // The clock moves, and no timer has gone off.
    vi.setSystemTime(noon + 3_600_000);
    const asked = transport.asked.length;
    around.wake();
    expect(view().stale).toBe(true);
    expect(transport.asked.length).toBe(asked + 1);
    transport.question.answer(status({ revision: 50 }));
    await around.pass(0);
    expect(view()).toMatchObject({ stale: false, book: { revision: 50 } });
  });

  test("a clock that was set back by an hour says nothing about age", async () => {
    await live();
    vi.setSystemTime(noon - 3_600_000);
    around.wake();
    expect(view().stale).toBe(true);
  });
});

describe("a list", () => {
  const filter = { ownerId: owner, pageSize: 2 };
  const list = () => bindery.booksView(filter);
  const rows = (...numbers: number[]) => numbers.map((n) => row({ book_id: id(n), created_at: at(n) }));

  test("is live, and grows by pages", async () => {
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
    transport.subscription.message(row({ book_id: id(3), revision: 6, created_at: at(3), overall_progress: 77 }));
    expect(list().books[2]?.overall_progress).toBe(77);
  });

  test("tells of changes that come together at once", async () => {
    const told = vi.fn();
    transport.answers = () => rows(3, 2, 1);
    bindery.watchBooks(filter, told);
    await around.pass(20);
    told.mockClear();
    for (let n = 6; n < 56; n++)
      transport.subscription.message(row({ book_id: id(2), created_at: at(2), revision: n }));
    await around.pass(20);
    expect(told).toHaveBeenCalledTimes(1);
    expect(told.mock.calls[0]?.[0]).toMatchObject({ books: [{}, { revision: 55 }, {}] });
  });

  test("filters that mean the same are one list, and lists of one owner share a subscription", async () => {
    bindery.watchBooks({ ownerId: owner, status: ["A", "B"] }, () => undefined);
    bindery.watchBooks({ status: ["B", "A"], ownerId: owner, order: "descending", pageSize: 50 }, () => undefined);
    bindery.watchBooks({ ownerId: owner, status: "C" }, () => undefined);
    await around.pass(0);
    expect([transport.asked.length, transport.opened.length]).toEqual([2, 1]);
  });

  test("one that joins a live subscription is live, too", async () => {
    transport.answers = () => rows(1);
    bindery.watchBooks(filter, () => undefined);
    await around.pass(0);
    transport.subscription.subscribed();
    bindery.watchBooks({ ownerId: owner, status: "C" }, () => undefined);
    expect(bindery.booksView({ ownerId: owner, status: "C" }).connection).toBe("live");
  });
});
