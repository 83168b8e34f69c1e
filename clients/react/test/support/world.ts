// The environment of a client in tests: the clock is vitest's, random() is constant, and the test
// decides when the page sleeps and wakes.
import { vi } from "vitest";
import type { Environment } from "../../src/environment.js";
import { systemEnvironment } from "../../src/environment.js";
import { noon } from "./books.js";

export interface World extends Environment {
  hidden: boolean;
  wake(): void;
  /** Lets time pass, and all that is due happen. */
  pass(milliseconds: number): Promise<void>;
}

export function world(): World {
  vi.useFakeTimers({
    now: noon,
    toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"],
  });
  const listeners = new Set<() => void>();
  return {
    ...systemEnvironment,
    random: () => 1,
    hidden: false,
    isHidden() {
      return this.hidden;
    },
    onWake(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    wake() {
      for (const listener of [...listeners]) listener();
    },
    async pass(milliseconds) {
      await vi.advanceTimersByTimeAsync(milliseconds);
    },
  };
}
