// Calls the listeners of one subject when its view has changed, and keeps the view's identity until
// then.
import type { Environment } from "./environment.js";
import { Timer } from "./timer.js";

export class Notifier<View extends object> {
  #view: View | null = null;
  /** Whether something may have changed since `#view` was made. */
  #changed = true;
  #notified: View | null = null;
  readonly #listeners = new Set<() => void>();
  readonly #timer: Timer;

  constructor(
    private readonly makeView: () => View,
    /** How long changes are collected before listeners are called; 0: not at all. */
    private readonly batch: number,
    environment: Environment,
  ) {
    this.#timer = new Timer(environment);
  }

  /** Returns a function that removes the listener, and returns whether it was the last one. */
  add(listener: () => void): () => boolean {
    const own = () => listener();
    this.#listeners.add(own);
    return () => this.#listeners.delete(own) && this.#listeners.size === 0;
  }

  /** The same object until something changes. */
  get view(): View {
    if (this.#changed || this.#view === null) {
      const next = this.makeView();
      if (this.#view === null || !isSame(this.#view, next)) this.#view = next;
      this.#changed = false;
    }
    return this.#view;
  }

  /** Makes the view anew at its next use, without calling listeners. */
  invalidate() {
    this.#changed = true;
  }

  /** Calls the listeners if the view has changed. */
  notify() {
    this.#changed = true;
    if (this.batch === 0) this.#call();
    else this.#timer.setEarlier(this.batch, () => this.#call());
  }

  stop() {
    this.#timer.clear();
  }

  #call() {
    if (this.view === this.#notified) return;
    this.#notified = this.view;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Whether two views hold the same things. */
function isSame<View extends object>(a: View, b: View): boolean {
  return (Object.keys(b) as (keyof View)[]).every((name) => Object.is(a[name], b[name]));
}
