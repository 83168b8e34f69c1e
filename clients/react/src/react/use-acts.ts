"use client";
import { useCallback, useMemo, useSyncExternalStore } from "react";
import { bookActs, idleAct, type Act, type ActView, type PerformAct } from "../acts.js";
import type { BinderyError } from "../errors.js";
import type { ActOptions, CancelOptions } from "../transport.js";
import { useBindery } from "./context.js";

export interface ActState {
  /** `pending` until the book shows the act. After a success it is `idle` again. */
  state: "idle" | "pending" | "failed";
  /** Why it failed. */
  error: BinderyError | null;
  /** Whether this or another act on the book is pending: no second one is begun meanwhile. */
  busy: boolean;
  /** Forgets a failure. */
  reset: () => void;
}

export interface ResumeResult extends ActState {
  /** Resolves when it is over, to whether it succeeded; never rejects. */
  resume: (options?: ActOptions) => Promise<boolean>;
}

export interface CancelResult extends ActState {
  /** Resolves when it is over, to whether it succeeded; never rejects. */
  cancel: (options?: CancelOptions) => Promise<boolean>;
}

/**
 * Resumes a FAILED book: by `resume`, such as a call of your server, or else by the transport,
 * whose token then needs the role `service_role`. Components that act on the same book share its
 * state.
 */
export function useResumeBook(
  bookId: string | null | undefined,
  { resume: perform }: { resume?: PerformAct<ActOptions> | undefined } = {},
): ResumeResult {
  const { acts, state } = useAct(bookId, "resume");
  const resume = useCallback(
    (options?: ActOptions) => acts?.resume(options, perform) ?? Promise.resolve(false),
    [acts, perform],
  );
  return useMemo(() => ({ ...state, resume }), [state, resume]);
}

/** Cancels a book permanently: by `cancel` or by the transport, like `useResumeBook`. */
export function useCancelBook(
  bookId: string | null | undefined,
  { cancel: perform }: { cancel?: PerformAct<CancelOptions> | undefined } = {},
): CancelResult {
  const { acts, state } = useAct(bookId, "cancel");
  const cancel = useCallback(
    (options?: CancelOptions) => acts?.cancel(options, perform) ?? Promise.resolve(false),
    [acts, perform],
  );
  return useMemo(() => ({ ...state, cancel }), [state, cancel]);
}

function useAct(bookId: string | null | undefined, act: Act) {
  const client = useBindery();
  const acts = useMemo(() => (bookId ? bookActs(client, bookId) : null), [client, bookId]);
  const subscribe = useCallback(
    (listener: () => void) => acts?.watch(listener) ?? (() => undefined),
    [acts],
  );
  const view: ActView = useSyncExternalStore(
    subscribe,
    () => acts?.view() ?? idleAct,
    () => idleAct,
  );
  return useMemo(() => {
    const own = view.act === act ? view : idleAct;
    const reset = () => acts?.reset();
    const busy = view.state === "pending";
    const state: ActState = { state: own.state, error: own.error, busy, reset };
    return { acts, state };
  }, [acts, act, view]);
}
