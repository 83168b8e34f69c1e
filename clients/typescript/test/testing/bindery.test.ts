import { readFile, readdir } from "node:fs/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createTestBindery, Refused, type TestBindery } from "../../src/testing/index.js";
import { schema } from "../../src/testing/schema.js";

let bindery: TestBindery;
beforeAll(async () => {
  bindery = await createTestBindery();
});
beforeEach(() => bindery.reset());
afterAll(() => bindery.close());

test("the package holds the migrations of supabase/migrations unchanged", async () => {
  const folder = new URL("../../../../supabase/migrations/", import.meta.url);
  const names = (await readdir(folder)).filter((name) => name.endsWith(".sql")).sort();
  const texts = await Promise.all(names.map((name) => readFile(new URL(name, folder), "utf8")));
  expect(texts.join("\n")).toBe(schema);
});

test("a book goes through its stages to COMPLETED at exactly 100 percent", async () => {
  await bindery.registerBook("moby-dick", { title: "Moby Dick", metadata: { pages: 320 } });
  for (const stage of ["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK"])
    await bindery.beginStage("moby-dick", stage);
  const row = await bindery.transition("moby-dick", "COMPLETED", { message: "Done." });
  expect(row).toMatchObject({ status: "COMPLETED", overall_progress: 100, message: "Done." });
});

test("the status shows counted reports, the plan and the share of the whole", async () => {
  await bindery.registerBook("a");
  await bindery.beginStage("a", "ANALYZING");
  await bindery.report("a", { substep: "extract_text", done: 30, total: 120, unit: "page" });
  const status = await bindery.status("a");
  // extract_text is a quarter of ANALYZING's four weights, and ANALYZING 20 percent of the book.
  expect(status).toMatchObject({ stage_progress: 6.25, overall_progress: 1.25, health: "live" });
  expect(status.substeps.find((known) => known.substep === "extract_text")).toMatchObject({
    state: "active",
    progress: 25,
    done: 30,
    total: 120,
    unit: "page",
  });
  await bindery.plan("a", "CREATING_ARTWORK", { page_1: 1, page_2: 3 });
  await bindery.plan("a", "CREATING_ARTWORK", ["page_3"]);
  const planned = await bindery.sql("select substep, weight from bindery.book_progress order by 1");
  expect(planned).toContainEqual({ substep: "page_2", weight: 3 });
  expect(planned).toContainEqual({ substep: "page_3", weight: 1 });
});

test("an illegal transition is refused with what is allowed, and changes nothing", async () => {
  await bindery.registerBook("a");
  const refusal = await bindery.transition("a", "COMPLETED").catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(Refused);
  expect(refusal).toMatchObject({
    code: "illegal_transition",
    details: { allowed: ["ANALYZING", "FAILED", "CANCELLED"], from_status: "UPLOADED" },
    hint: "Allowed from UPLOADED: ANALYZING, FAILED, CANCELLED.",
  });
  expect(await bindery.status("a")).toMatchObject({ status: "UPLOADED", revision: 1 });
});

test("a book resumes after a failure with the checkpoint of its last attempt", async () => {
  await bindery.registerBook("a");
  expect(await bindery.beginStage("a", "ANALYZING", "worker-1")).toMatchObject({ attempt: 1 });
  await bindery.report("a", { substep: "extract_text", progress: 100 });
  await bindery.report("a", { substep: "detect_chapters", progress: 50, checkpoint: "chapter 7" });
  await bindery.heartbeat("a", 1);
  await bindery.fail("a", { error: { code: "torn_page" }, message: "Page 31 is torn." });
  const point = await bindery.beginStage("a", "ANALYZING");
  expect(point).toMatchObject({ attempt: 2, done: new Set(["extract_text"]) });
  expect(point.left.get("detect_chapters")).toEqual({
    progress: 50,
    checkpoint: "chapter 7",
    items: 0,
  });
  await bindery.fail("a");
  await bindery.resume("a");
  expect(await bindery.resumePoint("a")).toMatchObject({ attempt: 3, stage: "ANALYZING" });
  expect(await bindery.cancel("a", "No longer wanted.")).toMatchObject({ status: "CANCELLED" });
});

test("a pipeline of one's own can be defined, and its books follow it", async () => {
  const states = [{ name: "QUEUED" }, { name: "RECORDING", weight: 1 }, { name: "PUBLISHED" }];
  expect(await bindery.definePipeline("podcast", { states })).toBe(1);
  await bindery.registerBook("episode-1", { pipeline: "podcast" });
  await bindery.beginStage("episode-1", "RECORDING");
  expect(await bindery.report("episode-1", { progress: 50 })).toMatchObject({
    overall_progress: 50,
  });
});

test("row-level security shows a book to its owner only", async () => {
  const owner = "11111111-1111-4111-8111-111111111111";
  await bindery.registerBook("a", { ownerId: owner });
  const seen = async (sub: string) => {
    await bindery.db.exec("begin; set local role authenticated");
    await bindery.sql("select set_config('request.jwt.claims', $1, true)", [
      JSON.stringify({ sub }),
    ]);
    const rows = await bindery.sql("select book_id from bindery.book_status");
    await bindery.db.exec("rollback");
    return rows.length;
  };
  expect(await seen(owner)).toBe(1);
  expect(await seen("22222222-2222-4222-8222-222222222222")).toBe(0);
});

describe("copies", () => {
  test("a later database of the process is empty and apart from the first", async () => {
    await bindery.registerBook("a");
    const other = await createTestBindery();
    expect(await other.sql("select from bindery.book_status")).toHaveLength(0);
    await other.registerBook("b");
    expect(await bindery.sql("select from bindery.book_status")).toHaveLength(1);
    await other.close();
  });

  test("a clone has the books of its original, and both go their own ways", async () => {
    await bindery.registerBook("a");
    const clone = await bindery.clone();
    await clone.beginStage("a", "ANALYZING");
    expect((await clone.status("a")).status).toBe("ANALYZING");
    expect((await bindery.status("a")).status).toBe("UPLOADED");
    await clone.close();
  });

  test("a reset deletes the books and keeps pipelines", async () => {
    await bindery.registerBook("a");
    await bindery.beginStage("a", "ANALYZING");
    await bindery.reset();
    await expect(bindery.status("a")).rejects.toMatchObject({ code: "unknown_book" });
    expect(await bindery.registerBook("a")).toMatchObject({ revision: 1 });
  });
});
