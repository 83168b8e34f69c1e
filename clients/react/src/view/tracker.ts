// The whole view of one book, and its parts.
import type { BookView } from "../bindery.js";
import type { BookStatus } from "../status.js";
import { overdue, remaining } from "./estimate.js";
import { failure, type RetryModel } from "./failure.js";
import { announcer, classes, joined, type Child, type H } from "./h.js";
import type { Labels } from "./labels.js";
import { segmentedBar, skeletonBar, titleOf } from "./segmented-bar.js";
import { stageList, type AttemptRow } from "./stage-list.js";
import { statusPill } from "./status-pill.js";
import { present } from "./text.js";
import { toneOf } from "./tone.js";

export interface TrackerModel {
  readonly view: BookView;
  /** Milliseconds; null on a server, where no relative time is shown. */
  readonly now: number | null;
  readonly labels: Labels;
  /** The id of the title, which names the section and the bar. */
  readonly titleId: string;
  readonly announcement?: string;
  readonly retry?: RetryModel | null;
  readonly attempts?: readonly AttemptRow[] | undefined;
  readonly showStages?: boolean | undefined;
  readonly showSubsteps?: boolean | undefined;
  /** 12 by default. */
  readonly maxSubsteps?: number | undefined;
  readonly className?: string | undefined;
}

/**
 * How often relative times change, in milliseconds: seconds count while a retry is near, else the
 * figures are coarser.
 */
export const tickOf = ({ book }: BookView): number =>
  book?.status === "FAILED" && book.resume_at !== null ? 1_000 : 10_000;

export function tracker<N>(h: H<N>, model: TrackerModel): N {
  return trackerRoot(
    h,
    model,
    trackerHeader(h, model),
    trackerProgress(h, model),
    trackerMessage(h, model),
    trackerNotice(h, model),
    trackerError(h, model),
    model.showStages === false ? null : trackerStages(h, model),
  );
}

/** The frame around the parts, with the live region. */
export function trackerRoot<N>(h: H<N>, model: TrackerModel, ...children: Child<N>[]): N {
  const { view, titleId, className } = model;
  return h(
    "section",
    {
      className: classes("bindery-tracker", className),
      // Not a landmark: a page may have many.
      role: "group",
      "aria-labelledby": titleId,
      "aria-busy": view.loading,
      "data-tone": view.book === null ? "waiting" : toneOf(view.book),
      "data-connection": view.connection,
      "data-stale": view.stale,
    },
    ...children,
    announcer(h, model.announcement ?? ""),
  );
}

export function trackerHeader<N>(h: H<N>, model: TrackerModel): N {
  return h(
    "div",
    { key: "header", className: "bindery-header" },
    trackerTitle(h, model),
    trackerStatus(h, model),
  );
}

export function trackerTitle<N>(h: H<N>, { view, labels, titleId }: TrackerModel): N {
  const without = view.loading ? labels.loading : labels.unavailable;
  const text = view.book === null ? without : titleOf(view.book, labels);
  return h("strong", { key: "title", className: "bindery-title", id: titleId, dir: "auto" }, text);
}

export function trackerStatus<N>(h: H<N>, { view, labels }: TrackerModel): N | null {
  return view.book === null ? null : statusPill(h, { book: view.book }, labels);
}

/** The bar and the figures below it; while loading their skeleton. */
export function trackerProgress<N>(h: H<N>, model: TrackerModel): N | null {
  const { book, loading } = model.view;
  if (book === null && !loading) return null;
  return h(
    "div",
    { key: "progress", className: "bindery-progress" },
    trackerBar(h, model),
    trackerFigures(h, model),
  );
}

export function trackerBar<N>(h: H<N>, { view, labels, titleId }: TrackerModel): N | null {
  if (view.book !== null) return segmentedBar(h, view.book, labels, { labelledBy: titleId });
  return view.loading ? skeletonBar(h) : null;
}

export function trackerFigures<N>(h: H<N>, { view, labels, now }: TrackerModel): N | null {
  const { book, loading } = view;
  if (book === null)
    return loading ? h("p", { className: "bindery-figures bindery-skeleton" }) : null;
  const detail = joined(
    attemptOf(book, labels),
    // An estimate is of no use for a stage that takes longer than those that it is made of.
    overdue(book, now, labels) ?? remaining(book, now, labels),
  );
  return h(
    "p",
    { className: "bindery-figures" },
    h("span", { className: "bindery-percent" }, labels.percent(book.overall_progress)),
    detail !== "" && h("span", { className: "bindery-detail" }, ` · ${detail}`),
  );
}

/** The worker's message; the message of a FAILED book is with its error. */
export function trackerMessage<N>(h: H<N>, { view: { book } }: TrackerModel): N | null {
  const message = book === null || book.status === "FAILED" ? null : present(book.message);
  if (message === null) return null;
  return h("p", { key: "message", className: "bindery-message", dir: "auto" }, message);
}

/** Why the data may be out of date, or why there is none. */
export function trackerNotice<N>(h: H<N>, { view, labels }: TrackerModel): N | null {
  const { book, connection, stale, error } = view;
  const problem = error === null ? null : labels.problems[error.kind];
  const isLive = connection === "live" || connection === "connecting";
  const text =
    book === null
      ? (problem ?? "")
      : joined(!isLive && labels.connection[connection], stale && labels.stale, problem);
  if (text === "") return null;
  return h("p", { key: "notice", className: "bindery-notice" }, text);
}

export function trackerError<N>(h: H<N>, model: TrackerModel): N | null {
  const { book } = model.view;
  if (book?.status !== "FAILED") return null;
  const { now, retry = null, labels } = model;
  return failure(h, book, labels, { now, retry });
}

export function trackerStages<N>(h: H<N>, model: TrackerModel): N | null {
  const { view, labels, now, showSubsteps = true, maxSubsteps = 12, attempts } = model;
  if (view.book === null) return null;
  return stageList(h, view.book, labels, { now, showSubsteps, maxSubsteps, attempts });
}

function attemptOf(book: BookStatus, labels: Labels): string | null {
  if (book.attempt <= 1 || book.completed_at !== null) return null;
  const stage = book.stages.find(({ name }) => name === book.current_stage);
  return labels.attempt(book.attempt, stage?.max_attempts ?? null);
}
