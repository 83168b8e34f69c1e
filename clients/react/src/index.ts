// @bindery/react: hooks and components, and all of @bindery/react/client.
export * from "./client.js";
export { BinderyProvider, useBindery } from "./react/context.js";
export {
  useBookStatus,
  type BookOptions,
  type BookResult,
  type SelectOptions,
} from "./react/use-book-status.js";
export type { EndListeners } from "./react/use-ends.js";
export { useBookTimeline, type TimelineResult } from "./react/use-book-timeline.js";
export { useSubsteps, type SubstepsResult } from "./react/use-substeps.js";
export {
  useCancelBook,
  useResumeBook,
  type ActState,
  type CancelResult,
  type ResumeResult,
} from "./react/use-acts.js";
export { useBooks, type BooksResult } from "./react/use-books.js";
export { ProgressTracker, type ProgressTrackerProps } from "./components/progress-tracker.js";
export {
  Tracker,
  TrackerBar,
  TrackerError,
  TrackerFigures,
  TrackerHeader,
  TrackerMessage,
  TrackerNotice,
  TrackerProgress,
  TrackerRoot,
  TrackerStages,
  TrackerStatus,
  TrackerTitle,
  useTracker,
  type TrackerPartProps,
  type TrackerRootProps,
  type TrackerStagesProps,
} from "./components/tracker.js";
export { StatusIndicator, type StatusIndicatorProps } from "./components/status-indicator.js";
export { english, labelsFrom, type Labels, type SomeLabels } from "./view/labels.js";
export type { AttemptRow } from "./view/stage-list.js";
export { toneOf, type Tone } from "./view/tone.js";
