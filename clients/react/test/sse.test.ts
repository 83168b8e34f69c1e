import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createBindery } from "../src/bindery.js";
import { eventParser } from "../src/transports/sse-parser.js";
import { sseTransport } from "../src/transports/sse.js";
import type { Topic } from "../src/transport.js";
import { id, owner, row, status } from "./support/books.js";
import { chance } from "./support/chance.js";
import { SseServer } from "./support/sse-server.js";
import { until } from "./support/until.js";

let server: SseServer;
let base: string;
const open: (() => Promise<void>)[] = [];

beforeEach(async () => {
  server = new SseServer();
  base = await server.start();
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((close) => close()));
  await server.stop();
});

function listen(
  topic: Topic,
  since: number | null = null,
  options: Parameters<typeof sseTransport>[1] = {},
) {
  const listener = {
    subscribed: vi.fn(),
    message: vi.fn(),
    deleted: vi.fn(),
    doubt: vi.fn(),
    ended: vi.fn(),
  };
  open.push(sseTransport(base, options).open(topic, since, listener));
  return listener;
}

const book: Topic = { kind: "book", bookId: id(1), ownerId: owner };

test("events of a book are received, deletions and invalid ones, too", async () => {
  const listener = listen(book);
  await until(() => expect(listener.subscribed).toHaveBeenCalledOnce());
  server.send("book_status", status(), 5);
  await until(() => expect(listener.message).toHaveBeenCalledWith(status()));
  server.send("book_gone", { book_id: id(1) });
  await until(() => expect(listener.deleted).toHaveBeenCalledWith(id(1)));
  server.send("novelty", {});
  server.streams[0]?.write("event: book_status\ndata: {half\n\n");
  await until(() => expect(listener.doubt).toHaveBeenCalledOnce());
  expect(listener.ended).not.toHaveBeenCalled();
});

test("the token of now and the last revision are sent", async () => {
  let token = 0;
  const listener = listen(book, 41, { token: async () => `token-${++token}` });
  await until(() => expect(listener.subscribed).toHaveBeenCalled());
  expect(server.requests[0]).toMatchObject({
    url: `/api/books/${id(1)}/events`,
    headers: {
      authorization: "Bearer token-1",
      "last-event-id": "41",
      accept: "text/event-stream",
    },
  });
});

test("the end of a stream is a loss, closing it is not", async () => {
  const listener = listen(book);
  await until(() => expect(listener.subscribed).toHaveBeenCalled());
  server.end();
  await until(() => expect(listener.ended).toHaveBeenCalledExactlyOnceWith("lost"));
});

test("a silent connection is a dead one", async () => {
  const listener = listen(book, null, { silence: 50 });
  await until(() => expect(listener.ended).toHaveBeenCalledWith("lost"));
});

test.each([
  ["lost", 404, { code: "PT404", details: '{"code":"unknown_book"}' }],
  ["lost", 401, { code: "PGRST301" }],
  ["lost", 503, null],
  ["unavailable", 404, null],
  ["unavailable", 501, null],
] as const)("a subscription is %s after HTTP %i with %j", async (reason, httpStatus, body) => {
  server.refusal = [httpStatus, body];
  const listener = listen(book);
  await until(() => expect(listener.ended).toHaveBeenCalledExactlyOnceWith(reason));
});

test("something else than a stream is no stream", async () => {
  server.refusal = [200, {}];
  const listener = listen({ kind: "books", ownerId: owner });
  await until(() => expect(listener.ended).toHaveBeenCalledExactlyOnceWith("unavailable"));
  expect(server.requests[0]?.url).toBe(`/api/events?owner_id=${owner}`);
});

test("a book and a list are asked for", async () => {
  const transport = sseTransport(`${base}/`);
  const { signal } = new AbortController();
  server.answer = () => [200, status()];
  expect(await transport.fetchBook(id(1), signal)).toEqual(status());
  server.answer = () => [200, { books: [row()], total: 31 }];
  const query = {
    ownerId: owner,
    statuses: ["A", "B"],
    pipeline: null,
    sort: "created_at",
    descending: true,
    limit: 20,
  } as const;
  expect(await transport.fetchBooks(query, signal)).toEqual({
    rows: [row()],
    total: 31,
    next: null,
  });
  expect(server.requests.map((request) => request.url)).toEqual([
    `/api/books/${id(1)}/status`,
    `/api/books?fields=row&owner_id=${owner}&status=A%2CB&sort=created_at&order=desc&limit=20&total=true`,
  ]);
});

test("a long list is read page by page, and an answer that is none is handed on as it is", async () => {
  const transport = sseTransport(base);
  const { signal } = new AbortController();
  const books = Array.from({ length: 450 }, (_, n) => row({ book_id: id(n + 1) }));
  server.answer = (url) => {
    const asked = new URL(url, base).searchParams;
    const from = Number(asked.get("after") ?? 0);
    const to = from + Number(asked.get("limit"));
    const total = asked.has("total") ? { total: 450 } : {};
    return [200, { books: books.slice(from, to), next: to < 450 ? String(to) : null, ...total }];
  };
  const ask = (limit: number) =>
    transport.fetchBooks(
      {
        ownerId: null,
        statuses: null,
        pipeline: null,
        sort: "updated_at",
        descending: false,
        limit,
      },
      signal,
    );
  expect(await ask(250)).toEqual({ rows: books.slice(0, 250), total: 450, next: "250" });
  expect(server.requests.map((request) => request.url)).toEqual([
    "/api/books?fields=row&sort=updated_at&order=asc&limit=200&total=true",
    "/api/books?fields=row&sort=updated_at&order=asc&limit=50&after=200",
  ]);
  expect(await ask(1000)).toEqual({ rows: books, total: 450, next: null });
  server.answer = () => [200, { nothing: true }];
  expect(await ask(10)).toEqual({ rows: { nothing: true }, total: null });
});

test("a failure has its kind and its code", async () => {
  const transport = sseTransport(base);
  const { signal } = new AbortController();
  await expect(transport.fetchBook(id(1), signal)).rejects.toMatchObject({
    kind: "gone",
    code: "unknown_book",
  });
  server.answer = () => [403, { code: "42501", message: "no" }];
  await expect(transport.fetchBook(id(1), signal)).rejects.toMatchObject({
    kind: "denied",
    message: "no",
  });
  await server.stop();
  await expect(transport.fetchBook(id(1), signal)).rejects.toMatchObject({ kind: "unreachable" });
  server = new SseServer();
  await server.start();
});

test("the client continues after the server was restarted", async () => {
  server.answer = () => [200, status()];
  const bindery = createBindery(sseTransport(base), { timing: { gap: 20 } });
  bindery.watchBook(id(1), () => undefined);
  const view = () => bindery.bookView(id(1));
  await until(() => expect(view()).toMatchObject({ connection: "live", book: { revision: 5 } }));
  await server.stop();
  await until(() =>
    expect(view()).toMatchObject({ connection: "reconnecting", error: { kind: "unreachable" } }),
  );
  server = new SseServer();
  server.answer = () => [200, status({ revision: 9 })];
  await server.start(Number(new URL(base).port));
  await until(() =>
    expect(view()).toMatchObject({ connection: "live", error: null, book: { revision: 9 } }),
  );
  server.send("book_status", status({ revision: 10, message: "again" }), 10);
  await until(() => expect(view().book?.message).toBe("again"));
  await bindery.close();
});

test("a text that no header can have is no token, and nothing is sent", async () => {
  const { signal } = new AbortController();
  for (const token of ["a.b\nc.d", "\u{1f600}"]) {
    const transport = sseTransport(base, { token: () => token });
    await expect(transport.fetchBook(id(1), signal)).rejects.toMatchObject({ kind: "signed_out" });
  }
  expect(server.requests).toEqual([]);
});

test("a stream that ends because the token is too old is opened again with the token of now", async () => {
  let token = 1;
  server.answer = () => [200, status()];
  const bindery = createBindery(sseTransport(base, { token: () => `token-${token}` }), {
    timing: { gap: 20 },
  });
  bindery.watchBook(id(1), () => undefined);
  await until(() =>
    expect(bindery.bookView(id(1))).toMatchObject({ connection: "live", book: { revision: 5 } }),
  );
  token = 2;
  server.end();
  const streams = () => server.requests.filter((request) => request.url.endsWith("/events"));
  await until(() => expect(streams().length).toBe(2));
  expect(streams()[1]?.headers).toMatchObject({
    authorization: "Bearer token-2",
    "last-event-id": "5",
  });
  await bindery.close();
});

test("events are found wherever the stream is cut, with any line ends", () => {
  const events = [
    { event: "book_status", data: '{"a": 1}' },
    { event: "message", data: "one\ntwo" },
    { event: "x", data: "" },
  ];
  for (const end of ["\n", "\r\n", "\r"]) {
    const lines = [
      ": hello",
      "",
      "id: 5",
      "event: book_status",
      'data: {"a": 1}',
      "",
      "data: one",
      "data:two",
      "",
      "event: x",
      "data",
      "",
      "event: lost",
      "",
    ];
    const stream = lines.map((line) => line + end).join("");
    for (let seed = 0; seed < 200; seed++) {
      const random = chance(seed);
      const parse = eventParser();
      const found = [];
      for (let from = 0; from < stream.length;) {
        const to = from + 1 + random.below(9);
        found.push(...parse(stream.slice(from, to)));
        from = to;
      }
      // A lone CR at the very end waits for an LF that never comes; it ends nothing here.
      expect(found).toEqual(events);
    }
  }
});

test("a page, its filters and its counts are requested", async () => {
  const transport = sseTransport(base);
  const { signal } = new AbortController();
  const query = {
    ownerId: null,
    statuses: null,
    pipeline: null,
    sort: "title",
    descending: false,
    limit: 20,
    phase: "queued",
    search: "salt & ink",
    tag: "urgent",
    counts: true,
  } as const;
  server.answer = () => [200, { books: [row()], next: null, total: 3, counts: { queued: 3 } }];
  expect(await transport.fetchBooks(query, signal, "b")).toMatchObject({
    rows: [row()],
    next: null,
  });
  expect(await transport.countBooks?.(query, signal)).toEqual({ total: 3, counts: { queued: 3 } });
  const filters = "fields=row&phase=queued&q=salt+%26+ink&tag=urgent&sort=title&order=asc";
  expect(server.requests.map((request) => request.url)).toEqual([
    `/api/books?${filters}&limit=20&after=b`,
    `/api/books?${filters}&limit=1&total=true&counts=true`,
  ]);
});
