// Books for the tests: what the database would give.
import type { BookPatch, BookRow, BookStatus, Stage, Substep } from "../../src/status.js";

export const id = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
export const owner = id(999);

/** Midday, as the tests' clock begins. */
export const noon = Date.parse("2026-11-23T12:00:00Z");
export const at = (seconds: number) => new Date(noon + seconds * 1000).toISOString();

const names = ["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK"];
const labels = ["Reading the book", "Writing the scenes", "Drawing the pictures"];

/** The stages of the pipeline `comic` for a book that stands in `current`. */
export function stages(
  current: string,
  progress: number,
  state: Stage["state"] = "active",
): Stage[] {
  const here = current === "COMPLETED" ? names.length : names.indexOf(current);
  return names.map((name, place) => {
    const label = labels[place] ?? name;
    if (place < here) return { name, label, state: "done", progress: 100 };
    return place === here
      ? { name, label, state, progress }
      : { name, label, state: "pending", progress: 0 };
  });
}

export function status(changes: Partial<BookStatus> = {}): BookStatus {
  const stage_progress = changes.stage_progress ?? 40;
  const current_stage = changes.current_stage ?? changes.status ?? "ANALYZING";
  const state =
    changes.status === "FAILED"
      ? "failed"
      : changes.status === "CANCELLED"
        ? "cancelled"
        : "active";
  return {
    book_id: id(1),
    owner_id: owner,
    title: "The Salt Clock",
    pipeline: "comic",
    pipeline_version: 1,
    status: "ANALYZING",
    current_stage,
    overall_progress: 8,
    stage_progress,
    substeps_total: changes.substeps?.length ?? 2,
    substeps_done: changes.substeps?.filter(({ state }) => state === "done").length ?? 0,
    substeps: [
      {
        substep: "extract_text",
        label: "Extract text",
        weight: 1,
        state: "active",
        progress: 40,
        done: 48,
        total: 120,
        unit: "page",
      },
      {
        substep: "detect_chapters",
        label: "Detect chapters",
        weight: 1,
        state: "pending",
        progress: 0,
      },
    ],
    message: null,
    error: null,
    attempt: 1,
    revision: 5,
    heartbeat_at: at(-1),
    stage_entered_at: at(-60),
    stage_started_at: at(-60),
    resume_at: null,
    estimated_completion_at: null,
    metadata: {},
    created_at: at(-100),
    updated_at: at(-1),
    completed_at: null,
    stages: stages(current_stage, stage_progress, state),
    health: "live",
    ...changes,
  };
}

export function row(changes: Partial<BookStatus> = {}): BookRow {
  const { substeps: _, stages: __, health: ___, ...columns } = status(changes);
  return columns;
}

/** A broadcast: the row, and the substeps that changed. */
export function broadcast(changes: Partial<BookStatus> = {}, substeps: Substep[] = []): BookPatch {
  return { ...row(changes), substeps, substeps_partial: true };
}

export function substep(key: string, progress = 0, more: Partial<Substep> = {}): Substep {
  const state = progress >= 100 ? "done" : progress > 0 ? "active" : "pending";
  return { substep: key, label: key, weight: 1, state, progress, ...more };
}
