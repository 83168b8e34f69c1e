"use client";
// A badge: the status of a book, as an icon and a word.
import type { Connection } from "../connection.js";
import type { BookRow, BookStatus } from "../status.js";
import { useBookStatus } from "../react/use-book-status.js";
import { Icon } from "./icon.js";
import { english, nameOfState, type Labels } from "./labels.js";
import { toneOf } from "./tone.js";

interface Looks {
  /** The percentage beside the word, while there is any. */
  showProgress?: boolean;
  labels?: Partial<Labels>;
  className?: string;
}

/**
 * Either a `bookId`, which the badge watches itself, or an existing `book`, such as a row of
 * `useBooks`.
 */
export type StatusIndicatorProps = Looks &
  (
    | { bookId: string; book?: undefined }
    | {
        bookId?: undefined;
        book: BookRow | BookStatus | null;
        connection?: Connection;
        stale?: boolean;
      }
  );

export function StatusIndicator(props: StatusIndicatorProps) {
  return props.bookId === undefined ? <Badge {...props} /> : <LiveBadge {...props} />;
}

function LiveBadge({ bookId, ...looks }: Looks & { bookId: string }) {
  const { book, connection, stale } = useBookStatus(bookId);
  return <Badge {...looks} book={book} connection={connection} stale={stale} />;
}

type BadgeProps = Looks & {
  book: BookRow | BookStatus | null;
  connection?: Connection;
  stale?: boolean;
};

function Badge({
  book,
  connection,
  stale = false,
  showProgress = false,
  labels,
  className,
}: BadgeProps) {
  const words = { ...english, ...labels };
  const tone = book === null ? "waiting" : toneOf(book);
  const known = book !== null && "health" in book ? book.health : null;
  const health = known !== null && known === tone ? words.health[known] : null;
  const percent =
    book !== null && showProgress && (tone === "active" || health !== null)
      ? words.percent(book.overall_progress)
      : null;
  const isDoubtful = connection === "reconnecting" || connection === "delayed";
  const doubt = stale ? words.stale : isDoubtful ? words.connection[connection] : null;
  return (
    <span
      className={["bindery-status", className].filter(Boolean).join(" ")}
      data-tone={tone}
      data-stale={stale}
    >
      <Icon of={tone} />
      <span className="bindery-status-text">
        {[book === null ? words.loading : nameOfState(book, words), percent, health, doubt]
          .filter(Boolean)
          .join(" · ")}
      </span>
    </span>
  );
}
