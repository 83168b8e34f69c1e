// The stages of a book, and the substeps of the current one.
import type { BookStatus, Stage, Substep } from "../status.js";
import { Unseen } from "./hidden.js";
import { Icon } from "./icon.js";
import { nameOfState, type Labels } from "./labels.js";
import { present } from "./text.js";

export function StageList({
  book,
  labels,
  showSubsteps,
}: {
  book: BookStatus;
  labels: Labels;
  showSubsteps: boolean;
}) {
  return (
    <ol className="bindery-stages">
      {book.stages.map((stage) => {
        const here = stage.name === book.current_stage && book.completed_at === null;
        return (
          <li
            key={stage.name}
            className="bindery-stage"
            data-state={stage.state}
            aria-current={stage.state === "active" ? "step" : undefined}
          >
            <StageLine stage={stage} name={nameOfState(book, labels, stage.name)} labels={labels} />
            {here && showSubsteps && book.substeps.length > 0 && (
              <SubstepList substeps={book.substeps} labels={labels} />
            )}
            {here && showSubsteps && book.substeps.length < book.substeps_total && (
              <p className="bindery-substeps-count">
                {labels.substeps(book.substeps_done, book.substeps_total, book.substeps.length)}
              </p>
            )}
          </li>
        );
      })}
    </ol>
  );
}

function StageLine({ stage, name, labels }: { stage: Stage; name: string; labels: Labels }) {
  const begun = stage.state !== "done" && stage.state !== "pending";
  return (
    <span className="bindery-stage-line">
      <Icon of={stage.state} />
      <span className="bindery-stage-name">{name}</span>
      <Unseen>, {labels.stageState[stage.state]}</Unseen>
      {begun && <span className="bindery-stage-progress"> {labels.percent(stage.progress)}</span>}
    </span>
  );
}

function SubstepList({ substeps, labels }: { substeps: readonly Substep[]; labels: Labels }) {
  return (
    <ul className="bindery-substeps">
      {substeps.map((substep) => (
        <li key={substep.substep} className="bindery-substep" data-state={substep.state}>
          <Icon of={substep.state} />
          <span className="bindery-substep-name">{nameOfSubstep(substep)}</span>
          <Unseen>, {labels.stageState[substep.state]}</Unseen>
          {substep.state !== "pending" && (
            <span className="bindery-substep-amount"> {amountOf(substep, labels)}</span>
          )}
          {substep.state === "active" && present(substep.message) !== null && (
            <span className="bindery-substep-message"> {substep.message}</span>
          )}
        </li>
      ))}
    </ul>
  );
}

/** Its label, or its key if the label is empty. */
export const nameOfSubstep = ({ label, substep }: Substep): string => present(label) ?? substep;

/** The progress of a substep: its counts, if it has any. */
export function amountOf({ done, total, unit, progress }: Substep, labels: Labels): string {
  return done === undefined ? labels.percent(progress) : labels.amount(done, total, unit);
}
