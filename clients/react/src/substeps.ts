// Merges the list of substeps from whole and partial lists, and records whether it has every
// change. Pure. A stage can have 10,000 substeps, so messages carry only those that changed; the
// list keeps 200 of them.
import { firstSubsteps } from "./first-substeps.js";
import {
  compareLives,
  type BookPatch,
  type BookRow,
  type BookStatus,
  type Substep,
} from "./status.js";

/** The database selects at most this many substeps for a status; no more are kept here. */
export const MOST_SUBSTEPS = 200;

export interface SubstepTrust {
  /** The revision of the last whole list. */
  readonly base: number;
  /** The revision at which a partial list last gave each substep, by key. */
  readonly patched: ReadonlyMap<string, number>;
  /** The list has every change after this revision. */
  readonly since: number;
  /** The list also has every change up to `since`. */
  readonly complete: boolean;
}

export interface Substeps {
  readonly list: Substep[];
  readonly trust: SubstepTrust;
}

export const noSubsteps: SubstepTrust = { base: 0, patched: new Map(), since: 0, complete: false };

/** The whole list at a revision. */
export function wholeSubsteps(list: Substep[], revision: number): Substeps {
  return {
    list: kept(list),
    trust: { base: revision, patched: new Map(), since: revision, complete: true },
  };
}

/** The list after a patch that is no older than `known`. `row` is the book's row after it. */
export function followSubsteps(
  known: BookStatus | null,
  trust: SubstepTrust,
  patch: BookPatch,
  row: BookRow,
): Substeps {
  const changes = patch.substeps;
  if (changes !== undefined && patch.substeps_partial !== true) {
    const { list, trust: whole } = wholeSubsteps(changes, patch.revision);
    // A message has less room than an answer.
    return {
      list,
      trust: { ...whole, complete: list.length >= Math.min(MOST_SUBSTEPS, row.substeps_total) },
    };
  }
  // The list belongs to one attempt at one stage; another attempt starts an empty one.
  const same = known !== null && isSameList(known, row);
  const list = overlaid(same ? known.substeps : [], changes ?? []);
  const patched = new Map(
    list.map(({ substep }) => [substep, (same ? trust.patched.get(substep) : undefined) ?? 0]),
  );
  for (const { substep } of changes ?? [])
    if (patched.has(substep)) patched.set(substep, patch.revision);
  // A patch without substeps does not change them.
  const since =
    changes === undefined ? patch.revision : (patch.since_revision ?? patch.revision - 1);
  // A partial list cannot remove a substep, which a new plan does.
  if (list.length > row.substeps_total)
    return { list, trust: { ...noSubsteps, patched, since: patch.revision } };
  if (same && known.revision >= since) return { list, trust: { ...trust, patched } };
  return { list, trust: { base: same ? trust.base : 0, patched, since, complete: false } };
}

/** The list after a whole status that is older than `known`: changes that came later stay. */
export function rebaseSubsteps(
  known: BookStatus,
  trust: SubstepTrust,
  answer: BookStatus,
): Substeps {
  if (trust.complete || answer.revision <= trust.base || !isSameList(known, answer))
    return { list: known.substeps, trust };
  const later = known.substeps.filter(
    ({ substep }) => (trust.patched.get(substep) ?? 0) > answer.revision,
  );
  const complete = answer.revision >= trust.since;
  return {
    list: overlaid(answer.substeps, later),
    trust: { ...trust, base: answer.revision, complete },
  };
}

function isSameList(known: BookRow, row: BookRow): boolean {
  return (
    known.current_stage === row.current_stage &&
    known.attempt === row.attempt &&
    compareLives(known, row) === 0
  );
}

/** Known substeps keep their places; new ones follow in the order of their keys. */
function overlaid(list: Substep[], changes: readonly Substep[]): Substep[] {
  if (changes.length === 0) return kept(list);
  const latest = new Map(changes.map((one) => [one.substep, one]));
  const next = list.map((one) => latest.get(one.substep) ?? one);
  for (const { substep } of list) latest.delete(substep);
  const added = [...latest.values()].sort((a, b) => (a.substep < b.substep ? -1 : 1));
  return kept([...next, ...added]);
}

const kept = (list: Substep[]) => firstSubsteps(list, MOST_SUBSTEPS);
