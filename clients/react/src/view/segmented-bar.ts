// The bar of a book: a segment for each stage, as wide as its weight.
import type { Stage } from "../status.js";
import { classes, type H } from "./h.js";
import { nameOfState, type Labels } from "./labels.js";
import { amountOf, nameOfSubstep } from "./substep-list.js";
import { toneOf, type ShownBook } from "./tone.js";

export interface BarOptions {
  /** The id of the element that names the bar; by default the bar has the book's title as name. */
  labelledBy?: string;
  className?: string | undefined;
}

/** A row without stages, and a book whose pipeline is missing, have one segment. */
export function segmentedBar<N>(
  h: H<N>,
  book: ShownBook,
  labels: Labels,
  { labelledBy, className }: BarOptions = {},
): N {
  const stages = book.stages ?? [];
  const named =
    labelledBy === undefined
      ? { "aria-label": titleOf(book, labels) }
      : { "aria-labelledby": labelledBy };
  return h(
    "div",
    {
      className: classes("bindery-bar", className),
      role: "progressbar",
      ...named,
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-valuenow": Math.floor(book.overall_progress),
      "aria-valuetext": spokenProgress(book, labels),
      "data-tone": toneOf(book),
    },
    ...(stages.length === 0
      ? [segment(h, "whole", wholeOf(book), 1, book.overall_progress)]
      : stages.map((stage) =>
          segment(h, stage.name, stage.state, widthOf(stage, stages), stage.progress),
        )),
  );
}

/** The bar of a book that is not loaded yet. */
export function skeletonBar<N>(h: H<N>): N {
  const bar = { className: "bindery-bar bindery-skeleton", "aria-hidden": true };
  return h("div", bar, ...[1, 2, 3].map((n) => segment(h, String(n), "pending", 1, 0)));
}

function segment<N>(
  h: H<N>,
  key: string,
  state: Stage["state"],
  width: number,
  progress: number,
): N {
  const grow = { flexGrow: String(width), flexBasis: "0%" };
  return h(
    "span",
    { key, className: "bindery-segment", "data-state": state, style: grow },
    h("span", { className: "bindery-segment-fill", style: { width: `${progress}%` } }),
  );
}

/** Weights count only if every stage has one: an older server gives none. */
export function widthOf(stage: Stage, stages: readonly Stage[]): number {
  return stages.every(({ weight }) => weight !== undefined && weight > 0) ? (stage.weight ?? 1) : 1;
}

function wholeOf(book: ShownBook): Stage["state"] {
  const tone = toneOf(book);
  return tone === "done" || tone === "failed" || tone === "cancelled" ? tone : "active";
}

/** "42 %, Reading the book: Extract text 30 of 120 pages". */
export function spokenProgress(book: ShownBook, labels: Labels): string {
  const active = book.substeps?.find((substep) => substep.state === "active");
  const detail =
    active === undefined || book.status !== book.current_stage
      ? ""
      : `: ${nameOfSubstep(active)} ${amountOf(active, labels)}`;
  return `${labels.percent(book.overall_progress)}, ${nameOfState(book, labels)}${detail}`;
}

/** The title, or else the text for a book without one. */
export function titleOf(book: ShownBook, labels: Labels): string {
  const title = book.title?.trim();
  return title ? title : labels.untitled;
}
