// The schedule of one subject's requests: one at a time, after an event at once or with a gap,
// after a failure with a growing delay, and otherwise at intervals.
import { backoff } from "./backoff.js";
import type { Environment } from "./environment.js";
import { unreachable, type BinderyError } from "./errors.js";
import type { Extent } from "./news.js";
import { createTimer } from "./timer.js";

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

export interface Requests {
  isPending(): boolean;
  /** Sends a request; after the pending one, if there is one. */
  send(urgency: Urgency, extent?: Extent): void;
  /** Sends a request now. Resolves when its outcome has been taken. */
  refetch(): Promise<void>;
  /** Sets the time of the next request anew, after a change of the interval. */
  reschedule(): void;
  /** Ends the pending request and all timers. */
  stop(): void;
}

export function createRequests<Answer>(
  requester: Requester<Answer>,
  usualGap: number,
  environment: Environment,
): Requests {
  let pending: AbortController | null = null;
  let startedAt = Number.NEGATIVE_INFINITY;
  let failures = 0;
  /** Set while a request is pending: the urgency of another one after it. */
  let again: Urgency | null = null;
  /** What the next request must contain; null: no event has asked for it. */
  let wanted: Extent | null = null;
  /** How long the last request for counts took. */
  let counted = 0;
  let waiting: (() => void)[] = [];
  const timer = createTimer(environment);

  function widen(extent: Extent) {
    if (wanted === null || extents[extent] > extents[wanted]) wanted = extent;
  }

  function send(urgency: Urgency, extent: Extent = "all") {
    widen(extent);
    if (pending !== null) {
      if (again !== "now") again = urgency;
      return;
    }
    const gap = wanted === "count" ? Math.max(usualGap, COUNT_SHARE * counted) : usualGap;
    const wait = urgency === "now" ? 0 : startedAt + gap - environment.now();
    if (wait <= 0 || wait > gap) void run();
    else timer.setEarlier(wait, () => void run());
  }

  function reschedule() {
    // The outcome of a pending request leads here again.
    if (pending !== null) return;
    // A request with "now" comes from the reader, so it cannot loop.
    if (again === "now" || (again === "soon" && failures === 0))
      return send(again, wanted ?? "all");
    const wait = failures === 0 ? requester.interval() : backoff(failures, environment.random);
    if (wait === null) return;
    timer.set(wait, () => {
      // The page is hidden: a request at waking finds missed changes.
      if (environment.isHidden()) reschedule();
      else void run(failures === 0);
    });
  }

  async function run(audit = false) {
    timer.clear();
    const request = new AbortController();
    const served = waiting;
    waiting = [];
    const resolved = () => served.forEach((resolve) => resolve());
    pending = request;
    again = null;
    const extent = wanted ?? "all";
    const since = environment.now();
    wanted = null;
    startedAt = since;
    let outcome: Outcome<Answer>;
    try {
      const answer = await requester.fetch(request.signal, extent);
      outcome = { type: "fetched", answer, since, at: environment.now() };
    } catch (cause) {
      outcome = { type: "failed", error: unreachable(cause), at: environment.now() };
    }
    // Stopped meanwhile, and perhaps begun again: this outcome is ignored.
    if (pending !== request) return resolved();
    pending = null;
    if (extent === "count") counted = environment.now() - since;
    const next = requester.reduce(outcome);
    failures = outcome.type === "failed" ? failures + 1 : 0;
    if (next !== null) {
      widen(next);
      again ??= "soon";
    }
    // After a failure everything is requested again.
    if (outcome.type === "failed") wanted = null;
    requester.settled(outcome, audit);
    reschedule();
    resolved();
  }

  return {
    isPending: () => pending !== null,
    send,
    refetch: () =>
      new Promise((resolve) => {
        waiting.push(resolve);
        send("now");
      }),
    reschedule,
    stop() {
      timer.clear();
      pending?.abort();
      pending = null;
      waiting.splice(0).forEach((resolve) => resolve());
    },
  };
}
