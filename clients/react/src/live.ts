// Keeps one subject up to date: it subscribes to what an answer has shown to be readable, requests
// again after a doubt, and determines when the shown data is too old. The reducer interprets the
// news, `Requests` schedules the requests.
import { nextConnection, type Connection, type ConnectionEvent } from "./connection.js";
import type { Environment } from "./environment.js";
import { forbidsShowing } from "./errors.js";
import type { LinkListener } from "./link.js";
import type { Extent, News } from "./news.js";
import { Notifier } from "./notifier.js";
import { Requests, type Outcome, type Urgency } from "./requests.js";
import { isStale, staleFrom } from "./stale.js";
import type { Shown, Subject, Timing } from "./subject.js";
import { Timer } from "./timer.js";
import { sameForm } from "./uuid.js";

/**
 * A message may arrive this much later than an answer with the same change; after that it counts as
 * missing.
 */
const GRACE_MS = 3_000;

/** `Command`: what the reader demands; it changes the state as news do. */
export class Live<State extends Shown, Answer, View extends object, Command = never> {
  #state: State;
  #connection: Connection = "closed";
  /** The topic that is subscribed, or would be if there were room. */
  #topic: string | null = null;
  #detach: (() => void) | null = null;
  #stopWaking: (() => void) | null = null;
  /** Whether a message has arrived since the last request. */
  #received = false;
  /** Whether the last answer had a change that is newer than everything known. */
  #found = false;
  /** When an answer last had a change that no message announced. */
  #missedAt = 0;
  readonly #requests: Requests<Answer>;
  readonly #notifier: Notifier<View>;
  readonly #staleTimer: Timer;
  readonly #lingerTimer: Timer;
  readonly #graceTimer: Timer;

  constructor(
    private readonly subject: Subject<State, Answer, View, Command>,
    private readonly timing: Timing,
    private readonly environment: Environment,
    private readonly onIdle: () => void,
  ) {
    this.#state = subject.initial;
    const requester = {
      fetch: (signal: AbortSignal, extent: Extent) => {
        this.#received = false;
        return subject.fetch(this.#state, signal, extent);
      },
      reduce: (outcome: Outcome<Answer>) => this.#reduce(outcome),
      settled: (outcome: Outcome<Answer>, audit: boolean) => this.#settled(outcome, audit),
      interval: () => this.#interval(),
    };
    this.#requests = new Requests(requester, timing.gap, environment);
    const view = () => subject.view(this.#state, this.#connection, this.#isStale());
    this.#notifier = new Notifier(view, subject.batch, environment);
    this.#staleTimer = new Timer(environment);
    this.#lingerTimer = new Timer(environment);
    this.#graceTimer = new Timer(environment);
  }

  /** Watches until the returned function is called. Listeners read `view`. */
  subscribe(listener: () => void): () => void {
    // Begun first, so that no listener is called before `subscribe` returns.
    if (this.#connection === "closed") this.#start();
    this.#lingerTimer.clear();
    const remove = this.#notifier.add(listener);
    return () => {
      if (remove()) this.#lingerTimer.set(this.timing.linger, () => this.close());
    };
  }

  /** The same object until something changes. */
  get view(): View {
    return this.#notifier.view;
  }

  /** Sends a request now. Resolves when the answer or the error has arrived. */
  refetch(): Promise<void> {
    return this.#connection === "closed" ? Promise.resolve() : this.#requests.refetch();
  }

  /** Changes what the reader demands, and requests it. */
  dispatch(command: Command) {
    this.#apply(command, "now");
  }

  close() {
    if (this.#connection === "closed") return;
    this.#connect("close");
    for (const timer of [this.#staleTimer, this.#lingerTimer, this.#graceTimer]) timer.clear();
    this.#notifier.stop();
    this.#detach?.();
    this.#stopWaking?.();
    this.#requests.stop();
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

  #request(urgency: Urgency, extent: Extent = "all") {
    if (this.#connection !== "closed") this.#requests.send(urgency, extent);
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

  #apply(news: News<Answer> | Command, urgency: Urgency = "soon") {
    const { state, refetch, extent } = this.subject.reduce(this.#state, news);
    if (state !== this.#state) {
      this.#state = state;
      this.#changed();
      this.#listen();
    }
    if (refetch) this.#request(urgency, extent);
  }

  #reduce(outcome: Outcome<Answer>): Extent | null {
    const { state, refetch, extent = "all", found } = this.subject.reduce(this.#state, outcome);
    this.#state = state;
    this.#found = found === true;
    return refetch ? extent : null;
  }

  #settled(outcome: Outcome<Answer>, audit: boolean) {
    // "No such book" is also an answer.
    const answered = outcome.type === "fetched" || forbidsShowing(outcome.error);
    this.#connect(answered ? "answered" : "unanswered");
    if (audit && outcome.type === "fetched") this.#audited(this.#found && !this.#received);
    if (answered) this.#listen();
    this.#changed();
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
    this.#requests.reschedule();
  }

  #interval(): number | null {
    if (this.subject.isFinal(this.#state)) return null;
    return this.#connection === "live" ? this.timing.audit : this.timing.poll;
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
    this.#notifier.invalidate();
    if (this.#connection === "closed") return;
    const from = staleFrom(this.#connection, this.#state.confirmedAt, this.timing.stale);
    const left = from === null ? 0 : from - this.environment.now();
    if (left > 0) this.#staleTimer.set(left, () => this.#changed());
    else this.#staleTimer.clear();
    this.#notifier.notify();
  }
}
