// Workers that follow bindery:changes, against a real Postgres, Redis and binderyd.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Client, Superseded, type Stage } from "../../src/index.js";
import { Worker, type WorkerOptions } from "../../src/worker.js";
import { waitFor } from "../support.js";
import { Servers } from "./servers.js";

const STREAM = "bindery:changes";
const STAGE = { weight: 1, stall_after: "3 seconds", retry_after: "0.1 seconds", max_attempts: 5 };
const PIPELINE = {
  states: [
    { name: "UPLOADED" },
    { name: "READING", ...STAGE, substeps: [{ substep: "read" }] },
    { name: "DRAWING", ...STAGE, substeps: [{ substep: "draw" }] },
    { name: "COMPLETED" },
  ],
};

const program = fileURLToPath(new URL("program.mjs", import.meta.url));
const servers = new Servers();
const folder = mkdtempSync(join(tmpdir(), "bindery-followers-"));
const closing: (() => Promise<unknown>)[] = [];
let redis: Redis;
let group: string;

beforeAll(async () => {
  await servers.start();
  await servers.sql("select bindery.define_pipeline('short', $1)", JSON.stringify(PIPELINE));
  redis = new Redis(servers.redisUrl);
  // One of the tests stops Redis.
  redis.on("error", () => undefined);
}, 120_000);
beforeEach(async () => {
  // A book of an earlier test would stall, and be resumed.
  await servers.sql(
    `select 1 from bindery.book_status b, bindery.cancel_book(b.book_id)
     where b.status not in ('COMPLETED', 'CANCELLED')`,
  );
  // A consumer group that begins with what comes from now on.
  group = `group-${crypto.randomUUID()}`;
  await redis.xgroup("CREATE", STREAM, group, "$", "MKSTREAM");
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
  rmSync(folder, { recursive: true, force: true });
});

const ways: Record<string, () => Record<string, string>> = {
  PostgreSQL: () => ({
    BINDERY_URL: servers.postgresUrl,
    BINDERY_CHANGES_URL: servers.redisUrl,
  }),
  "binderyd's HTTP": () => ({
    BINDERY_URL: servers.httpUrl,
    BINDERY_CHANGES_URL: servers.redisUrl,
  }),
  "Redis with a status URL": () => ({
    BINDERY_URL: servers.redisUrl,
    BINDERY_STATUS_URL: servers.postgresUrl,
  }),
  "Redis alone": () => ({ BINDERY_URL: servers.redisUrl }),
};

async function begin(...books: string[]): Promise<void> {
  for (const book of books) {
    await servers.sql("select 1 from bindery.register_book($1, pipeline => 'short')", book);
    await servers.sql("select 1 from bindery.transition_book($1, 'READING')", book);
  }
}
const pending = async () => Number(((await redis.xpending(STREAM, group)) as [number])[0]);
const deadLetters = () => servers.sql("select reason from bindery.dead_letters");

describe.each(Object.keys(ways))("reporting over %s", (way) => {
  const env = () => ways[way]?.() ?? {};
  const answers = way !== "Redis alone";
  let record = "";
  beforeEach(() => {
    record = join(folder, group);
  });
  const recorded = () =>
    existsSync(record) ? readFileSync(record, "utf8").trim().split("\n") : [];

  function start(milliseconds: number, lease: number): ChildProcess {
    const given = ["follow", String(milliseconds), group, String(lease)];
    const child = spawn(process.execPath, [program, ...given], {
      env: { ...process.env, ...env(), RECORD: record },
      stdio: ["ignore", "ignore", "inherit"],
    });
    closing.push(async () => void child.kill("SIGKILL"));
    return child;
  }

  function open(options: WorkerOptions = {}) {
    const logged: string[] = [];
    const { BINDERY_URL: url, BINDERY_STATUS_URL: statusUrl } = env();
    const log = (message: string) => void logged.push(message);
    const client = new Client(url, { log, ...(statusUrl !== undefined && { statusUrl }) });
    const given = { client, changesUrl: servers.redisUrl, group, lease: 1000, ...options };
    const worker = new Worker(given);
    let running: Promise<boolean> | undefined;
    closing.push(async () => {
      worker.stop();
      await running;
      await client.close(500);
    });
    const run = () => (running = worker.run({ handleSignals: false }));
    return { worker, client, logged, run };
  }

  test("workers share the books, and stop once their functions have returned", async () => {
    // Longer than a busy machine lets a process wait: a lease that ends is work done twice.
    const workers = [start(10, 30_000), start(10, 30_000)];
    const consumers = async () => (await redis.xinfo("CONSUMERS", STREAM, group)) as unknown[];
    await waitFor(async () => {
      const clients = await redis.client("LIST");
      return String(clients).match(/cmd=xreadgroup/g)?.length === 2;
    }, "two workers that read");
    const books = Array.from({ length: 6 }, () => crypto.randomUUID());
    await begin(...books);
    for (const book of books) await servers.waitForBook(book, { status: "COMPLETED", attempt: 1 });
    for (const worker of workers) worker.kill("SIGTERM");
    for (const worker of workers)
      if (worker.exitCode === null) expect(await once(worker, "exit")).toEqual([0, null]);
    const lines = recorded();
    expect(lines.filter((line) => line === "ended true")).toHaveLength(2);
    const done = lines.filter((line) => books.some((book) => line.includes(book)));
    const items = done.map((line) => line.split(" ").slice(1).join(" "));
    expect(done).toHaveLength(6 * 2 * 20);
    expect(new Set(items).size).toBe(6 * 2 * 20);
    expect(await pending()).toBe(0);
    expect(await consumers()).toEqual([]);
    expect(await deadLetters()).toEqual([]);
  });

  test("the message of a killed worker is claimed, and its work continues", async () => {
    const bookId = crypto.randomUUID();
    const first = start(100, 1000);
    await begin(bookId);
    const isBusy = () => recorded().filter((line) => line.includes(bookId)).length > 8;
    await waitFor(isBusy, "nine items");
    first.kill("SIGKILL");
    await once(first, "exit");
    const second = start(10, 1000);
    await servers.waitForBook(bookId, { status: "COMPLETED" });
    second.kill("SIGINT");
    expect(await once(second, "exit")).toEqual([0, null]);
    const read = recorded().filter((line) => line.includes(`${bookId} READING `));
    const items = read.map((line) => Number(line.split(" ")[4]));
    expect([...new Set(items)].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 20 }, (_, place) => place),
    );
    // Only what was finished after the last report is done again.
    if (answers) expect(items.length).toBeLessThanOrEqual(20 + 4);
    expect(await deadLetters()).toEqual([]);
  });

  test("a worker whose book is cancelled gets Superseded", async () => {
    const bookId = crypto.randomUUID();
    const { worker, logged, run } = open();
    let outcome: unknown;
    worker.stage("READING", async (stage) => {
      try {
        for await (const time of stage.track(new Array<number>(1000).fill(20), "read"))
          await pause(time);
      } catch (error) {
        outcome = error;
        throw error;
      }
    });
    const running = run();
    await begin(bookId);
    const done = async () => Number((await servers.substep(bookId, "read"))["done"] ?? 0);
    await waitFor(async () => (await done()) > 0, "an item");
    await servers.sql("select 1 from bindery.cancel_book($1)", bookId);
    await waitFor(() => outcome, "an outcome");
    worker.stop();
    expect(await running).toBe(true);
    expect(outcome).toBeInstanceOf(Superseded);
    expect(outcome).toMatchObject({ attempt: 1, status: "CANCELLED" });
    expect(logged).toEqual([]);
    expect(await pending()).toBe(0);
  });

  test("a function that throws makes its book FAILED, and is called for the resume", async () => {
    const bookId = crypto.randomUUID();
    const { worker, logged, run } = open();
    const seen: string[] = [];
    worker.stage("READING", { toStatus: "DRAWING" }, async (stage) => {
      for await (const item of stage.track([0, 1, 2, 3, 4, 5], "read")) {
        if (item === 3 && stage.attempt === 1) throw new RangeError("Page 3 is torn.");
        seen.push(`${stage.attempt} ${item}`);
      }
    });
    const running = run();
    await begin(bookId);
    await servers.waitForBook(bookId, { status: "DRAWING" });
    worker.stop();
    expect(await running).toBe(true);
    // The message of the resume has the resume point, over Redis alone, too.
    expect(seen).toEqual(["1 0", "1 1", "1 2", "2 3", "2 4", "2 5"]);
    expect(logged).toEqual([`READING of book ${bookId} has failed: Page 3 is torn.`]);
  });

  test("a message that is published twice is worked on once", async () => {
    const { worker, run } = open({ concurrency: 2 });
    const calls: string[] = [];
    worker.stage("READING", async (stage) => {
      calls.push(stage.book.bookId);
      await pause(500);
    });
    const books: string[] = [crypto.randomUUID(), crypto.randomUUID()];
    await begin(...books);
    const messages = async () =>
      (await redis.xrange(STREAM, "-", "+")).filter(
        ([, fields]) =>
          books.some((book) => fields.includes(book)) && fields.join().includes("READING"),
      );
    await waitFor(async () => (await messages()).length === 2, "two messages");
    for (const [, fields] of await messages()) await redis.xadd(STREAM, "*", ...fields);
    const running = run();
    await waitFor(() => books.every((book) => calls.includes(book)), "two calls");
    await waitFor(async () => (await pending()) === 0, "all finished");
    worker.stop();
    expect(await running).toBe(true);
    expect(calls.filter((book) => books.includes(book)).sort()).toEqual(books.sort());
  });
});

describe("a worker", () => {
  function open(
    work: (stage: Stage) => unknown,
    options: WorkerOptions = {},
    url = servers.postgresUrl,
  ) {
    const logged: string[] = [];
    const client = new Client(url, { log: (line) => void logged.push(line) });
    const worker = new Worker({
      client,
      changesUrl: servers.redisUrl,
      group,
      lease: 1000,
      ...options,
    });
    worker.stage("READING", work);
    closing.push(() => client.close(500));
    return { worker, client, logged };
  }

  test("that is stopped takes no more messages, and waits for its functions up to grace", async () => {
    const began: string[] = [];
    const ended: string[] = [];
    const { worker } = open(
      async (stage) => {
        began.push(stage.book.bookId);
        await pause(800);
        ended.push(stage.book.bookId);
      },
      { grace: 200 },
    );
    const stop = new AbortController();
    const running = worker.run({ signal: stop.signal, handleSignals: false });
    const [first, second] = [crypto.randomUUID(), crypto.randomUUID()];
    await begin(first);
    await waitFor(() => began.includes(first), "a call");
    stop.abort();
    await begin(second);
    expect(await running).toBe(false);
    expect(worker.stopping).toBe(true);
    expect(ended).toEqual([]);
    // The message stays for another worker, which finishes both.
    expect(await pending()).toBe(1);
    const seen = new Set<string>();
    const { worker: other } = open((stage) => void seen.add(stage.book.bookId));
    const others = other.run({ handleSignals: false });
    await waitFor(() => seen.has(first) && seen.has(second), "both books");
    other.stop();
    expect(await others).toBe(true);
    expect(await pending()).toBe(0);
  });

  test("renews the message of a function that takes longer than the lease", async () => {
    const bookId = crypto.randomUUID();
    const calls: string[] = [];
    const work = async (stage: Stage) => {
      calls.push(stage.book.bookId);
      await pause(2000);
    };
    const workers = [open(work, { lease: 500 }), open(work, { lease: 500 })];
    const running = workers.map(({ worker }) => worker.run({ handleSignals: false }));
    await begin(bookId);
    await waitFor(() => calls.includes(bookId), "a call");
    await waitFor(async () => (await pending()) === 0, "all finished");
    for (const { worker } of workers) worker.stop();
    expect(await Promise.all(running)).toEqual([true, true]);
    expect(calls.filter((book) => book === bookId)).toEqual([bookId]);
  });

  test("does not work on the message of a dead worker whose book was resumed since", async () => {
    const bookId = crypto.randomUUID();
    const attempts: unknown[] = [];
    // With a Redis URL alone the begin of the stage has no answer that would end the work.
    const { worker } = open(
      (stage) => void (stage.book.bookId === bookId && attempts.push(stage.attempt)),
      {},
      servers.redisUrl,
    );
    await begin(bookId);
    // Another worker takes the message, and dies.
    const args = ["GROUP", group, "dead", "COUNT", 10, "STREAMS", STREAM, ">"];
    const isTaken = async () => {
      const found = (await redis.call("xreadgroup", ...args)) as [string, [string, string[]][]][];
      const messages = found?.[0]?.[1].map(([, fields]) => fields.join()) ?? [];
      return messages.some((text) => text.includes(bookId) && text.includes('"READING"'));
    };
    await waitFor(isTaken, "the message");
    await servers.sql("select 1 from bindery.fail_book($1)", bookId);
    const isResumed = async () =>
      (await redis.xrange(STREAM, "-", "+")).some(
        ([, fields]) => fields.includes(bookId) && fields.includes("resume"),
      );
    await waitFor(isResumed, "the message of the resume");
    const running = worker.run({ handleSignals: false });
    await waitFor(() => attempts.length > 0, "a call");
    await waitFor(async () => (await pending()) === 0, "all finished");
    worker.stop();
    expect(await running).toBe(true);
    expect(attempts).toEqual([2]);
  });

  test("whose message was claimed by another one gets Superseded and leaves it", async () => {
    const bookId = crypto.randomUUID();
    let isCalled = false;
    let outcome: unknown;
    const { worker } = open(async (stage) => {
      isCalled = true;
      await new Promise((resolve) => stage.signal.addEventListener("abort", resolve));
      outcome = stage.signal.reason;
    });
    const running = worker.run({ handleSignals: false });
    await begin(bookId);
    await waitFor(() => isCalled, "a call");
    const [entry] = (await redis.xpending(STREAM, group, "-", "+", 1)) as [[string, string]];
    await redis.xclaim(STREAM, group, "thief", 0, entry[0]);
    await waitFor(() => outcome, "an outcome");
    worker.stop();
    expect(await running).toBe(true);
    expect(outcome).toBeInstanceOf(Superseded);
    const [left] = (await redis.xpending(STREAM, group, "-", "+", 1)) as [[string, string]];
    expect(left.slice(0, 2)).toEqual([entry[0], "thief"]);
  });

  test("acknowledges messages that are none of its own or of Bindery's", async () => {
    const bookId = crypto.randomUUID();
    const calls: string[] = [];
    const { worker, logged } = open((stage) => void calls.push(stage.book.bookId));
    await redis.xadd(STREAM, "*", "payload", "{", "id", "x");
    await redis.xadd(STREAM, "*", "other", "fields");
    await servers.sql("select 1 from bindery.register_book($1, pipeline => 'short')", bookId);
    const running = worker.run({ handleSignals: false });
    await begin(bookId);
    await waitFor(() => calls.includes(bookId), "a call");
    await waitFor(async () => (await pending()) === 0, "all finished");
    worker.stop();
    expect(await running).toBe(true);
    expect(calls.filter((book) => book === bookId)).toEqual([bookId]);
    expect(logged).toEqual([]);
  });

  test("waits while Redis is away, with one warning, and continues", async () => {
    const bookId = crypto.randomUUID();
    const calls: string[] = [];
    const { worker, logged } = open((stage) => void calls.push(stage.book.bookId));
    const running = worker.run({ handleSignals: false });
    await servers.do("stop-redis");
    await begin(bookId);
    await waitFor(() => logged.length > 0, "a warning");
    await servers.do("start-redis");
    await waitFor(() => calls.includes(bookId), "a call", 60_000);
    worker.stop();
    expect(await running).toBe(true);
    expect(calls.filter((book) => book === bookId)).toEqual([bookId]);
    expect(logged).toHaveLength(1);
    expect(logged[0]).toContain("the stream of changes cannot be read");
  });
});

test("a worker without a Redis URL is refused with what to set", () => {
  expect(() => new Worker({ client: new Client() })).toThrow(/BINDERY_CHANGES_URL/);
  expect(() => new Worker({ changesUrl: "postgresql://localhost/x" })).toThrow(RangeError);
});

const pause = (milliseconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, milliseconds));
