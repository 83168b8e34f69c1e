import type { Environment } from "./environment.js";

/** One timer: setting it again replaces the earlier time. */
export class Timer {
  #timer: unknown = null;
  #due = Number.POSITIVE_INFINITY;

  constructor(private readonly environment: Environment) {}

  set(milliseconds: number, run: () => void) {
    this.clear();
    this.#due = this.environment.now() + milliseconds;
    this.#timer = this.environment.setTimeout(() => {
      this.#timer = null;
      this.#due = Number.POSITIVE_INFINITY;
      run();
    }, milliseconds);
  }

  /** Like `set`, unless it already fires earlier. */
  setEarlier(milliseconds: number, run: () => void) {
    if (this.#timer === null || this.environment.now() + milliseconds < this.#due)
      this.set(milliseconds, run);
  }

  clear() {
    this.environment.clearTimeout(this.#timer);
    this.#timer = null;
    this.#due = Number.POSITIVE_INFINITY;
  }
}
