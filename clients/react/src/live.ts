// Keeps one subject up to date: it sends requests, subscribes to what an answer has shown to be
// readable, requests again after a doubt, polls while it cannot subscribe, and determines when the
// shown data is too old. The reducer interprets the news; this is the part with timers and
// requests.
import { backoff } from "./backoff.js";
import { nextConnection, type Connection, type ConnectionEvent } from "./connection.js";
import type { Environment } from "./environment.js";
import { forbidsShowing, unreachable } from "./errors.js";
import type { LinkListener } from "./link.js";
import type { News } from "./news.js";
import { isStale, staleFrom } from "./stale.js";
import type { Shown, Subject, Timing } from "./subject.js";
import { Timer } from "./timer.js";
import { sameForm } from "./uuid.js";

/**
 * A message may arrive this much later than an answer with the same change; after that it counts as
 * missing.
 */
const GRACE_MS = 3_000;

/** `Command`: requests of the reader, which change the state as news do. */
export class Live<State extends Shown, Answer, View extends object, Command = never> {
  #state: State;
  #connection: Connection = "closed";
  #view: View | null = null;
  /** Whether something may have changed since `#view` was made. */
  #moved = true;
  #notified: View | null = null;
  readonly #listeners = new Set<() => void>();
  /** The topic that is subscribed, or would be if there were room. */
  #topic: string | null = null;
  #detach: (() => void) | null = null;
  #stopWaking: (() => void) | null = null;

  #pending: AbortController | null = null;
  #requestedAt = Number.NEGATIVE_INFINITY;
  #failures = 0;
  /** Whether a message has arrived since the last request. */
  #received = false;
  /** When an answer last had a change that no message announced. */
  #missedAt = 0;
  /** Set while a request is on its way: send another after it, at once or with the usual gap. */
  #again: "no" | "soon" | "now" = "no";
  #waiting: (() => void)[] = [];
  readonly #requestTimer: Timer;
  readonly #staleTimer: Timer;
  readonly #lingerTimer: Timer;
  readonly #notifyTimer: Timer;
  readonly #graceTimer: Timer;

  constructor(
    private readonly subject: Subject<State, Answer, View, Command>,
    private readonly timing: Timing,
    private readonly environment: Environment,
    private readonly onIdle: () => void,
  ) {
    this.#state = subject.initial;
    this.#requestTimer = new Timer(environment);
    this.#staleTimer = new Timer(environment);
    this.#lingerTimer = new Timer(environment);
    this.#notifyTimer = new Timer(environment);
    this.#graceTimer = new Timer(environment);
  }

  /** Watches until the returned function is called. Listeners read `view`. */
  subscribe(listener: () => void): () => void {
    // Begun first, so that no listener is called before `subscribe` returns.
    if (this.#connection === "closed") this.#start();
    this.#lingerTimer.clear();
    const own = () => listener();
    this.#listeners.add(own);
    return () => {
      if (!this.#listeners.delete(own) || this.#listeners.size > 0) return;
      this.#lingerTimer.set(this.timing.linger, () => this.close());
    };
  }

  /** The same object until something changes. */
  get view(): View {
    if (this.#moved || this.#view === null) {
      const next = this.subject.view(this.#state, this.#connection, this.#isStale());
      if (this.#view === null || !isSame(this.#view, next)) this.#view = next;
      this.#moved = false;
    }
    return this.#view;
  }

  /** Sends a request now. Resolves when the answer or the error has arrived. */
  refetch(): Promise<void> {
    if (this.#connection === "closed") return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#request("now");
    });
  }

  /** Changes the reader's request, and sends it. */
  dispatch(command: Command) {
    this.#apply(command, "now");
  }

  close() {
    if (this.#connection === "closed") return;
    this.#connect("close");
    const timers = [
      this.#requestTimer,
      this.#staleTimer,
      this.#lingerTimer,
      this.#notifyTimer,
      this.#graceTimer,
    ];
    for (const timer of timers) timer.clear();
    this.#pending?.abort();
    this.#pending = null;
    this.#detach?.();
    this.#stopWaking?.();
    this.#resolveWaiting();
    this.onIdle();
  }

  #start() {
    this.#connect("open");
    this.#stopWaking = this.environment.onWake(() => {
      this.#changed();
      this.#request("now");
    });
    this.#request("now");
  }

  /**
   * Attaches and detaches, as the state allows. Realtime serves nothing for 5 s after a join that
   * it refuses.
   */
  #listen() {
    const topic = this.subject.topic(this.#state);
    const name = topic === null ? null : JSON.stringify(topic);
    if (name === this.#topic && this.#detach !== null) return;
    this.#topic = name;
    this.#detach?.();
    this.#detach = topic === null ? null : this.subject.attach(topic, this.#listener());
    if (this.#detach === null) this.#connect("unavailable");
  }

  #listener(): LinkListener {
    return {
      subscribed: () => {
        this.#connect("subscribed");
        this.#request("now");
      },
      message: (payload) => {
        this.#noteMessage();
        this.#apply({ type: "received", payload, at: this.environment.now() });
      },
      deleted: (bookId) => {
        this.#noteMessage();
        // Many books of a list may leave at once, and leave it without a request.
        const urgency = this.subject.batch === 0 ? "now" : "soon";
        this.#apply(
          { type: "deleted", bookId: sameForm(bookId), at: this.environment.now() },
          urgency,
        );
      },
      doubt: () => this.#request("now"),
      ended: (reason) => {
        this.#connect(reason === "lost" ? "lost" : "unavailable");
        this.#request("soon");
      },
      since: () => this.subject.since(this.#state),
    };
  }

  #noteMessage() {
    this.#received = true;
    this.#graceTimer.clear();
    this.#connect("received");
  }

  #apply(news: News<Answer> | Command, urgency: "soon" | "now" = "soon") {
    const { state, refetch } = this.subject.reduce(this.#state, news);
    if (state !== this.#state) {
      this.#state = state;
      this.#changed();
      this.#listen();
    }
    if (refetch) this.#request(urgency);
  }

  #request(urgency: "soon" | "now") {
    if (this.#connection === "closed") return;
    if (this.#pending !== null) {
      if (this.#again !== "now") this.#again = urgency;
      return;
    }
    const wait =
      urgency === "now" ? 0 : this.#requestedAt + this.timing.gap - this.environment.now();
    if (wait <= 0 || wait > this.timing.gap) void this.#fetch();
    else this.#requestTimer.setEarlier(wait, () => void this.#fetch());
  }

  /**
   * `audit`: no event caused this request, so messages should have announced everything in its
   * answer.
   */
  async #fetch(audit = false) {
    this.#requestTimer.clear();
    const request = new AbortController();
    const waiting = this.#waiting.splice(0);
    this.#pending = request;
    this.#again = "no";
    this.#requestedAt = this.environment.now();
    this.#received = false;
    let news: News<Answer>;
    try {
      const answer = await this.subject.fetch(this.#state, request.signal);
      news = { type: "fetched", answer, at: this.environment.now() };
    } catch (cause) {
      news = { type: "failed", error: unreachable(cause), at: this.environment.now() };
    }
    // Closed meanwhile, and perhaps begun again: this answer is ignored.
    if (this.#pending !== request) return waiting.forEach((resolve) => resolve());
    this.#pending = null;
    const { state, refetch, found } = this.subject.reduce(this.#state, news);
    this.#state = state;
    this.#failures = news.type === "failed" ? this.#failures + 1 : 0;
    if (refetch && this.#again === "no") this.#again = "soon";
    // "No such book" is also an answer.
    const answered = news.type === "fetched" || forbidsShowing(news.error);
    this.#connect(answered ? "answered" : "unanswered");
    if (audit && news.type === "fetched") this.#audited(found === true && !this.#received);
    if (answered) this.#listen();
    this.#changed();
    this.#scheduleNext();
    waiting.forEach((resolve) => resolve());
  }

  /** `missed`: the answer had a change that no message has announced so far. */
  #audited(missed: boolean) {
    const now = this.environment.now();
    if (missed) {
      this.#missedAt = now;
      if (this.#connection === "live") this.#graceTimer.set(GRACE_MS, () => this.#missed());
    } else if (Math.abs(now - this.#missedAt) >= this.timing.audit) this.#connect("received");
  }

  #missed() {
    this.#connect("missed");
    this.#scheduleNext();
  }

  #scheduleNext() {
    // The events that arrive with its answer lead here again.
    if (this.#pending !== null) return;
    // A request with "now" comes from the reader, so it cannot loop.
    if (this.#again === "now" || (this.#again === "soon" && this.#failures === 0))
      return this.#request(this.#again);
    if (this.#failures === 0 && this.subject.isFinal(this.#state)) return;
    const regular = this.#connection === "live" ? this.timing.audit : this.timing.poll;
    const wait = this.#failures === 0 ? regular : backoff(this.#failures, this.environment.random);
    this.#requestTimer.set(wait, () => {
      // The page is hidden: a request at waking finds missed changes.
      if (this.environment.isHidden()) this.#scheduleNext();
      else void this.#fetch(this.#failures === 0);
    });
  }

  #connect(event: ConnectionEvent) {
    const connection = nextConnection(this.#connection, event);
    if (connection === this.#connection) return;
    this.#connection = connection;
    this.#changed();
  }

  #isStale(): boolean {
    if (this.#connection === "closed" || this.subject.isFinal(this.#state)) return false;
    return isStale(
      this.#connection,
      this.#state.confirmedAt,
      this.environment.now(),
      this.timing.stale,
    );
  }

  #changed() {
    this.#moved = true;
    if (this.#connection === "closed") return;
    const from = staleFrom(this.#connection, this.#state.confirmedAt, this.timing.stale);
    const left = from === null ? 0 : from - this.environment.now();
    if (left > 0) this.#staleTimer.set(left, () => this.#changed());
    else this.#staleTimer.clear();
    if (this.subject.batch === 0) this.#notify();
    else this.#notifyTimer.setEarlier(this.subject.batch, () => this.#notify());
  }

  #notify() {
    if (this.view === this.#notified) return;
    this.#notified = this.view;
    for (const listener of [...this.#listeners]) listener();
  }

  #resolveWaiting() {
    this.#waiting.splice(0).forEach((resolve) => resolve());
  }
}

/** Whether two views hold the same things. */
function isSame<View extends object>(a: View, b: View): boolean {
  return (Object.keys(b) as (keyof View)[]).every((name) => Object.is(a[name], b[name]));
}
