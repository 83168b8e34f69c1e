// Calls the listeners of one subject when its view has changed, and keeps the view's identity until
// then.
import type { Environment } from "./environment.js";
import { createTimer } from "./timer.js";

export interface Notifier<View> {
  /** Returns a function that removes the listener, and returns whether it was the last one. */
  add(listener: () => void): () => boolean;
  /** The same object until something changes. */
  view(): View;
  /** Makes the view anew at its next use, without calling listeners. */
  invalidate(): void;
  /** Calls the listeners if the view has changed. */
  notify(): void;
  stop(): void;
}

/** `batch`: how long changes are collected before listeners are called; 0: not at all. */
export function createNotifier<View extends object>(
  makeView: () => View,
  batch: number,
  environment: Environment,
): Notifier<View> {
  let last: View | null = null;
  /** Whether something may have changed since `last` was made. */
  let changed = true;
  let notified: View | null = null;
  const listeners = new Set<() => void>();
  const timer = createTimer(environment);

  function view(): View {
    if (changed || last === null) {
      const next = makeView();
      if (last === null || !isSame(last, next)) last = next;
      changed = false;
    }
    return last;
  }

  function call() {
    if (view() === notified) return;
    notified = view();
    for (const listener of [...listeners]) listener();
  }

  return {
    add(listener) {
      const own = () => listener();
      listeners.add(own);
      return () => listeners.delete(own) && listeners.size === 0;
    },
    view,
    invalidate() {
      changed = true;
    },
    notify() {
      changed = true;
      if (batch === 0) call();
      else timer.setEarlier(batch, call);
    },
    stop: timer.clear,
  };
}

/** Whether two views hold the same things. */
function isSame<View extends object>(a: View, b: View): boolean {
  return (Object.keys(b) as (keyof View)[]).every((name) => Object.is(a[name], b[name]));
}
