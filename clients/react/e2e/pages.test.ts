// Timelines, substeps and acts over HTTP, against Postgres and the daemon: what the service and an
// owner see.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import {
  bookActs,
  bookSubsteps,
  bookTimeline,
  createBindery,
  sseTransport,
} from "../src/client.js";
import { Books, Daemon, token } from "./stack.js";

const books = new Books();
const open = new Daemon(null, "open");
const withTokens = new Daemon(null);
const owner = randomUUID();

beforeAll(async () => {
  await books.start();
  await Promise.all([open.start(), withTokens.start()]);
});

afterAll(async () => {
  await books.stop();
  await Promise.all([open.stop(), withTokens.stop()]);
});

const until = (check: () => void) => vi.waitFor(check, { timeout: 30_000, interval: 20 });
const service = () => createBindery(sseTransport(open.base));
const reader = () => createBindery(sseTransport(withTokens.base, { token: () => token(owner) }));

test("a book fails, is resumed and cancelled, and its history follows live", async () => {
  const book = await books.book(owner, "The Tide");
  const client = service();
  const timeline = bookTimeline(client, book.toUpperCase(), { limit: 2 });
  timeline.watch(() => undefined);
  const kinds = () => timeline.view().events.map(({ kind }) => kind);
  await until(() => expect(timeline.view().connection).toBe("live"));
  expect(kinds()).toEqual(["transition", "register"]);

  const error = JSON.stringify({ code: "out_of_memory" });
  await books.run("select from bindery.fail_book($1, $2::jsonb)", [book, error]);
  await until(() => expect(kinds()).toEqual(["fail", "transition", "register"]));
  expect(timeline.view().events[0]?.data).toMatchObject({ code: "out_of_memory" });

  const acts = bookActs(client, book);
  acts.watch(() => undefined);
  expect(await Promise.all([acts.resume(), acts.resume()])).toEqual([true, true]);
  expect(client.bookView(book).book).toMatchObject({ status: "ANALYZING", attempt: 2 });
  await until(() => expect(kinds()).toEqual(["resume", "fail", "transition", "register"]));

  expect(await acts.resume()).toBe(false);
  expect(acts.view()).toMatchObject({ state: "failed", error: { code: "not_failed" } });
  const revision = client.bookView(book).book?.revision ?? 0;
  expect(await acts.cancel({ expectedRevision: revision - 1 })).toBe(false);
  expect(acts.view().error).toMatchObject({ kind: "refused", code: "stale_revision" });
  expect(await acts.cancel({ message: "a duplicate", expectedRevision: revision })).toBe(true);
  await until(() => expect(kinds()[0]).toBe("cancel"));
  expect(timeline.view().events[0]?.message).toBe("a duplicate");
  await client.close();
});

test("an owner reads the history, and may neither resume nor cancel", async () => {
  const book = await books.book(owner, "The Reef");
  const client = reader();
  const timeline = bookTimeline(client, book);
  timeline.watch(() => undefined);
  await until(() => expect(timeline.view().events.length).toBe(2));
  const acts = bookActs(client, book);
  acts.watch(() => undefined);
  expect(await acts.cancel()).toBe(false);
  expect(acts.view()).toMatchObject({ act: "cancel", error: { kind: "denied" } });
  await until(() => expect(client.bookView(book).book?.status).toBe("ANALYZING"));
  const stranger = createBindery(
    sseTransport(withTokens.base, { token: () => token(randomUUID()) }),
  );
  await expect(stranger.fetchBook(book)).rejects.toMatchObject({ kind: "gone" });
  await Promise.all([client.close(), stranger.close()]);
});

test("1,000 substeps are read by pages and follow live", async () => {
  const book = await books.book(owner, "The Atlas");
  const plan = Array.from({ length: 1_000 }, (_, n) => ({
    substep: `page_${String(n).padStart(4, "0")}`,
  }));
  await books.run("select from bindery.plan_substeps($1, 'ANALYZING', $2::jsonb)", [
    book,
    JSON.stringify(plan),
  ]);
  const client = reader();
  const list = bookSubsteps(client, book, { stage: "ANALYZING", limit: 500 });
  list.watch(() => undefined);
  await until(() => expect(list.view().connection).toBe("live"));
  await until(() => expect(list.view().substeps.length).toBe(500));
  list.loadMore();
  await until(() => expect(list.view().substeps.length).toBe(1_000));
  list.loadMore();
  await until(() => expect(list.view().hasMore).toBe(false));
  const progressOf = (key: string) =>
    list.view().substeps.find(({ substep }) => substep === key)?.progress;
  for (const n of [999, 500, 0]) {
    const key = `page_${String(n).padStart(4, "0")}`;
    await books.run("select from bindery.report_progress($1, $2, 100)", [book, key]);
    await until(() => expect(progressOf(key)).toBe(100));
  }
  const keys = list.view().substeps.map(({ substep }) => substep);
  expect(keys).toEqual([...keys].sort());
  await client.close();
});
