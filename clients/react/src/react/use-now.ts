"use client";
import { useCallback, useSyncExternalStore } from "react";

/**
 * The time in milliseconds, in steps of `step`. Null on the server and while hydrating, because the
 * two would differ.
 */
export function useNow(step: number): number | null {
  const subscribe = useCallback(
    (listener: () => void) => {
      const timer = setInterval(listener, step);
      return () => clearInterval(timer);
    },
    [step],
  );
  return useSyncExternalStore<number | null>(
    subscribe,
    () => Math.floor(Date.now() / step) * step,
    () => null,
  );
}
