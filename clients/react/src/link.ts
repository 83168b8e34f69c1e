// One subscription, shared by all watchers of its topic and opened again after each loss. Its
// events go to every attached listener. The previous subscription of a topic is always closed
// before the next one is opened: Supabase returns the same channel for the same name.
import { backoff } from "./backoff.js";
import type { Environment } from "./environment.js";
import type { SubscriptionListener, EndReason, Topic, BookTransport } from "./transport.js";

/** After a subscription that lasted this long, the next failure counts as the first. */
const HELD_MS = 10_000;
/** A server without such a subscription may be replaced by one that has it. */
const UNAVAILABLE_MS = 300_000;
/** The delay after a refusal: the right may be granted, or another subscription may end. */
const REFUSED_MS = 15_000;

export interface LinkListener extends SubscriptionListener {
  /** The newest known revision. */
  since(): number | null;
}

export interface Link {
  attach(listener: LinkListener): () => void;
  /** Resolves when the last closed subscription has ended. */
  closed(): Promise<void>;
}

/** `onIdle`: no listener is attached and the subscription is closed. */
export function createLink(
  transport: BookTransport,
  topic: Topic,
  environment: Environment,
  onIdle: () => void,
): Link {
  const listeners = new Set<LinkListener>();
  let close: (() => Promise<void>) | null = null;
  let closing: Promise<void> = Promise.resolve();
  let subscribedAt: number | null = null;
  /** Why the last subscription ended, if it was not lost. */
  let ended: EndReason | null = null;
  let failures = 0;
  let timer: unknown = null;
  let stopWaking: (() => void) | null = null;

  function clearTimer() {
    environment.clearTimeout(timer);
    timer = null;
  }

  function begin() {
    ended = null;
    failures = 0;
    stopWaking = environment.onWake(() => {
      // A refusal costs the server time, and a page that becomes visible changes no rights.
      if (timer !== null && ended !== "refused") void open();
    });
    void open();
  }

  function end() {
    clearTimer();
    stopWaking?.();
    shut();
    void closing.then(() => {
      if (listeners.size === 0) onIdle();
    });
  }

  async function open() {
    clearTimer();
    await closing;
    if (listeners.size === 0 || close !== null) return;
    // Each attempt has its own listener, which is removed permanently: later events of an old
    // attempt are ignored.
    let current = true;
    const notify = (call: (listener: LinkListener) => void) => {
      if (current) for (const listener of [...listeners]) call(listener);
    };
    const closeThis = transport.open(topic, since(), {
      subscribed: () => {
        if (current) [subscribedAt, ended] = [environment.now(), null];
        notify((listener) => listener.subscribed());
      },
      message: (payload) => notify((listener) => listener.message(payload)),
      deleted: (bookId) => notify((listener) => listener.deleted(bookId)),
      doubt: () => notify((listener) => listener.doubt()),
      ended: (reason) => {
        if (!current) return;
        current = false;
        // Before the listeners are called, because a listener may detach.
        lost(reason);
        for (const listener of [...listeners]) listener.ended(reason);
      },
    });
    close = () => {
      current = false;
      return closeThis();
    };
  }

  function lost(reason: EndReason) {
    const held = subscribedAt !== null && environment.now() - subscribedAt >= HELD_MS;
    // The transport may report this while it is still opening; the function that closes it follows.
    queueMicrotask(shut);
    ended = reason === "lost" ? null : reason;
    if (reason === "lost") failures = held ? 1 : failures + 1;
    const waits = {
      lost: backoff(failures, environment.random),
      refused: REFUSED_MS,
      unavailable: UNAVAILABLE_MS,
    };
    timer = environment.setTimeout(() => void open(), waits[reason]);
  }

  function shut() {
    subscribedAt = null;
    const closeThis = close;
    if (closeThis === null) return;
    close = null;
    // A failed close leaves nothing to wait for.
    closing = closeThis().catch(() => undefined);
  }

  function since(): number | null {
    const known = [...listeners]
      .map((listener) => listener.since())
      .filter((revision) => revision !== null);
    return known.length === 0 ? null : Math.min(...known);
  }

  return {
    attach(listener) {
      listeners.add(listener);
      if (listeners.size === 1) begin();
      else if (subscribedAt !== null) listener.subscribed();
      else if (ended !== null) listener.ended(ended);
      return () => {
        if (listeners.delete(listener) && listeners.size === 0) end();
      };
    },
    closed: () => closing,
  };
}
