// Every text of the views, so that another language is one object.
import type { Connection } from "../connection.js";
import type { ErrorKind } from "../errors.js";
import type { Health, Stage } from "../status.js";
import type { PluralForms } from "./plural.js";
import { present } from "./text.js";
import type { ShownBook } from "./tone.js";

export interface Labels {
  /** The locale of numbers and plurals, a BCP 47 tag. */
  locale: string;
  /** Names of states that replace those of the pipeline: `{ CREATING_ARTWORK: "Drawing" }`. */
  states: Readonly<Record<string, string>>;
  /**
   * Plurals of the producers' units: `{ page: { one: "Seite", other: "Seiten" } }`. A unit that is
   * not here is put in the plural by the rules of English if the locale is English, and else
   * written as it is.
   */
  units: Readonly<Record<string, PluralForms>>;
  time: Readonly<Record<"second" | "minute" | "hour" | "day", PluralForms>>;
  untitled: string;
  loading: string;
  /** The title while there is neither a book nor a request for it. */
  unavailable: string;
  completed: string;
  failed: string;
  cancelled: string;
  health: Readonly<Record<Health, string>>;
  stageState: Readonly<Record<Stage["state"], string>>;
  connection: Readonly<Record<Connection, string>>;
  stale: string;
  /** Messages for the codes of errors that have no message: `{ stalled: "No progress" }`. */
  errors: Readonly<Record<string, string>>;
  /** Messages for failed queries. */
  problems: Readonly<Record<ErrorKind, string>>;
  percent(progress: number): string;
  /** Of numbers and a unit that are formatted already. */
  amount(done: string, total: string | null, unit: string | null): string;
  /** Below a list that does not show all substeps. */
  substeps(done: string, total: string, shown: string): string;
  stageOf(stage: string, place: number, count: number): string;
  attempt(attempt: number, most: number | null): string;
  remaining(duration: string): string;
  /** The stage takes more time than it usually does. */
  overdue(median: string, elapsed: string): string;
  resumesIn(duration: string): string;
  /** The time of the next attempt has come. */
  resumesNow: string;
  retry: string;
  retrying: string;
  retryFailed: string;
}

export const english: Labels = {
  locale: "en",
  states: {},
  units: {},
  time: {
    second: { other: "s" },
    minute: { other: "min" },
    hour: { other: "h" },
    day: { one: "day", other: "days" },
  },
  untitled: "Untitled book",
  loading: "Loading",
  unavailable: "Not available",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
  health: { live: "Working", waiting: "Waiting", quiet: "Quiet", stalled: "Stalled" },
  stageState: {
    done: "done",
    active: "in progress",
    pending: "pending",
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
  errors: { stalled: "The stage stalled: its worker sent nothing for too long." },
  problems: {
    gone: "This book does not exist, or you may not view it.",
    denied: "You may not view this book.",
    signed_out: "Your session has expired. Sign in again.",
    unreachable: "The server cannot be reached.",
    refused: "The server rejected the request.",
    bad_answer: "The server's response is invalid.",
    invalid: "The book's ID is invalid.",
  },
  // 100 is shown only for a complete book, so nothing is rounded up to it.
  percent: (progress) => `${Math.floor(progress)} %`,
  amount: (done, total, unit) =>
    [total === null ? done : `${done} of ${total}`, unit].filter(Boolean).join(" "),
  substeps: (done, total, shown) => `${done} of ${total} substeps done; ${shown} shown`,
  stageOf: (stage, place, count) => `${stage}, stage ${place} of ${count}`,
  attempt: (attempt, most) =>
    most === null ? `attempt ${attempt}` : `attempt ${attempt} of ${most}`,
  remaining: (duration) => `about ${duration} left`,
  overdue: (median, elapsed) => `longer than usual (median ${median}, now ${elapsed})`,
  resumesIn: (duration) => `Retries in ${duration}`,
  resumesNow: "The next attempt is due",
  retry: "Retry",
  retrying: "Retrying",
  retryFailed: "The retry failed.",
};

/** Some of the labels; also of the tables among them only some entries. */
export type SomeLabels = {
  [Name in keyof Labels]?: Labels[Name] extends (...args: never[]) => string
    ? Labels[Name]
    : Labels[Name] extends string
      ? string
      : Partial<Labels[Name]>;
};

/** All labels: the given ones, and for the others those of `base`. */
export function labelsFrom(some: SomeLabels | undefined, base: Labels = english): Labels {
  if (some === undefined) return base;
  const merged = Object.entries(some).map(([name, value]) => {
    const before: unknown = base[name as keyof Labels];
    const isTable = typeof value === "object" && typeof before === "object";
    return [name, isTable ? { ...before, ...value } : (value ?? before)];
  });
  return { ...base, ...(Object.fromEntries(merged) as Partial<Labels>) };
}

/** The label of a book's place. `stages` has the pipeline's own labels; a plain row has none. */
export function nameOfState(book: ShownBook, labels: Labels, state = book.status): string {
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
