import { describe, expect, test } from "vitest";
import { noBook, reduceBook, type BookState } from "../src/book-reducer.js";
import type { News } from "../src/news.js";
import { BinderyError } from "../src/errors.js";
import type { BookStatus } from "../src/status.js";
import { at, id, noon, row, stages, status } from "./support/books.js";

const known = (book: BookStatus = status()): BookState => reduceBook(noBook(book.book_id), fetched(book)).state;
const fetched = (answer: BookStatus): News<BookStatus> => ({ type: "fetched", answer, at: noon });
const received = (payload: unknown, when = noon + 1000): News<BookStatus> => ({ type: "received", payload, at: when });

describe("messages", () => {
  test("the next revision is taken over without a question", () => {
    const { state, refetch } = reduceBook(
      known(),
      received(row({ revision: 6, overall_progress: 9, stage_progress: 45 })),
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
    expect(reduceBook(before, received(row({ revision, title: "old" })))).toEqual({ state: before, refetch: false });
  });

  test("columns that the next revision lacks are unchanged", () => {
    const { substeps: _, metadata: __, ...rest } = row({ revision: 6, stage_progress: 50 });
    const { state, refetch } = reduceBook(known(), received(rest));
    expect(state.book?.substeps).toEqual(status().substeps);
    expect(state).toMatchObject({ certain: true, book: { stage_progress: 50 } });
    expect(refetch).toBe(false);
  });

  test("columns that were left out are asked for, and the rest is shown at once", () => {
    const { state, refetch } = reduceBook(known(), received({ revision: 6, overall_progress: 9, partial: true }));
    expect(state).toMatchObject({ certain: false, book: { overall_progress: 9, title: "The Salt Clock" } });
    expect(refetch).toBe(true);
  });

  test("after a gap a missing column may have changed, so it is asked for", () => {
    const { state, refetch } = reduceBook(known(), received({ revision: 8, overall_progress: 12 }));
    expect(state).toMatchObject({ certain: false, book: { revision: 8 } });
    expect(refetch).toBe(true);
  });

  test("a whole row after a gap is believed, and what led to it asked for", () => {
    expect(reduceBook(known(), received(row({ revision: 8 })))).toMatchObject({
      state: { certain: true, book: { revision: 8 } },
      refetch: true,
    });
  });

  test("doubt stays through further parts, and ends with a whole row", () => {
    const doubted = reduceBook(known(), received({ revision: 6, partial: true, status: "ANALYZING" })).state;
    const again = reduceBook(doubted, received({ revision: 7, stage_progress: 60 }));
    expect(again).toMatchObject({ state: { certain: false }, refetch: true });
    expect(reduceBook(again.state, received(row({ revision: 8 }))).state.certain).toBe(true);
  });

  test("a change of stage shows the likely stages, and asks for the true ones", () => {
    const { state, refetch } = reduceBook(
      known(),
      received(row({ revision: 6, status: "GENERATING_SCENES", stage_progress: 0 })),
    );
    expect(state.book?.stages).toEqual(stages("GENERATING_SCENES", 0));
    expect(refetch).toBe(true);
  });

  test("a whole status is taken as it is, over any gap", () => {
    const next = status({ revision: 40, status: "CREATING_ARTWORK", health: "quiet" });
    expect(reduceBook(known(), received(next))).toMatchObject({ state: { book: next, certain: true }, refetch: false });
    expect(reduceBook(noBook(id(1)), received(next))).toMatchObject({ state: { book: next }, refetch: false });
  });

  test("the same revision may bring a later heartbeat, never an earlier one", () => {
    const later = reduceBook(known(), received(status({ heartbeat_at: at(2), health: "live" }))).state;
    expect(later.book?.heartbeat_at).toBe(at(2));
    expect(reduceBook(later, received(status({ heartbeat_at: at(1), health: "quiet" }))).state.book?.health).toBe(
      "live",
    );
  });

  test("what makes no sense is a reason to ask", () => {
    for (const payload of [null, 7, "text", [], {}, { revision: "six" }, { revision: 6, overall_progress: "half" }]) {
      expect(reduceBook(known(), received(payload))).toEqual({ state: known(), refetch: true });
    }
  });

  test("another book's message changes nothing", () => {
    expect(reduceBook(known(), received(row({ book_id: id(2), revision: 9 })))).toEqual({
      state: known(),
      refetch: false,
    });
  });

  test("unknown columns do no harm", () => {
    expect(
      reduceBook(known(), received({ ...row({ revision: 6 }), id: "message", novelty: [1] })).state.book?.revision,
    ).toBe(6);
  });

  test("a message before the first answer makes the answer wait for its revision", () => {
    const heard = reduceBook(noBook(id(1)), received(row({ revision: 7 })));
    expect(heard).toMatchObject({ state: { book: null, heard: 7 }, refetch: true });
    expect(reduceBook(heard.state, fetched(status({ revision: 6 })))).toMatchObject({
      state: { book: { revision: 6 } },
      refetch: true,
    });
  });
});

describe("health", () => {
  const health = (changes: Partial<BookStatus>) =>
    reduceBook(known(status({ health: "quiet" })), received(row({ revision: 6, ...changes }))).state.book?.health;

  test("follows from what the row says", () => {
    expect(health({})).toBe("quiet");
    expect(health({ heartbeat_at: at(1) })).toBe("live");
    expect(health({ status: "FAILED", current_stage: "ANALYZING", error: { code: "boom" } })).toBeNull();
    expect(health({ status: "FAILED", current_stage: "ANALYZING", error: { code: "stalled" } })).toBe("stalled");
    expect(health({ status: "CANCELLED", current_stage: "ANALYZING" })).toBeNull();
    expect(health({ status: "COMPLETED", completed_at: at(1) })).toBeNull();
  });
});

describe("answers", () => {
  test("an older answer does not overwrite what a message said meanwhile", () => {
    const ahead = reduceBook(known(), received(row({ revision: 6 }))).state;
    expect(reduceBook(ahead, fetched(status({ revision: 5 })))).toMatchObject({
      state: { book: { revision: 6 } },
      refetch: false,
    });
  });

  test("an overtaken answer brings the columns that no message has told of since", () => {
    const part = { revision: 9, overall_progress: 20, partial: true };
    const doubted = reduceBook(known(), received(part)).state;
    const answer = status({ revision: 8, overall_progress: 19, title: "A new title", stages: stages("ANALYZING", 39) });
    const { state, refetch } = reduceBook(doubted, fetched(answer));
    expect(state.book).toMatchObject({ revision: 9, overall_progress: 20, title: "A new title" });
    expect(refetch).toBe(true);
    expect(reduceBook(state, fetched(status({ revision: 7, title: "An old title" }))).state.book?.title).toBe(
      "A new title",
    );
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
    expect(reduceBook(known(), received(row(reborn)))).toMatchObject({ refetch: true });
    const { state, refetch } = reduceBook(known(), fetched(reborn));
    expect(state.book?.revision).toBe(1);
    expect(refetch).toBe(false);
    expect(reduceBook(state, received(row({ revision: 6 }))).state.book?.revision).toBe(1);
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

  test("a deleted book is asked for, and not shown meanwhile", () => {
    expect(reduceBook(known(), { type: "deleted", bookId: id(1), at: noon })).toMatchObject({
      state: { book: null },
      refetch: true,
    });
    expect(reduceBook(known(), { type: "deleted", bookId: id(2), at: noon })).toEqual({
      state: known(),
      refetch: false,
    });
  });
});
