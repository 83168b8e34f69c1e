// Books that are followed from elsewhere, against a real Postgres, Redis and binderyd.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Client, Refused, watch, type BookStatus, type WatchOptions } from "../../src/index.js";
import { createTestBindery, type TestBindery } from "../../src/testing/index.js";
import { KEY, restServer, type StandIn } from "../http-servers.js";
import { waitFor } from "../support.js";
import { Servers } from "./servers.js";

const servers = new Servers();
const stops: AbortController[] = [];
// PostgREST's stand-in has the rules in PGlite.
let bindery: TestBindery;
let rest: StandIn;

beforeAll(async () => {
  await servers.start();
  bindery = await createTestBindery();
  rest = await restServer(bindery).start();
}, 120_000);
afterEach(() => stops.splice(0).forEach((stop) => stop.abort()));
afterAll(async () => {
  await rest.stop();
  await bindery.close();
  await servers.stop();
});

/** Watches until it ends, or the test does. */
function follow(bookId: string, options: WatchOptions) {
  const seen: { status: BookStatus; at: number }[] = [];
  const logged: string[] = [];
  const stop = new AbortController();
  stops.push(stop);
  const log = (message: string) => void logged.push(message);
  const ended = (async () => {
    for await (const status of watch(bookId, { log, signal: stop.signal, ...options }))
      seen.push({ status, at: performance.now() });
  })();
  return { seen, logged, stop, ended };
}

const places: Record<string, () => { report: Client; url: string; key?: string }> = {
  PostgreSQL: () => ({ report: new Client(servers.redisUrl), url: servers.postgresUrl }),
  "binderyd's HTTP": () => ({ report: new Client(servers.redisUrl), url: servers.httpUrl }),
  PostgREST: () => ({ report: new Client(rest.url, { key: KEY }), url: rest.url, key: KEY }),
};

describe.each(Object.keys(places))("over %s", (place) => {
  test("a book is seen from before its registration to its end", async () => {
    const bookId = crypto.randomUUID();
    const { report, ...options } = places[place]?.() ?? { report: new Client(), url: "" };
    const { seen, logged, ended } = follow(bookId, { poll: 50, ...options });
    const book = report.book(bookId);
    const isSeen = (status: string) => () => seen.some((known) => known.status.status === status);
    await book.stage("ANALYZING", async (stage) => {
      stage.report(50, "extract_text");
      await waitFor(isSeen("ANALYZING"), "the first stage");
    });
    for (const name of ["GENERATING_SCENES", "CREATING_ARTWORK"])
      await book.stage(name, () => waitFor(isSeen(name), name).then(() => undefined));
    book.transition("COMPLETED");
    await ended;
    await report.close();
    const revisions = seen.map(({ status }) => status.revision);
    expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
    expect(seen.at(-1)?.status).toMatchObject({ status: "COMPLETED", overall_progress: 100 });
    expect(logged).toEqual([]);
  });

  test("the iteration ends with its signal, its time, its loop, or a cancelled book", async () => {
    const bookId = crypto.randomUUID();
    const { report, ...options } = places[place]?.() ?? { report: new Client(), url: "" };
    report.book(bookId).transition("ANALYZING");
    await report.flush();
    const { seen, stop, ended } = follow(bookId, options);
    await waitFor(() => seen.length > 0, "a status");
    const began = performance.now();
    stop.abort();
    await ended;
    for await (const { book_id } of watch(bookId, { ...options, signal: stop.signal }))
      expect.unreachable(book_id);
    for await (const { book_id } of watch(bookId, options)) {
      expect(book_id).toBe(bookId);
      break;
    }
    expect(performance.now() - began).toBeLessThan(1500);
    const late = follow(crypto.randomUUID(), { timeout: 100, ...options });
    await late.ended;
    expect(late.seen).toEqual([]);
    const cancelled = follow(bookId, { poll: 50, ...options });
    if (place === "PostgREST") await bindery.cancel(bookId);
    else await servers.sql("select bindery.cancel_book($1)", bookId);
    await cancelled.ended;
    expect(cancelled.seen.at(-1)?.status.status).toBe("CANCELLED");
    await report.close();
  });
});

test("a change is seen at once over PostgreSQL, and after its restart", async () => {
  const bookId = crypto.randomUUID();
  await servers.sql("select 1 from bindery.register_book($1)", bookId);
  const { seen, logged } = follow(bookId, { url: servers.postgresUrl, poll: 30_000 });
  await waitFor(() => seen.length > 0, "the first status");
  await servers.sql("select bindery.begin_stage($1, 'ANALYZING')", bookId);
  const changed = performance.now();
  await waitFor(() => seen.length > 1, "the second status", 5000);
  expect((seen[1]?.at ?? 0) - changed).toBeLessThan(1000);
  await servers.do("restart-postgres");
  await servers.sql("select 1 from bindery.fail_book($1)", bookId);
  await waitFor(() => seen.at(-1)?.status.status === "FAILED", "the failure");
  expect(logged.length).toBeLessThanOrEqual(1);
});

test("a server that is away is waited for, with one warning", async () => {
  const bookId = crypto.randomUUID();
  const { seen, logged, stop, ended } = follow(bookId, { url: "http://127.0.0.1:1" });
  await waitFor(() => logged.length > 0, "a warning");
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(logged).toHaveLength(1);
  expect(logged[0]).toContain("cannot be read");
  stop.abort();
  await ended;
  expect(seen).toEqual([]);
});

test("what the server refuses to show is thrown", async () => {
  const { ended } = follow("a", { url: rest.url, key: KEY });
  await bindery.registerBook("a");
  rest.faults.push({ status: 409, body: { code: "PT409", message: "no", details: null } });
  await expect(ended).rejects.toBeInstanceOf(Refused);
});

test("watching is refused where no status is, with what to set", () => {
  expect(() => watch("moby-dick", { url: "redis://127.0.0.1:1/" })).toThrow(/BINDERY_STATUS_URL/);
  expect(() => watch("moby-dick")).toThrow(RangeError);
  expect(() => watch("", { url: "https://localhost" })).toThrow(RangeError);
});
