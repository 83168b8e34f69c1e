import { beforeEach, expect, test, vi } from "vitest";
import type { ListedSubstep } from "../src/pages/items.js";
import { bookSubsteps } from "../src/pages/pages-of-books.js";
import { idleSubsteps } from "../src/pages/substep-list.js";
import type { BookStatus, Substep } from "../src/status.js";
import { at, broadcast, status, substep } from "./support/books.js";
import { chance } from "./support/chance.js";
import { around, bindery, transport, useClient } from "./support/client.js";
import { bookId, listed, pageRequests, Server } from "./support/pages.js";

useClient();

let server: Server;

beforeEach(() => {
  server = new Server();
  transport.answers = server.answer;
});

const pad = (n: number) => `chapter_${String(n).padStart(4, "0")}`;

/** The database has these substeps of the current stage; a status has unfinished ones first. */
function holds(substeps: ListedSubstep[], changes: Partial<BookStatus> = {}) {
  server.substeps = substeps;
  const shown = [...substeps]
    .sort((a, b) => Number(a.state === "done") - Number(b.state === "done"))
    .slice(0, 200)
    .map(({ attempt: _, revision: __, started_at: ___, updated_at: ____, ...rest }) => rest)
    .map(({ checkpoint: _, ...rest }): Substep => rest);
  server.status = status({
    substeps: shown,
    substeps_total: substeps.length,
    substeps_done: substeps.filter(({ state }) => state === "done").length,
    ...changes,
  });
}

/** Substeps change in the database under a new revision of the book. */
function change(revision: number, ...changes: ListedSubstep[]) {
  const keys = new Map(changes.map((one) => [one.substep, { ...one, revision }]));
  const rest = server.substeps.filter((one) => !keys.has(one.substep));
  const all = [...rest, ...keys.values()].sort((a, b) => (a.substep < b.substep ? -1 : 1));
  holds(all, { revision });
}

const message = (revision: number, changes: Substep[], more: Partial<BookStatus> = {}) => {
  const { substeps_total, substeps_done } = server.status;
  const counts = { substeps_total, substeps_done };
  transport.subscription.message({ ...broadcast({ revision, ...counts, ...more }, changes) });
};

let options: { stage?: string; limit?: number };
const list = () => bookSubsteps(bindery, bookId, options);
const shown = () =>
  list()
    .view()
    .substeps.map(({ substep, progress }) => [substep, progress]);
const sent = () => pageRequests(transport.requests);

async function watched(given: typeof options = {}) {
  options = given;
  const listener = vi.fn();
  const stop = list().watch(listener);
  await around.pass(0);
  transport.subscription.subscribed();
  await around.pass(2_000);
  return { listener, stop };
}

test("pages of substeps are read in the order of their keys", async () => {
  holds([0, 1, 2, 3, 4].map((n) => listed(pad(n), n)));
  await watched({ limit: 2 });
  expect(shown()).toEqual([
    [pad(0), 0],
    [pad(1), 1],
  ]);
  list().loadMore();
  await around.pass(0);
  list().loadMore();
  await around.pass(0);
  expect(shown().map(([key]) => key)).toEqual([0, 1, 2, 3, 4].map(pad));
  expect(list().view().hasMore).toBe(false);
  expect(sent()).toEqual([
    { stage: null, after: null, limit: 2 },
    { stage: null, after: pad(1), limit: 2 },
    { stage: null, after: pad(3), limit: 2 },
  ]);
});

test("a page of more than 200 substeps is read in several requests", async () => {
  holds(Array.from({ length: 450 }, (_, n) => listed(pad(n))));
  await watched({ limit: 450 });
  expect(shown().length).toBe(450);
  expect(sent().map((one) => (one as { limit: number }).limit)).toEqual([200, 200, 50]);
});

test("changes in messages are shown at once, without a request", async () => {
  holds([0, 1, 2].map((n) => listed(pad(n), 0, { checkpoint: { page: n } })));
  await watched();
  const { substeps } = list().view();
  const before = sent().length;
  change(6, listed(pad(1), 40));
  message(6, [substep(pad(1), 40)]);
  expect(shown()[1]).toEqual([pad(1), 40]);
  expect(list().view().substeps[0]).toBe(substeps[0]);
  expect(list().view().substeps[1]).toMatchObject({ checkpoint: { page: 1 }, revision: 6 });
  await around.pass(5_000);
  expect(sent().length).toBe(before);
});

test("a substep that is planned later appears in its place, and one of a later page does not", async () => {
  holds([0, 2, 4].map((n) => listed(pad(n))));
  await watched({ limit: 2 });
  change(6, listed(pad(1)), listed(pad(3)));
  message(6, [substep(pad(1)), substep(pad(3))]);
  expect(shown().map(([key]) => key)).toEqual([pad(0), pad(1), pad(2)]);
  list().loadMore();
  await around.pass(0);
  expect(shown().map(([key]) => key)).toEqual([0, 1, 2, 3, 4].map(pad));
});

test("substeps that a new plan has removed disappear", async () => {
  holds([0, 1, 2].map((n) => listed(pad(n))));
  await watched();
  holds(
    [0, 2].map((n) => listed(pad(n))),
    { revision: 6 },
  );
  message(6, []);
  await around.pass(2_000);
  expect(shown().map(([key]) => key)).toEqual([pad(0), pad(2)]);
});

test("after a gap between messages the pages are read again, at most once a second", async () => {
  holds(Array.from({ length: 300 }, (_, n) => listed(pad(n))));
  await watched({ limit: 100 });
  const before = sent().length;
  for (let revision = 7; revision < 47; revision += 2) {
    change(revision - 1, listed(pad(0), revision - 1));
    change(revision, listed(pad(1), revision));
    message(revision, [substep(pad(1), revision)]);
    await around.pass(50);
  }
  await around.pass(3_000);
  expect(shown()[0]).toEqual([pad(0), 44]);
  expect(sent().length - before).toBeLessThanOrEqual(4);
});

test("a message during a request is not lost, even if the answer is older", async () => {
  holds([0, 1].map((n) => listed(pad(n))));
  await watched();
  transport.answers = null;
  void list().refetch();
  const answer = { items: server.substeps, next: null };
  change(6, listed(pad(0), 70));
  message(6, [substep(pad(0), 70)]);
  transport.request.answer(answer);
  await around.pass(0);
  expect(shown()[0]).toEqual([pad(0), 70]);
});

test("a message during the first request is not lost", async () => {
  holds([0, 1].map((n) => listed(pad(n))));
  options = {};
  transport.answers = null;
  list().watch(() => undefined);
  transport.request.answer(server.status);
  await around.pass(0);
  const request = transport.request;
  expect(request.target).toMatchObject({ substeps: bookId });
  transport.subscription.subscribed();
  const old = server.substeps;
  change(6, listed(pad(0), 70));
  message(6, [substep(pad(0), 70)]);
  request.answer({ items: old, next: null });
  await around.pass(0);
  expect(shown()[0]).toEqual([pad(0), 70]);
});

test("the current stage is followed; the substeps of the old one are not shown any more", async () => {
  holds([listed("read", 100)]);
  await watched();
  server.substeps = [listed("scene_1", 0, { revision: 7 })];
  server.status = status({
    revision: 7,
    status: "GENERATING_SCENES",
    substeps: [substep("scene_1")],
  });
  message(7, [], { status: "GENERATING_SCENES", current_stage: "GENERATING_SCENES" });
  expect(list().view()).toMatchObject({ substeps: [], loading: true });
  await around.pass(2_000);
  expect(shown()).toEqual([["scene_1", 0]]);
});

test("substeps of a named stage stay, and messages about the current one do not mix with them", async () => {
  holds([listed("read", 100)]);
  server.status = status({ status: "GENERATING_SCENES", current_stage: "GENERATING_SCENES" });
  await watched({ stage: "ANALYZING" });
  expect(sent()).toEqual([{ stage: "ANALYZING", after: null, limit: 200 }]);
  const here = { status: "GENERATING_SCENES", current_stage: "GENERATING_SCENES" };
  message(6, [substep("read", 5), substep("scene_1", 5)], here);
  await around.pass(2_000);
  expect(shown()).toEqual([["read", 100]]);
});

test("a resume begins substeps anew", async () => {
  holds([listed("read", 40)], { status: "FAILED", current_stage: "ANALYZING" });
  await watched();
  holds([listed("read", 0, { attempt: 2, revision: 6 })], { revision: 6, attempt: 2 });
  message(6, [], { attempt: 2 });
  await around.pass(2_000);
  expect(list().view().substeps).toMatchObject([{ substep: "read", progress: 0, attempt: 2 }]);
});

test("without messages each poll brings the changes", async () => {
  holds([listed("read", 40)]);
  options = {};
  list().watch(() => undefined);
  await around.pass(0);
  transport.subscription.ended("unavailable");
  change(9, listed("read", 90));
  await around.pass(6_000);
  expect(shown()).toEqual([["read", 90]]);
  expect(list().view().connection).toBe("polling");
});

test("whatever is dropped and however late answers are, the list ends as the database has it", async () => {
  for (let seed = 0; seed < 40; seed++) {
    const random = chance(seed);
    const many = seed % 2 === 0 ? 30 : 260;
    holds(Array.from({ length: many }, (_, n) => listed(pad(n))));
    options = { limit: many };
    const stop = list().watch(() => undefined);
    await around.pass(0);
    transport.subscription.subscribed();
    await around.pass(3_000);
    for (let revision = 6; revision < 60; revision++) {
      const changed = listed(pad(random.below(many)), random.below(100), { updated_at: at(1) });
      change(revision, changed);
      const { attempt: _, revision: __, started_at: ___, updated_at: ____, ...rest } = changed;
      if (!random.happens(0.3)) message(revision, [rest]);
      if (random.happens(0.2)) await around.pass(random.below(900));
    }
    // The last message arrives; those before it may have been dropped.
    change(60);
    message(60, []);
    await around.pass(3_000);
    const expected = server.substeps.map(({ substep, progress }) => [substep, progress]);
    expect(shown(), `seed ${seed}`).toEqual(expected);
    stop();
    await around.pass(3_000);
    transport.subscription.closed = true;
  }
});

test("substeps without a watcher are forgotten", async () => {
  holds([listed("read", 40)]);
  const { stop } = await watched();
  stop();
  await around.pass(5_000);
  expect(list().view()).toBe(idleSubsteps);
  expect(vi.getTimerCount()).toBe(0);
});
