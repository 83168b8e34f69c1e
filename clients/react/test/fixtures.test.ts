// Holds the types and rules of this package against what the database returns:
// fixtures/statuses.jsonl, made by statuses.sql.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { noBook, reduceBook } from "../src/book-reducer.js";
import {
  bookRowSchema,
  bookStatusSchema,
  isFinal,
  type BookStatus,
  type Stage,
} from "../src/status.js";
import { noon, status } from "./support/books.js";

const lines = readFileSync(new URL("fixtures/statuses.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n");
const statuses = lines.map((line) => JSON.parse(line) as BookStatus);

const row = ({ substeps: _, stages: __, health: ___, ...columns }: BookStatus) => columns;

test("every status has exactly what the types describe", () => {
  for (const one of statuses) {
    expect(bookStatusSchema.parse(one)).toEqual(one);
    expect(bookRowSchema.parse(row(one))).toEqual(row(one));
    expect(Object.keys(one).sort()).toEqual(Object.keys(status()).sort());
  }
  expect(statuses.filter(isFinal).map((one) => one.status)).toEqual(["CANCELLED", "COMPLETED"]);
});

test("stages and health that follow from a row are those of the database, at every step of a book's life", () => {
  let steps = 0;
  let visits = 0;
  for (const before of statuses.filter((one) => !isFinal(one))) {
    const known = reduceBook(noBook(before.book_id), {
      type: "fetched",
      answer: before,
      at: noon,
    }).state;
    // The next one, and each that a page may see after it has missed some.
    for (const after of statuses.filter(
      (one) => one.revision > before.revision && isForward(before, one),
    )) {
      const { state } = reduceBook(known, { type: "received", payload: row(after), at: noon });
      const [ours, theirs] = [state.book?.stages ?? [], after.stages];
      expect([after.revision, ours.map(withoutVisit), state.book?.health]).toEqual([
        after.revision,
        theirs.map(withoutVisit),
        after.health,
      ]);
      // Visits that began, ended or were resumed unseen are only in an answer.
      const isNext = statuses.indexOf(after) === statuses.indexOf(before) + 1;
      if (isNext || (after.completed_at !== null && place(before) === theirs.length - 1)) {
        expect(ours).toEqual(theirs);
        visits += 1;
      }
      steps += 1;
    }
  }
  expect(steps).toBeGreaterThan(statuses.length);
  expect(visits).toBeGreaterThan(statuses.length / 2);
});

const withoutVisit = ({ attempt: _, started_at: __, seconds: ___, ...stage }: Stage) => stage;

const place = (one: BookStatus) =>
  one.stages.findIndex((stage) => stage.name === one.current_stage);

/** Whether it was given at a change, not at a later query, and no unseen stage lies between. */
function isForward(before: BookStatus, after: BookStatus): boolean {
  if (after.health === "quiet") return false;
  return after.completed_at !== null || place(after) - place(before) <= 1;
}
