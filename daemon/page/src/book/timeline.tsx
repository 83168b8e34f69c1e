// The history of a book, newest first, and the attempts in it.
import type { BookStatus } from "@bindery/react/client";
import { icon, nameOfState, present, type AttemptRow, type Tone } from "@bindery/react/view";
import { useCallback, useEffect, useState } from "preact/hooks";
import { get, problemOf } from "../api.js";
import { ago, at, draw, labels } from "../view.js";

/** A row of `GET /api/books/{id}/timeline`. */
export interface BookEvent {
  revision: number;
  kind: "register" | "transition" | "fail" | "resume" | "rewind" | "cancel" | "complete";
  from_status: string | null;
  to_status: string;
  stage: string;
  attempt: number;
  actor: string;
  message: string | null;
  data: Record<string, unknown> | null;
  at: string;
}

interface Page {
  events: BookEvent[];
  next: number | null;
}

export interface Timeline {
  readonly events: readonly BookEvent[];
  readonly next: number | null;
  readonly problem: string | null;
  loadOlder(): void;
}

const PAGE = 100;

/** The history, read again after each change of status or attempt. */
export function useTimeline(book: BookStatus | null): Timeline {
  const [page, setPage] = useState<Page>({ events: [], next: null });
  const [problem, setProblem] = useState<string | null>(null);
  const bookId = book?.book_id ?? null;
  const key = book === null ? null : JSON.stringify([bookId, book.status, book.attempt]);
  useEffect(() => {
    if (bookId === null) return;
    const request = new AbortController();
    get<Page>(`/api/books/${bookId}/timeline`, { limit: PAGE }, request.signal).then(
      (latest) => {
        setProblem(null);
        setPage((before) => {
          const oldest = latest.events.at(-1)?.revision ?? 0;
          const older = before.events.filter(({ revision }) => revision < oldest);
          return older.length === 0
            ? latest
            : { events: [...latest.events, ...older], next: before.next };
        });
      },
      (error: unknown) => request.signal.aborted || setProblem(problemOf(error)),
    );
    return () => request.abort();
  }, [key]);
  const loadOlder = useCallback(() => {
    if (bookId === null || page.next === null) return;
    get<Page>(`/api/books/${bookId}/timeline`, { limit: PAGE, before: page.next }).then(
      (older) =>
        setPage((before) => ({ events: [...before.events, ...older.events], next: older.next })),
      (error: unknown) => setProblem(problemOf(error)),
    );
  }, [bookId, page.next]);
  return { ...page, problem, loadOlder };
}

/** The attempts of stages that had more than one, with their durations and why they ended. */
export function attemptsOf({ events, next }: Timeline): AttemptRow[] {
  // The beginning of the first attempts is not known yet.
  if (next !== null) return [];
  const rows: (AttemptRow & { from: number })[] = [];
  let open: { stage: string; attempt: number; from: number } | null = null;
  for (const event of [...events].reverse()) {
    const time = Date.parse(event.at);
    if (open !== null) {
      const state =
        event.kind === "fail"
          ? "failed"
          : event.kind === "cancel" || event.kind === "rewind"
            ? "cancelled"
            : "done";
      const message = event.kind === "fail" ? present(event.data?.["message"]) : null;
      rows.push({ ...open, state, seconds: (time - open.from) / 1000, message });
    }
    const isOver = ["fail", "cancel", "complete"].includes(event.kind);
    open = isOver ? null : { stage: event.stage, attempt: event.attempt, from: time };
  }
  if (open !== null) rows.push({ ...open, state: "active", seconds: null });
  const counts = new Map<string, number>();
  for (const { stage } of rows) counts.set(stage, (counts.get(stage) ?? 0) + 1);
  return rows.filter(({ stage }) => (counts.get(stage) ?? 0) > 1);
}

const kinds: Readonly<Record<BookEvent["kind"], { tone: Tone; text: string }>> = {
  register: { tone: "waiting", text: "Registered" },
  transition: { tone: "active", text: "Began" },
  fail: { tone: "failed", text: "Failed in" },
  resume: { tone: "active", text: "Resumed at" },
  rewind: { tone: "quiet", text: "Rewound to" },
  cancel: { tone: "cancelled", text: "Cancelled in" },
  complete: { tone: "done", text: "Completed" },
};

export function History({
  book,
  timeline,
  now,
}: {
  book: BookStatus;
  timeline: Timeline;
  now: number;
}) {
  return (
    <section class="section" aria-labelledby="history-title">
      <div class="section-head">
        <h3 id="history-title">History</h3>
      </div>
      <ol class="history">
        {timeline.events.map((event) => {
          const { tone, text } = kinds[event.kind] ?? { tone: "waiting", text: event.kind };
          const hasStage = !["register", "complete"].includes(event.kind);
          const message = present(event.message) ?? present(event.data?.["message"]);
          return (
            <li key={event.revision} data-kind={event.kind} data-tone={tone}>
              <span class="mark">{icon(draw, tone)}</span>
              <p class="what">
                {text}
                {hasStage && ` ${nameOfState(book, labels, event.stage)}`}
                {event.attempt > 1 && hasStage && (
                  <span class="soft"> · {labels.attempt(event.attempt, null)}</span>
                )}
              </p>
              {message !== null && (
                <p class="message" dir="auto">
                  {message}
                </p>
              )}
              <p class="when">
                <time datetime={event.at} title={at(event.at)}>
                  {ago(event.at, now)}
                </time>{" "}
                · {event.actor}
              </p>
            </li>
          );
        })}
      </ol>
      {timeline.problem !== null && <p class="problem">{timeline.problem}</p>}
      {timeline.next !== null && (
        <button type="button" class="small" onClick={timeline.loadOlder}>
          Older
        </button>
      )}
    </section>
  );
}
