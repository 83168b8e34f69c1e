// Dead letters and early events: their types, and the list that is read by pages.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { get, problemOf } from "../api.js";
import { usePolled } from "../operation/poll.js";

export type Kind = "dead-letters" | "early-events";

/** A dead letter or an early event, as `GET /api/dead-letters` and `/api/early-events` give it. */
export interface Letter {
  readonly id: number;
  readonly stream: string;
  readonly event_id: string | null;
  readonly first_event_id: string | null;
  readonly count: number;
  readonly book_id: string | null;
  readonly reason: string;
  readonly message: string;
  readonly payload: unknown;
  readonly at: string;
  /** Of dead letters only. */
  readonly truncated?: boolean;
  readonly replayable?: boolean;
  readonly replayed_at?: string | null;
  /** Of early events only. */
  readonly expires_at?: string;
}

/** The filter that a replay or a drop takes, too. */
export interface Filter {
  readonly reason?: string | undefined;
  readonly stream?: string | undefined;
  readonly book_id?: string | undefined;
  readonly q?: string | undefined;
}

interface Page {
  readonly dead_letters?: readonly Letter[];
  readonly early_events?: readonly Letter[];
  readonly next: number | null;
  readonly total: number;
  readonly counts: Readonly<Record<string, number>>;
}

export interface Letters {
  /** The newest first; null: none is read yet. */
  readonly letters: readonly Letter[] | null;
  /** Whether there are older ones. */
  readonly hasMore: boolean;
  readonly isLoading: boolean;
  readonly total: number;
  /** By reason, of every reason. */
  readonly counts: Readonly<Record<string, number>>;
  readonly problem: string | null;
  loadMore(): void;
  /** Reads the list anew from its first page. */
  reload(): void;
}

const LIMIT = 100;
const itemsOf = (page: Page) => page.dead_letters ?? page.early_events ?? [];

/** The older letters after a page, without those that the page no longer has. */
export function afterPage(known: readonly Letter[], page: readonly Letter[], hasNext: boolean) {
  const last = page.at(-1);
  if (last === undefined || !hasNext) return [];
  return known.filter((letter) => letter.id < last.id);
}

/** The list for a filter; its first page is read again every few seconds. */
export function useLetters(kind: Kind, filter: Filter): Letters {
  const key = JSON.stringify([kind, filter]);
  const first = usePolled<Page>(`/api/${kind}`, {
    ...filter,
    limit: LIMIT,
    counts: true,
    total: true,
  });
  const [older, setOlder] = useState<{ key: string; letters: Letter[]; next: number | null }>();
  const [shown, setShown] = useState<{ kind: Kind; page: Page }>();
  const [isLoading, setLoading] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const current = useRef(key);
  current.current = key;

  const page = first.answer;
  useEffect(() => {
    if (page !== null) setShown({ kind, page });
  }, [page, kind]);

  // Until the first answer for another filter, the counts of the one before stay.
  const visible = page ?? (shown?.kind === kind ? shown.page : null);
  const known = older?.key === key ? older : null;
  const newest = page === null ? null : itemsOf(page);
  const letters =
    newest === null || page === null
      ? null
      : [...newest, ...afterPage(known?.letters ?? [], newest, page.next !== null)];
  const next = page === null || page.next === null ? null : known === null ? page.next : known.next;

  const loadMore = useCallback(() => {
    if (next === null) return;
    setLoading(true);
    get<Page>(`/api/${kind}`, { ...filter, limit: LIMIT, after: next })
      .then((more) => {
        if (current.current !== key) return;
        setOlder((before) => ({
          key,
          letters: [...(before?.key === key ? before.letters : []), ...itemsOf(more)],
          next: more.next,
        }));
        setProblem(null);
      })
      .catch((error: unknown) => setProblem(problemOf(error)))
      .finally(() => setLoading(false));
  }, [kind, key, next]);

  const reload = useCallback(() => {
    setOlder(undefined);
    first.refresh();
  }, [first.refresh]);

  return {
    letters,
    hasMore: next !== null,
    isLoading,
    total: visible?.total ?? 0,
    counts: visible?.counts ?? {},
    problem: first.problem ?? problem,
    loadMore,
    reload,
  };
}
