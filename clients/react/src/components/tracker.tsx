"use client";
// The tracker as compound parts: Root watches the book, and the parts in it show it.
import {
  cloneElement,
  createContext,
  useContext,
  useId,
  useMemo,
  type ReactElement,
  type ReactNode,
} from "react";
import type { BookView } from "../bindery.js";
import type { BookStatus } from "../status.js";
import { useBookView } from "../react/use-book-view.js";
import { useNow } from "../react/use-now.js";
import { classes, type H } from "../view/h.js";
import { labelsFrom, type SomeLabels } from "../view/labels.js";
import type { AttemptRow } from "../view/stage-list.js";
import * as views from "../view/tracker.js";
import { h } from "./create.js";
import { useAnnouncement } from "./use-announcement.js";
import { useOutcome, type OutcomeListeners } from "./use-outcome.js";
import { useRetry } from "./use-retry.js";

export interface TrackerOptions extends OutcomeListeners {
  /**
   * Shows a button on a FAILED book. The button waits for the returned promise, and shows its
   * rejection.
   */
  onRetry?: ((book: BookStatus) => unknown) | undefined;
  /** Attempts to show as rows below their stages. */
  attempts?: readonly AttemptRow[] | undefined;
  /** How many substeps are listed, the active ones first; 12 by default. */
  maxSubsteps?: number | undefined;
  labels?: SomeLabels | undefined;
  className?: string | undefined;
}

/**
 * Either a `bookId`, which the tracker watches itself, or an existing `view`, such as the result of
 * `useBookStatus`.
 */
export type TrackerSource =
  | { bookId: string; initial?: BookStatus | undefined; view?: undefined }
  | { bookId?: undefined; view: BookView };

export type TrackerRootProps = TrackerOptions & TrackerSource & { children?: ReactNode };

const TrackerContext = createContext<views.TrackerModel | null>(null);

/** The model of the tracker around this component, for parts of your own. */
export function useTracker(): views.TrackerModel {
  const model = useContext(TrackerContext);
  if (model === null)
    throw new Error("A part of a tracker needs a book: render it inside <Tracker.Root>.");
  return model;
}

/** The frame of a book, its live region, and the source of the parts in it. */
export function TrackerRoot(props: TrackerRootProps) {
  return props.bookId === undefined ? <ShownRoot {...props} /> : <LiveRoot {...props} />;
}

type RootProps = TrackerOptions & { children?: ReactNode };

function LiveRoot({
  bookId,
  initial,
  ...rest
}: RootProps & { bookId: string; initial?: BookStatus | undefined }) {
  return <ShownRoot {...rest} view={useBookView(bookId, initial)} />;
}

function ShownRoot({ children, ...rest }: RootProps & { view: BookView }) {
  const model = useTrackerModel(rest);
  return (
    <TrackerContext.Provider value={model}>
      {views.trackerRoot(h, model, <>{children}</>)}
    </TrackerContext.Provider>
  );
}

function useTrackerModel({
  view,
  onRetry,
  attempts,
  maxSubsteps,
  labels,
  className,
  ...listeners
}: TrackerOptions & { view: BookView }): views.TrackerModel {
  useOutcome(view.book, listeners);
  const words = useMemo(() => labelsFrom(labels), [labels]);
  const now = useNow(views.tickOf(view));
  const titleId = useId();
  const announcement = useAnnouncement(view.book, words);
  const retry = useRetry(view.book, onRetry);
  const shown = { view, now, labels: words, titleId, announcement, retry };
  return { ...shown, attempts, maxSubsteps, className };
}

export interface TrackerPartProps {
  className?: string | undefined;
}

type Part = (h: H<ReactElement>, model: views.TrackerModel) => ReactElement | null;

function draw(part: Part, model: views.TrackerModel, className: string | undefined) {
  const drawn = part(h, model) as ReactElement<{ className?: string }> | null;
  if (drawn === null || className === undefined) return drawn;
  return cloneElement(drawn, { className: classes(drawn.props.className, className) });
}

/** The title and the status. */
export function TrackerHeader({ className }: TrackerPartProps) {
  return draw(views.trackerHeader, useTracker(), className);
}

export function TrackerTitle({ className }: TrackerPartProps) {
  return draw(views.trackerTitle, useTracker(), className);
}

/** The status as a pill; nothing while loading. */
export function TrackerStatus({ className }: TrackerPartProps) {
  return draw(views.trackerStatus, useTracker(), className);
}

/** The bar and the figures; while loading their skeleton. */
export function TrackerProgress({ className }: TrackerPartProps) {
  return draw(views.trackerProgress, useTracker(), className);
}

export function TrackerBar({ className }: TrackerPartProps) {
  return draw(views.trackerBar, useTracker(), className);
}

/** Percent, attempt, and the remaining time. */
export function TrackerFigures({ className }: TrackerPartProps) {
  return draw(views.trackerFigures, useTracker(), className);
}

/** The worker's message. */
export function TrackerMessage({ className }: TrackerPartProps) {
  return draw(views.trackerMessage, useTracker(), className);
}

/** Why the data may be out of date, or why there is none; nothing while all is well. */
export function TrackerNotice({ className }: TrackerPartProps) {
  return draw(views.trackerNotice, useTracker(), className);
}

/** Why the book failed, when it is retried, and the button; nothing for other books. */
export function TrackerError({ className }: TrackerPartProps) {
  return draw(views.trackerError, useTracker(), className);
}

export interface TrackerStagesProps extends TrackerPartProps {
  showSubsteps?: boolean | undefined;
}

/** The stages, and the substeps of the current one. */
export function TrackerStages({ className, showSubsteps = true }: TrackerStagesProps) {
  return draw(views.trackerStages, { ...useTracker(), showSubsteps }, className);
}

/**
 * All parts under one name. A server component of React imports `TrackerRoot` and the others by
 * their own names.
 */
export const Tracker = {
  Root: TrackerRoot,
  Header: TrackerHeader,
  Title: TrackerTitle,
  Status: TrackerStatus,
  Progress: TrackerProgress,
  Bar: TrackerBar,
  Figures: TrackerFigures,
  Message: TrackerMessage,
  Notice: TrackerNotice,
  Error: TrackerError,
  Stages: TrackerStages,
} as const;
