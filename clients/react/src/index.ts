// @bindery/react: hooks and components, and all of @bindery/react/client.
export * from "./client.js";
export { BinderyProvider, useBindery } from "./react/context.js";
export { useBookStatus, type BookOptions, type BookResult } from "./react/use-book-status.js";
export { useBooks, type BooksResult } from "./react/use-books.js";
export { ProgressTracker, type ProgressTrackerProps } from "./components/progress-tracker.js";
export { StatusIndicator, type StatusIndicatorProps } from "./components/status-indicator.js";
export { english, type Labels } from "./components/labels.js";
export { toneOf, type Tone } from "./components/tone.js";
