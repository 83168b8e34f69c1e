// The client's dependencies on its environment, which tests replace.

export interface Environment {
  /** Milliseconds of the wall clock, which continues while a laptop sleeps. */
  now(): number;
  setTimeout(run: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
  random(): number;
  /** Whether the page is hidden. */
  isHidden(): boolean;
  /** Calls when the page is visible again or the network is back. */
  onWake(listener: () => void): () => void;
}

/** The environment of the browser, or of the server, where the page never becomes visible. */
export const systemEnvironment: Environment = {
  now: () => Date.now(),
  setTimeout: (run, milliseconds) => setTimeout(run, milliseconds),
  clearTimeout: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
  random: () => Math.random(),
  isHidden: () => typeof document !== "undefined" && document.visibilityState === "hidden",
  onWake(listener) {
    if (typeof window === "undefined") return () => undefined;
    const listening = new AbortController();
    const { signal } = listening;
    const seen = () => {
      if (document.visibilityState === "visible") listener();
    };
    // Restored from the back-forward cache: every socket is closed, and no other event reports it.
    const restored = (event: PageTransitionEvent) => {
      if (event.persisted) listener();
    };
    document.addEventListener("visibilitychange", seen, { signal });
    window.addEventListener("online", listener, { signal });
    window.addEventListener("pageshow", restored, { signal });
    return () => listening.abort();
  },
};
