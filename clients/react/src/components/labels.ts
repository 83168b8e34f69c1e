// Every text of the components, so that another language is one object.
import type { Connection } from "../connection.js";
import type { ErrorKind } from "../errors.js";
import type { BookRow, Health, Stage } from "../status.js";
import { duration, number, plural, present } from "./text.js";

export interface Labels {
  /** Names of states that replace those of the pipeline: `{ CREATING_ARTWORK: "Drawing" }`. */
  states: Readonly<Record<string, string>>;
  untitled: string;
  loading: string;
  completed: string;
  failed: string;
  cancelled: string;
  health: Readonly<Record<Health, string>>;
  stageState: Readonly<Record<Stage["state"], string>>;
  connection: Readonly<Record<Connection, string>>;
  stale: string;
  percent(progress: number): string;
  amount(done: number, total: number | undefined, unit: string | undefined): string;
  /** Below a list that does not show all substeps. */
  substeps(done: number, total: number, shown: number): string;
  stageOf(stage: string, place: number, count: number): string;
  attempt(attempt: number): string;
  remaining(milliseconds: number): string;
  resumesIn(milliseconds: number): string;
  trouble: Readonly<Record<ErrorKind, string>>;
  retry: string;
  retrying: string;
  retryFailed: string;
}

export const english: Labels = {
  states: {},
  untitled: "Untitled book",
  loading: "Loading",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
  health: { live: "Working", waiting: "Waiting", quiet: "Quiet", stalled: "Stalled" },
  stageState: {
    done: "done",
    active: "in progress",
    pending: "to do",
    failed: "failed",
    cancelled: "cancelled",
  },
  connection: {
    connecting: "Connecting",
    live: "Live",
    delayed: "Delayed: updated every few seconds",
    reconnecting: "Reconnecting",
    polling: "No live connection: updated every few seconds",
    closed: "Not connected",
  },
  stale: "May be out of date",
  // 100 is shown only for a complete book, so nothing is rounded up to it.
  percent: (progress) => `${Math.floor(progress)} %`,
  amount: (done, total, unit) =>
    [
      total === undefined ? number(done) : `${number(done)} of ${number(total)}`,
      present(unit) === null ? null : plural(unit ?? "", total ?? done),
    ]
      .filter((part) => part !== null)
      .join(" "),
  substeps: (done, total, shown) =>
    `${number(done)} of ${number(total)} ${plural("substep", total)} done; ${number(shown)} shown`,
  stageOf: (stage, place, count) => `${stage}, stage ${place} of ${count}`,
  attempt: (attempt) => `attempt ${attempt}`,
  remaining: (milliseconds) =>
    milliseconds < 30_000 ? "any moment now" : `about ${duration(milliseconds)} left`,
  resumesIn: (milliseconds) =>
    milliseconds < 1_000 ? "Goes on in a moment" : `Goes on by itself in ${duration(milliseconds)}`,
  trouble: {
    gone: "There is no such book, or it is not yours to see.",
    denied: "You may not see this book.",
    signed_out: "Your session has ended. Sign in again.",
    unreachable: "The server does not answer.",
    refused: "The server refused the question.",
    bad_answer: "The server's answer makes no sense to this page.",
    invalid: "This is not the id of a book.",
  },
  retry: "Try again",
  retrying: "Trying again",
  retryFailed: "That did not work.",
};

/** The label of a book's place. `stages` has the pipeline's own labels; a plain row has none. */
export function nameOfState(
  book: BookRow & { stages?: readonly Stage[] },
  labels: Labels,
  state = book.status,
): string {
  const own = present(labels.states[state]);
  if (own !== null) return own;
  if (state === book.status && book.completed_at !== null) return labels.completed;
  if (state === "FAILED") return labels.failed;
  if (state === "CANCELLED") return labels.cancelled;
  return present(book.stages?.find((stage) => stage.name === state)?.label) ?? humane(state);
}

function humane(name: string): string {
  const words = name.toLowerCase().replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
