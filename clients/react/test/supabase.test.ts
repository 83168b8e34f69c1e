// The transport against a stand-in of supabase-js that behaves as its Realtime client: the same
// channel for the same name, and no second subscription to it.
import { createClient } from "@supabase/supabase-js";
import { afterEach, expect, expectTypeOf, test, vi } from "vitest";
import { createBindery } from "../src/bindery.js";
import {
  supabaseTransport,
  type SupabaseClientLike,
  type SupabaseOptions,
} from "../src/transports/supabase.js";
import type { Topic } from "../src/transport.js";
import { at, id, owner, row, status } from "./support/books.js";
import { until } from "./support/until.js";
import { world } from "./support/world.js";

interface Answer {
  data: unknown;
  error: unknown;
  status: number;
  count: number | null;
}

class FakeChannel {
  readonly bindings: {
    type: string;
    filter: Record<string, string>;
    listener: (message: unknown) => void;
  }[] = [];
  report: ((status: string, error?: Error) => void) | null = null;

  constructor(
    readonly name: string,
    readonly options: { config: Record<string, unknown> },
  ) {}

  on(type: string, filter: Record<string, string>, listener: (message: unknown) => void) {
    if (this.report !== null) throw new Error("cannot add callbacks after subscribe()");
    this.bindings.push({ type, filter, listener });
    return this;
  }

  subscribe(listener: (status: string, error?: Error) => void) {
    if (this.report !== null) throw new Error("tried to subscribe multiple times");
    this.report = listener;
    return this;
  }

  get kinds() {
    return this.bindings.map(({ type, filter }) => [type, filter]);
  }

  emit(type: string, message: { event?: string } & Record<string, unknown>) {
    const isMeant = ({ event }: Record<string, string>) =>
      type !== "broadcast" || event === message.event;
    for (const one of this.bindings)
      if (one.type === type && isMeant(one.filter)) one.listener(message);
  }
}

class FakeSupabase {
  readonly log: string[] = [];
  readonly channels = new Map<string, FakeChannel>();
  answer: Answer = { data: status(), error: null, status: 200, count: null };
  connected = true;
  realtime = {
    setAuth: async () => {
      this.log.push("setAuth");
    },
    isConnected: () => this.connected,
    disconnect: async () => {
      this.log.push("disconnect");
    },
  };

  channel(name: string, options: { config: Record<string, unknown> }) {
    this.log.push(`channel ${name}`);
    const channel = this.channels.get(name) ?? new FakeChannel(name, options);
    this.channels.set(name, channel);
    return channel;
  }

  async removeChannel(channel: FakeChannel) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    this.log.push(`removed ${channel.name}`);
    this.channels.delete(channel.name);
    channel.report?.("CLOSED");
  }

  schema(schema: string) {
    const calls: unknown[] = [];
    const step =
      (name: string) =>
      (...given: unknown[]) => {
        calls.push(given[0] instanceof AbortSignal ? [name] : [name, ...given]);
        return question;
      };
    const question: Record<string, unknown> = {
      then: (resolve: (answer: Answer) => void) => {
        this.log.push(JSON.stringify([schema, ...calls]));
        resolve(this.answer);
      },
    };
    for (const name of ["select", "eq", "in", "order", "limit", "abortSignal"])
      question[name] = step(name);
    return { rpc: step("rpc"), from: step("from") };
  }

  get only(): FakeChannel {
    const [channel, ...others] = [...this.channels.values()];
    if (channel === undefined || others.length > 0)
      throw new Error(`there are ${this.channels.size} channels`);
    return channel;
  }
}

afterEach(() => {
  vi.useRealTimers();
});

function made(options?: SupabaseOptions) {
  const supabase = new FakeSupabase();
  return {
    supabase,
    transport: supabaseTransport(supabase as unknown as SupabaseClientLike, options),
  };
}

async function opened(topic: Topic, options?: SupabaseOptions) {
  const { supabase, transport } = made(options);
  const listener = {
    subscribed: vi.fn(),
    message: vi.fn(),
    deleted: vi.fn(),
    doubt: vi.fn(),
    ended: vi.fn(),
  };
  const close = transport.open(topic, null, listener);
  await until(() => supabase.only);
  return { supabase, channel: supabase.only, listener, close };
}

test("a book's private topic is joined after the token is set", async () => {
  const { supabase, channel, listener } = await opened({
    kind: "book",
    bookId: id(1),
    ownerId: owner,
  });
  expect(supabase.log).toEqual(["setAuth", `channel book:${id(1)}:${owner}`]);
  expect(channel.options.config).toEqual({ private: true, broadcast: { replication_ready: true } });
  expect(channel.kinds).toEqual([
    ["broadcast", { event: "book_status" }],
    ["broadcast", { event: "gone" }],
    ["system", {}],
  ]);
  channel.report?.("SUBSCRIBED");
  channel.emit("broadcast", { type: "broadcast", event: "book_status", payload: { revision: 6 } });
  expect(listener.subscribed).toHaveBeenCalledOnce();
  expect(listener.message).toHaveBeenCalledWith({ revision: 6 });
});

test("the system message raises a doubt, a bad one ends the subscription", async () => {
  const { channel, listener } = await opened({ kind: "book", bookId: id(1), ownerId: owner });
  channel.emit("system", {
    status: "ok",
    extension: "system",
    message: "Replication connection established",
  });
  expect(listener.doubt).toHaveBeenCalledOnce();
  channel.emit("system", { status: "error", extension: "system", message: "Token has expired" });
  expect(listener.ended).toHaveBeenCalledWith("lost");
});

test.each(["CHANNEL_ERROR", "TIMED_OUT", "CLOSED"])("%s is a loss", async (status) => {
  const { channel, listener } = await opened({ kind: "book", bookId: id(1), ownerId: owner });
  channel.report?.(status);
  await until(() => expect(listener.ended).toHaveBeenCalledWith("lost"));
});

test.each([
  ["refused", "Unauthorized: You do not have permissions to read from this Channel topic: book:7"],
  ["refused", "ChannelRateLimitReached: Too many channels"],
  ["refused", "PrivateOnly: This project only allows private channels"],
  ["lost", "ClientJoinRateLimitReached: Too many joins per second"],
  ["lost", "InvalidJWTToken: Token has expired 5 seconds ago"],
  ["lost", "socket closed: 1006"],
])("a join is %s after %j", async (reason, message) => {
  const { channel, listener } = await opened({ kind: "book", bookId: id(1), ownerId: owner });
  channel.report?.("CHANNEL_ERROR", new Error(message));
  expect(listener.ended).toHaveBeenCalledWith(reason);
});

test("a message that a book is gone names the book, on its own topic and on its owner's", async () => {
  for (const topic of [
    { kind: "book", bookId: id(1), ownerId: null },
    { kind: "books", ownerId: owner },
  ] as const) {
    const { channel, listener } = await opened(topic);
    channel.emit("broadcast", {
      event: "gone",
      payload: { book_id: id(1), revision: 6, gone: true },
    });
    expect(listener.deleted).toHaveBeenCalledWith(id(1));
    expect(listener.message).not.toHaveBeenCalled();
    channel.emit("broadcast", { event: "gone", payload: null });
    expect(listener.doubt).toHaveBeenCalledOnce();
  }
});

test("a connection that stays unopened over two joins that time out is made anew; one that is open is kept", async () => {
  for (const [connected, disconnects] of [
    [true, 0],
    [false, 2],
  ] as const) {
    const { supabase, channel, listener } = await opened({
      kind: "book",
      bookId: id(1),
      ownerId: owner,
    });
    supabase.connected = connected;
    for (let n = 1; n <= 4; n++) {
      channel.report?.("TIMED_OUT");
      await until(() => expect(listener.ended).toHaveBeenCalledTimes(n));
    }
    expect(supabase.log.filter((line) => line === "disconnect")).toHaveLength(disconnects);
  }
});

test("a list listens to its owner's topic, without an owner to Postgres Changes", async () => {
  expect((await opened({ kind: "books", ownerId: owner })).channel.name).toBe(`owner:${owner}`);
  const { channel } = await opened({ kind: "books", ownerId: null });
  expect(channel.kinds[0]).toEqual([
    "postgres_changes",
    { event: "*", schema: "bindery", table: "book_status" },
  ]);
});

test("Postgres Changes give rows and deletions", async () => {
  const { channel, listener } = await opened(
    { kind: "book", bookId: id(1), ownerId: owner },
    { via: "changes", schema: "b" },
  );
  expect(channel.options.config).toEqual({ private: false });
  expect(channel.kinds[0]).toEqual([
    "postgres_changes",
    { event: "*", schema: "b", table: "book_status", filter: `book_id=eq.${id(1)}` },
  ]);
  channel.emit("postgres_changes", { eventType: "UPDATE", new: { revision: 6 }, old: {} });
  expect(listener.message).toHaveBeenCalledWith({ revision: 6 });
  channel.emit("postgres_changes", { eventType: "DELETE", new: {}, old: { book_id: id(1) } });
  expect(listener.deleted).toHaveBeenCalledWith(id(1));
  channel.emit("postgres_changes", { eventType: "DELETE", new: {}, old: {} });
  expect(listener.doubt).toHaveBeenCalledOnce();
});

test("closing before the token is there opens no channel", async () => {
  const { supabase, transport } = made();
  const nothing = () => undefined;
  await transport.open({ kind: "book", bookId: id(1), ownerId: owner }, null, {
    subscribed: nothing,
    message: nothing,
    deleted: nothing,
    doubt: nothing,
    ended: nothing,
  })();
  expect(supabase.channels.size).toBe(0);
});

test("a book is asked for by GET, a list by its filter, in order, with a count", async () => {
  const { supabase, transport } = made();
  expect(await transport.fetchBook(id(1), new AbortController().signal)).toEqual(status());
  expect(supabase.log).toEqual([
    JSON.stringify([
      "bindery",
      ["rpc", "get_book_status", { book_id: id(1) }, { get: true }],
      ["abortSignal"],
    ]),
  ]);
  supabase.answer = { data: [row()], error: null, status: 200, count: 31 };
  const query = {
    ownerId: owner,
    statuses: ["FAILED"],
    pipeline: "comic",
    sort: "updated_at",
    descending: true,
    limit: 20,
  } as const;
  expect(await transport.fetchBooks(query, new AbortController().signal)).toEqual({
    rows: [row()],
    total: 31,
  });
  expect(JSON.parse(supabase.log[1] ?? "")).toEqual([
    "bindery",
    ["from", "book_status"],
    ["select", "*", { count: "exact" }],
    ["eq", "owner_id", owner],
    ["eq", "pipeline", "comic"],
    ["in", "status", ["FAILED"]],
    ["order", "updated_at", { ascending: false }],
    ["order", "book_id", { ascending: false }],
    ["limit", 20],
    ["abortSignal"],
  ]);
});

test("a refusal has Bindery's code and texts", async () => {
  const { supabase, transport } = made();
  supabase.answer = {
    data: null,
    status: 404,
    count: null,
    error: {
      code: "PT404",
      message: "No such book",
      details: '{"code":"unknown_book"}',
      hint: null,
    },
  };
  await expect(transport.fetchBook(id(1), new AbortController().signal)).rejects.toMatchObject({
    kind: "gone",
    code: "unknown_book",
  });
});

test("an expired token: the channel is removed, the token of now is set, and a new channel joins", async () => {
  const around = world();
  const { supabase, transport } = made();
  const bindery = createBindery(transport, { environment: around });
  bindery.watchBook(id(1), () => undefined);
  await around.pass(0);
  supabase.only.report?.("SUBSCRIBED");
  await around.pass(0);
  expect(bindery.bookView(id(1)).connection).toBe("live");
  supabase.log.length = 0;
  supabase.only.emit("system", {
    status: "error",
    extension: "system",
    message: "Token has expired",
  });
  await around.pass(2000);
  expect(supabase.log.filter((line) => !line.startsWith("["))).toEqual([
    `removed book:${id(1)}:${owner}`,
    "setAuth",
    `channel book:${id(1)}:${owner}`,
  ]);
  supabase.answer = { ...supabase.answer, data: status({ revision: 9, heartbeat_at: at(2) }) };
  supabase.only.report?.("SUBSCRIBED");
  await around.pass(0);
  expect(bindery.bookView(id(1))).toMatchObject({ connection: "live", book: { revision: 9 } });
  const closed = bindery.close();
  await around.pass(100);
  await closed;
  expect(supabase.channels.size).toBe(0);
});

test("a client of supabase-js fits, whatever its database's types are", () => {
  interface Database {
    public: {
      Tables: Record<never, never>;
      Views: Record<never, never>;
      Functions: Record<never, never>;
    };
  }
  expectTypeOf<ReturnType<typeof createClient>>().toExtend<SupabaseClientLike>();
  expectTypeOf<ReturnType<typeof createClient<Database>>>().toExtend<SupabaseClientLike>();
});
