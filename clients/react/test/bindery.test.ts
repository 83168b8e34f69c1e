import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createBindery, defaultTiming, type Bindery } from "../src/bindery.js";
import { BinderyError } from "../src/errors.js";
import { idleBook } from "../src/views.js";
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
  test("asks at once, subscribes when that succeeds, and asks again for what happened between", async () => {
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

  test("shows a message without asking", async () => {
    await live();
    const asked = transport.requests.length;
    transport.subscription.message(broadcast({ revision: 6, overall_progress: 9 }));
    expect(view().book?.overall_progress).toBe(9);
    await around.pass(defaultTiming.gap * 2);
    expect(transport.requests.length).toBe(asked);
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

  test("whoever stops and begins again within a second keeps everything", async () => {
    (await live())();
    await around.pass(900);
    bindery.watchBook(id(1), () => undefined);
    await around.pass(5000);
    expect(transport.subscriptions.length).toBe(1);
    expect(view()).toMatchObject({ connection: "live", book: { revision: 5 } });
  });

  test("an answer that comes after the end changes nothing, and its request is aborted", async () => {
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

  test("a topic is opened again only when its old subscription is gone", async () => {
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

describe("questions", () => {
  test("a run of doubts gives one question a second, not one each", async () => {
    await live();
    await around.pass(5000);
    transport.answers = () => status({ revision: 900 });
    const asked = transport.requests.length;
    for (let n = 0; n < 50; n++) {
      transport.subscription.message({ revision: 100 + n * 2 });
      await around.pass(40);
    }
    expect(transport.requests.length - asked).toBeLessThanOrEqual(3);
  });

  test("a doubt while a question is on its way gives another one after it", async () => {
    await live();
    transport.subscription.doubt();
    const asked = transport.requests.length;
    transport.subscription.doubt();
    transport.subscription.message("nonsense");
    transport.request.answer(status());
    await around.pass(0);
    expect(transport.requests.length).toBe(asked + 1);
  });

  test("a failed question is asked again after 1, 2, 4 … 30 seconds", async () => {
    bindery.watchBook(id(1), () => undefined);
    const waits = [];
    for (let n = 0; n < 7; n++) {
      const asked = transport.requests.length;
      transport.request.refuse();
      await around.pass(0);
      let waited = 0;
      while (transport.requests.length === asked)
        await around.pass(100).then(() => (waited += 100));
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
    const asked = transport.requests.length;
    await around.pass(600_000);
    expect(transport.requests.length).toBe(asked);
    around.hidden = false;
    transport.answers = () =>
      status({ revision: 9, status: "COMPLETED", completed_at: at(1), health: null });
    around.wake();
    await around.pass(600_000);
    expect(transport.requests.length).toBe(asked + 1);
    expect(view()).toMatchObject({ stale: false, book: { status: "COMPLETED" } });
  });

  test("a refetch by hand resolves when its answer is in the view, and when it fails", async () => {
    await live();
    const done = bindery.refetchBook(id(1));
    transport.request.answer(status({ revision: 8 }));
    await done;
    expect(view().book?.revision).toBe(8);
    const failed = bindery.refetchBook(id(1));
    transport.request.refuse();
    await failed;
    expect(view().error?.kind).toBe("unreachable");
    await bindery.refetchBook(id(7));
  });

  test("an answer that is no status is an error of its own kind", async () => {
    bindery.watchBook(id(1), () => undefined);
    transport.request.answer({ status: 7 });
    await around.pass(0);
    expect(view().error).toMatchObject({ kind: "bad_answer" });
  });

  test("a book that may no longer be read is taken away", async () => {
    await live();
    void bindery.refetchBook(id(1));
    transport.request.refuse(new BinderyError("gone", "no such book", "unknown_book"));
    await around.pass(0);
    expect(view()).toMatchObject({ book: null, error: { kind: "gone" }, stale: false });
  });

  test("of a book that is gone it asks once, at once, and shows it until the answer", async () => {
    await live();
    const asked = transport.requests.length;
    transport.subscription.deleted(id(1).toUpperCase());
    expect(transport.requests.length).toBe(asked + 1);
    expect(view()).toMatchObject({ connection: "live", book: { revision: 5 } });
    transport.request.refuse(new BinderyError("gone", "no such book", "unknown_book"));
    await around.pass(0);
    expect(view()).toMatchObject({ book: null, connection: "polling", error: { kind: "gone" } });
    expect(transport.subscription.closed).toBe(true);
  });

  test.each(["", "7", "6f1d5a2e-0b3c-4b8e-9a57", `{${id(1)}`, ` ${id(1)}`])(
    "of %j, which is no UUID, it asks nothing, and says so",
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
  ])("an id in another form (%s) is the same book, and its messages are shown", async (_, form) => {
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
    expect(transport.subscriptions.length).toBe(2);
    expect(transport.subscriptions[0]?.closed).toBe(true);
    expect(view()).toMatchObject({ connection: "polling", book: { revision: 8 } });
    const asked = transport.requests.length;
    transport.subscription.subscribed();
    await around.pass(0);
    expect(view().connection).toBe("live");
    expect(transport.requests.length).toBe(asked + 1);
  });

  test("it goes on from the revision that is known", async () => {
    await live();
    transport.subscription.ended("lost");
    await around.pass(1_000);
    expect(transport.subscriptions.map((one) => one.since)).toEqual([5, 5]);
  });

  test("without a subscription it asks every five seconds", async () => {
    transport.answers = () => status();
    bindery.watchBook(id(1), () => undefined);
    await around.pass(0);
    transport.subscription.ended("unavailable");
    await around.pass(1_000);
    const asked = transport.requests.length;
    await around.pass(20_000);
    expect(transport.requests.length - asked).toBe(4);
    expect(view()).toMatchObject({ connection: "polling", stale: false });
    expect(transport.subscriptions.length).toBe(1);
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
    expect(transport.subscriptions.length).toBeLessThan(12);
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
    const [asked, opened] = [transport.requests.length, transport.subscriptions.length];
    transport.request.answer(status());
    around.wake();
    await around.pass(0);
    expect(transport.subscriptions.length).toBe(opened + 1);
    expect(transport.requests.length).toBeGreaterThanOrEqual(asked);
  });
});

describe("what may be listened to", () => {
  test("a book is left when an answer says gone, and joined when one succeeds again", async () => {
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

  test("an answer that fails for want of a server leaves the subscription as it is", async () => {
    await live();
    void bindery.refetchBook(id(1));
    transport.request.refuse();
    await around.pass(0);
    expect([transport.subscription.closed, view().connection]).toEqual([false, "live"]);
  });

  test("a book of another owner is another topic", async () => {
    await live();
    transport.answers = () => status({ revision: 6, owner_id: id(998) });
    await bindery.refetchBook(id(1));
    await around.pass(0);
    expect(transport.subscriptions.map(({ topic, closed }) => [topic, closed])).toEqual([
      [{ kind: "book", bookId: id(1), ownerId: owner }, true],
      [{ kind: "book", bookId: id(1), ownerId: id(998) }, false],
    ]);
  });

  test("a list that may not be read is not joined", async () => {
    bindery.watchBooks({ ownerId: owner }, () => undefined);
    transport.request.refuse(new BinderyError("denied", "no"));
    await around.pass(0);
    expect(bindery.booksView({ ownerId: owner })).toMatchObject({
      connection: "polling",
      error: { kind: "denied" },
    });
    expect(transport.subscriptions.length).toBe(0);
  });

  test("a refused subscription is no lost one: it is polled, and asked for again, but not on waking", async () => {
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

  test("beyond the subscriptions of a transport, books follow their owner's, and where that is full, too, they are polled", async () => {
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
    const asked = transport.requests.length;
    await around.pass(0);
    expect(transport.requests.length).toBe(asked);
    transport.subscription.deleted(id(3));
    expect(transport.request.target).toBe(id(3));
    expect(transport.requests.length).toBe(asked + 1);
  });

  test("a book that was polled for want of room is joined when there is some", async () => {
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

describe("a delay", () => {
  const audit = async () => {
    await around.pass(defaultTiming.audit);
    expect(transport.requests.length).toBeGreaterThan(0);
  };

  /** An audit has found revision 9, of which no message has come for a few seconds. */
  async function delayed() {
    await live();
    transport.answers = () => status({ revision: 9 });
    await audit();
    expect(view()).toMatchObject({ connection: "live", book: { revision: 9 } });
    await around.pass(3_000);
    expect(view().connection).toBe("delayed");
  }

  test("is shown after an audit that found what no message announced, and audits come every few seconds", async () => {
    await delayed();
    const asked = transport.requests.length;
    transport.answers = () => status({ revision: 10 });
    await around.pass(20_000);
    expect(transport.requests.length - asked).toBe(4);
    expect(view()).toMatchObject({ connection: "delayed", stale: false, book: { revision: 10 } });
  });

  test("ends with the next message", async () => {
    await delayed();
    transport.subscription.message(broadcast({ revision: 10 }));
    expect(view().connection).toBe("live");
    await around.pass(5_000);
    const asked = transport.requests.length;
    await around.pass(50_000);
    expect(transport.requests.length).toBe(asked);
  });

  test("ends when audits have found nothing for as long as between two usual ones", async () => {
    await delayed();
    await around.pass(50_000);
    expect(view().connection).toBe("delayed");
    await around.pass(15_000);
    expect(view().connection).toBe("live");
  });

  test("is none where the message comes a little after the answer, or while it is on its way", async () => {
    await live();
    transport.answers = () => status({ revision: 9 });
    await audit();
    await around.pass(2_000);
    transport.subscription.message(broadcast({ revision: 9 }));
    await around.pass(5_000);
    expect(view().connection).toBe("live");
    transport.answers = null;
    await around.pass(60_000);
    transport.subscription.message(broadcast({ revision: 10 }));
    transport.request.answer(status({ revision: 11 }));
    await around.pass(5_000);
    expect(view()).toMatchObject({ connection: "live", book: { revision: 11 } });
  });

  test("is none where the answer is to a question that news gave rise to", async () => {
    await live();
    transport.answers = () => status({ revision: 9 });
    transport.subscription.doubt();
    await around.pass(10_000);
    expect(view()).toMatchObject({ connection: "live", book: { revision: 9 } });
  });

  test("of a list is shown, too: for a newer row, for a new one, and for one that is missing", async () => {
    const rows = (revision: number, ...numbers: number[]) =>
      numbers.map((n) => row({ book_id: id(n), revision }));
    for (const answer of [rows(6, 1, 2), rows(5, 1, 2, 3), rows(5, 1)]) {
      const filter = { ownerId: owner, pageSize: 10 };
      transport.answers = () => rows(5, 1, 2);
      const stop = bindery.watchBooks(filter, () => undefined);
      await around.pass(0);
      transport.subscription.subscribed();
      await around.pass(61_000);
      expect(bindery.booksView(filter).connection).toBe("live");
      transport.answers = () => answer;
      await around.pass(63_000);
      expect(bindery.booksView(filter).connection).toBe("delayed");
      transport.subscription.message(answer[0]);
      await around.pass(20);
      expect(bindery.booksView(filter).connection).toBe("live");
      stop();
      await around.pass(2_000);
    }
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
    transport.request.answer(status());
    await around.pass(0);
    expect(view().stale).toBe(false);
  });

  test("after an hour of sleep the page says so at once, and asks", async () => {
    await live();
    // The clock moves, and no timer has gone off.
    vi.setSystemTime(noon + 3_600_000);
    const asked = transport.requests.length;
    around.wake();
    expect(view().stale).toBe(true);
    expect(transport.requests.length).toBe(asked + 1);
    transport.request.answer(status({ revision: 50 }));
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

describe("a filter", () => {
  test("compares owners as UUIDs, and takes empty texts for none", async () => {
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
    transport.subscription.message(
      row({ book_id: id(3), revision: 6, created_at: at(3), overall_progress: 77 }),
    );
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

  test("one that joins a live subscription is live, too", async () => {
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
