// Keeps one thing that is shown up to date: asks, listens, asks again after a doubt, polls while it cannot listen, and knows
// when all that has become too old. What the news mean is the reducer's; this is the part with timers and requests.
import { backoff } from "./backoff.js";
import { nextConnection, type Connection, type ConnectionEvent } from "./connection.js";
import type { Environment } from "./environment.js";
import { unreachable, type BinderyError } from "./errors.js";
import type { LinkListener } from "./link.js";
import type { News, Step } from "./news.js";
import { isStale, staleFrom, type Patience } from "./stale.js";
import { Timer } from "./timer.js";

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
interface Shown {
  readonly confirmedAt: number | null;
  readonly error: BinderyError | null;
}

export interface Subject<State extends Shown, Answer, View, Wish = never> {
  initial: State;
  reduce(state: State, news: News<Answer> | Wish): Step<State>;
  view(state: State, connection: Connection, stale: boolean): View;
  fetch(state: State, signal: AbortSignal): Promise<Answer>;
  attach(listener: LinkListener): () => void;
  /** The newest revision known, for a subscription that can go on from there. */
  since(state: State): number | null;
  /** Nothing will change any more. */
  isFinal(state: State): boolean;
  /** How long changes are gathered before listeners hear of them. */
  batch: number;
}

/** `Wish`: what else than news can change the state: the reader's own wishes. */
export class Live<State extends Shown, Answer, View extends object, Wish = never> {
  #state: State;
  #connection: Connection = "closed";
  #view: View | null = null;
  /** Whether something may have changed since `#view` was made. */
  #moved = true;
  #told: View | null = null;
  readonly #listeners = new Set<() => void>();
  #detach: (() => void) | null = null;
  #stopWaking: (() => void) | null = null;

  #request: AbortController | null = null;
  #askedAt = Number.NEGATIVE_INFINITY;
  #failures = 0;
  /** Set while a request is on its way: ask again after it, at once or with the usual gap. */
  #again: "no" | "soon" | "now" = "no";
  #waiting: (() => void)[] = [];
  readonly #askTimer: Timer;
  readonly #staleTimer: Timer;
  readonly #lingerTimer: Timer;
  readonly #tellTimer: Timer;

  constructor(
    private readonly subject: Subject<State, Answer, View, Wish>,
    private readonly timing: Timing,
    private readonly environment: Environment,
    private readonly onIdle: () => void,
  ) {
    this.#state = subject.initial;
    this.#askTimer = new Timer(environment);
    this.#staleTimer = new Timer(environment);
    this.#lingerTimer = new Timer(environment);
    this.#tellTimer = new Timer(environment);
  }

  /** Watches until the given function is called. Listeners ask `view` for what there is. */
  subscribe(listener: () => void): () => void {
    // Begun first, so that nobody is called before `subscribe` returns.
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

  /** Asks now. Resolves when the answer is in, be it good or bad. */
  refetch(): Promise<void> {
    if (this.#connection === "closed") return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#ask("now");
    });
  }

  /** Changes what is wanted, and asks for it. */
  wish(wish: Wish) {
    this.#apply(wish, "now");
  }

  close() {
    if (this.#connection === "closed") return;
    this.#connect("close");
    for (const timer of [this.#askTimer, this.#staleTimer, this.#lingerTimer, this.#tellTimer]) timer.clear();
    this.#request?.abort();
    this.#request = null;
    this.#detach?.();
    this.#stopWaking?.();
    this.#answered();
    this.onIdle();
  }

  #start() {
    this.#connect("open");
    this.#stopWaking = this.environment.onWake(() => {
      this.#changed();
      this.#ask("now");
    });
    this.#ask("now");
    this.#detach = this.subject.attach({
      subscribed: () => {
        this.#connect("subscribed");
        this.#ask("now");
      },
      message: (payload) => this.#apply({ type: "received", payload, at: this.environment.now() }),
      deleted: (bookId) => this.#apply({ type: "deleted", bookId, at: this.environment.now() }),
      doubt: () => this.#ask("now"),
      ended: (reason) => {
        this.#connect(reason);
        this.#ask("soon");
      },
      since: () => this.subject.since(this.#state),
    });
  }

  #apply(news: News<Answer> | Wish, urgency: "soon" | "now" = "soon") {
    const { state, refetch } = this.subject.reduce(this.#state, news);
    if (state !== this.#state) {
      this.#state = state;
      this.#changed();
    }
    if (refetch) this.#ask(urgency);
  }

  #ask(urgency: "soon" | "now") {
    if (this.#connection === "closed") return;
    if (this.#request !== null) {
      if (this.#again !== "now") this.#again = urgency;
      return;
    }
    const wait = urgency === "now" ? 0 : this.#askedAt + this.timing.gap - this.environment.now();
    if (wait <= 0 || wait > this.timing.gap) void this.#fetch();
    else this.#askTimer.setEarlier(wait, () => void this.#fetch());
  }

  async #fetch() {
    this.#askTimer.clear();
    const request = new AbortController();
    const waiting = this.#waiting.splice(0);
    this.#request = request;
    this.#again = "no";
    this.#askedAt = this.environment.now();
    let news: News<Answer>;
    try {
      const answer = await this.subject.fetch(this.#state, request.signal);
      news = { type: "fetched", answer, at: this.environment.now() };
    } catch (cause) {
      news = { type: "failed", error: unreachable(cause), at: this.environment.now() };
    }
    // Closed meanwhile, and perhaps begun anew: this answer is nobody's.
    if (this.#request !== request) return waiting.forEach((resolve) => resolve());
    this.#request = null;
    const { state, refetch } = this.subject.reduce(this.#state, news);
    this.#state = state;
    this.#failures = news.type === "failed" ? this.#failures + 1 : 0;
    if (refetch && this.#again === "no") this.#again = "soon";
    this.#connect(news.type === "fetched" ? "answered" : "unanswered");
    this.#changed();
    this.#askLater();
    waiting.forEach((resolve) => resolve());
  }

  #askLater() {
    // What asks "now" comes from outside, so it cannot go round in circles.
    if (this.#again === "now" || (this.#again === "soon" && this.#failures === 0)) return this.#ask(this.#again);
    if (this.#failures === 0 && this.subject.isFinal(this.#state)) return;
    const regular = this.#connection === "live" ? this.timing.audit : this.timing.poll;
    const wait = this.#failures === 0 ? regular : backoff(this.#failures, this.environment.random);
    this.#askTimer.set(wait, () => {
      // Nobody looks: what is missed now is asked for on waking.
      if (this.environment.isHidden()) this.#askLater();
      else void this.#fetch();
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
    return isStale(this.#connection, this.#state.confirmedAt, this.environment.now(), this.timing.stale);
  }

  #changed() {
    this.#moved = true;
    if (this.#connection === "closed") return;
    const from = staleFrom(this.#connection, this.#state.confirmedAt, this.timing.stale);
    const left = from === null ? 0 : from - this.environment.now();
    if (left > 0) this.#staleTimer.set(left, () => this.#changed());
    else this.#staleTimer.clear();
    if (this.subject.batch === 0) this.#tell();
    else this.#tellTimer.setEarlier(this.subject.batch, () => this.#tell());
  }

  #tell() {
    if (this.view === this.#told) return;
    this.#told = this.view;
    for (const listener of [...this.#listeners]) listener();
  }

  #answered() {
    this.#waiting.splice(0).forEach((resolve) => resolve());
  }
}

/** Whether two views hold the same things. */
function isSame<View extends object>(a: View, b: View): boolean {
  return (Object.keys(b) as (keyof View)[]).every((name) => Object.is(a[name], b[name]));
}
