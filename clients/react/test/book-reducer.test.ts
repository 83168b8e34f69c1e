import { describe, expect, test } from "vitest";
import { noBook, reduceBook, type BookState } from "../src/book-reducer.js";
import type { News } from "../src/news.js";
import { BinderyError } from "../src/errors.js";
import type { BookStatus } from "../src/status.js";
import { at, broadcast, id, noon, row, stages, status, substep } from "./support/books.js";

const known = (book: BookStatus = status()): BookState =>
  reduceBook(noBook(book.book_id), fetched(book)).state;
const fetched = (answer: BookStatus): News<BookStatus> => ({ type: "fetched", answer, at: noon });
const received = (payload: unknown, when = noon + 1000): News<BookStatus> => ({
  type: "received",
  payload,
  at: when,
});

describe("messages", () => {
  test("the next revision is taken over without a question", () => {
    const { state, refetch } = reduceBook(
      known(),
      received(broadcast({ revision: 6, overall_progress: 9, stage_progress: 45 })),
    );
    expect(state.book).toMatchObject({
      revision: 6,
      overall_progress: 9,
      stages: stages("ANALYZING", 45),
      health: "live",
    });
    expect(state.confirmedAt).toBe(noon + 1000);
    expect(refetch).toBe(false);
  });

  test.each([5, 4, 1])("revision %i is not news to a page at 5", (revision) => {
    const before = known();
    expect(reduceBook(before, received(broadcast({ revision, title: "old" })))).toEqual({
      state: before,
      refetch: false,
    });
  });

  test("columns that the next revision lacks are unchanged", () => {
    const { metadata: _, title: __, ...rest } = broadcast({ revision: 6, stage_progress: 50 });
    const { state, refetch } = reduceBook(known(), received(rest));
    expect(state.book?.title).toBe("The Salt Clock");
    expect(state).toMatchObject({ certain: true, book: { stage_progress: 50 } });
    expect(refetch).toBe(false);
  });

  test("columns that were left out are asked for, and the rest is shown at once", () => {
    const { state, refetch } = reduceBook(
      known(),
      received({ revision: 6, overall_progress: 9, partial: true }),
    );
    expect(state).toMatchObject({
      certain: false,
      book: { overall_progress: 9, title: "The Salt Clock" },
    });
    expect(refetch).toBe(true);
  });

  test("after a gap a missing column may have changed, so it is asked for", () => {
    const { state, refetch } = reduceBook(known(), received({ revision: 8, overall_progress: 12 }));
    expect(state).toMatchObject({ certain: false, book: { revision: 8 } });
    expect(refetch).toBe(true);
  });

  test("a whole row after a gap is believed, and what led to it asked for", () => {
    expect(reduceBook(known(), received(broadcast({ revision: 8 })))).toMatchObject({
      state: { certain: true, book: { revision: 8 } },
      refetch: true,
    });
  });

  test("doubt stays through further parts, and ends with a whole row", () => {
    const doubted = reduceBook(
      known(),
      received({ revision: 6, partial: true, status: "ANALYZING" }),
    ).state;
    const again = reduceBook(doubted, received({ revision: 7, stage_progress: 60 }));
    expect(again).toMatchObject({ state: { certain: false }, refetch: true });
    expect(reduceBook(again.state, received(broadcast({ revision: 8 }))).state.certain).toBe(true);
  });

  test("a change of stage shows the likely stages, and asks for the true ones", () => {
    const { state, refetch } = reduceBook(
      known(),
      received(broadcast({ revision: 6, status: "GENERATING_SCENES", stage_progress: 0 })),
    );
    expect(state.book?.stages).toEqual(stages("GENERATING_SCENES", 0));
    expect(refetch).toBe(true);
  });

  test("a whole status is taken as it is, over any gap", () => {
    const next = status({ revision: 40, status: "CREATING_ARTWORK", health: "quiet" });
    expect(reduceBook(known(), received(next))).toMatchObject({
      state: { book: next, certain: true },
      refetch: false,
    });
    expect(reduceBook(noBook(id(1)), received(next))).toMatchObject({
      state: { book: next },
      refetch: false,
    });
  });

  test("the same revision may bring a later heartbeat, never an earlier one", () => {
    const later = reduceBook(
      known(),
      received(status({ heartbeat_at: at(2), health: "live" })),
    ).state;
    expect(later.book?.heartbeat_at).toBe(at(2));
    expect(
      reduceBook(later, received(status({ heartbeat_at: at(1), health: "quiet" }))).state.book
        ?.health,
    ).toBe("live");
  });

  test("what makes no sense is a reason to ask", () => {
    for (const payload of [
      null,
      7,
      "text",
      [],
      {},
      { revision: "six" },
      { revision: 6, overall_progress: "half" },
    ]) {
      expect(reduceBook(known(), received(payload))).toEqual({ state: known(), refetch: true });
    }
  });

  test("another book's message changes nothing", () => {
    expect(reduceBook(known(), received(broadcast({ book_id: id(2), revision: 9 })))).toEqual({
      state: known(),
      refetch: false,
    });
  });

  test("unknown columns do no harm", () => {
    expect(
      reduceBook(known(), received({ ...row({ revision: 6 }), id: "message", novelty: [1] })).state
        .book?.revision,
    ).toBe(6);
  });

  test("a message before the first answer makes the answer wait for its revision", () => {
    const doubtful = reduceBook(noBook(id(1)), received(broadcast({ revision: 7 })));
    expect(doubtful).toMatchObject({ state: { book: null, newestRevision: 7 }, refetch: true });
    expect(reduceBook(doubtful.state, fetched(status({ revision: 6 })))).toMatchObject({
      state: { book: { revision: 6 } },
      refetch: true,
    });
  });
});

describe("substeps", () => {
  const shown = (state: BookState) =>
    state.book?.substeps.map((one) => `${one.substep} ${one.progress}`);
  const three = () =>
    status({
      substeps: [substep("c"), substep("a", 20), substep("b", 100)],
      substeps_total: 3,
      substeps_done: 1,
    });
  const message = (revision: number, changes: ReturnType<typeof substep>[], more: object = {}) =>
    received({ ...broadcast({ ...three(), revision }, changes), ...more });

  test("those of a partial list are merged by key, and the others stay in their places", () => {
    const { state, refetch } = reduceBook(known(three()), message(6, [substep("a", 50)]));
    expect([shown(state), refetch]).toEqual([["c 0", "a 50", "b 100"], false]);
  });

  test("new ones follow in the order of their keys", () => {
    const step = message(6, [substep("z", 1), substep("e", 1)], { substeps_total: 5 });
    const { state, refetch } = reduceBook(known(three()), step);
    expect([shown(state), refetch]).toEqual([["c 0", "a 20", "b 100", "e 1", "z 1"], false]);
  });

  test("a whole list replaces them", () => {
    const whole = message(9, [substep("a", 70)], { substeps_partial: false, substeps_total: 1 });
    expect(shown(reduceBook(known(three()), whole).state)).toEqual(["a 70"]);
  });

  test("after a gap the changes are shown, and the whole list is asked for", () => {
    const { state, refetch } = reduceBook(known(three()), message(7, [substep("a", 50)]));
    expect([shown(state), refetch]).toEqual([["c 0", "a 50", "b 100"], true]);
    const answered = reduceBook(state, fetched({ ...three(), revision: 7 }));
    expect(answered).toMatchObject({ state: { substeps: { complete: true } }, refetch: false });
  });

  test("changes since a revision that is known leave no gap, however far the revision has moved", () => {
    const event = {
      ...status(),
      ...three(),
      revision: 40,
      substeps: [substep("a", 90)],
      substeps_partial: true,
    };
    const step = reduceBook(known(three()), received({ ...event, since_revision: 5 }));
    expect([shown(step.state), step.refetch]).toEqual([["c 0", "a 90", "b 100"], false]);
    expect(step.state.book).not.toHaveProperty("since_revision");
    expect(reduceBook(known(three()), received({ ...event, since_revision: 6 })).refetch).toBe(
      true,
    );
  });

  test("a broadcast of the newest of several changes leaves no doubt where it has all changes since the last one", () => {
    const sent = message(40, [substep("a", 90)], { since_revision: 5 });
    const step = reduceBook(known(three()), sent);
    expect([shown(step.state), step.state.book?.revision, step.refetch]).toEqual([
      ["c 0", "a 90", "b 100"],
      40,
      false,
    ]);
    expect(reduceBook(known(three()), message(40, [substep("a", 90)])).refetch).toBe(true);
    const elsewhere = message(40, [substep("a", 90)], {
      since_revision: 5,
      stage_entered_at: at(3),
    });
    expect(reduceBook(known(three()), elsewhere).refetch).toBe(true);
  });

  test("the same revision again, with another health, keeps them", () => {
    const event = {
      ...status({ ...three(), health: "quiet" }),
      substeps: [],
      substeps_partial: true,
    };
    const { state, refetch } = reduceBook(
      known(three()),
      received({ ...event, since_revision: 5 }),
    );
    expect([shown(state), state.book?.health, refetch]).toEqual([
      ["c 0", "a 20", "b 100"],
      "quiet",
      false,
    ]);
  });

  test.each([{ attempt: 2 }, { status: "GENERATING_SCENES", current_stage: "GENERATING_SCENES" }])(
    "a partial list of another attempt or stage is not mixed with the old one, and the whole is asked for: %o",
    (other) => {
      const { state, refetch } = reduceBook(known(three()), message(6, [substep("a", 1)], other));
      expect([shown(state), refetch]).toEqual([["a 1"], true]);
    },
  );

  test("a partial status of a book that is not known is shown, and the rest asked for", () => {
    const event = {
      ...status(),
      substeps: [substep("a", 1)],
      substeps_partial: true,
      since_revision: 4,
    };
    const { state, refetch } = reduceBook(noBook(id(1)), received(event));
    expect([shown(state), refetch]).toEqual([["a 1"], true]);
  });

  test("a row without substeps keeps those of the same stage and attempt, and asks for what may have changed", () => {
    const { state, refetch } = reduceBook(
      known(three()),
      received(row({ ...three(), revision: 6 })),
    );
    expect([shown(state), state.book?.revision, refetch]).toEqual([
      ["c 0", "a 20", "b 100"],
      6,
      true,
    ]);
    const next = reduceBook(known(three()), received(row({ ...three(), revision: 6, attempt: 2 })));
    expect([shown(next.state), next.refetch]).toEqual([[], true]);
  });

  test("where a new plan has removed some, the whole list is asked for", () => {
    const { state, refetch } = reduceBook(
      known(three()),
      message(6, [substep("p_1")], { substeps_total: 1 }),
    );
    expect(refetch).toBe(true);
    const answer = status({ substeps: [substep("p_1")], revision: 6 });
    expect(shown(reduceBook(state, fetched(answer)).state)).toEqual(["p_1 0"]);
  });

  test("an overtaken answer brings the substeps that no later message had", () => {
    const doubted = reduceBook(known(three()), message(7, [substep("a", 50)])).state;
    const later = reduceBook(doubted, message(8, [substep("c", 10)])).state;
    const old = {
      ...three(),
      revision: 6,
      substeps: [substep("c", 5), substep("a", 30), substep("b", 100)],
    };
    const { state, refetch } = reduceBook(later, fetched(old));
    // Changes after revision 6 came by messages, so nothing is missing.
    expect([shown(state), refetch]).toEqual([["c 10", "a 50", "b 100"], false]);
    expect(reduceBook(later, fetched({ ...old, revision: 5 })).refetch).toBe(true);
  });

  test("200 are kept: active ones first, then pending ones, then those that are done", () => {
    const many = Array.from({ length: 200 }, (_, n) =>
      substep(`s${String(n).padStart(3, "0")}`, n < 10 ? 100 : 0),
    );
    const before = known(status({ substeps: many, substeps_total: 900, substeps_done: 300 }));
    const changes = Array.from({ length: 15 }, (_, n) => substep(`t${n}`, 5));
    const { state } = reduceBook(
      before,
      received(broadcast({ substeps_total: 900, substeps_done: 300, revision: 6 }, changes)),
    );
    const states = state.book?.substeps.map((one) => one.state);
    expect([states?.length, states?.filter((one) => one === "active").length]).toEqual([200, 15]);
    expect(states).not.toContain("done");
    expect(state.book?.substeps[0]?.substep).toBe("s010");
  });

  test("a whole list that a message had no room for is asked for", () => {
    const cut = message(6, [substep("a")], { substeps_partial: false, substeps_total: 300 });
    expect(reduceBook(known(three()), cut).refetch).toBe(true);
    const answer = status({ substeps: [substep("a")], substeps_total: 300, revision: 6 });
    expect(reduceBook(known(three()), fetched(answer)).refetch).toBe(false);
  });
});

describe("health", () => {
  const health = (changes: Partial<BookStatus>) =>
    reduceBook(known(status({ health: "quiet" })), received(broadcast({ revision: 6, ...changes })))
      .state.book?.health;

  test("follows from the row", () => {
    expect(health({})).toBe("quiet");
    expect(health({ heartbeat_at: at(1) })).toBe("live");
    expect(
      health({ status: "FAILED", current_stage: "ANALYZING", error: { code: "boom" } }),
    ).toBeNull();
    expect(
      health({ status: "FAILED", current_stage: "ANALYZING", error: { code: "stalled" } }),
    ).toBe("stalled");
    expect(health({ status: "CANCELLED", current_stage: "ANALYZING" })).toBeNull();
    expect(health({ status: "COMPLETED", completed_at: at(1) })).toBeNull();
  });
});

describe("answers", () => {
  test("an older answer does not overwrite a later message", () => {
    const ahead = reduceBook(known(), received(broadcast({ revision: 6 }))).state;
    expect(reduceBook(ahead, fetched(status({ revision: 5 })))).toMatchObject({
      state: { book: { revision: 6 } },
      refetch: false,
    });
  });

  test("an overtaken answer brings the columns that no later message had", () => {
    const part = { revision: 9, overall_progress: 20, partial: true };
    const doubted = reduceBook(known(), received(part)).state;
    const answer = status({
      revision: 8,
      overall_progress: 19,
      title: "A new title",
      stages: stages("ANALYZING", 39),
    });
    const { state, refetch } = reduceBook(doubted, fetched(answer));
    expect(state.book).toMatchObject({ revision: 9, overall_progress: 20, title: "A new title" });
    expect(refetch).toBe(true);
    expect(
      reduceBook(state, fetched(status({ revision: 7, title: "An old title" }))).state.book?.title,
    ).toBe("A new title");
  });

  test("an older answer does not end a doubt", () => {
    const doubted = reduceBook(known(), received({ revision: 9, overall_progress: 20 })).state;
    expect(reduceBook(doubted, fetched(status({ revision: 8 })))).toMatchObject({
      state: { certain: false },
      refetch: true,
    });
    expect(reduceBook(doubted, fetched(status({ revision: 9 })))).toMatchObject({
      state: { certain: true },
      refetch: false,
    });
  });

  test("a book that was deleted and registered again begins at revision 1, and old messages are not its own", () => {
    const reborn = status({ revision: 1, created_at: at(60) });
    expect(reduceBook(known(), received(broadcast(reborn)))).toMatchObject({ refetch: true });
    const { state, refetch } = reduceBook(known(), fetched(reborn));
    expect(state.book?.revision).toBe(1);
    expect(refetch).toBe(false);
    expect(reduceBook(state, received(broadcast({ revision: 6 }))).state.book?.revision).toBe(1);
  });

  test.each(["gone", "denied"] as const)("what is %s is no longer shown", (kind) => {
    const error = new BinderyError(kind, "no");
    expect(reduceBook(known(), { type: "failed", error, at: noon }).state).toMatchObject({
      book: null,
      error,
      confirmedAt: null,
    });
  });

  test.each(["unreachable", "signed_out", "refused", "bad_answer"] as const)(
    "after an error of kind %s the last that was known stays",
    (kind) => {
      const error = new BinderyError(kind, "no");
      expect(reduceBook(known(), { type: "failed", error, at: noon }).state).toMatchObject({
        book: status(),
        error,
        confirmedAt: noon,
      });
    },
  );

  test("a deleted book is queried, and the answer decides whether it is still shown", () => {
    expect(reduceBook(known(), { type: "deleted", bookId: id(1), at: noon })).toMatchObject({
      state: known(),
      refetch: true,
    });
    expect(reduceBook(known(), { type: "deleted", bookId: id(2), at: noon })).toEqual({
      state: known(),
      refetch: false,
    });
  });
});
