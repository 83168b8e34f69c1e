// The schedule of one subject's requests: one at a time, after an event at once or with a gap,
// after a failure with a growing delay, and otherwise at intervals.
import { backoff } from "./backoff.js";
import type { Environment } from "./environment.js";
import { unreachable, type BinderyError } from "./errors.js";
import { Timer } from "./timer.js";

/** `now`: at once. `soon`: with the usual gap after the previous request. */
export type Urgency = "soon" | "now";

export type Outcome<Answer> =
  | { type: "fetched"; answer: Answer; at: number }
  | { type: "failed"; error: BinderyError; at: number };

export interface Requester<Answer> {
  fetch(signal: AbortSignal): Promise<Answer>;
  /** Takes an outcome into the state. Returns whether another request is needed. */
  reduce(outcome: Outcome<Answer>): boolean;
  /** Follows `reduce`. `audit`: no event caused the request, only the interval. */
  settled(outcome: Outcome<Answer>, audit: boolean): void;
  /** Milliseconds until the next request without an event; null: there is none. */
  interval(): number | null;
}

export class Requests<Answer> {
  #pending: AbortController | null = null;
  #startedAt = Number.NEGATIVE_INFINITY;
  #failures = 0;
  /** Set while a request is pending: the urgency of another one after it. */
  #again: Urgency | null = null;
  #waiting: (() => void)[] = [];
  readonly #timer: Timer;

  constructor(
    private readonly requester: Requester<Answer>,
    private readonly gap: number,
    private readonly environment: Environment,
  ) {
    this.#timer = new Timer(environment);
  }

  /** Sends a request; after the pending one, if there is one. */
  send(urgency: Urgency) {
    if (this.#pending !== null) {
      if (this.#again !== "now") this.#again = urgency;
      return;
    }
    const wait = urgency === "now" ? 0 : this.#startedAt + this.gap - this.environment.now();
    if (wait <= 0 || wait > this.gap) void this.#run();
    else this.#timer.setEarlier(wait, () => void this.#run());
  }

  /** Sends a request now. Resolves when its outcome has been taken. */
  refetch(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.send("now");
    });
  }

  /** Sets the time of the next request anew, after a change of the interval. */
  reschedule() {
    // The outcome of a pending request leads here again.
    if (this.#pending !== null) return;
    // A request with "now" comes from the reader, so it cannot loop.
    if (this.#again === "now" || (this.#again === "soon" && this.#failures === 0))
      return this.send(this.#again);
    const regular = this.#failures === 0 ? this.requester.interval() : null;
    if (this.#failures === 0 && regular === null) return;
    const wait = regular ?? backoff(this.#failures, this.environment.random);
    this.#timer.set(wait, () => {
      // The page is hidden: a request at waking finds missed changes.
      if (this.environment.isHidden()) this.reschedule();
      else void this.#run(this.#failures === 0);
    });
  }

  /** Ends the pending request and all timers. */
  stop() {
    this.#timer.clear();
    this.#pending?.abort();
    this.#pending = null;
    this.#waiting.splice(0).forEach((resolve) => resolve());
  }

  async #run(audit = false) {
    this.#timer.clear();
    const request = new AbortController();
    const waiting = this.#waiting.splice(0);
    this.#pending = request;
    this.#again = null;
    this.#startedAt = this.environment.now();
    let outcome: Outcome<Answer>;
    try {
      const answer = await this.requester.fetch(request.signal);
      outcome = { type: "fetched", answer, at: this.environment.now() };
    } catch (cause) {
      outcome = { type: "failed", error: unreachable(cause), at: this.environment.now() };
    }
    // Stopped meanwhile, and perhaps begun again: this outcome is ignored.
    if (this.#pending !== request) return waiting.forEach((resolve) => resolve());
    this.#pending = null;
    const refetch = this.requester.reduce(outcome);
    this.#failures = outcome.type === "failed" ? this.#failures + 1 : 0;
    if (refetch && this.#again === null) this.#again = "soon";
    this.requester.settled(outcome, audit);
    this.reschedule();
    waiting.forEach((resolve) => resolve());
  }
}
