// The functions of queries. A query that is live takes its data from the client's subscription, so
// that both show the same; one that is not, such as one on a server, requests them itself.
import type { Bindery, BooksFilter, BooksList } from "../bindery.js";
import type { PagesView } from "../pages/live-pages.js";
import type { Pages } from "../pages/pages-of-books.js";
import type { BookStatus } from "../status.js";
import { idleBook, idleBooks, type View } from "../views.js";

export async function readBook(
  client: Bindery,
  bookId: string,
  signal: AbortSignal,
): Promise<BookStatus> {
  const view = () => client.bookView(bookId);
  if (view() === idleBook) {
    const book = await client.fetchBook(bookId, signal);
    // The client may have begun to watch it meanwhile, and may know it better.
    return view().book ?? book;
  }
  if (view().loading) await until((listener) => client.watchBook(bookId, listener), isLoaded(view));
  else await client.refetchBook(bookId);
  const { book, error } = view();
  if (error !== null) throw error;
  return book ?? client.fetchBook(bookId, signal);
}

export async function readBooks(
  client: Bindery,
  filter: BooksFilter,
  signal: AbortSignal,
): Promise<BooksList> {
  const view = () => client.booksView(filter);
  if (view() === idleBooks) return client.fetchBooks(filter, signal);
  const watch = (listener: () => void) => client.watchBooks(filter, listener);
  if (view().loading) await until(watch, isLoaded(view));
  else await client.refetchBooks(filter);
  const { books, total, counts, error } = view();
  if (error !== null) throw error;
  return { books, total, counts };
}

/** A page of a live list: the items after a place, as many as there are or `limit`. */
export async function readPage<Shown extends PagesView, Item>(
  pages: Pages<Shown>,
  itemsOf: (view: Shown) => readonly Item[],
  isAfter: (item: Item) => boolean,
  limit: number,
  isFirst: boolean,
): Promise<{ items: Item[]; isLast: boolean }> {
  if (pages.view().loading) await until(pages.watch, isLoaded(pages.view));
  else if (isFirst) await pages.refetch();
  for (;;) {
    const view = pages.view();
    const rest = itemsOf(view).filter(isAfter);
    if (view.error !== null) throw view.error;
    if (rest.length >= limit || !view.hasMore)
      return { items: rest.slice(0, limit), isLast: rest.length <= limit && !view.hasMore };
    pages.loadMore();
    await until(pages.watch, () => !pages.view().loadingMore);
  }
}

const isLoaded = (view: () => View) => () => !view().loading;

/** Resolves when it holds, which is looked at after each change. */
function until(watch: (listener: () => void) => () => void, holds: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    let stop: (() => void) | null = null;
    const look = () => {
      if (!holds()) return;
      stop?.();
      resolve();
    };
    stop = watch(look);
    look();
  });
}
