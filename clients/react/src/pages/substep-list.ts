// All substeps of a stage, in the order of their keys. Messages about the book carry the substeps
// that changed; a request reads the pages again when a message may have left one out.
import { BinderyError } from "../errors.js";
import { readPatch, type News } from "../news.js";
import { compareLives, type BookPatch, type BookStatus, type Substep } from "../status.js";
import type { BookTransport } from "../transport.js";
import { parseSubsteps, type ListedSubstep } from "./items.js";
import { idlePages, type ItemsPage, type Known } from "./live-pages.js";
import type { PagesSource, PagesView } from "./live-pages.js";

export interface SubstepsOptions {
  /** By default the stage that the book is in. */
  stage?: string | null | undefined;
  /** The number of substeps at first, and of each `loadMore`; 200 by default. */
  limit?: number | undefined;
}

export interface SubstepsView extends PagesView {
  /** In the order of their keys. */
  readonly substeps: readonly ListedSubstep[];
}

/** The view of substeps that are not watched. */
export const idleSubsteps: SubstepsView = { ...idlePages, substeps: [] };

type Substeps = Known<ListedSubstep>;

export async function fetchSubsteps(
  transport: BookTransport,
  bookId: string,
  stage: string | null,
  after: string | null,
  limit: number,
  signal: AbortSignal,
): Promise<ItemsPage<ListedSubstep, string>> {
  if (transport.fetchSubsteps === undefined)
    throw new BinderyError("refused", "This transport cannot read substeps.");
  const { items, next } = await transport.fetchSubsteps(bookId, { stage, after, limit }, signal);
  return { items: parseSubsteps(items), next };
}

/** The substeps of a stage; null: of the current one. */
export function substepsSource(
  transport: BookTransport,
  bookId: string,
  stage: string | null,
): PagesSource<ListedSubstep, string, SubstepsView> {
  /** The list has every change up to this revision. */
  let current = 0;
  return {
    fetch: (after, limit, signal) => fetchSubsteps(transport, bookId, stage, after, limit, signal),
    view: (substeps, view) => ({ ...view, substeps }),
    cursorOf: ({ substep }) => substep,
    identityOf: (book) => JSON.stringify([book.created_at, stage ?? book.current_stage]),
    // A resume or a rewind may begin substeps anew.
    markOf: (book) => JSON.stringify([book.status, book.current_stage, book.attempt]),
    reaches: () => false,
    refreshed(known, fresh, since) {
      current = Math.max(since, ...fresh.items.map(({ revision }) => revision));
      return known === null ? fresh : overlaid(fresh, laterThan(known, since));
    },
    follow(known, news, book) {
      const patch = patchOf(news, bookId);
      if (patch === null || compareLives(book, patch) !== 0) return null;
      if ((stage ?? book.current_stage) !== (patch.current_stage ?? book.current_stage))
        return null;
      const changes = patch.substeps;
      // The book's own query follows, and its answer has the list.
      if (changes === undefined) return null;
      const whole = patch.substeps_partial !== true;
      const total = patch.substeps_total ?? book.substeps_total;
      if (whole && patch.revision < current) return null;
      const since = whole ? 0 : (patch.since_revision ?? patch.revision - 1);
      const attempt = patch.attempt ?? book.attempt;
      const listed = changes.map((one) => listedOf(one, patch, attempt));
      let next = overlaid(known, listed);
      if (whole && changes.length >= total) {
        const keys = new Set(changes.map(({ substep }) => substep));
        next = { ...next, items: next.items.filter(({ substep }) => keys.has(substep)) };
        current = Math.max(current, patch.revision);
        return { known: next, refresh: false };
      }
      const removed = !next.hasMore && next.items.length > total;
      if (whole) return { known: next, refresh: removed || patch.revision > current };
      const complete = current >= since && !removed;
      if (complete) current = Math.max(current, patch.revision);
      return { known: next, refresh: !complete };
    },
  };
}

function patchOf(news: News<BookStatus>, bookId: string): BookPatch | null {
  if (news.type === "fetched") return news.answer;
  if (news.type !== "received") return null;
  const patch = readPatch(news.payload);
  return patch?.book_id === bookId ? patch : null;
}

function listedOf(substep: Substep, patch: BookPatch, attempt: number): ListedSubstep {
  const updated_at = patch.updated_at ?? null;
  const { revision } = patch;
  return { ...substep, checkpoint: null, attempt, revision, started_at: null, updated_at };
}

function laterThan(known: Substeps, revision: number): ListedSubstep[] {
  return known.items.filter((one) => one.revision > revision);
}

/** The list with newer substeps; new ones only within the pages that are known. */
function overlaid(list: Substeps, changes: readonly ListedSubstep[]): Substeps {
  const later = new Map(changes.map((one) => [one.substep, one]));
  let changed = false;
  const items = list.items.map((one) => {
    const change = later.get(one.substep);
    later.delete(one.substep);
    if (change === undefined || change.revision <= one.revision || isSame(one, change)) return one;
    changed = true;
    // A message has no checkpoint; the known one stays until the next request.
    const { checkpoint, started_at } = one;
    return { ...change, checkpoint, started_at };
  });
  const last = items.at(-1)?.substep;
  for (const one of later.values()) {
    if (list.hasMore && (last === undefined || one.substep > last)) continue;
    items.push(one);
    changed = true;
  }
  if (!changed) return list;
  items.sort((a, b) => (a.substep < b.substep ? -1 : 1));
  return { ...list, items };
}

function isSame(a: ListedSubstep, b: ListedSubstep): boolean {
  const names = ["state", "progress", "done", "total", "message", "label", "weight"] as const;
  return a.attempt === b.attempt && names.every((name) => a[name] === b[name]);
}
