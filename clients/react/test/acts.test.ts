import { expect, test, vi } from "vitest";
import { bookActs } from "../src/acts.js";
import { BinderyError } from "../src/errors.js";
import { broadcast, id, status } from "./support/books.js";
import { around, bindery, live, transport, useClient, view } from "./support/client.js";

useClient();

const acts = (n = 1) => bookActs(bindery, id(n));
const idle = { act: null, state: "idle", error: null };

test("a resume is pending until the book shows it", async () => {
  await live();
  const listener = vi.fn();
  acts().watch(listener);
  const resumed = acts().resume({ expectedRevision: 5 });
  expect(transport.request.target).toEqual({ resume: id(1), expectedRevision: 5 });
  expect(acts().view()).toEqual({ act: "resume", state: "pending", error: null });
  transport.request.answer(undefined);
  await around.pass(0);
  expect(transport.request.target).toBe(id(1));
  expect(acts().view().state).toBe("pending");
  transport.request.answer(status({ revision: 6, attempt: 2 }));
  expect(await resumed).toBe(true);
  expect(view().book).toMatchObject({ revision: 6, attempt: 2 });
  expect(acts().view()).toEqual({ act: "resume", state: "idle", error: null });
  expect(listener).toHaveBeenCalledTimes(2);
});

test("two resumes at once are one request, and both learn of its result", async () => {
  transport.answers = null;
  const both = [acts().resume(), bookActs(bindery, id(1).toUpperCase()).resume()];
  await around.pass(0);
  expect(transport.requests.length).toBe(1);
  transport.request.answer(undefined);
  expect(await Promise.all(both)).toEqual([true, true]);
  void acts().resume();
  expect(transport.requests.length).toBe(2);
});

test("a cancel during a resume is not begun; one of another book is", async () => {
  const resumed = acts().resume();
  expect(await acts().cancel()).toBe(false);
  void acts(2).cancel({ message: "twice" });
  expect(transport.requests.map(({ target }) => target)).toEqual([
    { resume: id(1) },
    { cancel: id(2), message: "twice" },
  ]);
  transport.requests[0]?.answer(undefined);
  expect(await resumed).toBe(true);
  void acts().cancel();
  expect(transport.request.target).toEqual({ cancel: id(1) });
});

test("a failed act has its error until the next one, or until it is reset", async () => {
  acts().watch(() => undefined);
  const failed = acts().resume();
  transport.request.refuse(new BinderyError("refused", "It is not FAILED.", "not_failed"));
  expect(await failed).toBe(false);
  expect(acts().view()).toMatchObject({ state: "failed", error: { code: "not_failed" } });
  acts().reset();
  expect(acts().view()).toEqual(idle);
  const again = acts().cancel();
  expect(acts().view()).toEqual({ act: "cancel", state: "pending", error: null });
  acts().reset();
  expect(acts().view().state).toBe("pending");
  transport.request.refuse();
  expect(await again).toBe(false);
  expect(acts().view()).toMatchObject({ act: "cancel", state: "failed" });
});

test("an act that the reader may not do leaves the book on the page", async () => {
  await live();
  const cancelled = acts().cancel();
  transport.request.refuse(new BinderyError("denied", "permission denied"));
  expect(await cancelled).toBe(false);
  expect(view()).toMatchObject({ connection: "live", error: null, book: { revision: 5 } });
  transport.subscription.message(broadcast({ revision: 6 }));
  expect(view().book?.revision).toBe(6);
});

test.each<[string, () => unknown, object]>([
  ["rejects", () => Promise.reject(new Error("no network")), { message: "no network" }],
  [
    "throws",
    () => {
      throw new Error("no server");
    },
    { message: "no server" },
  ],
  [
    "resolves to a Response with HTTP 403",
    async () => Response.json({ code: "42501", message: "not yours" }, { status: 403 }),
    { kind: "denied", message: "not yours" },
  ],
  [
    "resolves to a Response with HTTP 500 that is not JSON",
    async () => new Response("<p>oh", { status: 500 }),
    { kind: "unreachable", message: "HTTP 500" },
  ],
])("a function of the application fails if it %s", async (_, perform, error) => {
  acts().watch(() => undefined);
  expect(await acts().resume({}, perform)).toBe(false);
  expect(acts().view()).toMatchObject({ act: "resume", state: "failed", error });
  expect(transport.requests.length).toBe(0);
});

test("a function of the application is called in place of the transport", async () => {
  const perform = vi.fn(async () => new Response(null, { status: 204 }));
  expect(await acts().cancel({ message: "twice" }, perform)).toBe(true);
  expect(perform).toHaveBeenCalledExactlyOnceWith(id(1), { message: "twice" });
  expect(transport.requests.length).toBe(0);
});

test("a transport that cannot resume books is an error with a hint", async () => {
  Object.assign(transport, { resumeBook: undefined });
  acts().watch(() => undefined);
  expect(await acts().resume()).toBe(false);
  expect(acts().view().error).toMatchObject({
    kind: "refused",
    message: "This transport cannot resume books.",
    hint: "Pass a function that does it: useResumeBook(bookId, { resume }).",
  });
});

test("an id that is not a UUID fails without a request", async () => {
  const watched = bookActs(bindery, "seven");
  watched.watch(() => undefined);
  expect(await watched.resume()).toBe(false);
  expect(watched.view().error?.kind).toBe("invalid");
  expect(transport.requests.length).toBe(0);
});

test("a failure that has no watcher any more is forgotten", async () => {
  const stop = acts().watch(() => undefined);
  const failed = acts().resume();
  transport.request.refuse();
  await failed;
  stop();
  expect(acts().view()).toEqual(idle);
});
