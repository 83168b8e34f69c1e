"use client";
// The whole view of one book: title, status, bar, stages and substeps, remaining time, failure.
import {
  TrackerError,
  TrackerHeader,
  TrackerMessage,
  TrackerNotice,
  TrackerProgress,
  TrackerRoot,
  TrackerStages,
  type TrackerOptions,
  type TrackerSource,
} from "./tracker.js";

export type ProgressTrackerProps = TrackerOptions &
  TrackerSource & { showStages?: boolean; showSubsteps?: boolean };

export function ProgressTracker({
  showStages = true,
  showSubsteps = true,
  ...root
}: ProgressTrackerProps) {
  return (
    <TrackerRoot {...root}>
      <TrackerHeader />
      <TrackerProgress />
      <TrackerMessage />
      <TrackerNotice />
      <TrackerError />
      {showStages && <TrackerStages showSubsteps={showSubsteps} />}
    </TrackerRoot>
  );
}
