// Timeline, substeps, resume and cancel: the requests of both transports, over real sockets, and
// the errors in their answers.
import { createClient } from "@supabase/supabase-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { bookActs } from "../src/acts.js";
import { createBookClient } from "../src/bindery.js";
import { listsOf } from "../src/lists.js";
import type { Transport } from "../src/transport.js";
import { sseBookTransport } from "../src/transports/sse-book.js";
import { sseTransport } from "../src/transports/sse.js";
import { supabaseTransport } from "../src/transports/supabase.js";
import { id, status } from "./support/books.js";
import { SseServer } from "./support/sse-server.js";

let server: SseServer;
let base: string;
const { signal } = new AbortController();

beforeEach(async () => {
  server = new SseServer();
  base = await server.start();
});

afterEach(() => server.stop());

const sse = () => sseTransport(base, { token: () => "token" });
const supabase = () => {
  const transport = WebSocket as unknown as typeof globalThis.WebSocket;
  return supabaseTransport(createClient(base, "key", { realtime: { transport } }));
};
const sent = () => server.requests.map(({ method, url }) => [method, url]);
const body = () => JSON.parse(server.requests.at(-1)?.body ?? "") as unknown;
const events = [9, 7, 4].map((revision) => ({ revision }));
const substeps = ["a", "b", "c"].map((substep) => ({ substep }));

describe("the timeline", () => {
  test("is read from the daemon, a page at a time", async () => {
    server.answer = () => [200, { book_id: id(1), events, next: 4 }];
    const page = await sse().fetchTimeline?.(id(1), { before: null, limit: 3 }, signal);
    expect(page).toEqual({ items: events, next: 4 });
    server.answer = () => [200, { book_id: id(1), events: [], next: null }];
    const last = await sse().fetchTimeline?.(id(1), { before: 4, limit: 3 }, signal);
    expect(last).toEqual({ items: [], next: null });
    expect(sent()).toEqual([
      ["GET", `/api/books/${id(1)}/timeline?limit=3`],
      ["GET", `/api/books/${id(1)}/timeline?before=4&limit=3`],
    ]);
  });

  test("is read from PostgREST with one event more than a page, which shows the next page", async () => {
    server.answer = () => [200, events];
    const page = await supabase().fetchTimeline?.(id(1), { before: 10, limit: 2 }, signal);
    expect(page).toEqual({ items: events.slice(0, 2), next: 7 });
    const last = await supabase().fetchTimeline?.(id(1), { before: null, limit: 3 }, signal);
    expect(last).toEqual({ items: events, next: null });
    const select = `/rest/v1/book_events?select=*&book_id=eq.${id(1)}`;
    expect(sent()).toEqual([
      ["GET", `${select}&revision=lt.10&order=revision.desc&limit=3`],
      ["GET", `${select}&order=revision.desc&limit=4`],
    ]);
    expect(server.requests[0]?.headers["accept-profile"]).toBe("bindery");
  });
});

describe("substeps", () => {
  test("are read from the daemon, a page at a time", async () => {
    server.answer = () => [200, { substeps, next: "c" }];
    const query = { stage: "ANALYZING", after: "a b", limit: 3 };
    const page = await sse().fetchSubsteps?.(id(1), query, signal);
    expect(page).toEqual({ items: substeps, next: "c" });
    await sse().fetchSubsteps?.(id(1), { stage: null, after: null, limit: 9 }, signal);
    expect(sent()).toEqual([
      ["GET", `/api/books/${id(1)}/substeps?stage=ANALYZING&after=a+b&limit=3`],
      ["GET", `/api/books/${id(1)}/substeps?limit=9`],
    ]);
  });

  test("are read from PostgREST with one more than a page, which shows the next page", async () => {
    server.answer = () => [200, substeps];
    const query = { stage: "ANALYZING", after: "Z", limit: 2 };
    const page = await supabase().fetchSubsteps?.(id(1), query, signal);
    expect(page).toEqual({ items: substeps.slice(0, 2), next: "b" });
    await supabase().fetchSubsteps?.(id(1), { stage: null, after: null, limit: 9 }, signal);
    const called = `/rest/v1/rpc/list_substeps?book_id=${id(1)}`;
    expect(sent()).toEqual([
      ["GET", `${called}&stage=ANALYZING&after=Z&max_substeps=3`],
      ["GET", `${called}&max_substeps=10`],
    ]);
  });
});

describe("acts", () => {
  test("are requests to the daemon", async () => {
    server.answer = () => [200, {}];
    await sse().resumeBook?.(id(1), {});
    expect(body()).toEqual({});
    await sse().cancelBook?.(id(1), { message: "twice", expectedRevision: 7 });
    expect(body()).toEqual({ message: "twice", expected_revision: 7 });
    expect(sent()).toEqual([
      ["POST", `/api/books/${id(1)}/resume`],
      ["POST", `/api/books/${id(1)}/cancel`],
    ]);
    expect(server.requests[0]?.headers).toMatchObject({
      "content-type": "application/json",
      authorization: "Bearer token",
    });
  });

  test("are function calls on PostgREST", async () => {
    server.answer = () => [200, []];
    await supabase().resumeBook?.(id(1), { expectedRevision: 7 });
    expect(body()).toEqual({ book_id: id(1), expected_revision: 7 });
    await supabase().cancelBook?.(id(1), { message: "twice" });
    expect(body()).toEqual({ book_id: id(1), message: "twice", expected_revision: null });
    expect(sent()).toEqual([
      ["POST", "/rest/v1/rpc/resume_book"],
      ["POST", "/rest/v1/rpc/cancel_book"],
    ]);
  });
});

describe.each<[string, () => Transport]>([
  ["server-sent events", sse],
  ["Supabase", supabase],
])("over %s", (_, transport) => {
  test.each([
    ["denied", 403, { code: "42501", message: "no" }],
    ["refused", 409, { code: "PT409", message: "no", details: '{"code":"not_failed"}' }],
    ["gone", 404, { code: "PT404", message: "no", details: '{"code":"unknown_book"}' }],
    ["unreachable", 500, { code: "XX000", message: "no" }],
  ])("an answer is %s after HTTP %i", async (kind, httpStatus, answer) => {
    server.answer = () => [httpStatus, answer];
    const made = transport();
    const expected = { name: "BinderyError", kind, message: "no" };
    await expect(made.resumeBook?.(id(1), {})).rejects.toMatchObject(expected);
    await expect(made.cancelBook?.(id(1), {})).rejects.toMatchObject(expected);
    const timeline = made.fetchTimeline?.(id(1), { before: null, limit: 1 }, signal);
    await expect(timeline).rejects.toMatchObject(expected);
    const page = made.fetchSubsteps?.(id(1), { stage: null, after: null, limit: 1 }, signal);
    await expect(page).rejects.toMatchObject(expected);
  });
});

test("the transport for single books reads a book, and what it lacks is refused", async () => {
  const client = createBookClient(sseBookTransport(base, { token: () => "token" }));
  server.answer = () => [200, status()];
  expect(await client.fetchBook(id(1), signal)).toEqual(status());
  expect(server.requests[0]?.headers.authorization).toBe("Bearer token");
  await expect(listsOf(client).fetchBooks({}, signal)).rejects.toMatchObject({
    kind: "refused",
    message: "This transport cannot read lists of books.",
  });
  const acts = bookActs(client, id(1));
  expect(await acts.resume()).toBe(false);
  expect(sent()).toEqual([["GET", `/api/books/${id(1)}/status`]]);
  await client.close();
});
