// The promise of the reducer, over a thousand bad connections: whatever is dropped, repeated,
// reordered or cut, and however answers are overtaken, the page ends with the newest state, and
// never returns to an older one.
import { expect, test } from "vitest";
import { noBook, reduceBook } from "../src/book-reducer.js";
import { hasMore, noBooks, reduceBooks, type BooksAnswer } from "../src/books-reducer.js";
import type { News } from "../src/news.js";
import type { BookPatch, BookRow, BookStatus, Substep } from "../src/status.js";
import { at, id, noon, owner, row, stages, status, substep } from "./support/books.js";
import { chance } from "./support/chance.js";

const columns = Object.keys(row()) as (keyof BookRow)[];
type Chance = ReturnType<typeof chance>;

/** A book's life in the database: a whole status for each revision, and its changed substeps. */
function life(random: Chance, bookId = id(1)): Moment[] {
  const order = ["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK"];
  const all: Moment[] = [];
  let stage = 0;
  let attempt = 1;
  let progress = 0;
  let substeps: Substep[] = ["c", "a", "b"].map((key) => substep(key));
  for (let revision = 1; revision <= 3 + random.below(15); revision++) {
    const moves = random.happens(0.2) && stage < 2;
    const resumes = !moves && random.happens(0.1);
    if (moves) [stage, attempt, progress] = [stage + 1, 1, 0];
    if (resumes) attempt += 1;
    let changed: Substep[] = [];
    if (moves || resumes)
      substeps = ["c", "a", "b"].slice(random.below(2)).map((key) => substep(key));
    else {
      progress = Math.min(100, progress + random.below(30));
      changed = substeps
        .filter(() => random.happens(0.4))
        .map((one) => substep(one.substep, random.below(101), { message: `At ${revision}` }));
      // A stage with open substeps: this one is new.
      if (random.happens(0.2)) changed.push(substep(`d${String(revision).padStart(2, "0")}`, 1));
      substeps = merged(substeps, changed);
    }
    const name = order[stage] ?? "ANALYZING";
    const failed = random.happens(0.1);
    const before = all.at(-1)?.now;
    const now = status({
      book_id: bookId,
      revision,
      status: failed ? "FAILED" : name,
      current_stage: name,
      attempt,
      stage_progress: progress,
      overall_progress: stage * 30 + progress / 4,
      substeps,
      stages: stages(name, progress, failed ? "failed" : "active"),
      error: failed ? { code: "boom" } : null,
      health: failed ? null : "live",
      title: random.happens(0.2) ? `Title ${revision}` : (before?.title ?? "Title"),
      heartbeat_at: at(revision),
      metadata: random.happens(0.2) ? { at: revision } : (before?.metadata ?? {}),
    });
    all.push({ now, changed: moves || resumes || before === undefined ? null : changed });
  }
  return all;
}

/** A status, and the substeps that changed at its revision; null: the list is a new one. */
interface Moment {
  now: BookStatus;
  changed: Substep[] | null;
}

function merged(list: Substep[], changes: Substep[]): Substep[] {
  const latest = new Map([...list, ...changes].map((one) => [one.substep, one]));
  return [...latest.values()];
}

/** The changes after `from` up to `to`, as get_book_changes returns them. */
function changes(all: Moment[], from: number, to: number): Partial<BookPatch> {
  const passed = all.slice(from + 1, to + 1);
  const now = (all[to] as Moment).now;
  if (passed.some(({ changed }) => changed === null))
    return { substeps: now.substeps, substeps_partial: false };
  const keys = new Set(passed.flatMap(({ changed }) => changed ?? []).map((one) => one.substep));
  return { substeps: now.substeps.filter((one) => keys.has(one.substep)), substeps_partial: true };
}

/** A message about a revision: the row, without unchanged columns, or without what did not fit. */
function message(random: Chance, all: Moment[], place: number): BookPatch {
  const now = (all[place] as Moment).now;
  const before = all[place - 1]?.now;
  const columns: BookPatch = row(now);
  // The daemon's stream: everything, and the substeps that changed after an earlier revision.
  if (place > 0 && random.happens(0.2)) {
    const from = random.below(place);
    return { ...now, ...changes(all, from, place), since_revision: from + 1 };
  }
  const optional = ["title", "metadata", "error"] as const;
  // A broadcast has substeps, a row of Postgres Changes has none.
  const listed = random.happens(0.7) ? changes(all, place - 1, place) : {};
  if (random.happens(0.3)) {
    const part: BookPatch = { ...columns, ...listed, partial: true };
    for (const name of optional) if (random.happens(0.5)) delete part[name];
    if (random.happens(0.2)) delete part.substeps;
    return part;
  }
  const part: BookPatch = { ...columns, ...listed };
  if (before !== undefined && random.happens(0.5))
    for (const name of optional) if (now[name] === before[name]) delete part[name];
  return part;
}

/**
 * What arrives of a list of messages: some twice, some never, in nearly any order; the newest one
 * at least once.
 */
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
    const sent = truth.map((_, place) => message(random, truth, place));
    const whole = (place: number) => (truth[place] as Moment).now;
    const newest = whole(truth.length - 1);
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
    // An early answer of any age; then messages, with answers of any age between them.
    apply({ type: "fetched", answer: whole(random.below(truth.length)), at: noon });
    for (const payload of arriving(random, sent, sent.at(-1) as BookPatch)) {
      apply({ type: "received", payload, at: noon });
      if (asked > 0 && random.happens(0.3)) {
        asked -= 1;
        apply({ type: "fetched", answer: whole(random.below(truth.length)), at: noon });
      }
    }
    // No more messages: an open request is answered with the truth. Without one, the page must have
    // it already.
    if (asked > 0) apply({ type: "fetched", answer: newest, at: noon });
    expect(state.book).toEqual(newest);
    expect([state.certain, state.substeps.complete]).toEqual([true, true]);
  });
});

test("the changes of any stretches of a life, one after the other, give the same as the whole status", () => {
  seeds(500, (random) => {
    const truth = life(random);
    const whole = (place: number) => (truth[place] as Moment).now;
    const first = random.below(truth.length);
    let state = reduceBook(noBook(id(1)), {
      type: "fetched",
      answer: whole(first),
      at: noon,
    }).state;
    for (let from = first; from < truth.length - 1;) {
      const to = from + 1 + random.below(truth.length - from - 1);
      // What is sent again, from further back, does no harm.
      const since = random.happens(0.3) ? random.below(from + 1) : from;
      const payload = { ...whole(to), ...changes(truth, since, to), since_revision: since + 1 };
      const step = reduceBook(state, { type: "received", payload, at: noon });
      expect(step.refetch).toBe(false);
      state = step.state;
      from = to;
      expect(state.book).toEqual(whole(to));
    }
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
    const answer = (pick: (life: Moment[]) => Moment): BooksAnswer => {
      const all = lives.map((one) => row(pick(one).now));
      all.sort(
        (a, b) => b.overall_progress - a.overall_progress || (a.book_id < b.book_id ? 1 : -1),
      );
      return { rows: all.slice(0, query.limit), total: all.length, limit: query.limit };
    };
    const sent = lives.flatMap((one) => one.map((_, place) => message(random, one, place)));
    let state = noBooks(query);
    let open = false;
    const apply = (news: Parameters<typeof reduceBooks>[1]) => {
      const step = reduceBooks(state, news);
      state = step.state;
      open ||= step.refetch;
    };
    apply({
      type: "fetched",
      answer: answer((one) => one[random.below(one.length)] as Moment),
      at: noon,
    });
    for (const payload of random.shuffled(sent.filter(() => !random.happens(0.3)))) {
      apply({ type: "received", payload, at: noon });
      if (open && random.happens(0.2)) {
        open = false;
        apply({
          type: "fetched",
          answer: answer((one) => one[random.below(one.length)] as Moment),
          at: noon,
        });
      }
    }
    // The audit, as it comes once a minute: a lost last message is found by nothing else.
    const truth = answer((one) => one.at(-1) as Moment);
    apply({ type: "fetched", answer: truth, at: noon });
    // A row keeps the stages and the health that came with a message, until another has some.
    const rows = state.rows?.map((one) =>
      Object.fromEntries(columns.map((name) => [name, one[name]])),
    );
    expect(rows).toEqual(truth.rows);
    expect(state.total).toBe(5);
    expect([...state.trust.values()].every((trust) => trust.certain)).toBe(true);
  });
});

test("pages end with the newest rows, in order, as far as they were read", () => {
  const query = {
    ownerId: owner,
    statuses: null,
    pipeline: null,
    sort: "overall_progress",
    descending: true,
    limit: 2,
  } as const;
  const order = (a: BookRow, b: BookRow) =>
    b.overall_progress - a.overall_progress || (a.book_id < b.book_id ? 1 : -1);
  seeds(500, (random) => {
    const lives = [1, 2, 3, 4, 5, 6].map((n) => life(random, id(n)));
    /** How far the database is in each life. */
    const now = lives.map(() => 0);
    const rows = () => lives.map((one, n) => row((one[now[n] ?? 0] as Moment).now)).sort(order);
    let clock = noon;
    let state = noBooks(query);
    let edge: BookRow | undefined;
    const apply = (news: Parameters<typeof reduceBooks>[1]) => {
      const step = reduceBooks(state, news);
      state = step.state;
      return step;
    };
    const send = (kind: "window" | "page") => {
      const limit = state.query.limit;
      const below = rows().filter((one) => kind === "window" || (edge && order(one, edge) > 0));
      const read = below.slice(0, kind === "window" ? limit : limit - state.covered);
      edge = read.at(-1) ?? edge;
      const next = below.length > read.length ? "more" : null;
      return { kind, rows: read, total: lives.length, limit, next } satisfies BooksAnswer;
    };
    const change = () => {
      const n = random.below(lives.length);
      const place = now[n] ?? 0;
      const one = lives[n] as Moment[];
      if (place + 1 >= one.length) return;
      now[n] = place + 1;
      const { now: status } = one[place + 1] as Moment;
      apply({ type: "received", payload: row(status), at: ++clock });
    };
    const request = (kind: "window" | "page") => {
      const since = ++clock;
      const answer = send(kind);
      for (let n = random.below(4); n > 0; n--) change();
      apply({ type: "fetched", answer, since, at: ++clock });
    };
    request("window");
    for (let n = 0; n < 40; n++) {
      if (random.happens(0.8)) change();
      else if (random.happens(0.3)) request("window");
      else if (hasMore(state)) {
        apply({ type: "more", by: 2 });
        request("page");
      }
    }
    const truth = rows().filter((one) => !hasMore(state) || (edge && order(one, edge) <= 0));
    const seen = state.rows?.map((one) =>
      Object.fromEntries(columns.map((name) => [name, one[name]])),
    );
    expect(seen).toEqual(truth);
  });
});
