// @bindery/react/tanstack-query: options of queries for TanStack Query 5, and live updates of their
// data in its cache.
import {
  infiniteQueryOptions,
  queryOptions,
  type InfiniteData,
  type QueryClient,
} from "@tanstack/react-query";
import type { Bindery, BooksFilter, BooksList } from "../bindery.js";
import { keyOf, queryOf } from "../books-filter.js";
import type { BinderyError } from "../errors.js";
import { internalsOf } from "../internals.js";
import type { BookEvent, ListedSubstep } from "../pages/items.js";
import type { PagesView } from "../pages/live-pages.js";
import { bookSubsteps, bookTimeline, type Pages } from "../pages/pages-of-books.js";
import { fetchSubsteps, idleSubsteps, type SubstepsOptions } from "../pages/substep-list.js";
import { fetchTimeline, idleTimeline, type TimelineOptions } from "../pages/timeline.js";
import type { BookStatus } from "../status.js";
import { invalidId, sameForm } from "../uuid.js";
import { LiveQueries, type LiveSource } from "./live-queries.js";
import { mergePages, pageUntil, type PageShape } from "./pages.js";
import { readBook, readBooks, readPage } from "./read.js";

/** A page of a history: the newest events before the previous page. */
export interface TimelinePage {
  events: readonly BookEvent[];
  /** The parameter of the next page; null: there is none. */
  next: number | null;
}

export interface SubstepsPage {
  substeps: readonly ListedSubstep[];
  next: string | null;
}

type Id = string | null | undefined;

const timelineShape: PageShape<TimelinePage, BookEvent, number> = {
  itemsOf: ({ events }) => events,
  nextOf: ({ next }) => next,
  pageOf: (events, next) => ({ events, next }),
  cursorOf: ({ revision }) => revision,
  isAfter: ({ revision }, cursor) => revision < cursor,
};

const substepsShape: PageShape<SubstepsPage, ListedSubstep, string> = {
  itemsOf: ({ substeps }) => substeps,
  nextOf: ({ next }) => next,
  pageOf: (substeps, next) => ({ substeps, next }),
  cursorOf: ({ substep }) => substep,
  isAfter: ({ substep }, cursor) => substep > cursor,
};

/** The options of queries about books, whose data `connect` keeps live. */
export type BinderyQueries = ReturnType<typeof binderyQueries>;

/**
 * Options for `useQuery`, `useInfiniteQuery`, `prefetchQuery` and so on. Make them once for a
 * client, outside of components.
 */
export function binderyQueries(client: Bindery) {
  /** The filters of lists, by their keys. */
  const filters = new Map<string, BooksFilter>();
  const { transport } = internalsOf(client);

  const sourceOf = (key: readonly unknown[]): LiveSource | null => {
    const [root, kind, subject, options] = key;
    if (root !== "bindery") return null;
    if (kind === "books") {
      const filter = filters.get(JSON.stringify(subject));
      return filter === undefined ? null : booksSource(client, filter);
    }
    if (typeof subject !== "string") return null;
    if (kind === "book") return bookSource(client, subject);
    if (kind === "timeline") return timelineSource(client, subject, options as TimelineOptions);
    return kind === "substeps" ? substepsSource(client, subject, options as SubstepsOptions) : null;
  };
  const live = new LiveQueries(sourceOf);

  // The client itself requests what is live again when the page becomes visible or is online again.
  const unlessLive = (query: object) => !live.isLive(query);
  const common = {
    refetchOnWindowFocus: unlessLive,
    refetchOnReconnect: unlessLive,
    retry: (failures: number, error: BinderyError) => failures < 3 && mayPass(error),
    // Unchanged parts are the same objects already.
    structuralSharing: false,
  };

  return {
    /** A book's status. */
    book: (bookId: Id) =>
      queryOptions<BookStatus, BinderyError, BookStatus, readonly ["bindery", "book", string]>({
        ...common,
        queryKey: ["bindery", "book", sameForm(bookId ?? "")],
        queryFn: ({ signal }) => readBook(client, validId(bookId), signal),
        enabled: isGiven(bookId),
      }),

    /** The books of a list, from the top: a larger `pageSize` shows more. */
    books(filter: BooksFilter = {}) {
      filters.set(keyOf(filter), filter);
      return queryOptions<
        BooksList,
        BinderyError,
        BooksList,
        readonly ["bindery", "books", object]
      >({
        ...common,
        queryKey: ["bindery", "books", queryOf(filter)],
        queryFn: ({ signal }) => readBooks(client, filter, signal),
      });
    },

    /** A book's history, for `useInfiniteQuery`. */
    timeline(bookId: Id, { limit = 50 }: TimelineOptions = {}) {
      const fetch = async (before: number | null, signal: AbortSignal): Promise<TimelinePage> => {
        const id = validId(bookId);
        const pages = bookTimeline(client, id, { limit });
        if (pages.view() === idleTimeline) {
          const { items, next } = await fetchTimeline(transport, id, before, limit, signal);
          return { events: items, next };
        }
        const isAfter = (event: BookEvent) =>
          before === null || timelineShape.isAfter(event, before);
        const read = readPage(pages, (view) => view.events, isAfter, limit, before === null);
        const { items, isLast } = await read;
        return pageUntil(timelineShape, items, isLast);
      };
      return infiniteQueryOptions({
        ...common,
        queryKey: ["bindery", "timeline", sameForm(bookId ?? ""), { limit }] as const,
        queryFn: ({ pageParam, signal }: { pageParam: number | null; signal: AbortSignal }) =>
          fetch(pageParam, signal),
        enabled: isGiven(bookId),
        initialPageParam: null as number | null,
        getNextPageParam: ({ next }: TimelinePage) => next,
      });
    },

    /** The substeps of a stage (by default, the current one), for `useInfiniteQuery`. */
    substeps(bookId: Id, { stage = null, limit = 200 }: SubstepsOptions = {}) {
      const fetch = async (after: string | null, signal: AbortSignal): Promise<SubstepsPage> => {
        const id = validId(bookId);
        const pages = bookSubsteps(client, id, { stage, limit });
        if (pages.view() === idleSubsteps) {
          const { items, next } = await fetchSubsteps(transport, id, stage, after, limit, signal);
          return { substeps: items, next };
        }
        const isAfter = (one: ListedSubstep) => after === null || substepsShape.isAfter(one, after);
        const read = readPage(pages, (view) => view.substeps, isAfter, limit, after === null);
        const { items, isLast } = await read;
        return pageUntil(substepsShape, items, isLast);
      };
      return infiniteQueryOptions({
        ...common,
        queryKey: ["bindery", "substeps", sameForm(bookId ?? ""), { stage, limit }] as const,
        queryFn: ({ pageParam, signal }: { pageParam: string | null; signal: AbortSignal }) =>
          fetch(pageParam, signal),
        enabled: isGiven(bookId),
        initialPageParam: null as string | null,
        getNextPageParam: ({ next }: SubstepsPage) => next,
      });
    },

    /**
     * Keeps the data of all observed queries live, until the returned function is called. A query
     * is subscribed while it has an observer, and stays in the cache for its `gcTime` after that.
     */
    connect: (queryClient: QueryClient): (() => void) => live.connect(queryClient),
  };
}

function bookSource(client: Bindery, bookId: string): LiveSource {
  const view = () => client.bookView(bookId);
  return {
    watch: (listener) => client.watchBook(bookId, listener),
    view,
    data: () => view().book ?? undefined,
  };
}

function booksSource(client: Bindery, filter: BooksFilter): LiveSource {
  const view = () => client.booksView(filter);
  return {
    watch: (listener) => client.watchBooks(filter, listener),
    view,
    data(before) {
      const { books, total, counts, loading, error } = view();
      if (loading || (error !== null && books.length === 0)) return undefined;
      const known = before as BooksList | undefined;
      const isSame = known?.books === books && known.total === total && known.counts === counts;
      return isSame ? known : { books, total, counts };
    },
  };
}

function timelineSource(client: Bindery, id: string, options: TimelineOptions): LiveSource {
  const pages = bookTimeline(client, id, options);
  return pagesSource(pages, timelineShape, ({ events }) => events, options.limit ?? 50);
}

function substepsSource(client: Bindery, id: string, options: SubstepsOptions): LiveSource {
  const pages = bookSubsteps(client, id, options);
  return pagesSource(pages, substepsShape, ({ substeps }) => substeps, options.limit ?? 200);
}

function pagesSource<Shown extends PagesView, Page, Item, Cursor>(
  pages: Pages<Shown>,
  shape: PageShape<Page, Item, Cursor>,
  itemsOf: (view: Shown) => readonly Item[],
  limit: number,
): LiveSource {
  /** Another stage, or another book under the same id, has begun: the old pages are not kept. */
  let isAnew = false;
  return {
    watch: pages.watch,
    view: pages.view,
    data(before) {
      const view = pages.view();
      if (view.loading) isAnew = before !== undefined;
      if (view.loading || (view.error !== null && itemsOf(view).length === 0)) return undefined;
      const known = isAnew ? undefined : (before as InfiniteData<Page, Cursor | null> | undefined);
      isAnew = false;
      return mergePages(shape, known, itemsOf(view), view.hasMore, limit);
    },
  };
}

const isGiven = (bookId: Id) => bookId != null && bookId !== "";

function validId(bookId: Id): string {
  const id = bookId ?? "";
  const invalid = invalidId("book_id", id);
  if (invalid !== null) throw invalid;
  return sameForm(id);
}

/** Whether the same request may succeed later. */
function mayPass({ kind }: BinderyError): boolean {
  return kind === "unreachable" || kind === "refused";
}
