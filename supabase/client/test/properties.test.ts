// The promise of the reducer, over a thousand bad connections: whatever is dropped, repeated, reordered or cut, and however
// answers are overtaken, the page ends with the newest state, and never goes back on the way.
import { expect, test } from "vitest";
import { noBook, reduceBook } from "../src/book-reducer.js";
import { noBooks, reduceBooks, type BooksAnswer } from "../src/books-reducer.js";
import type { News } from "../src/news.js";
import type { BookRow, BookStatus } from "../src/status.js";
import { at, id, noon, owner, row, stages, status } from "./support/books.js";
import { chance } from "./support/chance.js";

type Chance = ReturnType<typeof chance>;

/** A book's life as the database has it: one whole status a revision. */
function life(random: Chance, bookId = id(1)): BookStatus[] {
  const order = ["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK"];
  const all: BookStatus[] = [];
  let stage = 0;
  let progress = 0;
  for (let revision = 1; revision <= 3 + random.below(15); revision++) {
    if (random.happens(0.2) && stage < 2) [stage, progress] = [stage + 1, 0];
    else progress = Math.min(100, progress + random.below(30));
    const name = order[stage] ?? "ANALYZING";
    const failed = random.happens(0.1);
    all.push(
      status({
        book_id: bookId,
        revision,
        status: failed ? "FAILED" : name,
        current_stage: name,
        stage_progress: progress,
        overall_progress: stage * 30 + progress / 4,
        stages: stages(name, progress, failed ? "failed" : "active"),
        error: failed ? { code: "boom" } : null,
        health: failed ? null : "live",
        title: random.happens(0.2) ? `Title ${revision}` : (all.at(-1)?.title ?? "Title"),
        heartbeat_at: at(revision),
        metadata: random.happens(0.2) ? { at: revision } : (all.at(-1)?.metadata ?? {}),
      }),
    );
  }
  return all;
}

/** What Realtime makes of a revision: the row, or without what did not change, or without what did not fit. */
function message(
  random: Chance,
  now: BookStatus,
  before: BookStatus | undefined,
): Partial<BookRow> & { partial?: boolean } {
  const { stages: _, health: __, ...columns } = now;
  const optional = ["title", "metadata", "substeps", "error"] as const;
  if (random.happens(0.3)) {
    const part: Partial<BookRow> & { partial?: boolean } = { ...columns, partial: true };
    for (const name of optional) if (random.happens(0.5)) delete part[name];
    return part;
  }
  const part: Partial<BookRow> = { ...columns };
  if (before !== undefined) for (const name of optional) if (now[name] === before[name]) delete part[name];
  return random.happens(0.5) ? part : columns;
}

/** What arrives of a list of messages: some twice, some never, in nearly any order; the newest once at least. */
function arriving<Message>(random: Chance, sent: readonly Message[], newest: Message): Message[] {
  const kept = sent.filter((one) => one === newest || !random.happens(0.3));
  const doubled = kept.flatMap((one) => (random.happens(0.3) ? [one, one] : [one]));
  return random.happens(0.3) ? doubled : random.shuffled(doubled);
}

/** Runs it for many seeds; a failure names its seed, which gives the same again. */
function seeds(count: number, run: (random: Chance) => void) {
  for (let seed = 0; seed < count; seed++) {
    try {
      run(chance(seed));
    } catch (cause) {
      throw new Error(`seed ${seed}: ${String(cause)}`, { cause });
    }
  }
}

test("a book ends in its newest state, and never goes back on the way", () => {
  seeds(1000, (random) => {
    const truth = life(random);
    const sent = truth.map((now, place) => message(random, now, truth[place - 1]));
    const newest = truth.at(-1) as BookStatus;
    let state = noBook(id(1));
    let asked = 0;
    let shown = 0;
    const apply = (news: News<BookStatus>) => {
      const step = reduceBook(state, news);
      state = step.state;
      if (step.refetch) asked += 1;
      const revision = state.book?.revision ?? 0;
      if (revision < shown) throw new Error(`went back from ${shown} to ${revision}`);
      shown = revision;
    };
    // An early answer of any age; then messages, with answers of any age to the questions between them.
    apply({ type: "fetched", answer: truth[random.below(truth.length)] as BookStatus, at: noon });
    for (const payload of arriving(random, sent, sent.at(-1) as Partial<BookRow>)) {
      apply({ type: "received", payload, at: noon });
      if (asked > 0 && random.happens(0.3)) {
        asked -= 1;
        apply({ type: "fetched", answer: truth[random.below(truth.length)] as BookStatus, at: noon });
      }
    }
    // All is quiet now: an open question is answered with the truth. Where there is none, the page must have it already.
    if (asked > 0) apply({ type: "fetched", answer: newest, at: noon });
    expect(state.book).toEqual(newest);
    expect(state.certain).toBe(true);
  });
});

test("a list ends with the newest rows, in order", () => {
  const query = {
    ownerId: owner,
    statuses: null,
    pipeline: null,
    sort: "overall_progress",
    descending: true,
    limit: 3,
  } as const;
  seeds(500, (random) => {
    const lives = [1, 2, 3, 4, 5].map((n) => life(random, id(n)));
    const answer = (pick: (life: BookStatus[]) => BookStatus): BooksAnswer => {
      const all = lives.map((one) => row(pick(one)));
      all.sort((a, b) => b.overall_progress - a.overall_progress || (a.book_id < b.book_id ? 1 : -1));
      return { rows: all.slice(0, query.limit), total: all.length, limit: query.limit };
    };
    const sent = lives.flatMap((one) => one.map((now, place) => message(random, now, one[place - 1])));
    let state = noBooks(query);
    let open = false;
    const apply = (news: Parameters<typeof reduceBooks>[1]) => {
      const step = reduceBooks(state, news);
      state = step.state;
      open ||= step.refetch;
    };
    apply({ type: "fetched", answer: answer((one) => one[random.below(one.length)] as BookStatus), at: noon });
    for (const payload of random.shuffled(sent.filter(() => !random.happens(0.3)))) {
      apply({ type: "received", payload, at: noon });
      if (open && random.happens(0.2)) {
        open = false;
        apply({ type: "fetched", answer: answer((one) => one[random.below(one.length)] as BookStatus), at: noon });
      }
    }
    // The audit, as it comes once a minute: a lost last message is found by nothing else.
    const truth = answer((one) => one.at(-1) as BookStatus);
    apply({ type: "fetched", answer: truth, at: noon });
    expect(state.rows).toEqual(truth.rows);
    expect(state.total).toBe(5);
    expect([...state.trust.values()].every((trust) => trust.certain)).toBe(true);
  });
});
