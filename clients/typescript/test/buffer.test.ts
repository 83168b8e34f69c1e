import { expect, test } from "vitest";
import { Flaky, waitFor } from "./support.js";

test("while the server is away the newest state of each substep waits, and arrives once", async () => {
  const server = new Flaky();
  server.isAway = true;
  const book = server.client.book("a");
  await book.stage("ANALYZING", (stage) => {
    for (let page = 1; page <= 1000; page += 1)
      stage.report({ done: page, total: 1000, unit: "page" }, "extract_text");
    stage.report(50, "detect_chapters");
    stage.message("Reading", "extract_text");
  });
  book.transition("COMPLETED");
  expect(await book.flush(300)).toBe(false);
  expect(server.logged).toEqual(["Bindery cannot be reached, reports wait: connection refused"]);

  server.isAway = false;
  expect(await book.flush()).toBe(true);
  expect(server.kinds).toEqual([
    "register",
    "begin ANALYZING",
    "progress",
    "progress",
    "transition COMPLETED",
  ]);
  expect(server.events[2]).toMatchObject({
    stage: "ANALYZING",
    substep: "extract_text",
    done: "1000",
    total: "1000",
    unit: "page",
    message: "Reading",
  });
  expect(server.events[3]).toMatchObject({ substep: "detect_chapters", progress: "50" });
});

test("a full buffer drops the oldest reports first, and lifecycle events only at its bound", async () => {
  const server = new Flaky({ maxEvents: 10 });
  server.isAway = true;
  const book = server.client.book("a", { title: "A" });
  await book.stage("ANALYZING", async (stage) => {
    for (let page = 0; page < 20; page += 1) stage.report(page, `page_${page}`);
  });
  // Two lifecycle events and eight reports fill the buffer.
  expect(server.client.dropped).toBe(12);
  for (const state of ["A", "B", "C", "D", "E", "F", "G", "H"]) book.transition(state);
  expect(server.client.dropped).toBe(20);
  book.transition("I");
  expect(server.client.dropped).toBe(21);
  expect(await server.client.flush(100)).toBe(false);

  server.isAway = false;
  expect(await server.client.flush()).toBe(true);
  const states = ["A", "B", "C", "D", "E", "F", "G", "H"].map((state) => `transition ${state}`);
  expect(server.kinds).toEqual(["register", "begin ANALYZING", ...states]);
  expect(server.logged.at(-1)).toBe("Bindery is reached again; 21 events were dropped meanwhile");
});

test("the bound counts bytes, too", async () => {
  const server = new Flaky({ maxBytes: 100_000 });
  server.isAway = true;
  await server.client.book("a", { register: false }).stage("ANALYZING", (stage) => {
    for (let page = 0; page < 50; page += 1) stage.checkpoint("x".repeat(10_000), `page_${page}`);
  });
  expect(server.client.dropped).toBeGreaterThan(40);
  expect(server.client.sender.buffer.bytes).toBeLessThanOrEqual(100_000);
});

test("reports that come fast are sent at most once an interval", async () => {
  const server = new Flaky({ interval: 100 });
  const book = server.client.book("a");
  const began = performance.now();
  await book.stage("ANALYZING", async (stage) => {
    for (let step = 0; step < 50; step += 1) {
      stage.report(step);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });
  const intervals = (performance.now() - began) / 100;
  await book.flush();
  const reports = server.events.filter((event) => event["type"] === "progress");
  expect(reports.length).toBeGreaterThan(1);
  expect(reports.length).toBeLessThanOrEqual(intervals + 3);
  expect(reports.at(-1)).toMatchObject({ progress: "49" });
});

test("an open stage without reports sends heartbeats", async () => {
  const server = new Flaky({ heartbeat: 20 });
  await server.client
    .book("a")
    .stage("ANALYZING", () =>
      waitFor(() => server.kinds.filter((kind) => kind === "heartbeat").length >= 3, "heartbeats"),
    );
  const beats = server.kinds.length;
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(server.kinds.length).toBe(beats);
});

test("books do not wait for one another, and each keeps its own order", async () => {
  const server = new Flaky();
  const ids = Array.from({ length: 50 }, (_, place) => `book ${place}`);
  await Promise.all(
    ids.map(async (id) => {
      const book = server.client.book(id);
      for (const stage of ["A", "B", "C"])
        await book.stage(stage, async (open) => {
          for await (const item of open.track([1, 2, 3], "all")) void item;
        });
      book.transition("COMPLETED");
    }),
  );
  expect(await server.client.flush()).toBe(true);
  for (const id of ids) {
    const { bookId } = server.client.book(id);
    const own = server.events.filter((event) => event["book_id"] === bookId);
    expect(own.map((event) => event["to_status"]).filter(Boolean)).toEqual([
      "A",
      "B",
      "C",
      "COMPLETED",
    ]);
    const ends = own.filter((event) => event["type"] === "progress" && event["done"] === "3");
    expect(ends.map((event) => event["stage"])).toEqual(["A", "B", "C"]);
  }
});
