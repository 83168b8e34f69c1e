// The schedule of one subject's requests: one at a time, after an event at once or with a gap,
// after a failure with a growing delay, and otherwise at intervals.
import { backoff } from "./backoff.js";
import type { Environment } from "./environment.js";
import { unreachable, type BinderyError } from "./errors.js";
import type { Extent } from "./news.js";
import { Timer } from "./timer.js";

/** `now`: at once. `soon`: with the usual gap after the previous request. */
export type Urgency = "soon" | "now";

export type Outcome<Answer> =
  | { type: "fetched"; answer: Answer; since: number; at: number }
  | { type: "failed"; error: BinderyError; at: number };

export interface Requester<Answer> {
  fetch(signal: AbortSignal, extent: Extent): Promise<Answer>;
  /** Takes an outcome into the state. Returns what another request must contain; null: none. */
  reduce(outcome: Outcome<Answer>): Extent | null;
  /** Follows `reduce`. `audit`: no event caused the request, only the interval. */
  settled(outcome: Outcome<Answer>, audit: boolean): void;
  /** Milliseconds until the next request without an event; null: there is none. */
  interval(): number | null;
}

/** Counting takes at most one part in this many of the time. */
const COUNT_SHARE = 20;
const extents: Record<Extent, number> = { count: 1, more: 2, all: 3 };

export class Requests<Answer> {
  #pending: AbortController | null = null;
  #startedAt = Number.NEGATIVE_INFINITY;
  #failures = 0;
  /** Set while a request is pending: the urgency of another one after it. */
  #again: Urgency | null = null;
  /** What the next request must contain; null: no event has asked for it. */
  #extent: Extent | null = null;
  /** How long the last request for counts took. */
  #counted = 0;
  #waiting: (() => void)[] = [];
  readonly #timer: Timer;

  constructor(
    private readonly requester: Requester<Answer>,
    private readonly gap: number,
    private readonly environment: Environment,
  ) {
    this.#timer = new Timer(environment);
  }

  get isPending(): boolean {
    return this.#pending !== null;
  }

  /** Sends a request; after the pending one, if there is one. */
  send(urgency: Urgency, extent: Extent = "all") {
    this.#widen(extent);
    if (this.#pending !== null) {
      if (this.#again !== "now") this.#again = urgency;
      return;
    }
    const gap =
      this.#extent === "count" ? Math.max(this.gap, COUNT_SHARE * this.#counted) : this.gap;
    const wait = urgency === "now" ? 0 : this.#startedAt + gap - this.environment.now();
    if (wait <= 0 || wait > gap) void this.#run();
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
      return this.send(this.#again, this.#extent ?? "all");
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

  #widen(extent: Extent) {
    if (this.#extent === null || extents[extent] > extents[this.#extent]) this.#extent = extent;
  }

  async #run(audit = false) {
    this.#timer.clear();
    const request = new AbortController();
    const waiting = this.#waiting.splice(0);
    this.#pending = request;
    this.#again = null;
    const extent = this.#extent ?? "all";
    const since = this.environment.now();
    this.#extent = null;
    this.#startedAt = since;
    let outcome: Outcome<Answer>;
    try {
      const answer = await this.requester.fetch(request.signal, extent);
      outcome = { type: "fetched", answer, since, at: this.environment.now() };
    } catch (cause) {
      outcome = { type: "failed", error: unreachable(cause), at: this.environment.now() };
    }
    // Stopped meanwhile, and perhaps begun again: this outcome is ignored.
    if (this.#pending !== request) return waiting.forEach((resolve) => resolve());
    this.#pending = null;
    if (extent === "count") this.#counted = this.environment.now() - since;
    const next = this.requester.reduce(outcome);
    this.#failures = outcome.type === "failed" ? this.#failures + 1 : 0;
    if (next !== null) this.#widen(next);
    if (next !== null && this.#again === null) this.#again = "soon";
    // After a failure everything is requested again.
    if (outcome.type === "failed") this.#extent = null;
    this.requester.settled(outcome, audit);
    this.reschedule();
    waiting.forEach((resolve) => resolve());
  }
}
