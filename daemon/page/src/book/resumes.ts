// Where a failed book continues: "Resumes at chapter 31 of 47, attempt 3 of 5, in 19 s".
import type { BookStatus } from "@bindery/react/client";
import { nameOfState, nameOfSubstep, number, present, unit } from "@bindery/react/view";
import { labels, span } from "../view.js";
import { toSubstep, type SubstepRow } from "./substeps.js";

/** The unfinished substep that the next attempt begins with. */
function nextSubstep(substeps: readonly SubstepRow[]): SubstepRow | undefined {
  const unfinished = substeps.filter(({ state }) => state !== "done");
  return unfinished.find(({ state }) => state === "active") ?? unfinished[0];
}

/** "chapter 31 of 47"; null if nothing is known below the stage. */
function placeIn(substep: SubstepRow | undefined): string | null {
  if (substep === undefined) return null;
  const { done, total } = substep;
  const name = present(substep.unit);
  // Without a checkpoint a substep starts over.
  const isKept = substep.checkpoint !== null && substep.checkpoint !== undefined;
  if (name === null || done == null || total == null || !Number.isInteger(done))
    return nameOfSubstep(toSubstep(substep));
  const next = isKept ? Math.min(done + 1, total) : 1;
  return `${unit(name, 1, labels)} ${number(next, labels)} of ${number(total, labels)}`;
}

/** The sentence; null if the book is not FAILED. Without `resume_at` it waits for an operator. */
export function resumesAt(
  book: BookStatus,
  substeps: readonly SubstepRow[],
  now: number,
): string | null {
  if (book.status !== "FAILED") return null;
  const stage = book.stages.find(({ name }) => name === book.current_stage);
  const most = stage?.max_attempts ?? null;
  const left = book.resume_at === null ? null : Date.parse(book.resume_at) - now;
  const where = placeIn(nextSubstep(substeps));
  const name = nameOfState(book, labels, book.current_stage);
  return [
    `${left === null ? "A resume continues" : "Resumes"} at ${where === null ? name : `${where} (${name})`}`,
    labels.attempt(book.attempt + 1, most),
    left === null ? null : left < 1000 ? "now" : `in\u00a0${span(left)}`,
  ]
    .filter((part) => part !== null)
    .join(", ");
}
