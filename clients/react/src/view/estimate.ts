// What a view shows about time: the remaining time, how long a stage took, and whether it takes
// longer than usual. Nothing is shown without confidence: `estimated_completion_at` and
// `median_seconds` are null with too few samples.
import type { Stage } from "../status.js";
import type { Labels } from "./labels.js";
import { duration } from "./text.js";
import type { ShownBook } from "./tone.js";

/** A stage is overdue after this many times its median duration. */
const OVERDUE = 1.5;

/** "about 12 min left"; null once the estimate has passed, and for a halted or stalled book. */
export function remaining(book: ShownBook, now: number | null, labels: Labels): string | null {
  if (!isAtWork(book) || book.health === "stalled") return null;
  if (book.estimated_completion_at === null || now === null) return null;
  const left = Date.parse(book.estimated_completion_at) - now;
  // In whole minutes, since nothing is known to the second.
  return left > 0 ? labels.remaining(duration(Math.max(left, 60_000), labels)) : null;
}

/** "longer than usual (median 4 min, now 11 min)", or null. */
export function overdue(book: ShownBook, now: number | null, labels: Labels): string | null {
  if (!isAtWork(book) || now === null) return null;
  const stage = book.stages?.find(({ name }) => name === book.current_stage);
  const median = stage?.median_seconds ?? null;
  const started = Date.parse(stage?.started_at ?? book.stage_started_at);
  if (stage?.state !== "active" || median === null || Number.isNaN(started)) return null;
  const elapsed = now - started;
  if (elapsed < OVERDUE * median * 1000 || elapsed < 60_000) return null;
  return labels.overdue(duration(median * 1000, labels), duration(elapsed, labels));
}

/** How long a stage took, or has taken up to now; null if that is unknown. */
export function spent(stage: Stage, now: number | null, labels: Labels): string | null {
  if (stage.state === "pending") return null;
  const started = Date.parse(stage.started_at ?? "");
  if (stage.state === "active")
    return Number.isNaN(started) || now === null ? null : duration(now - started, labels);
  const seconds = stage.seconds ?? null;
  return seconds === null ? null : duration(seconds * 1000, labels);
}

function isAtWork(book: ShownBook): boolean {
  return (
    book.status !== "FAILED" && book.status !== "CANCELLED" && (book.completed_at ?? null) === null
  );
}
