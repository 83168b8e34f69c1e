// The states that a tracker can show, for the tests of its markup.
import { readFileSync } from "node:fs";
import type { BookView } from "../../src/bindery.js";
import { BinderyError } from "../../src/errors.js";
import type { BookStatus } from "../../src/status.js";
import { at, stages, status } from "./books.js";

export const view = (book: BookStatus | null, more: Partial<BookView> = {}): BookView => ({
  book,
  connection: "live",
  stale: false,
  loading: book === null,
  error: null,
  ...more,
});

export const failed = status({
  status: "FAILED",
  current_stage: "CREATING_ARTWORK",
  revision: 9,
  attempt: 3,
  error: { code: "out_of_ink" },
  message: "The ink ran out",
  health: null,
});

export const completed = status({
  status: "COMPLETED",
  completed_at: at(0),
  overall_progress: 100,
  health: null,
  stages: stages("COMPLETED", 100),
  substeps: [],
});

export const moments: [string, BookView][] = [
  ["loading", view(null)],
  ["waiting", view(status({ status: "UPLOADED", overall_progress: 0, substeps: [] }))],
  ["active", view(status())],
  ["active with many substeps", view(status({ substeps_total: 1000, substeps_done: 812 }))],
  ["quiet", view(status({ health: "quiet" }))],
  ["stalled", view(status({ health: "stalled" }))],
  ["failed", view(failed)],
  ["failed with a retry to come", view({ ...failed, resume_at: at(19) })],
  ["cancelled", view(status({ status: "CANCELLED", current_stage: "ANALYZING" }))],
  ["completed", view(completed)],
  [
    "reconnecting and stale",
    view(status(), {
      connection: "reconnecting",
      stale: true,
      error: new BinderyError("unreachable", "no"),
    }),
  ],
  ["delayed", view(status(), { connection: "delayed" })],
  ["gone", view(null, { loading: false, error: new BinderyError("gone", "no") })],
];

/** What the database gives at each step of a book's life. */
export const fixtures = readFileSync(`${import.meta.dirname}/../fixtures/statuses.jsonl`, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as BookStatus);
