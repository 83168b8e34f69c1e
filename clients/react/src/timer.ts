import type { Environment } from "./environment.js";

/** One timer: setting it again replaces the earlier time. */
export interface Timer {
  set(milliseconds: number, run: () => void): void;
  /** Like `set`, unless it already fires earlier. */
  setEarlier(milliseconds: number, run: () => void): void;
  clear(): void;
}

export function createTimer(environment: Environment): Timer {
  let timer: unknown = null;
  let due = Number.POSITIVE_INFINITY;

  function clear() {
    environment.clearTimeout(timer);
    timer = null;
    due = Number.POSITIVE_INFINITY;
  }

  function set(milliseconds: number, run: () => void) {
    clear();
    due = environment.now() + milliseconds;
    timer = environment.setTimeout(() => {
      clear();
      run();
    }, milliseconds);
  }

  return {
    set,
    setEarlier(milliseconds, run) {
      if (environment.now() + milliseconds < due) set(milliseconds, run);
    },
    clear,
  };
}
