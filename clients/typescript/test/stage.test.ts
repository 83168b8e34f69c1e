import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { Client, Failed, Superseded, type Stage } from "../src/index.js";
import { createTestBindery, record, type TestBindery } from "../src/testing/index.js";

// The real rules, in PGlite.
let bindery: TestBindery;
let client: Client;
const logged: string[] = [];
beforeAll(async () => {
  bindery = await createTestBindery();
});
beforeEach(async () => {
  await bindery.reset();
  logged.length = 0;
  client = bindery.client({ interval: 5, log: (message) => void logged.push(message) });
});
afterAll(() => bindery.close());

const pages = Array.from({ length: 10 }, (_, place) => `page ${place}`);
async function* later<T>(items: Iterable<T>): AsyncGenerator<T> {
  for (const item of items) {
    await Promise.resolve();
    yield item;
  }
}
const substepOf = async (id: string, name: string) =>
  (await bindery.status(id)).substeps.find((known) => known.substep === name);

test("a book that is worked on by its stages completes", async () => {
  const book = client.book("moby-dick", { title: "Moby Dick", pipeline: "comic" });
  const read: string[] = [];
  await book.stage("ANALYZING", async (stage) => {
    expect(stage.attempt).toBe(1);
    for await (const page of stage.track(pages, "extract_text", { unit: "page" })) read.push(page);
    stage.report({ done: 1, total: 4, message: "Chapter 1" }, "detect_chapters");
  });
  await book.flush();
  expect(read).toEqual(pages);
  expect(await substepOf("moby-dick", "extract_text")).toMatchObject({
    state: "done",
    done: 10,
    total: 10,
    unit: "page",
  });
  expect(await substepOf("moby-dick", "detect_chapters")).toMatchObject({
    progress: 25,
    message: "Chapter 1",
  });
  expect(await book.stage("GENERATING_SCENES", () => "the work's result")).toBe(
    "the work's result",
  );
  await book.stage("CREATING_ARTWORK", (stage) => stage.plan(["page_1", "page_2"]));
  book.transition("COMPLETED", "Done.");
  await book.flush();
  const status = await bindery.status("moby-dick");
  expect(status).toMatchObject({ status: "COMPLETED", title: "Moby Dick", message: "Done." });
  expect(logged).toEqual([]);
});

test("an error makes the book FAILED with its name as code, and is thrown on", async () => {
  const error = new RangeError("Page 31 is torn.");
  const work = client.book("a").stage("ANALYZING", () => {
    throw error;
  });
  await expect(work).rejects.toBe(error);
  // The failed stage has waited for delivery.
  expect(await bindery.status("a")).toMatchObject({
    status: "FAILED",
    message: "Page 31 is torn.",
    error: { code: "range_error", type: "RangeError" },
  });
});

test("Failed has a code, details and whether to try again of its own", async () => {
  const work = client.book("a").stage("ANALYZING", () => {
    throw new Failed("torn_page", "Torn.", { retry: false, details: { page: 31 } });
  });
  await expect(work).rejects.toBeInstanceOf(Failed);
  expect((await bindery.status("a")).error).toEqual({ code: "torn_page", page: 31, retry: false });
});

test.each(["for await", "for await over asynchronous items", "for"])(
  "a loop by %s continues behind the items that an earlier attempt has finished",
  async (way) => {
    const loop = async (stage: Stage, seen: string[], stopAt: number) => {
      const source = way.includes("asynchronous") ? later(pages) : pages;
      const track = stage.track(source, "extract_text", { total: 10 });
      const see = (page: string) => {
        seen.push(page);
        if (seen.length === stopAt) throw new Error("the lamp is out");
      };
      if (way === "for") for (const page of track) see(page);
      else for await (const page of track) see(page);
    };
    const first: string[] = [];
    const failed = client.book("a").stage("ANALYZING", (stage) => loop(stage, first, 4));
    await expect(failed).rejects.toThrow("the lamp is out");
    const second: string[] = [];
    await client.book("a").stage("ANALYZING", async (stage) => {
      expect(stage.attempt).toBe(2);
      expect(stage.resumePoint?.left.get("extract_text")).toMatchObject({ items: 3, progress: 30 });
      await loop(stage, second, 0);
    });
    await client.flush();
    // The fourth was not finished.
    expect(second).toEqual(pages.slice(3));
    expect(await substepOf("a", "extract_text")).toMatchObject({ state: "done", done: 10 });
    const third: string[] = [];
    await client.book("a").stage("ANALYZING", (stage) => loop(stage, third, 0));
    expect(third).toEqual([]);
  },
);

test("a checkpoint in a loop belongs to its item, and the next attempt finds both", async () => {
  const work = async (stage: Stage, stopAt: number) => {
    const point = stage.resumePoint?.left.get("extract_text");
    let words = (point?.checkpoint as number | null | undefined) ?? 0;
    for await (const page of stage.track(pages, "extract_text")) {
      const place = pages.indexOf(page);
      words += place;
      // After its last checkpoint the loop has finished two more items.
      if (place === stopAt) throw new Error("stop");
      if (place < 5 || stopAt < 0) stage.checkpoint(words);
    }
    return words;
  };
  await expect(client.book("a").stage("ANALYZING", (stage) => work(stage, 7))).rejects.toThrow();
  const words = await client.book("a").stage("ANALYZING", (stage) => work(stage, -1));
  expect(words).toBe(45);
});

test("a checkpoint outside a loop is found as it was saved; one that is no JSON is refused", async () => {
  const saved = { chapter: 7, names: ["Ishmael"] };
  const failed = client.book("a").stage("ANALYZING", (stage) => {
    stage.checkpoint(saved, "detect_chapters");
    expect(() => stage.checkpoint(() => 1)).toThrow(TypeError);
    stage.checkpoint("x".repeat(70_000));
    throw new Error("stop");
  });
  await expect(failed).rejects.toThrow("stop");
  await client.book("a").stage("ANALYZING", (stage) => {
    expect(stage.resumePoint?.left.get("detect_chapters")?.checkpoint).toEqual(saved);
    expect(stage.isDone("detect_chapters")).toBe(false);
  });
  expect(logged).toEqual(["a checkpoint of ANALYZING is not saved: it is larger than 64 KiB"]);
});

test("a worker whose book was given up is stopped by Superseded, and its reports do not count", async () => {
  let reason: unknown;
  const work = client.book("a").stage("ANALYZING", async (stage) => {
    stage.signal.addEventListener("abort", () => (reason = stage.signal.reason as unknown));
    for await (const page of stage.track(later(forever()), "extract_text")) {
      if (page === 3) {
        await bindery.fail("a");
        await bindery.resume("a");
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  });
  const error: unknown = await work.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Superseded);
  expect(error).toMatchObject({ stage: "ANALYZING", attempt: 1, currentAttempt: 2 });
  expect(reason).toBeInstanceOf(Superseded);
  await client.flush();
  // It is not a failure.
  expect(await bindery.status("a")).toMatchObject({ status: "ANALYZING", attempt: 2 });
});

function* forever(): Generator<number> {
  for (let number = 0; ; number += 1) yield number;
}

test("a silent worker learns by its heartbeat that it was given up", async () => {
  const quick = bindery.client({ heartbeat: 20 });
  const work = quick.book("a").stage("ANALYZING", async (stage) => {
    await bindery.cancel("a");
    await vi.waitFor(() => expect(stage.superseded).toBe(true), { timeout: 10_000 });
    stage.report(50, "extract_text");
  });
  await expect(work).rejects.toMatchObject({ name: "Superseded", status: "CANCELLED" });
});

test("heartbeats are sent beside a loop of work that never waits", async () => {
  const quick = bindery.client({ heartbeat: 20 });
  await quick.book("a").stage("ANALYZING", async (stage) => {
    const before = (
      await bindery.sql<{ at: Date }>("select heartbeat_at as at from bindery.book_status")
    )[0];
    const until = performance.now() + 500;
    for await (const number of stage.track(forever(), "detect_chapters")) {
      if (performance.now() > until) break;
      void number;
    }
    const after = (
      await bindery.sql<{ at: Date }>("select heartbeat_at as at from bindery.book_status")
    )[0];
    expect(Number(after?.at)).toBeGreaterThan(Number(before?.at) + 200);
  });
});

test("a begin for an attempt that has ended is superseded, and resumes nothing", async () => {
  await bindery.registerBook("a");
  await bindery.beginStage("a", "ANALYZING");
  await bindery.fail("a");
  const work = client.book("a", { register: false }).stage("ANALYZING", { attempt: 1 }, () => 1);
  await expect(work).rejects.toBeInstanceOf(Superseded);
  expect((await bindery.status("a")).status).toBe("FAILED");
});

/** A program of two stages; the lamp goes out in the second one while it has no oil. */
async function program(seen: string[], hasOil: boolean, more: (stage: Stage) => void = () => {}) {
  const book = client.book("a", { title: "A" });
  await book.stage("ANALYZING", async (stage) => {
    seen.push(`ANALYZING ${stage.isDone() ? "done" : stage.attempt}`);
    for await (const page of stage.track(pages.slice(0, 2), "extract_text")) seen.push(page);
    more(stage);
  });
  book.transition("GENERATING_SCENES");
  await book.stage("GENERATING_SCENES", async (stage) => {
    seen.push(`GENERATING_SCENES ${stage.isDone() ? "done" : stage.attempt}`);
    for await (const page of stage.track(pages.slice(2, 5), "split_scenes")) {
      seen.push(page);
      if (page === "page 3" && !hasOil) throw new Error("the lamp is out");
    }
  });
  await book.stage("CREATING_ARTWORK", (stage) => void (!stage.isDone() && stage.plan(["page_1"])));
  book.transition("COMPLETED");
  await book.flush();
}

test("a program that failed in its second stage runs again, and skips what is done", async () => {
  const first: string[] = [];
  await expect(program(first, false)).rejects.toThrow("the lamp is out");
  expect(await bindery.status("a")).toMatchObject({ status: "FAILED", attempt: 1 });
  const before = await bindery.status("a");
  const second: string[] = [];
  await program(second, true, (stage) => {
    // None of these has an effect.
    stage.report(5, "extract_text");
    stage.message("Again", "extract_text");
    stage.checkpoint({ page: 1 });
    stage.plan(["one_more"]);
    expect(stage.attempt).toBeUndefined();
    expect([stage.superseded, stage.isDone("extract_text"), stage.isDone()]).toEqual([
      false,
      true,
      true,
    ]);
    expect(() => stage.report(1, "No Substep")).toThrow(RangeError);
  });
  expect(second).toEqual(["ANALYZING done", "GENERATING_SCENES 2", "page 3", "page 4"]);
  expect(await bindery.status("a")).toMatchObject({ status: "COMPLETED" });
  const events = await bindery.sql<{ to_status: string }>(
    "select to_status from bindery.book_events where revision > $1 order by revision",
    [before.revision],
  );
  expect(events.map((event) => event.to_status)).toEqual([
    "GENERATING_SCENES",
    "CREATING_ARTWORK",
    "COMPLETED",
  ]);
  expect(logged).toEqual([]);
  // All of a complete book is done.
  const third: string[] = [];
  await program(third, true);
  expect(third).toEqual(["ANALYZING done", "GENERATING_SCENES done"]);
  expect(logged).toEqual([]);
});

test("an error in a stage that is done is thrown on, and does not make the book FAILED", async () => {
  await bindery.registerBook("a");
  for (const name of ["ANALYZING", "GENERATING_SCENES"]) await bindery.beginStage("a", name);
  const book = client.book("a");
  const work = book.stage("ANALYZING", () => {
    throw new Error("torn");
  });
  await expect(work).rejects.toThrow("torn");
  await client.flush();
  expect(await bindery.status("a")).toMatchObject({ status: "GENERATING_SCENES", attempt: 1 });
});

test("a stage is not skipped where the book is CANCELLED, its attempt is over, or skip is false", async () => {
  await bindery.registerBook("a");
  for (const name of ["ANALYZING", "GENERATING_SCENES"]) await bindery.beginStage("a", name);
  const book = client.book("a");
  const never = () => expect.unreachable();
  const superseded = { name: "Superseded", status: "GENERATING_SCENES" };
  await expect(book.stage("ANALYZING", { skip: false }, never)).rejects.toMatchObject(superseded);
  await expect(book.stage("ANALYZING", { attempt: 1 }, never)).rejects.toMatchObject(superseded);
  await bindery.cancel("a");
  const cancelled = { name: "Superseded", status: "CANCELLED" };
  await expect(book.stage("ANALYZING", never)).rejects.toMatchObject(cancelled);
  await expect(book.stage("GENERATING_SCENES", never)).rejects.toMatchObject(cancelled);
});

test("a worker that has begun is superseded, not skipped, once the book moves on", async () => {
  const work = client.book("a").stage("ANALYZING", async (stage) => {
    await bindery.beginStage("a", "GENERATING_SCENES");
    stage.report(50, "extract_text");
    await client.flush();
    expect(stage.isDone()).toBe(false);
    stage.report(60, "extract_text");
  });
  await expect(work).rejects.toMatchObject({ name: "Superseded", status: "GENERATING_SCENES" });
});

test("events of an unknown book wait until it is registered", async () => {
  const book = client.book("late", { register: false });
  const work = book.stage("ANALYZING", (stage) => stage.attempt);
  await new Promise((resolve) => setTimeout(resolve, 50));
  await bindery.registerBook("late");
  expect(await work).toBe(1);
});

test("what the server refuses is logged once, and harms nothing else", async () => {
  const book = client.book("a");
  await book.stage("ANALYZING", async (stage) => {
    stage.report(50, "no_such_substep");
    await book.flush();
    stage.report(60, "no_such_substep");
    stage.report(70, "extract_text");
  });
  await book.flush();
  expect(logged).toHaveLength(1);
  expect(logged[0]).toContain("refused a progress of book");
  expect(await substepOf("a", "extract_text")).toMatchObject({ progress: 70 });
});

test("reports out of range become the nearest end, and NaN changes nothing", async () => {
  await client.book("a").stage("ANALYZING", (stage) => {
    stage.report(1000, "extract_text");
    stage.report({ done: 12, total: 10 }, "detect_chapters");
    stage.report(Number.NaN, "analyze_characters");
    expect(() => stage.report({ done: 1 })).toThrow(TypeError);
    expect(() => stage.report(1, "No Substep")).toThrow(RangeError);
  });
  await client.flush();
  expect(await substepOf("a", "extract_text")).toMatchObject({ state: "done" });
  expect(await substepOf("a", "detect_chapters")).toMatchObject({ done: 10, total: 10 });
  expect(await substepOf("a", "analyze_characters")).toMatchObject({ state: "pending" });
  expect(logged).toEqual([]);
});

test("without a URL nothing is reported, and the work runs as it would", async () => {
  const off = new Client();
  const seen: string[] = [];
  await off.book("a").stage("ANALYZING", async (stage) => {
    expect(stage.attempt).toBeUndefined();
    for await (const page of stage.track(pages)) seen.push(page);
    stage.checkpoint({ page: 3 });
  });
  expect(seen).toEqual(pages);
  expect(await off.close()).toBe(true);
});

test("options and URLs that are not valid are refused at once", () => {
  expect(() => new Client("ftp://localhost")).toThrow(RangeError);
  expect(() => new Client(undefined, { interval: -1 })).toThrow();
  const misspelt = Object.assign({ interval: 1 }, { intervall: 1 });
  expect(() => new Client(undefined, misspelt)).toThrow();
});

test("record gives the events of the default client", async () => {
  const { book } = await import("../src/index.js");
  const events = await record(async () => {
    await book("moby-dick").stage("ANALYZING", async (stage) => {
      for await (const page of stage.track(pages, "extract_text")) void page;
    });
  });
  expect(events.map((event) => event["type"])).toEqual(["register", "begin", "progress"]);
  expect(events.at(-1)).toMatchObject({ done: "10", checkpoint: '{"tracked":10}' });
});

test("a step of a loop costs less than 1 µs above the bare loop", async () => {
  const items = new Array<number>(1_000_000).fill(1);
  let sum = 0;
  const bare = () => {
    const began = performance.now();
    for (const item of items) sum += item;
    return performance.now() - began;
  };
  await client.book("a").stage("ANALYZING", (stage) => {
    const costs = Array.from({ length: 5 }, (_, run) => {
      const began = performance.now();
      for (const item of stage.track(items, ["extract_text", "detect_chapters"][run % 2]))
        sum += item;
      return (performance.now() - began - bare()) / items.length;
    });
    // Milliseconds a step; the best of the runs, since the machine may be busy.
    expect(Math.min(...costs)).toBeLessThan(0.001);
  });
  expect(sum).toBe(10_000_000);
});
