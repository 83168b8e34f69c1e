// Merges a row from answers and messages, column by column, and records how complete it is. An
// answer is whole, but messages may overtake it; messages are newer, but may lack columns. If
// changes come faster than answers, each answer still brings the columns that no later message had.
import { columnsOf, isWholeRow, type BookPatch, type BookRow } from "./status.js";

export interface Trust {
  /** The revision of the last whole answer. */
  readonly base: number;
  /** Columns from later messages, with their revisions. */
  readonly patched: Readonly<Record<string, number>>;
  /** Whether each column is known to be of the row's revision. */
  readonly certain: boolean;
}

/** The completeness of a whole row. */
export function wholly(row: BookRow): Trust {
  return { base: row.revision, patched: {}, certain: true };
}

/** Merges a newer message. */
export function merge<Row extends BookRow>(
  row: Row,
  trust: Trust,
  patch: BookPatch,
): { row: Row; trust: Trust } {
  const columns = columnsOf(patch);
  const gap = patch.revision > row.revision + 1;
  const patched = { ...trust.patched };
  for (const name of Object.keys(columns)) patched[name] = patch.revision;
  // In the next revision a missing column is unchanged, unless the message reports that something
  // was left out.
  const certain = isWholeRow(patch) || (trust.certain && !gap && patch.partial !== true);
  return { row: { ...row, ...columns }, trust: { base: trust.base, patched, certain } };
}

/**
 * Merges an overtaken answer under the later messages. Null if it is not newer than the last
 * answer.
 */
export function rebase<Row extends BookRow>(
  row: Row,
  trust: Trust,
  answer: Row,
): { row: Row; trust: Trust } | null {
  if (answer.revision <= trust.base) return null;
  const later = Object.entries(columnsOf(row)).filter(
    ([name]) => (trust.patched[name] ?? 0) > answer.revision,
  );
  return {
    row: { ...answer, ...Object.fromEntries(later) },
    trust: { ...trust, base: answer.revision },
  };
}
