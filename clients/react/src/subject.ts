// The subjects that Live keeps up to date, a book or a list of books, and the intervals of its
// requests.
import type { Connection } from "./connection.js";
import type { BinderyError } from "./errors.js";
import type { LinkListener } from "./link.js";
import type { Extent, News, Step } from "./news.js";
import type { Patience } from "./stale.js";
import type { Topic } from "./transport.js";

/** All in milliseconds. */
export interface Timing {
  /** Between requests while not subscribed. */
  poll: number;
  /**
   * Between requests while subscribed: finds changes of lost messages, and the health of the work.
   */
  audit: number;
  /** At least between requests that messages cause. */
  gap: number;
  /** How long the state of a subject is kept after its last watcher left. */
  linger: number;
  /** The time without confirmation after which the shown data is stale. */
  stale: Patience;
}

/** The common interface of a book and of a list of books. */
export interface Shown {
  readonly confirmedAt: number | null;
  readonly error: BinderyError | null;
}

export interface Subject<State extends Shown, Answer, View, Command = never> {
  initial: State;
  reduce(state: State, news: News<Answer> | Command): Step<State>;
  view(state: State, connection: Connection, stale: boolean): View;
  fetch(state: State, signal: AbortSignal, extent: Extent): Promise<Answer>;
  /** The topic that the state allows to subscribe to; null: none. */
  topic(state: State): Topic | null;
  /**
   * Subscribes until the returned function is called; null: the limit of subscriptions is
   * reached.
   */
  attach(topic: Topic, listener: LinkListener): (() => void) | null;
  /** The newest known revision, for a subscription that can continue from there. */
  since(state: State): number | null;
  /** The subject can no longer change. */
  isFinal(state: State): boolean;
  /** How long changes are collected before listeners are called; 0: not at all. */
  batch: number;
}
