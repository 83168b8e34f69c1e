// Why a book failed, and how it continues: at `resume_at`, or by the button.
import type { BookRow } from "../status.js";
import type { H } from "./h.js";
import type { Labels } from "./labels.js";
import { duration, present } from "./text.js";

export interface RetryModel {
  readonly state: "ready" | "running" | "failed";
  readonly run: () => void;
}

export function failure<N>(
  h: H<N>,
  book: BookRow,
  labels: Labels,
  { now = null, retry = null }: { now?: number | null; retry?: RetryModel | null } = {},
): N {
  const code = present(book.error?.code);
  const message = errorText(book, labels);
  const next = resumption(book, now, labels);
  return h(
    "div",
    { key: "error", className: "bindery-error" },
    h(
      "p",
      { className: "bindery-error-text" },
      h("span", { dir: "auto" }, message),
      code !== null && code !== message && " ",
      code !== null && code !== message && h("code", null, code),
    ),
    (next !== null || retry !== null) &&
      h(
        "div",
        { className: "bindery-error-next" },
        next !== null && h("p", { className: "bindery-resumes" }, next),
        retry !== null && retryButton(h, retry, labels),
      ),
  );
}

/** The error's message, or else the book's, or else what its code means, or its code. */
export function errorText(book: BookRow, labels: Labels): string {
  const code = present(book.error?.code);
  return (
    present(book.error?.["message"]) ??
    present(book.message) ??
    present(code === null ? null : labels.errors[code]) ??
    code ??
    labels.failed
  );
}

/** "Retries in 19 s", or null. */
export function resumption(book: BookRow, now: number | null, labels: Labels): string | null {
  if (book.resume_at === null || now === null) return null;
  const left = Date.parse(book.resume_at) - now;
  return left < 1_000 ? labels.resumesNow : labels.resumesIn(duration(left, labels));
}

/** Not `disabled` while it runs, which would take the focus away. */
function retryButton<N>(h: H<N>, { state, run }: RetryModel, labels: Labels): N {
  const isRunning = state === "running";
  return h(
    "p",
    { className: "bindery-action" },
    h(
      "button",
      { type: "button", className: "bindery-retry", "aria-disabled": isRunning, onClick: run },
      isRunning ? labels.retrying : labels.retry,
    ),
    h("span", { role: "status" }, state === "failed" ? ` ${labels.retryFailed}` : ""),
  );
}
