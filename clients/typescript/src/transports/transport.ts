import type { Item } from "../buffer.js";
import type { Refused } from "../errors.js";

/** Delivered; refused permanently; or early, so that it is sent again. */
export type Outcome = "delivered" | "early" | Refused;

/** Delivers events. One `send` runs at a time. */
export interface Transport {
  /** Whether the answer has the outcome of `begin`, with the attempt and the resume point. */
  readonly answersBegin: boolean;
  /**
   * Sends events in their order, and calls `settle` with what became of each.
   *
   * @throws Unavailable if the rest was not delivered, or it is not known.
   */
  send(items: readonly Item[], settle: (item: Item, outcome: Outcome) => void): Promise<void>;
  /** Closes the connection; the next call opens it again. */
  close(): Promise<void>;
}
