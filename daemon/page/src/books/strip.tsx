// Failed books, above the list. The strip is as high as its books, up to four of them; more are
// scrolled to.
import type { BookRow } from "@bindery/react/client";
import { errorText, nameOfState, resumption, titleOf, type ShownBook } from "@bindery/react/view";
import { useRef } from "preact/hooks";
import { memo } from "../memo.js";
import { ago, draw, labels } from "../view.js";
import { icon } from "@bindery/react/view";
import { SelectBox } from "./row.js";

/** More are scrolled to. */
export const MOST_VISIBLE = 4;

export function Strip({
  books,
  total,
  gone,
  height,
  now,
  mayAct,
  selected,
  cursor,
  open,
  hrefOf,
  onOpen,
  onSelect,
  onResume,
  onAll,
  onMore,
}: {
  books: readonly BookRow[];
  total: number;
  gone: ReadonlySet<string>;
  height: number;
  now: number;
  mayAct: boolean;
  selected: (bookId: string) => boolean;
  cursor: string | null;
  open: string | null;
  hrefOf: (bookId: string) => string;
  onOpen: (bookId: string) => void;
  onSelect: (bookId: string, extend: boolean) => void;
  onResume: (book: BookRow) => void;
  onAll: () => void;
  onMore: () => void;
}) {
  const more = useRef(onMore);
  more.current = onMore;
  if (books.length === 0) return null;
  const visible = Math.min(books.length, MOST_VISIBLE);
  // Half a row more shows that more rows follow.
  const room = (visible + (books.length > MOST_VISIBLE ? 0.5 : 0)) * height;
  return (
    <section class="strip" aria-labelledby="strip-title">
      <div class="strip-head">
        <h2 id="strip-title">{total} failed</h2>
        <button type="button" class="link" onClick={onAll}>
          Show only failed books
        </button>
      </div>
      <ul
        class="strip-books"
        style={{ height: `${room}px` }}
        tabIndex={books.length > MOST_VISIBLE ? 0 : undefined}
        aria-label="Failed books"
        onScroll={({ currentTarget: list }) => {
          if (list.scrollTop + 2 * list.clientHeight > list.scrollHeight) more.current();
        }}
      >
        {books.map((book) => (
          <Failed
            key={book.book_id}
            book={book}
            when={ago(book.updated_at, now)}
            next={resumption(book, now, labels)}
            isGone={gone.has(book.book_id)}
            isSelected={selected(book.book_id)}
            isCursor={cursor === book.book_id}
            isOpen={open === book.book_id}
            href={hrefOf(book.book_id)}
            onOpen={onOpen}
            onSelect={onSelect}
            onResume={mayAct && book.status === "FAILED" ? onResume : null}
          />
        ))}
      </ul>
    </section>
  );
}

const Failed = memo(function Failed({
  book,
  when,
  next,
  isGone,
  isSelected,
  isCursor,
  isOpen,
  href,
  onOpen,
  onSelect,
  onResume,
}: {
  book: ShownBook;
  when: string;
  next: string | null;
  isGone: boolean;
  isSelected: boolean;
  isCursor: boolean;
  isOpen: boolean;
  href: string;
  onOpen: (bookId: string) => void;
  onSelect: (bookId: string, extend: boolean) => void;
  onResume: ((book: BookRow) => void) | null;
}) {
  const title = titleOf(book, labels);
  const isFailed = book.status === "FAILED";
  return (
    <li
      class="failed"
      aria-current={isOpen ? "true" : undefined}
      data-tone={isFailed ? "failed" : "active"}
      data-cursor={isCursor}
      data-gone={isGone}
      data-selected={isSelected}
      onClick={() => onOpen(book.book_id)}
    >
      <SelectBox title={title} book={book} isSelected={isSelected} onSelect={onSelect} />
      <a class="c-title" href={href} dir="auto" title={title} onClick={(e) => e.preventDefault()}>
        {title}
      </a>
      <span class="c-stage">
        {icon(draw, isFailed ? "failed" : "active")}
        <span class="cut">{nameOfState(book, labels, book.current_stage)}</span>
      </span>
      <span class="c-error cut" dir="auto" title={errorText(book, labels)}>
        {isFailed ? errorText(book, labels) : "Resumed"}
      </span>
      <span class="c-next">{isFailed ? (next ?? when) : when}</span>
      {onResume !== null && (
        <button
          type="button"
          class="small"
          aria-label={`Resume ${title}`}
          onClick={(event) => {
            event.stopPropagation();
            onResume(book);
          }}
        >
          Resume
        </button>
      )}
    </li>
  );
});
