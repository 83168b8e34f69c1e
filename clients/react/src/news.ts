// The input and output of the reducers.
import type { BinderyError } from "./errors.js";
import { bookPatchSchema, type BookPatch } from "./status.js";

/** News, with its time in milliseconds. */
export type News<Answer> =
  /**
   * `since`: when the request was sent, by default `at`. Messages that arrived after it may not be
   * in the answer.
   */
  | { type: "fetched"; answer: Answer; since?: number; at: number }
  | { type: "failed"; error: BinderyError; at: number }
  | { type: "received"; payload: unknown; at: number }
  | { type: "deleted"; bookId: string; at: number };

/**
 * The extent of a request: all that is shown, only the next page of a list, or only its counts. An
 * answer to `all` includes the others.
 */
export type Extent = "all" | "more" | "count";

export interface Step<State> {
  readonly state: State;
  /** There is a doubt that only an answer resolves. */
  readonly refetch: boolean;
  /** What that answer must contain; `all` by default. */
  readonly extent?: Extent;
  /** An answer had a change that is newer than everything known. */
  readonly found?: boolean;
}

export const settled = <State>(state: State): Step<State> => ({ state, refetch: false });
export const doubtful = <State>(state: State): Step<State> => ({ state, refetch: true });

/** The content of a message; null if it is invalid. */
export function readPatch(payload: unknown): BookPatch | null {
  const read = bookPatchSchema.safeParse(payload);
  return read.success ? read.data : null;
}
