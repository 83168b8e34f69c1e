// Keeps one subject up to date: it subscribes to what an answer has shown to be readable, requests
// again after a doubt, and determines when the shown data is too old. The reducer interprets the
// news, `Requests` schedules the requests.
import { nextConnection, type Connection, type ConnectionEvent } from "./connection.js";
import type { Environment } from "./environment.js";
import { forbidsShowing } from "./errors.js";
import type { LinkListener } from "./link.js";
import type { Extent, News } from "./news.js";
import { createNotifier } from "./notifier.js";
import { createRequests, type Outcome, type Urgency } from "./requests.js";
import { isStale, staleFrom } from "./stale.js";
import type { Shown, Subject, Timing } from "./subject.js";
import { createTimer } from "./timer.js";
import { sameForm } from "./uuid.js";

/**
 * A message may arrive this much later than an answer with the same change; after that it counts as
 * missing.
 */
const GRACE_MS = 3_000;

export interface Live<View, Command = never> {
  /** Watches until the returned function is called. Listeners read `view`. */
  subscribe(listener: () => void): () => void;
  /** The same object until something changes. */
  view(): View;
  /** Sends a request now. Resolves when the answer or the error has arrived. */
  refetch(): Promise<void>;
  /** Changes what the reader demands, and requests it. */
  dispatch(command: Command): void;
  close(): void;
}

/** `Command`: what the reader demands; it changes the state as news do. */
export function createLive<State extends Shown, Answer, View extends object, Command = never>(
  subject: Subject<State, Answer, View, Command>,
  timing: Timing,
  environment: Environment,
  onIdle: () => void,
): Live<View, Command> {
  let state = subject.initial;
  let connection: Connection = "closed";
  /** The topic that is subscribed, or would be if there were room. */
  let subscribedTopic: string | null = null;
  let detach: (() => void) | null = null;
  let stopWaking: (() => void) | null = null;
  /** Whether a message has arrived since the last request. */
  let received = false;
  /** Whether the last answer had a change that is newer than everything known. */
  let found = false;
  /** When an answer last had a change that no message announced. */
  let missedAt = 0;
  const requester = { fetch, reduce, settled, interval };
  const requests = createRequests<Answer>(requester, timing.gap, environment);
  const makeView = () => subject.view(state, connection, isDataStale());
  const notifier = createNotifier(makeView, subject.batch, environment);
  const staleTimer = createTimer(environment);
  const lingerTimer = createTimer(environment);
  const graceTimer = createTimer(environment);

  function fetch(signal: AbortSignal, extent: Extent): Promise<Answer> {
    received = false;
    return subject.fetch(state, signal, extent);
  }

  function start() {
    connect("open");
    stopWaking = environment.onWake(() => {
      changed();
      request("now");
    });
    request("now");
  }

  function close() {
    if (connection === "closed") return;
    connect("close");
    for (const timer of [staleTimer, lingerTimer, graceTimer]) timer.clear();
    notifier.stop();
    detach?.();
    stopWaking?.();
    requests.stop();
    onIdle();
  }

  function request(urgency: Urgency, extent?: Extent) {
    if (connection !== "closed") requests.send(urgency, extent);
  }

  /**
   * Attaches and detaches, as the state allows. Realtime serves nothing for 5 s after a join that
   * it refuses.
   */
  function listen() {
    const topic = subject.topic(state);
    const name = topic === null ? null : JSON.stringify(topic);
    if (name === subscribedTopic && detach !== null) return;
    subscribedTopic = name;
    detach?.();
    detach = topic === null ? null : subject.attach(topic, listener());
    if (detach === null) connect("unavailable");
  }

  function listener(): LinkListener {
    return {
      subscribed() {
        connect("subscribed");
        request("now");
      },
      message(payload) {
        noteMessage();
        apply({ type: "received", payload, at: environment.now() });
      },
      deleted(bookId) {
        noteMessage();
        // Many books of a list may leave at once, and leave it without a request.
        const urgency = subject.batch === 0 ? "now" : "soon";
        apply({ type: "deleted", bookId: sameForm(bookId), at: environment.now() }, urgency);
      },
      doubt: () => request("now"),
      ended(reason) {
        connect(reason === "lost" ? "lost" : "unavailable");
        request("soon");
      },
      since: () => subject.since(state),
    };
  }

  function noteMessage() {
    received = true;
    graceTimer.clear();
    connect("received");
  }

  function apply(news: News<Answer> | Command, urgency: Urgency = "soon") {
    const step = subject.reduce(state, news);
    if (step.state !== state) {
      state = step.state;
      changed();
      listen();
    }
    if (step.refetch) request(urgency, step.extent);
  }

  function reduce(outcome: Outcome<Answer>): Extent | null {
    const step = subject.reduce(state, outcome);
    state = step.state;
    found = step.found === true;
    return step.refetch ? (step.extent ?? "all") : null;
  }

  function settled(outcome: Outcome<Answer>, audit: boolean) {
    // "No such book" is also an answer.
    const answered = outcome.type === "fetched" || forbidsShowing(outcome.error);
    connect(answered ? "answered" : "unanswered");
    if (audit && outcome.type === "fetched") audited(found && !received);
    if (answered) listen();
    changed();
  }

  /** `missed`: the answer had a change that no message has announced so far. */
  function audited(missed: boolean) {
    const now = environment.now();
    if (missed) {
      missedAt = now;
      if (connection === "live") graceTimer.set(GRACE_MS, delay);
    } else if (Math.abs(now - missedAt) >= timing.audit) connect("received");
  }

  function delay() {
    connect("missed");
    requests.reschedule();
  }

  function interval(): number | null {
    if (subject.isFinal(state)) return null;
    return connection === "live" ? timing.audit : timing.poll;
  }

  function connect(event: ConnectionEvent) {
    const next = nextConnection(connection, event);
    if (next === connection) return;
    connection = next;
    changed();
  }

  function isDataStale(): boolean {
    if (connection === "closed" || subject.isFinal(state)) return false;
    return isStale(connection, state.confirmedAt, environment.now(), timing.stale);
  }

  function changed() {
    notifier.invalidate();
    if (connection === "closed") return;
    const from = staleFrom(connection, state.confirmedAt, timing.stale);
    const left = from === null ? 0 : from - environment.now();
    if (left > 0) staleTimer.set(left, changed);
    else staleTimer.clear();
    notifier.notify();
  }

  return {
    subscribe(listener) {
      // Begun first, so that no listener is called before `subscribe` returns.
      if (connection === "closed") start();
      lingerTimer.clear();
      const remove = notifier.add(listener);
      return () => {
        if (remove()) lingerTimer.set(timing.linger, close);
      };
    },
    view: notifier.view,
    refetch: () => (connection === "closed" ? Promise.resolve() : requests.refetch()),
    dispatch: (command) => apply(command, "now"),
    close,
  };
}
