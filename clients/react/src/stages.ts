// Derives from a row the parts that only get_book_status computes: stages and health. They are
// exact for a row that stays in its stage. For one that moved they are the best guess until the
// answer of a refetch.
import { isFinal, type BookRow, type BookStatus, type Health, type Stage } from "./status.js";

export function followStages(before: BookStatus, after: BookRow): Stage[] {
  if (after.completed_at !== null) {
    return before.stages.map((stage) => ({ ...stage, state: "done", progress: 100 }));
  }
  const here = before.stages.findIndex((stage) => stage.name === after.current_stage);
  return before.stages.map((stage, place) => {
    if (place === here) return { ...stage, state: standing(after), progress: after.stage_progress };
    if (here < 0 || place > here) return { ...stage, state: "pending", progress: 0 };
    // An earlier stage that was never begun lies on another branch.
    return stage.state === "pending" ? stage : { ...stage, state: "done", progress: 100 };
  });
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
