// How a row grows out of answers and messages, column by column, and how far it can be trusted.
// An answer is whole, but may be overtaken by messages while it is on its way; messages are new, but may lack columns. Where
// changes come faster than answers, each answer still brings the columns that no message has told of since.
import { columnsOf, isWholeRow, type BookPatch, type BookRow } from "./status.js";

export interface Trust {
  /** The revision of the last whole answer. */
  readonly base: number;
  /** Columns that messages have brought since, and at which revision. */
  readonly told: Readonly<Record<string, number>>;
  /** Whether each column is known to be of the row's revision. */
  readonly certain: boolean;
}

/** The trust in a whole row. */
export function wholly(row: BookRow): Trust {
  return { base: row.revision, told: {}, certain: true };
}

/** Takes over a newer message. */
export function merge<Row extends BookRow>(row: Row, trust: Trust, patch: BookPatch): { row: Row; trust: Trust } {
  const columns = columnsOf(patch);
  const gap = patch.revision > row.revision + 1;
  const told = { ...trust.told };
  for (const name of Object.keys(columns)) told[name] = patch.revision;
  // In the next revision a column that is missing is unchanged, unless it says that something was left out.
  const certain = isWholeRow(patch) || (trust.certain && !gap && patch.partial !== true);
  return { row: { ...row, ...columns }, trust: { base: trust.base, told, certain } };
}

/** Puts an overtaken answer under what messages have told since it was given. Null if it is no newer than the last one. */
export function rebase<Row extends BookRow>(row: Row, trust: Trust, answer: Row): { row: Row; trust: Trust } | null {
  if (answer.revision <= trust.base) return null;
  const later = Object.entries(columnsOf(row)).filter(([name]) => (trust.told[name] ?? 0) > answer.revision);
  return { row: { ...answer, ...Object.fromEntries(later) }, trust: { ...trust, base: answer.revision } };
}
