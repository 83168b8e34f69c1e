// A UUID in another form is the same id: in the client, in each transport's requests, topics and
// filters, and in what servers send.
import { createClient } from "@supabase/supabase-js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { createBindery, type Bindery } from "../src/bindery.js";
import type { Topic, Transport } from "../src/transport.js";
import { sseTransport } from "../src/transports/sse.js";
import { supabaseTransport } from "../src/transports/supabase.js";
import { uuidOf } from "../src/uuid.js";
import { at, broadcast, row, status } from "./support/books.js";
import { SseServer } from "./support/sse-server.js";
import { SupabaseServer } from "./support/supabase-server.js";
import { until } from "./support/until.js";

const book = "6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b";
const owner = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
const forms: [string, (id: string) => string][] = [
  ["upper case", (id) => id.toUpperCase()],
  ["braces", (id) => `{${id}}`],
  ["no hyphens", (id) => id.replaceAll("-", "")],
  ["upper case in braces without hyphens", (id) => `{${id.replaceAll("-", "").toUpperCase()}}`],
];
const ids = { book_id: book, owner_id: owner };
const signal = new AbortController().signal;
const listener = () => ({
  subscribed: vi.fn(),
  message: vi.fn(),
  deleted: vi.fn(),
  doubt: vi.fn(),
  ended: vi.fn(),
});

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

test("a UUID has one form, however it is written", () => {
  for (const [, form] of forms) expect(uuidOf(form(book))).toBe(book);
});

/** Watches a book and a list of its owner under other forms of their ids. */
async function watched(transport: Transport, form: (id: string) => string) {
  const bindery: Bindery = createBindery(transport);
  endings.push(() => bindery.close());
  const filter = { ownerId: form(owner) };
  bindery.watchBook(form(book), () => undefined);
  bindery.watchBooks(filter, () => undefined);
  const view = () => bindery.bookView(form(book));
  const list = () => bindery.booksView(filter);
  await until(() => expect([view().connection, list().connection]).toEqual(["live", "live"]));
  return { view, list };
}

const isAt = (revision: number) => ({ book_id: book, owner_id: owner, revision });

describe("over server-sent events", () => {
  let server: SseServer;
  let base: string;

  beforeEach(async () => {
    server = new SseServer();
    base = await server.start();
    endings.push(() => server.stop());
  });

  test.each(forms)("a book and a list in %s are live", async (_, form) => {
    server.answer = (url) =>
      url.startsWith("/api/books?") ? [200, { books: [row(ids)], total: 1 }] : [200, status(ids)];
    const { view, list } = await watched(sseTransport(base), form);
    expect(server.requests.every(({ url }) => !url.includes(encodeURIComponent(form(book))))).toBe(
      true,
    );
    server.send("book_status", broadcast({ ...ids, revision: 6 }), 6);
    await until(() => expect(view().book).toMatchObject(isAt(6)));
    await until(() => expect(list().books).toMatchObject([isAt(6)]));
    const sent = { book_id: form(book), owner_id: form(owner) };
    server.send("book_status", broadcast({ ...sent, revision: 7, heartbeat_at: at(1) }), 7);
    await until(() => expect(view().book).toMatchObject(isAt(7)));
    await until(() => expect(list().books).toMatchObject([isAt(7)]));
    server.send("book_gone", { book_id: form(book) });
    await until(() => expect(list().books).toEqual([]));
  });

  test.each(forms)("the transport alone takes ids in %s", async (_, form) => {
    server.answer = () => [200, { books: [] }];
    const transport = sseTransport(base);
    await transport.fetchBook(form(book), signal);
    const query = { statuses: null, pipeline: null, sort: "created_at", descending: true } as const;
    await transport.fetchBooks({ ...query, ownerId: form(owner), limit: 9 }, signal);
    const topics: Topic[] = [
      { kind: "book", bookId: form(book), ownerId: form(owner) },
      { kind: "books", ownerId: form(owner) },
    ];
    for (const topic of topics) endings.push(transport.open(topic, null, listener()));
    await until(() => expect(server.requests.length).toBe(4));
    expect(server.requests.map(({ url }) => url).sort()).toEqual([
      `/api/books/${book}/events`,
      `/api/books/${book}/status`,
      `/api/books?fields=row&owner_id=${owner}&sort=created_at&order=desc&limit=9&total=true`,
      `/api/events?owner_id=${owner}`,
    ]);
  });
});

describe("over Supabase", () => {
  let server: SupabaseServer;
  let url: string;

  beforeEach(async () => {
    server = new SupabaseServer();
    url = await server.start();
    server.books.set(book, status(ids));
    endings.push(() => server.stop());
  });

  function connect() {
    const transport = WebSocket as unknown as typeof globalThis.WebSocket;
    const client = createClient(url, "key", { realtime: { transport } });
    endings.push(() => client.removeAllChannels());
    return client;
  }

  test.each(forms)("a book and a list in %s are live", async (_, form) => {
    const { view, list } = await watched(supabaseTransport(connect()), form);
    const topics = [`book:${book}:${owner}`, `owner:${owner}`];
    expect(server.topics.sort()).toEqual(topics);
    for (const topic of topics)
      server.broadcast(topic, "book_status", broadcast({ ...ids, revision: 6 }));
    await until(() => expect(view().book).toMatchObject(isAt(6)));
    await until(() => expect(list().books).toMatchObject([isAt(6)]));
    const sent = { book_id: form(book), owner_id: form(owner) };
    for (const topic of topics)
      server.broadcast(topic, "book_status", broadcast({ ...sent, revision: 7 }));
    await until(() => expect(view().book).toMatchObject(isAt(7)));
    await until(() => expect(list().books).toMatchObject([isAt(7)]));
  });

  test.each(forms)("the transport alone joins the topics of ids in %s", async (_, form) => {
    const transport = supabaseTransport(connect());
    const topics: Topic[] = [
      { kind: "book", bookId: form(book), ownerId: form(owner) },
      { kind: "books", ownerId: form(owner) },
    ];
    for (const topic of topics) endings.push(transport.open(topic, null, listener()));
    await until(() => expect(server.wanted.length).toBe(2));
    expect(server.wanted.sort()).toEqual([`book:${book}:${owner}`, `owner:${owner}`]);
    expect(await transport.fetchBook(form(book), signal)).toMatchObject(isAt(5));
  });

  test.each(forms)("Postgres Changes are filtered by the UUID of %s", async (_, form) => {
    const transport = supabaseTransport(connect(), { via: "changes" });
    const topic = { kind: "book", bookId: form(book), ownerId: form(owner) } as const;
    endings.push(transport.open(topic, null, listener()));
    await until(() => expect(server.joins.length).toBe(1));
    expect(server.joins[0]?.payload.config?.postgres_changes).toMatchObject([
      { filter: `book_id=eq.${book}` },
    ]);
  });
});
