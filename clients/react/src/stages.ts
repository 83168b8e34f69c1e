// Derives from a row the parts that only get_book_status computes: stages and health. They are
// exact for a row that stays in its stage. For one that moved they are the best guess until the
// answer of a refetch.
import { isFinal, type BookRow, type BookStatus, type Health, type Stage } from "./status.js";

export function followStages(before: BookStatus, after: BookRow): Stage[] {
  const isComplete = after.completed_at !== null;
  const here = before.stages.findIndex((stage) => stage.name === after.current_stage);
  return before.stages.map((stage, place) => {
    const isLast = stage.name === before.current_stage;
    if (!isComplete && place === here)
      return {
        ...stage,
        ...visit(stage, after),
        state: standing(after),
        progress: after.stage_progress,
      };
    if (!isComplete && (here < 0 || place > here))
      return { ...stage, state: "pending", progress: 0 };
    // An earlier stage that was never begun lies on another branch.
    if (!isComplete && stage.state === "pending") return stage;
    return { ...stage, ...(isLast ? ended(stage, after) : {}), state: "done", progress: 100 };
  });
}

/** The book's visit to its stage. An older server gives no visits. */
function visit(stage: Stage, { attempt, stage_entered_at }: BookRow): Partial<Stage> {
  if (stage.started_at === undefined) return {};
  const isSame = stage.started_at !== null && stage.started_at === stage_entered_at;
  return { attempt, started_at: stage_entered_at, seconds: isSame ? stage.seconds : null };
}

/** The visit that ended when the book came to the next stage, or was completed. */
function ended(stage: Stage, { completed_at, stage_entered_at }: BookRow): Partial<Stage> {
  if (typeof stage.started_at !== "string") return {};
  const end = Date.parse(completed_at ?? stage_entered_at);
  return { seconds: (end - Date.parse(stage.started_at)) / 1000 };
}

function standing(book: BookRow): Stage["state"] {
  if (book.status === "FAILED") return "failed";
  return book.status === "CANCELLED" ? "cancelled" : "active";
}

export function followHealth(before: BookStatus, after: BookRow): Health | null {
  if (after.status === "FAILED") return after.error?.code === "stalled" ? "stalled" : null;
  if (isFinal(after)) return null;
  const unmoved = after.status === before.status && after.heartbeat_at === before.heartbeat_at;
  return unmoved ? (before.health ?? "live") : "live";
}
