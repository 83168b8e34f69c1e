"use client";
// A pill: the status of a book, as an icon and a word.
import { useMemo } from "react";
import type { Connection } from "../connection.js";
import type { BookRow, BookStatus } from "../status.js";
import { useBookView } from "../react/use-book-view.js";
import { labelsFrom, type SomeLabels } from "../view/labels.js";
import { statusPill } from "../view/status-pill.js";
import { h } from "./create.js";

interface Looks {
  /** The percentage beside the word, while there is any. */
  showProgress?: boolean | undefined;
  labels?: SomeLabels | undefined;
  className?: string | undefined;
}

interface Shown {
  book: BookRow | BookStatus | null;
  connection?: Connection | undefined;
  stale?: boolean | undefined;
}

/**
 * Either a `bookId`, which the pill watches itself, or an existing `book`, such as a row of
 * `useBooks`.
 */
export type StatusIndicatorProps = Looks &
  ({ bookId: string; book?: undefined } | ({ bookId?: undefined } & Shown));

export function StatusIndicator(props: StatusIndicatorProps) {
  return props.bookId === undefined ? <Pill {...props} /> : <LivePill {...props} />;
}

function LivePill({ bookId, ...looks }: Looks & { bookId: string }) {
  const { book, connection, stale } = useBookView(bookId);
  return <Pill {...looks} book={book} connection={connection} stale={stale} />;
}

function Pill({ labels, ...model }: Looks & Shown) {
  const words = useMemo(() => labelsFrom(labels), [labels]);
  return statusPill(h, model, words);
}
