// The stages of a book with their durations and attempts, and the substeps of the current one.
import type { Stage } from "../status.js";
import { joined, unseen, type H } from "./h.js";
import { spent } from "./estimate.js";
import { icon } from "./icon.js";
import { nameOfState, type Labels } from "./labels.js";
import { substepList } from "./substep-list.js";
import { duration, present } from "./text.js";
import type { ShownBook } from "./tone.js";

/** One attempt at a stage, for a row below the stage. */
export interface AttemptRow {
  readonly stage: string;
  readonly attempt: number;
  readonly state: Exclude<Stage["state"], "pending">;
  /** Null while it runs, and if it is unknown. */
  readonly seconds: number | null;
  /** Why it ended. */
  readonly message?: string | null;
}

export interface StageListOptions {
  readonly now?: number | null;
  readonly showSubsteps?: boolean;
  readonly maxSubsteps?: number | undefined;
  /** Attempts to show below their stages. Without them a stage has the number of its attempts. */
  readonly attempts?: readonly AttemptRow[] | undefined;
}

export function stageList<N>(
  h: H<N>,
  book: ShownBook,
  labels: Labels,
  { now = null, showSubsteps = true, maxSubsteps, attempts = [] }: StageListOptions = {},
): N | null {
  const stages = book.stages ?? [];
  if (stages.length === 0) return null;
  const { substeps = [], substeps_total, substeps_done } = book;
  return h(
    "ol",
    { key: "stages", className: "bindery-stages" },
    ...stages.map((stage) => {
      const isHere = stage.name === book.current_stage && book.completed_at === null;
      const rows = attempts.filter((row) => row.stage === stage.name);
      const current = stage.state === "active" ? { "aria-current": "step" } : {};
      return h(
        "li",
        { key: stage.name, className: "bindery-stage", "data-state": stage.state, ...current },
        stageLine(h, stage, book, labels, now, rows.length > 0),
        rows.length > 0 &&
          h(
            "ol",
            { key: "attempts", className: "bindery-attempts" },
            ...rows.map((row) => attemptLine(h, row, stage, labels)),
          ),
        ...(isHere && showSubsteps
          ? substepList(h, { substeps, substeps_total, substeps_done }, labels, maxSubsteps)
          : []),
      );
    }),
  );
}

function stageLine<N>(
  h: H<N>,
  stage: Stage,
  book: ShownBook,
  labels: Labels,
  now: number | null,
  hasAttempts: boolean,
): N {
  const isBegun = stage.state !== "done" && stage.state !== "pending";
  const attempt = stage.attempt ?? 1;
  const detail = joined(
    isBegun && labels.percent(stage.progress),
    attempt > 1 && !hasAttempts && labels.attempt(attempt, stage.max_attempts ?? null),
    spent(stage, now, labels),
  );
  return h(
    "div",
    { key: "line", className: "bindery-stage-line" },
    h("span", { className: "bindery-stage-mark" }, icon(h, stage.state)),
    h(
      "span",
      { className: "bindery-stage-name", dir: "auto" },
      nameOfState(book, labels, stage.name),
    ),
    unseen(h, `, ${labels.stageState[stage.state]}`),
    detail !== "" && h("span", { className: "bindery-stage-detail" }, ` ${detail}`),
  );
}

function attemptLine<N>(h: H<N>, row: AttemptRow, stage: Stage, labels: Labels): N {
  const message = present(row.message);
  const took = row.seconds === null ? null : duration(row.seconds * 1000, labels);
  return h(
    "li",
    { key: String(row.attempt), className: "bindery-attempt", "data-state": row.state },
    icon(h, row.state),
    h(
      "span",
      { className: "bindery-attempt-name" },
      joined(labels.attempt(row.attempt, stage.max_attempts ?? null), labels.stageState[row.state]),
    ),
    took !== null && h("span", { className: "bindery-attempt-time" }, ` ${took}`),
    message !== null &&
      h("span", { className: "bindery-attempt-message", dir: "auto" }, ` ${message}`),
  );
}
