"use client";
// The whole view of one book: title, badge, bar, stages and substeps, remaining time, failure.
import { useId, useMemo } from "react";
import type { BookView } from "../bindery.js";
import type { BookStatus } from "../status.js";
import { useBookStatus } from "../react/use-book-status.js";
import { useNow } from "../react/use-now.js";
import { Announcer } from "./announcer.js";
import { Failure } from "./failure.js";
import { english, nameOfState, type Labels } from "./labels.js";
import { amountOf, nameOfSubstep, StageList } from "./stage-list.js";
import { StatusIndicator } from "./status-indicator.js";
import { present } from "./text.js";
import { toneOf } from "./tone.js";

interface Looks {
  /**
   * Shows a button on a FAILED book. The button waits for the returned promise, and shows its
   * rejection.
   */
  onRetry?: (book: BookStatus) => unknown;
  showStages?: boolean;
  showSubsteps?: boolean;
  labels?: Partial<Labels>;
  className?: string;
}

/**
 * Either a `bookId`, which the tracker watches itself, or an existing `view`, such as the result of
 * `useBookStatus`.
 */
export type ProgressTrackerProps = Looks &
  (
    | { bookId: string; initial?: BookStatus | undefined; view?: undefined }
    | { bookId?: undefined; view: BookView }
  );

export function ProgressTracker(props: ProgressTrackerProps) {
  return props.bookId === undefined ? <Tracker {...props} /> : <LiveTracker {...props} />;
}

function LiveTracker({
  bookId,
  initial,
  ...looks
}: Looks & { bookId: string; initial?: BookStatus | undefined }) {
  return <Tracker {...looks} view={useBookStatus(bookId, { initial })} />;
}

function Tracker({
  view,
  onRetry,
  showStages = true,
  showSubsteps = true,
  labels,
  className,
}: Looks & { view: BookView }) {
  const words = useMemo(() => ({ ...english, ...labels }), [labels]);
  const now = useNow(10_000);
  const titleId = useId();
  const { book, connection, stale, error } = view;
  const doubt = [
    connection !== "live" && connection !== "connecting" ? words.connection[connection] : null,
    stale ? words.stale : null,
    error !== null && book !== null ? words.trouble[error.kind] : null,
  ].filter(Boolean);
  return (
    <section
      className={["bindery-tracker", className].filter(Boolean).join(" ")}
      aria-labelledby={titleId}
      aria-busy={view.loading}
      data-tone={book === null ? "waiting" : toneOf(book)}
      data-connection={connection}
      data-stale={stale}
    >
      <div className="bindery-head">
        <strong className="bindery-title" id={titleId}>
          {book === null ? words.loading : (present(book.title) ?? words.untitled)}
        </strong>
        {book !== null && <StatusIndicator book={book} labels={words} />}
      </div>
      {book === null ? (
        error !== null && <p className="bindery-trouble">{words.trouble[error.kind]}</p>
      ) : (
        <Progress book={book} now={now} labels={words} titleId={titleId} />
      )}
      {doubt.length > 0 && book !== null && <p className="bindery-doubt">{doubt.join(" · ")}</p>}
      {book?.status === "FAILED" && (
        <Failure book={book} now={now} labels={words} onRetry={onRetry} />
      )}
      {book !== null && showStages && (
        <StageList book={book} labels={words} showSubsteps={showSubsteps} />
      )}
      <Announcer book={book} labels={words} />
    </section>
  );
}

function Progress({
  book,
  now,
  labels,
  titleId,
}: {
  book: BookStatus;
  now: number | null;
  labels: Labels;
  titleId: string;
}) {
  const percent = Math.floor(book.overall_progress);
  const figures = [
    labels.percent(book.overall_progress),
    book.attempt > 1 && book.completed_at === null ? labels.attempt(book.attempt) : null,
    remaining(book, now, labels),
  ].filter(Boolean);
  return (
    <>
      <div
        className="bindery-bar"
        role="progressbar"
        aria-labelledby={titleId}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent}
        aria-valuetext={spoken(book, labels)}
      >
        <div className="bindery-bar-fill" style={{ width: `${book.overall_progress}%` }} />
      </div>
      <p className="bindery-figures">{figures.join(" · ")}</p>
      {present(book.message) !== null && book.status !== "FAILED" && (
        <p className="bindery-message">{book.message}</p>
      )}
    </>
  );
}

function remaining(book: BookStatus, now: number | null, labels: Labels): string | null {
  const halted =
    book.status === "FAILED" || book.status === "CANCELLED" || book.completed_at !== null;
  if (halted || book.estimated_completion_at === null || now === null) return null;
  return labels.remaining(Date.parse(book.estimated_completion_at) - now);
}

/** "42 %, Reading the book: Extract text 30 of 120 pages". */
function spoken(book: BookStatus, labels: Labels): string {
  const active = book.substeps.find((substep) => substep.state === "active");
  const where = nameOfState(book, labels);
  const detail =
    active === undefined || book.status !== book.current_stage
      ? ""
      : `: ${nameOfSubstep(active)} ${amountOf(active, labels)}`;
  return `${labels.percent(book.overall_progress)}, ${where}${detail}`;
}
