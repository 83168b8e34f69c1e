import { beforeEach, expect, test, vi } from "vitest";
import { BinderyError } from "../src/errors.js";
import { bookTimeline } from "../src/pages/pages-of-books.js";
import { idleTimeline } from "../src/pages/timeline.js";
import { at, broadcast, id, status } from "./support/books.js";
import { around, bindery, transport, useClient } from "./support/client.js";
import { bookId, event, pageRequests, Server } from "./support/pages.js";

useClient();

let server: Server;

beforeEach(() => {
  server = new Server();
  server.events = [9, 8, 6, 4, 3, 2, 1].map((revision) => event(revision));
  server.status = status({ revision: 9 });
  transport.answers = server.answer;
});

const timeline = (limit = 3) => bookTimeline(bindery, bookId, { limit });
const revisions = (limit = 3) =>
  timeline(limit)
    .view()
    .events.map(({ revision }) => revision);
const sent = () => pageRequests(transport.requests);

/** Watches the first page of a book that is subscribed. */
async function watched(limit = 3) {
  const listener = vi.fn();
  const stop = timeline(limit).watch(listener);
  await around.pass(0);
  transport.subscription.subscribed();
  await around.pass(2_000);
  return { listener, stop };
}

test("the first page is read after the book, and older events by loadMore", async () => {
  const { listener } = await watched();
  expect(timeline().view()).toMatchObject({ hasMore: true, loading: false, connection: "live" });
  expect(revisions()).toEqual([9, 8, 6]);
  timeline().loadMore();
  expect(timeline().view().loadingMore).toBe(true);
  timeline().loadMore();
  await around.pass(0);
  expect(revisions()).toEqual([9, 8, 6, 4, 3, 2]);
  timeline().loadMore();
  await around.pass(0);
  expect(revisions()).toEqual([9, 8, 6, 4, 3, 2, 1]);
  expect(timeline().view()).toMatchObject({ hasMore: false, loadingMore: false });
  timeline().loadMore();
  await around.pass(2_000);
  expect(sent()).toEqual([
    { before: null, limit: 3 },
    { before: 6, limit: 3 },
    { before: 2, limit: 3 },
  ]);
  expect(listener).toHaveBeenLastCalledWith(timeline().view());
});

test("a change of status reads the new events and keeps the loaded ones", async () => {
  await watched();
  timeline().loadMore();
  await around.pass(0);
  const known = timeline().view().events;
  server.events.unshift(event(12, { kind: "fail", to_status: "FAILED", data: { code: "x" } }));
  transport.subscription.message(broadcast({ revision: 12, status: "FAILED" }));
  await around.pass(2_000);
  expect(revisions()).toEqual([12, 9, 8, 6, 4, 3, 2]);
  expect(timeline().view().events.slice(3)).toEqual(known.slice(2));
  expect(timeline().view().hasMore).toBe(true);
  expect(sent().at(-1)).toEqual({ before: null, limit: 6 });
});

test("progress within a stage causes no request", async () => {
  await watched();
  const before = sent().length;
  for (let n = 10; n < 30; n++) {
    transport.subscription.message(broadcast({ revision: n, overall_progress: n }));
    await around.pass(100);
  }
  expect(sent().length).toBe(before);
});

test("a resume that begins and fails again between two messages is found", async () => {
  server.status = status({ revision: 9, status: "FAILED", current_stage: "ANALYZING" });
  await watched();
  server.events.unshift(event(11, { attempt: 2 }), event(10, { attempt: 2 }));
  const again = { status: "FAILED", current_stage: "ANALYZING", attempt: 2 };
  transport.subscription.message(broadcast({ ...again, revision: 11 }));
  await around.pass(2_000);
  expect(revisions()).toEqual([11, 10, 9, 8, 6]);
});

test("after more new events than a page holds the list begins anew, without a gap", async () => {
  await watched();
  server.events.unshift(...[20, 19, 18, 17, 16, 15].map((revision) => event(revision)));
  transport.subscription.message(broadcast({ revision: 20, attempt: 5 }));
  await around.pass(2_000);
  expect(revisions()).toEqual([20, 19, 18]);
  expect(timeline().view().hasMore).toBe(true);
  timeline().loadMore();
  await around.pass(0);
  expect(revisions()).toEqual([20, 19, 18, 17, 16, 15]);
});

test("a failed request is repeated, and its error shown until one succeeds", async () => {
  transport.answers = null;
  timeline().watch(() => undefined);
  transport.request.answer(status({ revision: 9 }));
  await around.pass(0);
  const request = transport.requests.find(({ target }) => typeof target !== "string");
  request?.refuse(new BinderyError("unreachable", "no"));
  await around.pass(0);
  expect(timeline().view()).toMatchObject({ loading: false, error: { message: "no" } });
  transport.answers = server.answer;
  await around.pass(1_000);
  expect(timeline().view().error).toBe(null);
  expect(revisions()).toEqual([9, 8, 6]);
});

test("the history of a book that is not readable any more is not shown", async () => {
  await watched();
  transport.answers = null;
  void bindery.refetchBook(bookId);
  transport.request.refuse(new BinderyError("gone", "no such book"));
  await around.pass(0);
  expect(timeline().view()).toMatchObject({
    events: [],
    hasMore: false,
    loading: false,
    error: { kind: "gone" },
  });
});

test("another book under the same id has its own history", async () => {
  await watched();
  server.status = status({ revision: 1, created_at: at(50) });
  server.events = [event(1, { kind: "register" })];
  await bindery.refetchBook(bookId);
  await around.pass(2_000);
  expect(revisions()).toEqual([1]);
});

test("an answer that is not a timeline is an error of the kind bad_answer", async () => {
  transport.answers = (target) =>
    typeof target === "string" ? status() : { items: [{ revision: "x" }], next: null };
  timeline().watch(() => undefined);
  await around.pass(0);
  expect(timeline().view().error).toMatchObject({ kind: "bad_answer" });
});

test("watchers of the same pages share them, and the last one ends all", async () => {
  const { stop } = await watched();
  const stopOther = bookTimeline(bindery, bookId.toUpperCase(), { limit: 3 }).watch(
    () => undefined,
  );
  await around.pass(0);
  expect(sent().length).toBe(1);
  stop();
  stop();
  await around.pass(5_000);
  expect(revisions()).toEqual([9, 8, 6]);
  stopOther();
  await around.pass(5_000);
  expect(timeline().view()).toBe(idleTimeline);
  expect(transport.subscription.closed).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});

test("a list that ends during a request ignores its answer", async () => {
  const listener = vi.fn();
  const stop = timeline().watch(listener);
  await around.pass(0);
  transport.answers = null;
  const refetched = timeline().refetch();
  const { signal, answer } = transport.request;
  stop();
  await around.pass(2_000);
  expect(signal.aborted).toBe(true);
  listener.mockClear();
  answer({ items: [event(99)], next: null });
  await refetched;
  expect(listener).not.toHaveBeenCalled();
});

test("an id that is not a UUID is an error in the view", async () => {
  const listener = vi.fn();
  bookTimeline(bindery, "seven").watch(listener);
  expect(listener).not.toHaveBeenCalled();
  await around.pass(0);
  expect(listener).toHaveBeenCalledWith(bookTimeline(bindery, "seven").view());
  expect(bookTimeline(bindery, "seven").view()).toMatchObject({
    events: [],
    error: { kind: "invalid" },
  });
  expect(transport.requests.length).toBe(0);
});

test("a transport without timelines is an error in the view", async () => {
  Object.assign(transport, { fetchTimeline: undefined });
  bookTimeline(bindery, id(1)).watch(() => undefined);
  await around.pass(0);
  expect(bookTimeline(bindery, id(1)).view().error).toMatchObject({ kind: "refused" });
});
