// An answer of the API that is read again every few seconds, while the tab is visible.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get, problemOf, type Parameters } from "../api.js";
import { useSession } from "../session.js";

const EVERY_MS = 5000;

export interface Polled<Answer> {
  /** The last answer; null: none yet. */
  readonly answer: Answer | null;
  /** Why the answer is missing or not current. */
  readonly problem: string | null;
  /** Reads it now. */
  refresh(): void;
}

/** Reads `GET path` now and every `everyMs`; another path or other parameters are read at once. */
export function usePolled<Answer>(
  path: string,
  parameters: Parameters = {},
  everyMs = EVERY_MS,
): Polled<Answer> {
  const { signOut } = useSession();
  const key = JSON.stringify([path, parameters]);
  const [known, setKnown] = useState<{ key: string; answer: Answer } | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const latest = useRef<() => void>(() => undefined);

  useEffect(() => {
    let timer: number | undefined;
    let running: AbortController | null = null;
    const read = async () => {
      clearTimeout(timer);
      running?.abort();
      const own = new AbortController();
      running = own;
      try {
        const answer = await get<Answer>(path, parameters, own.signal);
        if (own.signal.aborted) return;
        setKnown({ key, answer });
        setProblem(null);
      } catch (error) {
        if (own.signal.aborted) return;
        if (error instanceof ApiError && error.status === 401) return signOut(error.message);
        setProblem(problemOf(error));
      }
      if (document.visibilityState === "visible")
        timer = window.setTimeout(() => void read(), everyMs);
    };
    const onVisibility = () => {
      if (document.visibilityState === "visible") void read();
      else clearTimeout(timer);
    };
    latest.current = () => void read();
    document.addEventListener("visibilitychange", onVisibility);
    if (document.visibilityState === "visible") void read();
    return () => {
      document.removeEventListener("visibilitychange", onVisibility);
      clearTimeout(timer);
      running?.abort();
    };
    // `key` stands for the path and the parameters.
  }, [key, everyMs, signOut]);

  const refresh = useCallback(() => latest.current(), []);
  return { answer: known !== null && known.key === key ? known.answer : null, problem, refresh };
}
