// The views of ids that are not UUIDs.
import { invalidId } from "./uuid.js";
import type { View } from "./views.js";

export class InvalidIds {
  readonly #views = new Map<string, View>();

  /**
   * A view with the error; null if the id is a UUID. The same object each time, because React calls
   * it until the result stays the same.
   */
  view<Shown extends View>(field: string, id: string, idle: Shown): Shown | null {
    const error = invalidId(field, id);
    if (error === null) return null;
    const key = JSON.stringify([field, id, Object.keys(idle)]);
    const view = (this.#views.get(key) as Shown | undefined) ?? { ...idle, error };
    this.#views.set(key, view);
    return view;
  }
}

/** Calls once, but not before the caller has the function that ends the subscription. */
export function callOnce(listener: () => void): () => void {
  let stopped = false;
  queueMicrotask(() => stopped || listener());
  return () => {
    stopped = true;
  };
}
