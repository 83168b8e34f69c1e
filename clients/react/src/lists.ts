// The watched lists of a client. Watchers of one filter share a list.
import { keyOf, queryOf, type BooksFilter } from "./books-filter.js";
import {
  noBooks,
  reduceBooks,
  type BooksAnswer,
  type BooksCommand,
  type BooksState,
  type CountAnswer,
  type Counts,
} from "./books-reducer.js";
import { fetchBooks, fetchWindow } from "./fetch-books.js";
import { partOf, type Internals } from "./internals.js";
import { callOnce, InvalidIds } from "./invalid-ids.js";
import { createLive, type Live } from "./live.js";
import type { Extent } from "./news.js";
import type { BookRow } from "./status.js";
import type { BooksQuery, Topic } from "./transport.js";
import { idleBooks, viewBooks, type BooksView } from "./views.js";

/** The books of a list, and the numbers of all matching ones (null: unknown). */
export interface BooksList {
  books: readonly BookRow[];
  total: number | null;
  /** By phase, if the filter has `counts`. */
  counts: Counts | null;
}

export interface BookLists {
  /**
   * Keeps a list up to date and calls `listener` at each change, until the returned function is
   * called.
   */
  watchBooks(filter: BooksFilter, listener: (view: BooksView) => void): () => void;
  /** The current view of a list; the same object until something changes. */
  booksView(filter: BooksFilter): BooksView;
  /** Requests the list now. Resolves when the answer or the error is in the view. */
  refetchBooks(filter: BooksFilter): Promise<void>;
  /** Shows one more page. */
  loadMore(filter: BooksFilter): void;
  /** Reads a list once, for a server or a cache. Throws a BinderyError. */
  fetchBooks(filter: BooksFilter, signal?: AbortSignal): Promise<BooksList>;
}

type LiveBooks = Live<BooksView, BooksCommand>;

/** The lists of a client, for a bundle that has them only if they are used. */
export const listsOf: (client: object) => BookLists = partOf(makeLists);

function makeLists({ transport, timing, environment, attach, closers }: Internals): BookLists {
  const lists = new Map<string, LiveBooks>();
  const invalid = new InvalidIds();
  const invalidBooks = ({ ownerId }: BooksFilter) =>
    ownerId == null ? null : invalid.view("owner_id", ownerId, idleBooks);
  closers.add(() => {
    for (const live of [...lists.values()]) live.close();
  });

  function list(query: BooksQuery): LiveBooks {
    const key = JSON.stringify(query);
    const known = lists.get(key);
    if (known !== undefined) return known;
    const subject = {
      initial: noBooks(query),
      reduce: reduceBooks,
      view: viewBooks,
      fetch: (state: BooksState, signal: AbortSignal, extent: Extent) =>
        fetchBooks(transport, state, signal, extent),
      topic: ({ rows }: BooksState): Topic | null =>
        rows === null ? null : { kind: "books", ownerId: query.ownerId },
      attach,
      since: () => null,
      isFinal: () => false,
      // One frame: changes that arrive together redraw a list once.
      batch: 16,
    };
    const live: LiveBooks = createLive<
      BooksState,
      BooksAnswer | CountAnswer,
      BooksView,
      BooksCommand
    >(subject, timing, environment, () => lists.delete(key));
    lists.set(key, live);
    return live;
  }

  return {
    watchBooks(filter, listener) {
      const invalid = invalidBooks(filter);
      if (invalid !== null) return callOnce(() => listener(invalid));
      const live = list(queryOf(filter));
      return live.subscribe(() => listener(live.view()));
    },
    booksView: (filter) => lists.get(keyOf(filter))?.view() ?? invalidBooks(filter) ?? idleBooks,
    refetchBooks: (filter) => lists.get(keyOf(filter))?.refetch() ?? Promise.resolve(),
    loadMore(filter) {
      const live = lists.get(keyOf(filter));
      if (live === undefined || !live.view().hasMore || live.view().loadingMore) return;
      live.dispatch({ type: "more", by: queryOf(filter).limit });
    },
    async fetchBooks(filter, signal = new AbortController().signal) {
      const { error } = invalidBooks(filter) ?? idleBooks;
      if (error !== null) throw error;
      const { rows, total, counts } = await fetchWindow(transport, queryOf(filter), signal);
      return { books: rows, total, counts: counts ?? null };
    },
  };
}
