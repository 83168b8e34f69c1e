// The page's state in its address, in the fragment: `#/books?q=salt&book=6f1d…` is the tab and its
// parameters. Each tab owns the parameters that it reads.
import { useEffect, useState } from "preact/hooks";

export const TABS = ["books", "dead-letters", "system", "pipelines"] as const;
export type Tab = (typeof TABS)[number];

export interface Place {
  readonly tab: Tab;
  readonly parameters: Readonly<Record<string, string>>;
}

function read(): Place {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const tab = TABS.find((name) => name === path) ?? "books";
  return { tab, parameters: Object.fromEntries(new URLSearchParams(query)) };
}

/** The fragment of a place; parameters that are empty or undefined are left out. */
export function hrefOf(tab: Tab, parameters: Record<string, string | undefined> = {}): string {
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => !!entry[1]);
  return `#/${tab}${given.length === 0 ? "" : `?${new URLSearchParams(given)}`}`;
}

let place = read();
const listeners = new Set<() => void>();

function changed() {
  place = read();
  for (const listener of [...listeners]) listener();
}

export const currentPlace = (): Place => place;

/** Replaces the address. */
export function replace(href: string): void {
  history.replaceState(null, "", href);
  changed();
}

/** Goes to another tab, as a step of the browser's history. */
export function go(tab: Tab, parameters: Record<string, string | undefined> = {}): void {
  location.hash = hrefOf(tab, parameters);
}

/**
 * Changes some parameters of this tab; undefined removes one. `push` makes it a step of the
 * browser's history.
 */
export function change(
  parameters: Record<string, string | undefined>,
  { push = false }: { push?: boolean } = {},
): void {
  const href = hrefOf(place.tab, { ...place.parameters, ...parameters });
  if (href === location.hash) return;
  if (!push) return replace(href);
  history.pushState(null, "", href);
  changed();
}

export function usePlace(): Place {
  const [shown, setShown] = useState(place);
  useEffect(() => {
    const listener = () => setShown(place);
    listeners.add(listener);
    listener();
    return () => {
      listeners.delete(listener);
    };
  }, []);
  return shown;
}

addEventListener("hashchange", changed);
addEventListener("popstate", changed);
