// The watched histories and lists of substeps. Watchers of the same pages share them.
import type { BookClient } from "../bindery.js";
import { partOf, type Internals } from "../internals.js";
import { callOnce, InvalidIds } from "../invalid-ids.js";
import { sameForm } from "../uuid.js";
import { LivePages, type PagesSource, type PagesView } from "./live-pages.js";
import { idleSubsteps, substepsSource } from "./substep-list.js";
import type { SubstepsOptions, SubstepsView } from "./substep-list.js";
import {
  idleTimeline,
  timelineSource,
  type TimelineOptions,
  type TimelineView,
} from "./timeline.js";

/** A list about a book that is read by pages. */
export interface Pages<Shown extends PagesView> {
  /** Keeps the list up to date and calls `listener` at each change, until the returned call. */
  watch(listener: (view: Shown) => void): () => void;
  /** The same object until something changes. */
  view(): Shown;
  /** Reads the shown pages again. Resolves when the answer or the error is in the view. */
  refetch(): Promise<void>;
  /** Shows one more page. */
  loadMore(): void;
}

interface AnyPages {
  close(): void;
}

class PagesOfBooks {
  readonly #open = new Map<string, AnyPages>();
  readonly #invalid = new InvalidIds();

  constructor(private readonly client: Internals) {
    client.closers.add(() => {
      for (const pages of [...this.#open.values()]) pages.close();
    });
  }

  timeline(given: string, { limit = 50 }: TimelineOptions): Pages<TimelineView> {
    const bookId = sameForm(given);
    const source = () => timelineSource(this.client.transport, bookId);
    return this.#pages(given, ["timeline", limit], limit, source, idleTimeline);
  }

  substeps(given: string, { stage = null, limit = 200 }: SubstepsOptions): Pages<SubstepsView> {
    const bookId = sameForm(given);
    const source = () => substepsSource(this.client.transport, bookId, stage);
    return this.#pages(given, ["substeps", stage, limit], limit, source, idleSubsteps);
  }

  #pages<Item, Cursor, Shown extends PagesView>(
    given: string,
    kind: unknown[],
    limit: number,
    source: () => PagesSource<Item, Cursor, Shown>,
    idle: Shown,
  ): Pages<Shown> {
    const bookId = sameForm(given);
    const key = JSON.stringify([bookId, ...kind]);
    type Live = LivePages<Item, Cursor, Shown>;
    const known = () => this.#open.get(key) as Live | undefined;
    const begin = (): Live => {
      const onIdle = () => this.#open.delete(key);
      const { book, timing, environment } = this.client;
      return new LivePages(source(), limit, () => book(bookId), timing, environment, onIdle);
    };
    const invalid = () => this.#invalid.view("book_id", given, idle);
    return {
      watch: (listener) => {
        const view = invalid();
        if (view !== null) return callOnce(() => listener(view));
        const live = known() ?? begin();
        this.#open.set(key, live);
        return live.subscribe(() => listener(live.view));
      },
      view: () => known()?.view ?? invalid() ?? idle,
      refetch: () => known()?.refetch() ?? Promise.resolve(),
      loadMore: () => known()?.loadMore(),
    };
  }
}

const pagesOf = partOf((client) => new PagesOfBooks(client));

/** A book's history, newest first, by pages; new events follow live. */
export function bookTimeline(
  client: BookClient,
  bookId: string,
  options: TimelineOptions = {},
): Pages<TimelineView> {
  return pagesOf(client).timeline(bookId, options);
}

/** All substeps of a stage, by pages; changes follow live. */
export function bookSubsteps(
  client: BookClient,
  bookId: string,
  options: SubstepsOptions = {},
): Pages<SubstepsView> {
  return pagesOf(client).substeps(bookId, options);
}
