"use client";
import { useEffect, useRef, useState } from "react";
import type { BookStatus } from "../status.js";
import type { Labels } from "./labels.js";
import { present } from "./text.js";

/**
 * Why a book has failed, and how it continues: automatically at `resume_at`, or by the button if
 * there is `onRetry`.
 */
export function Failure({
  book,
  now,
  labels,
  onRetry,
}: {
  book: BookStatus;
  now: number | null;
  labels: Labels;
  onRetry: ((book: BookStatus) => unknown) | undefined;
}) {
  const code = present(book.error?.code);
  const said = present(book.error?.["message"]) ?? present(book.message);
  return (
    <div className="bindery-error">
      <p>
        {said ?? labels.failed}
        {code !== null && (
          <>
            {" "}
            <code>{code}</code>
          </>
        )}
      </p>
      {book.resume_at !== null && now !== null && (
        <p>{labels.resumesIn(Date.parse(book.resume_at) - now)}</p>
      )}
      {onRetry !== undefined && (
        <Retry key={book.revision} labels={labels} run={() => onRetry(book)} />
      )}
    </div>
  );
}

/** Used once per failure: a new revision brings a new button. */
function Retry({ labels, run }: { labels: Labels; run: () => unknown }) {
  const [state, setState] = useState<"ready" | "running" | "failed">("ready");
  const mounted = useRef(false);
  useEffect(() => {
    mounted.current = true;
    return () => {
      mounted.current = false;
    };
  }, []);
  const retry = async () => {
    if (state === "running") return;
    setState("running");
    let next: "ready" | "failed" = "ready";
    try {
      await run();
    } catch {
      next = "failed";
    }
    if (mounted.current) setState(next);
  };
  const running = state === "running";
  return (
    <p>
      {/* Not `disabled`, which would take the focus away. */}
      <button
        type="button"
        className="bindery-retry"
        aria-disabled={running}
        onClick={() => void retry()}
      >
        {running ? labels.retrying : labels.retry}
      </button>
      <span role="status">{state === "failed" && ` ${labels.retryFailed}`}</span>
    </p>
  );
}
