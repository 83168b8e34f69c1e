// The shared view functions with Preact's h, and the page's texts about time.
import { english, duration, type H } from "@bindery/react/view";
import { h, type VNode } from "preact";
import { useEffect, useState } from "preact/hooks";

/** Preact's h in the shape that the view functions take. */
export const draw: H<VNode> = (tag, props, ...children) =>
  h(tag, props as Record<string, unknown>, ...children);

export const labels = english;

const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
export const at = (time: string): string => dateTime.format(new Date(time));

/** "4 min", which is not broken into two lines. */
export const span = (milliseconds: number): string =>
  duration(milliseconds, labels).replaceAll(" ", "\u00a0");

/** "4 min ago" */
export function ago(time: string, now: number): string {
  const past = now - Date.parse(time);
  return past < 5_000 ? "just now" : `${span(past)} ago`;
}

/** The time in milliseconds, in steps. */
export function useNow(step: number): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), step);
    return () => clearInterval(timer);
  }, [step]);
  return now;
}
