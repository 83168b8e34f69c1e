// What the client needs of the world around it, so that tests can be that world.

export interface Environment {
  /** Milliseconds of the wall clock: it goes on while a laptop sleeps. */
  now(): number;
  setTimeout(run: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
  random(): number;
  /** Whether nobody can see the page. */
  isHidden(): boolean;
  /** Calls when the page is seen again or the network is back. */
  onWake(listener: () => void): () => void;
}

/** The browser's, or the server's, where nobody ever wakes. */
export const systemEnvironment: Environment = {
  now: () => Date.now(),
  setTimeout: (run, milliseconds) => setTimeout(run, milliseconds),
  clearTimeout: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
  random: () => Math.random(),
  isHidden: () => typeof document !== "undefined" && document.visibilityState === "hidden",
  onWake(listener) {
    if (typeof window === "undefined") return () => undefined;
    const seen = () => {
      if (document.visibilityState === "visible") listener();
    };
    document.addEventListener("visibilitychange", seen);
    window.addEventListener("online", listener);
    // From the back-forward cache: every socket is dead, and no other event says so.
    const restored = (event: PageTransitionEvent) => {
      if (event.persisted) listener();
    };
    window.addEventListener("pageshow", restored);
    return () => {
      document.removeEventListener("visibilitychange", seen);
      window.removeEventListener("online", listener);
      window.removeEventListener("pageshow", restored);
    };
  },
};
