// What Live keeps up to date, a book or a list of books, and how often it asks.
import type { Connection } from "./connection.js";
import type { BinderyError } from "./errors.js";
import type { LinkListener } from "./link.js";
import type { News, Step } from "./news.js";
import type { Patience } from "./stale.js";
import type { Topic } from "./transport.js";

/** All in milliseconds. */
export interface Timing {
  /** Between questions while not subscribed. */
  poll: number;
  /** Between questions while subscribed: finds what a lost message would have told, and how alive the work is. */
  audit: number;
  /** At least between questions that messages give rise to. */
  gap: number;
  /** How long what nobody watches any more is kept. */
  linger: number;
  /** After how long without confirmation what is shown is called stale. */
  stale: Patience;
}

/** What is the same of a book and of a list of books. */
export interface Shown {
  readonly confirmedAt: number | null;
  readonly error: BinderyError | null;
}

export interface Subject<State extends Shown, Answer, View, Wish = never> {
  initial: State;
  reduce(state: State, news: News<Answer> | Wish): Step<State>;
  view(state: State, connection: Connection, stale: boolean): View;
  fetch(state: State, signal: AbortSignal): Promise<Answer>;
  /** What the state allows to listen to; null: nothing. */
  topic(state: State): Topic | null;
  /** Listens until the given function is called; null: there is no room for another subscription. */
  attach(topic: Topic, listener: LinkListener): (() => void) | null;
  /** The newest revision known, for a subscription that can go on from there. */
  since(state: State): number | null;
  /** Nothing will change any more. */
  isFinal(state: State): boolean;
  /** How long changes are gathered before listeners are called; 0: not at all. */
  batch: number;
}
