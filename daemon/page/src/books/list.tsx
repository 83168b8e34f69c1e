// The table of books: its header, and as many rows as are visible.
import type { BookRow, BooksSort } from "@bindery/react/client";
import { useCallback } from "preact/hooks";
import { change } from "../url.js";
import { span } from "../view.js";
import { sortParameters, sorts, type ListPlace } from "./place.js";
import { EmptyRow, etaOf, Row } from "./row.js";
import { Rows, type RowsHandle } from "./rows.js";

const columns: readonly { name: string; label: string; sort?: BooksSort }[] = [
  { name: "c-title", label: "Title", sort: "title" },
  { name: "c-stage", label: "Stage" },
  { name: "c-bar", label: "Progress", sort: "overall_progress" },
  { name: "c-age", label: "Age", sort: "created_at" },
  { name: "c-eta", label: "Time left", sort: "estimated_completion_at" },
];

export function List({
  place,
  rows,
  count,
  gone,
  height,
  now,
  handle,
  cursor,
  isAllSelected,
  selected,
  hrefOf,
  onOpen,
  onSelect,
  onSelectAll,
  onVisible,
}: {
  place: ListPlace;
  rows: readonly BookRow[];
  /** All rows, also those that are not loaded. */
  count: number;
  gone: ReadonlySet<string>;
  height: number;
  now: number;
  handle: { current: RowsHandle | null };
  cursor: string | null;
  isAllSelected: boolean;
  selected: (bookId: string) => boolean;
  hrefOf: (bookId: string) => string;
  onOpen: (bookId: string) => void;
  onSelect: (bookId: string, extend: boolean) => void;
  onSelectAll: (all: boolean) => void;
  onVisible: (from: number, to: number) => void;
}) {
  const placeOf = useCallback(
    (key: string) => rows.findIndex((row) => row.book_id === key),
    [rows],
  );
  return (
    <div
      class="list"
      data-phase={place.phase ?? "all"}
      role="table"
      aria-label="Books"
      aria-rowcount={count + 1}
    >
      <div role="rowgroup">
        <div class="list-head" role="row" aria-rowindex={1}>
          <span role="columnheader" class="c-check">
            <label class="check">
              <input
                type="checkbox"
                aria-label="Select all books of this list"
                checked={isAllSelected}
                onClick={(event) => onSelectAll(event.currentTarget.checked)}
              />
            </label>
          </span>
          {columns.map(({ name, label, sort }) => (
            <span
              key={name}
              role="columnheader"
              class={name}
              aria-sort={
                sort !== place.sort
                  ? undefined
                  : (sort === "created_at") !== place.descending
                    ? "ascending"
                    : "descending"
              }
            >
              {sort === undefined ? (
                label
              ) : (
                <button
                  type="button"
                  class="link"
                  onClick={() => {
                    const again = sort === place.sort;
                    change(
                      sortParameters(sort, again ? !place.descending : sorts[sort].descending),
                    );
                  }}
                >
                  {label}
                  {sort === place.sort && (
                    <span aria-hidden="true">
                      {(sort === "created_at") === place.descending ? " ↑" : " ↓"}
                    </span>
                  )}
                </button>
              )}
            </span>
          ))}
        </div>
      </div>
      <Rows
        count={count}
        height={height}
        label="Rows"
        handle={handle}
        anchor={(index) => rows[index]?.book_id}
        placeOf={placeOf}
        onVisible={onVisible}
      >
        {(from, to) =>
          Array.from({ length: Math.max(0, to - from) }, (_, offset) => {
            const index = from + offset;
            const book = rows[index];
            if (book === undefined)
              return <EmptyRow key={`empty-${index}`} index={index} top={index * height} />;
            return (
              <Row
                key={book.book_id}
                book={book}
                index={index}
                top={index * height}
                href={hrefOf(book.book_id)}
                age={ageOf(book, now)}
                eta={etaOf(book, now)}
                isSelected={selected(book.book_id)}
                isCursor={book.book_id === cursor}
                isOpen={book.book_id === place.book}
                isGone={gone.has(book.book_id)}
                onOpen={onOpen}
                onSelect={onSelect}
              />
            );
          })
        }
      </Rows>
    </div>
  );
}

/** The time since it was registered; of a book at its end, the time it took. */
function ageOf(book: BookRow, now: number): string {
  const end = book.completed_at === null ? now : Date.parse(book.completed_at);
  return span(Math.max(0, end - Date.parse(book.created_at)));
}
