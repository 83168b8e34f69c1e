// When the shown data may be out of date: a rule over three values, so that it is easy to read and
// test.
import type { Connection } from "./connection.js";

export interface Patience {
  /** Milliseconds without confirmation while subscribed. */
  live: number;
  /** Milliseconds without confirmation otherwise. */
  otherwise: number;
}

/**
 * When data that was confirmed at `confirmedAt` becomes stale, in milliseconds. An answer and an
 * accepted message confirm it; silence does not. Null: nothing is shown, so nothing can be stale.
 */
export function staleFrom(
  connection: Connection,
  confirmedAt: number | null,
  patience: Patience,
): number | null {
  if (confirmedAt === null) return null;
  return confirmedAt + (connection === "live" ? patience.live : patience.otherwise);
}

/**
 * Whether the data is stale. After the clock was set back by more than that, its age is unknown and
 * it counts as stale.
 */
export function isStale(
  connection: Connection,
  confirmedAt: number | null,
  now: number,
  patience: Patience,
): boolean {
  const from = staleFrom(connection, confirmedAt, patience);
  return from !== null && confirmedAt !== null && (now >= from || now <= 2 * confirmedAt - from);
}
