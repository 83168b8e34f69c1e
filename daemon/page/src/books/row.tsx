// A book in one line, or in two where the list is narrow.
import { phaseOf, type BookRow } from "@bindery/react/client";
import {
  errorText,
  icon,
  nameOfState,
  resumption,
  segmentedBar,
  titleOf,
  toneOf,
  type ShownBook,
} from "@bindery/react/view";
import { memo } from "../memo.js";
import { draw, labels, span } from "../view.js";

export interface RowProps {
  book: ShownBook;
  index: number;
  top: number;
  href: string;
  age: string;
  eta: string;
  isSelected: boolean;
  isCursor: boolean;
  isOpen: boolean;
  isGone: boolean;
  onOpen: (bookId: string) => void;
  onSelect: (bookId: string, extend: boolean) => void;
}

export const Row = memo(function Row({
  book,
  index,
  top,
  href,
  age,
  eta,
  isSelected,
  isCursor,
  isOpen,
  isGone,
  onOpen,
  onSelect,
}: RowProps) {
  const title = titleOf(book, labels);
  const tone = toneOf(book);
  return (
    <div
      role="row"
      class="row"
      aria-rowindex={index + 2}
      aria-current={isOpen ? "true" : undefined}
      data-tone={tone}
      data-phase={phaseOf(book)}
      data-cursor={isCursor}
      data-selected={isSelected}
      data-gone={isGone}
      style={{ transform: `translateY(${top}px)` }}
      onClick={() => onOpen(book.book_id)}
    >
      <span role="cell" class="c-check">
        <SelectBox title={title} book={book} isSelected={isSelected} onSelect={onSelect} />
      </span>
      <span role="cell" class="c-title">
        <a
          href={href}
          dir="auto"
          title={title}
          onClick={(event) => {
            if (event.ctrlKey || event.metaKey || event.shiftKey) return event.stopPropagation();
            event.preventDefault();
          }}
        >
          {title}
        </a>
      </span>
      <span role="cell" class="c-stage">
        {icon(draw, tone)}
        <span class="cut" title={stageText(book)}>
          {stageText(book)}
        </span>
      </span>
      <span role="cell" class="c-bar">
        {segmentedBar(draw, book, labels)}
      </span>
      <span role="cell" class="c-percent">
        {labels.percent(book.overall_progress)}
      </span>
      <span role="cell" class="c-age">
        {age}
      </span>
      <span role="cell" class="c-eta cut">
        {eta}
      </span>
    </div>
  );
});

export function SelectBox({
  title,
  book,
  isSelected,
  onSelect,
}: {
  title: string;
  book: BookRow;
  isSelected: boolean;
  onSelect: (bookId: string, extend: boolean) => void;
}) {
  return (
    <label class="check" onClick={(event) => event.stopPropagation()}>
      <input
        type="checkbox"
        checked={isSelected}
        aria-label={`Select ${title}`}
        onClick={(event) => onSelect(book.book_id, event.shiftKey)}
      />
    </label>
  );
}

/** Its stage, or how it ended; of a failed one the stage and the error. */
function stageText(book: ShownBook): string {
  if (book.status === "FAILED")
    return `${nameOfState(book, labels, book.current_stage)} · ${errorText(book, labels)}`;
  const name = nameOfState(book, labels);
  const health = book.health === "quiet" || book.health === "stalled" ? book.health : null;
  if (health !== null) return `${name} · ${labels.health[health].toLowerCase()}`;
  return name;
}

/** The remaining time, nothing without confidence; of a failed book the time to its retry. */
export function etaOf(book: ShownBook, now: number): string {
  if (book.status === "FAILED") return resumption(book, now, labels) ?? "";
  if (phaseOf(book) !== "working" || book.estimated_completion_at === null) return "";
  const left = Date.parse(book.estimated_completion_at) - now;
  return left > 0 ? span(Math.max(left, 60_000)) : "longer than usual";
}

/** A row that is not loaded yet. */
export function EmptyRow({ index, top }: { index: number; top: number }) {
  return (
    <div
      role="row"
      class="row empty-row"
      aria-rowindex={index + 2}
      style={{ transform: `translateY(${top}px)` }}
    >
      <span role="cell" class="c-check" />
      <span role="cell" class="c-title">
        <span class="placeholder" />
      </span>
    </div>
  );
}
