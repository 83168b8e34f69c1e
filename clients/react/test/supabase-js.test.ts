// The transport through the real supabase-js, against a stand-in of the server.
import { createClient, type RealtimeClientOptions } from "@supabase/supabase-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { createBindery, type Bindery } from "../src/bindery.js";
import type { Timing } from "../src/subject.js";
import { supabaseTransport, type SupabaseOptions } from "../src/transports/supabase.js";
import { broadcast, id, owner, row, status } from "./support/books.js";
import { SupabaseServer } from "./support/supabase-server.js";
import { until } from "./support/until.js";

let server: SupabaseServer;
let bindery: Bindery;
let url: string;
let token: string;
const topicOf = (n: number, of = owner) => `book:${id(n)}:${of}`;
const topic = topicOf(1);
const view = (n = 1) => bindery.bookView(id(n));

beforeEach(async () => {
  server = new SupabaseServer();
  server.book = status();
  url = await server.start();
  token = "token-1";
});

afterEach(async () => {
  await bindery.close();
  await server.stop();
});

function connect(
  options?: SupabaseOptions,
  timing: Partial<Timing> = {},
  realtime: RealtimeClientOptions = {},
) {
  const transport = WebSocket as unknown as typeof globalThis.WebSocket;
  const client = createClient(url, "publishable", {
    accessToken: async () => token,
    realtime: { transport, ...realtime },
  });
  bindery = createBindery(supabaseTransport(client, options), {
    timing: { gap: 20, linger: 20, ...timing },
  });
  return client;
}

function watch(options?: SupabaseOptions, timing?: Partial<Timing>) {
  connect(options, timing);
  return bindery.watchBook(id(1), () => undefined);
}

/** Watches books 1 to `count`, which the server knows. */
function watchMany(count: number) {
  for (let n = 1; n <= count; n++) server.books.set(id(n), status({ book_id: id(n) }));
  for (let n = 1; n <= count; n++) bindery.watchBook(id(n), () => undefined);
}

async function live(n = 1) {
  await until(() => expect(view(n)).toMatchObject({ connection: "live", book: { revision: 5 } }));
}

/** After the first request, that for the subscription, and that for the system message. */
const quiet = () => until(() => expect(server.asked).toBeGreaterThanOrEqual(3));

test("joins the book's private topic with the token, and shows what is broadcast", async () => {
  watch();
  await live();
  expect(server.joins).toMatchObject([
    { topic: `realtime:${topic}`, payload: { access_token: "token-1", config: { private: true } } },
  ]);
  expect(server.tokens[0]).toBe("Bearer token-1");
  server.broadcast(topic, "book_status", broadcast({ revision: 6, overall_progress: 9 }));
  await until(() => expect(view().book).toMatchObject({ revision: 6, overall_progress: 9 }));
  server.broadcast(topic, "another_event", row({ revision: 7 }));
  server.broadcast(topic, "book_status", {
    book_id: id(1),
    revision: 7,
    message: "more",
    partial: true,
  });
  server.book = status({ revision: 7, message: "more", title: "Left out of the message" });
  await until(() =>
    expect(view().book).toMatchObject({ revision: 7, title: "Left out of the message" }),
  );
});

test("requests again after the system message that announces changes", async () => {
  watch();
  await live();
  server.book = status({ revision: 6 });
  server.system(topic, "ok", "Replication connection established");
  await until(() => expect(view().book?.revision).toBe(6));
});

test("a reader whom an owner's topics do not admit is polled, after one refused join for all of them", async () => {
  server.hold = 200;
  server.admits = () => false;
  connect();
  watchMany(8);
  await until(() =>
    expect(view(8)).toMatchObject({ connection: "polling", book: { revision: 5 } }),
  );
  await until(() => expect(view(1).connection).toBe("polling"));
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(server.joins).toHaveLength(1);
});

test("a book that may not be read is never joined, and the others stay live beside it", async () => {
  server.admits = (name) => name !== topicOf(2);
  connect();
  watchMany(1);
  server.books.set(id(2), null);
  bindery.watchBook(id(2), () => undefined);
  await live(1);
  await until(() =>
    expect(view(2)).toMatchObject({ connection: "polling", error: { kind: "gone" } }),
  );
  for (let revision = 6; revision <= 25; revision++) {
    const sent = Date.now();
    server.broadcast(topic, "book_status", broadcast({ revision }));
    await until(() => expect(view(1).book?.revision).toBe(revision));
    expect(Date.now() - sent).toBeLessThan(2_000);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  expect(server.wanted).toEqual([topic]);
});

test("a book that becomes readable is joined when a question about it succeeds", async () => {
  server.books.set(id(1), null);
  watch();
  await until(() => expect(view().error).toMatchObject({ kind: "gone" }));
  expect(server.joins).toEqual([]);
  server.books.set(id(1), status());
  await live();
  expect(server.wanted).toEqual([topic]);
});

test("a transferred book falls silent for its former owner, and is gone after one question", async () => {
  watch();
  await live();
  await quiet();
  server.books.set(id(1), null);
  server.admits = () => false;
  const asked = server.asked;
  server.broadcast(topic, "gone", { book_id: id(1), revision: 6, gone: true });
  await until(() =>
    expect(view()).toMatchObject({ book: null, connection: "polling", error: { kind: "gone" } }),
  );
  expect(server.asked).toBe(asked + 1);
  await until(() => expect(server.topics).toEqual([]));
  expect(server.joins).toHaveLength(1);
});

test("a reader of both owners' books follows a transferred book to its new topic", async () => {
  watch();
  await live();
  await quiet();
  server.book = status({ owner_id: id(998), revision: 6 });
  server.broadcast(topic, "gone", { book_id: id(1), revision: 6, gone: true });
  await until(() => expect(server.topics).toEqual([topicOf(1, id(998))]));
  await until(() =>
    expect(view()).toMatchObject({ connection: "live", book: { owner_id: id(998) } }),
  );
});

test("a book without an owner has a topic without one", async () => {
  server.book = status({ owner_id: null });
  watch();
  await live();
  expect(server.topics).toEqual([`book:${id(1)}`]);
});

test("a deleted book leaves a list at once", async () => {
  connect();
  for (const n of [1, 2]) server.books.set(id(n), status({ book_id: id(n) }));
  const list = () => bindery.booksView({ ownerId: owner });
  bindery.watchBooks({ ownerId: owner.toUpperCase() }, () => undefined);
  await until(() => expect(list()).toMatchObject({ connection: "live", books: [{}, {}] }));
  expect(server.wanted).toEqual([`owner:${owner}`]);
  await quiet();
  server.books.delete(id(2));
  server.broadcast(`owner:${owner}`, "gone", { book_id: id(2), revision: 6, gone: true });
  await until(() => expect(list()).toMatchObject({ total: 1, books: [{ book_id: id(1) }] }));
});

test("120 watched books hold at most 50 channels, and those beyond follow their owner's topic", async () => {
  connect();
  watchMany(120);
  await until(() => {
    for (let n = 1; n <= 120; n++) expect(view(n).connection).toBe("live");
  });
  expect(server.topics).toHaveLength(46);
  expect(server.topics).toContain(`owner:${owner}`);
  server.broadcast(
    `owner:${owner}`,
    "book_status",
    broadcast({ book_id: id(120), revision: 6, message: "far" }),
  );
  await until(() => expect(view(120).book?.message).toBe("far"));
  expect(view(119).book?.revision).toBe(5);
});

test("a server that has no room for more channels is polled, and no channel that it has is lost", async () => {
  server.channels = 3;
  connect();
  watchMany(6);
  const connections = () => [1, 2, 3, 4, 5, 6].map((n) => view(n).connection).sort();
  await until(() =>
    expect(connections()).toEqual(["live", "live", "live", "polling", "polling", "polling"]),
  );
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  expect(server.joins).toHaveLength(6);
  expect(server.handshakes).toBe(1);
});

test("while Realtime drops messages the view is delayed, changes come by asking, and messages make it live again", async () => {
  watch({}, { audit: 3_000, poll: 200 });
  await live();
  await quiet();
  server.messages = 0;
  server.book = status({ revision: 9 });
  server.broadcast(topic, "book_status", broadcast({ revision: 9 }));
  await until(() => expect(view()).toMatchObject({ connection: "delayed", book: { revision: 9 } }));
  server.book = status({ revision: 12 });
  await until(() => expect(view().book?.revision).toBe(12));
  expect(view().connection).toBe("delayed");
  server.messages = 10;
  server.broadcast(topic, "book_status", broadcast({ revision: 13 }));
  await until(() => expect(view()).toMatchObject({ connection: "live", book: { revision: 13 } }));
});

test("rights are looked at with a new token, and a topic that it does not admit is left", async () => {
  server.admits = (_, given) => given === "token-1";
  server.hold = 100;
  const client = connect();
  bindery.watchBook(id(1), () => undefined);
  await live();
  token = "token-2";
  server.book = status({ revision: 6 });
  await client.realtime.setAuth();
  await until(() => expect(view()).toMatchObject({ connection: "polling", book: { revision: 6 } }));
  expect(server.topics).toEqual([]);
});

// The platform's own WebSocket, if any: that of Node 22 never leaves "connecting" after a failed
// handshake.
const sockets = [
  ["ws", WebSocket] as const,
  ["the platform's WebSocket", globalThis.WebSocket] as const,
];

describe.each(sockets.filter(([, socket]) => socket !== undefined))("with %s", (_, socket) => {
  test.each(["ignore", "refuse"] as const)(
    "a first handshake that the server does %s is made good",
    async (by) => {
      server.onHandshake = by;
      connect(
        {},
        {},
        { timeout: 300, transport: socket as unknown as typeof globalThis.WebSocket },
      );
      watchMany(2);
      await until(() => expect(server.handshakes).toBeGreaterThan(0));
      server.onHandshake = "accept";
      await live(1);
      await live(2);
    },
  );
});

test("a channel that is closed for its old token is joined again with the new one", async () => {
  watch();
  await live();
  token = "token-2";
  server.system(topic, "error", "Token has expired");
  server.close(topic);
  await until(() => expect(server.joins.length).toBe(2));
  expect(server.joins[1]?.payload.access_token).toBe("token-2");
  await live();
  expect(server.topics).toEqual([topic]);
});

test("a book whose owner changes while it is shown is taken away", async () => {
  watch();
  await live();
  server.admits = () => false;
  server.httpStatus = 404;
  server.book = {
    code: "PT404",
    message: "There is no such book",
    details: '{"code": "unknown_book"}',
    hint: null,
  };
  server.close(topic);
  await until(() =>
    expect(view()).toMatchObject({ book: null, error: { kind: "gone", code: "unknown_book" } }),
  );
  expect(view().connection).not.toBe("live");
});

test("after a lost network it joins again, once, and shows what it missed", async () => {
  watch();
  await live();
  server.book = status({ revision: 30 });
  server.drop();
  await until(() => expect(server.joins.length).toBe(2));
  await until(() => expect(view()).toMatchObject({ connection: "live", book: { revision: 30 } }));
  expect(server.topics).toEqual([topic]);
  server.broadcast(topic, "book_status", broadcast({ revision: 31 }));
  await until(() => expect(view().book?.revision).toBe(31));
});

test("leaves without watchers, and joins again for the next one", async () => {
  const stop = watch();
  await live();
  stop();
  await until(() => expect(server.topics).toEqual([]));
  bindery.watchBook(id(1), () => undefined);
  bindery.watchBook(id(1), () => undefined);
  await live();
  expect(server.topics).toEqual([topic]);
});

test("Postgres Changes arrive, without the columns that did not change", async () => {
  watch({ via: "changes" });
  await live();
  const change = {
    event: "*",
    schema: "bindery",
    table: "book_status",
    filter: `book_id=eq.${id(1)}`,
  };
  expect(server.joins[0]?.payload.config?.postgres_changes).toMatchObject([change]);
  const record = row({ revision: 6, overall_progress: 9, error: null });
  const columns = Object.keys(record).map((name) => ({ name, type: types[name] ?? "text" }));
  const about = {
    schema: "bindery",
    table: "book_status",
    commit_timestamp: "2026-11-23T12:00:00Z",
    errors: null,
  };
  server.change(`bindery:${topic}`, {
    ...about,
    type: "UPDATE",
    record,
    old_record: { book_id: id(1) },
    columns,
  });
  await until(() =>
    expect(view().book).toMatchObject({
      revision: 6,
      overall_progress: 9,
      substeps: status().substeps,
    }),
  );
});

/** The columns' types as Realtime names them; supabase-js reads values by them. */
const types: Record<string, string> = {
  book_id: "uuid",
  owner_id: "uuid",
  pipeline_version: "int4",
  overall_progress: "float8",
  stage_progress: "float8",
  error: "jsonb",
  attempt: "int4",
  revision: "int8",
  metadata: "jsonb",
  heartbeat_at: "timestamptz",
};
