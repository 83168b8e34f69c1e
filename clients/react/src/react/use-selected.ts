"use client";
import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";

/**
 * A part of a store's value. The component renders again only when the part changes by `isEqual`.
 */
export function useSelected<Value, Selected>(
  subscribe: (listener: () => void) => () => void,
  now: () => Value,
  onServer: () => Value,
  select: (value: Value) => Selected,
  isEqual: (a: Selected, b: Selected) => boolean = isSameParts,
): Selected {
  /** The part that the component shows, so that another `select` keeps it if it is equal. */
  const shown = useRef<{ selected: Selected } | null>(null);
  const [selectNow, selectOnServer] = useMemo(() => {
    const selecting = (read: () => Value) => {
      let last: { value: Value; selected: Selected } | null = null;
      return () => {
        const value = read();
        if (last !== null && Object.is(last.value, value)) return last.selected;
        const before = last ?? shown.current;
        const next = select(value);
        const selected = before !== null && isEqual(before.selected, next) ? before.selected : next;
        last = { value, selected };
        return selected;
      };
    };
    return [selecting(now), selecting(onServer)];
  }, [now, onServer, select, isEqual]);
  const selected = useSyncExternalStore(subscribe, selectNow, selectOnServer);
  useEffect(() => {
    shown.current = { selected };
  }, [selected]);
  return selected;
}

/** Whether two values are identical, or are objects or arrays with identical parts. */
export function isSameParts<Value>(a: Value, b: Value): boolean {
  if (Object.is(a, b)) return true;
  if (!isPlain(a) || !isPlain(b)) return false;
  const [names, others] = [Object.keys(a), Object.keys(b)];
  return (
    Array.isArray(a) === Array.isArray(b) &&
    names.length === others.length &&
    names.every((name) => Object.hasOwn(b, name) && Object.is(a[name], b[name]))
  );
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || Array.isArray(value);
}
