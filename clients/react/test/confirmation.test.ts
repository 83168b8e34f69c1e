import { describe, expect, test, vi } from "vitest";
import { defaultTiming } from "../src/bindery.js";
import { broadcast, id, noon, owner, row, status } from "./support/books.js";
import { around, bindery, transport, live, view, useClient } from "./support/client.js";

useClient();

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

  test("is shown when an audit finds an unannounced change, and audits follow every few seconds", async () => {
    await delayed();
    const sent = transport.requests.length;
    transport.answers = () => status({ revision: 10 });
    await around.pass(20_000);
    expect(transport.requests.length - sent).toBe(4);
    expect(view()).toMatchObject({ connection: "delayed", stale: false, book: { revision: 10 } });
  });

  test("ends with the next message", async () => {
    await delayed();
    transport.subscription.message(broadcast({ revision: 10 }));
    expect(view().connection).toBe("live");
    await around.pass(5_000);
    const sent = transport.requests.length;
    await around.pass(50_000);
    expect(transport.requests.length).toBe(sent);
  });

  test("ends when audits find no change for the usual interval", async () => {
    await delayed();
    await around.pass(50_000);
    expect(view().connection).toBe("delayed");
    await around.pass(15_000);
    expect(view().connection).toBe("live");
  });

  test("is not shown if the message arrives during the request or shortly after its answer", async () => {
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

  test("is not shown after a request that an event caused", async () => {
    await live();
    transport.answers = () => status({ revision: 9 });
    transport.subscription.doubt();
    await around.pass(10_000);
    expect(view()).toMatchObject({ connection: "live", book: { revision: 9 } });
  });

  test("of a list is shown for a newer row, a new row and a missing row", async () => {
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
  test("data without confirmation for 15 seconds is stale until the next answer", async () => {
    await live();
    transport.subscription.ended("lost");
    await around.pass(14_000);
    expect(view().stale).toBe(false);
    const listener = vi.fn();
    bindery.watchBook(id(1), listener);
    await around.pass(1_000);
    expect(view().stale).toBe(true);
    expect(listener).toHaveBeenCalled();
    transport.request.answer(status());
    await around.pass(0);
    expect(view().stale).toBe(false);
  });

  test("after an hour of sleep the data is stale at once, and a request is sent", async () => {
    await live();
    // The clock moves, and no timer has gone off.
    vi.setSystemTime(noon + 3_600_000);
    const sent = transport.requests.length;
    around.wake();
    expect(view().stale).toBe(true);
    expect(transport.requests.length).toBe(sent + 1);
    transport.request.answer(status({ revision: 50 }));
    await around.pass(0);
    expect(view()).toMatchObject({ stale: false, book: { revision: 50 } });
  });

  test("after the clock was set back by an hour the data is stale", async () => {
    await live();
    vi.setSystemTime(noon - 3_600_000);
    around.wake();
    expect(view().stale).toBe(true);
  });
});
