// The transport through the real supabase-js, against a stand-in of the server.
import { createClient } from "@supabase/supabase-js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { createBindery, type Bindery } from "../src/bindery.js";
import { supabaseTransport, type SupabaseOptions } from "../src/transports/supabase.js";
import { broadcast, id, row, status } from "./support/books.js";
import { SupabaseServer } from "./support/supabase-server.js";
import { until } from "./support/until.js";

let server: SupabaseServer;
let bindery: Bindery;
let url: string;
let token: string;
const topic = `book:${id(1)}`;
const view = () => bindery.bookView(id(1));

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

function watch(options?: SupabaseOptions) {
  const realtime = { transport: WebSocket as unknown as typeof globalThis.WebSocket };
  const client = createClient(url, "publishable", { accessToken: async () => token, realtime });
  bindery = createBindery(supabaseTransport(client, options), { timing: { gap: 20, linger: 20 } });
  return bindery.watchBook(id(1), () => undefined);
}

async function live() {
  await until(() => expect(view()).toMatchObject({ connection: "live", book: { revision: 5 } }));
}

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
  server.broadcast(topic, "book_status", { book_id: id(1), revision: 7, message: "more", partial: true });
  server.book = status({ revision: 7, message: "more", title: "Left out of the message" });
  await until(() => expect(view().book).toMatchObject({ revision: 7, title: "Left out of the message" }));
});

test("asks again when the system message says that changes arrive from now on", async () => {
  watch();
  await live();
  server.book = status({ revision: 6 });
  server.system(topic, "ok", "Replication connection established");
  await until(() => expect(view().book?.revision).toBe(6));
});

test("polls while it is not let in, and joins when it is", async () => {
  server.admits = () => false;
  watch();
  await until(() => expect(view()).toMatchObject({ connection: "polling", book: { revision: 5 } }));
  server.admits = () => true;
  await until(() => expect(view().connection).toBe("live"));
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
  expect(server.topics).toEqual([`realtime:${topic}`]);
});

test("a book whose owner changes while it is shown is taken away", async () => {
  watch();
  await live();
  server.admits = () => false;
  server.httpStatus = 404;
  server.book = { code: "PT404", message: "There is no such book", details: '{"code": "unknown_book"}', hint: null };
  server.close(topic);
  await until(() => expect(view()).toMatchObject({ book: null, error: { kind: "gone", code: "unknown_book" } }));
  expect(view().connection).not.toBe("live");
});

test("after a lost network it joins again, once, and shows what it missed", async () => {
  watch();
  await live();
  server.book = status({ revision: 30 });
  server.drop();
  await until(() => expect(server.joins.length).toBe(2));
  await until(() => expect(view()).toMatchObject({ connection: "live", book: { revision: 30 } }));
  expect(server.topics).toEqual([`realtime:${topic}`]);
  server.broadcast(topic, "book_status", broadcast({ revision: 31 }));
  await until(() => expect(view().book?.revision).toBe(31));
});

test("leaves when nobody watches, and joins again for the next one", async () => {
  const stop = watch();
  await live();
  stop();
  await until(() => expect(server.topics).toEqual([]));
  bindery.watchBook(id(1), () => undefined);
  bindery.watchBook(id(1), () => undefined);
  await live();
  expect(server.topics).toEqual([`realtime:${topic}`]);
});

test("Postgres Changes arrive, without the columns that did not change", async () => {
  watch({ via: "changes" });
  await live();
  const change = { event: "*", schema: "bindery", table: "book_status", filter: `book_id=eq.${id(1)}` };
  expect(server.joins[0]?.payload.config?.postgres_changes).toMatchObject([change]);
  const record = row({ revision: 6, overall_progress: 9, error: null });
  const columns = Object.keys(record).map((name) => ({ name, type: types[name] ?? "text" }));
  const about = { schema: "bindery", table: "book_status", commit_timestamp: "2026-11-23T12:00:00Z", errors: null };
  server.change(`bindery:${topic}`, { ...about, type: "UPDATE", record, old_record: { book_id: id(1) }, columns });
  await until(() =>
    expect(view().book).toMatchObject({ revision: 6, overall_progress: 9, substeps: status().substeps }),
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
