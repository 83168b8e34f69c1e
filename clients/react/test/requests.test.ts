import { describe, expect, test } from "vitest";
import { BinderyError } from "../src/errors.js";
import { at, id, status } from "./support/books.js";
import { around, bindery, transport, live, view, useClient } from "./support/client.js";

useClient();

describe("requests", () => {
  test("many doubts in a row cause one request a second", async () => {
    await live();
    await around.pass(5000);
    transport.answers = () => status({ revision: 900 });
    const sent = transport.requests.length;
    for (let n = 0; n < 50; n++) {
      transport.subscription.message({ revision: 100 + n * 2 });
      await around.pass(40);
    }
    expect(transport.requests.length - sent).toBeLessThanOrEqual(3);
  });

  test("a doubt during a request causes one more request after it", async () => {
    await live();
    transport.subscription.doubt();
    const sent = transport.requests.length;
    transport.subscription.doubt();
    transport.subscription.message("nonsense");
    transport.request.answer(status());
    await around.pass(0);
    expect(transport.requests.length).toBe(sent + 1);
  });

  test("a failed request is repeated after 1, 2, 4 … 30 seconds", async () => {
    bindery.watchBook(id(1), () => undefined);
    const waits = [];
    for (let n = 0; n < 7; n++) {
      const sent = transport.requests.length;
      transport.request.refuse();
      await around.pass(0);
      let waited = 0;
      while (transport.requests.length === sent) await around.pass(100).then(() => (waited += 100));
      waits.push(waited / 1000);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 30, 30]);
    expect(view()).toMatchObject({ loading: false, error: { kind: "unreachable" } });
  });

  test("while live, a request each minute finds the change of a lost message", async () => {
    await live();
    transport.answers = () => status({ revision: 9 });
    await around.pass(59_000);
    expect(view().book?.revision).toBe(5);
    await around.pass(2_000);
    expect(view().book?.revision).toBe(9);
  });

  test("no request is sent for a finished book, or while the page is hidden", async () => {
    await live();
    around.hidden = true;
    const sent = transport.requests.length;
    await around.pass(600_000);
    expect(transport.requests.length).toBe(sent);
    around.hidden = false;
    transport.answers = () =>
      status({ revision: 9, status: "COMPLETED", completed_at: at(1), health: null });
    around.wake();
    await around.pass(600_000);
    expect(transport.requests.length).toBe(sent + 1);
    expect(view()).toMatchObject({ stale: false, book: { status: "COMPLETED" } });
  });

  test("refetchBook resolves when its answer or its error is in the view", async () => {
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

  test("an answer that is not a status is an error of the kind bad_answer", async () => {
    bindery.watchBook(id(1), () => undefined);
    transport.request.answer({ status: 7 });
    await around.pass(0);
    expect(view().error).toMatchObject({ kind: "bad_answer" });
  });

  test("a book that is no longer readable is removed from the view", async () => {
    await live();
    void bindery.refetchBook(id(1));
    transport.request.refuse(new BinderyError("gone", "no such book", "unknown_book"));
    await around.pass(0);
    expect(view()).toMatchObject({ book: null, error: { kind: "gone" }, stale: false });
  });

  test("a message that a book is gone causes one request, and the book is shown until its answer", async () => {
    await live();
    const sent = transport.requests.length;
    transport.subscription.deleted(id(1).toUpperCase());
    expect(transport.requests.length).toBe(sent + 1);
    expect(view()).toMatchObject({ connection: "live", book: { revision: 5 } });
    transport.request.refuse(new BinderyError("gone", "no such book", "unknown_book"));
    await around.pass(0);
    expect(view()).toMatchObject({ book: null, connection: "polling", error: { kind: "gone" } });
    expect(transport.subscription.closed).toBe(true);
  });
});
