// The substeps of a stage, each with its bar.
import { firstSubsteps } from "../first-substeps.js";
import type { Substep } from "../status.js";
import { unseen, type H } from "./h.js";
import { icon } from "./icon.js";
import type { Labels } from "./labels.js";
import { amount, number, present } from "./text.js";

export interface SubstepCounts {
  readonly substeps: readonly Substep[];
  readonly substeps_total: number;
  readonly substeps_done: number;
}

/** At most `most` substeps, and below them the counts if some are not shown. */
export function substepList<N>(
  h: H<N>,
  { substeps, substeps_total, substeps_done }: SubstepCounts,
  labels: Labels,
  most = Number.POSITIVE_INFINITY,
): (N | null)[] {
  const shown = firstSubsteps(substeps, most);
  const isWhole = shown.length >= Math.max(substeps.length, substeps_total);
  return [
    shown.length === 0
      ? null
      : h(
          "ul",
          { key: "substeps", className: "bindery-substeps" },
          ...shown.map((one) => substepLine(h, one, labels)),
        ),
    isWhole
      ? null
      : h(
          "p",
          { key: "count", className: "bindery-substeps-count" },
          labels.substeps(
            number(substeps_done, labels),
            number(substeps_total, labels),
            number(shown.length, labels),
          ),
        ),
  ];
}

function substepLine<N>(h: H<N>, substep: Substep, labels: Labels): N {
  const { state, progress } = substep;
  const message = state === "active" ? present(substep.message) : null;
  return h(
    "li",
    { key: substep.substep, className: "bindery-substep", "data-state": state },
    icon(h, state),
    h("span", { className: "bindery-substep-name", dir: "auto" }, nameOfSubstep(substep)),
    unseen(h, `, ${labels.stageState[state]}`),
    h(
      "span",
      { className: "bindery-substep-bar", "aria-hidden": true },
      h("span", {
        className: "bindery-substep-fill",
        style: { width: `${state === "done" ? 100 : progress}%` },
      }),
    ),
    state !== "pending" &&
      h("span", { className: "bindery-substep-amount" }, ` ${amountOf(substep, labels)}`),
    message !== null &&
      h("span", { className: "bindery-substep-message", dir: "auto" }, ` ${message}`),
  );
}

/** Its label, or its key if the label is empty. */
export const nameOfSubstep = ({ label, substep }: Substep): string => present(label) ?? substep;

/** The progress of a substep: its counts, if it has any. */
export function amountOf({ done, total, unit, progress }: Substep, labels: Labels): string {
  return done === undefined ? labels.percent(progress) : amount(done, total, unit, labels);
}
