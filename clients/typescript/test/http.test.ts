import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { Client, Superseded, type Stage } from "../src/index.js";
import { createTestBindery, type TestBindery } from "../src/testing/index.js";
import { daemonServer, KEY, restServer, type StandIn } from "./http-servers.js";

let bindery: TestBindery;
beforeAll(async () => {
  bindery = await createTestBindery();
});
afterAll(() => bindery.close());

describe.each(["binderyd", "PostgREST"])("over %s", (kind) => {
  let server: StandIn;
  let client: Client;
  const logged: string[] = [];
  const open = (key = KEY) =>
    new Client(server.url, { key, interval: 5, log: (message) => void logged.push(message) });
  beforeEach(async () => {
    await bindery.reset();
    server = await (
      kind === "binderyd" ? await daemonServer(bindery) : restServer(bindery)
    ).start();
    logged.length = 0;
    client = open();
    return async () => {
      await client.close(100);
      await server.stop();
    };
  });

  test("a book is worked on, fails, and continues behind its checkpoint", async () => {
    const pages = [1, 2, 3, 4, 5, 6];
    const work = client.book("a", { title: "A" }).stage("ANALYZING", async (stage) => {
      expect(stage.attempt).toBe(1);
      for await (const page of stage.track(pages, "extract_text", { unit: "page" }))
        if (page === 4) throw new Error("torn");
    });
    await expect(work).rejects.toThrow("torn");
    expect(await bindery.status("a")).toMatchObject({ status: "FAILED", message: "torn" });
    const seen: number[] = [];
    const book = client.book("a");
    await book.stage("ANALYZING", async (stage) => {
      expect(stage.attempt).toBe(2);
      for await (const page of stage.track(pages, "extract_text")) seen.push(page);
    });
    for (const name of ["GENERATING_SCENES", "CREATING_ARTWORK"])
      await book.stage(name, (stage) => stage.superseded);
    book.transition("COMPLETED");
    expect(await book.flush()).toBe(true);
    expect(seen).toEqual([4, 5, 6]);
    expect(await bindery.status("a")).toMatchObject({ status: "COMPLETED", title: "A" });
    expect(logged).toEqual([]);
  });

  test("a worker whose book was given up is stopped by Superseded", async () => {
    const work = client.book("a").stage("ANALYZING", async (stage) => {
      await bindery.cancel("a");
      stage.report(50, "extract_text");
      await vi.waitFor(() => expect(stage.superseded).toBe(true), { timeout: 10_000 });
      stage.report(60, "extract_text");
    });
    await expect(work).rejects.toBeInstanceOf(Superseded);
  });

  test("a stage that the book has passed is skipped, but not one of a book that is CANCELLED", async () => {
    await bindery.registerBook("a");
    for (const name of ["ANALYZING", "GENERATING_SCENES"]) await bindery.beginStage("a", name);
    const book = client.book("a");
    const seen: unknown[] = [];
    const read = async (stage: Stage) => {
      for await (const page of stage.track([1, 2], "extract_text")) seen.push(page);
      seen.push(stage.isDone());
    };
    await book.stage("ANALYZING", read);
    book.transition("GENERATING_SCENES");
    await book.stage("GENERATING_SCENES", (stage) => void seen.push(stage.isDone(), stage.attempt));
    expect(await book.flush()).toBe(true);
    expect(seen).toEqual([true, false, 1]);
    await bindery.cancel("a");
    await expect(client.book("a").stage("ANALYZING", read)).rejects.toMatchObject({
      name: "Superseded",
      status: "CANCELLED",
    });
    expect(logged).toEqual([]);
  });

  test("an answer that is lost makes no event take effect twice", async () => {
    const book = client.book("a");
    await book.stage("ANALYZING", async (stage) => {
      await book.flush();
      server.faults.push("lost", "lost");
      stage.report({ done: 3, total: 10, message: "Page 3" }, "extract_text");
      expect(await book.flush(20_000)).toBe(true);
    });
    const [count] = await bindery.sql<{ n: number }>(
      "select count(*)::int as n from bindery.book_events",
    );
    expect(count).toEqual({ n: 2 });
    expect((await bindery.status("a")).substeps[0]).toMatchObject({ done: 3, message: "Page 3" });
    expect(logged).toHaveLength(1);
    expect(logged[0]).toContain("cannot be reached");
  });

  test("a server that cannot serve now is asked again, and a wrong key is a warning", async () => {
    await client.close();
    client = open("wrong");
    const work = client.book("a").stage("ANALYZING", (stage) => stage.attempt);
    // The work does not wait for a server that does not answer.
    expect(await work).toBeUndefined();
    expect(await client.flush(200)).toBe(false);
    expect(logged[0]).toContain("HTTP 401: no token");
    await client.close(100);
    client = open();
    server.faults.push({ status: 503, body: { code: "08000", message: "Postgres is away" } });
    client.book("b").transition("ANALYZING");
    expect(await client.flush()).toBe(true);
    expect((await bindery.status("b")).status).toBe("ANALYZING");
  });

  test("what is refused is logged, and what follows takes effect", async () => {
    const book = client.book("a");
    book.transition("NOWHERE");
    book.transition("ANALYZING");
    expect(await book.flush()).toBe(true);
    expect(logged.join()).toMatch(/refused a transition of book .*NOWHERE/);
    expect((await bindery.status("a")).status).toBe("ANALYZING");
  });
});

test.each([true, false])(
  "the details of stage_left are enough for a worker (passed: %s)",
  async (passed) => {
    await bindery.reset();
    const server = await restServer(bindery).start();
    const client = new Client(server.url, { key: KEY, log: () => undefined });
    const details = { code: "stage_left", passed, status: "GENERATING_SCENES", attempt: 3 };
    const body = { code: "PT409", message: "left", details: JSON.stringify(details) };
    server.faults.push({ status: 409, body });
    const work = client
      .book("a", { register: false })
      .stage("ANALYZING", (stage) => stage.isDone())
      .catch((error: unknown) => error);
    if (passed) expect(await work).toBe(true);
    else expect(await work).toMatchObject({ name: "Superseded", currentAttempt: 3 });
    expect(server.requests.filter(({ path }) => path !== "/api")).toHaveLength(1);
    await client.close();
    await server.stop();
  },
);

test("a batch whose answer was lost is sent again with its key", async () => {
  await bindery.reset();
  const server = await (await daemonServer(bindery)).start();
  const client = new Client(server.url, { key: KEY, log: () => undefined });
  server.faults.push("lost");
  const book = client.book("a");
  book.transition("ANALYZING");
  expect(await book.flush(20_000)).toBe(true);
  book.transition("GENERATING_SCENES");
  expect(await book.flush()).toBe(true);
  const keys = server.requests
    .filter((request) => request.path === "/api/events")
    .map((request) => request.headers["idempotency-key"]);
  expect(keys).toHaveLength(3);
  expect(keys[0]).toBe(keys[1]);
  expect(keys[2]).not.toBe(keys[0]);
  await client.close();
  await server.stop();
});

test("BINDERY_URL and BINDERY_KEY alone configure the package", async () => {
  await bindery.reset();
  const server = await restServer(bindery).start();
  vi.stubEnv("BINDERY_URL", server.url);
  vi.stubEnv("BINDERY_KEY", KEY);
  const { book, defaultClient } = await import("../src/index.js");
  await book("a").stage("ANALYZING", (stage) => expect(stage.attempt).toBe(1));
  expect((await bindery.status("a")).status).toBe("ANALYZING");
  await defaultClient().close();
  vi.unstubAllEnvs();
  await server.stop();
});

test("a large backlog is sent to binderyd in requests of less than 1 MiB", async () => {
  await bindery.reset();
  const server = await (await daemonServer(bindery)).start();
  const client = new Client(server.url, { key: KEY, beginTimeout: 0, log: () => undefined });
  const book = client.book("a");
  await book.stage("ANALYZING", () => undefined);
  await book.stage("GENERATING_SCENES", () => undefined);
  await book.stage("CREATING_ARTWORK", (stage) => {
    // Quotes are two bytes each in the request, as text in JSON.
    for (let page = 0; page < 20; page += 1)
      stage.checkpoint({ text: '"'.repeat(30_000) }, `page_${page}`);
  });
  expect(await book.flush(30_000)).toBe(true);
  const sizes = server.requests
    .filter((request) => request.path === "/api/events")
    .map((request) => JSON.stringify(request.body).length);
  expect(sizes.length).toBeGreaterThan(4);
  expect(Math.max(...sizes)).toBeLessThan(1024 * 1024);
  const [saved] = await bindery.sql<{ n: number }>(
    "select count(*)::int as n from bindery.book_progress where checkpoint is not null",
  );
  expect(saved).toEqual({ n: 20 });
  await client.close();
  await server.stop();
});
