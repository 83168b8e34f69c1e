"use client";
// A tracker for one book, in Tailwind and the colours of shadcn/ui. It is yours: change the markup.
// Tracker.Root watches the book, names the group and announces changes to screen readers.
import { StatusIndicator, Tracker, useTracker, type TrackerRootProps } from "@bindery/react";
import {
  amountOf,
  errorText,
  nameOfState,
  nameOfSubstep,
  overdue,
  remaining,
  resumption,
  spent,
  spokenProgress,
  titleOf,
  toneOf,
  widthOf,
} from "@bindery/react/view";

export function ProgressTracker({ className = "", ...props }: TrackerRootProps) {
  const frame = "bg-card text-card-foreground relative flex flex-col gap-4 rounded-xl border p-6";
  return (
    <Tracker.Root {...props} className={`${frame} shadow-sm ${className}`}>
      <Header />
      <Progress />
      <Tracker.Message className="text-muted-foreground text-sm" />
      <Tracker.Notice className="bg-muted rounded-md px-3 py-2 text-sm" />
      <Failure />
      <Stages />
    </Tracker.Root>
  );
}

const colours = {
  waiting: "text-muted-foreground",
  active: "text-primary",
  quiet: "text-amber-700 dark:text-amber-400",
  stalled: "text-destructive",
  failed: "text-destructive",
  cancelled: "text-muted-foreground",
  done: "text-green-700 dark:text-green-400",
} as const;

function Header() {
  const { view, labels, titleId } = useTracker();
  const { book, loading } = view;
  const title = loading ? labels.loading : labels.unavailable;
  const pill = "inline-flex items-center gap-1 rounded-full border px-2 py-0.5 text-xs font-medium";
  return (
    <div className="flex flex-wrap items-center justify-between gap-2">
      <strong id={titleId} dir="auto" className="leading-none font-semibold">
        {book === null ? title : titleOf(book, labels)}
      </strong>
      {book !== null && (
        <StatusIndicator
          book={book}
          labels={labels}
          className={`${pill} ${colours[toneOf(book)]}`}
        />
      )}
    </div>
  );
}

const fills = {
  done: "bg-primary",
  active: "bg-primary",
  pending: "bg-primary",
  failed: "bg-destructive",
  cancelled: "bg-muted-foreground",
} as const;

function Progress() {
  const { view, labels, titleId, now } = useTracker();
  const { book, loading } = view;
  const segment = "bg-primary/20 h-full overflow-hidden first:rounded-s-full last:rounded-e-full";
  if (book === null)
    return loading ? <div className="bg-muted h-2 animate-pulse rounded-full" /> : null;
  const whole = { name: "", state: "active", progress: book.overall_progress } as const;
  const stages = book.stages.length > 0 ? book.stages : [{ ...whole, label: "" }];
  const time = overdue(book, now, labels) ?? remaining(book, now, labels);
  return (
    <div className="grid gap-2">
      <div
        role="progressbar"
        aria-labelledby={titleId}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.floor(book.overall_progress)}
        aria-valuetext={spokenProgress(book, labels)}
        className="flex h-2 gap-0.5"
      >
        {stages.map((stage) => (
          <div key={stage.name} className={segment} style={{ flexGrow: widthOf(stage, stages) }}>
            <div
              className={`${fills[stage.state]} h-full transition-[width] motion-reduce:transition-none`}
              style={{ width: `${stage.progress}%` }}
            />
          </div>
        ))}
      </div>
      <p className="text-muted-foreground text-sm tabular-nums">
        {[labels.percent(book.overall_progress), time].filter(Boolean).join(" · ")}
      </p>
    </div>
  );
}

function Failure() {
  const { view, labels, now, retry } = useTracker();
  const { book } = view;
  if (book?.status !== "FAILED") return null;
  return (
    <div className="border-destructive/30 bg-destructive/5 grid gap-2 rounded-lg border p-3 text-sm">
      <p dir="auto">{errorText(book, labels)}</p>
      <p className="text-muted-foreground empty:hidden">{resumption(book, now, labels)}</p>
      {retry && (
        <p>
          <button
            type="button"
            onClick={retry.run}
            aria-disabled={retry.state === "running"}
            className="bg-background hover:bg-accent rounded-md border px-3 py-1 font-medium"
          >
            {retry.state === "running" ? labels.retrying : labels.retry}
          </button>
          <span role="status">{retry.state === "failed" && ` ${labels.retryFailed}`}</span>
        </p>
      )}
    </div>
  );
}

function Stages() {
  const { view, labels, now } = useTracker();
  const { book } = view;
  if (book === null || book.stages.length === 0) return null;
  return (
    <ol className="grid gap-3 text-sm">
      {book.stages.map((stage) => (
        <li key={stage.name} aria-current={stage.state === "active" ? "step" : undefined}>
          <div className="flex flex-wrap justify-between gap-x-3">
            <span dir="auto" className={stage.state === "active" ? "font-medium" : undefined}>
              {nameOfState(book, labels, stage.name)}
            </span>
            <span className="text-muted-foreground tabular-nums">
              {[labels.stageState[stage.state], spent(stage, now, labels)]
                .filter(Boolean)
                .join(" · ")}
            </span>
          </div>
          {stage.name === book.current_stage && <Substeps />}
        </li>
      ))}
    </ol>
  );
}

function Substeps() {
  const { view, labels } = useTracker();
  const open = view.book?.substeps.filter(({ state }) => state !== "done").slice(0, 8) ?? [];
  if (open.length === 0) return null;
  return (
    <ul className="text-muted-foreground mt-2 grid gap-1 border-s ps-3">
      {open.map((substep) => (
        <li key={substep.substep} className="flex flex-wrap justify-between gap-x-3">
          <span dir="auto">{nameOfSubstep(substep)}</span>
          <span className="tabular-nums">{amountOf(substep, labels)}</span>
        </li>
      ))}
    </ul>
  );
}
