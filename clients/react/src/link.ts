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

export class Link {
  readonly #listeners = new Set<LinkListener>();
  #close: (() => Promise<void>) | null = null;
  #closing: Promise<void> = Promise.resolve();
  #subscribedAt: number | null = null;
  /** Why the last subscription ended, if it was not lost. */
  #ended: EndReason | null = null;
  #failures = 0;
  #timer: unknown = null;
  #stopWaking: (() => void) | null = null;

  constructor(
    private readonly transport: BookTransport,
    private readonly topic: Topic,
    private readonly environment: Environment,
    /** No listener is attached and the subscription is closed. */
    private readonly onIdle: () => void,
  ) {}

  attach(listener: LinkListener): () => void {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#begin();
    else if (this.#subscribedAt !== null) listener.subscribed();
    else if (this.#ended !== null) listener.ended(this.#ended);
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#end();
    };
  }

  /** Resolves when the last closed subscription has ended. */
  get closed(): Promise<void> {
    return this.#closing;
  }

  #begin() {
    this.#ended = null;
    this.#failures = 0;
    this.#stopWaking = this.environment.onWake(() => {
      // A refusal costs the server time, and a page that becomes visible changes no rights.
      if (this.#timer !== null && this.#ended !== "refused") void this.#open();
    });
    void this.#open();
  }

  #end() {
    this.#clearTimer();
    this.#stopWaking?.();
    this.#shut();
    void this.#closing.then(() => {
      if (this.#listeners.size === 0) this.onIdle();
    });
  }

  async #open() {
    this.#clearTimer();
    await this.#closing;
    if (this.#listeners.size === 0 || this.#close !== null) return;
    // Each attempt has its own listener, which is removed permanently: later events of an old
    // attempt are ignored.
    let current = true;
    const notify = (call: (listener: LinkListener) => void) => {
      if (current) for (const listener of [...this.#listeners]) call(listener);
    };
    const close = this.transport.open(this.topic, this.#since(), {
      subscribed: () => {
        if (current) [this.#subscribedAt, this.#ended] = [this.environment.now(), null];
        notify((listener) => listener.subscribed());
      },
      message: (payload) => notify((listener) => listener.message(payload)),
      deleted: (bookId) => notify((listener) => listener.deleted(bookId)),
      doubt: () => notify((listener) => listener.doubt()),
      ended: (reason) => {
        if (!current) return;
        current = false;
        // Before the listeners are called, because a listener may detach.
        this.#lost(reason);
        for (const listener of [...this.#listeners]) listener.ended(reason);
      },
    });
    this.#close = () => {
      current = false;
      return close();
    };
  }

  #lost(reason: EndReason) {
    const held =
      this.#subscribedAt !== null && this.environment.now() - this.#subscribedAt >= HELD_MS;
    // The transport may report this while it is still opening; the function that closes it follows.
    queueMicrotask(() => this.#shut());
    this.#ended = reason === "lost" ? null : reason;
    if (reason === "lost") this.#failures = held ? 1 : this.#failures + 1;
    const waits = {
      lost: backoff(this.#failures, this.environment.random),
      refused: REFUSED_MS,
      unavailable: UNAVAILABLE_MS,
    };
    this.#timer = this.environment.setTimeout(() => void this.#open(), waits[reason]);
  }

  #shut() {
    this.#subscribedAt = null;
    const close = this.#close;
    if (close === null) return;
    this.#close = null;
    // A failed close leaves nothing to wait for.
    this.#closing = close().catch(() => undefined);
  }

  #clearTimer() {
    this.environment.clearTimeout(this.#timer);
    this.#timer = null;
  }

  #since(): number | null {
    const known = [...this.#listeners]
      .map((listener) => listener.since())
      .filter((revision) => revision !== null);
    return known.length === 0 ? null : Math.min(...known);
  }
}
