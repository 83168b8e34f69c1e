// The status of a book, as an icon and a word.
import type { Connection } from "../connection.js";
import { classes, joined, type H } from "./h.js";
import { icon } from "./icon.js";
import { nameOfState, type Labels } from "./labels.js";
import { toneOf, type ShownBook } from "./tone.js";

export interface PillModel {
  readonly book: ShownBook | null;
  readonly connection?: Connection | undefined;
  readonly stale?: boolean | undefined;
  /** The percentage beside the word, while there is any. */
  readonly showProgress?: boolean | undefined;
  readonly className?: string | undefined;
}

export function statusPill<N>(
  h: H<N>,
  { book, connection, stale = false, showProgress = false, className }: PillModel,
  labels: Labels,
): N {
  const tone = book === null ? "waiting" : toneOf(book);
  const health = book !== null && book.health === tone ? labels.health[tone] : null;
  const percent =
    book !== null && showProgress && (tone === "active" || health !== null)
      ? labels.percent(book.overall_progress)
      : null;
  const isUnsure = connection === "reconnecting" || connection === "delayed";
  const notice = stale ? labels.stale : isUnsure ? labels.connection[connection] : null;
  const name = book === null ? labels.loading : nameOfState(book, labels);
  return h(
    "span",
    {
      className: classes("bindery-status", className),
      "data-tone": tone,
      "data-stale": stale,
    },
    icon(h, tone),
    h("span", { className: "bindery-status-text" }, joined(name, percent, health, notice)),
  );
}
