// Live books for components: the client's views as state.
import {
  type BooksFilter,
  type BooksView,
  type BookView,
  type Connection,
} from "@bindery/react/client";
import { useEffect, useMemo, useState } from "preact/hooks";
import { useSession } from "./session.js";

/** A live list; `filter` is compared by its content. */
export function useBooks(filter: BooksFilter): BooksView {
  const { client } = useSession();
  const key = JSON.stringify(filter);
  const meant = useMemo(() => filter, [key]);
  const [, redraw] = useState({});
  useEffect(() => {
    const stop = client.watchBooks(meant, () => redraw({}));
    redraw({});
    return stop;
  }, [client, meant]);
  return client.booksView(meant);
}

/** A live book; null: none. */
export function useBook(bookId: string | null): BookView | null {
  const { client } = useSession();
  const [, redraw] = useState({});
  useEffect(() => {
    if (bookId === null) return;
    const stop = client.watchBook(bookId, () => redraw({}));
    redraw({});
    return stop;
  }, [client, bookId]);
  return bookId === null ? null : client.bookView(bookId);
}

const failed: BooksFilter = { status: "FAILED", pageSize: 1 };

/** The number of failed books that the reader may see; null while it is unknown. */
export const useFailureCount = (): number | null => useBooks(failed).total;

export const useConnection = (): Connection => useBooks(failed).connection;
