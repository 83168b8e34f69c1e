// What to do about an event, by its rejection reason. A test compares the reasons with
// docs/events.md.
import remedies from "./remedies.json";

const known: Readonly<Record<string, string>> = remedies;

export const remedyOf = (reason: string): string =>
  known[reason] ?? "Read the message, and the rejection reasons in docs/events.md.";

/** What becomes of an early event, by the reason for which it waits. */
const waits: Readonly<Record<string, string>> = {
  unknown_book: "It is applied when its book is registered.",
  stage_not_reached: "It is applied when its book reaches the stage.",
  attempt_ahead: "It is applied when its book begins that attempt.",
  transition_ahead: "It is applied when its book has made the transitions before it.",
  queued_behind: "It is applied after the earlier events of its book.",
};

export const waitOf = (reason: string): string =>
  waits[reason] ?? "It is applied when a change of its book makes it applicable.";
