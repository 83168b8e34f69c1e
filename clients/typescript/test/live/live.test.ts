// Workers, as processes, against a real Postgres, Redis and binderyd.
import { spawn, type ChildProcess } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Queue, Worker } from "bullmq";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { bullmq } from "../../src/bullmq.js";
import { Client, type ClientOptions } from "../../src/index.js";
import { waitFor } from "../support.js";
import { Servers } from "./servers.js";

const program = fileURLToPath(new URL("program.mjs", import.meta.url));
const servers = new Servers();
const folder = mkdtempSync(join(tmpdir(), "bindery-workers-"));
const children: ChildProcess[] = [];
const clients: Client[] = [];

beforeAll(() => servers.start(), 120_000);
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const client of clients.splice(0)) await client.close(500);
});
afterAll(async () => {
  await servers.stop();
  rmSync(folder, { recursive: true, force: true });
});

const ways: Record<string, () => Record<string, string>> = {
  "Redis with a status URL": () => ({
    BINDERY_URL: servers.redisUrl,
    BINDERY_STATUS_URL: servers.postgresUrl,
  }),
  PostgreSQL: () => ({ BINDERY_URL: servers.postgresUrl }),
  "binderyd's HTTP": () => ({ BINDERY_URL: servers.httpUrl }),
  "Redis alone": () => ({ BINDERY_URL: servers.redisUrl }),
};

let record = "";
function start(env: Record<string, string>, bookId: string, ...given: string[]): ChildProcess {
  record = join(folder, bookId);
  const child = spawn(process.execPath, [program, ...given], {
    env: { ...process.env, ...env, BOOK: bookId, RECORD: record },
    stdio: ["ignore", "ignore", "pipe"],
  });
  children.push(child);
  return child;
}
const recorded = () => readFileSync(record, "utf8").trim().split("\n");

function open(url: string, options: ClientOptions = {}): Client {
  const client = new Client(url, { log: () => undefined, ...options });
  clients.push(client);
  return client;
}
const throughRedis = (options: ClientOptions = {}) =>
  open(servers.redisUrl, { statusUrl: servers.postgresUrl, ...options });

describe.each(Object.keys(ways))("over %s", (way) => {
  const env = () => ways[way]?.() ?? {};
  const answers = way !== "Redis alone";

  test("a worker that was killed in mid-stage is resumed where it was", async () => {
    const bookId = crypto.randomUUID();
    const first = start(env(), bookId, "work", "60", "50");
    await waitFor(
      async () => Number((await servers.substep(bookId, "extract_text"))["done"]) > 5,
      "six items",
    );
    first.kill("SIGKILL");
    await once(first, "exit");
    const finished = recorded().length - 1;
    // The sweeper fails the silent book, and resumes it after retry_after.
    await servers.waitForBook(bookId, { status: "ANALYZING", attempt: 2 });
    const second = start(env(), bookId, "work", "60", "10");
    expect(await once(second, "exit")).toEqual([0, null]);
    await waitFor(
      async () => (await servers.substep(bookId, "extract_text"))["progress"] === 100,
      "all items",
    );
    const lines = recorded();
    const items = lines.filter((line) => !line.startsWith("attempt"));
    expect(new Set(items).size).toBe(60);
    const repeated = items.length - 60;
    if (answers) {
      expect(lines[0]).toBe("attempt 1");
      expect(lines.filter((line) => line.startsWith("attempt"))).toHaveLength(2);
      expect(lines).not.toContain("attempt undefined");
      // What was finished after the last report, in a quarter of a second, is done again.
      expect(finished).toBeGreaterThan(5);
      expect(repeated).toBeLessThanOrEqual(10);
    } else {
      expect(lines[0]).toBe("attempt undefined");
      expect(repeated).toBe(finished);
    }
    expect(await servers.sql("select reason from bindery.dead_letters")).toEqual([]);
  });

  test("a program that failed in its second stage runs again, and skips the first", async () => {
    const bookId = crypto.randomUUID();
    const seen: string[] = [];
    const run = async (fails: boolean) => {
      const { BINDERY_URL: url = "", BINDERY_STATUS_URL: statusUrl } = env();
      const book = open(url, { ...(statusUrl && { statusUrl }) }).book(bookId, {
        pipeline: "brief",
      });
      await book.stage("ANALYZING", async (stage) => {
        for await (const page of stage.track([1, 2, 3], "extract_text")) seen.push(`page ${page}`);
        stage.report(100, "detect_chapters");
      });
      book.transition("DRAWING");
      await book.stage("DRAWING", (stage) => {
        seen.push(`attempt ${stage.attempt}`);
        if (fails) throw new Error("no ink");
      });
      book.transition("COMPLETED");
      expect(await book.flush()).toBe(true);
    };
    await expect(run(true)).rejects.toThrow("no ink");
    await servers.waitForBook(bookId, { status: "FAILED", current_stage: "DRAWING" });
    await run(false);
    await servers.waitForBook(bookId, { status: "COMPLETED" });
    const pages = ["page 1", "page 2", "page 3"];
    if (answers) expect(seen).toEqual([...pages, "attempt 1", "attempt 2"]);
    // A stream has no answers: the first stage is done again, which has no effect.
    else expect(seen).toEqual([...pages, "attempt undefined", ...pages, "attempt undefined"]);
    const history = await servers.sql(
      "select to_status from bindery.book_events where book_id = $1 order by revision",
      bookId,
    );
    expect(history.join(" ")).toBe("UPLOADED ANALYZING DRAWING FAILED DRAWING COMPLETED");
    expect(await servers.sql("select reason from bindery.dead_letters")).toEqual([]);
  });

  test("a program that waits until its client is closed ends after that", async () => {
    const child = start(env(), crypto.randomUUID(), "close");
    expect(await once(child, "exit")).toEqual([0, null]);
    expect(recorded()).toEqual(["closed"]);
  });

  test("an error that ends the program makes the book FAILED first", async () => {
    const bookId = crypto.randomUUID();
    const child = start(env(), bookId, "fail");
    expect(await once(child, "exit")).toEqual([1, null]);
    await waitFor(async () => {
      const [error] = await servers.sql(
        `select data from bindery.book_events where book_id = $1 and to_status = 'FAILED'`,
        bookId,
      );
      return JSON.stringify(error)?.includes("type_error");
    }, "the failure in the history");
  });
});

test("while Redis is away the work continues, and everything arrives afterwards", async () => {
  const logged: string[] = [];
  const client = throughRedis({ log: (message) => void logged.push(message) });
  const book = client.book(crypto.randomUUID(), { pipeline: "brief" });
  await book.stage("ANALYZING", async (stage) => {
    await book.flush();
    await servers.do("stop-redis");
    const began = performance.now();
    for await (const page of stage.track([1, 2, 3, 4], "extract_text")) void page;
    stage.report(100, "detect_chapters");
    expect(performance.now() - began).toBeLessThan(1000);
  });
  book.transition("DRAWING");
  expect(await book.flush(1000)).toBe(false);
  await servers.do("start-redis");
  expect(await book.flush(20_000)).toBe(true);
  await servers.waitForBook(book.bookId, { status: "DRAWING" });
  expect(await servers.substep(book.bookId, "extract_text")).toMatchObject({ done: 4, total: 4 });
  expect(logged.filter((line) => line.includes("cannot be reached"))).toHaveLength(1);
});

test("a worker over Redis whose book was given up is superseded", async () => {
  const book = throughRedis().book(crypto.randomUUID(), { pipeline: "brief" });
  const work = book.stage("ANALYZING", async (stage) => {
    expect(stage.attempt).toBe(1);
    await servers.sql("select bindery.cancel_book($1)", book.bookId);
    await new Promise((resolve) => stage.signal.addEventListener("abort", resolve));
    stage.message("still here");
  });
  await expect(work).rejects.toMatchObject({ name: "Superseded", status: "CANCELLED" });
});

test("fifty books at once, 11,225 items in all, end at the counts of their workers", async () => {
  const client = throughRedis();
  const books = Array.from({ length: 50 }, () =>
    client.book(crypto.randomUUID(), { pipeline: "brief" }),
  );
  await Promise.all(
    books.map(async (book, place) => {
      const items = Array.from({ length: 300 }, (_, item) => item);
      await book.stage("ANALYZING", async (stage) => {
        for await (const item of stage.track(items, "extract_text")) {
          if (item === 200 + place) break;
          if (item % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        }
      });
    }),
  );
  expect(await client.flush(20_000)).toBe(true);
  for (const [place, book] of books.entries())
    await waitFor(
      async () => (await servers.substep(book.bookId, "extract_text"))["done"] === 200 + place,
      `book ${place} at ${200 + place} items`,
    );
});

describe("with a worker's token", () => {
  const secret = "a secret of at least thirty-two characters";
  let url = "";
  beforeAll(async () => {
    url = await servers.startDaemon("--jwt-secret", secret);
  });

  function token(claims: Record<string, string>): string {
    const part = (content: unknown) => Buffer.from(JSON.stringify(content)).toString("base64url");
    const message = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
    return `${message}.${createHmac("sha256", secret).update(message).digest("base64url")}`;
  }

  test("a worker reports about its stage, and is superseded once the book has left it", async () => {
    const bookId = crypto.randomUUID();
    await servers.sql("select from bindery.register_book($1, pipeline => 'brief')", bookId);
    const key = token({ role: "bindery_worker", book_id: bookId, stage: "ANALYZING" });
    const logged: string[] = [];
    const log = (message: string) => void logged.push(message);
    const book = open(url, { key, log }).book(bookId, { register: false });
    const work = book.stage("ANALYZING", async (stage) => {
      expect(stage.attempt).toBe(1);
      stage.report(40, "extract_text");
      expect(await book.flush()).toBe(true);
      await servers.sql("select from bindery.transition_book($1, 'DRAWING')", bookId);
      stage.report(50, "extract_text");
      expect(await book.flush()).toBe(true);
      stage.report(60, "extract_text");
    });
    await expect(work).rejects.toMatchObject({ name: "Superseded" });
    expect(await servers.substep(bookId, "extract_text")).toMatchObject({ progress: 40 });
    // The token's answers do not show that the book has passed the stage.
    const again = book.stage("ANALYZING", () => undefined);
    await expect(again).rejects.toMatchObject({ name: "Superseded" });
    expect(logged).toEqual([]);
  });

  test("what the token does not admit is logged, and holds up nothing", async () => {
    const bookId = crypto.randomUUID();
    await servers.sql("select from bindery.register_book($1)", bookId);
    const logged: string[] = [];
    const key = token({ role: "bindery_worker", stage: "ANALYZING" });
    const client = open(url, { key, log: (message) => void logged.push(message) });
    const book = client.book(bookId, { register: false });
    book.plan("CREATING_ARTWORK", ["page_1"]);
    book.plan("ANALYZING", ["more"]);
    expect(await book.flush()).toBe(true);
    expect(logged.join()).toContain("refused a plan");
    expect(await servers.substep(bookId, "more")).toMatchObject({ progress: 0 });
  });
});

describe("bullmq", () => {
  const connection = () => ({ url: servers.redisUrl });
  const queues: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const queue of queues.splice(0).reverse()) await queue.close();
  });

  /** A queue with a worker around this processor. */
  function serve(name: string, processor: Parameters<typeof bullmq>[1], stage = "ANALYZING") {
    const client = throughRedis();
    const queue = new Queue(name, { connection: connection() });
    const step = { stage, substep: "extract_text", client };
    const worker = new Worker(name, bullmq(step, processor), { connection: connection() });
    queues.push(queue, worker);
    return { queue, worker, client };
  }

  test("a job reports its progress, continues at its checkpoint, and leads the book on", async () => {
    const bookId = crypto.randomUUID();
    const seen: number[] = [];
    const attempts: unknown[] = [];
    const { queue, client } = serve("extract", async (job, stage) => {
      attempts.push(stage.attempt);
      const begun = stage.resumePoint?.left.get("extract_text")?.checkpoint ?? 0;
      for (let page = Number(begun) + 1; page <= 6; page += 1) {
        seen.push(page);
        await (job as { updateProgress(progress: object): Promise<void> }).updateProgress({
          done: page,
          total: 6,
          unit: "page",
          checkpoint: page,
        });
        if (page === 3 && seen.length === 3) throw new Error("the lamp is out");
      }
    });
    client.book(bookId, { pipeline: "brief" }).transition("ANALYZING");
    await client.flush();
    const data = { bookId, to_status: "DRAWING" };
    await queue.add("book", data, { attempts: 2 });
    await servers.waitForBook(bookId, { status: "DRAWING" });
    // The first failure was not final: the book never FAILED.
    const history = await servers.sql(
      "select to_status from bindery.book_events where book_id = $1 order by revision",
      bookId,
    );
    expect(history).toEqual(["UPLOADED", "ANALYZING", "DRAWING"]);
    expect(attempts).toEqual([1, 1]);
    expect(seen).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await servers.substep(bookId, "extract_text")).toMatchObject({
      done: 6,
      total: 6,
      unit: "page",
    });
  });

  test("a job that is not tried again makes the book FAILED; one more job resumes it", async () => {
    const bookId = crypto.randomUUID();
    let runs = 0;
    const { queue, client } = serve("last", async (_job, stage) => {
      runs += 1;
      if (runs <= 2) throw new RangeError("no ink");
      return stage.attempt;
    });
    await client.book(bookId, { pipeline: "brief" }).stage("ANALYZING", () => undefined);
    await queue.add("book", { bookId }, { attempts: 2 });
    const isFailed = "select true from bindery.book_events where book_id = $1 and kind = 'fail'";
    await waitFor(async () => (await servers.sql(isFailed, bookId)).length > 0, "a failure");
    await servers.waitForBook(bookId, { status: "ANALYZING", attempt: 2 });
    await queue.add("book", { bookId, attempt: 2 });
    await waitFor(
      async () => (await servers.substep(bookId, "extract_text"))["progress"] === 100,
      "the job's end",
    );
    expect(runs).toBe(3);
  });

  test("a job of an attempt that has ended is not tried again", async () => {
    const bookId = crypto.randomUUID();
    const { queue, worker, client } = serve("old", async () => undefined);
    await client.book(bookId, { pipeline: "brief" }).stage("ANALYZING", () => undefined);
    await servers.sql("select bindery.fail_book($1)", bookId);
    await servers.waitForBook(bookId, { attempt: 2 });
    const failed = once(worker, "failed");
    await queue.add("book", { bookId, attempt: 1 }, { attempts: 5 });
    const [job] = (await failed) as [{ attemptsMade: number; failedReason: string }];
    expect(job.attemptsMade).toBe(1);
    expect(job.failedReason).toContain("superseded");
  });

  test("a job of a stage that the book has passed is not worked on", async () => {
    const bookId = crypto.randomUUID();
    let runs = 0;
    const { queue, worker, client } = serve("past", async () => void (runs += 1));
    const book = client.book(bookId, { pipeline: "brief" });
    for (const stage of ["ANALYZING", "DRAWING"]) await book.stage(stage, () => undefined);
    const failed = once(worker, "failed");
    await queue.add("book", { bookId }, { attempts: 5 });
    const [job] = (await failed) as [{ attemptsMade: number; failedReason: string }];
    expect(job).toMatchObject({ attemptsMade: 1 });
    expect(job.failedReason).toContain("superseded: the book is in DRAWING");
    expect(runs).toBe(0);
  });
});
