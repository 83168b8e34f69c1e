// @bindery/react/view: draws books with the `h` of any framework. React's components, the custom
// element and the daemon's page are made of these functions, so their markup is the same.
export { announce, type Announced } from "./announce.js";
export { overdue, remaining, spent } from "./estimate.js";
export { errorText, failure, resumption, type RetryModel } from "./failure.js";
export { announcer, classes, joined, unseen, type Child, type H, type Props } from "./h.js";
export { icon } from "./icon.js";
export { english, labelsFrom, nameOfState, type Labels, type SomeLabels } from "./labels.js";
export { outcome } from "./outcome.js";
export { englishPlural, type PluralForms } from "./plural.js";
export { retryState, runRetry, type Retry } from "./retry.js";
export {
  segmentedBar,
  skeletonBar,
  spokenProgress,
  titleOf,
  widthOf,
  type BarOptions,
} from "./segmented-bar.js";
export { stageList, type AttemptRow, type StageListOptions } from "./stage-list.js";
export { statusPill, type PillModel } from "./status-pill.js";
export { amountOf, nameOfSubstep, substepList, type SubstepCounts } from "./substep-list.js";
export { amount, duration, number, present, unit } from "./text.js";
export { toneOf, type ShownBook, type Tone } from "./tone.js";
export {
  tickOf,
  tracker,
  trackerBar,
  trackerError,
  trackerFigures,
  trackerHeader,
  trackerMessage,
  trackerNotice,
  trackerProgress,
  trackerRoot,
  trackerStages,
  trackerStatus,
  trackerTitle,
  type TrackerModel,
} from "./tracker.js";
